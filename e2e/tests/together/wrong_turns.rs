//! Every wrong turn of issue and docs: what a user sees, and that it heals by itself once the cause is gone.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::time::Duration;

use headworks_e2e::{Cluster, bootstrap, cluster, pipeline, platform, source, stream, until};

const STREAM: &str = "datastreams.headworks.dev";
const PIPELINE: &str = "pipelines.headworks.dev";
const PLATFORM: &str = "platforms.headworks.dev";

#[track_caller]
fn says(message: &str, words: &[&str]) {
    for word in words {
        assert!(message.contains(word), "{word:?} should be in: {message}");
    }
}

fn two_streams(c: &Cluster) {
    c.apply(&stream("a", "partitions: 1"));
    c.apply(&stream("b", "partitions: 1"));
    c.ready(STREAM, "a");
    c.ready(STREAM, "b");
}

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
fn a_platform_whose_broker_is_down_says_so_and_heals() {
    let Some(c) = cluster("e2e-broker-down") else {
        return;
    };
    c.apply(&platform("e2e-broker-down", "nobody.kafka.svc:9092", ""));
    let message = c.condition(
        PLATFORM,
        "e2e-broker-down",
        "Ready",
        "False",
        Some("KafkaUnavailable"),
    );
    says(&message, &["nobody.kafka.svc:9092"]);
    c.apply(&stream("a", "partitions: 1").replace("platform: e2e", "platform: e2e-broker-down"));
    c.condition(STREAM, "a", "Ready", "False", None);
    c.apply(&platform("e2e-broker-down", &bootstrap(), ""));
    c.ready(PLATFORM, "e2e-broker-down");
    c.ready(STREAM, "a");
    c.kubectl
        .must(&["delete", STREAM, "a", "-n", &c.namespace, "--timeout=60s"]);
    c.kubectl
        .must(&["delete", PLATFORM, "e2e-broker-down", "--timeout=60s"]);
}

/// `spec.kafka` lines for SCRAM over TLS, with a Secret's name.
fn scram(secret: &str) -> String {
    format!(
        "    tls: {{caSecret: {{namespace: headworks-system, name: e2e-kafka-ca, key: ca.crt}}}}\n    authentication: {{scramSha512: {{namespace: headworks-system, name: {secret}}}}}\n    workloadAuthentication: {{scramSha512: {{secretName: kafka-credentials}}}}\n"
    )
}

fn secret(c: &Cluster, namespace: &str, name: &str, literals: &[String]) {
    let mut arguments = vec![
        "create",
        "secret",
        "generic",
        name,
        "-n",
        namespace,
        "--dry-run=client",
        "-o",
        "yaml",
    ];
    arguments.extend(literals.iter().map(String::as_str));
    let yaml = c.kubectl.must(&arguments);
    let outcome = c.kubectl.apply(&yaml, namespace);
    assert!(outcome.ok, "{}", outcome.text);
}

#[test]
fn a_platform_with_a_missing_secret_then_a_wrong_password_says_each_and_heals_and_data_flows_over_tls()
 {
    let Some(c) = cluster("e2e-scram") else {
        return;
    };
    let user = std::env::var("KAFKA_SCRAM_USER").unwrap();
    let password =
        std::fs::read_to_string(std::env::var("KAFKA_SCRAM_PASSWORD_FILE").unwrap()).unwrap();
    let ca = std::env::var("KAFKA_CA_FILE").unwrap();
    let address = std::env::var("KAFKA_SCRAM_BOOTSTRAP_IN_CLUSTER").unwrap();
    let system = "headworks-system";
    c.kubectl.run(&[
        "delete",
        "secret",
        "-n",
        system,
        "e2e-kafka",
        "--ignore-not-found",
    ]);
    secret(
        &c,
        system,
        "e2e-kafka-ca",
        &[format!("--from-file=ca.crt={ca}")],
    );

    c.apply(&platform("e2e-scram", &address, &scram("e2e-kafka")));
    let message = c.condition(
        PLATFORM,
        "e2e-scram",
        "Ready",
        "False",
        Some("SecretNotFound"),
    );
    says(&message, &["headworks-system", "e2e-kafka"]);

    secret(
        &c,
        system,
        "e2e-kafka",
        &[
            format!("--from-literal=username={user}"),
            "--from-literal=password=wrong".into(),
        ],
    );
    let message = c.condition(
        PLATFORM,
        "e2e-scram",
        "Ready",
        "False",
        Some("CredentialsRefused"),
    );
    says(&message, &["e2e-kafka"]);
    assert!(
        !message.contains("wrong"),
        "a password must not be in a condition: {message}"
    );

    let right = [
        format!("--from-literal=username={user}"),
        format!("--from-literal=password={}", password.trim()),
    ];
    secret(&c, system, "e2e-kafka", &right);
    c.ready(PLATFORM, "e2e-scram");

    // The workload's own Secret is missing at first: the pod says so, and starts when it comes.
    let on_scram = |yaml: String| yaml.replace("platform: e2e", "platform: e2e-scram");
    c.apply(&on_scram(stream("a", "partitions: 1")));
    c.apply(&on_scram(stream("b", "partitions: 1")));
    c.apply(&on_scram(pipeline(
        "p",
        "SELECT id, n + 1 AS n FROM a",
        "b",
    )));
    let message = c.condition(PIPELINE, "p", "Ready", "False", Some("SecretMissing"));
    says(&message, &["kafka-credentials"]);
    secret(&c, &c.namespace, "kafka-credentials", &right);
    c.condition_within(
        PIPELINE,
        "p",
        "Ready",
        "True",
        None,
        Duration::from_secs(300),
    );
    c.kafka.produce(&c.topic("a"), &[br#"{"id":"x","n":1}"#]);
    let records = c
        .kafka
        .read_at_least(&c.topic("b"), 1, Duration::from_secs(60));
    assert_eq!(records[0].json()["n"], 2);
}

#[test]
fn partitions_never_shrink() {
    let Some(c) = cluster("e2e-shrink") else {
        return;
    };
    c.apply(&stream("a", "partitions: 3"));
    c.ready(STREAM, "a");
    let message = c.refused(&stream("a", "partitions: 2"));
    says(&message, &["partitions"]);
    c.apply(&stream("a", "partitions: 4"));
    until("four partitions", Duration::from_secs(60), || {
        (c.kafka.partitions(&c.topic("a")) == Some(4)).then_some(())
    })
    .expect("the topic grew");
    c.ready(STREAM, "a");
}

#[test]
fn an_existing_topic_is_taken_over_only_on_request_and_keeps_what_was_set_on_it() {
    let Some(c) = cluster("e2e-adopt") else {
        return;
    };
    let topic = c.topic("old");
    // Longer retention and an unlisted key, set by hand before Headworks came.
    c.kafka.create_topic(
        &topic,
        4,
        &[
            ("retention.ms", "2592000000"),
            ("segment.bytes", "20971520"),
        ],
    );
    c.apply(&stream("old", "partitions: 4"));
    let message = c.condition(STREAM, "old", "Ready", "False", Some("TopicExists"));
    says(&message, &["e2e-adopt.old", "adopt"]);
    c.apply(&stream(
        "old",
        "partitions: 4\n  retention: 1d\n  config: {max.message.bytes: 2000000}\n  adopt: true",
    ));
    c.ready(STREAM, "old");
    let config = c.kafka.topic_config(&topic);
    assert_eq!(
        config["segment.bytes"], "20971520",
        "unlisted keys are carried over"
    );
    assert_eq!(
        config["retention.ms"], "2592000000",
        "retention is never lowered by an adoption"
    );
    assert_eq!(config["max.message.bytes"], "2000000");
}

#[test]
fn a_stream_cannot_take_the_topic_of_another_nor_a_forbidden_name() {
    let Some(c) = cluster("e2e-topic-names") else {
        return;
    };
    c.apply(&stream("first", "topic: e2e-topic-names.shared"));
    c.ready(STREAM, "first");
    c.apply(&stream("second", "topic: e2e-topic-names.shared"));
    let message = c.condition(STREAM, "second", "Ready", "False", Some("TopicOwnedBy"));
    says(&message, &["e2e-topic-names/first"]);
    c.apply(&stream("foreign", "topic: audit.events"));
    let message = c.condition(STREAM, "foreign", "Ready", "False", None);
    says(
        &message,
        &["audit.events", "e2e-topic-names.", "topicPolicy"],
    );
    let internal = c.kubectl.apply(
        &stream("internal", "topic: __consumer_offsets"),
        &c.namespace,
    );
    if internal.ok {
        c.condition(STREAM, "internal", "Ready", "False", None);
    }
    c.ready(STREAM, "first");
}

#[test]
fn retain_keeps_the_topic_and_delete_removes_it() {
    let Some(c) = cluster("e2e-retain") else {
        return;
    };
    c.stream("kept");
    c.apply(&stream("gone", "deletionPolicy: Delete"));
    c.ready(STREAM, "gone");
    c.kubectl.must(&[
        "delete",
        STREAM,
        "kept",
        "gone",
        "-n",
        &c.namespace,
        "--timeout=60s",
    ]);
    until("the topic is deleted", Duration::from_secs(30), || {
        c.kafka.partitions(&c.topic("gone")).is_none().then_some(())
    })
    .expect("Delete removes the topic");
    assert_eq!(
        c.kafka.partitions(&c.topic("kept")),
        Some(3),
        "Retain keeps it"
    );
    // The same stream again finds its own topic, without `adopt`.
    c.stream("kept");
}

#[test]
fn a_stored_object_with_an_unknown_enum_value_is_named_and_stops_nobody_else() {
    let Some(c) = cluster("e2e-unknown-enum") else {
        return;
    };
    two_streams(&c);
    // An older CRD let it in: the enum is opened for a moment, as a CRD of another version would.
    let crd = "pipelines.headworks.dev";
    let path = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/delivery/enum";
    c.kubectl.must(&[
        "patch",
        "crd",
        crd,
        "--type=json",
        "-p",
        &format!(r#"[{{"op":"add","path":"{path}/-","value":"Sometimes"}}]"#),
    ]);
    until("the wider enum is served", Duration::from_secs(20), || {
        c.kubectl
            .apply(
                &pipeline("odd", "SELECT id, n FROM a", "b")
                    .replace("  sql:", "  delivery: Sometimes\n  sql:"),
                &c.namespace,
            )
            .ok
            .then_some(())
    })
    .expect("stored");
    let object = c.kubectl.get("crd", crd, "").unwrap();
    let last = object.pointer(path).unwrap().as_array().unwrap().len() - 1;
    c.kubectl.must(&[
        "patch",
        "crd",
        crd,
        "--type=json",
        "-p",
        &format!(r#"[{{"op":"remove","path":"{path}/{last}"}}]"#),
    ]);
    let message = c.condition(PIPELINE, "odd", "Ready", "False", Some("InvalidSpec"));
    says(&message, &["Sometimes"]);
    c.apply(&pipeline("even", "SELECT id, n FROM a", "b"));
    c.ready(PIPELINE, "even");
    c.apply(
        &pipeline("odd", "SELECT id, n FROM a", "b")
            .replace("  sql:", "  delivery: ExactlyOnce\n  sql:"),
    );
    c.ready(PIPELINE, "odd");
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
fn a_source_without_its_secret_is_never_open_and_starts_when_it_comes() {
    let Some(c) = cluster("e2e-no-token") else {
        return;
    };
    c.stream("a");
    c.apply(&source(
        "in",
        "a",
        ", auth: {bearer: {secret: {name: ingest}}}",
    ));
    let message = c.condition(
        "sources.headworks.dev",
        "in",
        "Ready",
        "False",
        Some("SecretMissing"),
    );
    says(&message, &["ingest", "token"]);
    secret(
        &c,
        &c.namespace,
        "ingest",
        &["--from-literal=token=s3cret".into()],
    );
    c.condition_within(
        "sources.headworks.dev",
        "in",
        "Ready",
        "True",
        None,
        Duration::from_secs(300),
    );
}

#[test]
fn a_reserved_word_is_told_with_its_backticks_and_a_bare_n_with_its_quotes() {
    let Some(c) = cluster("e2e-words") else {
        return;
    };
    two_streams(&c);
    c.apply(&pipeline("p", "SELECT id, n AS at FROM a", "b"));
    let message = c.condition(PIPELINE, "p", "Ready", "False", Some("InvalidSql"));
    says(&message, &["line 1", "reserved word", "`at`"]);
    let text = c.refused(&stream("c", "partitions: 1").replace("\"n\"", "n"));
    says(&text, &["spec.schema[1].name", "string"]);
}

#[test]
fn after_a_namespace_is_deleted_its_kept_topics_are_taken_over_only_on_request() {
    let Some(c) = cluster("e2e-namespace-gone") else {
        return;
    };
    let space = format!("{}-shop", c.namespace);
    let namespace = format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {space}}}\n");
    c.kubectl.run(&[
        "delete",
        "namespace",
        &space,
        "--ignore-not-found",
        "--timeout=60s",
    ]);
    c.kafka.forget(&format!("{space}."), &format!(".{space}."));
    let there = |yaml: &str| {
        let outcome = c.kubectl.apply(yaml, &space);
        assert!(outcome.ok, "{}", outcome.text);
    };
    let reason = |wanted: &str| {
        until(wanted, Duration::from_secs(90), || {
            let stream = c.kubectl.get(STREAM, "a", &space)?;
            let conditions = stream["status"]["conditions"].as_array()?.clone();
            conditions
                .iter()
                .find(|c| c["type"] == "Ready" && (c["reason"] == wanted || c["status"] == wanted))
                .map(|c| c["message"].as_str().unwrap_or_default().to_owned())
        })
        .unwrap_or_else(|| panic!("never {wanted}"))
    };
    c.apply(&namespace);
    there(&stream("a", "partitions: 1"));
    reason("True");
    c.kubectl
        .must(&["delete", "namespace", &space, "--timeout=90s"]);
    c.apply(&namespace);
    there(&stream("a", "partitions: 1"));
    says(&reason("TopicExists"), &["adopt: true"]);
    there(&stream("a", "partitions: 1\n  adopt: true"));
    reason("True");
    c.kubectl
        .run(&["delete", "namespace", &space, "--wait=false"]);
}

#[test]
fn a_source_whose_new_image_is_not_there_says_so_while_the_old_pod_serves() {
    let Some(c) = cluster("e2e-bad-image") else {
        return;
    };
    c.apply(&stream("a", "partitions: 1"));
    c.apply(&source("in", "a", ""));
    c.ready("sources.headworks.dev", "in");
    let image = "headworks.local/nobody/made:this";
    c.apply(&format!(
        "{}  podTemplate: {{image: {image}}}\n",
        source("in", "a", "")
    ));
    let message = c.condition_within(
        "sources.headworks.dev",
        "in",
        "Reconciling",
        "True",
        Some("ImagePullBackOff"),
        Duration::from_secs(60),
    );
    says(&message, &[image]);
    c.apply(&source("in", "a", ""));
    c.ready("sources.headworks.dev", "in");
}
