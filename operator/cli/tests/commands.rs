//! The binary as people and pipelines of CI call it: what it prints and how it ends.

// All of this is test: a helper may fail it as well.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[allow(dead_code, reason = "each program of tests calls what it needs")]
mod binary;
#[path = "commands/many.rs"]
mod many;

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use binary::{code, command, folder, run, text, told};
use serde_json::Value;

fn fed(arguments: &[&str], input: &str) -> Output {
    let mut child = command(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn what_a_canary_cant_compare_or_judge_by_is_said_with_its_place() {
    let said = told(&run(&["validate", "cases/canary.yaml"]));
    for wrong in [
        "spec.rollout.canary.compare.keys[0]: the query has no column \"orderid\"; did you mean \"order_id\"?",
        "spec.rollout.canary.compare.sums[0]: column \"order_id\" is string, and only numbers add up",
        "spec.rollout.canary.rules[0]: QualityRule orders-sane is of DataStream orders, and the results go to big-orders",
    ] {
        assert!(said.contains(wrong), "{wrong}: {said}");
    }
    assert!(said.contains("cases/canary.yaml:"), "{said}");
}

#[test]
fn what_is_wrong_is_said_with_place_and_remedy() {
    for case in [
        "bad-contract",
        "bad-definition",
        "duplicate-key",
        "duplicate-object",
        "empty",
        "grant",
        "loop",
        "mismatch",
        "misspelt-column",
        "misspelt-field",
        "misspelt-stream",
        "namesakes",
        "nesting",
        "one-of",
        "policy",
        "quality",
        "state",
        "tab",
        "told-once",
        "topics-alike",
        "unknown-kind",
        "verdicts",
        "wrong-type",
    ] {
        let path = if case == "loop" {
            "cases/loop".to_owned()
        } else {
            format!("cases/{case}.yaml")
        };
        let output = run(&["validate", &path]);
        let said = told(&output);
        assert!(!said.contains("secret@"), "a password: {said}");
        insta::assert_snapshot!(case, said);
        assert_eq!(code(&output), i32::from(case != "empty"), "{case}: {said}");
    }
}

#[test]
fn what_is_wrong_with_a_feed_is_said_and_a_password_is_not_repeated() {
    let output = run(&["validate", "cases/feed.yaml"]);
    let said = told(&output);
    assert_eq!(code(&output), 1, "{said}");
    for words in [
        "no address of a WebSocket",
        "one pod at most",
        "the WebSocket's own",
        "1Gi is out of range",
        "the port is out of range",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(!said.contains("secret@"), "a password: {said}");
}

#[test]
fn what_is_wrong_with_files_is_said_and_a_password_is_not_repeated() {
    let output = run(&["validate", "cases/files.yaml"]);
    let said = told(&output);
    assert_eq!(code(&output), 1, "{said}");
    for words in [
        "no folder within the volume",
        "exactly one kind of store: postgres or file",
        "DataStore good only adds rows (AtLeastOnce), and none replaces another: leave key out",
        "group by a window too",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(!said.contains("secret@"), "a password: {said}");
}

#[test]
fn a_cast_that_may_silently_give_null_is_a_warning_unless_the_row_fails() {
    let output = run(&["validate", "cases/overflow.yaml"]);
    insta::assert_snapshot!("overflow", told(&output));
    assert_eq!(code(&output), 0);
}

#[test]
fn the_examples_are_valid_and_their_tests_pass() {
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples");
    for example in fs::read_dir(examples).unwrap() {
        let path = example.unwrap().path();
        let path = path.to_str().unwrap();
        let output = run(&["validate", path]);
        assert_eq!(code(&output), 0, "{}", told(&output));
        let output = run(&["test", path]);
        assert_eq!(code(&output), 0, "{}", told(&output));
    }
}

#[test]
fn a_contract_is_said_in_the_words_of_other_tools() {
    for (name, words) in [
        ("orders", "avro"),
        ("orders", "protobuf"),
        ("orders", "json-schema"),
        ("payments", "avro"),
        ("payments", "protobuf"),
        ("shipments", "protobuf"),
    ] {
        let output = run(&[
            "schema",
            name,
            "-o",
            words,
            "-f",
            "../../../examples/formats",
        ]);
        assert_eq!(code(&output), 0, "{}", told(&output));
        insta::assert_snapshot!(format!("schema-{name}-{words}"), text(&output.stdout));
    }
    // The stream's own words, where none are asked for: the definition as it stands there.
    let own = run(&[
        "schema",
        "formats/payments",
        "-f",
        "../../../examples/formats",
    ]);
    let asked = run(&[
        "schema",
        "payments",
        "-o",
        "avro",
        "-f",
        "../../../examples/formats",
    ]);
    assert_eq!(text(&own.stdout), text(&asked.stdout));
    assert_eq!(
        code(&run(&["schema", "-f", "../../../examples/formats"])),
        2
    );
    let none = run(&["schema", "nothing", "-f", "../../../examples/formats"]);
    assert_eq!(code(&none), 1, "{}", told(&none));
}

/// A file of an edition is read by its features, printed as it was written, and what is wrong in it has its place.
#[test]
fn a_definition_of_an_edition_is_printed_as_it_was_written() {
    let output = run(&["test", "cases/edition.yaml"]);
    assert_eq!(code(&output), 0, "{}", told(&output));
    let said =
        |words| text(&run(&["schema", "orders", "-f", "cases/edition.yaml", "-o", words]).stdout);
    let own = said("protobuf");
    assert!(own.starts_with("edition = \"2023\"; // As"), "{own}");
    assert!(own.contains("reserved customer, payer;"), "{own}");
    let avro: Value = serde_json::from_str(&said("avro")).unwrap();
    assert_eq!(avro["fields"][0]["type"], "string", "{avro}");
    assert_eq!(avro["fields"][1]["type"][0], "null", "{avro}");
    let file = include_str!("cases/edition.yaml");
    for (from, to, place) in [
        ("2023", "2024", "9:17"),
        ("Money total", "Mony total", "17:9"),
    ] {
        let output = fed(&["validate", "-"], &file.replace(from, to));
        let expected = format!("-:{place}: DataStream shop/orders: spec.protobuf.schema: ");
        assert!(
            text(&output.stdout).starts_with(&expected),
            "{}",
            told(&output)
        );
    }
}

#[test]
fn queries_with_state_are_tested_by_what_is_left_at_the_end() {
    let output = run(&["test", "cases/windows.yaml"]);
    let said = told(&output);
    assert_eq!(code(&output), 0, "{said}");
    assert!(said.contains("2 passed, 0 failed"), "{said}");
}

#[test]
fn a_reference_to_what_is_elsewhere_may_be_allowed() {
    let output = run(&["validate", "--allow-missing", "cases/misspelt-stream.yaml"]);
    assert_eq!(code(&output), 0, "{}", told(&output));
    assert!(text(&output.stdout).contains("warning: "));
}

#[test]
fn findings_are_written_for_programs_and_for_pull_requests() {
    let output = run(&["validate", "-o", "json", "cases/misspelt-column.yaml"]);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["objects"], 2);
    let first = &json["findings"][0];
    assert_eq!(
        (first["line"].as_u64(), first["column"].as_u64()),
        (Some(19), Some(12)),
        "{first}"
    );
    let mut in_ci = command(&["validate", "cases/misspelt-column.yaml"]);
    let output = in_ci.env("GITHUB_ACTIONS", "true").output().unwrap();
    assert!(
        text(&output.stdout)
            .starts_with("::error file=cases/misspelt-column.yaml,line=19,col=12::"),
        "{}",
        told(&output)
    );
}

#[test]
fn standard_input_json_and_lists_are_read() {
    let list = r#"{"apiVersion": "v1", "kind": "List", "items": [
      {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}},
      {"apiVersion": "headworks.dev/v1alpha1", "kind": "DataStream", "metadata": {"name": "a"},
       "spec": {"schema": [{"name": "id", "type": "strng"}]}}]}"#;
    let output = fed(&["validate", "-n", "shop", "-"], list);
    assert_eq!(code(&output), 1);
    let said = text(&output.stdout);
    assert!(
        said.starts_with("-:4:51: DataStream shop/a: spec.schema[0].type: "),
        "{said}"
    );
    assert!(text(&output.stderr).contains("1 of other kinds"));
}

#[test]
fn wrong_usage_and_unreadable_files_have_codes_of_their_own() {
    assert_eq!(code(&run(&["validate"])), 2);
    assert_eq!(code(&run(&["frobnicate"])), 2);
    let output = run(&["validate", "nowhere.yaml"]);
    assert_eq!(code(&output), 3);
    assert!(text(&output.stderr).contains("nowhere.yaml"));
    let output = run(&["run", "good.yaml", "--input", "nowhere.ndjson"]);
    assert_eq!(code(&output), 3);
    let output = run(&["run", "good.yaml", "--input", "others=good.yaml"]);
    assert_eq!(code(&output), 2);
    assert!(text(&output.stderr).contains("the query reads orders"));
}

#[test]
fn tests_that_pass_and_tests_that_fail() {
    let output = run(&["test", "good.yaml"]);
    assert_eq!(code(&output), 0, "{}", told(&output));
    let output = run(&["test", "failing.yaml"]);
    assert_eq!(code(&output), 1);
    insta::assert_snapshot!("test-failing", told(&output));
    let output = run(&["test", "failing.yaml", "--name", "no*such"]);
    assert!(text(&output.stderr).contains("0 passed"));
    let output = run(&["test", "-o", "json", "failing.yaml"]);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["failed"], 2);
    assert_eq!(json["tests"][0]["missing"][0]["net"], "250.51");
    // What doesn't validate isn't run.
    let output = run(&["test", "cases/misspelt-column.yaml"]);
    assert_eq!(code(&output), 1);
    assert!(text(&output.stdout).contains("did you mean"));
}

#[test]
fn a_run_on_files_gives_rows_dead_letters_and_counts() {
    // A byte order mark, CRLF, an empty line, and no line end at the end.
    let records = "\u{feff}{\"order_id\":\"a\",\"amount\":\"99\",\"placed_at\":\"2026-01-01T00:00:00Z\"}\r\n\r\n\
                   {\"order_id\":\"b\",\"amount\":\"150\",\"placed_at\":\"2026-01-01T00:00:00Z\"}\n\
                   {broken\n\
                   {\"order_id\":\"c\",\"amount\":250.5,\"placed_at\":\"2026-01-01T01:00:00+01:00\"}";
    let output = fed(&["run", "good.yaml", "--input", "orders=-"], records);
    insta::assert_snapshot!("run", told(&output));
    let folder = folder("run", &[]);
    let (input, rows, letters) = (
        folder.join("in.ndjson"),
        folder.join("out.ndjson"),
        folder.join("dlq.ndjson"),
    );
    fs::write(&input, records).unwrap();
    let path = |path: &PathBuf| path.to_str().unwrap().to_owned();
    let output = run(&[
        "run",
        "good.yaml",
        "--input",
        &path(&input),
        "--output",
        &path(&rows),
        "--dead-letters",
        &path(&letters),
    ]);
    assert_eq!(code(&output), 0, "{}", told(&output));
    assert_eq!(fs::read_to_string(rows).unwrap().lines().count(), 2);
    let letter: Value = serde_json::from_str(&fs::read_to_string(letters).unwrap()).unwrap();
    assert_eq!(letter["reason"], "Decode");
    assert_eq!(letter["value"], "{broken");
}

#[test]
fn a_rules_monitors_are_explained_by_their_queries() {
    let file = "cases/monitors.yaml";
    for name in ["orders-flow", "shop/rows-alone"] {
        let output = run(&["explain", "rule", name, "-n", "shop", "-f", file]);
        let called = name.replace('/', "-");
        insta::assert_snapshot!(format!("explain-rule-{called}"), told(&output));
    }
    let several = run(&["explain", "rule", "-f", file]);
    assert_eq!(code(&several), 2);
    let nobody = run(&["explain", "rule", "nobody", "-f", file]);
    assert_eq!(code(&nobody), 1);
}

#[test]
fn a_pipeline_is_explained_by_its_files() {
    let shop = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases/explained.yaml");
    let output = run(&["explain", "pipeline", "-f", shop]);
    insta::assert_snapshot!("explain", told(&output));
    let stateful = "cases/explained-state.yaml";
    for name in ["revenue", "totals"] {
        let output = run(&["explain", "pipeline", name, "-n", "shop", "-f", stateful]);
        // Digests are the planner's; that they stand where they belong is what is shown.
        let said = told(&output);
        let version = &said.split("version ").nth(1).unwrap()[..8];
        let said = said.replace(version, "<version>");
        let said: Vec<&str> = said
            .lines()
            .filter(|line| !line.starts_with("  fingerprint"))
            .collect();
        insta::assert_snapshot!(format!("explain-{name}"), said.join("\n"));
    }
    let output = run(&["explain", "pipeline", "-f", shop, "-o", "json"]);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["columns"][1]["labels"][0], "pii");
    assert_eq!(json["stages"][1]["endsIn"], "DataStore");
    let output = run(&["explain", "pipeline", "nobody", "-f", shop]);
    assert_eq!(code(&output), 1, "{}", told(&output));
    assert_eq!(code(&run(&["explain", "pipeline"])), 2);
}

#[test]
fn a_namespace_that_the_platform_does_not_admit_is_told() {
    let manifests = "apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {team: core}}
---
apiVersion: headworks.dev/v1alpha1
kind: Platform
metadata: {name: default}
spec:
  allowedNamespaces: {matchLabels: {team: TEAM}}
  kafka: {bootstrapServers: 'kafka:9092', management: {admin: {}}, topicPolicy: [{namespaces: {matchLabels: {kubernetes.io/metadata.name: shop}}, prefixes: [legacy-]}]}
---
apiVersion: headworks.dev/v1alpha1
kind: DataStream
metadata: {name: a, namespace: shop}
spec: {topic: legacy-a, schema: [{name: id, type: string}]}
";
    let output = fed(&["validate", "-"], &manifests.replace("TEAM", "core"));
    assert_eq!(code(&output), 0, "{}", told(&output));
    let output = fed(&["validate", "-"], &manifests.replace("TEAM", "bi"));
    assert_eq!(code(&output), 1);
    assert!(text(&output.stdout).contains("doesn't admit namespace shop"));
}

#[test]
fn a_file_that_is_named_twice_is_read_once() {
    let output = run(&["validate", "good.yaml", "./good.yaml"]);
    assert_eq!(code(&output), 0, "{}", told(&output));
    assert!(text(&output.stderr).contains("in 1 file:"));
}

#[test]
fn the_binary_may_be_called_kubectl_headworks() {
    let folder = folder("plugin", &[]);
    let link = folder.join("kubectl-headworks");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_headworks"), &link).unwrap();
    let output = Command::new(link).arg("version").output().unwrap();
    assert_eq!(code(&output), 0);
    assert!(text(&output.stdout).starts_with("headworks "));
    for shell in ["bash", "zsh", "fish"] {
        let output = run(&["completion", shell]);
        assert_eq!(code(&output), 0);
        assert!(text(&output.stdout).contains("validate"));
    }
    let json: Value = serde_json::from_slice(&run(&["version", "-o", "json"]).stdout).unwrap();
    assert_eq!(json["api"], "headworks.dev/v1alpha1");
}
