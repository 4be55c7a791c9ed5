//! Where Kafka is, and with which credentials.

use std::time::Duration;

use headworks_e2e::{bootstrap, cluster, pipeline, platform, stream};

use super::{PIPELINE, PLATFORM, STREAM, says, secret};

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
