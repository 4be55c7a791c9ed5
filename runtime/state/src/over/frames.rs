//! The functions over sequences of rows.
//!
//! An aggregate of a frame is put together from aggregates of 1, 2, 4, 8, … rows, which are merged from each other. So
//! nothing has to be taken out of an aggregate again: MIN is as cheap as SUM, and a sum of doubles has no rest of values that
//! left the frame. For all frames of all keys it takes as many merges as the longest frame's length has binary digits.

use arrow::array::{Array, ArrayRef, Int64Array, RecordBatch, UInt32Array};
use arrow::compute::{interleave, take};
use arrow::datatypes::DataType;
use headworks_sql::keyed::over::{Over, OverFunction};

use crate::accumulate::{Accumulator, Input, accumulator};
use crate::codec::Codec;
use crate::error::{StateError, columns};
use crate::spec::Spec;

/// The rows of one key in a sequence.
pub(super) struct Stretch {
    /// Its first row.
    pub first: usize,
    /// Its first row that is due.
    pub due: usize,
    /// One beyond its last row.
    pub end: usize,
    /// How many rows, and how many times, were given before.
    pub rows: i64,
    pub times: i64,
    /// What the aggregates remember of those, encoded.
    pub state: Option<Vec<u8>>,
}

/// Rows of several keys, one after the other; of each those that are known, and then those that are due.
pub(super) struct Sequence {
    pub batch: RecordBatch,
    pub times: Vec<i64>,
    pub stretches: Vec<Stretch>,
    /// Above all numbers under which the aggregates have seen a row.
    pub number: i64,
}

/// A row that is due: its place in the sequence, the number of its stretch, and its frame, both ends included.
#[derive(Clone, Copy)]
pub(super) struct Due {
    pub row: usize,
    pub stretch: usize,
    pub frame: (usize, usize),
}

/// What is computed.
#[derive(Debug)]
pub(super) struct Functions {
    all: Vec<OverFunction>,
    /// Of each aggregate.
    accumulators: Vec<Box<dyn Accumulator>>,
    /// What the aggregates remember, encoded.
    codec: Codec,
    /// Columns of the rows that the functions read.
    pub reads: Vec<usize>,
}

/// What the aggregates remember of rows: columns, and the groups that each row of them goes to.
type Remembered = (Vec<ArrayRef>, Vec<u32>);

/// What the functions give for the rows that are due.
pub(super) struct Computed {
    pub columns: Vec<ArrayRef>,
    /// For each stretch, what the aggregates remember of its frame's rows at its last row, encoded.
    pub states: Vec<Vec<u8>>,
}

impl Functions {
    pub(super) fn new(over: &Over, spec: &Spec) -> Functions {
        let aggregates = over.functions.iter().filter_map(|function| match function {
            OverFunction::Aggregate(aggregate) => Some(accumulator(aggregate, spec)),
            _ => None,
        });
        let accumulators: Vec<Box<dyn Accumulator>> = aggregates.collect();
        let types: Vec<DataType> = accumulators.iter().flat_map(|a| a.types()).collect();
        let read = over.functions.iter().flat_map(|function| match function {
            OverFunction::Aggregate(of) => [of.argument, of.filter],
            OverFunction::Lag { column, .. } => [Some(*column), None],
            OverFunction::RowNumber | OverFunction::Rank | OverFunction::DenseRank => [None; 2],
        });
        Functions {
            all: over.functions.clone(),
            accumulators,
            codec: Codec::new(types),
            reads: read.flatten().collect(),
        }
    }

    /// Computes all functions for the rows that are due, in their order. `keeps`: what the aggregates remember is wanted.
    pub(super) fn compute(
        &self,
        of: &Sequence,
        due: &[Due],
        keeps: bool,
    ) -> Result<Computed, StateError> {
        let mut results: Vec<Box<dyn Accumulator>> = Vec::with_capacity(self.accumulators.len());
        let before = self.before(of, due)?;
        let mut first = 0;
        for accumulator in &self.accumulators {
            let width = accumulator.types().len();
            let state = before.as_ref().map(|(columns, groups)| {
                let columns = columns.get(first..first + width).unwrap_or_default();
                (columns, groups.as_slice())
            });
            results.push(framed(accumulator.as_ref(), of, due, state)?);
            first += width;
        }
        let groups: Vec<u32> = (0..due.len() as u32).collect();
        let mut aggregates = results.iter();
        let mut given = Vec::with_capacity(self.all.len());
        for function in &self.all {
            given.push(match function {
                OverFunction::Aggregate(_) => {
                    let result = aggregates
                        .next()
                        .ok_or_else(|| columns("an aggregate is gone"))?;
                    let mut outcome = result.result(&groups)?;
                    outcome
                        .columns
                        .pop()
                        .ok_or_else(|| columns("an aggregate gives nothing"))?
                }
                OverFunction::Lag {
                    column,
                    offset,
                    default,
                    ..
                } => lag(of, due, (*column, *offset as usize), *default)?,
                counted => counts(counted, of, due),
            });
        }
        let states = if keeps {
            self.states(&results, of, due)?
        } else {
            vec![Vec::new(); of.stretches.len()]
        };
        Ok(Computed {
            columns: given,
            states,
        })
    }

    /// What the aggregates remember of rows before the sequence: their columns, and the groups that each row goes to.
    fn before(&self, of: &Sequence, due: &[Due]) -> Result<Option<Remembered>, StateError> {
        let known = of.stretches.iter().enumerate();
        let known: Vec<(usize, &[u8])> = known
            .filter_map(|(at, stretch)| Some((at, stretch.state.as_deref()?)))
            .filter(|(_, state)| !state.is_empty())
            .collect();
        if known.is_empty() {
            return Ok(None);
        }
        let states = self.codec.decode(known.iter().map(|(_, state)| *state))?;
        let (mut rows, mut groups) = (Vec::new(), Vec::new());
        for (group, one) in due.iter().enumerate() {
            if let Ok(row) = known.binary_search_by_key(&one.stretch, |(at, _)| *at) {
                rows.push(row as u32);
                groups.push(group as u32);
            }
        }
        let rows = UInt32Array::from(rows);
        let states = states.iter().map(|column| take(column, &rows, None));
        let states = states.collect::<Result<_, _>>().map_err(columns)?;
        Ok(Some((states, groups)))
    }

    /// What the aggregates remember at the last row of each stretch.
    fn states(
        &self,
        results: &[Box<dyn Accumulator>],
        of: &Sequence,
        due: &[Due],
    ) -> Result<Vec<Vec<u8>>, StateError> {
        let mut last = vec![0; of.stretches.len()];
        for (group, one) in due.iter().enumerate() {
            last[one.stretch] = group as u32;
        }
        let mut all: Vec<ArrayRef> = Vec::new();
        for result in results {
            all.extend(result.state(&last)?);
        }
        let rows = self.codec.encode(&all, last.len(), None)?;
        Ok(rows.iter().map(<[u8]>::to_vec).collect())
    }
}

/// The aggregate of each due row's frame, in groups by the rows' order; `before`: what is remembered of rows before.
fn framed(
    empty: &dyn Accumulator,
    of: &Sequence,
    due: &[Due],
    before: Option<(&[ArrayRef], &[u32])>,
) -> Result<Box<dyn Accumulator>, StateError> {
    let rows = of.batch.num_rows();
    // Of `width` rows from each row on.
    let mut wide = empty.fresh();
    wide.resize(rows);
    let input = Input {
        batch: &of.batch,
        first: of.number,
        now_ms: 0,
    };
    let all: Vec<u32> = (0..rows as u32).collect();
    wide.update(&input, &all)?;
    let mut result = empty.fresh();
    result.resize(due.len());
    if let Some((states, groups)) = before {
        result.merge(states, groups)?;
    }
    let mut open: Vec<(usize, usize)> = due
        .iter()
        .map(|one| (one.frame.0, one.frame.1 + 1 - one.frame.0))
        .collect();
    let mut width = 1;
    loop {
        let (mut from, mut to) = (Vec::new(), Vec::new());
        for (group, (next, left)) in open.iter_mut().enumerate() {
            if *left & width != 0 {
                from.push(*next as u32);
                to.push(group as u32);
                *next += width;
                *left -= width;
            }
        }
        if !from.is_empty() {
            result.merge(&wide.state(&from)?, &to)?;
        }
        if open.iter().all(|(_, left)| *left == 0) || width >= rows {
            return Ok(result);
        }
        // Twice as wide; what is wider than the rows that follow is asked for by none.
        let state = wide.state(all.get(width..).unwrap_or_default())?;
        wide.merge(&state, all.get(..rows - width).unwrap_or_default())?;
        width *= 2;
    }
}

/// A column of the row so many rows before, and what stands for one that isn't there.
fn lag(
    of: &Sequence,
    due: &[Due],
    (column, offset): (usize, usize),
    default: Option<usize>,
) -> Result<ArrayRef, StateError> {
    let source = |one: &Due| {
        let first = of.stretches.get(one.stretch).map_or(0, |s| s.first);
        one.row.checked_sub(offset).filter(|row| *row >= first)
    };
    let find = |at: usize| {
        let found = of.batch.columns().get(at);
        found.ok_or_else(|| columns("the rows lack columns"))
    };
    let values = find(column)?;
    let Some(default) = default else {
        let rows: UInt32Array = due
            .iter()
            .map(|one| source(one).map(|row| row as u32))
            .collect();
        return take(values, &rows, None).map_err(columns);
    };
    let default = find(default)?;
    let choice: Vec<(usize, usize)> = due
        .iter()
        .map(|one| source(one).map_or((1, one.row), |row| (0, row)))
        .collect();
    let both: [&dyn Array; 2] = [values.as_ref(), default.as_ref()];
    interleave(&both, &choice).map_err(columns)
}

/// ROW_NUMBER, RANK or DENSE_RANK.
fn counts(function: &OverFunction, of: &Sequence, due: &[Due]) -> ArrayRef {
    let mut stretch = usize::MAX;
    let (mut rank, mut dense, mut time) = (0, 0, i64::MIN);
    let counted = due.iter().map(|one| {
        let (before, times, first) = of
            .stretches
            .get(one.stretch)
            .map_or((0, 0, 0), |s| (s.rows, s.times, s.due));
        let number = before + (one.row - first) as i64 + 1;
        let at = of.times.get(one.row).copied().unwrap_or(time);
        let begins = one.stretch != stretch;
        if begins {
            stretch = one.stretch;
            dense = times;
        }
        if begins || at != time {
            rank = number;
            dense += 1;
            time = at;
        }
        match function {
            OverFunction::Rank => rank,
            OverFunction::DenseRank => dense,
            _ => number,
        }
    });
    std::sync::Arc::new(Int64Array::from_iter_values(counted))
}
