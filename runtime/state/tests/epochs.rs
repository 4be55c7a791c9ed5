//! Random rows in random epochs, with aborts, restarts from a compacted changelog and too little memory: the
//! answers must be those of the oracle.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::sync::Arc;

use arrow::array::RecordBatch;
use common::oracle::Oracle;
use common::{Row, aggregates, batch, compacted, lines, spec};
use headworks_sql::keyed::{Operator, Order, Rank, Window};
use headworks_state::{Change, Pool, Spec, StatePartition};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

fn rank(random: &mut SmallRng, limit: u32) -> Operator {
    let descending = random.random();
    let order = |column| Order {
        column,
        descending,
        nulls_first: !descending,
    };
    Operator::Rank(Rank {
        order: if random.random() {
            vec![order(2)]
        } else {
            vec![order(3), order(7)]
        },
        limit,
    })
}

fn some_aggregates(random: &mut SmallRng) -> Operator {
    let mut all = aggregates();
    all.retain(|_| random.random_bool(0.5));
    Operator::Aggregate(all)
}

/// Restores a state partition from what compaction left of the log.
fn restored(
    spec: &Arc<Spec>,
    pool: &Pool,
    log: &[Change],
    watermark: Option<i64>,
    random: &mut SmallRng,
) -> StatePartition {
    let mut shard = StatePartition::new(spec.clone(), pool.clone());
    for change in compacted(log, random) {
        shard.restore(&change.key, change.value.as_deref()).unwrap();
    }
    shard.restored(watermark).unwrap();
    shard
}

/// Where the windows' ends are in a line.
fn end_of(line: &str) -> i64 {
    line.split(',').nth(3).unwrap().parse().unwrap()
}

fn check(mut found: Vec<String>, expected: Vec<String>, windowed: bool, epoch: usize) {
    if windowed {
        let in_order = found.is_sorted_by_key(|line| end_of(line));
        assert!(in_order, "windows in order of their end");
        found.sort_by_key(|line| (end_of(line), line.clone()));
    } else {
        found.sort();
    }
    assert_eq!(found, expected, "results of epoch {epoch}");
}

fn run(seed: u64, window: Option<Window>, operator: Operator, pool: &Pool) {
    let mut random = SmallRng::seed_from_u64(seed);
    let lateness = if random.random() { 0 } else { 7 };
    let ttl = (window.is_none() && random.random()).then_some(1000);
    let spec = Arc::new(spec(window, operator.clone(), lateness, ttl));
    let mut shard = StatePartition::new(spec.clone(), pool.clone());
    let mut oracle = Oracle::new(window, operator, lateness, ttl);
    let mut log: Vec<Change> = Vec::new();
    let keys = random.random_range(1..30);
    let mut time = random.random_range(-100..100);
    let mut now = 0;
    let epochs = random.random_range(2..16);
    for epoch in 0..epochs {
        let mut trial = oracle.clone();
        now += random.random_range(1..400);
        for _ in 0..random.random_range(0..4) {
            let rows: Vec<Row> = (0..random.random_range(0..40))
                .map(|_| {
                    time += random.random_range(0..3);
                    let at = time - random.random_range(0..60);
                    Row::random(&mut random, keys, at)
                })
                .collect();
            let late = shard.add(&batch(&spec, &rows), now).unwrap();
            let expected: Vec<u32> = rows
                .iter()
                .enumerate()
                .filter(|(_, row)| trial.add(row, now))
                .map(|(i, _)| i as u32)
                .collect();
            assert_eq!(late, expected, "late rows of epoch {epoch}");
            if random.random_bool(0.2) {
                shard.prepare_commit(Some(time), now).unwrap();
            }
        }
        let watermark = if epoch + 1 == epochs {
            Some(i64::MAX)
        } else {
            Some(time - random.random_range(0..80)).filter(|_| random.random_bool(0.9))
        };
        let mut output = shard.prepare_commit(watermark, now).unwrap();
        let mut found = lines(&output.results);
        let aborted = epoch + 1 < epochs && random.random_bool(0.2);
        if aborted {
            shard.abort();
        } else {
            let expected = trial.prepare_commit(watermark);
            log.append(&mut output.changelog);
            shard.commit().unwrap();
            while output.more {
                if random.random_bool(0.1) {
                    shard = restored(&spec, pool, &log, trial.watermark, &mut random);
                }
                output = shard.prepare_commit(None, now).unwrap();
                found.extend(lines(&output.results));
                log.append(&mut output.changelog);
                shard.commit().unwrap();
            }
            check(found, expected.results, window.is_some(), epoch);
            oracle = trial;
        }
        if random.random_bool(0.3) {
            shard = restored(&spec, pool, &log, oracle.watermark, &mut random);
        }
    }
    if window.is_some() {
        let left = shard.figures().keys;
        assert_eq!(left, 0, "at the end nothing is left");
    }
}

/// Runs seeds, and names the one that fails.
fn seeds(count: u64, pool: &Pool, kind: impl Fn(&mut SmallRng) -> (Option<Window>, Operator)) {
    for seed in 0..count {
        let (window, operator) = kind(&mut SmallRng::seed_from_u64(seed));
        let what = format!("seed {seed}: {window:?} {operator:?}");
        let run = || run(seed, window, operator, pool);
        if let Err(panic) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)) {
            eprintln!("{what}");
            std::panic::resume_unwind(panic);
        }
    }
}

fn unbounded() -> Pool {
    Pool::open(u64::MAX, None).unwrap()
}

fn window(random: &mut SmallRng) -> Window {
    let (step, count) = (random.random_range(1..20), random.random_range(1..6));
    let offset = random.random_range(0..step);
    match random.random_range(0..3) {
        0 => Window::Tumble {
            size: step * count,
            offset,
        },
        1 => Window::Hop {
            size: step * count,
            slide: step,
            offset,
        },
        _ => Window::Cumulate {
            max: step * count,
            step,
            offset,
        },
    }
}

/// The same with so little memory that nearly everything goes to the disk, and that bases and parts are small.
fn scarce(name: &str, count: u64, kind: impl Fn(&mut SmallRng) -> (Option<Window>, Operator)) {
    let name = format!("headworks-state-{}-{name}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    let pool = Pool::open(24 * 1024, Some(folder.clone())).unwrap();
    seeds(count, &pool, kind);
    drop(pool);
    std::fs::remove_dir_all(folder).unwrap();
}

fn session(random: &mut SmallRng) -> Window {
    Window::Session {
        gap: random.random_range(1..25),
    }
}

#[test]
fn aggregates_in_windows() {
    seeds(400, &unbounded(), |random| {
        (Some(window(random)), some_aggregates(random))
    });
}

#[test]
fn aggregates_without_windows() {
    seeds(250, &unbounded(), |random| (None, some_aggregates(random)));
}

#[test]
fn top_n_in_windows() {
    seeds(250, &unbounded(), |random| {
        let limit = random.random_range(1..5);
        (Some(window(random)), rank(random, limit))
    });
}

#[test]
fn deduplication() {
    seeds(250, &unbounded(), |random| (None, rank(random, 1)));
}

#[test]
fn aggregates_in_sessions() {
    seeds(400, &unbounded(), |random| {
        (Some(session(random)), some_aggregates(random))
    });
}

#[test]
fn top_n_in_sessions() {
    seeds(200, &unbounded(), |random| {
        let limit = random.random_range(1..5);
        (Some(session(random)), rank(random, limit))
    });
}

#[test]
fn windows_with_little_memory() {
    scarce("windows", 12, |random| {
        (Some(window(random)), some_aggregates(random))
    });
}

#[test]
fn sessions_with_little_memory() {
    scarce("sessions", 40, |random| {
        (Some(session(random)), some_aggregates(random))
    });
}

#[test]
fn deduplication_with_little_memory() {
    scarce("ranks", 40, |random| (None, rank(random, 1)));
}

#[test]
fn upserts_with_little_memory() {
    scarce("upserts", 40, |random| (None, some_aggregates(random)));
}

#[test]
fn a_key_is_gone_after_its_ttl_and_begins_anew() {
    let ttl = Some(100);
    let count = Operator::Aggregate(aggregates().into_iter().take(1).collect());
    let spec = Arc::new(spec(None, count, 0, ttl));
    let mut random = SmallRng::seed_from_u64(1);
    let row = Row::random(&mut random, 1, 0);
    let pool = unbounded();
    let mut shard = StatePartition::new(spec.clone(), pool.clone());
    let mut log = Vec::new();
    let mut epoch = |shard: &mut StatePartition, rows: &[Row], now: i64| {
        shard.add(&batch(&spec, rows), now).unwrap();
        let output = shard.prepare_commit(None, now).unwrap();
        log.extend(output.changelog);
        shard.commit().unwrap();
        (lines(&output.results), lines(&output.gone))
    };
    let none = Vec::<String>::new();
    let rows = [row.clone(), row.clone()];
    assert_eq!(
        epoch(&mut shard, &rows, 0),
        (vec!["-,0,2".into()], none.clone())
    );
    assert_eq!(epoch(&mut shard, &[], 99), (none.clone(), none.clone()));
    assert_eq!(
        epoch(&mut shard, &rows, 99),
        (vec!["-,0,4".into()], none.clone())
    );
    assert_eq!(epoch(&mut shard, &[], 198), (none.clone(), none.clone()));
    // Rows that come when it is over find nothing, and it isn't gone.
    assert_eq!(
        epoch(&mut shard, &rows, 199),
        (vec!["-,0,2".into()], none.clone())
    );
    let gone = vec!["-,0".to_owned()];
    assert_eq!(epoch(&mut shard, &[], 299), (none.clone(), gone));
    assert_eq!(epoch(&mut shard, &[], 300), (none.clone(), none.clone()));
    assert_eq!(epoch(&mut shard, &rows, 310), (vec!["-,0,2".into()], none));
    // A restart doesn't make it younger.
    let mut shard = restored(&spec, &pool, &log, None, &mut random);
    assert_eq!(shard.figures().keys, 1);
    assert!(shard.prepare_commit(None, 409).unwrap().gone.is_empty());
    assert_eq!(
        lines(&shard.prepare_commit(None, 410).unwrap().gone),
        ["-,0"]
    );
}

#[test]
fn keys_are_gone_even_if_nothing_else_happens() {
    let count = Operator::Aggregate(aggregates().into_iter().take(1).collect());
    let spec = Arc::new(spec(None, count, 0, Some(100)));
    let mut random = SmallRng::seed_from_u64(1);
    let mut shard = StatePartition::new(spec.clone(), unbounded());
    // More than one search sees; the last ones are older.
    for (now, keys) in [(0, 10_000..10_010), (50, 0..5_000)] {
        let row = Row::random(&mut random, 1, 0);
        let rows: Vec<Row> = keys.map(|id| Row { id, ..row.clone() }).collect();
        shard.add(&batch(&spec, &rows), now).unwrap();
        shard.prepare_commit(None, now).unwrap();
        shard.commit().unwrap();
    }
    let mut gone = 0;
    for _ in 0..100 {
        let output = shard.prepare_commit(None, 150).unwrap();
        let rows: usize = output.gone.iter().map(RecordBatch::num_rows).sum();
        gone += rows;
        if rows > 0 {
            shard.commit().unwrap();
        } else {
            shard.abort();
        }
    }
    assert_eq!((gone, shard.figures().keys), (5_010, 0));
}

#[test]
fn a_changelog_is_bounded_by_the_state() {
    let memory = Pool::open(1 << 20, None).unwrap();
    let day = Window::Tumble {
        size: 86_400_000,
        offset: 0,
    };
    for window in [day, Window::Session { gap: 1_000_000 }] {
        let count = Operator::Aggregate(aggregates().into_iter().take(1).collect());
        let spec = Arc::new(spec(Some(window), count, 0, None));
        let mut random = SmallRng::seed_from_u64(1);
        let mut shard = StatePartition::new(spec.clone(), memory.clone());
        let mut log = std::collections::BTreeMap::new();
        for epoch in 0..600 {
            let rows: Vec<Row> = (0..200)
                .map(|_| Row::random(&mut random, 500, epoch))
                .collect();
            shard.add(&batch(&spec, &rows), 0).unwrap();
            for change in shard.prepare_commit(None, 0).unwrap().changelog {
                match change.value {
                    Some(value) => log.insert(change.key, value.len()),
                    None => log.remove(&change.key),
                };
            }
            shard.commit().unwrap();
        }
        let bytes: usize = log.values().sum();
        // 500 keys are some 20 KiB; 600 epochs' deltas would be 100 times that.
        assert!(bytes < 400 * 1024, "{window:?}: {bytes}");
        let mut output = shard.prepare_commit(Some(i64::MAX), 0).unwrap();
        output.changelog.retain(|c| c.value.is_none());
        let left = output.changelog.iter().map(|c| log.remove(&c.key));
        assert!(left.count() > 0, "{window:?}: tombstones");
        assert!(
            log.keys().all(|key| key[0] == 0x12),
            "{window:?}: all but the mark is gone"
        );
    }
}

#[test]
fn a_window_that_an_earlier_version_kept_a_millisecond_longer_gives_its_result_once() {
    let tumble = Window::Tumble {
        size: 10,
        offset: 0,
    };
    for window in [tumble, Window::Session { gap: 5 }] {
        let count = Operator::Aggregate(aggregates().into_iter().take(1).collect());
        let spec = Arc::new(spec(Some(window), count, 0, None));
        let mut random = SmallRng::seed_from_u64(1);
        let pool = unbounded();
        let rows = [Row::random(&mut random, 1, 5)];
        let mut shard = StatePartition::new(spec.clone(), pool.clone());
        shard.add(&batch(&spec, &rows), 0).unwrap();
        let mut log = shard.prepare_commit(Some(8), 0).unwrap().changelog;
        shard.commit().unwrap();
        // Its commit said 9, and the window, which ends at 10, was open by the rule of then.
        let mut shard = restored(&spec, &pool, &log, Some(9), &mut random);
        if window == tumble {
            let late = shard.add(&batch(&spec, &rows), 0).unwrap();
            assert_eq!(late, [0], "it is over all the same");
        }
        let mut given = Vec::new();
        for watermark in [9, 10, 20] {
            let output = shard.prepare_commit(Some(watermark), 0).unwrap();
            given.extend(lines(&output.results));
            log.extend(output.changelog);
            shard.commit().unwrap();
            shard = restored(&spec, &pool, &log, Some(watermark), &mut random);
        }
        assert_eq!(given.len(), 1, "{window:?}: {given:?}");
        assert_eq!(shard.figures().keys, 0, "{window:?}");
    }
}
