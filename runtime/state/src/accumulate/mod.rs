//! Aggregates over groups: what a function remembers of the rows it has seen, as columns.
//!
//! An [`Accumulator`] holds the state of one aggregate for all groups of a table. Its state is columns of
//! Arrow, and merging two states gives what seeing all their rows would have given; everything else (epochs,
//! slices, sessions, the changelog, the disk) rests on that. Functions for which order counts keep the number
//! under which a row arrived, so that it doesn't matter in which order states are merged.

mod arrival;
mod collect;
mod count;
mod distinct;
mod extreme;
mod moments;
mod rank;
mod sum;
mod value;

#[cfg(test)]
mod tests;

use std::fmt::Debug;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::datatypes::{DataType, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type};
use headworks_sql::keyed::{Aggregate, Function, Operator};

use crate::error::StateError;
use crate::spec::Spec;

/// Rows that are taken in.
pub(crate) struct Input<'a> {
    pub batch: &'a RecordBatch,
    /// The arrival number of the first row; the next ones follow.
    pub first: i64,
    /// Wall time.
    pub now_ms: i64,
}

/// Columns of results, and how many rows each group has if that isn't one.
pub(crate) struct Outcome {
    pub columns: Vec<ArrayRef>,
    pub rows: Option<Vec<u32>>,
}

impl Outcome {
    fn one(column: ArrayRef) -> Outcome {
        Outcome {
            columns: vec![column],
            rows: None,
        }
    }
}

/// The state of one aggregate, for groups `0..`.
pub(crate) trait Accumulator: Debug + Send + Sync {
    /// Types of the state's columns.
    fn types(&self) -> Vec<DataType>;
    /// Has room for groups below `len`; new ones have seen nothing.
    fn resize(&mut self, len: usize);
    /// Row `i` goes to `groups[i]`.
    fn update(&mut self, input: &Input<'_>, groups: &[u32]) -> Result<(), StateError>;
    /// Row `i` of a state goes to `groups[i]`.
    fn merge(&mut self, state: &[ArrayRef], groups: &[u32]) -> Result<(), StateError>;
    /// The state of some groups, in their order.
    fn state(&self, groups: &[u32]) -> Result<Vec<ArrayRef>, StateError>;
    /// The results of some groups, in their order.
    fn result(&self, groups: &[u32]) -> Result<Outcome, StateError>;
    /// Makes groups as if they had seen nothing.
    fn clear(&mut self, groups: &[u32]);
    /// Estimate of the memory in bytes. Cheap.
    fn size(&self) -> usize;
    /// One of the same kind that has seen nothing.
    fn fresh(&self) -> Box<dyn Accumulator>;
    /// The same again.
    fn copy(&self) -> Box<dyn Accumulator>;

    /// Wall time of the group's first and last row, where that is what is remembered.
    fn arrival(&self, _group: u32) -> Option<(i64, i64)> {
        None
    }

    /// The arrival number of the first row that is kept, where rows are.
    fn kept(&self, _group: u32) -> Option<i64> {
        None
    }
}

/// What a specification needs, in order. Without windows the first one remembers wall times.
pub(crate) fn accumulators(spec: &Spec) -> Vec<Box<dyn Accumulator>> {
    let mut all: Vec<Box<dyn Accumulator>> = Vec::new();
    if spec.window.is_none() {
        all.push(Box::new(arrival::ArrivalTimes::default()));
    }
    match &spec.operator {
        Operator::Aggregate(aggregates) => {
            all.extend(aggregates.iter().map(|a| accumulator(a, spec)));
        }
        Operator::Rank(order) => all.push(Box::new(rank::Rank::new(order, spec))),
        // They keep rows, not groups.
        Operator::IntervalJoin(_)
        | Operator::WindowJoin(_)
        | Operator::TemporalJoin(_)
        | Operator::Over(_) => {}
    }
    all
}

pub(crate) fn accumulator(aggregate: &Aggregate, spec: &Spec) -> Box<dyn Accumulator> {
    let argument = aggregate
        .argument
        .map(|i| spec.rows.field(i).data_type().clone());
    let read = Read {
        argument: aggregate.argument,
        filter: aggregate.filter,
        nulls: aggregate.function == (Function::ArrayAgg { nulls: true }),
    };
    // The least, the greatest, the first and the last of distinct values are those of all values.
    let matters = !matches!(
        aggregate.function,
        Function::Min | Function::Max | Function::FirstValue | Function::LastValue
    );
    match argument {
        Some(type_) if aggregate.distinct && matters => {
            let inner = plain(
                &aggregate.function,
                Read {
                    argument: Some(0),
                    filter: None,
                    ..read
                },
                Some(&type_),
                &aggregate.data_type.to_arrow(),
            );
            Box::new(distinct::Distinct::new(read, type_, inner))
        }
        type_ => plain(
            &aggregate.function,
            read,
            type_.as_ref(),
            &aggregate.data_type.to_arrow(),
        ),
    }
}

fn plain(
    function: &Function,
    read: Read,
    argument: Option<&DataType>,
    result: &DataType,
) -> Box<dyn Accumulator> {
    let type_ = argument.cloned().unwrap_or(DataType::Null);
    match function {
        Function::Count => Box::new(count::Count::new(read)),
        Function::Sum => sum::sum(read, result),
        Function::Avg => sum::mean(read, &type_, result),
        Function::Min => extreme::extreme(read, &type_, false),
        Function::Max => extreme::extreme(read, &type_, true),
        Function::StddevPop => moments::moments(read, result, false, true),
        Function::StddevSamp => moments::moments(read, result, true, true),
        Function::VarPop => moments::moments(read, result, false, false),
        Function::VarSamp => moments::moments(read, result, true, false),
        Function::FirstValue => Box::new(value::Value::new(read, type_, false)),
        Function::LastValue => Box::new(value::Value::new(read, type_, true)),
        Function::ListAgg(separator) => Box::new(value::List::new(read, separator)),
        Function::ArrayAgg { .. } => Box::new(collect::Collect::new(read, type_)),
    }
}

/// Which column an aggregate reads, and which says whether a row counts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Read {
    pub argument: Option<usize>,
    pub filter: Option<usize>,
    /// Rows whose argument is null count, too.
    pub nulls: bool,
}

impl Read {
    fn column<'a>(&self, input: &Input<'a>) -> Option<&'a ArrayRef> {
        self.argument.map(|i| input.batch.column(i))
    }

    /// Calls `take` for each row that counts: the filter is true, and the argument isn't null, unless nulls count.
    fn each(&self, input: &Input<'_>, groups: &[u32], mut take: impl FnMut(usize, usize)) {
        match self.counting(input) {
            None => {
                for (row, &group) in groups.iter().enumerate() {
                    take(row, group as usize);
                }
            }
            Some(rows) => {
                for row in rows.set_indices() {
                    take(row, groups[row] as usize);
                }
            }
        }
    }

    /// The rows that count; absent: all.
    fn counting(&self, input: &Input<'_>) -> Option<BooleanBuffer> {
        let valid = self
            .column(input)
            .and_then(|c| c.nulls())
            .filter(|n| n.null_count() > 0 && !self.nulls)
            .map(|n| n.inner().clone());
        let passed = self
            .filter
            .and_then(|i| input.batch.column(i).as_boolean_opt())
            .map(is_true);
        match (valid, passed) {
            (Some(valid), Some(passed)) => Some(&valid & &passed),
            (one, other) => one.or(other),
        }
    }
}

/// Where a boolean is true, null being false.
fn is_true(array: &BooleanArray) -> BooleanBuffer {
    match array.nulls() {
        Some(nulls) => array.values() & nulls.inner(),
        None => array.values().clone(),
    }
}

/// Nulls where `seen` is false.
fn nulls(seen: impl Iterator<Item = bool>) -> Option<NullBuffer> {
    let buffer: BooleanBuffer = seen.collect();
    Some(NullBuffer::new(buffer)).filter(|n| n.null_count() > 0)
}

/// A numeric column as double precision, row by row.
fn doubles(array: &dyn Array) -> Box<dyn Fn(usize) -> f64 + '_> {
    match array.data_type() {
        DataType::Int32 => {
            let values = array.as_primitive::<Int32Type>().values();
            Box::new(|row| f64::from(values[row]))
        }
        DataType::Int64 => {
            let values = array.as_primitive::<Int64Type>().values();
            Box::new(|row| values[row] as f64)
        }
        DataType::Float32 => {
            let values = array.as_primitive::<Float32Type>().values();
            Box::new(|row| f64::from(values[row]))
        }
        DataType::Float64 => {
            let values = array.as_primitive::<Float64Type>().values();
            Box::new(|row| values[row])
        }
        DataType::Decimal128(_, scale) => {
            let values = array.as_primitive::<Decimal128Type>().values();
            let unit = 10f64.powi(i32::from(*scale));
            Box::new(move |row| values[row] as f64 / unit)
        }
        _ => Box::new(|_| 0.0),
    }
}
