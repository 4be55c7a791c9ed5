//! Topics that are there already, are others', shrink, or stay behind.

use std::time::Duration;

use headworks_e2e::{bootstrap, cluster, pipeline, platform, stream, until};

use super::{PIPELINE, STREAM, says, two_streams};

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
    let message = c.refused(&stream("letters", "topic: e2e-topic-names.shared.dlq"));
    says(&message, &["dead letters"]);
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
fn a_topic_that_is_there_takes_no_dead_letters_unasked() {
    let Some(c) = cluster("e2e-foreign-letters") else {
        return;
    };
    let letters = c.topic("a.dlq");
    c.kafka
        .create_topic(&letters, 1, &[("cleanup.policy", "compact")]);
    c.apply(&stream("a", "partitions: 1"));
    let message = c.condition(STREAM, "a", "Ready", "False", Some("TopicExists"));
    says(&message, &[&letters, "adopt"]);
    assert_eq!(c.kafka.partitions(&c.topic("a")), None, "nothing is made");
    c.apply(&stream("a", "partitions: 1\n  adopt: true"));
    let message = c.condition(STREAM, "a", "Ready", "False", Some("TopicMismatch"));
    says(&message, &[&letters, "cleanup.policy"]);
    assert_eq!(c.kafka.topic_config(&letters)["cleanup.policy"], "compact");
    let kept = c.topic("b.dlq");
    c.kafka
        .create_topic(&kept, 1, &[("retention.ms", "31536000000")]);
    c.apply(&stream("b", "partitions: 1\n  adopt: true"));
    c.ready(STREAM, "b");
    assert_eq!(c.kafka.topic_config(&kept)["retention.ms"], "31536000000");
}

#[test]
fn a_topic_that_is_another_namespaces_by_now_stays_when_its_former_stream_is_deleted() {
    let Some(c) = cluster("e2e-moved") else {
        return;
    };
    let (other, topic) = (format!("{}-other", c.namespace), "e2e-moved-legacy");
    let namespace = format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {other}}}\n");
    let there = |yaml: &str| {
        let outcome = c.kubectl.apply(yaml, &other);
        assert!(outcome.ok, "{}", outcome.text);
    };
    there(&namespace);
    c.kubectl.run(&[
        "delete",
        STREAM,
        "legacy",
        "-n",
        &other,
        "--timeout=60s",
        "--ignore-not-found",
    ]);
    c.kafka.forget(topic, &format!(".{other}."));
    let rule = |namespace: &str| {
        let rule = format!(
            "    topicPolicy:\n      - {{prefixes: [{topic}], namespaces: {{matchLabels: {{kubernetes.io/metadata.name: {namespace}}}}}}}\n"
        );
        c.apply(&platform(&c.namespace, &bootstrap(), &rule));
    };
    let legacy = |extra: &str| {
        stream(
            "legacy",
            &format!("partitions: 1\n  topic: {topic}\n  deletionPolicy: Delete{extra}"),
        )
        .replace("platform: e2e", &format!("platform: {}", c.namespace))
    };
    rule(&c.namespace);
    c.apply(&legacy(""));
    c.ready(STREAM, "legacy");
    c.kafka.produce(topic, &[br#"{"id":"1","n":1}"#]);
    rule(&other);
    c.condition(STREAM, "legacy", "Stalled", "True", Some("TopicNotAllowed"));
    there(&legacy("\n  adopt: true"));
    until(
        "the other namespace has it",
        Duration::from_secs(60),
        || {
            let stream = c.kubectl.get(STREAM, "legacy", &other)?;
            (stream["status"]["topic"] == topic).then_some(())
        },
    )
    .expect("the other namespace takes the topic over");
    c.kubectl.must(&[
        "delete",
        STREAM,
        "legacy",
        "-n",
        &c.namespace,
        "--timeout=60s",
    ]);
    until("an Event says so", Duration::from_secs(30), || {
        let events = c.kubectl.list("events.events.k8s.io", &c.namespace, "");
        let left = |e: &serde_json::Value| e["reason"] == "TopicLeft";
        events.iter().any(left).then_some(())
    })
    .expect("an Event says that the topic stays");
    assert_eq!(c.kafka.read(topic).len(), 1, "with its records");
    c.kubectl
        .must(&["delete", STREAM, "legacy", "-n", &other, "--timeout=60s"]);
    assert_eq!(c.kafka.partitions(topic), None, "its owner deletes it");
    c.kubectl
        .run(&["delete", "namespace", &other, "--wait=false"]);
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
