//! Temporal joins over the tiny wire format, and what they should come to: the first input is the left side, the second holds versions.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, new_null_array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use headworks_sql::join::TemporalJoin;
use headworks_sql::keyed::Operator;

use super::join_fixture;
use super::keyed_fixture_format::{KeyTexts, instant};
use super::keyed_oracle::Row;
use crate::stateless::{Evaluation, Tombstones};

/// Left rows with what was valid at their time; outer: also those for which nothing was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Temporal {
    pub(crate) outer: bool,
}

impl Temporal {
    pub(crate) fn operator(self) -> Operator {
        Operator::TemporalJoin(Box::new(TemporalJoin {
            outer: self.outer,
            side: 2,
            deleted: 5,
            left: vec![0, 1, 3],
            right: vec![0, 1, 4],
            condition: None,
        }))
    }
}

/// The rows of both sides, and whether they delete.
pub(crate) fn rows_schema() -> SchemaRef {
    join_fixture::marked_schema("deleted")
}

fn with_mark(batch: &RecordBatch, deleted: bool) -> Result<RecordBatch, String> {
    let mark: ArrayRef = Arc::new(BooleanArray::from(vec![deleted; batch.num_rows()]));
    let columns = batch.columns().iter().cloned().chain([mark]).collect();
    RecordBatch::try_new(rows_schema(), columns).map_err(|error| error.to_string())
}

/// What a side's rows (key, time, number) are on their way.
pub(crate) fn of_side(rows: Evaluation, right: bool) -> Result<Evaluation, String> {
    let sided = join_fixture::of_side(rows, right)?;
    let outputs = sided.outputs.iter().map(|batch| with_mark(batch, false));
    Ok(Evaluation {
        outputs: outputs.collect::<Result<_, _>>()?,
        rows: sided.rows,
    })
}

/// What becomes of the right side's records without a value.
pub(crate) fn tombstones() -> Tombstones {
    let fields = vec![
        Field::new("k", DataType::Utf8, false),
        Field::new("t", instant(), true),
    ];
    Tombstones {
        keys: Box::new(KeyTexts::default()),
        schema: Arc::new(Schema::new(fields)),
        columns: vec![Some(0), None],
        evaluate: Box::new(|view: &RecordBatch| {
            let null = new_null_array(&DataType::Int64, view.num_rows());
            let side: ArrayRef = Arc::new(BooleanArray::from(vec![true; view.num_rows()]));
            let (key, time) = (view.column(0).clone(), view.column(1).clone());
            let columns = vec![key, time, side, null.clone(), null];
            let rows = RecordBatch::try_new(join_fixture::rows_schema(), columns)
                .map_err(|error| error.to_string())?;
            Ok(Evaluation {
                rows: (0..rows.num_rows() as u32).collect(),
                outputs: vec![with_mark(&rows, true)?],
            })
        }),
    }
}

/// A record of the right side, in the order in which they were written: a row, or the deletion of a key from a time on.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Row(Row),
    Deletion(String, i64),
}

/// What was valid of a key at a time: looks at each record by itself.
fn valid<'e>(events: &'e [Event], key: &str, time: i64) -> Option<&'e Row> {
    let mut best: Option<(i64, usize)> = None;
    for (order, event) in events.iter().enumerate() {
        let at = match event {
            Event::Row(row) if row.0 == key => row.1,
            Event::Deletion(of, at) if of == key => {
                // A row that was written later and is valid from then or earlier isn't deleted, and all before it is replaced by it.
                let survives = events[order..]
                    .iter()
                    .any(|later| matches!(later, Event::Row(row) if row.0 == key && row.1 <= *at));
                if survives {
                    continue;
                }
                *at
            }
            _ => continue,
        };
        if at <= time && best.is_none_or(|known| (at, order) > known) {
            best = Some((at, order));
        }
    }
    best.and_then(|(_, order)| match &events[order] {
        Event::Row(row) => Some(row),
        Event::Deletion(..) => None,
    })
}

/// The output lines, a row at a time. `until`: a window that ends there is just over, so the watermark is a millisecond before.
pub(crate) fn oracle(of: Temporal, left: &[Row], right: &[Event], until: i64) -> Vec<String> {
    let watermark = until - 1;
    let mut lines = Vec::new();
    for (key, time, n) in left.iter().filter(|(_, time, _)| *time < watermark) {
        match valid(right, key, *time) {
            Some((_, since, version)) => {
                lines.push(format!("{key}|{time}|{n}|{key}|{since}|{version}"));
            }
            None if of.outer => lines.push(format!("{key}|{time}|{n}|null|null|null")),
            None => {}
        }
    }
    lines
}
