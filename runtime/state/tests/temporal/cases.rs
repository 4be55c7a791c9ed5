//! Cases worked by hand: the edges of time, what is late, what is left, and how much is given at once.

use std::sync::Arc;

use headworks_state::{Change, EpochOutput, Pool, StateError, StatePartition};

use super::{Given, Is, Row, batch, fresh, given, spec};

fn row(is: Is, key: &str, time: i64, id: i64) -> Row {
    Row {
        is,
        key: (!key.is_empty()).then(|| key.to_owned()),
        time,
        id,
    }
}

/// A state, and what it wrote.
struct World {
    shard: StatePartition,
    log: Vec<Change>,
}

impl World {
    fn new(outer: bool, lateness: i64) -> World {
        World {
            shard: fresh(&Arc::new(spec(outer, lateness)), Vec::new(), None, None),
            log: Vec::new(),
        }
    }

    /// One epoch: the rows that are late, by their places, and what is given.
    fn epoch(&mut self, rows: &[Row], watermark: i64) -> (Vec<u32>, Vec<Given>) {
        let batch = batch(&spec(true, 0), rows);
        let late = self.shard.add(&batch, 0).unwrap();
        let EpochOutput {
            results, changelog, ..
        } = self.shard.prepare_commit(Some(watermark), 0).unwrap();
        self.shard.commit().unwrap();
        self.log.extend(changelog);
        (late, given(&results))
    }

    fn given(&mut self, rows: &[Row], watermark: i64) -> Vec<Given> {
        let (late, given) = self.epoch(rows, watermark);
        assert_eq!(late, Vec::<u32>::new());
        given
    }
}

#[test]
fn a_version_is_valid_from_its_own_time_on_and_until_the_next_one_is() {
    let mut world = World::new(true, 0);
    let rows = [
        row(Is::Left, "k", 9, 1),
        row(Is::Left, "k", 10, 2),
        row(Is::Left, "k", 19, 3),
        row(Is::Left, "k", 20, 4),
        row(Is::Version, "k", 20, 5),
        row(Is::Version, "k", 10, 6),
        row(Is::Left, "other", 15, 7),
    ];
    assert_eq!(
        world.given(&rows, 100),
        [
            (1, None),
            (2, Some(6)),
            (7, None),
            (3, Some(6)),
            (4, Some(5))
        ]
    );
}

#[test]
fn of_two_versions_of_one_time_the_one_that_came_last_is_valid() {
    let mut world = World::new(false, 0);
    assert_eq!(world.given(&[row(Is::Version, "k", 10, 1)], 5), []);
    let rows = [row(Is::Version, "k", 10, 2), row(Is::Left, "k", 10, 3)];
    assert_eq!(world.given(&rows, 11), [(3, Some(2))]);
}

#[test]
fn a_row_waits_until_the_watermark_is_past_it_and_the_lateness_over() {
    let mut world = World::new(true, 5);
    assert_eq!(world.given(&[row(Is::Left, "k", 10, 1)], 10), []);
    assert_eq!(world.given(&[], 15), [], "a version of 10 may still come");
    assert_eq!(world.given(&[row(Is::Version, "k", 10, 2)], 15), []);
    assert_eq!(world.given(&[], 16), [(1, Some(2))]);
}

#[test]
fn a_deletion_ends_what_was_valid_and_the_next_version_begins_anew() {
    let mut world = World::new(true, 0);
    let rows = [
        row(Is::Version, "k", 10, 1),
        row(Is::Deletion, "k", 20, 2),
        row(Is::Version, "k", 30, 3),
        row(Is::Left, "k", 19, 4),
        row(Is::Left, "k", 20, 5),
        row(Is::Left, "k", 30, 6),
    ];
    assert_eq!(
        world.given(&rows, 100),
        [(4, Some(1)), (5, None), (6, Some(3))]
    );
}

#[test]
fn a_deletion_by_a_clock_that_is_ahead_does_not_delete_what_came_after_it() {
    let mut world = World::new(true, 0);
    let rows = [
        row(Is::Version, "k", 10, 1),
        // The broker's clock says 25, and the row that comes next happened at 21.
        row(Is::Deletion, "k", 25, 2),
        row(Is::Version, "k", 21, 3),
        row(Is::Left, "k", 20, 4),
        row(Is::Left, "k", 22, 5),
        row(Is::Left, "k", 26, 6),
    ];
    assert_eq!(
        world.given(&rows, 23),
        [(4, Some(1)), (5, Some(3))],
        "before the deletion's time"
    );
    assert_eq!(world.given(&[], 100), [(6, Some(3))], "and behind it");
    assert_eq!(
        world.given(&[row(Is::Left, "k", 100, 7)], 200),
        [(7, Some(3))]
    );
}

#[test]
fn a_row_without_a_key_has_no_version_and_a_version_without_one_is_nobodys() {
    let rows = [row(Is::Version, "", 10, 1), row(Is::Left, "", 20, 2)];
    assert_eq!(World::new(true, 0).given(&rows, 100), [(2, None)]);
    assert_eq!(World::new(false, 0).given(&rows, 100), []);
}

#[test]
fn a_late_row_is_refused_and_a_late_version_counts_from_then_on() {
    let mut world = World::new(true, 0);
    world.given(&[row(Is::Version, "k", 10, 1)], 50);
    let rows = [
        row(Is::Left, "k", 50, 2),
        row(Is::Left, "k", 49, 3),
        // Valid since 30, which nobody knew.
        row(Is::Version, "k", 30, 4),
        // Replaced at 30.
        row(Is::Version, "k", 20, 5),
    ];
    assert_eq!(world.epoch(&rows, 60), (vec![1], vec![(2, Some(4))]));
}

#[test]
fn what_is_valid_is_restored_and_what_is_not_is_forgotten() {
    let mut world = World::new(true, 0);
    world.given(
        &[
            row(Is::Version, "a", 10, 1),
            row(Is::Version, "a", 20, 2),
            row(Is::Version, "b", 10, 3),
            row(Is::Version, "a", 90, 4),
            row(Is::Left, "a", 95, 5),
        ],
        50,
    );
    world.given(&[row(Is::Deletion, "b", 60, 6)], 70);
    let last = |log: &[Change], kind: u8| {
        let mut last = std::collections::BTreeMap::new();
        for change in log.iter().filter(|change| change.key[0] == kind) {
            last.insert(change.key.clone(), change.value.is_some());
        }
        last.values().filter(|lives| **lives).count()
    };
    assert_eq!(last(&world.log, 0x15), 1, "b is deleted");
    let spec = Arc::new(spec(true, 0));
    let mut again = World {
        shard: fresh(&spec, world.log.clone(), Some(70), None),
        log: world.log,
    };
    let rows = [row(Is::Left, "a", 89, 7), row(Is::Left, "b", 89, 8)];
    assert_eq!(
        again.given(&rows, 200),
        [(7, Some(2)), (8, None), (5, Some(4))]
    );
    assert_eq!(last(&again.log, 0x13), 0, "nothing waits any more");
}

#[test]
fn a_watermark_that_leaps_gives_rows_in_parts_that_a_restore_goes_on_from() {
    let spec = Arc::new(spec(true, 0));
    let folder = std::env::temp_dir().join(format!("headworks-temporal-{}", std::process::id()));
    // A result for each KiB at once.
    let pool = Pool::open(256 << 10, Some(folder.clone())).unwrap();
    let mut shard = StatePartition::new(spec.clone(), pool.clone());
    // A version, then three rows of its key, and so on.
    let is = |id| if id % 4 == 0 { Is::Version } else { Is::Left };
    let rows: Vec<Row> = (0..800).map(|id| row(is(id), "k", id, id)).collect();
    shard.add(&batch(&spec, &rows), 0).unwrap();
    let mut log = shard.prepare_commit(Some(0), 0).unwrap().changelog;
    shard.commit().unwrap();
    let mut found = Vec::new();
    for part in 0.. {
        let output = shard.prepare_commit(Some(10_000), 0).unwrap();
        let given = given(&output.results);
        assert!(given.len() <= 256, "{} at once", given.len());
        log.extend(output.changelog);
        shard.commit().unwrap();
        found.extend(given);
        if !output.more {
            break;
        }
        assert!(part < 5, "it comes to an end");
        shard = StatePartition::new(spec.clone(), pool.clone());
        for change in &log {
            shard.restore(&change.key, change.value.as_deref()).unwrap();
        }
        shard.restored(Some(10_000)).unwrap();
    }
    let expected: Vec<Given> = rows
        .iter()
        .filter(|row| row.is == Is::Left)
        .map(|row| (row.id, Some(row.id - row.id % 4)))
        .collect();
    assert_eq!(found, expected);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn more_than_fits_is_refused() {
    let spec = Arc::new(spec(true, 0));
    let pool = Pool::open(2_048, None).unwrap();
    let mut shard = StatePartition::new(spec.clone(), pool);
    let rows: Vec<Row> = (0..200).map(|at| row(Is::Version, "k", at, at)).collect();
    let error = shard.add(&batch(&spec, &rows), 0).unwrap_err();
    assert!(matches!(error, StateError::Full { .. }), "{error}");
}
