//! What a pipeline with state needs of a broker: a changelog read to its right end, event time kept in the
//! commit, partitions chosen by hand, held back and trimmed.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::Place;
use crate::kafka::{KafkaLog, config};
use crate::log::{
    Batch, Changelog, Event, GroupConsumer, Limits, LogError, Outgoing, Partition,
    PartitionEventTime, Position, Transactions,
};
use crate::memory::Chance;

const LIMITS: Limits = Limits {
    rows: 1_000,
    bytes: 1_000_000,
};

fn partition(number: i32) -> Partition {
    Partition { topic: 0, number }
}

/// Polls until the group has given partitions.
fn joined(log: &mut KafkaLog) -> Vec<Partition> {
    let deadline = Instant::now() + Duration::from_secs(60);
    while Instant::now() < deadline {
        let event = log.poll(Duration::from_millis(100), LIMITS, &mut Batch::default());
        if let Some(Event::Assigned(partitions)) = event.unwrap() {
            return partitions;
        }
    }
    panic!("the group gave nothing");
}

#[test]
#[ignore = "needs a broker: HEADWORKS_KAFKA=host:port"]
fn a_group_that_was_set_by_hand_has_positions_and_no_notes() {
    let place = Place::new("notes", 2);
    let mut settings = config(&place.connection).unwrap();
    let by_hand: BaseConsumer = settings
        .set("group.id", format!("{}.group", place.topic))
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&place.topic, 0, Offset::Offset(3))
        .unwrap();
    by_hand.commit(&list, CommitMode::Sync).unwrap();
    let mut log = place.open(0).unwrap();
    let partitions = [partition(0), partition(1)];
    assert_eq!(log.commit_metadata(&partitions).unwrap(), [None, None]);
    let offsets: Vec<Option<i64>> = log
        .committed(&partitions)
        .unwrap()
        .into_iter()
        .map(|position| position.map(|position| position.offset))
        .collect();
    assert_eq!(offsets, [Some(3), None]);
}

/// Owns every partition, read from `offset` on.
pub(super) fn reading(place: &Place, offset: i64) -> (KafkaLog, Vec<Partition>) {
    let mut log = place.open(0).unwrap();
    let partitions = joined(&mut log);
    let positions: Vec<(Partition, i64)> = partitions.iter().map(|at| (*at, offset)).collect();
    log.assign(&positions).unwrap();
    (log, partitions)
}

/// Polls until `done` says so of everything that came: partitions and offsets.
fn poll_until(
    log: &mut KafkaLog,
    found: &mut Vec<(i32, i64)>,
    done: impl Fn(&[(i32, i64)]) -> bool,
) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !done(found) {
        assert!(Instant::now() < deadline, "{} records came", found.len());
        poll(log, found);
    }
}

fn poll(log: &mut KafkaLog, found: &mut Vec<(i32, i64)>) {
    let mut batch = Batch::default();
    log.poll(Duration::from_millis(100), LIMITS, &mut batch)
        .unwrap();
    found.extend((0..batch.len()).map(|row| {
        let record = batch.record(row);
        (record.partition.number, record.offset)
    }));
}

/// A transactional producer beside the pipeline.
fn other(place: &Place, id: &str) -> BaseProducer {
    let producer: BaseProducer = config(&place.connection)
        .unwrap()
        .set("transactional.id", format!("{}.{id}", place.topic))
        .create()
        .unwrap();
    producer.init_transactions(Duration::from_secs(20)).unwrap();
    producer
}

fn send(producer: &BaseProducer, topic: &str, key: &str, value: Option<&str>) {
    let mut record = BaseRecord::<str, str>::to(topic).partition(0).key(key);
    record.payload = value;
    producer.send(record).map_err(|(error, _)| error).unwrap();
}

fn restored(log: &mut KafkaLog, topic: &str) -> Result<Vec<String>, LogError> {
    let mut found = Vec::new();
    let count = log.restore(topic, 0, &mut |key, value| {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        found.push(format!("{}={}", text(key), value.map_or("-".into(), text)));
        Ok(())
    })?;
    assert_eq!(count as usize, found.len());
    Ok(found)
}

#[test]
#[ignore = "needs a broker: HEADWORKS_KAFKA=host:port"]
fn a_changelog_is_restored_to_its_end_past_markers_and_aborted_records() {
    let place = Place::new("changelog", 1);
    let producer = other(&place, "writer");
    let topic = place.out();
    for (commit, key) in [(true, "a"), (false, "b"), (true, "c"), (false, "d")] {
        producer.begin_transaction().unwrap();
        send(&producer, &topic, key, Some("1"));
        send(&producer, &topic, "e", None);
        producer.flush(Duration::from_secs(10)).unwrap();
        let patience = Duration::from_secs(10);
        if commit {
            producer.commit_transaction(patience).unwrap();
        } else {
            producer.abort_transaction(patience).unwrap();
        }
    }
    let (mut log, _) = reading(&place, 0);
    let found = restored(&mut log, &topic).unwrap();
    assert_eq!(found, ["a=1", "e=-", "c=1", "e=-"]);
    // The next partition is read by the same clients, and an empty one has nothing.
    assert_eq!(log.restore(&topic, 1, &mut |_, _| Ok(())).unwrap(), 0);
    let refused = log.restore(&topic, 0, &mut |_, _| Err("unreadable".into()));
    assert!(
        matches!(&refused, Err(LogError::Broken { message }) if message.contains("unreadable")),
        "{refused:?}"
    );
    assert_eq!(restored(&mut log, &topic).unwrap().len(), 4);
}

#[test]
#[ignore = "needs a broker: HEADWORKS_KAFKA=host:port"]
fn a_restore_waits_for_the_transactions_that_were_open_when_it_began() {
    let place = Place::new("open", 1);
    let topic = place.out();
    let producer = other(&place, "predecessor");
    producer.begin_transaction().unwrap();
    send(&producer, &topic, "late", Some("1"));
    producer.flush(Duration::from_secs(10)).unwrap();
    let pause = Duration::from_secs(8);
    let committer = std::thread::spawn(move || {
        std::thread::sleep(pause);
        producer
            .commit_transaction(Duration::from_secs(10))
            .unwrap();
    });
    let (mut log, _) = reading(&place, 0);
    let begun = Instant::now();
    let found = restored(&mut log, &topic).unwrap();
    assert_eq!(found, ["late=1"]);
    assert!(
        begun.elapsed() > Duration::from_secs(1),
        "nothing was awaited"
    );
    committer.join().unwrap();
}

#[test]
#[ignore = "needs a broker: HEADWORKS_KAFKA=host:port"]
fn a_long_restore_costs_the_member_nothing() {
    let place = Place::new("long", 2);
    let topic = place.out();
    let producer = other(&place, "writer");
    producer.begin_transaction().unwrap();
    for _ in 0..20 {
        send(&producer, &topic, "k", Some("v"));
    }
    producer.flush(Duration::from_secs(10)).unwrap();
    producer
        .commit_transaction(Duration::from_secs(10))
        .unwrap();
    let mut log = place.open(0).unwrap();
    let partitions = joined(&mut log);
    // Longer than the session lasts without a sign of life.
    let count = log.restore(&topic, 0, &mut |_, _| {
        std::thread::sleep(Duration::from_millis(700));
        Ok(())
    });
    assert_eq!(count.unwrap(), 20);
    let positions: Vec<(Partition, Position)> = partitions
        .iter()
        .map(|at| (*at, position(0, PartitionEventTime::default())))
        .collect();
    log.begin().unwrap();
    log.commit(&positions).unwrap();
    place.write(2, 0, 10);
    let starts: Vec<(Partition, i64)> = partitions.iter().map(|at| (*at, 0)).collect();
    log.assign(&starts).unwrap();
    poll_until(&mut log, &mut Vec::new(), |found| found.len() == 10);
}

fn position(offset: i64, clock: PartitionEventTime) -> Position {
    Position {
        offset,
        clock,
        ..Position::default()
    }
}

#[test]
#[ignore = "needs a broker: HEADWORKS_KAFKA=host:port"]
fn event_time_is_part_of_the_commit_and_found_by_the_next_owner() {
    let place = Place::new("clock", 2);
    let (mut log, partitions) = reading(&place, 0);
    let clock = PartitionEventTime {
        event_time_ms: Some(1_700_000_000_123),
        idle: true,
    };
    let both = |clock: PartitionEventTime| {
        let first = Position {
            first_start_ms: Some(5),
            ..position(0, clock)
        };
        [
            (partitions[0], first),
            (partitions[1], position(0, PartitionEventTime::default())),
        ]
    };
    log.begin().unwrap();
    log.commit(&both(clock)).unwrap();
    // What is aborted leaves no trace.
    log.begin().unwrap();
    log.produce(&Outgoing {
        topic: &place.out(),
        partition: Some(1),
        key: None,
        value: Some(b"x"),
        timestamp_ms: None,
        headers: &[],
    })
    .unwrap();
    log.abort().unwrap();
    drop(log);
    let mut next = place.open(0).unwrap();
    let found = next.committed(&partitions).unwrap();
    let expected = both(clock).map(|(_, position)| Some(position));
    assert_eq!(found, expected);
}

#[test]
#[ignore = "needs a broker: HEADWORKS_KAFKA=host:port"]
fn a_record_goes_to_the_partition_that_was_named_whatever_its_key() {
    let place = Place::new("named", 1);
    let (mut log, partitions) = reading(&place, 0);
    let topic = place.out();
    log.begin().unwrap();
    for at in 0..20_i32 {
        let key = format!("key-{at}");
        log.produce(&Outgoing {
            topic: &topic,
            partition: Some(at % 2),
            key: Some(key.as_bytes()),
            value: Some(b"v"),
            timestamp_ms: None,
            headers: &[],
        })
        .unwrap();
    }
    log.commit(&[(partitions[0], position(0, PartitionEventTime::default()))])
        .unwrap();
    for at in 0..2 {
        let mut found = Vec::new();
        log.restore(&topic, at, &mut |key, _| {
            found.push(String::from_utf8(key.to_vec()).unwrap());
            Ok(())
        })
        .unwrap();
        let expected: Vec<String> = (0..20)
            .filter(|n| n % 2 == at)
            .map(|n| format!("key-{n}"))
            .collect();
        assert_eq!(found, expected);
    }
}

#[test]
#[ignore = "needs a broker: HEADWORKS_KAFKA=host:port"]
fn a_record_that_the_broker_refuses_keeps_the_transaction_from_being_committed() {
    let place = Place::new("refused", 1);
    let (mut log, partitions) = reading(&place, 0);
    let topic = place.out();
    let positions = [(partitions[0], position(0, PartitionEventTime::default()))];
    // Above what a topic takes by default, below what the client would refuse itself, and not to be compressed.
    let mut chance = Chance::new(1);
    let large: Vec<u8> = (0..1_060_000).map(|_| chance.below(256) as u8).collect();
    let mut commit = |value: &[u8]| {
        log.begin().unwrap();
        log.produce(&Outgoing {
            topic: &topic,
            partition: Some(0),
            key: None,
            value: Some(value),
            timestamp_ms: None,
            headers: &[],
        })
        .unwrap();
        let committed = log.commit(&positions);
        if committed.is_err() {
            log.abort().unwrap();
        }
        committed
    };
    commit(b"small").unwrap();
    let refused = commit(&large);
    // As its own report, or as that of a transaction that has failed already.
    assert!(
        matches!(refused, Err(LogError::Abortable { .. })),
        "{refused:?}"
    );
    // For some milliseconds after such an abort librdkafka has no producer id.
    let deadline = Instant::now() + Duration::from_secs(10);
    while let Err(error) = commit(b"again") {
        assert!(matches!(error, LogError::Abortable { .. }), "{error:?}");
        assert!(Instant::now() < deadline, "{error:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(log.restore(&topic, 0, &mut |_, _| Ok(())).unwrap(), 2);
}

#[test]
#[ignore = "needs a broker: HEADWORKS_KAFKA=host:port"]
fn what_is_held_back_comes_later_once_and_in_order() {
    let place = Place::new("held", 2);
    place.write(2, 0, 6_000);
    let (mut log, _) = reading(&place, 0);
    let mut found = Vec::new();
    poll_until(&mut log, &mut found, |found| found.len() >= 1_000);
    log.hold_back(&[partition(1)]);
    let of = |found: &[(i32, i64)], number| found.iter().filter(|(at, _)| *at == number).count();
    let before = of(&found, 1);
    poll_until(&mut log, &mut found, |found| of(found, 0) == 3_000);
    let quiet = Instant::now() + Duration::from_secs(6);
    while Instant::now() < quiet {
        let mut batch = Batch::default();
        let event = log.poll(Duration::from_millis(100), LIMITS, &mut batch);
        assert!(batch.is_empty());
        if let Some(Event::Passed(passed)) = event.unwrap() {
            let named = passed.iter().any(|(at, _)| *at == partition(1));
            assert!(!named, "what is held back wasn't delivered: {passed:?}");
        }
    }
    assert_eq!(of(&found, 1), before);
    log.hold_back(&[]);
    poll_until(&mut log, &mut found, |found| found.len() == 6_000);
    for number in 0..2 {
        let offsets: Vec<i64> = found
            .iter()
            .filter(|(at, _)| *at == number)
            .map(|(_, offset)| *offset)
            .collect();
        assert_eq!(offsets, (0..3_000).collect::<Vec<i64>>());
    }
}

#[test]
#[ignore = "needs a broker: HEADWORKS_KAFKA=host:port"]
fn what_is_trimmed_is_gone_and_the_rest_is_read_on() {
    let place = Place::new("trim", 2);
    place.write(2, 0, 200);
    let (mut log, partitions) = reading(&place, 0);
    let mut found = Vec::new();
    poll_until(&mut log, &mut found, |found| found.len() == 200);
    log.trim(&[(partition(0), 40), (partition(1), 100)]);
    let client: BaseConsumer = config(&place.connection).unwrap().create().unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    let earliest = |number| {
        let patience = Duration::from_secs(10);
        client
            .fetch_watermarks(&place.topic, number, patience)
            .unwrap()
            .0
    };
    while (earliest(0), earliest(1)) != (40, 100) {
        assert!(
            Instant::now() < deadline,
            "{:?}",
            (earliest(0), earliest(1))
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    // A request that can't be met is of no consequence.
    std::thread::sleep(Duration::from_secs(5));
    log.trim(&[(partition(0), 1_000_000)]);
    place.write(2, 200, 10);
    poll_until(&mut log, &mut found, |found| found.len() == 210);
    assert_eq!(partitions.len(), 2);
}
