//! What joins give: a row of each side beside each other, of which one may be missing.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, UInt32Array, new_null_array};
use arrow::compute::take as take_rows;

use crate::codec::{Codec, Rows};
use crate::error::{StateError, columns};
use crate::table::Layout;

/// The rows of a result, encoded; absent: nulls.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    pub left: Option<Arc<[u8]>>,
    pub right: Option<Arc<[u8]>>,
}

impl Pair {
    /// What a result of which only the left row is wanted has.
    pub(crate) fn of_left(self) -> Pair {
        Pair {
            right: None,
            ..self
        }
    }

    /// The bytes of its rows.
    pub(crate) fn size(&self) -> usize {
        let rows = self.left.iter().chain(&self.right);
        rows.map(|row| row.len()).sum()
    }

    pub(crate) fn alone(right: bool, row: Arc<[u8]>) -> Pair {
        let row = Some(row);
        if right {
            Pair {
                left: None,
                right: row,
            }
        } else {
            Pair {
                left: row,
                right: None,
            }
        }
    }
}

/// The codecs of both sides' columns.
pub(crate) fn codecs(layout: &Layout, sides: [&[usize]; 2]) -> [Codec; 2] {
    sides.map(|columns| {
        let fields = layout.spec.rows.fields();
        let types = columns.iter().filter_map(|at| fields.get(*at));
        Codec::new(types.map(|field| field.data_type().clone()).collect())
    })
}

/// The columns of each side, encoded: of every row, whichever side it is of.
pub(crate) fn encoded(
    codecs: &[Codec; 2],
    sides: [&[usize]; 2],
    rows: &RecordBatch,
) -> Result<[Rows; 2], StateError> {
    let of = |side: usize| {
        let all = sides[side]
            .iter()
            .map(|at| rows.columns().get(*at).cloned());
        let all: Option<Vec<ArrayRef>> = all.collect();
        let all = all.ok_or_else(|| columns("the rows lack columns"))?;
        codecs[side].encode(&all, rows.num_rows(), None)
    };
    Ok([of(0)?, of(1)?])
}

/// Pairs as a batch of results.
pub(crate) fn results(
    layout: &Layout,
    codecs: &[Codec; 2],
    pairs: &[&Pair],
) -> Result<RecordBatch, StateError> {
    let of_left: Vec<_> = pairs.iter().map(|pair| pair.left.as_deref()).collect();
    let mut all = decoded(&codecs[0], &of_left)?;
    let of_right: Vec<_> = pairs.iter().map(|pair| pair.right.as_deref()).collect();
    all.extend(decoded(&codecs[1], &of_right)?);
    let options = RecordBatchOptions::new().with_row_count(Some(pairs.len()));
    RecordBatch::try_new_with_options(layout.spec.results.clone(), all, &options).map_err(columns)
}

/// The columns of encoded rows; null throughout where there is no row.
fn decoded(codec: &Codec, rows: &[Option<&[u8]>]) -> Result<Vec<ArrayRef>, StateError> {
    let there: Vec<&[u8]> = rows.iter().flatten().copied().collect();
    let all = codec.decode(there.iter().copied())?;
    if there.len() == rows.len() {
        return Ok(all);
    }
    let mut next = 0_u32;
    let places: UInt32Array = rows
        .iter()
        .map(|row| {
            row.map(|_| {
                next += 1;
                next - 1
            })
        })
        .collect();
    let padded = |column: ArrayRef| {
        if there.is_empty() {
            return Ok(new_null_array(column.data_type(), rows.len()));
        }
        take_rows(&column, &places, None).map_err(columns)
    };
    all.into_iter().map(padded).collect()
}
