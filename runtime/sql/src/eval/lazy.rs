//! AND, OR, CASE and COALESCE: evaluated only for the rows that need it.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions, UInt32Array,
};
use arrow::compute::kernels::boolean::{and_kleene, or_kleene};
use arrow::compute::{interleave, take};
use arrow::datatypes::DataType as Arrow;

use super::{Evaluated, EvaluationError, Part, Rows, Value, internal, repeat};

fn arrow_error(error: &arrow::error::ArrowError) -> EvaluationError {
    internal(&error.to_string())
}

pub(super) fn logic(decides: bool, parts: &[Part], rows: &Rows) -> Evaluated<Value> {
    let count = rows.batch.num_rows();
    let combine = if decides { or_kleene } else { and_kleene };
    let mut result: Option<BooleanArray> = None;
    for part in parts {
        let Some(so_far) = result else {
            result = Some(boolean(part.node.evaluate(rows)?, count)?);
            continue;
        };
        let next = if part.fallible {
            let open = positions(count, |i| so_far.is_null(i) || so_far.value(i) != decides);
            if open.is_empty() {
                return Ok(Value::Array(Arc::new(so_far)));
            }
            let values = evaluate_at(part, rows, &open)?;
            let values = values.as_boolean();
            // Rows that are already decided keep what they have, whatever stands here.
            let mut scattered = vec![Some(decides); count];
            for (i, row) in open.iter().enumerate() {
                scattered[*row as usize] = (!values.is_null(i)).then(|| values.value(i));
            }
            BooleanArray::from(scattered)
        } else {
            boolean(part.node.evaluate(rows)?, count)?
        };
        result = Some(combine(&so_far, &next).map_err(|e| arrow_error(&e))?);
    }
    result
        .map(|r| Value::Array(Arc::new(r) as ArrayRef))
        .ok_or_else(|| internal("AND or OR of nothing"))
}

fn boolean(value: Value, count: usize) -> Evaluated<BooleanArray> {
    Ok(value.into_array(count)?.as_boolean().clone())
}

pub(super) fn case(
    whens: &[(Part, Part)],
    otherwise: &Part,
    data_type: &Arrow,
    rows: &Rows,
) -> Evaluated<Value> {
    let mut pieces = Pieces::new(rows);
    let mut open: Vec<u32> = positions(rows.batch.num_rows(), |_| true);
    for (when, then) in whens {
        if open.is_empty() {
            break;
        }
        let condition = Values::of(when, rows, &open)?;
        let holds = condition.array.as_boolean();
        let (mut hit, mut rest) = (Vec::new(), Vec::new());
        for (position, row) in open.iter().enumerate() {
            let at = condition.at(position, *row);
            if holds.is_valid(at) && holds.value(at) {
                hit.push(*row);
            } else {
                rest.push(*row);
            }
        }
        pieces.add(then, &hit)?;
        open = rest;
    }
    pieces.add(otherwise, &open)?;
    pieces.finish(data_type)
}

pub(super) fn coalesce(parts: &[Part], data_type: &Arrow, rows: &Rows) -> Evaluated<Value> {
    let mut pieces = Pieces::new(rows);
    let mut open: Vec<u32> = positions(rows.batch.num_rows(), |_| true);
    for (i, part) in parts.iter().enumerate() {
        if open.is_empty() {
            break;
        }
        let values = Values::of(part, rows, &open)?;
        let whole = values.array.null_count() == 0;
        if i == 0 && whole && values.array.len() == rows.batch.num_rows() {
            return Ok(Value::Array(values.array));
        }
        let last = i + 1 == parts.len();
        let (mut hit, mut at, mut rest) = (Vec::new(), Vec::new(), Vec::new());
        for (position, row) in open.iter().enumerate() {
            let index = values.at(position, *row);
            if last || values.array.is_valid(index) {
                hit.push(*row);
                at.push(index);
            } else {
                rest.push(*row);
            }
        }
        pieces.add_values(values.array, &hit, at.into_iter());
        open = rest;
    }
    pieces.finish(data_type)
}

/// A part's values for some rows.
struct Values {
    array: ArrayRef,
    order: Order,
}

/// Where a row's value stands in the array.
enum Order {
    /// At the row: what can't fail is evaluated for all rows, which copies nothing.
    Row,
    /// At the row's position among those that were asked for.
    Position,
    /// It is the same for all.
    Constant,
}

impl Values {
    fn of(part: &Part, rows: &Rows, wanted: &[u32]) -> Evaluated<Self> {
        if let Some(value) = part.node.literal() {
            return Ok(Self {
                array: value.clone(),
                order: Order::Constant,
            });
        }
        if !part.fallible || wanted.len() == rows.batch.num_rows() {
            let array = part
                .node
                .evaluate(rows)?
                .into_array(rows.batch.num_rows())?;
            return Ok(Self {
                array,
                order: Order::Row,
            });
        }
        let array = evaluate_at(part, rows, wanted)?;
        Ok(Self {
            array,
            order: Order::Position,
        })
    }

    fn at(&self, position: usize, row: u32) -> usize {
        match self.order {
            Order::Row => row as usize,
            Order::Position => position,
            Order::Constant => 0,
        }
    }
}

/// Puts a column together from values of several arrays.
struct Pieces<'a> {
    rows: &'a Rows<'a>,
    arrays: Vec<ArrayRef>,
    /// For each row, which array and where in it.
    from: Vec<(usize, usize)>,
}

impl<'a> Pieces<'a> {
    fn new(rows: &'a Rows<'a>) -> Self {
        Self {
            rows,
            arrays: Vec::new(),
            from: vec![(0, 0); rows.batch.num_rows()],
        }
    }

    /// Evaluates `part` for these rows.
    fn add(&mut self, part: &Part, hit: &[u32]) -> Evaluated<()> {
        if hit.is_empty() {
            return Ok(());
        }
        let values = Values::of(part, self.rows, hit)?;
        let at: Vec<usize> = hit
            .iter()
            .enumerate()
            .map(|(i, row)| values.at(i, *row))
            .collect();
        self.add_values(values.array, hit, at.into_iter());
        Ok(())
    }

    fn add_values(&mut self, values: ArrayRef, hit: &[u32], at: impl Iterator<Item = usize>) {
        for (row, at) in hit.iter().zip(at) {
            self.from[*row as usize] = (self.arrays.len(), at);
        }
        self.arrays.push(values);
    }

    fn finish(self, data_type: &Arrow) -> Evaluated<Value> {
        if self.from.is_empty() {
            return Ok(Value::Array(arrow::array::new_empty_array(data_type)));
        }
        let arrays: Vec<&dyn Array> = self.arrays.iter().map(AsRef::as_ref).collect();
        interleave(&arrays, &self.from)
            .map(Value::Array)
            .map_err(|e| arrow_error(&e))
    }
}

/// The rows for which `wanted` holds.
fn positions(count: usize, wanted: impl Fn(usize) -> bool) -> Vec<u32> {
    (0..count)
        .filter(|i| wanted(*i))
        .map(|i| i as u32)
        .collect()
}

/// Evaluates a part for some rows; the result has as many values.
fn evaluate_at(part: &Part, rows: &Rows, at: &[u32]) -> Evaluated<ArrayRef> {
    if let Some(value) = part.node.literal() {
        return repeat(value, at.len());
    }
    let here = select(rows, at)?;
    part.node.evaluate(&here)?.into_array(at.len())
}

fn select<'a>(rows: &Rows<'a>, at: &[u32]) -> Evaluated<Rows<'a>> {
    if at.len() == rows.batch.num_rows() {
        return Ok(rows.clone());
    }
    let batch = take_rows(&rows.batch, &UInt32Array::from(at.to_vec()))?;
    Ok(Rows {
        batch,
        slots: rows.slots,
    })
}

/// Some rows of a batch.
pub(crate) fn take_rows(batch: &RecordBatch, at: &UInt32Array) -> Evaluated<RecordBatch> {
    let columns: Result<Vec<ArrayRef>, _> =
        batch.columns().iter().map(|c| take(c, at, None)).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(at.len()));
    columns
        .and_then(|columns| RecordBatch::try_new_with_options(batch.schema(), columns, &options))
        .map_err(|e| arrow_error(&e))
}
