//! What a user is told who doesn't ask: warnings in the terminal, two writers, dead letters over the lives of pods, figures at rest.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::time::Duration;

use headworks_e2e::{Cluster, cluster, pipeline, stream, until};

const PIPELINE: &str = "pipelines.headworks.dev";
const STREAM: &str = "datastreams.headworks.dev";

/// Waits until the Pipeline counts so many dead letters.
fn letters(c: &Cluster, wanted: i64) {
    let count = || {
        let object = c.kubectl.get(PIPELINE, "p", &c.namespace)?;
        object["status"]["deadLetters"].as_i64()
    };
    until("dead letters", Duration::from_secs(60), || {
        (count() == Some(wanted)).then_some(())
    })
    .unwrap_or_else(|| panic!("{:?} dead letters, not {wanted}", count()));
}

#[test]
fn dead_letters_are_counted_on_and_a_pipeline_at_rest_shows_no_pace() {
    let Some(c) = cluster("e2e-told") else { return };
    c.apply(&stream("a", "partitions: 1"));
    c.apply(&stream("b", "partitions: 1"));
    let spec = pipeline("p", "SELECT id, n FROM a", "b");
    c.apply(&spec);
    c.ready(PIPELINE, "p");
    c.kafka
        .produce(&c.topic("a"), &[b"bad", b"worse", br#"{"id":"x","n":1}"#]);
    letters(&c, 2);
    let killed = c
        .kubectl
        .run(&["delete", "pod", "p-0", "--now", "-n", &c.namespace]);
    assert!(killed.ok, "{}", killed.text);
    c.kafka.produce(&c.topic("a"), &[b"worst"]);
    letters(&c, 3);
    c.apply(&spec.replace("  sql:", "  suspend: true\n  sql:"));
    c.condition(PIPELINE, "p", "Ready", "True", Some("Suspended"));
    let status = c.kubectl.get(PIPELINE, "p", &c.namespace).unwrap()["status"].clone();
    for figure in ["rate", "lag", "delay"] {
        assert!(status[figure].is_null(), "{status}");
    }
    assert_eq!(status["deadLetters"], 3, "{status}");
}

#[test]
fn two_writers_and_the_deletion_of_what_is_used_are_told() {
    let Some(c) = cluster("e2e-told-apply") else {
        return;
    };
    c.apply(&stream("a", "partitions: 1"));
    c.apply(&stream("b", "partitions: 1"));
    c.apply(&pipeline("p", "SELECT id, n FROM a", "b"));
    c.ready(PIPELINE, "p");
    let second = pipeline("q", "SELECT id, n + 1 AS n FROM a", "b");
    let outcome = c.kubectl.apply(&second, &c.namespace);
    assert!(outcome.ok, "{}", outcome.text);
    assert!(
        outcome
            .text
            .contains("Warning: stream b is written by Pipeline p, too"),
        "{}",
        outcome.text
    );
    for (name, other) in [("p", "Pipeline q"), ("q", "Pipeline p")] {
        let told = c.condition(
            PIPELINE,
            name,
            "SharedTarget",
            "True",
            Some("SeveralWriters"),
        );
        assert!(told.contains(other), "{told}");
    }
    let missing = pipeline("r", "SELECT id, n FROM aa", "b");
    let dry = c.kubectl.pipe(
        &["apply", "--dry-run=server", "-n", &c.namespace, "-f", "-"],
        &missing,
    );
    assert!(
        dry.ok && dry.text.contains("DataStream aa isn't there yet"),
        "{}",
        dry.text
    );
    let gone = c.kubectl.run(&[
        "delete",
        STREAM,
        "a",
        "--dry-run=server",
        "-n",
        &c.namespace,
    ]);
    assert!(
        gone.ok
            && gone
                .text
                .contains("a is in use by Pipeline p (reads it), Pipeline q (reads it)"),
        "{}",
        gone.text
    );
}
