//! Contracts that change: refused in the terminal with the list of whom it hits, let through by its fingerprint, in any
//! order; labels by lineage; and what the webhook says of wrong YAML.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::time::Duration;

use headworks_e2e::{Cluster, cluster, pipeline, until};

const STREAM: &str = "datastreams.headworks.dev";
const PIPELINE: &str = "pipelines.headworks.dev";

/// A stream of these fields: `name type`, with `?` where it may be null and `#label` behind.
fn stream(name: &str, fields: &str, annotation: &str) -> String {
    let fields: Vec<String> = fields
        .split(", ")
        .map(|field| {
            let (field, label) = field.split_once('#').unwrap_or((field, ""));
            let (name, type_) = field.split_once(' ').unwrap();
            let nullable = type_.ends_with('?');
            let labels = if label.is_empty() {
                String::new()
            } else {
                format!(", labels: [{label}]")
            };
            format!(
                "    - {{name: \"{name}\", type: \"{}\", nullable: {nullable}{labels}}}\n",
                type_.trim_end_matches('?')
            )
        })
        .collect();
    let fields = fields.concat();
    let annotations = if annotation.is_empty() {
        String::new()
    } else {
        format!("  annotations: {{headworks.dev/allow-breaking: \"{annotation}\"}}\n")
    };
    format!(
        "apiVersion: headworks.dev/v1alpha1\nkind: DataStream\nmetadata:\n  name: {name}\n{annotations}spec:\n  platform: e2e\n  owner: team-{name}\n  partitions: 1\n  schema:\n{fields}"
    )
}

fn says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "{word:?} should be in: {text}");
    }
}

/// The fingerprint that a refusal prints.
fn fingerprint(text: &str) -> String {
    let line = text.split("allow-breaking: ").nth(1);
    let line = line.unwrap_or_else(|| panic!("no fingerprint in: {text}"));
    line.chars()
        .skip_while(|c| !c.is_ascii_hexdigit())
        .take_while(char::is_ascii_hexdigit)
        .collect()
}

/// Streams `a` and `b`, and a Pipeline `p` from the one to the other.
fn flow(c: &Cluster) {
    c.apply(&stream("a", "id string, n bigint", ""));
    c.apply(&stream("b", "id string, n bigint", ""));
    c.apply(&pipeline("p", "SELECT id, n FROM a", "b"));
    c.ready(STREAM, "a");
    c.ready(STREAM, "b");
    c.ready(PIPELINE, "p");
}

fn contract(c: &Cluster, name: &str) -> i64 {
    let object = c.kubectl.get(STREAM, name, &c.namespace).unwrap();
    object["status"]["contract"]["version"].as_i64().unwrap()
}

#[test]
fn an_incompatible_change_is_refused_with_its_list_and_passes_by_its_fingerprint_once() {
    let Some(c) = cluster("e2e-evolve") else {
        return;
    };
    flow(&c);
    let text = c.refused(&stream("a", "id string, n int", ""));
    says(
        &text,
        &[
            "field \"n\" changes from bigint to int",
            "Contract 1 stays in force",
            "Pipeline e2e-evolve/p",
            "team-a",
            "allow-breaking",
        ],
    );
    let print = fingerprint(&text);
    let text = c.refused(&stream("a", "id string", ""));
    says(
        &text,
        &["breaks Pipeline e2e-evolve/p", "unknown column \"n\""],
    );
    assert_ne!(
        fingerprint(&text),
        print,
        "another change, another fingerprint"
    );
    c.apply(&stream("a", "id string, n int", &print));
    c.ready(STREAM, "a");
    until("contract 2 is in force", Duration::from_secs(60), || {
        (contract(&c, "a") == 2).then_some(())
    })
    .expect("accepted");
    // n is an int now, and the next stream takes it.
    c.ready(PIPELINE, "p");
    // The annotation is still there, and says nothing of the next change.
    let text = c.refused(&stream("a", "id string, n boolean", &print));
    says(&text, &["Contract 2 stays in force"]);
    // Nor of the same one, made a second time: back, which anybody may, and again.
    c.apply(&stream("a", "id string, n bigint", &print));
    until("contract 3 is in force", Duration::from_secs(60), || {
        (contract(&c, "a") == 3).then_some(())
    })
    .expect("accepted");
    let text = c.refused(&stream("a", "id string, n int", &print));
    says(&text, &["Contract 3 stays in force"]);
    let second = fingerprint(&text);
    assert_ne!(second, print, "it was used");
    c.apply(&stream("a", "id string, n int", &second));
    until("contract 4 is in force", Duration::from_secs(60), || {
        (contract(&c, "a") == 4).then_some(())
    })
    .expect("accepted");
    c.apply(&stream("a", "id string, n int, more string?", &print));
    c.ready(STREAM, "a");
}

#[test]
fn without_the_webhook_the_accepted_contract_stays_in_force() {
    let Some(c) = cluster("e2e-evolve-unasked") else {
        return;
    };
    flow(&c);
    // Out of the webhook's sight for this namespace alone: others' tests go on.
    let hook = "validatingwebhookconfigurations.admissionregistration.k8s.io";
    let found = c.kubectl.get(hook, "headworks-operator", "").unwrap();
    let selector = found["webhooks"][0]["namespaceSelector"]["matchExpressions"][0]["values"]
        .as_array()
        .unwrap()
        .len();
    let patch = |text: String| {
        c.kubectl.must(&[
            "patch",
            hook,
            "headworks-operator",
            "--type=json",
            "-p",
            &text,
        ]);
    };
    let values = "/webhooks/0/namespaceSelector/matchExpressions/0/values";
    patch(format!(
        r#"[{{"op":"add","path":"{values}/-","value":"{}"}}]"#,
        c.namespace
    ));
    let wrong = stream("a", "id string", "");
    until(
        "the API server asks nobody",
        Duration::from_secs(30),
        || {
            let outcome = c.kubectl.apply(&wrong, &c.namespace);
            outcome.ok.then_some(())
        },
    )
    .expect("stored");
    patch(format!(
        r#"[{{"op":"remove","path":"{values}/{selector}"}}]"#
    ));
    let message = c.condition(STREAM, "a", "Ready", "False", Some("IncompatibleContract"));
    says(
        &message,
        &[
            "Contract 1 stays in force",
            "Pipeline e2e-evolve-unasked/p",
            "allow-breaking",
        ],
    );
    assert_eq!(contract(&c, "a"), 1);
    c.ready(PIPELINE, "p");
    // The reconcile takes the same fingerprint.
    c.apply(&stream("a", "id string", &fingerprint(&message)));
    c.ready(STREAM, "a");
    let message = c.condition(PIPELINE, "p", "Ready", "False", Some("InvalidSql"));
    says(&message, &["unknown column \"n\"", "last good plan"]);
}

#[test]
fn a_mode_that_is_loosened_with_the_contract_counts_only_once_it_was_applied_alone() {
    let Some(c) = cluster("e2e-evolve-mode") else {
        return;
    };
    let with_mode = |fields: &str, mode: &str| {
        stream("a", fields, "").replace(
            "  partitions: 1\n",
            &format!("  partitions: 1\n  compatibility: {mode}\n"),
        )
    };
    c.apply(&with_mode("id string, n bigint", "Backward"));
    c.ready(STREAM, "a");
    let text = c.refused(&with_mode("id string", "None"));
    says(
        &text,
        &[
            "Backward and None",
            "allow-breaking",
            "change it alone first",
        ],
    );
    c.apply(&with_mode("id string, n bigint", "None"));
    until("the mode is in force", Duration::from_secs(60), || {
        let object = c.kubectl.get(STREAM, "a", &c.namespace)?;
        (object["status"]["contract"]["compatibility"] == "None").then_some(())
    })
    .expect("recorded");
    c.apply(&with_mode("id string", "None"));
    until("contract 2 is in force", Duration::from_secs(60), || {
        (contract(&c, "a") == 2).then_some(())
    })
    .expect("accepted");
}

#[test]
fn a_stream_that_is_made_again_keeps_what_it_promised() {
    let Some(c) = cluster("e2e-evolve-again") else {
        return;
    };
    c.apply(&stream("a", "id string, n bigint", ""));
    c.ready(STREAM, "a");
    // Retain is the default: the topic stays, and its contracts beside it.
    c.kubectl
        .must(&["delete", STREAM, "a", "-n", &c.namespace, "--wait=true"]);
    let text = c.refused(&stream("a", "id string", ""));
    says(
        &text,
        &["field \"n\" is removed", "Contract 1 stays in force"],
    );
    c.apply(&stream("a", "id string, n bigint", ""));
    c.ready(STREAM, "a");
    assert_eq!(contract(&c, "a"), 1);
}

#[test]
fn a_stream_and_its_reader_change_in_one_commit_in_any_order() {
    let Some(c) = cluster("e2e-evolve-commit") else {
        return;
    };
    flow(&c);
    // The stream before its reader, then, for another change, the reader before its stream.
    let mut print = String::new();
    for (version, field, stream_first) in [(2, "m", true), (3, "k", false)] {
        let fields = format!("id string, {field} bigint?");
        print = fingerprint(&c.refused(&stream("a", &fields, "")));
        let changed = stream("a", &fields, &print);
        let sql = format!("SELECT id, COALESCE({field}, CAST(0 AS BIGINT)) AS n FROM a");
        let reader = pipeline("p", &sql, "b");
        let commit = if stream_first {
            format!("{changed}---\n{reader}")
        } else {
            format!("{reader}---\n{changed}")
        };
        // As Flux does it: all of it as a dry run, then for good.
        let dry = c.kubectl.pipe(
            &[
                "apply",
                "--server-side",
                "--force-conflicts",
                "--dry-run=server",
                "-n",
                &c.namespace,
                "-f",
                "-",
            ],
            &commit,
        );
        assert!(dry.ok, "{}", dry.text);
        let outcome = c.kubectl.apply(&commit, &c.namespace);
        assert!(outcome.ok, "{}", outcome.text);
        c.ready(STREAM, "a");
        until("the contract is in force", Duration::from_secs(60), || {
            (contract(&c, "a") == version).then_some(())
        })
        .expect("accepted");
        c.ready(PIPELINE, "p");
    }
    // The reader first, on its own, is warned and waits.
    let early = pipeline("p", "SELECT id, o AS n FROM a", "b");
    let outcome = c.kubectl.apply(&early, &c.namespace);
    assert!(outcome.ok, "{}", outcome.text);
    says(&outcome.text, &["Warning", "unknown column"]);
    c.condition(PIPELINE, "p", "Ready", "False", Some("InvalidSql"));
    c.apply(&stream("a", "id string, k bigint?, o bigint?", &print));
    let text = c.condition(PIPELINE, "p", "Ready", "False", Some("OutputMismatch"));
    says(&text, &["may give null"]);
}

#[test]
fn a_contract_whose_config_map_is_gone_is_written_again_under_its_number() {
    let Some(c) = cluster("e2e-contract-gone") else {
        return;
    };
    c.apply(&stream("a", "id string", ""));
    c.ready(STREAM, "a");
    c.apply(&stream("a", "id string, k bigint?", ""));
    let map = |name: &str| c.kubectl.get("configmaps", name, &c.namespace);
    until("the second contract", Duration::from_secs(60), || {
        map("a-contract-2")
    })
    .expect("the second contract");
    c.ready(STREAM, "a");
    c.kubectl.must(&[
        "delete",
        "configmap",
        "a-contract-1",
        "a-contract-2",
        "-n",
        &c.namespace,
    ]);
    until("it is written again", Duration::from_secs(60), || {
        map("a-contract-2")
    })
    .expect("the contract in force is written again");
    c.ready(STREAM, "a");
    assert_eq!(contract(&c, "a"), 2, "under its number");
    assert!(map("a-contract-1").is_none() && map("a-contract-3").is_none());
}

#[test]
fn labels_go_through_two_pipelines_into_status_and_go_again() {
    let Some(c) = cluster("e2e-labels") else {
        return;
    };
    c.apply(&stream("a", "id string, mail string#pii", ""));
    c.apply(&stream("b", "id string, who string", ""));
    c.apply(&stream("c", "id string, person string", ""));
    c.apply(&pipeline(
        "first",
        "SELECT id, UPPER(mail) AS who FROM a",
        "b",
    ));
    c.apply(&pipeline(
        "second",
        "SELECT id, CASE WHEN who = 'X' THEN 'x' ELSE 'other' END AS person FROM b",
        "c",
    ));
    let shows = |name: &str, labels: &str| {
        let mut last = String::new();
        until("labels", Duration::from_secs(90), || {
            let object = c.kubectl.get(STREAM, name, &c.namespace)?;
            last = object["status"]["labels"].to_string();
            (last == labels).then_some(())
        })
        .unwrap_or_else(|| panic!("{name} shows {last}, not {labels}"));
    };
    shows("a", r#"[{"fields":["mail"],"label":"pii"}]"#);
    shows("b", r#"[{"fields":["who"],"label":"pii"}]"#);
    shows("c", r#"[{"fields":["person"],"label":"pii"}]"#);
    c.ready(PIPELINE, "second");
    // A label more at the beginning comes to the end; none at all takes it away.
    c.apply(&stream("a", "id string#secret, mail string#pii", ""));
    shows(
        "c",
        r#"[{"fields":["person"],"label":"pii"},{"fields":["id"],"label":"secret"}]"#,
    );
    c.apply(&stream("a", "id string, mail string", ""));
    shows("c", "null");
    assert_eq!(contract(&c, "c"), 1, "labels by lineage make no contract");
}

#[test]
fn what_is_wrong_or_unwise_is_said_in_the_terminal() {
    let Some(c) = cluster("e2e-admission") else {
        return;
    };
    let hook = "validatingwebhookconfigurations.admissionregistration.k8s.io";
    let found = c.kubectl.get(hook, "headworks-operator", "").unwrap();
    assert!(
        found["webhooks"][0]["clientConfig"]["caBundle"].is_string(),
        "the operator tells the API server whom to trust"
    );
    let text = c.refused(&stream("a", "id strin", ""));
    says(&text, &["validate.headworks.dev", "strin"]);
    let text = c.refused(&pipeline("p", "SELECT id,\n FROM a", "b"));
    says(&text, &["spec.sql line 2"]);
    let dry = c.kubectl.pipe(
        &["apply", "--dry-run=server", "-n", &c.namespace, "-f", "-"],
        &stream("a", "id strin", ""),
    );
    assert!(!dry.ok, "{}", dry.text);
    let unwise = stream("a", "id string", "").replace(
        "  partitions: 1\n",
        "  compatibility: None\n  deletionPolicy: Delete\n",
    );
    let outcome = c.kubectl.apply(&unwise, &c.namespace);
    assert!(outcome.ok, "{}", outcome.text);
    says(
        &outcome.text,
        &[
            "Warning: spec.compatibility",
            "Warning: spec.deletionPolicy",
        ],
    );
    // The same again: nothing changes, nothing is said.
    let outcome = c.kubectl.apply(&unwise, &c.namespace);
    assert!(
        outcome.ok && !outcome.text.contains("Warning"),
        "{}",
        outcome.text
    );
}
