//! What a pipeline says and does when Kafka isn't as it should be.

use std::time::{Duration, Instant};

use futures::executor::block_on;
use headworks_plan::{KafkaConnection, ScramFiles};
use rdkafka::admin::AdminOptions;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use super::Place;
use super::watchdog::Watchdog;
use crate::kafka::{KafkaLog, Setup, config};
use crate::log::{
    Batch, Event, GroupConsumer, Limits, LogError, Partition, Position, Reason, Transactions,
};

#[test]
#[ignore = "needs a broker: HEADWORKS_KAFKA=host:port"]
fn the_markers_of_an_upstream_pipeline_leave_no_lag_and_are_committed() {
    let place = Place::new("markers", 1);
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
#[ignore = "needs a broker: HEADWORKS_KAFKA=host:port"]
fn records_deleted_before_they_were_read_stop_the_pipeline_with_the_remedy() {
    let mut place = Place::new("lost", 1);
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
#[ignore = "needs a broker: HEADWORKS_KAFKA=host:port"]
fn a_missing_topic_and_a_silent_broker_are_told_apart() {
    let place = Place::new("missing", 1);
    let error = place.open_at(&place.connection, "engine-nowhere", 0);
    let error = error.err().unwrap();
    assert!(
        matches!(&error, LogError::NeedsPerson { reason: Reason::TopicMissing, message } if message.contains("engine-nowhere")),
        "{error:?}"
    );
    let silent = KafkaConnection {
        bootstrap_servers: "127.0.0.1:1".into(),
        ..KafkaConnection::default()
    };
    let error = place.open_at(&silent, &place.topic, 0).err().unwrap();
    assert!(
        matches!(&error, LogError::Unavailable { message } if message.contains("127.0.0.1:1")),
        "{error:?}"
    );
}

/// A member of a group over librdkafka's own mock broker: that has no isolation, but switches.
fn mocked(exactly_once: bool) -> (MockCluster<'static, DefaultProducerContext>, KafkaLog) {
    let cluster = MockCluster::new(1).unwrap();
    for topic in ["in", "out"] {
        cluster.create_topic(topic, 1, 1).unwrap();
    }
    let connection = KafkaConnection {
        bootstrap_servers: cluster.bootstrap_servers(),
        ..KafkaConnection::default()
    };
    let setup = Setup {
        topics: vec!["in".into()],
        other_topics: vec!["out".into()],
        group: "group".into(),
        member: "group-0".into(),
        commit_interval_ms: 50,
        exactly_once,
        max_message_bytes: vec![1_000_000],
        tracker: crate::kafka::CommitTracker::default(),
    };
    let log = KafkaLog::open(&config(&connection).unwrap(), setup).unwrap();
    (cluster, log)
}

/// Waits for the one partition, and gives its beginning as a position to commit.
fn at_its_beginning(log: &mut KafkaLog) -> (Partition, Position) {
    let first = Partition {
        topic: 0,
        number: 0,
    };
    let limits = Limits {
        rows: 10,
        bytes: 1_000,
    };
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        assert!(Instant::now() < deadline, "the group gives no partition");
        let event = log.poll(Duration::from_millis(100), limits, &mut Batch::default());
        if event.unwrap() == Some(Event::Assigned(vec![first])) {
            break;
        }
    }
    log.assign(&[(first, 0)]).unwrap();
    (first, Position::default())
}

/// Polls until there is trouble, or none any more; gives what was said of it.
fn poll_until_trouble(log: &mut KafkaLog, wanted: bool) -> Option<String> {
    let deadline = Instant::now() + Duration::from_secs(60);
    let limits = Limits {
        rows: 10,
        bytes: 1_000,
    };
    loop {
        let trouble = log.trouble();
        if trouble.is_some() == wanted {
            return trouble;
        }
        assert!(Instant::now() < deadline, "trouble is still {trouble:?}");
        let wait = Duration::from_millis(100);
        let _ = log.poll(wait, limits, &mut Batch::default()).unwrap();
    }
}

#[test]
fn a_group_that_does_not_let_a_member_in_is_reported_until_it_does() {
    let _watchdog = Watchdog::new("admission", Duration::from_secs(300));
    let (cluster, mut log) = mocked(true);
    // A broker that has lost the group's part of __consumer_offsets answers so for ever.
    let not_coordinator = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_COORDINATOR; 200];
    cluster.request_errors(RDKafkaApiKey::JoinGroup, &not_coordinator);
    assert_eq!(log.trouble(), None, "it takes a while to be let in");
    log.admission_limit = Duration::from_secs(2);
    let trouble = poll_until_trouble(&mut log, true).unwrap();
    assert!(
        trouble.starts_with("group group has not let this member in for 2 s: its coordinator"),
        "{trouble}"
    );
    cluster.clear_request_errors(RDKafkaApiKey::JoinGroup);
    poll_until_trouble(&mut log, false);
    assert!(log.assign_owed, "it was let in");
}

#[test]
fn a_broker_that_goes_down_is_reported_and_heals_by_itself() {
    let (cluster, mut log) = mocked(true);
    poll_until_trouble(&mut log, false);
    cluster.broker_down(1).unwrap();
    let trouble = poll_until_trouble(&mut log, true).unwrap();
    assert!(
        trouble.starts_with("no broker can be reached: "),
        "{trouble}"
    );
    cluster.broker_up(1).unwrap();
    poll_until_trouble(&mut log, false);
}

#[test]
fn a_search_for_the_coordinator_that_librdkafka_gives_up_ends_the_session_and_not_the_process() {
    let _watchdog = Watchdog::new("coordinator", Duration::from_secs(300));
    let (cluster, mut log) = mocked(true);
    let position = at_its_beginning(&mut log);
    log.begin().unwrap();
    // A broker that is fenced for a second answers so: its group has no coordinator then.
    let no_coordinator = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE; 40];
    cluster.request_errors(RDKafkaApiKey::FindCoordinator, &no_coordinator);
    let begun = Instant::now();
    let error = log.commit(&[position]).unwrap_err();
    assert!(
        matches!(&error, LogError::Unavailable { message } if message.contains("coordinator of group group")),
        "{error:?}"
    );
    drop(log);
    assert!(
        begun.elapsed() < Duration::from_secs(45),
        "{:?}",
        begun.elapsed()
    );
}

#[test]
fn a_commit_without_a_transaction_that_is_not_answered_ends_the_session_and_not_the_process() {
    let _watchdog = Watchdog::new("commit", Duration::from_secs(300));
    let (cluster, mut log) = mocked(false);
    let position = at_its_beginning(&mut log);
    // A broker whose disk hangs: connections stay, and nothing is answered.
    cluster
        .broker_round_trip_time(1, Duration::from_secs(200))
        .unwrap();
    let begun = Instant::now();
    let error = log.commit(&[position]).unwrap_err();
    assert!(
        matches!(&error, LogError::Unavailable { message } if message.contains("coordinator of group group")),
        "{error:?}"
    );
    drop(log);
    assert!(
        begun.elapsed() < Duration::from_secs(45),
        "{:?}",
        begun.elapsed()
    );
}

#[test]
#[ignore = "needs a broker with SCRAM: HEADWORKS_KAFKA_SCRAM=host:port, HEADWORKS_KAFKA_CA=file"]
fn wrong_credentials_are_named_as_such() {
    let _watchdog = Watchdog::new("credentials", Duration::from_secs(300));
    let var = |name: &str| std::env::var(name).ok();
    let bootstrap_servers = var("HEADWORKS_KAFKA_SCRAM").expect("HEADWORKS_KAFKA_SCRAM=host:port");
    let tls_ca_file = var("HEADWORKS_KAFKA_CA");
    let file = |name: &str| {
        let path =
            std::env::temp_dir().join(format!("headworks-scram-{}-{name}", std::process::id()));
        std::fs::write(&path, "wrong").unwrap();
        path.to_string_lossy().into_owned()
    };
    let scram = Some(ScramFiles {
        username_file: file("user"),
        password_file: file("password"),
    });
    let connection = KafkaConnection {
        bootstrap_servers,
        tls_ca_file,
        scram,
    };
    let setup = Setup {
        topics: vec!["in".into()],
        other_topics: vec![],
        group: "group".into(),
        member: "group-0".into(),
        commit_interval_ms: 50,
        exactly_once: true,
        max_message_bytes: vec![],
        tracker: crate::kafka::CommitTracker::default(),
    };
    let error = KafkaLog::open(&config(&connection).unwrap(), setup)
        .err()
        .unwrap();
    assert!(
        matches!(
            &error,
            LogError::NeedsPerson {
                reason: Reason::CredentialsRefused,
                ..
            }
        ),
        "{error:?}"
    );
}
