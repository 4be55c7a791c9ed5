//! MIN and MAX, of everything that has an order. NaN is the greatest number; texts and bytes are ordered byte
//! by byte, false comes before true.

use std::fmt::Debug;
use std::marker::PhantomData;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BinaryArray, BooleanArray, PrimitiveArray,
};
use arrow::datatypes::{
    ArrowNativeTypeOp, DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type,
    Int64Type, Time64MicrosecondType, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampSecondType,
};

use super::{Accumulator, Input, Outcome, Read, nulls};
use crate::codec::{Texts, texts};
use crate::error::StateError;

/// The greatest of a column of that type, or the least.
pub(crate) fn extreme(read: Read, type_: &DataType, greatest: bool) -> Box<dyn Accumulator> {
    match type_ {
        DataType::Int32 => numbers::<Int32Type>(read, type_, greatest),
        DataType::Int64 => numbers::<Int64Type>(read, type_, greatest),
        DataType::Float32 => numbers::<Float32Type>(read, type_, greatest),
        DataType::Float64 => numbers::<Float64Type>(read, type_, greatest),
        DataType::Decimal128(..) => numbers::<Decimal128Type>(read, type_, greatest),
        DataType::Date32 => numbers::<Date32Type>(read, type_, greatest),
        DataType::Time64(_) => numbers::<Time64MicrosecondType>(read, type_, greatest),
        DataType::Timestamp(TimeUnit::Second, _) => {
            numbers::<TimestampSecondType>(read, type_, greatest)
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            numbers::<TimestampMillisecondType>(read, type_, greatest)
        }
        DataType::Timestamp(..) => numbers::<TimestampMicrosecondType>(read, type_, greatest),
        _ => Box::new(ExtremeText {
            read,
            type_: type_.clone(),
            greatest,
            values: Vec::new(),
        }),
    }
}

fn numbers<T: ArrowPrimitiveType + Debug>(
    read: Read,
    type_: &DataType,
    greatest: bool,
) -> Box<dyn Accumulator> {
    Box::new(Extreme::<T> {
        read,
        type_: type_.clone(),
        greatest,
        values: Vec::new(),
        kind: PhantomData,
    })
}

#[derive(Debug)]
struct Extreme<T: ArrowPrimitiveType> {
    read: Read,
    type_: DataType,
    greatest: bool,
    values: Vec<Option<T::Native>>,
    kind: PhantomData<fn() -> T>,
}

impl<T: ArrowPrimitiveType> Extreme<T> {
    fn column(&self, groups: &[u32]) -> ArrayRef {
        let values: PrimitiveArray<T> = groups.iter().map(|&g| self.values[g as usize]).collect();
        Arc::new(values.with_data_type(self.type_.clone()))
    }
}

fn take<N: ArrowNativeTypeOp>(slot: &mut Option<N>, value: N, greatest: bool) {
    let better = slot.is_none_or(|old| {
        if greatest {
            value.is_gt(old)
        } else {
            value.is_lt(old)
        }
    });
    if better {
        *slot = Some(value);
    }
}

impl<T: ArrowPrimitiveType + Debug> Accumulator for Extreme<T> {
    fn types(&self) -> Vec<DataType> {
        vec![self.type_.clone()]
    }

    fn resize(&mut self, len: usize) {
        self.values.resize(len, None);
    }

    fn update(&mut self, input: &Input<'_>, groups: &[u32]) -> Result<(), StateError> {
        let Some(column) = self.read.column(input) else {
            return Ok(());
        };
        let column = column.as_primitive::<T>().values();
        let (values, greatest) = (&mut self.values, self.greatest);
        self.read.each(input, groups, |row, group| {
            take(&mut values[group], column[row], greatest);
        });
        Ok(())
    }

    fn merge(&mut self, state: &[ArrayRef], groups: &[u32]) -> Result<(), StateError> {
        let column = state[0].as_primitive::<T>();
        for (row, &group) in groups.iter().enumerate() {
            if column.is_valid(row) {
                take(
                    &mut self.values[group as usize],
                    column.value(row),
                    self.greatest,
                );
            }
        }
        Ok(())
    }

    fn state(&self, groups: &[u32]) -> Result<Vec<ArrayRef>, StateError> {
        Ok(vec![self.column(groups)])
    }

    fn result(&self, groups: &[u32]) -> Result<Outcome, StateError> {
        Ok(Outcome::one(self.column(groups)))
    }

    fn clear(&mut self, groups: &[u32]) {
        for &g in groups {
            self.values[g as usize] = None;
        }
    }

    fn size(&self) -> usize {
        self.values.capacity() * size_of::<Option<T::Native>>()
    }

    fn fresh(&self) -> Box<dyn Accumulator> {
        numbers::<T>(self.read, &self.type_, self.greatest)
    }

    fn copy(&self) -> Box<dyn Accumulator> {
        Box::new(Extreme::<T> {
            read: self.read,
            type_: self.type_.clone(),
            greatest: self.greatest,
            values: self.values.clone(),
            kind: PhantomData,
        })
    }
}

/// Texts, bytes and booleans.
#[derive(Clone, Debug)]
struct ExtremeText {
    read: Read,
    type_: DataType,
    greatest: bool,
    values: Vec<Option<Box<[u8]>>>,
}

impl ExtremeText {
    fn take(slot: &mut Option<Box<[u8]>>, value: &[u8], greatest: bool) {
        let better = slot.as_ref().is_none_or(|old| {
            if greatest {
                value > &old[..]
            } else {
                value < &old[..]
            }
        });
        if better {
            *slot = Some(value.into());
        }
    }

    fn chosen<'a>(&'a self, groups: &'a [u32]) -> impl Iterator<Item = Option<&'a [u8]>> {
        groups.iter().map(|&g| self.values[g as usize].as_deref())
    }
}

impl Accumulator for ExtremeText {
    fn types(&self) -> Vec<DataType> {
        vec![DataType::Binary]
    }

    fn resize(&mut self, len: usize) {
        self.values.resize(len, None);
    }

    fn update(&mut self, input: &Input<'_>, groups: &[u32]) -> Result<(), StateError> {
        let Some(column) = self.read.column(input) else {
            return Ok(());
        };
        let (values, greatest) = (&mut self.values, self.greatest);
        if let Some(column) = Texts::of(column) {
            self.read.each(input, groups, |row, group| {
                Self::take(&mut values[group], column.get(row), greatest);
            });
        } else if let Some(column) = column.as_boolean_opt() {
            self.read.each(input, groups, |row, group| {
                Self::take(&mut values[group], &[u8::from(column.value(row))], greatest);
            });
        }
        Ok(())
    }

    fn merge(&mut self, state: &[ArrayRef], groups: &[u32]) -> Result<(), StateError> {
        let column = state[0].as_binary::<i32>();
        for (value, &group) in column.iter().zip(groups) {
            if let Some(value) = value {
                Self::take(&mut self.values[group as usize], value, self.greatest);
            }
        }
        Ok(())
    }

    fn state(&self, groups: &[u32]) -> Result<Vec<ArrayRef>, StateError> {
        Ok(vec![Arc::new(self.chosen(groups).collect::<BinaryArray>())])
    }

    fn result(&self, groups: &[u32]) -> Result<Outcome, StateError> {
        Ok(Outcome::one(if self.type_ == DataType::Boolean {
            let values = self.chosen(groups).map(|v| v.map(|v| v == [1]));
            Arc::new(values.collect::<BooleanArray>())
        } else {
            let mut bytes = Vec::new();
            let mut lengths = Vec::with_capacity(groups.len());
            for value in self.chosen(groups) {
                bytes.extend_from_slice(value.unwrap_or_default());
                lengths.push(value.map_or(0, <[u8]>::len));
            }
            let nulls = nulls(self.chosen(groups).map(|v| v.is_some()));
            texts(&self.type_, &bytes, lengths.into_iter(), nulls)?
        }))
    }

    fn clear(&mut self, groups: &[u32]) {
        for &g in groups {
            self.values[g as usize] = None;
        }
    }

    fn size(&self) -> usize {
        // The texts themselves are taken to be short.
        self.values.capacity() * 40
    }

    fn fresh(&self) -> Box<dyn Accumulator> {
        extreme(self.read, &self.type_, self.greatest)
    }

    fn copy(&self) -> Box<dyn Accumulator> {
        Box::new(self.clone())
    }
}
