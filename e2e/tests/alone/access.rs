//! Access on Strimzi, and beside it. Alone: Strimzi's User Operator deletes every user in Kafka that it doesn't know.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::time::{Duration, Instant};

use headworks_e2e::{
    clients::{accept, client, folder, grant, may_write_secrets, reads, refused, secured},
    cluster, pocket, stream, strimzi_up,
};

const GRANT: &str = "accessgrants.headworks.dev";
const PLATFORM: &str = "platforms.headworks.dev";

/// The User Operator up (true) or down.
fn user_operator(up: bool) -> bool {
    pocket(&["strimzi", if up { "up" } else { "down" }, "user"]).0
}

/// Stops the User Operator, however the test ends: it deletes other tests' users.
struct Down;

impl Drop for Down {
    fn drop(&mut self) {
        pocket(&["strimzi", "down", "user"]);
    }
}

#[test]
fn an_expired_grant_is_cut_while_the_user_operator_is_stopped_and_stays_cut_when_it_comes_back() {
    if !strimzi_up("user", "e2e-strimzi-grant") {
        return;
    }
    let down = Down;
    let Some(c) = cluster("e2e-strimzi-grant") else {
        return;
    };
    may_write_secrets(&c, "kafka");
    let name = secured(&c, "");
    // The Platform that `secured` made, on Strimzi.
    c.kubectl.must(&[
        "patch",
        PLATFORM,
        &name,
        "--type=merge",
        "-p",
        r#"{"spec":{"kafka":{"management":{"admin":null,"strimzi":{"cluster":"events","namespace":"kafka"}}}}}"#,
    ]);
    c.ready(PLATFORM, &name);
    accept(&c);
    c.apply(&stream("a", "partitions: 1").replace("platform: e2e", &format!("platform: {name}")));
    c.apply(&stream("b", "partitions: 1").replace("platform: e2e", &format!("platform: {name}")));
    c.apply(&grant(&c, "report", "  read: [a, b]\n"));
    c.ready(GRANT, "report");
    let topic = c.topic("a");
    c.kafka.produce(&topic, &[br#"{"id":"k","n":1}"#]);
    let prefix = format!("{}.report", c.namespace);
    let files = folder(&c, "report", "strimzi");
    reads("python", &files, &topic, &format!("{prefix}.1"), 1);

    // From Strimzi to the Admin API beside a User Operator: refused, and nothing is lost.
    let to = |management: &str| {
        let patch = format!(r#"{{"spec":{{"kafka":{{"management":{management}}}}}}}"#);
        c.kubectl
            .must(&["patch", PLATFORM, &name, "--type=merge", "-p", &patch]);
        c.ready(PLATFORM, &name);
    };
    to(r#"{"admin":{},"strimzi":null}"#);
    c.condition(
        GRANT,
        "report",
        "Stalled",
        "True",
        Some("UserOperatorPresent"),
    );
    reads("python", &files, &topic, &format!("{prefix}.2"), 1);
    to(r#"{"admin":null,"strimzi":{"cluster":"events","namespace":"kafka"}}"#);
    c.ready(GRANT, "report");
    reads("python", &files, &topic, &format!("{prefix}.3"), 1);

    assert!(user_operator(false));
    // What is taken out of the spec doesn't wait for it, and what stays stays.
    c.apply(&grant(&c, "report", "  read: [a]\n"));
    c.condition(GRANT, "report", "Ready", "False", Some("UserNotReady"));
    refused(&files, &c.topic("b"), &format!("{prefix}.b"));
    reads("python", &files, &topic, &format!("{prefix}.3b"), 1);
    c.apply(&grant(
        &c,
        "report",
        "  read: [a]\n  expires: \"2020-01-01T00:00:00Z\"\n",
    ));
    let began = Instant::now();
    c.condition_within(
        GRANT,
        "report",
        "Stalled",
        "True",
        Some("Expired"),
        Duration::from_secs(60),
    );
    refused(&files, &topic, &format!("{prefix}.4"));
    println!("    cut after {} s", began.elapsed().as_secs());
    assert!(user_operator(true));
    // Its first look at everything comes within seconds; it must bring nothing back.
    std::thread::sleep(Duration::from_secs(20));
    let (code, text) = client("python", &files, &topic, &format!("{prefix}.5"), 1);
    assert_ne!(code, 0, "the User Operator brought the user back: {text}");
    c.kubectl.must(&[
        "delete",
        GRANT,
        "report",
        "-n",
        &c.namespace,
        "--timeout=60s",
    ]);
    drop(down);
    c.kubectl
        .must(&["delete", PLATFORM, &name, "--timeout=60s"]);
}

#[test]
fn a_grant_that_ends_beside_a_user_operator_leaves_no_kafka_user_that_could_bring_it_back() {
    if !strimzi_up("user", "e2e-strimzi-left") {
        return;
    }
    let down = Down;
    let Some(c) = cluster("e2e-strimzi-left") else {
        return;
    };
    may_write_secrets(&c, "kafka");
    let name = secured(&c, "");
    let to = |management: &str| {
        let patch = format!(r#"{{"spec":{{"kafka":{{"management":{management}}}}}}}"#);
        c.kubectl
            .must(&["patch", PLATFORM, &name, "--type=merge", "-p", &patch]);
        c.ready(PLATFORM, &name);
    };
    let strimzi = r#"{"admin":null,"strimzi":{"cluster":"events","namespace":"kafka"}}"#;
    to(strimzi);
    accept(&c);
    c.apply(&stream("a", "partitions: 1").replace("platform: e2e", &format!("platform: {name}")));
    c.apply(&grant(&c, "ends", "  read: [a]\n"));
    c.apply(&grant(&c, "goes", "  read: [a]\n"));
    let topic = c.topic("a");
    c.ready(GRANT, "ends");
    c.ready(GRANT, "goes");
    c.kafka.produce(&topic, &[br#"{"id":"k","n":1}"#]);
    let files = ["ends", "goes"].map(|one| {
        let files = folder(&c, one, one);
        let group = format!("{}.{one}.1", c.namespace);
        reads("python", &files, &topic, &group, 1);
        (one, files)
    });
    let kafka_users = |grant: &str| {
        let selector = format!(
            "headworks.dev/kind=AccessGrant,headworks.dev/namespace={},headworks.dev/name={grant}",
            c.namespace
        );
        let kind = "kafkausers.kafka.strimzi.io";
        c.kubectl.list(kind, "kafka", &selector).len()
    };
    assert_eq!(kafka_users("ends"), 1);

    to(r#"{"admin":{},"strimzi":null}"#);
    for one in ["ends", "goes"] {
        let reason = Some("UserOperatorPresent");
        c.condition(GRANT, one, "Stalled", "True", reason);
    }
    let spec = "  read: [a]\n  expires: \"2020-01-01T00:00:00Z\"\n";
    c.apply(&grant(&c, "ends", spec));
    c.condition(GRANT, "ends", "Stalled", "True", Some("Expired"));
    c.kubectl
        .must(&["delete", GRANT, "goes", "-n", &c.namespace, "--timeout=60s"]);
    for (one, _) in &files {
        assert_eq!(kafka_users(one), 0, "a KafkaUser of {one} is left");
    }
    // It looks at everything every two minutes.
    std::thread::sleep(Duration::from_secs(150));
    for (one, files) in &files {
        let group = format!("{}.{one}.2", c.namespace);
        let (code, text) = client("python", files, &topic, &group, 1);
        assert_ne!(code, 0, "the User Operator brought {one} back: {text}");
    }
    c.kubectl
        .must(&["delete", GRANT, "ends", "-n", &c.namespace, "--timeout=60s"]);
    drop(down);
    c.kubectl
        .must(&["delete", PLATFORM, &name, "--timeout=60s"]);
}
