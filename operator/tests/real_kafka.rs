//! Kafka's administration against a real Kafka. `make e2e` sets `HEADWORKS_KAFKA` to a plain listener and
//! `KAFKA_SCRAM_…` to a SASL one; what isn't set is skipped, and says so.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod eventually;

use std::{
    collections::BTreeMap,
    io::Write as _,
    time::{Duration, Instant},
};

use eventually::eventually;
use headworks_operator::kafka::{
    Admin, ConfigChange, Connection, KafkaError, NewTopic, Scram, Tls, Topic,
};

fn address(variable: &str) -> Option<String> {
    let found = std::env::var(variable).ok().filter(|a| !a.is_empty());
    if found.is_none() {
        // Not eprintln!, which the test runner keeps to itself when a test passes.
        let _ = writeln!(std::io::stderr(), "SKIPPED: {variable} names no Kafka");
    }
    found
}

fn plain(bootstrap: &str) -> Connection {
    Connection {
        bootstrap_servers: bootstrap.to_owned(),
        tls: None,
        scram: None,
    }
}

fn connect(connection: &Connection) -> Admin {
    Admin::new(connection).expect("a client")
}

fn fresh(what: &str) -> String {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970");
    format!(
        "admin-test.{what}-{}-{}",
        std::process::id(),
        now.as_nanos()
    )
}

fn settings(list: &[(&str, &str)]) -> BTreeMap<String, String> {
    list.iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect()
}

#[tokio::test]
async fn a_topic_is_made_described_grown_and_deleted() {
    let Some(kafka) = address("HEADWORKS_KAFKA") else {
        return;
    };
    let admin = connect(&plain(&kafka));
    let cluster = admin.cluster().await.expect("the cluster");
    assert!(
        !cluster.id.is_empty() && cluster.brokers >= 1,
        "{cluster:?}"
    );

    let name = fresh("made");
    assert_eq!(admin.topic(&name).await, Ok(None));
    let topic = NewTopic {
        name: name.clone(),
        partitions: Some(2),
        replicas: Some(1),
        config: settings(&[("retention.ms", "3600000")]),
    };
    admin.create_topic(&topic).await.expect("made");
    assert_eq!(
        admin.create_topic(&topic).await,
        Err(KafkaError::TopicExists {
            topic: name.clone()
        })
    );

    let found = eventually(Option::is_some, async || {
        admin.topic(&name).await.expect("described")
    });
    let found = found.await.expect("there");
    assert_eq!((found.partitions, found.replicas), (2, 1));
    assert_eq!(found.value("retention.ms"), Some("3600000"));
    let names = admin.topic_names().await.expect("listed");
    assert!(names.contains(&name), "{names:?}");
    admin.group_names().await.expect("groups are listed");
    assert!(found.config["retention.ms"].on_topic && !found.config["max.message.bytes"].on_topic);

    admin.add_partitions(&name, 5).await.expect("grown");
    let described = async || admin.topic(&name).await.expect("described").expect("there");
    let grown = eventually(|t: &Topic| t.partitions == 5, described).await;
    assert_eq!(grown.partitions, 5);
    let shrunk = admin
        .add_partitions(&name, 3)
        .await
        .expect_err("can't shrink");
    assert!(
        matches!(&shrunk, KafkaError::PolicyRefused { what, .. } if what.contains('5')),
        "{shrunk:?}"
    );

    let absent = fresh("absent");
    let exist = admin
        .topics_exist(&[name.clone(), absent])
        .await
        .expect("looked up");
    assert_eq!(
        exist.into_iter().collect::<Vec<_>>(),
        std::slice::from_ref(&name)
    );
    assert_eq!(admin.delete_topic(&name).await, Ok(true));
    assert_eq!(admin.delete_topic(&fresh("absent")).await, Ok(false));
}

#[tokio::test]
async fn looking_a_topic_up_never_makes_it() {
    let Some(kafka) = address("HEADWORKS_KAFKA") else {
        return;
    };
    let admin = connect(&plain(&kafka));
    let name = fresh("never");
    for _ in 0..3 {
        assert_eq!(admin.topic(&name).await, Ok(None));
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

#[tokio::test]
async fn altering_one_setting_leaves_the_others_alone() {
    let Some(kafka) = address("HEADWORKS_KAFKA") else {
        return;
    };
    let admin = connect(&plain(&kafka));
    let name = fresh("altered");
    let config = settings(&[
        ("retention.ms", "3600000"),
        ("compression.type", "zstd"),
        ("segment.bytes", "2097152"),
    ]);
    admin
        .create_topic(&NewTopic {
            name: name.clone(),
            partitions: Some(1),
            replicas: Some(1),
            config,
        })
        .await
        .expect("made");
    admin
        .alter_topic_config(
            &name,
            &[
                ConfigChange::Set("retention.ms".into(), "7200000".into()),
                ConfigChange::Delete("segment.bytes".into()),
            ],
        )
        .await
        .expect("altered");
    let found = eventually(
        |t: &Topic| t.value("retention.ms") == Some("7200000"),
        async || admin.topic(&name).await.expect("described").expect("there"),
    )
    .await;
    assert_eq!(found.value("retention.ms"), Some("7200000"));
    assert_eq!(found.value("compression.type"), Some("zstd"));
    assert!(found.config["compression.type"].on_topic && !found.config["segment.bytes"].on_topic);

    let refused = admin
        .alter_topic_config(
            &name,
            &[ConfigChange::Set("retention.ms".into(), "soon".into())],
        )
        .await
        .expect_err("no number");
    assert!(
        matches!(&refused, KafkaError::PolicyRefused { what, .. } if what.contains("soon")),
        "{refused:?}"
    );
    assert_eq!(admin.delete_topic(&name).await, Ok(true));
}

#[tokio::test]
async fn a_refusal_carries_the_brokers_words() {
    let Some(kafka) = address("HEADWORKS_KAFKA") else {
        return;
    };
    let admin = connect(&plain(&kafka));
    let name = fresh("refused");
    let make = async |replicas, config| {
        let (name, partitions, replicas) = (name.clone(), Some(1), Some(replicas));
        admin
            .create_topic(&NewTopic {
                name,
                partitions,
                replicas,
                config,
            })
            .await
    };
    let many = make(99, BTreeMap::new())
        .await
        .expect_err("too many replicas");
    assert!(
        matches!(&many, KafkaError::PolicyRefused { what, .. } if what.contains("99")),
        "{many:?}"
    );
    let unknown = make(1, settings(&[("retention.hours", "1")]))
        .await
        .expect_err("no such setting");
    assert!(
        matches!(&unknown, KafkaError::PolicyRefused { what, .. } if what.contains("retention.hours")),
        "{unknown:?}"
    );
    assert_eq!(admin.delete_group(&fresh("group")).await, Ok(false));
}

/// The SASL listener, with this password or the right one.
fn scram(password: Option<&str>) -> Option<Connection> {
    let bootstrap_servers = address("KAFKA_SCRAM_BOOTSTRAP")?;
    let file = |variable: &str| {
        std::env::var(variable)
            .ok()
            .map(|f| std::fs::read_to_string(f).expect("readable"))
    };
    let right = file("KAFKA_SCRAM_PASSWORD_FILE").expect("a password");
    let username = std::env::var("KAFKA_SCRAM_USER").expect("a user");
    let password = password.unwrap_or(right.trim()).to_owned();
    let tls = file("KAFKA_CA_FILE").map(|pem| Tls { ca_pem: Some(pem) });
    Some(Connection {
        bootstrap_servers,
        tls,
        scram: Some(Scram { username, password }),
    })
}

#[tokio::test]
async fn the_right_password_and_ca_are_accepted() {
    let Some(connection) = scram(None) else {
        return;
    };
    assert!(
        connect(&connection)
            .cluster()
            .await
            .expect("accepted")
            .brokers
            >= 1
    );
}

#[tokio::test]
async fn a_refused_password_is_told_apart_and_told_soon() {
    let Some(connection) = scram(Some("not the password")) else {
        return;
    };
    let admin = connect(&connection);
    let started = Instant::now();
    let first = admin.cluster().await.expect_err("refused");
    assert!(
        matches!(first, KafkaError::CredentialsRefused { .. }),
        "{first:?}"
    );
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
    let second = admin.cluster().await.expect_err("refused again");
    assert_eq!(second, first);
}

#[tokio::test]
async fn a_ca_that_signed_nothing_here_is_a_tls_error() {
    let Some(connection) = scram(None) else {
        return;
    };
    if connection.tls.is_none() {
        return;
    }
    let connection = Connection {
        tls: Some(Tls { ca_pem: None }),
        ..connection
    };
    let error = connect(&connection)
        .cluster()
        .await
        .expect_err("not trusted");
    assert!(matches!(error, KafkaError::TlsFailed { .. }), "{error:?}");
}

#[tokio::test]
async fn an_unreachable_broker_is_named_within_the_time_limit() {
    // Port 9 of this machine: nothing listens there.
    let admin = connect(&plain("127.0.0.1:9"));
    let started = Instant::now();
    let error = admin.cluster().await.expect_err("unreachable");
    let KafkaError::Unreachable { broker, what } = &error else {
        panic!("{error:?}")
    };
    assert_eq!(broker, "127.0.0.1:9");
    assert!(what.contains("refused"), "{what}");
    assert!(
        started.elapsed() < Duration::from_secs(16),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn a_name_that_doesnt_resolve_is_unreachable() {
    let error = connect(&plain("no-such-host.invalid:9092"))
        .cluster()
        .await
        .expect_err("unreachable");
    assert!(
        matches!(&error, KafkaError::Unreachable { broker, .. } if broker.contains("no-such-host.invalid")),
        "{error:?}"
    );
}

#[tokio::test]
async fn tls_towards_a_plain_listener_is_a_tls_error() {
    let Some(kafka) = address("HEADWORKS_KAFKA") else {
        return;
    };
    let admin = connect(&Connection {
        bootstrap_servers: kafka,
        tls: Some(Tls { ca_pem: None }),
        scram: None,
    });
    let error = admin.cluster().await.expect_err("no TLS there");
    assert!(matches!(error, KafkaError::TlsFailed { .. }), "{error:?}");
}

#[test]
fn a_ca_that_is_no_certificate_is_a_tls_error() {
    let error = Admin::new(&Connection {
        bootstrap_servers: "k:9092".into(),
        tls: Some(Tls {
            ca_pem: Some("nonsense".into()),
        }),
        scram: None,
    })
    .map(|_| ())
    .expect_err("no certificate");
    assert!(matches!(error, KafkaError::TlsFailed { .. }), "{error:?}");
}
