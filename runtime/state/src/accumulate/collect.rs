//! ARRAY_AGG: all values, null ones too, in the order in which rows arrive.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, ListArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field};

use super::value::entries;
use super::{Accumulator, Input, Outcome, Read, nulls};
use crate::codec::{Codec, put_sized};
use crate::error::{StateError, columns};

/// A group's state: for each value its arrival number, its length and its encoding.
#[derive(Clone, Debug)]
pub(crate) struct Collect {
    read: Read,
    type_: DataType,
    codec: Codec,
    values: Vec<Vec<u8>>,
    bytes: usize,
}

impl Collect {
    pub(crate) fn new(read: Read, type_: DataType) -> Collect {
        Collect {
            read,
            codec: Codec::new(vec![type_.clone()]),
            type_,
            values: Vec::new(),
            bytes: 0,
        }
    }
}

impl Accumulator for Collect {
    fn types(&self) -> Vec<DataType> {
        vec![DataType::Binary]
    }

    fn resize(&mut self, len: usize) {
        self.values.resize(len, Vec::new());
    }

    fn update(&mut self, input: &Input<'_>, groups: &[u32]) -> Result<(), StateError> {
        let Some(column) = self.read.column(input) else {
            return Ok(());
        };
        let rows = self
            .codec
            .encode(std::slice::from_ref(column), column.len(), None)?;
        let (values, bytes) = (&mut self.values, &mut self.bytes);
        self.read.each(input, groups, |row, group| {
            let value = &mut values[group];
            value.extend_from_slice(&(input.first + row as i64).to_le_bytes());
            put_sized(value, rows.row(row));
            *bytes += rows.row(row).len() + 12;
        });
        Ok(())
    }

    fn merge(&mut self, state: &[ArrayRef], groups: &[u32]) -> Result<(), StateError> {
        let states = state[0].as_binary::<i32>();
        for (row, &group) in groups.iter().enumerate() {
            self.values[group as usize].extend_from_slice(states.value(row));
            self.bytes += states.value(row).len();
        }
        Ok(())
    }

    fn state(&self, groups: &[u32]) -> Result<Vec<ArrayRef>, StateError> {
        Ok(vec![Arc::new(BinaryArray::from_iter_values(
            groups.iter().map(|&g| &self.values[g as usize]),
        ))])
    }

    fn result(&self, groups: &[u32]) -> Result<Outcome, StateError> {
        let mut values = Vec::new();
        let mut lengths = Vec::with_capacity(groups.len());
        for &group in groups {
            let entries = entries(&self.values[group as usize])?;
            lengths.push(entries.len());
            values.extend(entries.into_iter().map(|(_, value)| value));
        }
        let nulls = nulls(lengths.iter().map(|length| *length > 0));
        let elements = self.codec.decode(values.into_iter())?.swap_remove(0);
        let item = Arc::new(Field::new("item", self.type_.clone(), true));
        let offsets = OffsetBuffer::from_lengths(lengths);
        let lists = ListArray::try_new(item, offsets, elements, nulls).map_err(columns)?;
        Ok(Outcome::one(Arc::new(lists)))
    }

    fn clear(&mut self, groups: &[u32]) {
        for &group in groups {
            let value = std::mem::take(&mut self.values[group as usize]);
            self.bytes -= self.bytes.min(value.len());
        }
    }

    fn size(&self) -> usize {
        self.values.capacity() * 24 + self.bytes
    }

    fn fresh(&self) -> Box<dyn Accumulator> {
        Box::new(Collect::new(self.read, self.type_.clone()))
    }

    fn copy(&self) -> Box<dyn Accumulator> {
        Box::new(self.clone())
    }
}
