//! Groups of rows: keys and what the accumulators remember of each.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, BinaryArray, RecordBatch, RecordBatchOptions, TimestampMillisecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimestampMillisecondType};

use crate::accumulate::{Accumulator, Input, accumulators};
use crate::codec::{Codec, Rows};
use crate::error::{StateError, columns};
use crate::keys::Keys;
use crate::spec::Spec;

/// How many groups become one batch of results.
const RESULTS: usize = 16_384;

/// What the tables of a state partition have in common.
#[derive(Debug)]
pub(crate) struct Layout {
    pub spec: Arc<Spec>,
    /// The key's columns.
    pub key: Codec,
    /// A group's state as columns: the encoded key, then what the accumulators remember.
    pub state: SchemaRef,
    /// Columns of each accumulator.
    counts: Vec<usize>,
    empty: Vec<Box<dyn Accumulator>>,
}

impl Layout {
    pub(crate) fn new(spec: Arc<Spec>) -> Layout {
        let key = Codec::new(
            spec.rows
                .fields()
                .iter()
                .take(spec.keys)
                .map(|f| f.data_type().clone())
                .collect(),
        );
        let empty = accumulators(&spec);
        let mut fields = vec![Field::new("key", DataType::Binary, false)];
        let mut counts = Vec::with_capacity(empty.len());
        for (i, accumulator) in empty.iter().enumerate() {
            let types = accumulator.types();
            counts.push(types.len());
            for (j, type_) in types.into_iter().enumerate() {
                fields.push(Field::new(format!("{i}.{j}"), type_, true));
            }
        }
        Layout {
            spec,
            key,
            state: Arc::new(Schema::new(fields)),
            counts,
            empty,
        }
    }

    /// The event times of rows.
    pub(crate) fn times<'a>(
        &self,
        rows: &'a RecordBatch,
    ) -> Result<&'a TimestampMillisecondArray, StateError> {
        self.spec
            .time
            .and_then(|i| rows.columns().get(i))
            .and_then(|c| c.as_primitive_opt::<TimestampMillisecondType>())
            .ok_or_else(|| columns("the rows have no event time in milliseconds"))
    }

    /// The key's columns of a batch of rows.
    pub(crate) fn key_columns<'a>(&self, batch: &'a RecordBatch) -> &'a [ArrayRef] {
        &batch.columns()[..self.spec.keys]
    }

    /// Keys as a batch of their columns alone.
    pub(crate) fn keys<'a>(
        &self,
        keys: impl Iterator<Item = &'a [u8]>,
    ) -> Result<RecordBatch, StateError> {
        let keys: Vec<&[u8]> = keys.collect();
        let fields: Vec<_> = self.spec.rows.fields()[..self.spec.keys].to_vec();
        let options = RecordBatchOptions::new().with_row_count(Some(keys.len()));
        RecordBatch::try_new_with_options(
            Arc::new(Schema::new(fields)),
            self.key.decode(keys.into_iter())?,
            &options,
        )
        .map_err(columns)
    }
}

/// Which window results belong to.
pub(crate) enum Bounds<'a> {
    /// None.
    No,
    /// All to the one from here to there.
    One(i64, i64),
    /// Each group to its own.
    Each(&'a [(i64, i64)]),
}

/// Keys and accumulators.
#[derive(Debug)]
pub(crate) struct Table {
    layout: Arc<Layout>,
    pub keys: Keys,
    accumulators: Vec<Box<dyn Accumulator>>,
    /// Bytes of the keys that come before what is in the key's columns.
    head: usize,
}

impl Table {
    /// `head`: keys have 8 bytes, a bucket, before their columns.
    pub(crate) fn new(layout: &Arc<Layout>, head: bool) -> Table {
        let head = if head { 8 } else { 0 };
        Table {
            layout: layout.clone(),
            keys: Keys::new(layout.key.width().map(|w| w + head)),
            accumulators: layout.empty.iter().map(|a| a.fresh()).collect(),
            head,
        }
    }

    pub(crate) fn copy(&self) -> Table {
        Table {
            layout: self.layout.clone(),
            keys: self.keys.clone(),
            accumulators: self.accumulators.iter().map(|a| a.copy()).collect(),
            head: self.head,
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.keys.clear();
        for accumulator in &mut self.accumulators {
            *accumulator = accumulator.fresh();
        }
    }

    /// A group's key as its columns are encoded.
    pub(crate) fn key(&self, group: u32) -> &[u8] {
        &self.keys.key(group)[self.head..]
    }

    /// The bucket in a group's key.
    pub(crate) fn bucket(&self, group: u32) -> i64 {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&self.keys.key(group)[..8]);
        i64::from_le_bytes(bytes)
    }

    /// Estimate of the memory in bytes.
    pub(crate) fn size(&self) -> usize {
        self.keys.size() + self.accumulators.iter().map(|a| a.size()).sum::<usize>()
    }

    pub(crate) fn resize(&mut self) {
        let len = self.keys.len();
        self.accumulators.iter_mut().for_each(|a| a.resize(len));
    }

    /// Takes rows in, by their encoded keys.
    pub(crate) fn update(
        &mut self,
        rows: &Rows,
        input: &Input<'_>,
        groups: &mut Vec<u32>,
    ) -> Result<(), StateError> {
        self.keys.intern_all(rows, groups);
        self.update_groups(input, groups)
    }

    /// Takes rows in, by the groups they belong to.
    pub(crate) fn update_groups(
        &mut self,
        input: &Input<'_>,
        groups: &[u32],
    ) -> Result<(), StateError> {
        self.resize();
        self.accumulators
            .iter_mut()
            .try_for_each(|a| a.update(input, groups))
    }

    /// Merges groups of another table into the groups of the same keys.
    pub(crate) fn absorb(&mut self, other: &Table, groups: &[u32]) -> Result<(), StateError> {
        let targets: Vec<u32> = groups
            .iter()
            .map(|&group| self.keys.intern(other.key(group)))
            .collect();
        self.absorb_groups(other, groups, &targets)
    }

    /// Merges `groups[i]` of another table into `targets[i]`.
    pub(crate) fn absorb_groups(
        &mut self,
        other: &Table,
        groups: &[u32],
        targets: &[u32],
    ) -> Result<(), StateError> {
        self.resize();
        for (mine, theirs) in self.accumulators.iter_mut().zip(&other.accumulators) {
            mine.merge(&theirs.state(groups)?, targets)?;
        }
        Ok(())
    }

    /// Merges groups into others of the same table.
    pub(crate) fn fold(&mut self, groups: &[u32], targets: &[u32]) -> Result<(), StateError> {
        for accumulator in &mut self.accumulators {
            let state = accumulator.state(groups)?;
            accumulator.merge(&state, targets)?;
            accumulator.clear(groups);
        }
        Ok(())
    }

    /// Merges a state as [`Table::state`] gave it.
    pub(crate) fn absorb_state(&mut self, state: &RecordBatch) -> Result<(), StateError> {
        let targets = self.targets(state);
        self.absorb_columns(&state.columns()[1..], &targets)
    }

    /// The same, where the state is all there is of its keys.
    pub(crate) fn replace_state(&mut self, state: &RecordBatch) -> Result<(), StateError> {
        let targets = self.targets(state);
        self.reset(&targets);
        self.absorb_columns(&state.columns()[1..], &targets)
    }

    /// The groups of a state's keys.
    fn targets(&mut self, state: &RecordBatch) -> Vec<u32> {
        let keys = state.column(0).as_binary::<i32>();
        (0..state.num_rows())
            .map(|row| self.keys.intern(keys.value(row)))
            .collect()
    }

    /// Merges the columns of a state into groups.
    pub(crate) fn absorb_columns(
        &mut self,
        state: &[ArrayRef],
        targets: &[u32],
    ) -> Result<(), StateError> {
        self.resize();
        let mut rest = state;
        for (accumulator, &count) in self.accumulators.iter_mut().zip(&self.layout.counts) {
            let (mine, others) = rest
                .split_at_checked(count)
                .ok_or_else(|| columns("a state lacks columns"))?;
            accumulator.merge(mine, targets)?;
            rest = others;
        }
        Ok(())
    }

    /// The columns of the state of some groups, without keys.
    pub(crate) fn state_columns(&self, groups: &[u32]) -> Result<Vec<ArrayRef>, StateError> {
        let mut all = Vec::with_capacity(self.layout.state.fields().len());
        for accumulator in &self.accumulators {
            all.extend(accumulator.state(groups)?);
        }
        Ok(all)
    }

    /// The state of some groups, as the layout says.
    pub(crate) fn state(&self, groups: &[u32]) -> Result<RecordBatch, StateError> {
        let keys = BinaryArray::from_iter_values(groups.iter().map(|&g| self.key(g)));
        let mut all: Vec<ArrayRef> = vec![Arc::new(keys)];
        all.extend(self.state_columns(groups)?);
        RecordBatch::try_new(self.layout.state.clone(), all).map_err(columns)
    }

    /// Makes groups as if they had seen nothing.
    pub(crate) fn reset(&mut self, groups: &[u32]) {
        self.resize();
        self.accumulators.iter_mut().for_each(|a| a.clear(groups));
    }

    /// Takes groups away.
    pub(crate) fn remove(&mut self, groups: &[u32]) -> Result<(), StateError> {
        self.reset(groups);
        for &g in groups {
            self.keys.remove(g);
        }
        if self.keys.len() > 1024 && self.keys.live() < self.keys.len() / 2 {
            let mut rest = Table::new(&self.layout, self.head > 0);
            rest.absorb(self, &self.keys.groups())?;
            *self = rest;
        }
        Ok(())
    }

    /// Wall time of a group's first and last row.
    pub(crate) fn arrival(&self, group: u32) -> Option<(i64, i64)> {
        self.accumulators.iter().find_map(|a| a.arrival(group))
    }

    /// The arrival number of the row that a group keeps, where rows are kept.
    pub(crate) fn kept(&self, group: u32) -> Option<i64> {
        self.accumulators.iter().find_map(|a| a.kept(group))
    }

    /// The results of some groups, in their order.
    pub(crate) fn results(
        &self,
        groups: &[u32],
        bounds: &Bounds<'_>,
        out: &mut Vec<RecordBatch>,
    ) -> Result<(), StateError> {
        for (i, chunk) in groups.chunks(RESULTS).enumerate() {
            let mut repeat: Option<Vec<u32>> = None;
            let mut values = Vec::new();
            for accumulator in &self.accumulators {
                let outcome = accumulator.result(chunk)?;
                values.extend(outcome.columns);
                repeat = repeat.or(outcome.rows);
            }
            let times = |row: usize| repeat.as_ref().map_or(1, |r| r[row] as usize);
            let rows: Vec<usize> = (0..chunk.len())
                .flat_map(|row| std::iter::repeat_n(row, times(row)))
                .collect();
            let keys = rows.iter().map(|&row| self.key(chunk[row]));
            let mut all = self.layout.key.decode(keys)?;
            let window = |row: usize| match bounds {
                Bounds::No => (0, 0),
                Bounds::One(start, end) => (*start, *end),
                Bounds::Each(windows) => windows[i * RESULTS + row],
            };
            if !matches!(bounds, Bounds::No) {
                let column = |pick: fn((i64, i64)) -> i64| {
                    TimestampMillisecondArray::from_iter_values(
                        rows.iter().map(|&row| pick(window(row))),
                    )
                };
                all.push(Arc::new(column(|w| w.0)));
                all.push(Arc::new(column(|w| w.1)));
                all.push(Arc::new(
                    column(|w| w.1.saturating_sub(1)).with_timezone("UTC"),
                ));
            }
            all.extend(values);
            let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
            let schema = self.layout.spec.results.clone();
            out.push(RecordBatch::try_new_with_options(schema, all, &options).map_err(columns)?);
        }
        Ok(())
    }
}
