//! The generate source in front of a real Kafka, killed again and again. Runs where
//! `HEADWORKS_KAFKA=host:port` names one.

// All of this is test: a helper may fail it as well.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use headworks_engine::status::StatusHandle;
use headworks_engine::{Outcome, StopFlag};
use headworks_plan::{Phase, Plan};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::Value;

use headworks_connectors::sources::generate::{Config, run};

const PARTITIONS: i32 = 3;
/// What tells this very test binary to be a pod.
const CHILD: &str = "HEADWORKS_TEST_GENERATE_PLAN";

fn broker() -> Option<String> {
    let broker = std::env::var("HEADWORKS_KAFKA")
        .ok()
        .filter(|b| !b.is_empty());
    if broker.is_none() {
        eprintln!("SKIPPED: HEADWORKS_KAFKA=host:port names no Kafka");
    }
    broker
}

fn plan(broker: &str, name: &str, limit: u64) -> Value {
    let topic = format!("generate.{name}.{}", jiff::Timestamp::now().as_nanosecond());
    serde_json::json!({
        "version": 1, "installation": "test", "namespace": "shop", "name": "orders-generated", "kafka": {"bootstrapServers": broker},
        "role": {"source": {
            "into": {
                "name": "inventory", "topic": topic, "deadLetterTopic": format!("{topic}.dlq"), "maxMessageBytes": 100_000,
                "contract": {
                    "fields": [
                        {"name": "order_id", "type": "string"}, {"name": "user_id", "type": "bigint"},
                        {"name": "items", "type": "array<struct<sku string, qty int>>"}, {"name": "amount", "type": "decimal(12,2)"},
                        {"name": "coupon", "type": "string", "nullable": true}, {"name": "placed_at", "type": "timestamp_ltz(3)"},
                    ],
                    "key": ["user_id"], "eventTime": {"field": "placed_at", "maxOutOfOrdernessMs": 0}, "format": "Json",
                },
            },
            "generate": {"recordsPerSecond": 4000, "seed": 1, "template": {"shop": "Orders"}, "limit": limit, "group": format!("{topic}.source")},
            "onInvalid": "DeadLetter", "unknownFields": "Reject",
        }},
    })
}

fn client(broker: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker);
    config
}

async fn make_topics(broker: &str, plan: &Value) {
    let admin: AdminClient<DefaultClientContext> = client(broker).create().unwrap();
    let into = &plan["role"]["source"]["into"];
    let topics = [&into["topic"], &into["deadLetterTopic"]].map(|name| {
        let name = name.as_str().unwrap();
        NewTopic::new(name, PARTITIONS, TopicReplication::Fixed(1))
    });
    for result in admin
        .create_topics(&topics, &AdminOptions::new())
        .await
        .unwrap()
    {
        result.unwrap();
    }
}

/// How often each order is in the topic, as a reader of committed records sees it.
fn orders(broker: &str, plan: &Value) -> BTreeMap<String, u32> {
    let topic = plan["role"]["source"]["into"]["topic"].as_str().unwrap();
    let consumer: BaseConsumer = client(broker)
        .set("group.id", "none")
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", "true")
        .create()
        .unwrap();
    let mut from = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        from.add_partition_offset(topic, partition, Offset::Beginning)
            .unwrap();
    }
    consumer.assign(&from).unwrap();
    let (mut found, mut ends, mut failures) = (BTreeMap::new(), 0, 0);
    while ends < PARTITIONS {
        let polled = consumer.poll(Duration::from_secs(30));
        match polled.expect("a record or an end within 30 s") {
            Ok(message) => {
                let order: Value = serde_json::from_slice(message.payload().unwrap()).unwrap();
                let id = order["order_id"].as_str().unwrap().to_owned();
                *found.entry(id).or_insert(0) += 1;
            }
            Err(KafkaError::PartitionEOF(_)) => ends += 1,
            // Its client connects anew by itself; a broker that has just come up closes one or the other.
            Err(error) => {
                failures += 1;
                let code = error.rdkafka_error_code();
                let passing = code == Some(RDKafkaErrorCode::BrokerTransportFailure);
                assert!(passing && failures < 20, "{error}");
            }
        }
    }
    found
}

fn each_once(found: &BTreeMap<String, u32>, limit: u64) {
    let doubled: Vec<_> = found.iter().filter(|(_, times)| **times != 1).collect();
    assert!(doubled.is_empty(), "{doubled:?}");
    let missing = (0..limit).filter(|i| !found.contains_key(&format!("o-{i:010}")));
    assert_eq!(missing.collect::<Vec<_>>(), Vec::<u64>::new());
    assert_eq!(found.len() as u64, limit);
}

/// A failed assertion ends the threads that it would wait for.
struct Stops<'a>(&'a StopFlag);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// A pod that dies by SIGKILL when it is dropped.
struct Pod(Child);

impl Drop for Pod {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn pod(plan: &Value) -> Pod {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_pod_of_another_test", "--nocapture"])
        .env(CHILD, plan.to_string())
        .stdout(Stdio::null())
        .spawn();
    Pod(child.unwrap())
}

#[test]
fn the_pod_of_another_test() {
    let Ok(plan) = std::env::var(CHILD) else {
        return;
    };
    let plan: Plan = serde_json::from_str(&plan).unwrap();
    let config = Config::from_plan(&plan).unwrap();
    run(&config, &plan.kafka, &StatusHandle::new(), &StopFlag::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sequence_goes_on_where_a_killed_pod_left_it() {
    let Some(broker) = broker() else { return };
    let limit = 12_000;
    let plan = plan(&broker, "killed", limit);
    make_topics(&broker, &plan).await;
    // Some are killed before their first transaction, some within one.
    for lives_ms in [300, 900, 1_400, 700, 1_111, 1_300] {
        let pod = pod(&plan);
        std::thread::sleep(Duration::from_millis(lives_ms));
        drop(pod);
    }
    let killed = orders(&broker, &plan).len() as u64;
    assert!(
        killed > 0 && killed < limit,
        "{killed} records by pods that were killed"
    );
    let (status, stop) = (StatusHandle::new(), StopFlag::new());
    let parsed: Plan = serde_json::from_value(plan.clone()).unwrap();
    let config = Config::from_plan(&parsed).unwrap();
    std::thread::scope(|scope| {
        let _stops = Stops(&stop);
        let last = scope.spawn(|| run(&config, &parsed.kafka, &status, &stop));
        let begun = Instant::now();
        while status.report().figures.records_out < limit - killed {
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "{:?}",
                status.report()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(status.phase(), Phase::Running);
        stop.stop();
        assert_eq!(last.join().unwrap(), Outcome::Drained);
    });
    each_once(&orders(&broker, &plan), limit);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_pods_of_one_source_fence_each_other_and_write_nothing_twice() {
    let Some(broker) = broker() else { return };
    let limit = 20_000;
    let plan = plan(&broker, "fenced", limit);
    make_topics(&broker, &plan).await;
    let parsed: Plan = serde_json::from_value(plan.clone()).unwrap();
    let config = Config::from_plan(&parsed).unwrap();
    let (first, second, stop) = (StatusHandle::new(), StatusHandle::new(), StopFlag::new());
    std::thread::scope(|scope| {
        let _stops = Stops(&stop);
        let begun = Instant::now();
        scope.spawn(|| run(&config, &parsed.kafka, &first, &stop));
        while first.report().figures.records_out == 0 {
            assert!(
                begun.elapsed() < Duration::from_secs(30),
                "{:?}",
                first.report()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        scope.spawn(|| run(&config, &parsed.kafka, &second, &stop));
        let mut fenced = false;
        let made = |status: &StatusHandle| status.report().figures.records_out;
        while made(&first) + made(&second) < limit {
            fenced |= [&first, &second].iter().any(|status| {
                status
                    .report()
                    .problems
                    .iter()
                    .any(|p| p.reason == "Fenced")
            });
            if begun.elapsed() > Duration::from_secs(60) {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        stop.stop();
        assert!(fenced, "{:?} {:?}", first.report(), second.report());
        assert_eq!(made(&first) + made(&second), limit);
    });
    each_once(&orders(&broker, &plan), limit);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_a_second_are_made() {
    let Some(broker) = broker() else { return };
    let mut plan = plan(&broker, "fast", 600_000);
    plan["role"]["source"]["generate"]["recordsPerSecond"] = 100_000.into();
    make_topics(&broker, &plan).await;
    let parsed: Plan = serde_json::from_value(plan).unwrap();
    let config = Config::from_plan(&parsed).unwrap();
    let (status, stop) = (StatusHandle::new(), StopFlag::new());
    std::thread::scope(|scope| {
        let _stops = Stops(&stop);
        scope.spawn(|| run(&config, &parsed.kafka, &status, &stop));
        while status.report().figures.records_out == 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
        let (begun, before) = (Instant::now(), status.report().figures.records_out);
        std::thread::sleep(Duration::from_secs(4));
        let made = status.report().figures.records_out - before;
        let rate = made as f64 / begun.elapsed().as_secs_f64();
        stop.stop();
        eprintln!("{rate:.0} records a second");
        // What a machine can do is its own affair; this finds what is far too slow, or too fast by more
        // than a batch.
        assert!(rate > 3_000.0, "{rate}");
        assert!(rate < 110_000.0, "{rate}");
    });
}
