//! COUNT.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array};
use arrow::datatypes::{DataType, Int64Type};

use super::{Accumulator, Input, Outcome, Read};
use crate::error::StateError;

#[derive(Clone, Debug)]
pub(crate) struct Count {
    read: Read,
    counts: Vec<i64>,
}

impl Count {
    pub(crate) fn new(read: Read) -> Count {
        Count {
            read,
            counts: Vec::new(),
        }
    }

    fn column(&self, groups: &[u32]) -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(
            groups.iter().map(|&g| self.counts[g as usize]),
        ))
    }
}

impl Accumulator for Count {
    fn types(&self) -> Vec<DataType> {
        vec![DataType::Int64]
    }

    fn resize(&mut self, len: usize) {
        self.counts.resize(len, 0);
    }

    fn update(&mut self, input: &Input<'_>, groups: &[u32]) -> Result<(), StateError> {
        let counts = &mut self.counts;
        self.read.each(input, groups, |_, group| {
            counts[group] = counts[group].wrapping_add(1);
        });
        Ok(())
    }

    fn merge(&mut self, state: &[ArrayRef], groups: &[u32]) -> Result<(), StateError> {
        let values = state[0].as_primitive::<Int64Type>().values();
        for (&group, value) in groups.iter().zip(values) {
            let count = &mut self.counts[group as usize];
            *count = count.wrapping_add(*value);
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
            self.counts[g as usize] = 0;
        }
    }

    fn size(&self) -> usize {
        self.counts.capacity() * 8
    }

    fn fresh(&self) -> Box<dyn Accumulator> {
        Box::new(Count::new(self.read))
    }

    fn copy(&self) -> Box<dyn Accumulator> {
        Box::new(self.clone())
    }
}
