//! Rows of a test, as structs and as columns.

pub mod oracle;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Float64Array, Int32Array, Int64Array,
    RecordBatch, StringArray, TimestampMillisecondArray,
};
use arrow::datatypes::{
    DataType as Arrow, Decimal128Type, Float64Type, Int32Type, Int64Type, TimestampMillisecondType,
};
use headworks_sql::keyed::{Aggregate, Function, Operator, Window};
use headworks_sql::schema::{Column, Schema};
use headworks_sql::types::DataType;
use headworks_state::{Change, Spec};
use rand::Rng;
use rand::rngs::SmallRng;

/// A row; its columns are in this order.
#[derive(Clone, Debug)]
pub struct Row {
    pub name: Option<String>,
    pub id: i64,
    pub time: i64,
    pub int: Option<i32>,
    pub big: Option<i64>,
    pub double: Option<f64>,
    pub decimal: Option<i128>,
    pub text: Option<String>,
    pub passes: Option<bool>,
}

pub type Key = (Option<String>, i64);

impl Row {
    pub fn key(&self) -> Key {
        (self.name.clone(), self.id)
    }

    pub fn random(random: &mut SmallRng, keys: i64, time: i64) -> Row {
        let id = random.random_range(0..keys);
        let some = |random: &mut SmallRng| random.random_bool(0.8);
        Row {
            name: (id % 3 != 0).then(|| "k".repeat((id % 5) as usize)),
            id: id / 2,
            time,
            int: some(random).then(|| random.random_range(-20..20)),
            big: some(random).then(|| random.random_range(-5..5)),
            // Whole numbers: their sums don't depend on the order.
            double: some(random).then(|| f64::from(random.random_range(-100..100))),
            decimal: some(random).then(|| random.random_range(-10_000..10_000)),
            text: some(random).then(|| format!("t{}", random.random_range(0..6))),
            passes: some(random).then(|| random.random()),
        }
    }
}

pub fn batch(spec: &Spec, rows: &[Row]) -> RecordBatch {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|r| r.name.clone()).collect::<StringArray>()),
        Arc::new(rows.iter().map(|r| Some(r.id)).collect::<Int64Array>()),
        Arc::new(
            rows.iter()
                .map(|r| Some(r.time))
                .collect::<TimestampMillisecondArray>()
                .with_timezone("UTC"),
        ),
        Arc::new(rows.iter().map(|r| r.int).collect::<Int32Array>()),
        Arc::new(rows.iter().map(|r| r.big).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|r| r.double).collect::<Float64Array>()),
        Arc::new(
            rows.iter()
                .map(|r| r.decimal)
                .collect::<Decimal128Array>()
                .with_precision_and_scale(12, 2)
                .unwrap(),
        ),
        Arc::new(rows.iter().map(|r| r.text.clone()).collect::<StringArray>()),
        Arc::new(rows.iter().map(|r| r.passes).collect::<BooleanArray>()),
    ];
    RecordBatch::try_new(spec.rows.clone(), columns).unwrap()
}

fn column(name: &str, data_type: DataType) -> Column {
    Column {
        name: name.into(),
        data_type,
        nullable: true,
        labels: Vec::new(),
    }
}

fn decimal(precision: u8, scale: u8) -> DataType {
    DataType::Decimal { precision, scale }
}

pub fn aggregates() -> Vec<Aggregate> {
    use DataType::{Array, BigInt, Double, Int, String};
    let all = [
        (Function::Count, None, None, false, BigInt),
        (Function::Count, Some(7), Some(8), false, BigInt),
        (Function::Count, Some(7), None, true, BigInt),
        (Function::Sum, Some(3), None, false, Int),
        (Function::Sum, Some(4), Some(8), true, BigInt),
        (Function::Sum, Some(6), None, false, decimal(38, 2)),
        (Function::Min, Some(5), None, false, Double),
        (Function::Max, Some(7), Some(8), false, String),
        (Function::Avg, Some(3), None, false, Int),
        (Function::Avg, Some(6), None, false, decimal(38, 6)),
        (Function::FirstValue, Some(7), None, false, String),
        (Function::LastValue, Some(3), Some(8), false, Int),
        (Function::ListAgg("|".into()), Some(7), None, false, String),
        (
            Function::ArrayAgg { nulls: true },
            Some(3),
            Some(8),
            false,
            Array(Int.into()),
        ),
        (
            Function::ArrayAgg { nulls: true },
            Some(7),
            None,
            true,
            Array(String.into()),
        ),
        (
            Function::ArrayAgg { nulls: false },
            Some(7),
            None,
            false,
            Array(String.into()),
        ),
    ];
    all.into_iter()
        .map(
            |(function, argument, filter, distinct, data_type)| Aggregate {
                function,
                argument,
                filter,
                distinct,
                data_type,
            },
        )
        .collect()
}

/// A specification as the planner would give it.
pub fn spec(window: Option<Window>, operator: Operator, lateness: i64, ttl: Option<i64>) -> Spec {
    let rows = vec![
        column("name", DataType::String),
        column("id", DataType::BigInt),
        column("time", DataType::TimestampLtz(3)),
        column("int", DataType::Int),
        column("big", DataType::BigInt),
        column("double", DataType::Double),
        column("decimal", decimal(12, 2)),
        column("text", DataType::String),
        column("passes", DataType::Boolean),
    ];
    let mut results = rows[..2].to_vec();
    if window.is_some() {
        results.push(column("window_start", DataType::Timestamp(3)));
        results.push(column("window_end", DataType::Timestamp(3)));
        results.push(column("window_time", DataType::TimestampLtz(3)));
    }
    match &operator {
        Operator::Aggregate(all) => results.extend(
            all.iter()
                .enumerate()
                .map(|(i, a)| column(&format!("a{i}"), a.data_type.clone())),
        ),
        // They have tests of their own.
        Operator::IntervalJoin(_)
        | Operator::WindowJoin(_)
        | Operator::TemporalJoin(_)
        | Operator::Over(_) => {}
        Operator::Rank(_) => {
            results.extend_from_slice(&rows[2..]);
            results.push(column("row_number", DataType::BigInt));
        }
    }
    Spec {
        rows: Schema { columns: rows }.to_arrow(),
        keys: 2,
        time: Some(2),
        window,
        operator,
        results: Schema { columns: results }.to_arrow(),
        allowed_lateness_ms: lateness,
        ttl_ms: ttl,
    }
}

/// A cell as text; null is `-`.
fn cell(array: &ArrayRef, row: usize) -> String {
    if array.is_null(row) {
        return "-".into();
    }
    match array.data_type() {
        Arrow::Utf8 => format!("'{}'", array.as_string::<i32>().value(row)),
        Arrow::Int32 => array.as_primitive::<Int32Type>().value(row).to_string(),
        Arrow::Int64 => array.as_primitive::<Int64Type>().value(row).to_string(),
        Arrow::Float64 => array.as_primitive::<Float64Type>().value(row).to_string(),
        Arrow::Decimal128(..) => array
            .as_primitive::<Decimal128Type>()
            .value(row)
            .to_string(),
        Arrow::Boolean => array.as_boolean().value(row).to_string(),
        Arrow::Timestamp(..) => array
            .as_primitive::<TimestampMillisecondType>()
            .value(row)
            .to_string(),
        Arrow::List(_) => {
            let values = array.as_list::<i32>().value(row);
            let values: Vec<String> = (0..values.len()).map(|at| cell(&values, at)).collect();
            format!("[{}]", values.join(" "))
        }
        other => panic!("no text for {other}"),
    }
}

/// Rows as texts.
pub fn lines(batches: &[RecordBatch]) -> Vec<String> {
    let mut lines = Vec::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            let cells: Vec<String> = batch.columns().iter().map(|c| cell(c, row)).collect();
            lines.push(cells.join(","));
        }
    }
    lines
}

/// What a compaction up to some record may leave of a log.
pub fn compacted(log: &[Change], random: &mut SmallRng) -> Vec<Change> {
    let until = random.random_range(0..=log.len());
    let cleaned = random.random_range(0..=until);
    let last: BTreeMap<&[u8], usize> = log[..until]
        .iter()
        .enumerate()
        .map(|(i, change)| (&change.key[..], i))
        .collect();
    let stays = |i: usize, change: &Change| {
        let replaced = i < until && last[&change.key[..]] != i;
        // A tombstone goes once everything before it is clean.
        let buried = i < cleaned && change.value.is_none();
        !replaced && !buried
    };
    log.iter()
        .enumerate()
        .filter(|(i, change)| stays(*i, change))
        .map(|(_, change)| change.clone())
        .collect()
}
