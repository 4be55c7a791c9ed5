//! A query, its inputs and its targets.

use std::time::Duration;

use headworks_e2e::{cluster, pipeline, stream};

use super::{PIPELINE, says, two_streams};

#[test]
fn a_pipeline_with_a_misspelt_column_names_line_column_and_the_right_word() {
    let Some(c) = cluster("e2e-sql-error") else {
        return;
    };
    two_streams(&c);
    c.apply(&pipeline("p", "SELECT id,\n       nn AS n\nFROM a", "b"));
    let message = c.condition(PIPELINE, "p", "Ready", "False", Some("InvalidSql"));
    says(&message, &["spec.sql", "line 2", "column 8", "nn", "\"n\""]);
    c.apply(&pipeline("p", "SELECT id,\n       n\nFROM a", "b"));
    c.ready(PIPELINE, "p");
}

#[test]
fn a_pipeline_on_a_stream_that_nobody_made_waits_and_starts_when_it_comes() {
    let Some(c) = cluster("e2e-no-stream") else {
        return;
    };
    c.apply(&stream("b", "partitions: 1"));
    c.apply(&pipeline("p", "SELECT id, n FROM a", "b"));
    let message = c.condition(PIPELINE, "p", "Reconciling", "True", Some("StreamNotFound"));
    says(&message, &["a"]);
    c.apply(&stream("a", "partitions: 1"));
    c.ready(PIPELINE, "p");
}

#[test]
fn a_query_that_does_not_fit_its_target_is_told_which_column_and_what_to_do() {
    let Some(c) = cluster("e2e-mismatch") else {
        return;
    };
    two_streams(&c);
    c.apply(&pipeline(
        "p",
        "SELECT id, CAST(n AS STRING) AS n FROM a",
        "b",
    ));
    let message = c.condition(PIPELINE, "p", "Ready", "False", Some("OutputMismatch"));
    says(&message, &["n", "string", "bigint", "b"]);
    c.apply(&pipeline("p", "SELECT id, n FROM a", "b"));
    c.ready(PIPELINE, "p");
}

#[test]
fn a_loop_of_streams_is_refused_and_the_older_pipeline_goes_on() {
    let Some(c) = cluster("e2e-loop") else { return };
    two_streams(&c);
    c.apply(&pipeline("forth", "SELECT id, n FROM a", "b"));
    c.ready(PIPELINE, "forth");
    c.apply(&pipeline("back", "SELECT id, n FROM b", "a"));
    let message = c.condition(PIPELINE, "back", "Ready", "False", Some("StreamLoop"));
    says(&message, &["a", "b", "forth"]);
    c.ready(PIPELINE, "forth");
    c.kubectl.must(&[
        "delete",
        PIPELINE,
        "forth",
        "-n",
        &c.namespace,
        "--timeout=60s",
    ]);
    c.ready(PIPELINE, "back");
}

#[test]
fn a_malformed_record_on_the_topic_goes_to_the_dead_letters_with_its_reason_and_the_rest_flows() {
    let Some(c) = cluster("e2e-bad-record") else {
        return;
    };
    two_streams(&c);
    c.apply(&pipeline("p", "SELECT id, 10 / n AS n FROM a", "b"));
    c.ready(PIPELINE, "p");
    c.kafka.produce(
        &c.topic("a"),
        &[
            br#"{"id":"good","n":5}"#,
            b"not json",
            br#"{"id":"text","n":"five"}"#,
            br#"{"id":"zero","n":0}"#,
            br#"{"n":1}"#,
            br#"{"id":"last","n":2}"#,
        ],
    );
    let out = c
        .kafka
        .read_at_least(&c.topic("b"), 2, Duration::from_secs(60));
    let ids: Vec<_> = out
        .iter()
        .map(|r| r.json()["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids, ["good", "last"]);
    let dead = c
        .kafka
        .read_at_least(&format!("{}.dlq", c.topic("a")), 4, Duration::from_secs(60));
    assert_eq!(dead.len(), 4);
    let reasons: Vec<_> = dead
        .iter()
        .map(|r| r.headers["headworks.reason"].as_str())
        .collect();
    for reason in ["Decode", "Contract", "Evaluation"] {
        assert!(reasons.contains(&reason), "{reason} in {reasons:?}");
    }
    let letter = dead
        .iter()
        .find(|r| r.value == b"not json")
        .expect("the original bytes");
    assert_eq!(letter.headers["headworks.origin.topic"], c.topic("a"));
    assert_eq!(letter.headers["headworks.pipeline"], "e2e-bad-record/p");
    for header in [
        "headworks.error",
        "headworks.origin.partition",
        "headworks.origin.offset",
        "headworks.time",
    ] {
        assert!(letter.headers.contains_key(header), "{header}");
    }
}

#[test]
fn stop_on_a_bad_record_stops_before_it_and_names_it() {
    let Some(c) = cluster("e2e-stop") else { return };
    two_streams(&c);
    let stop =
        pipeline("p", "SELECT id, n FROM a", "b").replace("  sql:", "  onBadRecord: Stop\n  sql:");
    c.apply(&stop);
    c.ready(PIPELINE, "p");
    c.kafka.produce(
        &c.topic("a"),
        &[
            br#"{"id":"before","n":5}"#,
            b"bad",
            br#"{"id":"after","n":2}"#,
        ],
    );
    let message = c.condition(PIPELINE, "p", "Ready", "False", Some("BadRecord"));
    says(&message, &["e2e-stop.a", "1"]);
    assert_eq!(c.kafka.read(&c.topic("b")).len(), 1);
    c.apply(&stop.replace("Stop", "DeadLetter"));
    c.ready(PIPELINE, "p");
    c.kafka
        .read_at_least(&c.topic("b"), 2, Duration::from_secs(60));
    assert_eq!(c.kafka.read(&c.topic("b")).len(), 2);
}

#[test]
fn a_reserved_word_is_told_with_its_backticks_and_a_bare_n_with_its_quotes() {
    let Some(c) = cluster("e2e-words") else {
        return;
    };
    two_streams(&c);
    // What the text alone proves is said in the terminal.
    let text = c.refused(&pipeline("p", "SELECT id, n AS at FROM a", "b"));
    says(&text, &["line 1", "reserved word", "`at`"]);
    let text = c.refused(&stream("c", "partitions: 1").replace("\"n\"", "n"));
    says(&text, &["spec.schema[1].name", "string"]);
}
