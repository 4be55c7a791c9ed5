//! State of interval joins over epochs that succeed, fail and are restored, held against an oracle that looks at a row at a
//! time and shares nothing with it; and rules that are broken, to see that it is noticed.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where it fails"
)]

mod cases;
#[path = "../common/compacted.rs"]
mod compacted;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, StringArray,
    TimestampMillisecondArray,
};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, TimeUnit};
use headworks_sql::join::{IntervalJoin, JoinKind, WindowJoin};
use headworks_sql::keyed::Operator;
use headworks_state::{Change, Mutant, Pool, Spec, StateError, StatePartition};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use compacted::compacted;

#[derive(Clone, Debug)]
struct Row {
    right: bool,
    key: Option<String>,
    time: i64,
    /// Which row it is.
    id: i64,
}

fn spec(kind: JoinKind, (lower, upper): (i64, i64), lateness: i64) -> Spec {
    let time = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    let schema = |fields: Vec<(&str, DataType)>| {
        let fields = fields.into_iter();
        let fields = fields.map(|(name, data_type)| Field::new(name, data_type, true));
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    };
    let join = IntervalJoin {
        kind,
        lower,
        upper,
        side: 2,
        left: vec![0, 1, 3],
        right: vec![4, 0],
        condition: None,
    };
    Spec {
        rows: schema(vec![
            ("k", DataType::Utf8),
            ("time", time.clone()),
            ("side", DataType::Boolean),
            ("l", DataType::Int64),
            ("r", DataType::Int64),
        ]),
        keys: 1,
        time: Some(1),
        window: None,
        operator: Operator::IntervalJoin(Box::new(join)),
        results: schema(vec![
            ("left_k", DataType::Utf8),
            ("left_time", time),
            ("l", DataType::Int64),
            ("r", DataType::Int64),
            ("right_k", DataType::Utf8),
        ]),
        allowed_lateness_ms: lateness,
        ttl_ms: None,
    }
}

fn batch(spec: &Spec, rows: &[Row]) -> RecordBatch {
    let keys: StringArray = rows.iter().map(|row| row.key.clone()).collect();
    let times: TimestampMillisecondArray = rows.iter().map(|row| Some(row.time)).collect();
    let sides: BooleanArray = rows.iter().map(|row| Some(row.right)).collect();
    let of = |right: bool| -> Int64Array {
        let ids = rows.iter();
        ids.map(|row| (row.right == right).then_some(row.id))
            .collect()
    };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(keys),
        Arc::new(times.with_timezone("UTC")),
        Arc::new(sides),
        Arc::new(of(false)),
        Arc::new(of(true)),
    ];
    RecordBatch::try_new(spec.rows.clone(), columns).unwrap()
}

/// The results as pairs of rows, by what they are; checks that the columns of a side are null together.
fn pairs(results: &[RecordBatch]) -> Vec<(Option<i64>, Option<i64>)> {
    let mut all = Vec::new();
    for batch in results {
        let l = batch.column(2).as_primitive::<Int64Type>();
        let r = batch.column(3).as_primitive::<Int64Type>();
        for row in 0..batch.num_rows() {
            assert_eq!(batch.column(1).is_null(row), l.is_null(row));
            let keys = (batch.column(0), batch.column(4));
            if l.is_valid(row) && r.is_valid(row) {
                let (left, right) = (keys.0.as_string::<i32>(), keys.1.as_string::<i32>());
                assert_eq!(left.value(row), right.value(row), "equal keys");
            }
            all.push((
                l.is_valid(row).then(|| l.value(row)),
                r.is_valid(row).then(|| r.value(row)),
            ));
        }
    }
    all
}

/// Everything that rows which aren't late make, each a row at a time.
fn oracle(
    rows: &[Row],
    kind: JoinKind,
    (lower, upper): (i64, i64),
) -> Vec<(Option<i64>, Option<i64>)> {
    let mut all = Vec::new();
    let pairs = |left: &Row, right: &Row| {
        left.key.is_some()
            && left.key == right.key
            && (lower..=upper).contains(&(left.time - right.time))
    };
    for left in rows.iter().filter(|row| !row.right) {
        let before = all.len();
        for right in rows.iter().filter(|row| row.right) {
            if pairs(left, right) {
                all.push((Some(left.id), Some(right.id)));
            }
        }
        let is_alone = all.len() == before;
        if kind.is_of_left() {
            all.truncate(before);
        }
        let given = match kind {
            JoinKind::Left | JoinKind::Full | JoinKind::Anti => is_alone,
            JoinKind::Semi => !is_alone,
            JoinKind::Inner | JoinKind::Right => false,
        };
        if given {
            all.push((Some(left.id), None));
        }
    }
    for right in rows.iter().filter(|row| row.right) {
        let alone = !rows.iter().any(|left| !left.right && pairs(left, right));
        if alone && matches!(kind, JoinKind::Right | JoinKind::Full) {
            all.push((None, Some(right.id)));
        }
    }
    all.sort_unstable();
    all
}

/// One run of rows that aren't late. Gives what differs.
fn run(seed: u64, mutant: Option<Mutant>) -> Result<(), String> {
    let mut random = SmallRng::seed_from_u64(seed);
    let kinds = [
        JoinKind::Inner,
        JoinKind::Left,
        JoinKind::Right,
        JoinKind::Full,
        JoinKind::Semi,
        JoinKind::Anti,
    ];
    let kind = kinds[random.random_range(0..kinds.len())];
    let lower = random.random_range(-60..40);
    let bounds = (lower, lower + random.random_range(0..80));
    let lateness = if random.random() { 0 } else { 7 };
    let spec = Arc::new(spec(kind, bounds, lateness));
    let pool = Pool::open(64 << 20, None).unwrap();
    let fresh = |log: Vec<Change>, watermark: Option<i64>| {
        let mut shard = StatePartition::new(spec.clone(), pool.clone());
        if let Some(mutant) = mutant {
            shard.break_rule(mutant);
        }
        for change in log {
            shard.restore(&change.key, change.value.as_deref()).unwrap();
        }
        shard.restored(watermark).unwrap();
        shard
    };
    let mut shard = fresh(Vec::new(), None);
    let (mut log, mut rows, mut found) = (Vec::new(), Vec::new(), Vec::new());
    // One side may be far ahead of the other.
    let mut clocks = [0_i64, random.random_range(-50..50)];
    let mut watermark: Option<i64> = None;
    let (keys, epochs) = (random.random_range(1..6), random.random_range(2..14));
    let mut next = 0;
    for epoch in 0..epochs {
        let is_last = epoch + 1 == epochs;
        let (mut trial, mut trial_clocks) = (Vec::new(), clocks);
        for _ in 0..random.random_range(0..4) {
            let some: Vec<Row> = (0..random.random_range(0..12))
                .map(|_| {
                    let right: bool = random.random();
                    let clock = &mut trial_clocks[usize::from(right)];
                    *clock += random.random_range(0..9);
                    // Out of order, but above the watermark.
                    let time = *clock - random.random_range(0..20);
                    next += 1;
                    let key = random.random_range(0..=keys);
                    Row {
                        right,
                        key: (key > 0).then(|| format!("k{key}")),
                        time: time.max(watermark.map_or(i64::MIN, |at| at + 1)),
                        id: next,
                    }
                })
                .collect();
            let late = shard.add(&batch(&spec, &some), 0).unwrap();
            assert_eq!(late, Vec::<u32>::new(), "a join refuses nothing");
            trial.extend(some);
            if random.random_bool(0.2) {
                shard.prepare_commit(watermark, 0).unwrap();
            }
        }
        let least = trial_clocks[0].min(trial_clocks[1]) - 20;
        let heard = if is_last {
            Some(i64::MAX)
        } else {
            Some(least).filter(|_| random.random_bool(0.8))
        };
        let output = shard.prepare_commit(heard, 0).unwrap();
        if !is_last && random.random_bool(0.2) {
            shard.abort();
        } else {
            found.extend(pairs(&output.results));
            log.extend(output.changelog);
            shard.commit().unwrap();
            rows.extend(trial);
            clocks = trial_clocks;
            watermark = watermark.max(heard);
        }
        if random.random_bool(0.3) {
            shard = fresh(compacted(&log, &mut random), watermark);
        }
    }
    found.sort_unstable();
    let expected = oracle(&rows, kind, bounds);
    if found != expected {
        return Err(format!(
            "{kind:?} {bounds:?}\nfound    {found:?}\nexpected {expected:?}"
        ));
    }
    let last: BTreeMap<&[u8], bool> = log
        .iter()
        .map(|change| (&change.key[..], change.value.is_some()))
        .collect();
    let in_log = last.iter().any(|(key, lives)| *lives && key[0] == 0x13);
    if in_log || shard.figures().keys > 0 {
        return Err("at the end something is left".to_owned());
    }
    Ok(())
}

#[test]
fn whatever_fails_the_pairs_are_those_of_the_rows() {
    for seed in 0..2_000 {
        if let Err(wrong) = run(seed, None) {
            panic!("seed {seed}: {wrong}");
        }
    }
}

#[test]
fn broken_rules_are_noticed() {
    let mutants = [Mutant::PaddedEarly, Mutant::CutTooSoon, Mutant::TimerLost];
    for mutant in mutants {
        let noticed = (0..200).any(|seed| run(seed, Some(mutant)).is_err());
        assert!(noticed, "{mutant:?}");
    }
}
