//! The end of an epoch: which rows are due, and what is given of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, UInt32Array, new_null_array};
use arrow::compute::{take, take_record_batch};
use headworks_sql::keyed::over::Frame;

use super::OverRows;
use super::frames::{Due, Sequence, Stretch};
use super::keys::Kept;
use crate::error::{StateError, columns};
use crate::mutant::Mutant;
use crate::timed_rows::buffer::Place;

/// How many rows become one batch of results.
const RESULTS: usize = 8_192;

/// What an epoch gives.
#[derive(Default)]
pub(super) struct Given {
    pub results: Vec<RecordBatch>,
    /// What is kept from now on of the keys that had rows.
    pub kept: Vec<OfKey>,
}

/// A key, encoded, and what is kept of it.
pub(super) type OfKey = (Arc<[u8]>, Kept);
/// Rows of a key, in order.
type Rows = BTreeMap<Place, Arc<[u8]>>;

impl OverRows {
    /// What rows up to a cut give.
    pub(super) fn give(&self, cut: i64) -> Result<Given, StateError> {
        let mut by_key: BTreeMap<Arc<[u8]>, Rows> = BTreeMap::new();
        let bounds = (self.cut.saturating_add(1), cut);
        for buffer in [&self.committed, &self.added] {
            for (place, key, entry) in buffer.between(bounds) {
                let rows = by_key.entry(key.clone()).or_default();
                rows.insert(place, entry.row.clone());
            }
        }
        if by_key.is_empty() {
            return Ok(Given::default());
        }
        let (of, places) = self.sequence(&by_key)?;
        let due = self.due(&of);
        let computed = self
            .functions
            .compute(&of, &due, self.over.is_unbounded())?;
        let kept = self.kept_of(&by_key, &of, &places, computed.states)?;
        let results = self.results(&of, &due, &places, &computed.columns)?;
        Ok(Given { results, kept })
    }

    /// The rows of all keys one after the other, with their places.
    fn sequence(
        &self,
        by_key: &BTreeMap<Arc<[u8]>, Rows>,
    ) -> Result<(Sequence, Vec<Place>), StateError> {
        let (mut places, mut rows, mut keys) = (Vec::new(), Vec::new(), Vec::<&[u8]>::new());
        let mut stretches = Vec::with_capacity(by_key.len());
        let mut number = 0;
        for (key, due) in by_key {
            let kept = self.kept.get(key);
            let mut known: Rows = kept
                .map(|k| k.last.iter().cloned().collect())
                .unwrap_or_default();
            if let (Some(range), Some(((time, _), _))) = (self.range(), due.first_key_value()) {
                let bounds = (time.saturating_sub(range), self.cut);
                let before = self.committed.of_key(key, bounds);
                known.extend(before.map(|(place, entry)| (place, entry.row.clone())));
            }
            let first = places.len();
            stretches.push(Stretch {
                first,
                due: first + known.len(),
                end: first + known.len() + due.len(),
                rows: kept.map_or(0, |k| k.rows),
                times: kept.map_or(0, |k| k.times),
                state: kept.map(|k| k.state.clone()),
            });
            number = number.max(kept.map_or(0, |k| k.seen + 1));
            for (place, row) in known
                .into_iter()
                .chain(due.iter().map(|(p, r)| (*p, r.clone())))
            {
                places.push(place);
                rows.push(row);
                keys.push(key);
            }
        }
        let mut columns_of: Vec<ArrayRef> = self.layout.key.decode(keys.into_iter())?;
        columns_of.extend(self.codec.decode(rows.iter().map(|row| &row[..]))?);
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        let schema = self.layout.spec.rows.clone();
        let batch =
            RecordBatch::try_new_with_options(schema, columns_of, &options).map_err(columns)?;
        let sequence = Sequence {
            batch,
            times: places.iter().map(|(time, _)| *time).collect(),
            stretches,
            number,
        };
        Ok((sequence, places))
    }

    /// How much time a frame has before its row; none: it isn't one of RANGE with a bound.
    fn range(&self) -> Option<i64> {
        let longer = i64::from(self.broken == Some(Mutant::FrameLonger));
        self.over
            .range_ms()
            .map(|range| range.saturating_add(longer))
    }

    /// The rows that are due, each with its frame.
    fn due(&self, of: &Sequence) -> Vec<Due> {
        let mut due = Vec::new();
        let longer = usize::from(self.broken == Some(Mutant::FrameLonger));
        let by_range = matches!(self.over.frame, Frame::Range { .. });
        for (number, stretch) in of.stretches.iter().enumerate() {
            let times = &of.times[stretch.first..stretch.end];
            for row in stretch.due..stretch.end {
                let time = of.times[row];
                let from = match self.over.frame {
                    _ if self.over.is_unbounded() => stretch.due,
                    Frame::Rows { preceding } => {
                        let rows = preceding.unwrap_or(0) as usize + longer;
                        row.saturating_sub(rows).max(stretch.first)
                    }
                    Frame::Range { .. } => {
                        let least = time.saturating_sub(self.range().unwrap_or(0));
                        stretch.first + times.partition_point(|t| *t < least)
                    }
                };
                let to = if by_range && self.broken != Some(Mutant::PeersSplit) {
                    stretch.first + times.partition_point(|t| *t <= time) - 1
                } else {
                    row
                };
                due.push(Due {
                    row,
                    stretch: number,
                    frame: (from, to),
                });
            }
        }
        due
    }

    /// What is kept of the keys from now on.
    fn kept_of(
        &self,
        by_key: &BTreeMap<Arc<[u8]>, Rows>,
        of: &Sequence,
        places: &[Place],
        states: Vec<Vec<u8>>,
    ) -> Result<Vec<OfKey>, StateError> {
        let lookback = self.over.lookback();
        if lookback == 0 && !self.over.is_unbounded() && !self.over.counts() {
            return Ok(Vec::new());
        }
        let kept_rows = |stretch: &Stretch| {
            stretch.end.saturating_sub(lookback).max(stretch.first)..stretch.end
        };
        let indices: Vec<u32> = of
            .stretches
            .iter()
            .flat_map(kept_rows)
            .map(|row| row as u32)
            .collect();
        let slim = self.slim(of, &indices)?;
        let mut slim = slim.iter();
        let seen = of.number + places.len() as i64;
        let stretches = of.stretches.iter().zip(states);
        let all = by_key.keys().zip(stretches).map(|(key, (stretch, state))| {
            let last = kept_rows(stretch).zip(slim.by_ref());
            let last = last
                .map(|(row, bytes)| (places[row], bytes.clone()))
                .collect();
            let times = &of.times[stretch.due..stretch.end];
            let kept = Kept {
                rows: stretch.rows + times.len() as i64,
                times: stretch.times
                    + 1
                    + times.windows(2).filter(|two| two[0] != two[1]).count() as i64,
                seen,
                state,
                last,
            };
            (key.clone(), kept)
        });
        Ok(all.collect())
    }

    /// Rows of the sequence, encoded, without the columns that no function reads.
    fn slim(&self, of: &Sequence, indices: &[u32]) -> Result<Vec<Arc<[u8]>>, StateError> {
        let rows = UInt32Array::from(indices.to_vec());
        let keys = self.layout.spec.keys;
        let mut all: Vec<ArrayRef> = Vec::new();
        for (at, column) in of.batch.columns().iter().enumerate().skip(keys) {
            all.push(if self.functions.reads.contains(&at) {
                take(column, &rows, None).map_err(columns)?
            } else {
                new_null_array(column.data_type(), indices.len())
            });
        }
        let encoded = self.codec.encode(&all, indices.len(), None)?;
        Ok(encoded.iter().map(Into::into).collect())
    }

    /// The results, by event time and then in the order in which rows came.
    fn results(
        &self,
        of: &Sequence,
        due: &[Due],
        places: &[Place],
        functions: &[ArrayRef],
    ) -> Result<Vec<RecordBatch>, StateError> {
        let mut order: Vec<u32> = (0..due.len() as u32).collect();
        order.sort_by_key(|at| places[due[*at as usize].row]);
        let mut results = Vec::with_capacity(order.len().div_ceil(RESULTS));
        for chunk in order.chunks(RESULTS) {
            let rows: UInt32Array = chunk
                .iter()
                .map(|at| Some(due[*at as usize].row as u32))
                .collect();
            let given = take_record_batch(&of.batch, &rows).map_err(columns)?;
            let mut all = given.columns().to_vec();
            let chunk = UInt32Array::from(chunk.to_vec());
            for function in functions {
                all.push(take(function, &chunk, None).map_err(columns)?);
            }
            let schema = self.layout.spec.results.clone();
            results.push(RecordBatch::try_new(schema, all).map_err(columns)?);
        }
        Ok(results)
    }
}
