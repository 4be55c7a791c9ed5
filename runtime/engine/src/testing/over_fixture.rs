//! OVER over the tiny wire format, and what it should come to. Frames are of RANGE, and ranks by time: of two rows of one time in
//! two partitions it depends on the run which comes first.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use headworks_sql::keyed::over::{Frame, Over, OverFunction};
use headworks_sql::keyed::{Aggregate, Function, Operator};
use headworks_sql::types::DataType as Sql;

use super::keyed_fixture_format::instant;
use super::keyed_oracle::Row;

/// How far each row looks back in event time; none: to the first row of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Looks {
    pub(crate) back_ms: Option<i64>,
}

impl Looks {
    /// COUNT, SUM and MIN of the frame, RANK and DENSE_RANK.
    pub(crate) fn operator(self) -> Operator {
        let aggregate = |function, argument| {
            OverFunction::Aggregate(Aggregate {
                function,
                argument,
                filter: None,
                distinct: false,
                data_type: Sql::BigInt,
            })
        };
        Operator::Over(Box::new(Over {
            frame: Frame::Range {
                preceding_ms: self.back_ms,
            },
            functions: vec![
                aggregate(Function::Count, None),
                aggregate(Function::Sum, Some(2)),
                aggregate(Function::Min, Some(2)),
                OverFunction::Rank,
                OverFunction::DenseRank,
            ],
        }))
    }
}

/// The row, and what is computed for it.
pub(crate) fn results_schema() -> SchemaRef {
    let number = |name| Field::new(name, DataType::Int64, true);
    Arc::new(Schema::new(vec![
        Field::new("k", DataType::Utf8, false),
        Field::new("t", instant(), true),
        number("n"),
        number("cnt"),
        number("total"),
        number("least"),
        number("rank"),
        number("dense"),
    ]))
}

/// The output lines, a row at a time. `until`: a window that ends there is just over, so the watermark is a millisecond before.
pub(crate) fn oracle(looks: Looks, rows: &[Row], until: i64) -> Vec<String> {
    let watermark = until - 1;
    let mut lines = Vec::new();
    for (key, time, n) in rows.iter().filter(|(_, time, _)| *time < watermark) {
        let before = || rows.iter().filter(|row| row.0 == *key && row.1 <= *time);
        let in_frame =
            before().filter(|row| looks.back_ms.is_none_or(|back| row.1 >= *time - back));
        let numbers: Vec<i64> = in_frame.map(|row| row.2).collect();
        let earlier = before().filter(|row| row.1 < *time).count();
        let mut times: Vec<i64> = before().map(|row| row.1).collect();
        times.sort_unstable();
        times.dedup();
        lines.push(format!(
            "{key}|{time}|{n}|{}|{}|{}|{}|{}",
            numbers.len(),
            numbers.iter().sum::<i64>(),
            numbers.iter().min().copied().unwrap_or_default(),
            earlier + 1,
            times.len()
        ));
    }
    lines
}
