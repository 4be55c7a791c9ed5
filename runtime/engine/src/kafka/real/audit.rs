//! The audit on a real broker: counts in the commits' metadata, and somebody else's hand on the commits.

use std::time::{Duration, Instant};

use headworks_plan::StageCounts;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::super::config;
use super::Place;
use crate::pipeline::Pipeline;

fn counts(place: &Place) -> StageCounts {
    place
        .status
        .report()
        .figures
        .counts
        .pop()
        .unwrap_or_default()
}

/// One life of a pod, until it says that this is so.
fn live(place: &Place, done: impl Fn(&StageCounts) -> bool) -> StageCounts {
    let mut session: Pipeline<_> = place.start(0);
    place.run(&mut session, |_| done(&counts(place))).unwrap();
    session.drain().unwrap();
    counts(place)
}

/// What `kafka-consumer-groups --reset-offsets` does. The group's static member is in it for a session's time.
fn set(place: &Place, partition: i32, offset: i64) {
    let consumer: BaseConsumer = config(&place.connection)
        .unwrap()
        .set("group.id", format!("{}.group", place.topic))
        .set("enable.auto.commit", "false")
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&place.topic, partition, Offset::Offset(offset))
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(120);
    while let Err(error) = consumer.commit(&list, CommitMode::Sync) {
        assert!(Instant::now() < deadline, "{error}");
        std::thread::sleep(Duration::from_millis(500));
    }
}

#[test]
#[ignore = "needs a broker: HEADWORKS_KAFKA=host:port"]
fn counts_go_on_over_lives_and_a_commit_that_somebody_sets_is_told() {
    let place = Place::new("audit", 2);
    let mut written = place.write(2, 0, 60);
    let first = live(&place, |counts| counts.read == 60);
    assert_eq!((first.position, first.counted, first.owned), (60, 60, 2));
    written.extend(place.write(2, 60, 20));
    let second = live(&place, |counts| counts.read == 80);
    let results = place.read(&place.out(), 2).len() as u64;
    let dead_letters = place.read(&format!("{}.dlq", place.topic), 1).len() as u64;
    assert_eq!(
        (second.written, second.dead_letters),
        (results, dead_letters)
    );
    assert_eq!((second.missing, second.extra, &second.place), (0, 0, &None));
    assert_eq!(second.begun, first.begun, "it began once");
    place.judge(&written);

    set(&place, 0, 30);
    let set_at = second.began_ms;
    let third = live(&place, |counts| {
        counts.began_ms > set_at && counts.position == 80
    });
    let begun = third.begun.unwrap();
    assert!(!begun.fresh, "{begun:?}");
    assert_eq!(begun.place, format!("{}[0]@30", place.topic));
    // Ten of that partition once more; the other one goes on.
    assert_eq!((third.read, third.missing, third.extra), (10 + 40, 0, 0));
}
