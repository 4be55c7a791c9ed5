//! FIRST_VALUE, LAST_VALUE and LISTAGG: what depends on the order in which rows arrive. Values are kept with the
//! number under which their row came, so that states may be merged in any order.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, Int64Array};
use arrow::datatypes::{DataType, Int64Type};

use super::{Accumulator, Input, Outcome, Read, nulls};
use crate::codec::{Codec, Texts, put_sized, take_i64, take_sized, texts};
use crate::error::StateError;

/// FIRST_VALUE and LAST_VALUE.
#[derive(Clone, Debug)]
pub(crate) struct Value {
    read: Read,
    type_: DataType,
    last: bool,
    codec: Codec,
    /// An encoded null, for groups without a value.
    null: Vec<u8>,
    /// Arrival number and encoded value.
    values: Vec<Option<(i64, Vec<u8>)>>,
    bytes: usize,
}

impl Value {
    pub(crate) fn new(read: Read, type_: DataType, last: bool) -> Value {
        let mut null = vec![1];
        // A null takes the width of its type, or the length 0.
        null.resize(1 + crate::codec::fixed_width(&type_).unwrap_or(4), 0);
        if type_.is_nested() {
            // One nested value that is null: its single flag says so. Structs' fields follow.
            let array = arrow::array::new_null_array(&type_, 1);
            if let Ok(value) = crate::codec::nested::write(&array, 0) {
                null.truncate(1);
                put_sized(&mut null, &value);
            }
        }
        Value {
            read,
            codec: Codec::new(vec![type_.clone()]),
            type_,
            last,
            null,
            values: Vec::new(),
            bytes: 0,
        }
    }

    fn take(&mut self, group: usize, number: i64, value: &[u8]) {
        let slot = &mut self.values[group];
        match slot {
            Some((old, _)) if (number > *old) != self.last => {}
            Some((old, bytes)) => {
                *old = number;
                bytes.clear();
                bytes.extend_from_slice(value);
            }
            None => {
                self.bytes += value.len();
                *slot = Some((number, value.to_vec()));
            }
        }
    }
}

impl Accumulator for Value {
    fn types(&self) -> Vec<DataType> {
        vec![DataType::Int64, DataType::Binary]
    }

    fn resize(&mut self, len: usize) {
        self.values.resize(len, None);
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
            self.take(group, input.first + row as i64, rows.row(row));
        });
        Ok(())
    }

    fn merge(&mut self, state: &[ArrayRef], groups: &[u32]) -> Result<(), StateError> {
        let numbers = state[0].as_primitive::<Int64Type>();
        let values = state[1].as_binary::<i32>();
        for (row, &group) in groups.iter().enumerate() {
            if values.is_valid(row) {
                self.take(group as usize, numbers.value(row), values.value(row));
            }
        }
        Ok(())
    }

    fn state(&self, groups: &[u32]) -> Result<Vec<ArrayRef>, StateError> {
        let chosen = || groups.iter().map(|&g| self.values[g as usize].as_ref());
        Ok(vec![
            Arc::new(
                chosen()
                    .map(|v| v.map(|(number, _)| *number))
                    .collect::<Int64Array>(),
            ),
            Arc::new(
                chosen()
                    .map(|v| v.map(|(_, value)| &value[..]))
                    .collect::<BinaryArray>(),
            ),
        ])
    }

    fn result(&self, groups: &[u32]) -> Result<Outcome, StateError> {
        let rows = groups.iter().map(|&g| {
            self.values[g as usize]
                .as_ref()
                .map_or(&self.null[..], |(_, value)| &value[..])
        });
        Ok(Outcome {
            columns: self.codec.decode(rows)?,
            rows: None,
        })
    }

    fn clear(&mut self, groups: &[u32]) {
        for &group in groups {
            if let Some((_, value)) = self.values[group as usize].take() {
                self.bytes -= self.bytes.min(value.len());
            }
        }
    }

    fn size(&self) -> usize {
        self.values.capacity() * 48 + self.bytes
    }

    fn fresh(&self) -> Box<dyn Accumulator> {
        Box::new(Value::new(self.read, self.type_.clone(), self.last))
    }

    fn copy(&self) -> Box<dyn Accumulator> {
        Box::new(self.clone())
    }
}

/// LISTAGG. A group's state: for each text its arrival number, its length and itself.
#[derive(Clone, Debug)]
pub(crate) struct List {
    read: Read,
    separator: String,
    texts: Vec<Vec<u8>>,
    bytes: usize,
}

impl List {
    pub(crate) fn new(read: Read, separator: &str) -> List {
        List {
            read,
            separator: separator.to_owned(),
            texts: Vec::new(),
            bytes: 0,
        }
    }
}

/// The entries of a state, by arrival.
pub(crate) fn entries(mut state: &[u8]) -> Result<Vec<(i64, &[u8])>, StateError> {
    let mut entries = Vec::new();
    while !state.is_empty() {
        entries.push((take_i64(&mut state)?, take_sized(&mut state)?));
    }
    entries.sort_by_key(|e| e.0);
    Ok(entries)
}

impl Accumulator for List {
    fn types(&self) -> Vec<DataType> {
        vec![DataType::Binary]
    }

    fn resize(&mut self, len: usize) {
        self.texts.resize(len, Vec::new());
    }

    fn update(&mut self, input: &Input<'_>, groups: &[u32]) -> Result<(), StateError> {
        let Some(column) = self.read.column(input).and_then(|c| Texts::of(c)) else {
            return Ok(());
        };
        let (texts, bytes) = (&mut self.texts, &mut self.bytes);
        self.read.each(input, groups, |row, group| {
            let text = &mut texts[group];
            text.extend_from_slice(&(input.first + row as i64).to_le_bytes());
            put_sized(text, column.get(row));
            *bytes += column.get(row).len() + 12;
        });
        Ok(())
    }

    fn merge(&mut self, state: &[ArrayRef], groups: &[u32]) -> Result<(), StateError> {
        let values = state[0].as_binary::<i32>();
        for (row, &group) in groups.iter().enumerate() {
            self.texts[group as usize].extend_from_slice(values.value(row));
            self.bytes += values.value(row).len();
        }
        Ok(())
    }

    fn state(&self, groups: &[u32]) -> Result<Vec<ArrayRef>, StateError> {
        Ok(vec![Arc::new(BinaryArray::from_iter_values(
            groups.iter().map(|&g| &self.texts[g as usize]),
        ))])
    }

    fn result(&self, groups: &[u32]) -> Result<Outcome, StateError> {
        let mut bytes = Vec::new();
        let mut lengths = Vec::with_capacity(groups.len());
        for &group in groups {
            let start = bytes.len();
            for (i, (_, text)) in entries(&self.texts[group as usize])?.iter().enumerate() {
                if i > 0 {
                    bytes.extend_from_slice(self.separator.as_bytes());
                }
                bytes.extend_from_slice(text);
            }
            lengths.push(bytes.len() - start);
        }
        let nulls = nulls(groups.iter().map(|&g| !self.texts[g as usize].is_empty()));
        texts(&DataType::Utf8, &bytes, lengths.into_iter(), nulls).map(Outcome::one)
    }

    fn clear(&mut self, groups: &[u32]) {
        for &group in groups {
            let text = std::mem::take(&mut self.texts[group as usize]);
            self.bytes -= self.bytes.min(text.len());
        }
    }

    fn size(&self) -> usize {
        self.texts.capacity() * 24 + self.bytes
    }

    fn fresh(&self) -> Box<dyn Accumulator> {
        Box::new(List::new(self.read, &self.separator))
    }

    fn copy(&self) -> Box<dyn Accumulator> {
        Box::new(self.clone())
    }
}
