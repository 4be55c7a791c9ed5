//! Aggregates over distinct values: the set of values is the state, and the function is computed of it when the
//! result is asked for.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use hashbrown::HashTable;

use super::value::entries;
use super::{Accumulator, Input, Outcome, Read};
use crate::codec::{Codec, put_sized};
use crate::error::{StateError, columns};
use crate::keys::hash;

/// Where a group's value lies in its bytes.
#[derive(Clone, Copy, Debug)]
struct Member {
    hash: u64,
    group: u32,
    at: u32,
}

/// A group's bytes: for each value the arrival number of the first row that had it, its length and its encoding.
#[derive(Debug)]
pub(crate) struct Distinct {
    read: Read,
    type_: DataType,
    codec: Codec,
    inner: Box<dyn Accumulator>,
    sets: Vec<Vec<u8>>,
    members: HashTable<Member>,
    bytes: usize,
}

fn number(set: &[u8], at: usize) -> i64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&set[at..at + 8]);
    i64::from_le_bytes(bytes)
}

fn value(set: &[u8], at: usize) -> &[u8] {
    let mut bytes = [0; 4];
    bytes.copy_from_slice(&set[at + 8..at + 12]);
    &set[at + 12..at + 12 + u32::from_le_bytes(bytes) as usize]
}

impl Distinct {
    /// `inner` reads column 0, without a filter.
    pub(crate) fn new(read: Read, type_: DataType, inner: Box<dyn Accumulator>) -> Distinct {
        Distinct {
            read,
            codec: Codec::new(vec![type_.clone()]),
            type_,
            inner,
            sets: Vec::new(),
            members: HashTable::new(),
            bytes: 0,
        }
    }

    fn take(&mut self, group: u32, arrival: i64, bytes: &[u8]) {
        let hash = member(group, bytes);
        let sets = &mut self.sets;
        let entry = self.members.entry(
            hash,
            |m| {
                m.hash == hash
                    && m.group == group
                    && value(&sets[group as usize], m.at as usize) == bytes
            },
            |m| m.hash,
        );
        match entry {
            hashbrown::hash_table::Entry::Occupied(found) => {
                let at = found.get().at as usize;
                let set = &mut sets[group as usize];
                if arrival < number(set, at) {
                    set[at..at + 8].copy_from_slice(&arrival.to_le_bytes());
                }
            }
            hashbrown::hash_table::Entry::Vacant(free) => {
                let set = &mut sets[group as usize];
                free.insert(Member {
                    hash,
                    group,
                    at: set.len() as u32,
                });
                set.extend_from_slice(&arrival.to_le_bytes());
                put_sized(set, bytes);
                self.bytes += bytes.len() + 12;
            }
        }
    }
}

impl Accumulator for Distinct {
    fn types(&self) -> Vec<DataType> {
        vec![DataType::Binary]
    }

    fn resize(&mut self, len: usize) {
        self.sets.resize(len, Vec::new());
    }

    fn update(&mut self, input: &Input<'_>, groups: &[u32]) -> Result<(), StateError> {
        let Some(column) = self.read.column(input) else {
            return Ok(());
        };
        let rows = self
            .codec
            .encode(std::slice::from_ref(column), column.len(), None)?;
        let read = self.read;
        read.each(input, groups, |row, group| {
            self.take(group as u32, input.first + row as i64, rows.row(row));
        });
        Ok(())
    }

    fn merge(&mut self, state: &[ArrayRef], groups: &[u32]) -> Result<(), StateError> {
        let sets = state[0].as_binary::<i32>();
        for (row, &group) in groups.iter().enumerate() {
            for (arrival, value) in entries(sets.value(row))? {
                self.take(group, arrival, value);
            }
        }
        Ok(())
    }

    fn state(&self, groups: &[u32]) -> Result<Vec<ArrayRef>, StateError> {
        Ok(vec![Arc::new(BinaryArray::from_iter_values(
            groups.iter().map(|&g| &self.sets[g as usize]),
        ))])
    }

    fn result(&self, groups: &[u32]) -> Result<Outcome, StateError> {
        let mut inner = self.inner.fresh();
        inner.resize(groups.len());
        let mut values = Vec::new();
        let mut targets = Vec::new();
        for (i, &group) in groups.iter().enumerate() {
            for (_, value) in entries(&self.sets[group as usize])? {
                values.push(value);
                targets.push(i as u32);
            }
        }
        let arrays = self.codec.decode(values.into_iter())?;
        let schema = Schema::new(vec![Field::new("value", self.type_.clone(), true)]);
        let batch = RecordBatch::try_new(Arc::new(schema), arrays).map_err(columns)?;
        let input = Input {
            batch: &batch,
            first: 0,
            now_ms: 0,
        };
        inner.update(&input, &targets)?;
        let all: Vec<u32> = (0..groups.len() as u32).collect();
        inner.result(&all)
    }

    fn clear(&mut self, groups: &[u32]) {
        for &group in groups {
            let set = std::mem::take(&mut self.sets[group as usize]);
            let mut at = 0;
            while at < set.len() {
                let bytes = value(&set, at);
                let hash = member(group, bytes);
                if let Ok(found) = self
                    .members
                    .find_entry(hash, |m| m.group == group && m.at as usize == at)
                {
                    found.remove();
                }
                at += 12 + bytes.len();
            }
            self.bytes -= self.bytes.min(set.len());
        }
    }

    fn size(&self) -> usize {
        self.sets.capacity() * 24 + self.bytes + self.members.allocation_size()
    }

    fn fresh(&self) -> Box<dyn Accumulator> {
        Box::new(Distinct::new(
            self.read,
            self.type_.clone(),
            self.inner.fresh(),
        ))
    }

    fn copy(&self) -> Box<dyn Accumulator> {
        Box::new(Distinct {
            read: self.read,
            type_: self.type_.clone(),
            codec: self.codec.clone(),
            inner: self.inner.fresh(),
            sets: self.sets.clone(),
            members: self.members.clone(),
            bytes: self.bytes,
        })
    }
}

/// The hash of a group's value.
fn member(group: u32, value: &[u8]) -> u64 {
    // Groups are dense numbers: multiplied, they spread over all bits.
    let group = u64::from(group).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (u64::from(hash(value)) | group << 32)
        .wrapping_mul(0xD6E8_FEB8_6659_FD93)
        .rotate_left(32)
        .wrapping_mul(0xD6E8_FEB8_6659_FD93)
}
