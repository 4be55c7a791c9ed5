//! What the binary makes of files: runs and tests as a pod would go, numbers as kubectl reads them, kustomizations as Kustomize
//! builds them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[allow(dead_code, reason = "each program of tests calls what it needs")]
mod binary;

use std::fs;
use std::path::Path;
use std::process::Command;

use binary::{code, command, folder, run, text, told};
use serde_json::Value;

fn lines(bytes: &[u8]) -> Vec<Value> {
    let text = text(bytes);
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn what_comes_after_its_window_is_a_dead_letter_of_a_test() {
    let output = run(&["test", "cases/late.yaml"]);
    assert_eq!(code(&output), 0, "{}", told(&output));
    assert!(text(&output.stderr).contains("2 passed, 0 failed"));
}

#[test]
fn what_comes_after_its_window_is_a_dead_letter_of_a_run() {
    let records = r#"{"category":"a","amount":1,"placed_at":"2026-01-01T00:00:01Z"}
{"category":"a","amount":2,"placed_at":"2026-01-01T00:01:04.999Z"}
{"category":"b","amount":4,"placed_at":"2026-01-01T00:00:59.999Z"}
{"category":"a","amount":8,"placed_at":"2026-01-01T00:01:00Z"}
"#;
    let folder = folder("late", &[("in.ndjson", records)]);
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let output = run(&[
        "run",
        "cases/late.yaml",
        "--pipeline",
        "revenue",
        "--input",
        &path("in.ndjson"),
        "--dead-letters",
        &path("dlq"),
    ]);
    assert_eq!(code(&output), 0, "{}", told(&output));
    let sums: Vec<i64> = lines(&output.stdout)
        .iter()
        .map(|row| row["revenue"].as_i64().unwrap())
        .collect();
    assert_eq!(sums, [1, 10]);
    let letters = lines(&fs::read(folder.join("dlq")).unwrap());
    assert_eq!(letters.len(), 1, "{letters:?}");
    assert_eq!(
        (
            &letters[0]["reason"],
            &letters[0]["record"],
            &letters[0]["stream"]
        ),
        (&"Late".into(), &3.into(), &"orders".into())
    );
    assert!(
        letters[0]["error"]
            .as_str()
            .unwrap()
            .contains("2026-01-01T00:00:59.999Z"),
        "the watermark: {letters:?}"
    );
}

#[test]
fn which_file_is_named_first_is_of_no_consequence() {
    let row = |amount: i64, at: &str| {
        format!(r#"{{"category":"a","amount":{amount},"placed_at":"2026-01-01T{at}Z"}}"#) + "\n"
    };
    let orders = row(10, "00:00:01") + &row(20, "00:05:00");
    let refunds = row(1, "00:00:02") + &row(2, "00:05:01") + &row(3, "00:00:03");
    let folder = folder("merged", &[("orders", &orders), ("refunds", &refunds)]);
    let input = |name: &str| format!("{name}={}", folder.join(name).display());
    let mut answers = Vec::new();
    for names in [["orders", "refunds"], ["refunds", "orders"]] {
        let [one, other] = names.map(input);
        let output = run(&[
            "run",
            "cases/late.yaml",
            "--pipeline",
            "balance",
            "--input",
            &one,
            "--input",
            &other,
        ]);
        assert_eq!(code(&output), 0, "{}", told(&output));
        answers.push(told(&output));
    }
    assert_eq!(answers[0], answers[1]);
    assert!(
        answers[0].contains("2 rows written, 1 dead letters"),
        "{}",
        answers[0]
    );
}

#[test]
fn rules_in_the_files_judge_the_records_of_tests_and_runs() {
    let output = run(&["test", "cases/judged.yaml"]);
    assert_eq!(code(&output), 0, "{}", told(&output));
    assert!(text(&output.stderr).contains("2 passed, 0 failed"));
    let at = "\"placed_at\":\"2026-01-01T00:00:00Z\"";
    let record = |id: &str, amount: i32| format!("{{\"id\":\"{id}\",\"amount\":{amount},{at}}}\n");
    let records = [record("a", 1), record("b", -1), record("test-1", 1)].concat();
    let rule = fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/cases/judged.yaml"
    ));
    let rule = rule.unwrap();
    let stops = rule.replace("onError: Quarantine", "onError: Stop");
    let wrong = rule.replace("amount > 0", "amont > 0");
    let folder = folder(
        "judged",
        &[
            ("in.ndjson", records.as_str()),
            ("judges.yaml", &rule),
            ("stops.yaml", &stops),
            ("wrong.yaml", &wrong),
        ],
    );
    let path = |file: &str| folder.join(file).to_str().unwrap().to_owned();
    let over = |file: &str| {
        let (file, input) = (path(file), path("in.ndjson"));
        run(&["run", &file, "--pipeline", "big", "--input", &input])
    };
    let output = over("judges.yaml");
    assert_eq!(code(&output), 0, "{}", told(&output));
    assert_eq!(text(&output.stdout), "{\"id\":\"a\"}\n");
    let said = text(&output.stderr);
    let broken = "rule orders-sane, check positive: amount > 0 is false";
    assert!(
        said.contains("\"reason\":\"Quality\"") && said.contains(broken),
        "{said}"
    );
    let output = over("stops.yaml");
    assert_eq!(code(&output), 1, "{}", told(&output));
    assert!(text(&output.stderr).contains(broken), "{}", told(&output));
    assert_eq!(text(&output.stdout), "{\"id\":\"a\"}\n");
    // A rule that can't judge lets nothing through.
    let output = over("wrong.yaml");
    assert_eq!(code(&output), 1, "{}", told(&output));
    assert_eq!(text(&output.stdout), "");
    assert!(text(&output.stderr).contains("amont"), "{}", told(&output));
}

#[test]
fn what_a_target_cannot_say_is_a_dead_letter_with_its_reason() {
    let output = run(&["test", "cases/dead-letters.yaml"]);
    assert_eq!(code(&output), 1, "{}", told(&output));
    insta::assert_snapshot!("test-dead-letters", told(&output));
    let records = r#"{"id":"a","state":"NEW","part":1,"whole":2}
{"id":"b","state":"LOST","part":1,"whole":2}
{"id":"c","state":"PAID","part":-1,"whole":0}
"#;
    let folder = folder("avro", &[("in.ndjson", records)]);
    let input = folder.join("in.ndjson");
    let output = run(&[
        "run",
        "cases/dead-letters.yaml",
        "--input",
        input.to_str().unwrap(),
    ]);
    assert_eq!(code(&output), 0, "{}", told(&output));
    assert_eq!(
        text(&output.stdout),
        "{\"id\":\"a\",\"state\":\"NEW\",\"ratio\":0.5}\n{\"id\":\"c\",\"state\":\"PAID\",\"ratio\":\"-Infinity\"}\n"
    );
    let said = text(&output.stderr);
    assert!(
        said.contains("\"reason\":\"Evaluation\"") && said.contains("output shop.ratios"),
        "{said}"
    );
}

#[test]
fn a_target_that_validate_refuses_is_not_run() {
    let refused = fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/cases/dead-letters.yaml"
    ))
    .unwrap()
    .replace("to: [{stream: ratios}]", "to: [{stream: narrow}]");
    let folder = folder("refused", &[("p.yaml", &refused), ("in.ndjson", "")]);
    let (file, input) = (folder.join("p.yaml"), folder.join("in.ndjson"));
    let (file, input) = (file.to_str().unwrap(), input.to_str().unwrap());
    let validated = run(&["validate", file]);
    assert_eq!(code(&validated), 1, "{}", told(&validated));
    let output = run(&["run", file, "--input", input]);
    assert_eq!(code(&output), 1, "{}", told(&output));
    let why = "the query's columns don't fit DataStream narrow";
    assert!(text(&output.stderr).contains(why), "{}", told(&output));
    assert!(
        text(&validated.stdout).contains(why),
        "{}",
        told(&validated)
    );
}

#[test]
fn numbers_are_what_kubectl_reads() {
    let manifest = "apiVersion: headworks.dev/v1alpha1
kind: DataStream
metadata: {name: orders, namespace: shop}
spec:
  partitions: 3.0
  schema: [{name: id, type: string}]
  config:
    max.message.bytes: 1.048576e+06
    segment.bytes: 1.073741824e+09
    segment.ms: 6.048e+08
";
    let folder = folder(
        "numbers",
        &[
            ("a.yaml", manifest),
            ("b.yaml", &manifest.replace("3.0", "3.5")),
        ],
    );
    let output = run(&["validate", folder.join("a.yaml").to_str().unwrap()]);
    assert_eq!(code(&output), 0, "{}", told(&output));
    let output = run(&["validate", folder.join("b.yaml").to_str().unwrap()]);
    assert_eq!(code(&output), 1, "{}", told(&output));
    assert!(
        text(&output.stdout).contains("spec.partitions"),
        "{}",
        told(&output)
    );
}

const BASE: &str = "apiVersion: headworks.dev/v1alpha1
kind: DataStream
metadata: {name: orders}
spec:
  schema:
    - {name: id, type: string}
    - {name: amount, type: int}
---
apiVersion: headworks.dev/v1alpha1
kind: DataStream
metadata: {name: big}
spec:
  schema:
    - {name: id, type: string}
---
apiVersion: headworks.dev/v1alpha1
kind: Pipeline
metadata: {name: big}
spec:
  sql: SELECT id FROM orders WHERE amount > 10
  to: [{stream: big}]
";
const LIST: &str = "resources: [objects.yaml]\n";
const OVERLAY: &str = "namespace: prod
nameSuffix: -eu
resources: [../../base]
patches: [{path: patch.yaml}]
";
const PATCH: &str = "apiVersion: headworks.dev/v1alpha1
kind: Pipeline
metadata: {name: big}
spec:
  replicas: 3
  sql: SELECT id FROM `orders-eu` WHERE amuont > 100
  to: [{stream: big-eu}]
";

/// True if one of the tools that build kustomizations is there; `pocket` brings kubectl.
fn has_tool() -> bool {
    let is_there = |tool: &str| {
        let asked = Command::new(tool).arg("version").arg("--client").output();
        asked.is_ok()
    };
    is_there("kubectl") || is_there("kustomize")
}

#[test]
fn a_kustomization_is_read_as_kustomize_builds_it() {
    let patch = PATCH.replace("amuont", "amount");
    let files = [
        ("base/kustomization.yaml", LIST),
        ("base/objects.yaml", BASE),
        ("overlays/dev/kustomization.yaml", OVERLAY),
        ("overlays/dev/patch.yaml", patch.as_str()),
        ("overlays/prod/kustomization.yaml", OVERLAY),
        ("overlays/prod/patch.yaml", PATCH),
    ];
    let folder = folder("kustomized", &files);
    let at = |path: &str| folder.join(path).to_str().unwrap().to_owned();
    // The base alone is a list of files, which needs no tool.
    let output = command(&["validate", &at("base")])
        .env("PATH", &folder)
        .output()
        .unwrap();
    assert_eq!(code(&output), 0, "{}", told(&output));
    assert!(
        text(&output.stderr).contains("checked 3 objects"),
        "{}",
        told(&output)
    );
    // Without a tool it is said what is missing, and how to go on.
    let output = command(&["validate", &at("overlays/dev")])
        .env("PATH", &folder)
        .output()
        .unwrap();
    assert_eq!(code(&output), 3, "{}", told(&output));
    let said = text(&output.stderr);
    assert!(
        said.contains("kustomize build") && said.contains("| headworks validate -"),
        "{said}"
    );
    if !has_tool() {
        eprintln!("SKIPPED: neither kubectl nor kustomize is on the PATH");
        return;
    }
    let output = run(&["validate", &at("overlays/dev")]);
    assert_eq!(code(&output), 0, "{}", told(&output));
    // What a patch does wrong is told where it stands; the base is no world of its own beside its overlays.
    let output = run(&["validate", &at(".")]);
    assert_eq!(code(&output), 1, "{}", told(&output));
    let said = text(&output.stdout);
    let place = format!(
        "{}:6:8: Pipeline prod/big-eu: spec.sql: ",
        Path::new("overlays/prod/patch.yaml").display()
    );
    assert!(said.contains(&place), "{said}");
    assert!(
        said.contains("did you mean") && said.lines().count() == 1,
        "{said}"
    );
    // A run needs one world.
    let output = run(&["test", &at("overlays")]);
    assert_eq!(code(&output), 2, "{}", told(&output));
    assert!(
        text(&output.stderr).contains("overlays/dev"),
        "{}",
        told(&output)
    );
}

const IMPORTING: &str = "apiVersion: headworks.dev/v1alpha1
kind: DataStream
metadata: {name: paid, namespace: shop}
spec:
  format: Protobuf
  protobuf:
    schema: |
      syntax = \"proto3\";
      import \"common/money.proto\";
      message Paid { string id = 1; common.Money total = 2; }
    imports:
      - {name: common/money.proto, configMap: {name: protos, key: money.proto}}
";
const PROTOS: &str = "apiVersion: v1
kind: ConfigMap
metadata: {name: protos, namespace: shop}
data:
  money.proto: |
    syntax = \"proto3\";
    package common;
    message Money { string currency = 1; int64 units = 2; }
";

#[test]
fn texts_of_config_maps_in_the_files_are_read() {
    let both = [("stream.yaml", IMPORTING), ("protos.yaml", PROTOS)];
    let whole = folder("imports", &both);
    let at = |folder: &Path| folder.to_str().unwrap().to_owned();
    let output = run(&["validate", &at(&whole)]);
    assert_eq!(code(&output), 0, "{}", told(&output));
    assert!(!told(&output).contains("ConfigMap"), "{}", told(&output));
    let schema = run(&["schema", "paid", "-f", &at(&whole), "-o", "json-schema"]);
    assert!(
        text(&schema.stdout).contains("currency"),
        "{}",
        told(&schema)
    );
    let schema = run(&["schema", "paid", "-f", &at(&whole)]);
    assert!(text(&schema.stderr).contains("it needs common/money.proto"));

    // It may be in the cluster; a key that it hasn't got is wrong, and so is what stands in it.
    let alone = folder("imports-alone", &both[..1]);
    let output = run(&["validate", &at(&alone)]);
    assert_eq!(code(&output), 0, "{}", told(&output));
    assert!(
        told(&output).contains(
            "ConfigMap shop/protos isn't in these files, so its key money.proto can't be seen"
        ),
        "{}",
        told(&output)
    );
    for (was, is, says) in [
        (
            "  money.proto: |",
            "  cash.proto: |",
            "spec.protobuf.imports[0].configMap: ConfigMap protos has no key money.proto",
        ),
        (
            "int64 units",
            "int46 units",
            "spec.protobuf.imports[0].configMap: key money.proto of ConfigMap protos, line 3",
        ),
    ] {
        let protos = PROTOS.replace(was, is);
        let wrong = folder(
            "imports-wrong",
            &[("stream.yaml", IMPORTING), ("protos.yaml", &protos)],
        );
        let output = run(&["validate", &at(&wrong)]);
        assert_eq!(code(&output), 1, "{}", told(&output));
        assert!(told(&output).contains(says), "{}", told(&output));
    }
}
