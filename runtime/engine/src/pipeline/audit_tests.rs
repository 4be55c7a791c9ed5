//! What the audit says of a stage to which somebody has done something.

use std::sync::Arc;

use headworks_plan::{StageCounts, TableCounts};

use super::test_settings::of_tests;
use super::{Pipeline, Settings};
use crate::log::Log;
use crate::memory::{Faults, MemoryBroker, MemoryDatabase, StoreFaults, Stored};
use crate::status::StatusHandle;
use crate::store::StoreLog;
use crate::testing::fixture_format::{stateless, table_operator};

/// The group of the broker's members.
const GROUP: &str = "g";

struct World {
    broker: MemoryBroker,
    settings: Settings,
    database: MemoryDatabase,
}

impl World {
    fn new(partitions: usize) -> World {
        let broker = MemoryBroker::new(1, Faults::default());
        broker.create("in", partitions);
        broker.create("in.dlq", 1);
        broker.create("out", 1);
        World {
            database: MemoryDatabase::new(&broker, StoreFaults::default()),
            broker,
            settings: of_tests(),
        }
    }

    fn write(&self, partition: usize, values: &[&str]) {
        for value in values {
            let record = Stored {
                value: Some(value.as_bytes().to_vec()),
                timestamp_ms: Some(1),
                ..Stored::default()
            };
            self.broker.append("in", partition, record);
        }
    }

    /// One life of a pod; gives what it said at its end.
    fn live(&self) -> StageCounts {
        let status = StatusHandle::new();
        status.of_stage("streams", GROUP);
        let log = self.broker.open("member-0", &["in"]).unwrap();
        let settings = Arc::new(self.settings.clone());
        let session = Pipeline::new(log, stateless(1, "out"), settings, status.clone());
        rounds(session, &status, 200)
    }

    /// The same of a table's stage.
    fn live_to_table(&self, count: u32) -> StageCounts {
        let status = StatusHandle::new();
        status.of_stage("table", GROUP);
        let log = self.broker.open("member-0", &["in"]).unwrap();
        let log = StoreLog::new(log, Box::new(self.database.open()), vec!["in".into()]);
        let settings = Arc::new(self.settings.clone());
        let session = Pipeline::new(log, table_operator(1, true), settings, status.clone());
        rounds(session, &status, count)
    }
}

fn rounds<L: Log>(mut session: Pipeline<L>, status: &StatusHandle, count: u32) -> StageCounts {
    for _ in 0..count {
        session.step().unwrap();
    }
    session.drain().unwrap();
    let mut counts = status.report().figures.counts;
    assert_eq!(counts.len(), 1, "{counts:?}");
    counts.pop().unwrap()
}

/// Three that are written, one of them twice; one that the query leaves out, one that is bad.
const FIVE: [&str; 5] = ["a 2", "b 10", "c 4", "d 1", "e nonsense"];

#[test]
fn what_is_done_of_each_partition_is_counted_over_the_lives_of_pods() {
    let world = World::new(2);
    world.write(0, &FIVE);
    let first = world.live();
    assert_eq!(
        (first.stage.as_str(), first.group.as_str()),
        ("streams", GROUP)
    );
    let results = world.broker.committed("out", 0).len() as u64;
    assert_eq!(
        (first.owned, first.read, first.written, first.dead_letters),
        (2, 5, results, 1)
    );
    assert_eq!((first.position, first.counted), (5, 5));
    assert!(first.begun.as_ref().is_some_and(|begun| begun.fresh));
    world.broker.skip("in", 0);
    world.write(0, &["f 2"]);
    world.write(1, &["g 2", "h 2"]);
    let second = world.live();
    assert_eq!((second.read, second.dead_letters), (8, 1));
    assert_eq!(
        second.written,
        world.broker.committed("out", 0).len() as u64
    );
    assert_eq!((second.position, second.counted), (9, 9));
    assert_eq!(
        (second.missing, second.extra, second.place.clone()),
        (0, 0, None)
    );
    assert_eq!(second.begun, first.begun, "it began once");
    let reads: Vec<u64> = second.partitions.iter().map(|one| one.read).collect();
    assert_eq!(reads, [6, 2]);
}

#[test]
fn a_rest_writes_nothing_for_the_counts() {
    let world = World::new(1);
    world.write(0, &FIVE);
    world.live();
    let before = world.broker.transactions();
    assert_eq!(world.live().read, 5);
    assert_eq!(world.broker.transactions(), before);
}

#[test]
fn a_commit_that_is_moved_with_what_stands_beside_it_is_missing_or_extra() {
    let world = World::new(1);
    world.write(0, &FIVE);
    world.live();
    world.write(0, &["f 2", "g 2", "h 2"]);
    world.broker.move_position(GROUP, "in", 0, 2);
    let ahead = world.live();
    assert_eq!((ahead.missing, ahead.extra), (2, 0));
    assert_eq!(ahead.place.as_deref(), Some("in[0]@5"));
    world.broker.move_position(GROUP, "in", 0, -4);
    let back = world.live();
    assert_eq!((back.missing, back.extra), (2, 4));
    assert_eq!(back.place.as_deref(), Some("in[0]@5"), "the first of all");
    // It isn't told again and isn't forgotten.
    assert_eq!(world.live().extra, 4);
}

#[test]
fn a_commit_that_is_set_without_counts_is_told_with_its_place() {
    let world = World::new(2);
    world.write(0, &FIVE);
    let before = world.live();
    world.broker.tick(5_000);
    world.broker.set_position(GROUP, "in", 0, 2);
    let after = world.live();
    let begun = after.begun.unwrap();
    assert!(!begun.fresh && begun.at_ms > before.began_ms.unwrap());
    assert_eq!(begun.place, "in[0]@2");
    // The offsets that aren't counted say by how much: two below the position, of five that were read.
    assert_eq!((after.position - after.counted, before.position), (2, 5));
    assert_eq!(
        world.live().begun.map(|begun| begun.at_ms),
        Some(begun.at_ms),
        "it is committed at once"
    );
}

#[test]
fn a_group_that_is_deleted_begins_anew_and_a_new_partition_is_nothing() {
    let world = World::new(1);
    world.write(0, &FIVE);
    let before = world.live();
    world.broker.tick(5_000);
    world.broker.create("in", 2);
    world.write(1, &["z 2"]);
    let wider = world.live();
    assert_eq!((wider.owned, wider.read), (2, 6));
    assert_eq!(wider.begun, before.begun);
    world.broker.delete_group(GROUP);
    world.broker.tick(5_000);
    let begun = world.live().begun.unwrap();
    assert!(begun.fresh && begun.at_ms > wider.began_ms.unwrap());
}

#[test]
fn a_loss_that_is_accepted_is_missing_and_a_topic_made_anew_is_counted_from_its_beginning() {
    let mut world = World::new(1);
    world.write(0, &FIVE);
    world.live();
    world.write(0, &["f 2", "g 2", "h 2"]);
    world.broker.truncate("in", 0, 7);
    world.settings.accept_data_loss = Some("in/0@5".into());
    let lost = world.live();
    assert_eq!((lost.missing, lost.extra, lost.read), (2, 0, 6));
    world.broker.remake("in");
    world.write(0, &["i 2"]);
    world.settings.accept_data_loss = Some("in/0@8".into());
    let anew = world.live();
    assert_eq!((anew.missing, anew.extra, anew.read), (2, 0, 7));
}

#[test]
fn rows_that_somebody_deletes_or_adds_are_seen_where_the_table_is_counted() {
    let world = World::new(1);
    world.write(0, &["a 2", "b 4", "c 10"]);
    let table = |counts: StageCounts| {
        counts
            .table
            .map(|table: TableCounts| (table.rows, table.expected))
    };
    let first = world.live_to_table(400);
    let rows = world.database.rows().len() as u64;
    assert_eq!(first.written, rows);
    assert_eq!(table(first), Some((rows, rows)));
    world.database.change_last_row(true);
    assert_eq!(table(world.live_to_table(400)), Some((rows - 1, rows)));
    world.database.change_last_row(false);
    assert_eq!(table(world.live_to_table(400)), Some((rows, rows)));
    world.database.change_last_row(false);
    assert_eq!(table(world.live_to_table(400)), Some((rows + 1, rows)));
}
