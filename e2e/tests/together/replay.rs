//! Dead letters that are put right and replayed: each exactly once, over a pod that is killed, and over a Replay that is deleted and
//! made again.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::BTreeMap;
use std::time::Duration;

use headworks_e2e::{Cluster, cluster, kill_container, pipeline, stream, until};
use serde_json::Value;

use crate::cli::headworks;

const KIND: &str = "replays.headworks.dev";
/// Pods are asked every five seconds, and on a busy machine everything takes its time.
const WAIT: Duration = Duration::from_secs(120);
const RECORDS: usize = 120;
/// Every third record has a zero, by which the query divides.
const ZEROS: usize = RECORDS / 3;

/// A Replay of `a`'s dead letters; `more` is YAML lines under `spec`, indented by two.
fn replay(name: &str, more: &str) -> String {
    format!(
        "apiVersion: headworks.dev/v1alpha1\nkind: Replay\nmetadata: {{name: {name}}}\nspec:\n  from: {{deadLetterOf: a, reasons: [Evaluation], by: [divides]}}\n{more}"
    )
}

/// With a 1 in the place of what can't be used.
const FIX: &str =
    "  fix: SELECT id, CASE WHEN n = 0 THEN CAST(1 AS BIGINT) ELSE n END AS n FROM a\n";

fn status(c: &Cluster, name: &str) -> Option<Value> {
    let object = c.kubectl.get(KIND, name, &c.namespace)?;
    Some(object["status"].clone())
}

fn complete(c: &Cluster, name: &str) -> Value {
    let limit = Duration::from_secs(240);
    c.condition_within(KIND, name, "Complete", "True", None, limit);
    status(c, name).expect("a status")
}

/// How often each id is in the result, and with which number.
fn results(c: &Cluster) -> BTreeMap<String, Vec<i64>> {
    let mut all: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for record in c.kafka.read(&c.topic("b")) {
        let json = record.json();
        let id = json["id"].as_str().expect("an id").to_owned();
        all.entry(id)
            .or_default()
            .push(json["n"].as_i64().expect("a number"));
    }
    all
}

/// Every id is there once, those with a zero as if it had been a 1.
fn expected() -> BTreeMap<String, Vec<i64>> {
    let result = |at: usize| vec![100 / (at % 3).max(1) as i64];
    (0..RECORDS)
        .map(|at| (format!("r{at:03}"), result(at)))
        .collect()
}

fn letters(c: &Cluster) -> usize {
    c.kafka.read(&format!("{}.dlq", c.topic("a"))).len()
}

/// Streams `a` and `b`, a Pipeline from one to the other that can't use a third of the records, and these.
fn set_up(c: &Cluster) {
    for name in ["a", "b"] {
        c.apply(&stream(name, "partitions: 2"));
    }
    c.apply(&pipeline("divides", "SELECT id, 100 / n AS n FROM a", "b"));
    c.ready("pipelines.headworks.dev", "divides");
    let records: Vec<String> = (0..RECORDS)
        .map(|at| format!(r#"{{"id":"r{at:03}","n":{}}}"#, at % 3))
        .collect();
    let values: Vec<&[u8]> = records.iter().map(String::as_bytes).collect();
    c.kafka.produce(&c.topic("a"), &values);
    until("the dead letters", WAIT, || {
        (letters(c) >= ZEROS).then_some(())
    })
    .expect("a dead letter for each zero");
}

#[test]
fn dead_letters_are_replayed_once_over_a_kill_and_over_a_replay_that_is_made_again() {
    let Some(c) = cluster("e2e-replay") else {
        return;
    };
    set_up(&c);
    // Slow enough to be seen at work: 40 seconds.
    let again = replay("again", &format!("{FIX}  recordsPerSecond: \"1\"\n"));
    c.apply(&again);
    until("some of it is replayed", WAIT, || {
        let status = status(&c, "again")?;
        (status["phase"] == "Running" && status["replayed"].as_i64()? > 0).then_some(())
    })
    .expect("a Replay that runs");
    assert!(
        kill_container(&c.kubectl, &c.namespace, "again-0"),
        "it runs"
    );

    let done = complete(&c, "again");
    assert_eq!(
        (
            &done["phase"],
            &done["selected"],
            &done["replayed"],
            &done["refused"]
        ),
        (
            &Value::from("Complete"),
            &ZEROS.into(),
            &ZEROS.into(),
            &0.into()
        ),
        "{done}"
    );
    assert_eq!(done["of"], done["position"], "{done}");
    until("the result", WAIT, || {
        (results(&c) == expected()).then_some(())
    })
    .unwrap_or_else(|| assert_eq!(results(&c), expected()));
    until("the pod is gone", WAIT, || {
        c.kubectl
            .get("pods", "again-0", &c.namespace)
            .is_none()
            .then_some(())
    })
    .expect("no pod of a Replay that is done");

    // As after the loss of the cluster: Kafka knows what was done.
    c.kubectl
        .must(&["delete", KIND, "again", "-n", &c.namespace, "--timeout=60s"]);
    c.apply(&again);
    let made_again = complete(&c, "again");
    assert_eq!(made_again["replayed"], done["replayed"], "{made_again}");
    assert_eq!(results(&c), expected());

    // Of the same name, and something else.
    c.kubectl
        .must(&["delete", KIND, "again", "-n", &c.namespace, "--timeout=60s"]);
    c.apply(&replay("again", ""));
    let said = c.condition(KIND, "again", "Stalled", "True", Some("ReplayConflict"));
    assert!(said.contains("another name"), "{said}");
    assert_eq!(status(&c, "again").unwrap()["phase"], "Failed");
    c.kubectl
        .must(&["delete", KIND, "again", "-n", &c.namespace, "--timeout=60s"]);

    // Without a fix they come back as dead letters of the Pipeline, and it ends all the same.
    c.apply(&replay("unfixed", ""));
    let done = complete(&c, "unfixed");
    assert_eq!(done["replayed"], ZEROS, "{done}");
    until("their dead letters", WAIT, || {
        (letters(&c) == 2 * ZEROS).then_some(())
    })
    .unwrap_or_else(|| panic!("{} dead letters", letters(&c)));
    assert_eq!(results(&c), expected());
}

#[test]
fn a_replay_that_is_wrong_is_told_where_and_one_that_nobody_approved_waits() {
    let Some(c) = cluster("e2e-replay-wrong") else {
        return;
    };
    for name in ["a", "b"] {
        c.apply(&stream(name, "partitions: 1"));
    }
    c.ready("datastreams.headworks.dev", "a");
    let wrong = replay(
        "wrong",
        "  fix: |\n    SELECT id,\n      idd AS n\n    FROM a\n",
    );
    c.apply(&wrong);
    let said = c.condition(KIND, "wrong", "Stalled", "True", Some("InvalidSql"));
    assert!(said.contains("spec.fix line 2, column "), "{said}");
    let misfit = replay("misfit", "  fix: SELECT id FROM a\n");
    c.apply(&misfit);
    let said = c.condition(KIND, "misfit", "Stalled", "True", Some("OutputMismatch"));
    assert!(
        said.starts_with("spec.fix: ") && said.contains('n'),
        "{said}"
    );

    let round = "apiVersion: headworks.dev/v1alpha1\nkind: Replay\nmetadata: {name: round}\nspec:\n  from: {stream: a}\n";
    let said = c.refused(round);
    assert!(
        said.contains("spec.into") && said.contains("another stream"),
        "{said}"
    );
    let old = replay("old", "").replace("reasons:", "start: 2001-01-01T00:00:00Z, reasons:");
    let patch = [
        "patch",
        "datastreams.headworks.dev",
        "a",
        "-n",
        &c.namespace,
    ];
    let merge = [
        "--type",
        "merge",
        "-p",
        r#"{"spec":{"deadLetter":{"retention":"1d"}}}"#,
    ];
    c.kubectl.must(&[&patch[..], &merge[..]].concat());
    c.apply(&old);
    c.condition(KIND, "old", "Stalled", "True", Some("WindowDeleted"));

    let name = format!("{}-strict", c.namespace);
    let strict = headworks_e2e::platform(&name, &headworks_e2e::bootstrap(), "");
    c.apply(&format!("{strict}  replays: {{approval: Required}}\n"));
    c.ready("platforms.headworks.dev", &name);
    let on = |yaml: &str| yaml.replace("platform: e2e", &format!("platform: {name}"));
    c.apply(&on(&stream("c", "partitions: 1")));
    c.ready("datastreams.headworks.dev", "c");
    let waits = "apiVersion: headworks.dev/v1alpha1\nkind: Replay\nmetadata: {name: waits}\nspec:\n  from: {deadLetterOf: c}\n";
    c.apply(waits);
    c.condition(KIND, "waits", "Ready", "False", Some("ApprovalMissing"));
    let waiting = status(&c, "waits").unwrap();
    assert_eq!(waiting["phase"], "WaitingForApproval", "{waiting}");
    assert!(c.kubectl.get("pods", "waits-0", &c.namespace).is_none());
    c.apply(&format!("{waits}  approved: true\n"));
    let done = complete(&c, "waits");
    assert_eq!(done["replayed"], 0, "{done}");

    c.kubectl
        .must(&["delete", KIND, "--all", "-n", &c.namespace, "--timeout=60s"]);
    let streams = [
        "delete",
        "datastreams.headworks.dev",
        "c",
        "-n",
        &c.namespace,
    ];
    c.kubectl.must(&[&streams[..], &["--timeout=60s"]].concat());
    c.kubectl
        .must(&["delete", "platforms.headworks.dev", &name, "--timeout=60s"]);
}

/// What `headworks replay plan` says of a Replay, as JSON.
fn planned(c: &Cluster, yaml: &str) -> Value {
    let path = std::env::temp_dir().join(format!("{}-replay.yaml", c.namespace));
    std::fs::write(&path, yaml).expect("a file");
    let file = path.to_str().expect("a path");
    let said = headworks(&[
        "replay",
        "plan",
        "-f",
        file,
        "-n",
        &c.namespace,
        "-o",
        "json",
    ]);
    std::fs::remove_file(&path).expect("the file");
    assert_eq!(said.code, Some(0), "{}", said.all);
    serde_json::from_str(&said.out).unwrap_or_else(|e| panic!("{e}: {}", said.all))
}

#[test]
fn a_replay_into_one_pipeline_is_seen_by_it_alone_and_its_plan_says_what_comes() {
    let Some(c) = cluster("e2e-replay-into") else {
        return;
    };
    set_up(&c);
    let into = format!("{FIX}  into: {{pipeline: divides}}\n");
    let again = replay("again", &format!("{into}  recordsPerSecond: \"2\"\n"));
    let plan = planned(&c, &again);
    assert_eq!(
        (&plan["selected"], &plan["written"], &plan["refused"]),
        (&ZEROS.into(), &ZEROS.into(), &Value::Array(Vec::new())),
        "{plan}"
    );
    assert_eq!(plan["kinds"][0]["reason"], "Evaluation", "{plan}");
    assert_eq!(plan["into"], "Pipeline divides alone", "{plan}");

    c.apply(&again);
    until("some of it is replayed", WAIT, || {
        let status = status(&c, "again")?;
        (status["phase"] == "Running" && status["replayed"].as_i64()? > 0).then_some(())
    })
    .expect("a Replay that runs");
    assert!(
        kill_container(&c.kubectl, &c.namespace, "again-0"),
        "it runs"
    );
    let done = complete(&c, "again");
    assert_eq!(
        (&done["selected"], &done["replayed"], &done["refused"]),
        (&ZEROS.into(), &ZEROS.into(), &0.into()),
        "{done}"
    );
    until("the result", WAIT, || {
        (results(&c) == expected()).then_some(())
    })
    .unwrap_or_else(|| assert_eq!(results(&c), expected()));
    // Whoever else reads the stream has seen nothing of it.
    assert_eq!(c.kafka.read(&c.topic("a")).len(), RECORDS);

    let other = replay("other", "  into: {pipeline: nobody}\n");
    c.apply(&other);
    c.condition(KIND, "other", "Ready", "False", Some("PipelineNotFound"));
    let unread = replay("unread", "  into: {pipeline: divides}\n")
        .replace("deadLetterOf: a", "deadLetterOf: b");
    c.apply(&unread);
    let said = c.condition(KIND, "unread", "Stalled", "True", Some("NotSupported"));
    assert!(said.contains("doesn't read DataStream b"), "{said}");
}

#[test]
fn what_a_replay_would_write_is_judged_by_the_rules_of_its_stream_first() {
    let Some(c) = cluster("e2e-replay-judged") else {
        return;
    };
    set_up(&c);
    let rule = "apiVersion: headworks.dev/v1alpha1\nkind: QualityRule\nmetadata: {name: odd}\nspec:\n  stream: a\n  checks: [{name: no-one, expression: \"id <> 'r000'\"}]\n";
    c.apply(rule);
    c.condition(
        "qualityrules.headworks.dev",
        "odd",
        "Ready",
        "True",
        Some("Judging"),
    );
    c.apply(&replay("again", FIX));
    let done = complete(&c, "again");
    assert_eq!(
        (&done["selected"], &done["replayed"], &done["refused"]),
        (&ZEROS.into(), &(ZEROS - 1).into(), &1.into()),
        "{done}"
    );
    let letters = c.kafka.read(&format!("{}.dlq", c.topic("a")));
    let judged: Vec<_> = letters
        .iter()
        .filter(|letter| {
            letter
                .headers
                .get("headworks.rule")
                .is_some_and(|rule| rule == "odd")
        })
        .collect();
    assert_eq!(judged.len(), 1, "one, of the Replay");
    let by = judged[0].headers.get("headworks.replay");
    assert_eq!(by, Some(&format!("{}/again", c.namespace)));
    assert_eq!(c.kafka.read(&c.topic("a")).len(), RECORDS + ZEROS - 1);
}
