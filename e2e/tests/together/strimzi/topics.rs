use std::time::Duration;

use headworks_e2e::until;
use serde_json::json;

use super::{PLATFORM, STREAM, Strimzi, TOPIC, WAIT};

#[test]
fn the_topic_operator_makes_the_topic_and_changes_by_hand_are_put_back_or_reported() {
    let Some(s) = Strimzi::new("e2e-strimzi-drift") else {
        return;
    };
    s.c.apply(&s.stream("a", "retention: 2d"));
    s.c.ready(STREAM, "a");
    assert_eq!(s.c.kafka.partitions(&s.c.topic("a")), Some(3));
    assert_eq!(s.setting("a", "retention.ms").as_deref(), Some("172800000"));
    let object = s.kafka_topic("a").expect("the KafkaTopic");
    assert_eq!(object["metadata"]["labels"]["strimzi.io/cluster"], "events");
    assert_eq!(object["spec"]["replicas"], 1);
    assert_eq!(
        s.c.kafka.partitions(&s.c.topic("a.dlq")),
        Some(3),
        "dead letters have a topic"
    );
    assert!(s.kafka_topic("a.dlq").is_none(), "and no KafkaTopic");

    s.patch("a", &json!({"spec": {"config": {"retention.ms": "5000"}}}));
    until("it is put back", WAIT, || {
        (s.kafka_topic("a")?["spec"]["config"]["retention.ms"] == "172800000").then_some(())
    })
    .expect("a hand's change is put back");
    s.until_setting("a", "retention.ms", "172800000");
    until("an Event says so", WAIT, || {
        let events = s.c.kubectl.list("events.events.k8s.io", &s.c.namespace, "");
        events
            .iter()
            .any(|e| {
                e["reason"] == "DriftPutBack"
                    && e["note"].as_str().is_some_and(|n| n.contains("kubectl"))
            })
            .then_some(())
    })
    .expect("an Event names the hand");

    s.patch(
        "a",
        &json!({"spec": {"config": {"segment.bytes": "20971520"}}}),
    );
    let message = s.says("a", "Drifted", "True", "SettingsOfOthers");
    assert!(
        message.contains("segment.bytes") && message.contains("kubectl"),
        "{message}"
    );
    s.until_setting("a", "segment.bytes", "20971520");
    s.patch("a", &json!({"spec": {"config": {"segment.bytes": null}}}));
    until("no drift", WAIT, || {
        let object = s.c.kubectl.get(STREAM, "a", &s.c.namespace)?;
        (!object["status"]["conditions"]
            .to_string()
            .contains("Drifted"))
        .then_some(())
    })
    .expect("the condition goes with its cause");

    let theirs = json!({"apiVersion": "kafka.strimzi.io/v1", "kind": "KafkaTopic", "metadata": {"name": s.c.topic("a"), "namespace": "kafka"}, "spec": {"config": {"retention.ms": "7000"}}});
    let apply = [
        "apply",
        "--server-side",
        "--force-conflicts",
        "--field-manager=kustomize-controller",
        "-f",
        "-",
    ];
    assert!(s.c.kubectl.pipe(&apply, &theirs.to_string()).ok);
    let message = s.says("a", "Stalled", "True", "OwnedByAnother");
    assert!(
        message.contains("kustomize-controller") && message.contains("retention.ms"),
        "{message}"
    );
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(
        s.kafka_topic("a").unwrap()["spec"]["config"]["retention.ms"],
        "7000",
        "not fought over"
    );
    let mut without = theirs.clone();
    without["spec"] = json!({});
    assert!(s.c.kubectl.pipe(&apply, &without.to_string()).ok);
    s.c.ready(STREAM, "a");
    s.until_setting("a", "retention.ms", "172800000");

    let uid = s.kafka_topic("a").unwrap()["metadata"]["uid"].clone();
    s.c.kubectl.must(&[
        "delete",
        TOPIC,
        &s.c.topic("a"),
        "-n",
        "kafka",
        "--timeout=60s",
    ]);
    until("it is made again", WAIT, || {
        (s.kafka_topic("a")?["metadata"]["uid"] != uid).then_some(())
    })
    .expect("a deleted KafkaTopic is made again");
    until("the topic is there again", WAIT, || {
        s.c.kafka.partitions(&s.c.topic("a"))
    })
    .expect("its topic, too");
    s.c.ready(STREAM, "a");
}

#[test]
fn what_kafka_refuses_the_topic_operator_is_said() {
    let Some(s) = Strimzi::new("e2e-strimzi-refused") else {
        return;
    };
    s.c.apply(&s.stream("a", "retention: 2d"));
    s.c.ready(STREAM, "a");
    s.patch("a", &json!({"spec": {"config": {"segment.bytes": "1"}}}));
    let message = s.says("a", "Ready", "False", "KafkaError");
    assert!(message.contains("segment.bytes"), "{message}");
    s.patch("a", &json!({"spec": {"config": {"segment.bytes": null}}}));
    s.c.ready(STREAM, "a");
}

#[test]
fn a_paused_or_unmanaged_topic_is_said_and_waited_for_by_nobody() {
    let Some(s) = Strimzi::new("e2e-strimzi-rest") else {
        return;
    };
    s.c.apply(&s.stream("a", "retention: 2d"));
    s.c.ready(STREAM, "a");
    for (annotation, value, reason) in [
        ("strimzi.io/pause-reconciliation", "true", "TopicPaused"),
        ("strimzi.io/managed", "false", "TopicUnmanaged"),
    ] {
        s.patch(
            "a",
            &json!({"metadata": {"annotations": {annotation: value}}}),
        );
        s.says("a", "Ready", "True", reason);
        s.c.apply(&s.stream("a", "retention: 3d"));
        let message = s.says("a", "Stalled", "True", reason);
        assert!(message.contains(annotation), "{message}");
        s.patch(
            "a",
            &json!({"metadata": {"annotations": {annotation: null}}}),
        );
        s.says("a", "Ready", "True", "TopicReady");
        s.until_setting("a", "retention.ms", "259200000");
        s.c.apply(&s.stream("a", "retention: 2d"));
        s.says("a", "Ready", "True", "TopicReady");
        s.until_setting("a", "retention.ms", "172800000");
    }
}

#[test]
fn retain_keeps_the_topic_with_the_topic_operator_up_and_down() {
    let Some(s) = Strimzi::new("e2e-strimzi-keep") else {
        return;
    };
    for name in ["a", "b", "c"] {
        let policy = if name == "c" {
            "deletionPolicy: Delete"
        } else {
            "partitions: 2"
        };
        s.c.apply(&s.stream(name, policy));
    }
    for name in ["a", "b", "c"] {
        s.c.ready(STREAM, name);
        s.c.kafka
            .produce(&s.c.topic(name), &[br#"{"id":"1","n":1}"#]);
    }
    s.delete("a");
    s.until_no_kafka_topic("a");
    assert_eq!(s.records("a"), 1, "Retain, the Topic Operator up");
    s.delete("c");
    s.until_no_kafka_topic("c");
    assert_eq!(s.c.kafka.partitions(&s.c.topic("c")), None, "Delete");
    assert_eq!(s.c.kafka.partitions(&s.c.topic("c.dlq")), None, "Delete");

    Strimzi::down();
    s.delete("b");
    assert_eq!(s.records("b"), 1, "Retain, the Topic Operator down");
    Strimzi::up();
    s.until_no_kafka_topic("b");
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(s.records("b"), 1, "and when it is up again");

    s.c.apply(&s.stream("a", "partitions: 2"));
    s.c.ready(STREAM, "a");
    assert_eq!(
        s.records("a"),
        1,
        "a stream of the same name has its topic back"
    );
}

#[test]
fn a_stopped_topic_operator_loses_and_sticks_nothing() {
    let Some(s) = Strimzi::new("e2e-strimzi-stop") else {
        return;
    };
    s.c.apply(&s.stream("a", "partitions: 2"));
    s.c.ready(STREAM, "a");
    s.c.kafka
        .produce(&s.c.topic("a"), &[br#"{"id":"1","n":1}"#]);
    Strimzi::down();
    s.c.apply(&s.stream("b", "partitions: 2"));
    let message = s.says("b", "Reconciling", "True", "TopicPending");
    assert!(message.contains("Topic Operator"), "{message}");
    s.c.ready(STREAM, "a");
    s.c.apply(&s.stream("a", "partitions: 4"));
    s.says("a", "Reconciling", "True", "TopicPending");
    Strimzi::up();
    s.c.ready(STREAM, "b");
    s.c.ready(STREAM, "a");
    assert_eq!(s.c.kafka.partitions(&s.c.topic("a")), Some(4));
    assert_eq!(s.records("a"), 1);
}

#[test]
fn a_topic_is_adopted_on_request_with_everything_it_has() {
    let Some(s) = Strimzi::new("e2e-strimzi-adopt") else {
        return;
    };
    let month = "2592000000";
    let config = [
        ("retention.ms", month),
        ("segment.bytes", "20971520"),
        ("cleanup.policy", "delete"),
    ];
    s.c.kafka.create_topic(&s.c.topic("a"), 2, &config);
    s.c.kafka
        .produce(&s.c.topic("a"), &[br#"{"id":"1","n":1}"#]);
    s.c.apply(&s.stream("a", "retention: 1d"));
    let message = s.says("a", "Stalled", "True", "TopicExists");
    assert!(message.contains("adopt: true"), "{message}");
    assert!(
        s.kafka_topic("a").is_none(),
        "nothing is made before it is asked for"
    );
    s.c.apply(&s.stream(
        "a",
        "retention: 1d\n  adopt: true\n  config: {compression.type: zstd}",
    ));
    s.c.ready(STREAM, "a");
    s.until_setting("a", "compression.type", "zstd");
    assert_eq!(
        s.setting("a", "segment.bytes").as_deref(),
        Some("20971520"),
        "carried over"
    );
    assert_eq!(
        s.setting("a", "retention.ms").as_deref(),
        Some(month),
        "never lowered"
    );
    assert_eq!(s.records("a"), 1);

    let by_hand = |name: &str, manager: &str| {
        let object = json!({"apiVersion": "kafka.strimzi.io/v1", "kind": "KafkaTopic",
            "metadata": {"name": s.c.topic(name), "namespace": "kafka", "labels": {"strimzi.io/cluster": "events", "headworks.dev/test": "e2e"}},
            "spec": {"partitions": 2, "replicas": 1, "config": {"retention.ms": 2_592_000_000_i64, "segment.bytes": 20_971_520}}});
        let manager = format!("--field-manager={manager}");
        let outcome = s.c.kubectl.pipe(
            &[
                "apply",
                "--server-side",
                "--force-conflicts",
                &manager,
                "-f",
                "-",
            ],
            &object.to_string(),
        );
        assert!(outcome.ok, "{}", outcome.text);
        s.c.kubectl.must(&[
            "wait",
            TOPIC,
            &s.c.topic(name),
            "-n",
            "kafka",
            "--for=condition=Ready",
            "--timeout=60s",
        ]);
    };
    by_hand("b", "kubectl");
    by_hand("c", "helm");
    s.c.apply(&s.stream("b", "retention: 1d"));
    let message = s.says("b", "Stalled", "True", "OwnedByAnother");
    assert!(
        message.contains("adopt: true") && message.contains("kubectl"),
        "{message}"
    );
    s.c.apply(&s.stream("b", "retention: 1d\n  adopt: true"));
    s.c.ready(STREAM, "b");
    let object = s.kafka_topic("b").unwrap();
    assert_eq!(
        object["spec"]["config"]["retention.ms"], 2_592_000_000_i64,
        "as it was listed: {object}"
    );
    assert_eq!(object["spec"]["config"]["segment.bytes"], 20_971_520);
    s.c.apply(&s.stream("c", "retention: 1d\n  adopt: true"));
    let message = s.says("c", "Stalled", "True", "OwnedByAnother");
    assert!(message.contains("helm"), "{message}");
    s.c.kubectl.must(&[
        "delete",
        TOPIC,
        &s.c.topic("c"),
        "-n",
        "kafka",
        "--timeout=60s",
    ]);
    s.c.ready(STREAM, "c");
}

#[test]
fn a_platform_is_switched_both_ways_and_nothing_is_lost() {
    let Some(s) = Strimzi::new("e2e-strimzi-switch") else {
        return;
    };
    s.platform("admin: {}");
    s.c.ready(PLATFORM, &s.c.namespace);
    s.c.kafka
        .create_topic(&s.c.topic("a"), 2, &[("segment.bytes", "20971520")]);
    s.c.apply(&s.stream("a", "retention: 2d\n  adopt: true"));
    s.c.apply(&s.stream("b", "retention: 2d"));
    for name in ["a", "b"] {
        s.c.ready(STREAM, name);
        s.c.kafka
            .produce(&s.c.topic(name), &[br#"{"id":"1","n":1}"#]);
        assert!(s.kafka_topic(name).is_none());
    }
    let whole = |when: &str| {
        // Taking `a` over didn't lower its retention, and neither does what comes after.
        for (name, retention) in [("a", "604800000"), ("b", "172800000")] {
            s.c.ready(STREAM, name);
            assert_eq!(s.records(name), 1, "{when}");
            assert_eq!(
                s.setting(name, "retention.ms").as_deref(),
                Some(retention),
                "{when}"
            );
        }
        assert_eq!(
            s.setting("a", "segment.bytes").as_deref(),
            Some("20971520"),
            "{when}"
        );
    };
    s.platform("strimzi: {cluster: events, namespace: kafka}");
    for name in ["a", "b"] {
        until("a KafkaTopic that is Ready", WAIT, || {
            let object = s.kafka_topic(name)?;
            object["status"]["conditions"]
                .as_array()?
                .iter()
                .any(|c| c["type"] == "Ready" && c["status"] == "True")
                .then_some(())
        })
        .expect("a KafkaTopic that is Ready");
    }
    assert_eq!(
        s.kafka_topic("a").unwrap()["spec"]["config"]["segment.bytes"],
        "20971520"
    );
    whole("from admin to strimzi");
    s.platform("admin: {}");
    s.until_no_kafka_topic("a");
    s.until_no_kafka_topic("b");
    std::thread::sleep(Duration::from_secs(3));
    whole("back to admin");
    s.platform("strimzi: {cluster: events, namespace: kafka}");
    until("KafkaTopics again", WAIT, || {
        s.kafka_topic("a").and(s.kafka_topic("b"))
    })
    .expect("KafkaTopics again");
    whole("and again to strimzi");
}
