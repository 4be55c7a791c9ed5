//! The first rows of each group by an order: deduplication (one row) and Top-N.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BinaryArray, Int64Array};
use arrow::datatypes::DataType;
use headworks_sql::keyed::{self, Order};

use super::{Accumulator, Input, Outcome};
use crate::codec::{Codec, put_sized, take_i64, take_sized};
use crate::error::StateError;
use crate::order;
use crate::spec::Spec;

/// A kept row: what it is ordered by, its arrival number, and its encoding.
type Entry<'a> = (&'a [u8], i64, &'a [u8]);

/// A group's bytes: its rows, the first one first.
#[derive(Clone, Debug)]
pub(crate) struct Rank {
    order: Vec<Order>,
    limit: usize,
    /// Of rows with equal orders the one that came last is the first.
    last: bool,
    /// Rows' columns from here on are kept.
    keys: usize,
    codec: Codec,
    rows: Vec<Vec<u8>>,
    bytes: usize,
}

impl Rank {
    pub(crate) fn new(rank: &keyed::Rank, spec: &Spec) -> Rank {
        let fields = spec.rows.fields().iter().skip(spec.keys);
        Rank {
            order: rank.order.clone(),
            limit: rank.limit as usize,
            last: rank.keeps_last(spec.time),
            keys: spec.keys,
            codec: Codec::new(fields.map(|f| f.data_type().clone()).collect()),
            rows: Vec::new(),
            bytes: 0,
        }
    }

    fn precedes(&self, a: Entry<'_>, b: Entry<'_>) -> bool {
        let wins = if self.last { a.1 > b.1 } else { a.1 < b.1 };
        a.0 < b.0 || (a.0 == b.0 && wins)
    }

    fn take(&mut self, group: usize, entry: Entry<'_>) -> Result<(), StateError> {
        let old = &self.rows[group];
        let mut rest = &old[..];
        let (mut at, mut count, mut place) = (0, 0, None);
        while !rest.is_empty() && count < self.limit {
            let before = read(&mut rest)?;
            if place.is_none() && self.precedes(entry, before) {
                place = Some(at);
            }
            at = old.len() - rest.len();
            count += 1;
        }
        if place.is_none() && count >= self.limit {
            return Ok(());
        }
        let place = place.unwrap_or(at);
        let mut row = Vec::with_capacity(old.len() + entry.0.len() + entry.2.len() + 16);
        row.extend_from_slice(&old[..place]);
        write(&mut row, entry);
        row.extend_from_slice(&old[place..]);
        if count == self.limit {
            // The last row leaves.
            let mut rest = &row[..];
            for _ in 0..self.limit {
                read(&mut rest)?;
            }
            let end = row.len() - rest.len();
            row.truncate(end);
        }
        self.bytes = (self.bytes + row.len()).saturating_sub(old.len());
        self.rows[group] = row;
        Ok(())
    }
}

fn read<'a>(bytes: &mut &'a [u8]) -> Result<Entry<'a>, StateError> {
    Ok((take_sized(bytes)?, take_i64(bytes)?, take_sized(bytes)?))
}

fn write(bytes: &mut Vec<u8>, (order, number, row): Entry<'_>) {
    put_sized(bytes, order);
    bytes.extend_from_slice(&number.to_le_bytes());
    put_sized(bytes, row);
}

impl Accumulator for Rank {
    fn types(&self) -> Vec<DataType> {
        vec![DataType::Binary]
    }

    fn resize(&mut self, len: usize) {
        self.rows.resize(len, Vec::new());
    }

    fn update(&mut self, input: &Input<'_>, groups: &[u32]) -> Result<(), StateError> {
        let rows = self.codec.encode(
            &input.batch.columns()[self.keys..],
            input.batch.num_rows(),
            None,
        )?;
        let mut key = Vec::new();
        for (row, &group) in groups.iter().enumerate() {
            key.clear();
            for by in &self.order {
                let column = input.batch.column(by.column);
                order::put(column, row, by.descending, by.nulls_first, &mut key);
            }
            let number = input.first + row as i64;
            self.take(group as usize, (&key, number, rows.row(row)))?;
        }
        Ok(())
    }

    fn merge(&mut self, state: &[ArrayRef], groups: &[u32]) -> Result<(), StateError> {
        let column = state[0].as_binary::<i32>();
        for (row, &group) in groups.iter().enumerate() {
            let mut rest = column.value(row);
            while !rest.is_empty() {
                let entry = read(&mut rest)?;
                self.take(group as usize, entry)?;
            }
        }
        Ok(())
    }

    fn state(&self, groups: &[u32]) -> Result<Vec<ArrayRef>, StateError> {
        Ok(vec![Arc::new(BinaryArray::from_iter_values(
            groups.iter().map(|&g| &self.rows[g as usize]),
        ))])
    }

    fn result(&self, groups: &[u32]) -> Result<Outcome, StateError> {
        let mut rows = Vec::new();
        let mut numbers = Vec::new();
        let mut counts = Vec::with_capacity(groups.len());
        for &group in groups {
            let mut rest = &self.rows[group as usize][..];
            let mut count = 0;
            while !rest.is_empty() {
                rows.push(read(&mut rest)?.2);
                count += 1;
                numbers.push(i64::from(count));
            }
            counts.push(count);
        }
        let mut columns = self.codec.decode(rows.into_iter())?;
        columns.push(Arc::new(Int64Array::from(numbers)));
        Ok(Outcome {
            columns,
            rows: Some(counts),
        })
    }

    fn clear(&mut self, groups: &[u32]) {
        for &group in groups {
            let rows = std::mem::take(&mut self.rows[group as usize]);
            self.bytes -= self.bytes.min(rows.len());
        }
    }

    fn size(&self) -> usize {
        self.rows.capacity() * 40 + self.bytes
    }

    fn fresh(&self) -> Box<dyn Accumulator> {
        Box::new(Rank {
            order: self.order.clone(),
            limit: self.limit,
            last: self.last,
            keys: self.keys,
            codec: self.codec.clone(),
            rows: Vec::new(),
            bytes: 0,
        })
    }

    fn copy(&self) -> Box<dyn Accumulator> {
        Box::new(self.clone())
    }

    fn kept(&self, group: u32) -> Option<i64> {
        let mut rows = &self.rows.get(group as usize)?[..];
        read(&mut rows).ok().map(|entry| entry.1)
    }
}
