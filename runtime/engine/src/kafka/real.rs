//! The same promises on a real broker. Set `HEADWORKS_KAFKA=host:port` (`make test` does); without it
//! each test says that it was skipped.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures::executor::block_on;
use headworks_plan::{KafkaConnection, OnBadRecord, Phase, StartFrom};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::{KafkaLog, Setup, config};
use crate::log::{Log, LogError, Partition, Reason};
use crate::pipeline::{InputTopic, Pipeline, Settings};
use crate::simulation::same;
use crate::status::StatusHandle;
use crate::words::{oracle, stage};

/// Topics, group and connection of one test.
struct Place {
    connection: KafkaConnection,
    topic: String,
    settings: Settings,
    status: StatusHandle,
}

impl Place {
    fn new(test: &str, partitions: i32) -> Option<Place> {
        let Ok(bootstrap_servers) = std::env::var("HEADWORKS_KAFKA") else {
            eprintln!("{test}: SKIPPED, because HEADWORKS_KAFKA=host:port isn't set");
            return None;
        };
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
        };
        let wanted = [
            (place.topic.clone(), partitions),
            (place.out(), 2),
            (format!("{}.dlq", place.topic), 1),
        ];
        let topics: Vec<NewTopic<'_>> = wanted
            .iter()
            .map(|(name, count)| NewTopic::new(name, *count, TopicReplication::Fixed(1)))
            .collect();
        for made in block_on(place.admin().create_topics(&topics, &AdminOptions::new())).unwrap() {
            made.unwrap();
        }
        Some(place)
    }

    fn out(&self) -> String {
        format!("{}.out", self.topic)
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        config(&self.connection).unwrap().create().unwrap()
    }

    fn open(&self, ordinal: u32) -> Result<KafkaLog, LogError> {
        let setup = Setup {
            topics: vec![self.topic.clone()],
            other_topics: vec![self.out(), format!("{}.dlq", self.topic)],
            group: format!("{}.group", self.topic),
            member: format!("{}.group-{ordinal}", self.topic),
            commit_interval_ms: 50,
            exactly_once: true,
            max_message_bytes: vec![1_000_000],
        };
        KafkaLog::open(&config(&self.connection).unwrap(), setup)
    }

    fn start(&self, ordinal: u32) -> Pipeline<KafkaLog> {
        let log = self.open(ordinal).unwrap();
        Pipeline::new(
            log,
            stage(1, &self.out()),
            Arc::new(self.settings.clone()),
            self.status.clone(),
        )
    }

    /// Writes `count` records from `from` on and returns their values.
    fn write(&self, partitions: i32, from: u32, count: u32) -> Vec<String> {
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
                .payload(value.as_str())
                .timestamp(1_700_000_000_000 + i64::from(at));
            producer.send(record).map_err(|(error, _)| error).unwrap();
            written.push(value);
        }
        producer.flush(Duration::from_secs(30)).unwrap();
        written
    }

    /// What a `read_committed` reader finds from the beginning to the end of a topic.
    fn read(&self, topic: &str, partitions: i32) -> Vec<(String, BTreeMap<String, String>)> {
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
        let mut ended = 0;
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
                Err(error) => panic!("{error}"),
            }
        }
        found
    }

    /// Compares output and dead letters with the oracle.
    fn judge(&self, written: &[String]) {
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
    fn run(
        &self,
        session: &mut Pipeline<KafkaLog>,
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

#[test]
fn a_process_killed_in_the_middle_leaves_neither_gap_nor_double() {
    let Some(place) = Place::new("kill", 3) else {
        return;
    };
    let mut written = Vec::new();
    for life in 1..=4 {
        written.extend(place.write(3, life * 20_000, 20_000));
        let mut session = place.start(0);
        let already = place.status.report().figures.records_in;
        place
            .run(&mut session, |status| {
                status.report().figures.records_in > already
            })
            .unwrap();
        for _ in 0..life {
            session.step().unwrap();
        }
        // As `kill -9` does it: no commit, no abort, no goodbye, an open transaction left behind.
        // The forgotten threads go on sending heartbeats, as a zombie would.
        std::mem::forget(session);
    }
    let begun = Instant::now();
    let mut session = place.start(0);
    let all = written.len() as u64;
    place
        .run(&mut session, |status| {
            status.report().figures.records_in == all
        })
        .unwrap();
    assert!(
        begun.elapsed() < Duration::from_secs(60),
        "a static member is back before its session is over"
    );
    session.drain().unwrap();
    drop(session);
    place.judge(&written);
}

#[test]
fn a_process_whose_successor_runs_can_commit_nothing_more() {
    let Some(mut place) = Place::new("fence", 2) else {
        return;
    };
    place.settings.commit_interval = Duration::from_secs(600);
    let written = place.write(2, 0, 2_000);
    let mut old = place.start(0);
    while place.status.phase() != Phase::Running {
        old.step().unwrap();
    }
    for _ in 0..20 {
        old.step().unwrap();
    }
    place.settings.commit_interval = Duration::from_millis(50);
    let mut new = place.start(0);
    let mut outcome = Ok(());
    let deadline = Instant::now() + Duration::from_secs(60);
    while outcome.is_ok() && Instant::now() < deadline {
        new.step().unwrap();
        outcome = old.step();
    }
    assert!(
        matches!(outcome, Err(LogError::Fenced { .. })),
        "{outcome:?}"
    );
    drop(old);
    place
        .run(&mut new, |status| {
            status.report().figures.records_in == 2_000
        })
        .unwrap();
    new.drain().unwrap();
    drop(new);
    place.judge(&written);
}

#[test]
fn members_that_come_and_go_hand_partitions_over_without_a_seam() {
    let Some(place) = Place::new("rebalance", 4) else {
        return;
    };
    let place = Arc::new(place);
    let mut written = place.write(4, 0, 30_000);
    let second = {
        let place = Arc::clone(&place);
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_secs(2));
            let mut session = place.start(1);
            let until = Instant::now() + Duration::from_secs(10);
            while Instant::now() < until {
                session.step().unwrap();
            }
            session.drain().unwrap();
        })
    };
    let mut first = place.start(0);
    let until = Instant::now() + Duration::from_secs(6);
    while Instant::now() < until {
        first.step().unwrap();
    }
    written.extend(place.write(4, 30_000, 5_000));
    while !second.is_finished() {
        first.step().unwrap();
    }
    second.join().unwrap();
    written.extend(place.write(4, 35_000, 1_000));
    let all = written.len() as u64;
    place
        .run(&mut first, |status| {
            status.report().figures.records_in == all
        })
        .unwrap();
    first.drain().unwrap();
    drop(first);
    place.judge(&written);
}

#[test]
fn the_markers_of_an_upstream_pipeline_leave_no_lag_and_are_committed() {
    let Some(place) = Place::new("markers", 1) else {
        return;
    };
    let mut settings = config(&place.connection).unwrap();
    let producer: BaseProducer = settings
        .set("transactional.id", &place.topic)
        .create()
        .unwrap();
    producer.init_transactions(Duration::from_secs(20)).unwrap();
    for commit in [true, false, true, false] {
        producer.begin_transaction().unwrap();
        producer
            .send(BaseRecord::<(), str>::to(&place.topic).payload("p-0 2"))
            .map_err(|(error, _)| error)
            .unwrap();
        producer.flush(Duration::from_secs(10)).unwrap();
        if commit {
            producer
                .commit_transaction(Duration::from_secs(10))
                .unwrap();
        } else {
            producer.abort_transaction(Duration::from_secs(10)).unwrap();
        }
    }
    let mut session = place.start(0);
    place
        .run(&mut session, |status| {
            status
                .report()
                .figures
                .partitions
                .first()
                .is_some_and(|at| at.position == 8 && at.lag == Some(0))
        })
        .unwrap();
    session.drain().unwrap();
    drop(session);
    let mut log = place.open(0).unwrap();
    let position = log
        .committed(&[Partition {
            topic: 0,
            number: 0,
        }])
        .unwrap()[0]
        .unwrap();
    assert_eq!(position.offset, 8, "four records and four markers");
    place.judge(&["p-0 2".to_owned(), "p-0 2".to_owned()]);
}

#[test]
fn records_deleted_before_they_were_read_stop_the_pipeline_with_the_remedy() {
    let Some(mut place) = Place::new("lost", 1) else {
        return;
    };
    let mut written = place.write(1, 0, 100);
    let mut session = place.start(0);
    place
        .run(&mut session, |status| {
            status.report().figures.records_in == 100
        })
        .unwrap();
    session.drain().unwrap();
    drop(session);
    let gone = place.write(1, 100, 50);
    written.extend(place.write(1, 150, 50));
    let mut before = TopicPartitionList::new();
    before
        .add_partition_offset(&place.topic, 0, Offset::Offset(150))
        .unwrap();
    block_on(place.admin().delete_records(&before, &AdminOptions::new())).unwrap();

    let mut session = place.start(0);
    let error = place.run(&mut session, |_| false).unwrap_err();
    drop(session);
    let LogError::NeedsPerson {
        reason: Reason::DataLost,
        message,
    } = error
    else {
        panic!("{error:?}")
    };
    let token = format!("{}/0@100", place.topic);
    assert!(
        message.contains(&token) && message.contains("only 150 and later"),
        "{message}"
    );
    assert_eq!(gone.len(), 50);

    place.settings.accept_data_loss = Some(token);
    let mut session = place.start(0);
    place
        .run(&mut session, |status| {
            status.report().figures.records_in == 150
        })
        .unwrap();
    session.drain().unwrap();
    drop(session);
    place.judge(&written);
}

#[test]
fn a_missing_topic_and_a_silent_broker_are_told_apart() {
    let Some(place) = Place::new("missing", 1) else {
        return;
    };
    let mut nowhere = Place {
        topic: format!("{}-nowhere", place.topic),
        connection: place.connection.clone(),
        settings: place.settings.clone(),
        status: StatusHandle::new(),
    };
    let error = nowhere.open(0).err().unwrap();
    assert!(
        matches!(&error, LogError::NeedsPerson { reason: Reason::TopicMissing, message } if message.contains("-nowhere")),
        "{error:?}"
    );
    nowhere.connection.bootstrap_servers = "127.0.0.1:1".into();
    let error = nowhere.open(0).err().unwrap();
    assert!(
        matches!(&error, LogError::Unavailable { message } if message.contains("127.0.0.1:1")),
        "{error:?}"
    );
}
