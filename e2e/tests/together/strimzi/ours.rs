//! Our half: what is written into Strimzi's objects, and what each thing that its operators (1.2.0) say of them makes us say. The CRDs are
//! Strimzi's own; the test is the operators' hand. The objects are in a namespace that no operator of Strimzi's watches.

use std::sync::Once;
use std::time::Duration;

use headworks_e2e::{
    Cluster, bootstrap,
    clients::{accept, folder, grant, reads, secured},
    cluster, platform, pocket, stream, until,
};
use serde_json::{Value, json};

use super::{PLATFORM, STREAM, TOPIC, WAIT};

const GRANT: &str = "accessgrants.headworks.dev";
const USER: &str = "kafkausers.kafka.strimzi.io";
const PAUSED: &str = "strimzi.io/pause-reconciliation";
const MANAGED: &str = "strimzi.io/managed";

fn crds() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let (ok, text) = pocket(&["strimzi", "crds"]);
        assert!(ok, "{text}");
    });
}

/// Writes a status as one of Strimzi's operators does; what it has looked at is the present generation, or so many before.
fn says(c: &Cluster, kind: &str, name: &str, behind: i64, conditions: &Value, more: &Value) {
    let object = c.kubectl.get(kind, name, &c.namespace).expect(name);
    let generation = object["metadata"]["generation"].as_i64().unwrap();
    let mut status = json!({"observedGeneration": generation - behind, "conditions": conditions});
    for (key, value) in more.as_object().into_iter().flatten() {
        status[key] = value.clone();
    }
    let patch = json!({"status": status}).to_string();
    c.kubectl.must(&[
        "patch",
        kind,
        name,
        "-n",
        &c.namespace,
        "--subresource=status",
        "--type=merge",
        "-p",
        &patch,
    ]);
}

fn condition(type_: &str, status: &str, reason: &str, message: &str) -> Value {
    let mut one = json!({"type": type_, "status": status, "lastTransitionTime": "2026-01-01T00:00:00.000000000Z"});
    if !reason.is_empty() {
        one["reason"] = reason.into();
        one["message"] = message.into();
    }
    json!([one])
}

fn ready() -> Value {
    condition("Ready", "True", "", "")
}

fn annotate(c: &Cluster, kind: &str, name: &str, annotation: &str) {
    let arguments = ["annotate", kind, name, "-n", &c.namespace, "--overwrite"];
    c.kubectl.must(&[&arguments[..], &[annotation]].concat());
}

fn on_strimzi(c: &Cluster) {
    let ns = &c.namespace;
    let strimzi = format!("strimzi: {{cluster: events, namespace: {ns}}}");
    c.apply(&platform(ns, &bootstrap(), "").replace("admin: {}", &strimzi));
    c.ready(PLATFORM, ns);
}

fn object(c: &Cluster, stream: &str) -> Value {
    until("a KafkaTopic", WAIT, || {
        c.kubectl.get(TOPIC, &c.topic(stream), &c.namespace)
    })
    .expect("a KafkaTopic")
}

fn stream_on(c: &Cluster, name: &str, extra: &str) -> String {
    stream(name, extra).replace("platform: e2e", &format!("platform: {}", c.namespace))
}

fn told(c: &Cluster, stream: &str, type_: &str, status: &str, reason: &str) -> String {
    c.condition(STREAM, stream, type_, status, Some(reason))
}

/// Each way to fail makes the stream say so in the Topic Operator's words.
fn failures_are_told(c: &Cluster, id: &Value) {
    for (reason, type_) in [
        ("KafkaError", "Reconciling"),
        ("NotSupported", "Stalled"),
        ("ResourceConflict", "Stalled"),
    ] {
        let words = format!("{reason} is what it says");
        let failed = condition("Ready", "False", reason, &words);
        says(c, TOPIC, &c.topic("a"), 0, &failed, id);
        let message = told(c, "a", type_, "True", reason);
        assert!(message.contains(&words), "{message}");
    }
    says(c, TOPIC, &c.topic("a"), 0, &ready(), id);
    c.ready(STREAM, "a");
}

/// What it said of an older spec says nothing of this one.
fn old_words_count_for_nothing(c: &Cluster, id: &Value) {
    c.apply(&stream_on(c, "a", "retention: 4d"));
    told(c, "a", "Reconciling", "True", "TopicPending");
    says(c, TOPIC, &c.topic("a"), 1, &ready(), id);
    std::thread::sleep(Duration::from_secs(2));
    told(c, "a", "Reconciling", "True", "TopicPending");
    c.apply(&stream_on(c, "a", "retention: 2d"));
    until("the KafkaTopic follows", WAIT, || {
        (object(c, "a")["spec"]["config"]["retention.ms"] == "172800000").then_some(())
    })
    .expect("the KafkaTopic follows");
    says(c, TOPIC, &c.topic("a"), 0, &ready(), id);
    c.ready(STREAM, "a");
}

/// A KafkaTopic that is paused or unmanaged rests: the stream is Ready while it fits, and Stalled where it doesn't.
fn what_rests_is_told(c: &Cluster, id: &Value) {
    for (annotation, value, reason, condition_type) in [
        (PAUSED, "true", "TopicPaused", "ReconciliationPaused"),
        (MANAGED, "false", "TopicUnmanaged", "Unmanaged"),
    ] {
        // Said before its operator notices, and after.
        annotate(c, TOPIC, &c.topic("a"), &format!("{annotation}={value}"));
        told(c, "a", "Ready", "True", reason);
        let rests = condition(condition_type, "True", "", "");
        says(c, TOPIC, &c.topic("a"), 0, &rests, id);
        told(c, "a", "Ready", "True", reason);
        c.apply(&stream_on(c, "a", "retention: 3d"));
        let message = told(c, "a", "Stalled", "True", reason);
        assert!(message.contains(annotation), "{message}");
        c.apply(&stream_on(c, "a", "retention: 2d"));
        told(c, "a", "Ready", "True", reason);
        annotate(c, TOPIC, &c.topic("a"), &format!("{annotation}-"));
        says(c, TOPIC, &c.topic("a"), 0, &ready(), id);
        told(c, "a", "Ready", "True", "TopicReady");
    }
}

/// A change of replicas by Cruise Control, asked for in the KafkaTopic: it holds, and nobody waits for it.
fn replicas_stay_as_cruise_control_has_them(c: &Cluster) {
    let three = json!({"spec": {"replicas": 3}}).to_string();
    c.kubectl.must(&[
        "patch",
        TOPIC,
        &c.topic("a"),
        "-n",
        &c.namespace,
        "--type=merge",
        "-p",
        &three,
    ]);
    for state in ["pending", "ongoing"] {
        let change = json!({"replicasChange": {"targetReplicas": 3, "state": state, "sessionId": "s-1"},
            "topicName": c.topic("a")});
        says(c, TOPIC, &c.topic("a"), 0, &ready(), &change);
        std::thread::sleep(Duration::from_secs(2));
        told(c, "a", "Ready", "True", "TopicReady");
        assert_eq!(object(c, "a")["spec"]["replicas"], 3, "it isn't put back");
    }
}

/// Retain, with the Topic Operator's finalizer on the object and nobody who takes it away.
fn retain_leaves_the_topic(c: &Cluster) {
    let finalizer = json!({"metadata": {"finalizers": ["strimzi.io/topic-operator"]}}).to_string();
    c.kubectl.must(&[
        "patch",
        TOPIC,
        &c.topic("a"),
        "-n",
        &c.namespace,
        "--type=merge",
        "-p",
        &finalizer,
    ]);
    c.kafka.produce(&c.topic("a"), &[br#"{"id":"1","n":1}"#]);
    let delete = ["delete", STREAM, "a", "-n", &c.namespace, "--timeout=60s"];
    c.kubectl.must(&delete);
    let left = object(c, "a");
    assert_eq!(left["metadata"]["annotations"][MANAGED], "false", "{left}");
    assert!(left["metadata"]["deletionTimestamp"].is_string(), "{left}");
    assert_eq!(c.kafka.read(&c.topic("a")).len(), 1);
    let none = json!({"metadata": {"finalizers": null}}).to_string();
    c.kubectl.must(&[
        "patch",
        TOPIC,
        &c.topic("a"),
        "-n",
        &c.namespace,
        "--type=merge",
        "-p",
        &none,
    ]);
    assert_eq!(c.kafka.read(&c.topic("a")).len(), 1, "the topic stays");
}

#[test]
fn what_a_kafka_topic_lists_and_what_each_of_its_statuses_makes_a_stream_say() {
    let Some(c) = cluster("e2e-strimzi-said") else {
        return;
    };
    crds();
    on_strimzi(&c);
    c.apply(&stream_on(&c, "a", "retention: 2d"));
    let message = told(&c, "a", "Reconciling", "True", "TopicPending");
    assert!(message.contains("Topic Operator"), "{message}");
    let made = object(&c, "a");
    let labels = &made["metadata"]["labels"];
    assert_eq!(labels["strimzi.io/cluster"], "events");
    assert_eq!(labels["headworks.dev/kind"], "DataStream");
    assert_eq!(labels["headworks.dev/namespace"], c.namespace.as_str());
    assert_eq!(labels["headworks.dev/name"], "a");
    assert_eq!(made["spec"]["partitions"], 3);
    assert_eq!(made["spec"]["replicas"], 1);
    assert_eq!(made["spec"]["config"]["retention.ms"], "172800000");
    assert!(
        c.kafka.partitions(&c.topic("a")).is_none(),
        "the topic isn't ours to make"
    );
    // Its word alone isn't believed: Kafka is asked.
    says(&c, TOPIC, &c.topic("a"), 0, &ready(), &json!({}));
    until("Kafka is asked", WAIT, || {
        told(&c, "a", "Ready", "False", "TopicPending")
            .contains("Kafka doesn't have the topic")
            .then_some(())
    })
    .expect("it says Ready, and Kafka has no such topic");

    let config = [("retention.ms", "172800000"), ("cleanup.policy", "delete")];
    c.kafka.create_topic(&c.topic("a"), 3, &config);
    let id = json!({"topicName": c.topic("a"), "topicId": "AAAAAAAAAAAAAAAAAAAAAA"});
    says(&c, TOPIC, &c.topic("a"), 0, &ready(), &id);
    c.ready(STREAM, "a");

    failures_are_told(&c, &id);
    old_words_count_for_nothing(&c, &id);
    what_rests_is_told(&c, &id);
    replicas_stay_as_cruise_control_has_them(&c);
    retain_leaves_the_topic(&c);
    c.kubectl
        .run(&["delete", PLATFORM, &c.namespace, "--wait=false"]);
}

#[test]
fn what_a_kafka_user_lists_and_what_each_of_its_statuses_makes_a_grant_say() {
    let Some(c) = cluster("e2e-strimzi-user") else {
        return;
    };
    crds();
    let name = secured(&c, "");
    accept(&c);
    c.apply(&stream("a", "partitions: 1").replace("platform: e2e", &format!("platform: {name}")));
    c.ready(STREAM, "a");
    c.kafka.produce(&c.topic("a"), &[br#"{"id":"k","n":1}"#]);
    let strimzi = json!({"spec": {"kafka": {"management": {"admin": null,
        "strimzi": {"cluster": "events", "namespace": c.namespace}}}}});
    let patch = strimzi.to_string();
    let arguments = ["patch", PLATFORM, &name, "--type=merge", "-p", &patch];
    c.kubectl.must(&arguments);
    c.ready(PLATFORM, &name);
    // The stream's topic gets its KafkaTopic; the test says of it what the Topic Operator would.
    object(&c, "a");
    says(&c, TOPIC, &c.topic("a"), 0, &ready(), &json!({}));
    c.ready(STREAM, "a");
    let quota = "  quota: {consumerBytesPerSecond: 1Mi}\n";
    c.apply(&grant(&c, "report", &format!("  read: [a]\n{quota}")));
    let waiting = |reason: &str| c.condition(GRANT, "report", "Ready", "False", Some(reason));
    let message = waiting("UserNotReady");
    assert!(message.contains("User Operator"), "{message}");
    let ours = format!(
        "headworks.dev/kind=AccessGrant,headworks.dev/namespace={}",
        c.namespace
    );
    let users = c.kubectl.list(USER, &c.namespace, &ours);
    let [user] = &users[..] else {
        panic!("one KafkaUser, not {users:?}");
    };
    let kafka_user = user["metadata"]["name"].as_str().unwrap().to_owned();
    assert_eq!(user["metadata"]["labels"]["strimzi.io/cluster"], "events");
    let spec = &user["spec"];
    assert_eq!(spec["authentication"]["type"], "scram-sha-512");
    assert_eq!(spec["authorization"]["type"], "simple");
    assert_eq!(spec["quotas"]["consumerByteRate"], 1_048_576);
    let rules = spec["authorization"]["acls"].to_string();
    assert!(
        rules.contains(&c.topic("a")) && rules.contains("Read"),
        "{rules}"
    );
    let at = &spec["authentication"]["password"]["valueFrom"]["secretKeyRef"];
    let (secret, key) = (at["name"].as_str().unwrap(), at["key"].as_str().unwrap());
    let template = format!("go-template={{{{index .data {key:?} | base64decode}}}}");
    let arguments = ["get", "secret", secret, "-n", &c.namespace, "-o", &template];
    let password = c.kubectl.must(&arguments);

    let words = "it has no such cluster";
    let failed = condition("NotReady", "True", "InvalidResourceException", words);
    says(&c, USER, &kafka_user, 0, &failed, &json!({}));
    let message = waiting("InvalidResourceException");
    assert!(message.contains(words), "{message}");
    annotate(&c, USER, &kafka_user, &format!("{PAUSED}=true"));
    waiting("UserPaused");
    annotate(&c, USER, &kafka_user, &format!("{PAUSED}-"));
    says(&c, USER, &kafka_user, 1, &ready(), &json!({}));
    waiting("UserNotReady");

    // What the User Operator does, done by hand. (Without a user name in the status: other tests' operators look for it.)
    let scram = format!("SCRAM-SHA-512=[password={password}]");
    let of = ["--entity-type", "users", "--entity-name", &kafka_user];
    let add = ["kafka", "configs", "--alter", "--add-config", &scram];
    let (ok, text) = pocket(&[&add[..], &of[..]].concat());
    assert!(ok, "{text}");
    says(&c, USER, &kafka_user, 0, &ready(), &json!({}));
    c.ready(GRANT, "report");
    let files = folder(&c, "report", "played");
    let group = format!("{}.report.1", c.namespace);
    reads("python", &files, &c.topic("a"), &group, 1);

    let delete = [
        "delete",
        GRANT,
        "report",
        "-n",
        &c.namespace,
        "--timeout=60s",
    ];
    c.kubectl.must(&delete);
    assert!(
        c.kubectl.list(USER, &c.namespace, &ours).is_empty(),
        "no KafkaUser that could bring it back"
    );
    let delete = ["delete", STREAM, "a", "-n", &c.namespace, "--timeout=60s"];
    c.kubectl.must(&delete);
    c.kubectl.run(&["delete", PLATFORM, &name, "--wait=false"]);
}
