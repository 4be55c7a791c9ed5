//! Interval joins over the tiny wire format, and what they should come to: the first input is the left side, the second the
//! right one.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, BooleanArray, RecordBatch, TimestampMillisecondArray, new_null_array,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimestampMillisecondType};
use headworks_sql::join::{IntervalJoin, JoinKind, WindowJoin};
use headworks_sql::keyed::Operator;

use super::keyed_fixture_format::instant;
use super::keyed_oracle::Row;
use crate::stateless::Evaluation;

/// Rows of a key whose time less that of the other side's row is between the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Join {
    pub(crate) kind: JoinKind,
    pub(crate) lower: i64,
    pub(crate) upper: i64,
    /// Present: rows of windows of so many milliseconds; both bounds are 0 then.
    pub(crate) window: Option<i64>,
}

impl Join {
    pub(crate) fn operator(self) -> Operator {
        let join = IntervalJoin {
            kind: self.kind,
            lower: self.lower,
            upper: self.upper,
            side: 2,
            left: vec![0, 1, 3],
            right: vec![0, 1, 4],
            condition: None,
        };
        if self.window.is_some() {
            return Operator::WindowJoin(Box::new(WindowJoin { join, last: 5 }));
        }
        Operator::IntervalJoin(Box::new(join))
    }

    /// By which time a row is joined: of a window its last moment.
    fn time(self, at: i64) -> i64 {
        self.window
            .map_or(at, |size| at.div_euclid(size) * size + size - 1)
    }

    /// What a side's rows (key, time, number) are on their way.
    pub(crate) fn of_side(self, rows: Evaluation, right: bool) -> Result<Evaluation, String> {
        let sided = of_side(rows, right)?;
        if self.window.is_none() {
            return Ok(sided);
        }
        let windowed = |batch: &RecordBatch| {
            let times = batch.column(1).as_primitive::<TimestampMillisecondType>();
            let times: TimestampMillisecondArray =
                times.iter().map(|at| at.map(|at| self.time(at))).collect();
            let mut columns = batch.columns().to_vec();
            columns[1] = Arc::new(times.with_timezone("UTC"));
            columns.push(Arc::new(BooleanArray::from(vec![true; batch.num_rows()])));
            RecordBatch::try_new(marked_schema("last"), columns).map_err(|error| error.to_string())
        };
        Ok(Evaluation {
            outputs: sided
                .outputs
                .iter()
                .map(windowed)
                .collect::<Result<_, _>>()?,
            rows: sided.rows,
        })
    }

    /// The rows of both sides.
    pub(crate) fn rows_schema(self) -> SchemaRef {
        match self.window {
            Some(_) => marked_schema("last"),
            None => rows_schema(),
        }
    }
}

/// The rows of both sides, and a mark.
pub(crate) fn marked_schema(mark: &str) -> SchemaRef {
    let both = rows_schema();
    let fields = both.fields().iter().map(|field| field.as_ref().clone());
    let mark = Field::new(mark, DataType::Boolean, true);
    Arc::new(Schema::new(fields.chain([mark]).collect::<Vec<_>>()))
}

fn schema(fields: Vec<(&str, DataType)>) -> SchemaRef {
    let fields = fields.into_iter();
    let fields = fields.map(|(name, data_type)| Field::new(name, data_type, true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// The rows of both sides.
pub(crate) fn rows_schema() -> SchemaRef {
    schema(vec![
        ("k", DataType::Utf8),
        ("t", instant()),
        ("side", DataType::Boolean),
        ("l", DataType::Int64),
        ("r", DataType::Int64),
    ])
}

/// Pairs.
pub(crate) fn results_schema() -> SchemaRef {
    schema(vec![
        ("lk", DataType::Utf8),
        ("lt", instant()),
        ("ln", DataType::Int64),
        ("rk", DataType::Utf8),
        ("rt", instant()),
        ("rn", DataType::Int64),
    ])
}

/// What a side's rows (key, time, number) are on their way.
pub(crate) fn of_side(rows: Evaluation, right: bool) -> Result<Evaluation, String> {
    let sided = |batch: &RecordBatch| {
        let null = new_null_array(&DataType::Int64, batch.num_rows());
        let numbers = batch.column(2).clone();
        let (left, of_right) = if right {
            (null, numbers)
        } else {
            (numbers, null)
        };
        let side = BooleanArray::from(vec![right; batch.num_rows()]);
        let (key, time) = (batch.column(0).clone(), batch.column(1).clone());
        let columns = vec![key, time, Arc::new(side) as ArrayRef, left, of_right];
        RecordBatch::try_new(rows_schema(), columns).map_err(|error| error.to_string())
    };
    Ok(Evaluation {
        outputs: rows.outputs.iter().map(sided).collect::<Result<_, _>>()?,
        rows: rows.rows,
    })
}

/// The output lines of a join over rows of both sides (true: the right one), each a row at a time. A row from `end` on, or whose
/// partners may be, isn't given alone.
pub(crate) fn oracle(join: Join, rows: &[(bool, Row)], end: i64) -> Vec<String> {
    let mut lines = Vec::new();
    let text = |row: Option<&Row>| match row {
        Some((key, time, n)) => format!("{key}|{}|{n}", join.time(*time)),
        None => "null|null|null".to_owned(),
    };
    let of = |right: bool| {
        let side = rows.iter().filter(move |(side, _)| *side == right);
        side.map(|(_, row)| row)
    };
    let is_pair = |left: &Row, right: &Row| {
        let between = join.time(left.1) - join.time(right.1);
        left.0 == right.0 && join.lower <= between && between <= join.upper
    };
    for left in of(false) {
        let partners: Vec<&Row> = of(true).filter(|right| is_pair(left, right)).collect();
        if !join.kind.is_of_left() {
            let pairs = partners.iter().copied();
            lines.extend(pairs.map(|right| format!("{}|{}", text(Some(left)), text(Some(right)))));
        }
        let of_left = if join.kind == JoinKind::Semi {
            !partners.is_empty()
        } else {
            partners.is_empty() && left.1 < end && join.kind.keeps_left()
        };
        if of_left {
            lines.push(format!("{}|{}", text(Some(left)), text(None)));
        }
    }
    for right in of(true) {
        let alone = !of(false).any(|left| is_pair(left, right));
        if alone && right.1 < end && join.kind.keeps_right() {
            lines.push(format!("{}|{}", text(None), text(Some(right))));
        }
    }
    lines
}
