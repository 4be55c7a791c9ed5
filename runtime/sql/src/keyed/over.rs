//! What an OVER window computes for each row from the rows before it.
//!
//! The semantics are those of Flink 2.3 for a time attribute: rows of a key are in the order of their event time, those of
//! one time in the order in which they came. A frame ends with the row itself. Of ROWS it begins so many rows before it; of
//! RANGE so much event time before it, and all rows of the row's own time are in it, whichever came first.

use super::Aggregate;
use crate::types::DataType;

/// Functions over the rows up to each row, in one frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Over {
    /// The rows that aggregates are of.
    pub frame: Frame,
    /// What is computed, in the order of the results' last columns.
    pub functions: Vec<OverFunction>,
}

/// Where a frame begins; it ends with the row itself, or with the last one of its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// So many rows before it; none: with the first row of the key.
    Rows {
        /// How many.
        preceding: Option<u32>,
    },
    /// So much event time before it, and with all rows of its own time; none: with the first row of the key.
    Range {
        /// How much, in milliseconds; not negative.
        preceding_ms: Option<i64>,
    },
}

/// One function.
#[derive(Clone, Debug, PartialEq)]
pub enum OverFunction {
    /// An aggregate of the frame. It isn't DISTINCT, nor LISTAGG.
    Aggregate(Aggregate),
    /// A value of the row so many rows before this one; frames don't matter.
    Lag {
        /// The column of the rows.
        column: usize,
        /// How many rows before; 0 is the row itself.
        offset: u32,
        /// A column of the row itself, of the same type, that stands for a row that isn't there; none: null.
        default: Option<usize>,
        /// The type of the result.
        data_type: DataType,
    },
    /// How many rows of the key there are up to this one.
    RowNumber,
    /// One more than the rows of the key with an earlier time.
    Rank,
    /// How many times rows of the key have, up to this one's.
    DenseRank,
}

impl Over {
    /// How many rows before the next one of a key must be known for it, beside those that a RANGE takes in by their time.
    pub fn lookback(&self) -> usize {
        let rows = match self.frame {
            Frame::Rows { preceding } if self.has_aggregates() => preceding.unwrap_or(0),
            _ => 0,
        };
        let lags = self.functions.iter().map(|function| match function {
            OverFunction::Lag { offset, .. } => *offset,
            _ => 0,
        });
        lags.fold(rows, u32::max) as usize
    }

    /// True if some function is an aggregate, so that the frame matters.
    pub fn has_aggregates(&self) -> bool {
        let aggregate = |function: &OverFunction| matches!(function, OverFunction::Aggregate(_));
        self.functions.iter().any(aggregate)
    }

    /// True if some function counts the rows of the key.
    pub fn counts(&self) -> bool {
        self.functions.iter().any(|function| {
            matches!(
                function,
                OverFunction::RowNumber | OverFunction::Rank | OverFunction::DenseRank
            )
        })
    }

    /// For how long after its time a row is in frames of later ones, in milliseconds; none: not by time.
    pub fn range_ms(&self) -> Option<i64> {
        match self.frame {
            Frame::Range { preceding_ms } if self.has_aggregates() => preceding_ms,
            _ => None,
        }
    }

    /// True if aggregates are of all rows up to this one.
    pub fn is_unbounded(&self) -> bool {
        let all = matches!(
            self.frame,
            Frame::Rows { preceding: None } | Frame::Range { preceding_ms: None }
        );
        all && self.has_aggregates()
    }
}
