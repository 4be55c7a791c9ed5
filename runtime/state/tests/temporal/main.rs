//! State of temporal joins over epochs that succeed, fail and are restored, held against an oracle that looks at a row at a time and
//! shares nothing with it; and rules that are broken, to see that it is noticed.

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
use headworks_sql::join::TemporalJoin;
use headworks_sql::keyed::Operator;
use headworks_state::{Change, Mutant, Pool, Spec, StatePartition};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use compacted::compacted;

/// What a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Is {
    Left,
    Version,
    Deletion,
}

#[derive(Clone, Debug)]
struct Row {
    is: Is,
    key: Option<String>,
    time: i64,
    /// Which row it is; in the order in which they come.
    id: i64,
}

/// What a left row gives: it, and the version that it got.
type Given = (i64, Option<i64>);

fn spec(outer: bool, lateness: i64) -> Spec {
    let time = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    let schema = |fields: Vec<(&str, DataType)>| {
        let fields = fields.into_iter();
        let fields = fields.map(|(name, data_type)| Field::new(name, data_type, true));
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    };
    let join = TemporalJoin {
        outer,
        side: 2,
        deleted: 3,
        left: vec![0, 1, 4],
        right: vec![5, 0],
        condition: None,
    };
    Spec {
        rows: schema(vec![
            ("k", DataType::Utf8),
            ("time", time.clone()),
            ("side", DataType::Boolean),
            ("deleted", DataType::Boolean),
            ("l", DataType::Int64),
            ("r", DataType::Int64),
        ]),
        keys: 1,
        time: Some(1),
        window: None,
        operator: Operator::TemporalJoin(Box::new(join)),
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
    let mark =
        |is: fn(Is) -> bool| -> BooleanArray { rows.iter().map(|row| Some(is(row.is))).collect() };
    let of = |is: Is| -> Int64Array {
        let ids = rows.iter();
        ids.map(|row| (row.is == is).then_some(row.id)).collect()
    };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(keys),
        Arc::new(times.with_timezone("UTC")),
        Arc::new(mark(|is| is != Is::Left)),
        Arc::new(mark(|is| is == Is::Deletion)),
        Arc::new(of(Is::Left)),
        Arc::new(of(Is::Version)),
    ];
    RecordBatch::try_new(spec.rows.clone(), columns).unwrap()
}

/// The results, in their order; checks that keys are equal, and that the columns of a side are null together.
fn given(results: &[RecordBatch]) -> Vec<Given> {
    let mut all = Vec::new();
    for batch in results {
        let l = batch.column(2).as_primitive::<Int64Type>();
        let r = batch.column(3).as_primitive::<Int64Type>();
        let keys = (batch.column(0), batch.column(4));
        let keys = (keys.0.as_string::<i32>(), keys.1.as_string::<i32>());
        for row in 0..batch.num_rows() {
            assert!(l.is_valid(row) && batch.column(1).is_valid(row));
            assert_eq!(r.is_valid(row), keys.1.is_valid(row));
            if r.is_valid(row) {
                assert_eq!(keys.0.value(row), keys.1.value(row), "equal keys");
            }
            all.push((l.value(row), r.is_valid(row).then(|| r.value(row))));
        }
    }
    all
}

/// What a left row gets: of the rows of its key that are valid from its time on or earlier the last by time, and of one time by
/// arrival. A deletion takes away what was there when it came, so it says nothing about a version that came after it.
fn version_of(left: &Row, rows: &[Row]) -> Option<i64> {
    let of_key = || {
        rows.iter()
            .filter(|row| row.is != Is::Left && row.key.is_some() && row.key == left.key)
    };
    let counts = |row: &&Row| {
        row.is == Is::Version
            || !of_key().any(|v| v.is == Is::Version && v.id > row.id && v.time <= row.time)
    };
    let known = of_key().filter(|row| row.time <= left.time);
    let last = known.filter(counts).max_by_key(|row| (row.time, row.id))?;
    (last.is == Is::Version).then_some(last.id)
}

fn oracle(rows: &[Row], outer: bool) -> Vec<Given> {
    let left = rows.iter().filter(|row| row.is == Is::Left);
    let mut all: Vec<Given> = left.map(|row| (row.id, version_of(row, rows))).collect();
    all.retain(|(_, version)| outer || version.is_some());
    all.sort_unstable();
    all
}

/// A state that was made anew from a log.
fn fresh(
    spec: &Arc<Spec>,
    log: Vec<Change>,
    watermark: Option<i64>,
    mutant: Option<Mutant>,
) -> StatePartition {
    let pool = Pool::open(64 << 20, None).unwrap();
    let mut shard = StatePartition::new(spec.clone(), pool);
    if let Some(mutant) = mutant {
        shard.break_rule(mutant);
    }
    for change in log {
        shard.restore(&change.key, change.value.as_deref()).unwrap();
    }
    shard.restored(watermark).unwrap();
    shard
}

/// Some rows that aren't late. `clocks`: of the left side and of the right one; `next`: the number of the last row.
fn some(
    random: &mut SmallRng,
    clocks: &mut [i64; 2],
    watermark: Option<i64>,
    next: &mut i64,
) -> Vec<Row> {
    let count = random.random_range(0..12);
    let row = |_| {
        let is = match random.random_range(0..7) {
            0..=3 => Is::Left,
            4 | 5 => Is::Version,
            _ => Is::Deletion,
        };
        let clock = &mut clocks[usize::from(is != Is::Left)];
        *clock += random.random_range(0..9);
        // Out of order, but above the watermark; a deletion's clock may be ahead of the rows'.
        let time = match is {
            Is::Deletion => *clock + random.random_range(-5..15),
            _ => *clock - random.random_range(0..20),
        };
        *next += 1;
        let key = random.random_range(0..4);
        Row {
            is,
            key: (key > 0).then(|| format!("k{key}")),
            time: time.max(watermark.map_or(i64::MIN, |at| at + 1)),
            id: *next,
        }
    };
    (0..count).map(row).collect()
}

/// One run of rows that aren't late. Gives what differs.
fn run(seed: u64, mutant: Option<Mutant>) -> Result<(), String> {
    let random = &mut SmallRng::seed_from_u64(seed);
    let outer: bool = random.random();
    let lateness = if random.random() { 0 } else { 7 };
    let spec = Arc::new(spec(outer, lateness));
    let mut shard = fresh(&spec, Vec::new(), None, mutant);
    let (mut log, mut rows, mut found) = (Vec::new(), Vec::new(), Vec::new());
    // One side may be far ahead of the other.
    let mut clocks = [0_i64, random.random_range(-50..50)];
    let mut watermark: Option<i64> = None;
    let epochs = random.random_range(2..14);
    let mut next = 0;
    for epoch in 0..epochs {
        let is_last = epoch + 1 == epochs;
        let (mut trial, mut trial_clocks) = (Vec::new(), clocks);
        for _ in 0..random.random_range(0..4) {
            let some = some(random, &mut trial_clocks, watermark, &mut next);
            let late = shard.add(&batch(&spec, &some), 0).unwrap();
            if late != Vec::<u32>::new() {
                return Err(format!("rows are late: {late:?} of {some:?}"));
            }
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
            found.extend(given(&output.results));
            log.extend(output.changelog);
            shard.commit().unwrap();
            rows.extend(trial);
            clocks = trial_clocks;
            watermark = watermark.max(heard);
        }
        if random.random_bool(0.3) {
            shard = fresh(&spec, compacted(&log, random), watermark, mutant);
        }
    }
    found.sort_unstable();
    let expected = oracle(&rows, outer);
    if found != expected {
        return Err(format!(
            "outer {outer}\nfound    {found:?}\nexpected {expected:?}\nrows {rows:?}"
        ));
    }
    let last: BTreeMap<&[u8], bool> = log
        .iter()
        .map(|change| (&change.key[..], change.value.is_some()))
        .collect();
    if last.iter().any(|(key, lives)| *lives && key[0] == 0x13) {
        return Err("at the end rows are left".to_owned());
    }
    Ok(())
}

#[test]
fn whatever_fails_a_row_gets_what_was_valid_at_its_time() {
    for seed in 0..2_000 {
        if let Err(wrong) = run(seed, None) {
            panic!("seed {seed}: {wrong}");
        }
    }
}

#[test]
fn broken_rules_are_noticed() {
    let mutants = [
        Mutant::GivenEarly,
        Mutant::NewestVersion,
        Mutant::DeletionIgnored,
        Mutant::VersionGone,
        Mutant::HistoryLost,
    ];
    for mutant in mutants {
        let noticed = (0..200).any(|seed| run(seed, Some(mutant)).is_err());
        assert!(noticed, "{mutant:?}");
    }
}
