//! The same promises on a real broker. Ignored by default, because they need one:
//! `HEADWORKS_KAFKA=host:port cargo test --release -p headworks-engine -- --ignored`.

mod audit;
mod faults;
mod killed;
mod promises;
mod state;
mod watchdog;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures::executor::block_on;
use headworks_plan::{KafkaConnection, OnBadRecord, StartFrom};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication, TopicResult};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::{Headers, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::{CommitTracker, KafkaLog, Setup, config};
use crate::log::{Log, LogError};
use crate::pipeline::{InputTopic, Pipeline, Settings};
use crate::status::StatusHandle;
use crate::testing::fixture_format::{oracle, stateless};
use crate::testing::simulation::same;
use watchdog::Watchdog;

/// Topics, group and connection of one test.
struct Place {
    pub(super) connection: KafkaConnection,
    pub(super) topic: String,
    pub(super) settings: Settings,
    pub(super) status: StatusHandle,
    pub(super) exactly_once: bool,
    /// Of each ordinal.
    pub(super) trackers: Vec<CommitTracker>,
    /// Goes last, since the end of everything else may hang.
    pub(super) watchdog: Watchdog,
}

impl Place {
    pub(super) fn new(test: &str, partitions: i32) -> Place {
        let bootstrap_servers =
            std::env::var("HEADWORKS_KAFKA").expect("HEADWORKS_KAFKA=host:port");
        let connection = KafkaConnection {
            bootstrap_servers,
            ..KafkaConnection::default()
        };
        let unique = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_millis();
        let topic = format!("engine-{test}-{unique}");
        let input = InputTopic {
            topic: topic.clone(),
            dead_letter_topic: format!("{topic}.dlq"),
            max_message_bytes: 1_000_000,
        };
        let settings = Settings {
            pipeline: "shop/p".into(),
            inputs: vec![input],
            on_bad_record: OnBadRecord::DeadLetter,
            start_from: StartFrom::Earliest,
            commit_interval: Duration::from_millis(50),
            accept_data_loss: None,
        };
        let place = Place {
            connection,
            topic,
            settings,
            status: StatusHandle::new(),
            exactly_once: true,
            trackers: (0..4).map(|_| CommitTracker::default()).collect(),
            watchdog: Watchdog::new(test, Duration::from_secs(300)),
        };
        let wanted = [
            (place.topic.clone(), partitions),
            (place.out(), 2),
            (format!("{}.dlq", place.topic), 1),
        ];
        place.make_topics(&wanted);
        place
    }

    /// Makes the topics and waits until they can be used. A broker that just came up is fenced for a moment and places no
    /// replica, and one that placed it doesn't know of it at once.
    fn make_topics(&self, wanted: &[(String, i32)]) {
        let deadline = Instant::now() + Duration::from_secs(60);
        let admin = self.admin();
        let topics: Vec<NewTopic<'_>> = wanted
            .iter()
            .map(|(name, count)| NewTopic::new(name, *count, TopicReplication::Fixed(1)))
            .collect();
        loop {
            let made = block_on(admin.create_topics(&topics, &AdminOptions::new()));
            let is_there = |result: &TopicResult| {
                matches!(
                    result,
                    Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists))
                )
            };
            if made.as_ref().is_ok_and(|made| made.iter().all(is_there)) {
                break;
            }
            assert!(Instant::now() < deadline, "no topics: {made:?}");
            std::thread::sleep(Duration::from_millis(200));
        }
        for (name, _) in wanted {
            let is_led = || {
                let found = admin
                    .inner()
                    .fetch_metadata(Some(name), Duration::from_secs(10));
                found.is_ok_and(|found| {
                    let topic = &found.topics()[0];
                    topic.error().is_none()
                        && !topic.partitions().is_empty()
                        && topic.partitions().iter().all(|found| found.leader() >= 0)
                })
            };
            while !is_led() {
                assert!(Instant::now() < deadline, "topic {name} has no leader");
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    }

    pub(super) fn out(&self) -> String {
        format!("{}.out", self.topic)
    }

    pub(super) fn admin(&self) -> AdminClient<DefaultClientContext> {
        config(&self.connection).unwrap().create().unwrap()
    }

    pub(super) fn open(&self, ordinal: u32) -> Result<KafkaLog, LogError> {
        self.open_at(&self.connection, &self.topic, ordinal)
    }

    pub(super) fn open_at(
        &self,
        connection: &KafkaConnection,
        input: &str,
        ordinal: u32,
    ) -> Result<KafkaLog, LogError> {
        let setup = Setup {
            topics: vec![input.to_owned()],
            other_topics: vec![self.out(), format!("{}.dlq", self.topic)],
            group: format!("{}.group", self.topic),
            member: format!("{}.group-{ordinal}", self.topic),
            commit_interval_ms: 50,
            exactly_once: self.exactly_once,
            max_message_bytes: vec![1_000_000],
            tracker: self.trackers[ordinal as usize].clone(),
        };
        KafkaLog::open(&config(connection).unwrap(), setup)
    }

    pub(super) fn start(&self, ordinal: u32) -> Pipeline<KafkaLog> {
        self.start_with(self.open(ordinal).unwrap())
    }

    pub(super) fn start_with<L: Log>(&self, log: L) -> Pipeline<L> {
        Pipeline::new(
            log,
            stateless(1, &self.out()),
            Arc::new(self.settings.clone()),
            self.status.clone(),
        )
    }

    /// Writes `count` records from `from` on and returns their values.
    pub(super) fn write(&self, partitions: i32, from: u32, count: u32) -> Vec<String> {
        let producer: BaseProducer = config(&self.connection)
            .unwrap()
            .set("linger.ms", "20")
            .create()
            .unwrap();
        let mut written = Vec::new();
        for at in from..from + count {
            let partition = i32::try_from(at).unwrap() % partitions;
            let value = match at % 40 {
                7 => format!("p-{partition}-{at}:no-space"),
                9 => format!("p-{partition}-{at} 13"),
                n => format!("p-{partition}-{at} {}", n % 11),
            };
            let record = BaseRecord::<(), str>::to(&self.topic)
                .partition(partition)
                .payload(value.as_str());
            producer.send(record).map_err(|(error, _)| error).unwrap();
            written.push(value);
        }
        producer.flush(Duration::from_secs(30)).unwrap();
        written
    }

    /// What a `read_committed` reader finds from the beginning to the end of a topic.
    pub(super) fn read(
        &self,
        topic: &str,
        partitions: i32,
    ) -> Vec<(String, BTreeMap<String, String>)> {
        let mut settings = config(&self.connection).unwrap();
        let settings = settings
            .set("group.id", "engine-tests")
            .set("isolation.level", "read_committed")
            .set("enable.partition.eof", "true");
        let consumer: BaseConsumer = settings
            .set("enable.auto.commit", "false")
            .create()
            .unwrap();
        let mut list = TopicPartitionList::new();
        for partition in 0..partitions {
            list.add_partition_offset(topic, partition, Offset::Beginning)
                .unwrap();
        }
        consumer.assign(&list).unwrap();
        let mut found = Vec::new();
        let (mut ended, mut failures) = (0, 0);
        while ended < partitions {
            match consumer
                .poll(Duration::from_secs(10))
                .expect("the end comes")
            {
                Ok(message) => {
                    let headers = message.headers().map_or_else(BTreeMap::new, |headers| {
                        headers
                            .iter()
                            .map(|h| {
                                (
                                    h.key.to_owned(),
                                    String::from_utf8_lossy(h.value.unwrap_or_default())
                                        .into_owned(),
                                )
                            })
                            .collect()
                    });
                    found.push((
                        String::from_utf8(message.payload().unwrap_or_default().to_vec()).unwrap(),
                        headers,
                    ));
                }
                Err(rdkafka::error::KafkaError::PartitionEOF(_)) => ended += 1,
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

    /// Compares output and dead letters with the oracle.
    pub(super) fn judge(&self, written: &[String]) {
        let mut expected = Vec::new();
        let mut expected_bad = Vec::new();
        for value in written {
            match oracle(Some(value)) {
                Ok(results) => expected.extend(results),
                Err(reason) => expected_bad.push(format!("{reason} {value}")),
            }
        }
        let found = self
            .read(&self.out(), 2)
            .into_iter()
            .map(|(value, _)| value)
            .collect();
        let found_bad = self.read(&format!("{}.dlq", self.topic), 1);
        let found_bad = found_bad
            .into_iter()
            .map(|(value, headers)| format!("{} {value}", headers["headworks.reason"]))
            .collect();
        same("results", expected, found).unwrap();
        same("dead letters", expected_bad, found_bad).unwrap();
    }

    /// Runs rounds until `done` or two minutes have passed.
    pub(super) fn run(
        &self,
        session: &mut Pipeline<impl Log>,
        done: impl Fn(&StatusHandle) -> bool,
    ) -> Result<(), LogError> {
        let deadline = Instant::now() + Duration::from_secs(120);
        while !done(&self.status) {
            assert!(
                Instant::now() < deadline,
                "stuck at {:?}",
                self.status.report()
            );
            session.step()?;
        }
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let topics = [
            self.topic.clone(),
            self.out(),
            format!("{}.dlq", self.topic),
        ];
        let names: Vec<&str> = topics.iter().map(String::as_str).collect();
        let _ = block_on(self.admin().delete_topics(&names, &AdminOptions::new()));
    }
}
