//! The HTTP source in front of a real Kafka. Runs where `HEADWORKS_KAFKA=host:port` names one.

// All of this is test: a helper may fail it as well.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use headworks_engine::status::StatusHandle;
use headworks_plan::KafkaConnection;
use prometheus_client::registry::Registry;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::{Headers, Message};
use rdkafka::{Offset, TopicPartitionList};
use reqwest::header::CONTENT_TYPE;

use headworks_connectors::sources::http::{Config, Metrics, Service, listen};
use headworks_connectors::sources::kafka::{AcknowledgedWriter, Sink};

const JSON: &str = "application/json";

fn broker() -> Option<String> {
    let broker = std::env::var("HEADWORKS_KAFKA")
        .ok()
        .filter(|b| !b.is_empty());
    if broker.is_none() {
        eprintln!("SKIPPED: HEADWORKS_KAFKA=host:port names no Kafka");
    }
    broker
}

/// A source of `id` and `amount` with topics of its own, bad records to the dead letters.
fn on_topics(name: &str) -> Config {
    let topic = format!(
        "connectors.{name}.{}",
        jiff::Timestamp::now().as_nanosecond()
    );
    let plan = serde_json::json!({
        "version": 1, "installation": "test", "namespace": "shop", "name": "orders-http", "kafka": {"bootstrapServers": "unused:9092"},
        "role": {"source": {
            "into": {
                "name": "orders", "topic": topic, "deadLetterTopic": format!("{topic}.dlq"), "maxMessageBytes": 2000,
                "contract": {
                    "fields": [{"name": "id", "type": "string"}, {"name": "amount", "type": "decimal(12,2)"}, {"name": "note", "type": "string", "nullable": true}],
                    "key": ["id"], "format": "Json",
                },
            },
            "http": {"path": "/v1/orders", "bearer": false, "tls": false, "maxBodyBytes": 100_000},
            "onInvalid": "DeadLetter", "unknownFields": "Ignore",
        }},
    });
    let plan = serde_json::from_value(plan).unwrap();
    Config {
        port: 0,
        ..Config::from_plan(&plan).unwrap()
    }
}

fn client(broker: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker);
    config
}

async fn make_topics(broker: &str, config: &Config) {
    let admin: AdminClient<DefaultClientContext> = client(broker).create().unwrap();
    let topics = [&config.plan.into.topic, &config.plan.into.dead_letter_topic].map(|name| {
        NewTopic::new(name, 1, TopicReplication::Fixed(1)).set("max.message.bytes", "2000")
    });
    for result in admin
        .create_topics(&topics, &AdminOptions::new())
        .await
        .unwrap()
    {
        result.unwrap();
    }
}

/// All records of a topic's partition 0: key, value, reason header.
fn read(broker: &str, topic: &str) -> Vec<(String, String, String)> {
    let consumer: BaseConsumer = client(broker)
        .set("group.id", "none")
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed")
        .create()
        .unwrap();
    let (_, end) = consumer
        .fetch_watermarks(topic, 0, Duration::from_secs(10))
        .unwrap();
    let mut from = TopicPartitionList::new();
    from.add_partition_offset(topic, 0, Offset::Beginning)
        .unwrap();
    consumer.assign(&from).unwrap();
    let text =
        |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
    let (mut records, mut failures) = (Vec::new(), 0);
    while records.len() < usize::try_from(end).unwrap() {
        let polled = consumer
            .poll(Duration::from_secs(10))
            .expect("a record within 10 s");
        let message = match polled {
            Ok(message) => message,
            // Its client connects anew by itself; a broker that has just come up closes one or the other.
            Err(error) => {
                failures += 1;
                let code = error.rdkafka_error_code();
                let passing = code == Some(RDKafkaErrorCode::BrokerTransportFailure);
                assert!(passing && failures < 20, "{error}");
                continue;
            }
        };
        let reason = message.headers().and_then(|h| {
            h.iter()
                .find(|h| h.key == "headworks.reason")
                .and_then(|h| h.value)
        });
        records.push((text(message.key()), text(message.payload()), text(reason)));
    }
    records
}

fn connected(broker: &str, config: &Config) -> Arc<AcknowledgedWriter> {
    let connection = KafkaConnection {
        bootstrap_servers: broker.to_owned(),
        ..KafkaConnection::default()
    };
    let sink = Arc::new(AcknowledgedWriter::new(connection, &config.plan));
    let watched = sink.clone();
    std::thread::spawn(move || watched.watch());
    sink
}

fn until(limit: Duration, condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(
            begun.elapsed() < limit,
            "it didn't come to pass within {limit:?}"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_is_in_the_topics() {
    let Some(broker) = broker() else { return };
    let config = on_topics("acknowledged");
    make_topics(&broker, &config).await;
    let sink = connected(&broker, &config);
    until(Duration::from_secs(20), || sink.problem().is_none());
    let service = Service::new(
        config.clone(),
        sink.clone(),
        StatusHandle::new(),
        Metrics::register(&mut Registry::default()),
    )
    .unwrap();
    let listening = listen(&service).unwrap();
    let url = format!("http://127.0.0.1:{}/v1/orders", listening.address.port());
    let http = reqwest::Client::new();
    for batch in 0..20 {
        let records: Vec<String> = (0..50)
            .map(|i| {
                if i == 7 {
                    format!(r#"{{"id":{batch}}}"#)
                } else {
                    format!(r#"{{"id":"{batch}-{i}","amount":{i}.5}}"#)
                }
            })
            .collect();
        let response = http
            .post(&url)
            .header(CONTENT_TYPE, JSON)
            .body(format!("[{}]", records.join(",")))
            .send()
            .await
            .unwrap();
        assert_eq!(response.status().as_u16(), 202);
        assert_eq!(
            response.text().await.unwrap().trim(),
            r#"{"accepted":49,"deadLettered":1}"#
        );
    }
    let records = read(&broker, &config.plan.into.topic);
    assert_eq!(records.len(), 20 * 49);
    assert_eq!(
        (records[0].0.as_str(), records[0].1.as_str()),
        ("0-0", r#"{"id":"0-0","amount":"0.50","note":null}"#)
    );
    let dead = read(&broker, &config.plan.into.dead_letter_topic);
    assert_eq!(dead.len(), 20);
    assert_eq!(
        dead[19],
        (
            String::new(),
            r#"{"id":19}"#.to_owned(),
            "Contract".to_owned()
        )
    );
    listening.drain(Duration::from_secs(2)).await;
    tokio::task::spawn_blocking(move || sink.stop(Duration::from_secs(2)))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_is_missing_is_a_problem_until_it_is_made() {
    let Some(broker) = broker() else { return };
    let config = on_topics("missing");
    let sink = connected(&broker, &config);
    until(Duration::from_secs(20), || {
        sink.problem().is_some_and(|p| {
            p.reason == "TopicMissing" && p.message.contains(&config.plan.into.topic)
        })
    });
    make_topics(&broker, &config).await;
    until(Duration::from_secs(20), || sink.problem().is_none());
    tokio::task::spawn_blocking(move || sink.stop(Duration::from_secs(2)))
        .await
        .unwrap();
}
