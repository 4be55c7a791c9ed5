//! State of OVER over epochs that succeed, fail and are restored, held against an oracle that looks at a row at a time and shares
//! nothing with it; and rules that are broken, to see that it is noticed.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where it fails"
)]

#[path = "../common/compacted.rs"]
mod compacted;
mod parts;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray,
};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, TimeUnit, TimestampMillisecondType};
use headworks_sql::keyed::over::{Frame, Over, OverFunction};
use headworks_sql::keyed::{Aggregate, Function, Operator};
use headworks_sql::types::DataType as Sql;
use headworks_state::{Change, Mutant, Pool, Spec, StateError, StatePartition};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use compacted::compacted;

/// A row: its key, its time, a number that may be null, and which row it is.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    key: Option<String>,
    time: i64,
    n: Option<i64>,
    id: i64,
}

/// Which functions there are. The first seven are aggregates of the frame.
const FUNCTIONS: usize = 12;

fn functions() -> Vec<OverFunction> {
    let aggregate = |function, argument| {
        OverFunction::Aggregate(Aggregate {
            function,
            argument,
            filter: None,
            distinct: false,
            data_type: Sql::BigInt,
        })
    };
    let lag = |offset, default| OverFunction::Lag {
        column: 2,
        offset,
        default,
        data_type: Sql::BigInt,
    };
    vec![
        aggregate(Function::Count, None),
        aggregate(Function::Count, Some(2)),
        aggregate(Function::Sum, Some(2)),
        aggregate(Function::Min, Some(2)),
        aggregate(Function::Max, Some(2)),
        aggregate(Function::FirstValue, Some(2)),
        aggregate(Function::LastValue, Some(2)),
        lag(1, None),
        lag(3, Some(3)),
        OverFunction::RowNumber,
        OverFunction::Rank,
        OverFunction::DenseRank,
    ]
}

fn spec(frame: Frame, which: &[usize], lateness: i64) -> Spec {
    let time = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    let rows = vec![
        Field::new("k", DataType::Utf8, true),
        Field::new("time", time, true),
        Field::new("n", DataType::Int64, true),
        Field::new("id", DataType::Int64, true),
    ];
    let mut results = rows.clone();
    results.extend(
        which
            .iter()
            .map(|at| Field::new(format!("f{at}"), DataType::Int64, true)),
    );
    let all = functions();
    let over = Over {
        frame,
        functions: which.iter().map(|at| all[*at].clone()).collect(),
    };
    Spec {
        rows: Arc::new(Schema::new(rows)),
        keys: 1,
        time: Some(1),
        window: None,
        operator: Operator::Over(Box::new(over)),
        results: Arc::new(Schema::new(results)),
        allowed_lateness_ms: lateness,
        ttl_ms: None,
    }
}

fn batch(spec: &Spec, rows: &[Row]) -> RecordBatch {
    let keys: StringArray = rows.iter().map(|row| row.key.clone()).collect();
    let times: TimestampMillisecondArray = rows.iter().map(|row| Some(row.time)).collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(keys),
        Arc::new(times.with_timezone("UTC")),
        Arc::new(rows.iter().map(|row| row.n).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|row| Some(row.id)).collect::<Int64Array>()),
    ];
    RecordBatch::try_new(spec.rows.clone(), columns).unwrap()
}

/// A result: the row, and what is computed for it.
type Given = (Row, Vec<Option<i64>>);

fn given(results: &[RecordBatch]) -> Vec<Given> {
    let mut all = Vec::new();
    for batch in results {
        let number = |column: usize, row: usize| {
            let array = batch.column(column).as_primitive::<Int64Type>();
            array.is_valid(row).then(|| array.value(row))
        };
        let keys = batch.column(0).as_string::<i32>();
        let times = batch.column(1).as_primitive::<TimestampMillisecondType>();
        for row in 0..batch.num_rows() {
            let of = Row {
                key: keys.is_valid(row).then(|| keys.value(row).to_owned()),
                time: times.value(row),
                n: number(2, row),
                id: number(3, row).unwrap(),
            };
            let computed = (4..batch.num_columns()).map(|column| number(column, row));
            all.push((of, computed.collect()));
        }
    }
    all
}

/// What each row gives, a row at a time. `rows` are in the order in which they came.
fn oracle(rows: &[Row], frame: Frame, which: &[usize]) -> Vec<Given> {
    let mut sorted: Vec<&Row> = rows.iter().collect();
    // Stable: rows of one time stay in the order in which they came.
    sorted.sort_by_key(|row| row.time);
    let one = |row: &Row| {
        let of_key: Vec<&Row> = sorted
            .iter()
            .copied()
            .filter(|r| r.key == row.key)
            .collect();
        let at = of_key.iter().position(|r| r.id == row.id).unwrap();
        let framed: Vec<&Row> = match frame {
            Frame::Rows { preceding } => {
                let from = preceding.map_or(0, |n| at.saturating_sub(n as usize));
                of_key[from..=at].to_vec()
            }
            Frame::Range { preceding_ms } => {
                let all = of_key.iter().copied().filter(|r| r.time <= row.time);
                all.filter(|r| preceding_ms.is_none_or(|ms| r.time >= row.time - ms))
                    .collect()
            }
        };
        let values: Vec<i64> = framed.iter().filter_map(|r| r.n).collect();
        let lag = |offset: usize| at.checked_sub(offset).map(|before| of_key[before].n);
        let earlier = of_key.iter().filter(|r| r.time < row.time).count() as i64;
        let mut times: Vec<i64> = of_key
            .iter()
            .map(|r| r.time)
            .filter(|t| *t <= row.time)
            .collect();
        times.dedup();
        let all: [Option<i64>; FUNCTIONS] = [
            Some(framed.len() as i64),
            Some(values.len() as i64),
            (!values.is_empty()).then(|| values.iter().sum()),
            values.iter().min().copied(),
            values.iter().max().copied(),
            values.first().copied(),
            values.last().copied(),
            lag(1).flatten(),
            lag(3).unwrap_or(Some(row.id)),
            Some(at as i64 + 1),
            Some(earlier + 1),
            Some(times.len() as i64),
        ];
        (row.clone(), which.iter().map(|at| all[*at]).collect())
    };
    sorted.iter().map(|row| one(row)).collect()
}

fn frame(random: &mut SmallRng) -> Frame {
    match random.random_range(0..4) {
        0 => Frame::Rows { preceding: None },
        1 => Frame::Range { preceding_ms: None },
        2 => Frame::Rows {
            preceding: Some(random.random_range(0..6)),
        },
        _ => Frame::Range {
            preceding_ms: Some(random.random_range(0..40)),
        },
    }
}

/// One run of rows that aren't late. Gives what differs.
fn run(seed: u64, mutant: Option<Mutant>) -> Result<(), String> {
    let mut random = SmallRng::seed_from_u64(seed);
    let frame = frame(&mut random);
    let mut which: Vec<usize> = (0..FUNCTIONS).collect();
    // Without some of them less is kept.
    which.retain(|_| random.random_bool(0.6));
    let lateness = if random.random() { 0 } else { 7 };
    let spec = Arc::new(spec(frame, &which, lateness));
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
    let mut clock = 0_i64;
    let mut watermark: Option<i64> = None;
    let (keys, epochs) = (random.random_range(1..6), random.random_range(2..14));
    let mut next = 0;
    for epoch in 0..epochs {
        let is_last = epoch + 1 == epochs;
        let (mut trial, mut trial_clock) = (Vec::new(), clock);
        for _ in 0..random.random_range(0..4) {
            let some: Vec<Row> = (0..random.random_range(0..12))
                .map(|_| {
                    trial_clock += random.random_range(0..6);
                    // Out of order, but not behind the watermark.
                    let time = trial_clock - random.random_range(0..20);
                    next += 1;
                    let key = random.random_range(0..=keys);
                    Row {
                        key: (key > 0).then(|| format!("k{key}")),
                        time: time.max(watermark.unwrap_or(i64::MIN)),
                        n: random.random_bool(0.8).then(|| random.random_range(-9..10)),
                        id: next,
                    }
                })
                .collect();
            let late = shard.add(&batch(&spec, &some), 0).unwrap();
            if !late.is_empty() {
                return Err(format!("{late:?} are late"));
            }
            trial.extend(some);
            if random.random_bool(0.2) {
                shard.prepare_commit(watermark, 0).unwrap();
            }
        }
        let heard = if is_last {
            Some(i64::MAX)
        } else {
            Some(trial_clock - 20).filter(|_| random.random_bool(0.8))
        };
        let output = shard.prepare_commit(heard, 0).unwrap();
        if !is_last && random.random_bool(0.2) {
            shard.abort();
        } else {
            found.extend(given(&output.results));
            log.extend(output.changelog);
            shard.commit().unwrap();
            rows.extend(trial);
            clock = trial_clock;
            watermark = watermark.max(heard);
        }
        if random.random_bool(0.3) {
            shard = fresh(compacted(&log, &mut random), watermark);
        }
    }
    // Given in the order of time, so as they are.
    let expected = oracle(&rows, frame, &which);
    if found != expected {
        return Err(format!(
            "{frame:?} {which:?}\nfound    {found:?}\nexpected {expected:?}"
        ));
    }
    let last: BTreeMap<&[u8], bool> = log
        .iter()
        .map(|change| (&change.key[..], change.value.is_some()))
        .collect();
    if last.iter().any(|(key, lives)| *lives && key[0] == 0x13) {
        return Err("at the end rows wait still".to_owned());
    }
    Ok(())
}

#[test]
fn whatever_fails_each_row_is_given_with_those_before_it() {
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
        Mutant::PeersSplit,
        Mutant::FrameLonger,
        Mutant::HistoryLost,
    ];
    for mutant in mutants {
        let noticed = (0..200).any(|seed| run(seed, Some(mutant)).is_err());
        assert!(noticed, "{mutant:?}");
    }
}

fn row(key: &str, time: i64, n: i64) -> Row {
    Row {
        key: Some(key.to_owned()),
        time,
        n: Some(n),
        id: n,
    }
}

const SUM: usize = 2;
const LAG: usize = 7;

/// Of rows, which each is, and what is computed for it.
type Sums = Vec<(i64, Option<i64>)>;

/// Adds rows epoch by epoch, and gives what comes by each watermark: number, and what is computed.
fn epochs(spec: &Arc<Spec>, steps: &[(&[Row], i64)]) -> (Vec<Sums>, Vec<Vec<u32>>, StatePartition) {
    let mut shard = StatePartition::new(spec.clone(), Pool::open(1 << 20, None).unwrap());
    let (mut all, mut late) = (Vec::new(), Vec::new());
    for (rows, watermark) in steps {
        late.push(shard.add(&batch(spec, rows), 0).unwrap());
        let output = shard.prepare_commit(Some(*watermark), 0).unwrap();
        shard.commit().unwrap();
        let given = given(&output.results).into_iter();
        all.push(given.map(|(row, computed)| (row.id, computed[0])).collect());
    }
    (all, late, shard)
}

#[test]
fn a_row_is_given_once_the_watermark_is_past_it_and_late_behind_that() {
    let spec = Arc::new(spec(Frame::Rows { preceding: None }, &[SUM], 0));
    let (given, late, _) = epochs(
        &spec,
        &[
            (&[row("a", 100, 1), row("a", 90, 2)], 99),
            // At the watermark still in time, behind it not.
            (&[row("a", 99, 4), row("a", 98, 8)], 100),
            (&[row("a", 100, 16)], 101),
        ],
    );
    assert_eq!(
        given,
        [
            vec![(2, Some(2))],
            vec![(4, Some(6))],
            vec![(1, Some(7)), (16, Some(23))]
        ]
    );
    assert_eq!(late, [vec![], vec![1], vec![]]);
}

#[test]
fn rows_of_one_time_are_in_each_others_range_and_rows_are_in_the_order_in_which_they_came() {
    let rows = [
        row("a", 10, 1),
        row("a", 10, 2),
        row("b", 10, 4),
        row("a", 20, 8),
    ];
    let of = |frame, which| {
        let spec = Arc::new(spec(frame, &[which], 0));
        epochs(&spec, &[(&rows, i64::MAX)]).0.remove(0)
    };
    let peers = of(
        Frame::Range {
            preceding_ms: Some(10),
        },
        SUM,
    );
    assert_eq!(
        peers,
        [(1, Some(3)), (2, Some(3)), (4, Some(4)), (8, Some(11))]
    );
    let short = of(
        Frame::Range {
            preceding_ms: Some(9),
        },
        SUM,
    );
    assert_eq!(
        short,
        [(1, Some(3)), (2, Some(3)), (4, Some(4)), (8, Some(8))]
    );
    let by_row = of(Frame::Rows { preceding: Some(1) }, SUM);
    assert_eq!(
        by_row,
        [(1, Some(1)), (2, Some(3)), (4, Some(4)), (8, Some(10))]
    );
    let lag = of(Frame::Range { preceding_ms: None }, LAG);
    assert_eq!(lag, [(1, None), (2, Some(1)), (4, None), (8, Some(2))]);
}

#[test]
fn what_no_frame_takes_in_any_more_is_gone() {
    let frame = Frame::Range {
        preceding_ms: Some(50),
    };
    let spec = Arc::new(spec(frame, &[SUM], 0));
    let (_, _, shard) = epochs(&spec, &[(&[row("a", 100, 1)], 150)]);
    assert_eq!(shard.figures().keys, 1, "a row of 149 + 1 looks back to it");
    let (_, _, shard) = epochs(&spec, &[(&[row("a", 100, 1)], 150), (&[], 152)]);
    assert_eq!(shard.figures().keys, 0);
}

#[test]
fn rows_that_take_more_than_there_is_say_so() {
    let spec = Arc::new(spec(Frame::Rows { preceding: None }, &[SUM], 0));
    let pool = Pool::open(4_096, None).unwrap();
    let mut shard = StatePartition::new(spec.clone(), pool);
    let many: Vec<Row> = (0..1_000).map(|n| row("a", n, n)).collect();
    let error = shard.add(&batch(&spec, &many), 0).unwrap_err();
    assert!(matches!(error, StateError::Full { .. }));
}
