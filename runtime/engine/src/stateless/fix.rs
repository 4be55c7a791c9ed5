//! Records that a Replay puts right before anything else looks at them: what it makes of one is judged, and goes on, as if it had been
//! read so.

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use headworks_plan::DeadLetterReason;

use super::{Evaluate, Staged};
use crate::format::FormatError;

/// See the module.
pub(crate) struct Fix {
    /// From the decoded columns to those that branches and rules read: one batch, of at most a row for each.
    pub(crate) evaluate: Evaluate,
}

impl Fix {
    /// Puts `columns` right, whose rows are the batch's `decoded`; the rows that it leaves out go from these, too. One that it can't be
    /// evaluated for is bad. None, where no row is left.
    pub(super) fn run(
        &self,
        columns: &RecordBatch,
        decoded: &mut Vec<usize>,
        staged: &mut Staged,
    ) -> Result<Option<RecordBatch>, FormatError> {
        let mut fixed = Fixed::default();
        self.part(columns, decoded, &mut fixed, staged);
        *decoded = fixed.rows;
        let Some(first) = fixed.parts.first() else {
            return Ok(None);
        };
        let all = concat_batches(&first.schema(), &fixed.parts)
            .map_err(|source| FormatError::Columns { source })?;
        Ok(Some(all).filter(|all| all.num_rows() > 0))
    }

    /// Where a part fails as a whole, its halves are tried, down to the row that is to blame.
    fn part(&self, columns: &RecordBatch, rows: &[usize], fixed: &mut Fixed, staged: &mut Staged) {
        match (self.evaluate)(columns) {
            Ok(mut evaluation) => {
                let from = evaluation.rows.iter().map(|row| rows[*row as usize]);
                fixed.rows.extend(from);
                fixed.parts.extend(evaluation.outputs.pop());
            }
            Err(message) => match rows {
                [] => {}
                [row] => staged.refuse(*row, DeadLetterReason::Evaluation, message),
                _ => {
                    let half = rows.len() / 2;
                    let rest = columns.slice(half, rows.len() - half);
                    self.part(&columns.slice(0, half), &rows[..half], fixed, staged);
                    self.part(&rest, &rows[half..], fixed, staged);
                }
            },
        }
    }
}

/// What was put right.
#[derive(Default)]
struct Fixed {
    parts: Vec<RecordBatch>,
    /// One a row, ascending.
    rows: Vec<usize>,
}
