//! When a group's rows came, by wall time: what a TTL is measured from.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array};
use arrow::datatypes::{DataType, Int64Type};

use super::{Accumulator, Input, Outcome};
use crate::error::StateError;

/// A group without rows.
const NONE: (i64, i64) = (i64::MAX, i64::MIN);

#[derive(Clone, Debug, Default)]
pub(crate) struct ArrivalTimes {
    times: Vec<(i64, i64)>,
}

impl Accumulator for ArrivalTimes {
    fn types(&self) -> Vec<DataType> {
        vec![DataType::Int64, DataType::Int64]
    }

    fn resize(&mut self, len: usize) {
        self.times.resize(len, NONE);
    }

    fn update(&mut self, input: &Input<'_>, groups: &[u32]) -> Result<(), StateError> {
        for &group in groups {
            let (first, last) = &mut self.times[group as usize];
            *first = (*first).min(input.now_ms);
            *last = (*last).max(input.now_ms);
        }
        Ok(())
    }

    fn merge(&mut self, state: &[ArrayRef], groups: &[u32]) -> Result<(), StateError> {
        let firsts = state[0].as_primitive::<Int64Type>().values();
        let lasts = state[1].as_primitive::<Int64Type>().values();
        for ((&group, from), to) in groups.iter().zip(firsts).zip(lasts) {
            let (first, last) = &mut self.times[group as usize];
            *first = (*first).min(*from);
            *last = (*last).max(*to);
        }
        Ok(())
    }

    fn state(&self, groups: &[u32]) -> Result<Vec<ArrayRef>, StateError> {
        let times = || groups.iter().map(|&g| self.times[g as usize]);
        Ok(vec![
            Arc::new(Int64Array::from_iter_values(times().map(|t| t.0))),
            Arc::new(Int64Array::from_iter_values(times().map(|t| t.1))),
        ])
    }

    fn result(&self, _groups: &[u32]) -> Result<Outcome, StateError> {
        Ok(Outcome {
            columns: Vec::new(),
            rows: None,
        })
    }

    fn clear(&mut self, groups: &[u32]) {
        for &g in groups {
            self.times[g as usize] = NONE;
        }
    }

    fn size(&self) -> usize {
        self.times.capacity() * 16
    }

    fn fresh(&self) -> Box<dyn Accumulator> {
        Box::new(ArrivalTimes::default())
    }

    fn copy(&self) -> Box<dyn Accumulator> {
        Box::new(self.clone())
    }

    fn arrival(&self, group: u32) -> Option<(i64, i64)> {
        self.times
            .get(group as usize)
            .copied()
            .filter(|t| *t != NONE)
    }
}
