//! SUM and AVG, by Flink's types: integers wrap in the width of the result, decimals are `(38, s)` and null
//! beyond it, means of integers are cut towards zero, means of decimals are rounded half up.

use std::fmt::Debug;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Float32Array, Float64Array,
    Int32Array, Int64Array,
};
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int32Type, Int64Type, i256};

use super::{Accumulator, Input, Outcome, Read, doubles};
use crate::error::{StateError, columns};

/// SUM.
pub(crate) fn sum(read: Read, result: &DataType) -> Box<dyn Accumulator> {
    total(read, result, result, false)
}

/// AVG. What is summed up is as the argument says.
pub(crate) fn mean(read: Read, argument: &DataType, result: &DataType) -> Box<dyn Accumulator> {
    total(read, argument, result, true)
}

fn total(read: Read, summed: &DataType, result: &DataType, mean: bool) -> Box<dyn Accumulator> {
    match summed {
        DataType::Decimal128(_, scale) => Box::new(Total::<Exact>::new(read, result, *scale, mean)),
        DataType::Float32 | DataType::Float64 => Box::new(Total::<f64>::new(read, result, 0, mean)),
        _ => Box::new(Total::<i64>::new(read, result, 0, mean)),
    }
}

/// A decimal sum; absent once it was too large for 128 bits, whatever came then.
#[derive(Clone, Copy, Debug)]
struct Exact(Option<i128>);

/// What values are added up in.
trait Sum: Copy + Debug + Send + Sync + Sized + 'static {
    const ZERO: Self;
    fn types(scale: i8) -> Vec<DataType>;
    fn plus(self, other: Self) -> Self;
    /// The values of a column of arguments.
    fn read(array: &dyn Array) -> Box<dyn Fn(usize) -> Self + '_>;
    /// The sums of a state.
    fn load(state: &[ArrayRef]) -> Box<dyn Fn(usize) -> Self + '_>;
    fn store(sums: impl Iterator<Item = Self>, scale: i8) -> Result<Vec<ArrayRef>, StateError>;
    /// Sums and counts as a result of that type; by the count if it is a mean. A count of 0: null.
    fn finish(
        sums: impl Iterator<Item = (Self, i64)>,
        scale: i8,
        result: &DataType,
        mean: bool,
    ) -> Result<ArrayRef, StateError>;
}

impl Sum for i64 {
    const ZERO: i64 = 0;

    fn types(_: i8) -> Vec<DataType> {
        vec![DataType::Int64]
    }

    fn plus(self, other: i64) -> i64 {
        self.wrapping_add(other)
    }

    fn read(array: &dyn Array) -> Box<dyn Fn(usize) -> i64 + '_> {
        if let Some(values) = array.as_primitive_opt::<Int32Type>() {
            let values = values.values();
            Box::new(|row| i64::from(values[row]))
        } else if let Some(values) = array.as_primitive_opt::<Int64Type>() {
            let values = values.values();
            Box::new(|row| values[row])
        } else {
            Box::new(|_| 0)
        }
    }

    fn load(state: &[ArrayRef]) -> Box<dyn Fn(usize) -> i64 + '_> {
        Self::read(&state[0])
    }

    fn store(sums: impl Iterator<Item = i64>, _: i8) -> Result<Vec<ArrayRef>, StateError> {
        Ok(vec![Arc::new(Int64Array::from_iter_values(sums))])
    }

    fn finish(
        sums: impl Iterator<Item = (i64, i64)>,
        _: i8,
        result: &DataType,
        mean: bool,
    ) -> Result<ArrayRef, StateError> {
        let values = sums.map(|(sum, count)| {
            (count != 0).then(|| if mean { sum.wrapping_div(count) } else { sum })
        });
        Ok(match result {
            // A sum that went beyond 32 bits is what it would have wrapped to.
            DataType::Int32 => {
                Arc::new(values.map(|v| v.map(|v| v as i32)).collect::<Int32Array>())
            }
            _ => Arc::new(values.collect::<Int64Array>()),
        })
    }
}

impl Sum for f64 {
    const ZERO: f64 = 0.0;

    fn types(_: i8) -> Vec<DataType> {
        vec![DataType::Float64]
    }

    fn plus(self, other: f64) -> f64 {
        self + other
    }

    fn read(array: &dyn Array) -> Box<dyn Fn(usize) -> f64 + '_> {
        doubles(array)
    }

    fn load(state: &[ArrayRef]) -> Box<dyn Fn(usize) -> f64 + '_> {
        let values = state[0].as_primitive::<Float64Type>().values();
        Box::new(|row| values[row])
    }

    fn store(sums: impl Iterator<Item = f64>, _: i8) -> Result<Vec<ArrayRef>, StateError> {
        Ok(vec![Arc::new(Float64Array::from_iter_values(sums))])
    }

    fn finish(
        sums: impl Iterator<Item = (f64, i64)>,
        _: i8,
        result: &DataType,
        mean: bool,
    ) -> Result<ArrayRef, StateError> {
        let values = sums
            .map(|(sum, count)| (count != 0).then(|| if mean { sum / count as f64 } else { sum }));
        Ok(match result {
            DataType::Float32 => Arc::new(
                values
                    .map(|v| v.map(|v| v as f32))
                    .collect::<Float32Array>(),
            ),
            _ => Arc::new(values.collect::<Float64Array>()),
        })
    }
}

impl Sum for Exact {
    const ZERO: Exact = Exact(Some(0));

    fn types(scale: i8) -> Vec<DataType> {
        vec![DataType::Decimal128(38, scale), DataType::Boolean]
    }

    fn plus(self, other: Exact) -> Exact {
        Exact(self.0.zip(other.0).and_then(|(a, b)| a.checked_add(b)))
    }

    fn read(array: &dyn Array) -> Box<dyn Fn(usize) -> Exact + '_> {
        let values = array.as_primitive::<Decimal128Type>().values();
        Box::new(|row| Exact(Some(values[row])))
    }

    fn load(state: &[ArrayRef]) -> Box<dyn Fn(usize) -> Exact + '_> {
        let values = state[0].as_primitive::<Decimal128Type>().values();
        let whole = state[1].as_boolean();
        Box::new(|row| Exact(whole.value(row).then(|| values[row])))
    }

    fn store(sums: impl Iterator<Item = Exact>, scale: i8) -> Result<Vec<ArrayRef>, StateError> {
        let (values, whole): (Vec<i128>, Vec<bool>) =
            sums.map(|s| (s.0.unwrap_or(0), s.0.is_some())).unzip();
        let values = Decimal128Array::from(values)
            .with_precision_and_scale(38, scale)
            .map_err(columns)?;
        Ok(vec![Arc::new(values), Arc::new(BooleanArray::from(whole))])
    }

    fn finish(
        sums: impl Iterator<Item = (Exact, i64)>,
        scale: i8,
        result: &DataType,
        mean: bool,
    ) -> Result<ArrayRef, StateError> {
        let (precision, to) = match result {
            DataType::Decimal128(precision, scale) => (*precision, *scale),
            _ => (38, scale),
        };
        let limit = 10i128.pow(u32::from(precision.min(38)));
        let values = sums.map(|(sum, count)| {
            if count == 0 {
                return None;
            }
            let divisor = if mean { count } else { 1 };
            quotient(sum.0?, scale, divisor, to).filter(|v| v.abs() < limit)
        });
        let values: Decimal128Array = values.collect();
        Ok(Arc::new(
            values
                .with_precision_and_scale(precision, to)
                .map_err(columns)?,
        ))
    }
}

/// A decimal by a whole number, at another scale, rounded half up (away from zero).
fn quotient(value: i128, from: i8, divisor: i64, to: i8) -> Option<i128> {
    if divisor == 1 && from == to {
        return Some(value);
    }
    let ten = i256::from_i128(10);
    let shift = i32::from(to) - i32::from(from);
    let mut numerator = i256::from_i128(value);
    let mut denominator = i256::from_i128(i128::from(divisor));
    let power = ten.checked_pow(shift.unsigned_abs())?;
    if shift >= 0 {
        numerator = numerator.checked_mul(power)?;
    } else {
        denominator = denominator.checked_mul(power)?;
    }
    let two = i256::from_i128(2);
    let half = denominator.checked_div(two)?;
    let half = if numerator < i256::ZERO {
        half.wrapping_neg()
    } else {
        half
    };
    // An odd denominator has no exact half: cutting it off rounds the same way.
    numerator
        .checked_add(half)?
        .checked_div(denominator)?
        .to_i128()
}

#[derive(Clone, Debug)]
struct Total<S> {
    read: Read,
    result: DataType,
    scale: i8,
    mean: bool,
    sums: Vec<(S, i64)>,
}

impl<S: Sum> Total<S> {
    fn new(read: Read, result: &DataType, scale: i8, mean: bool) -> Total<S> {
        Total {
            read,
            result: result.clone(),
            scale,
            mean,
            sums: Vec::new(),
        }
    }
}

impl<S: Sum> Accumulator for Total<S> {
    fn types(&self) -> Vec<DataType> {
        let mut types = S::types(self.scale);
        types.push(DataType::Int64);
        types
    }

    fn resize(&mut self, len: usize) {
        self.sums.resize(len, (S::ZERO, 0));
    }

    fn update(&mut self, input: &Input<'_>, groups: &[u32]) -> Result<(), StateError> {
        let Some(column) = self.read.column(input) else {
            return Ok(());
        };
        let value = S::read(column);
        let sums = &mut self.sums;
        self.read.each(input, groups, |row, group| {
            let (sum, count) = &mut sums[group];
            *sum = sum.plus(value(row));
            *count = count.wrapping_add(1);
        });
        Ok(())
    }

    fn merge(&mut self, state: &[ArrayRef], groups: &[u32]) -> Result<(), StateError> {
        let (last, sums) = state.split_last().ok_or_else(|| columns("no state"))?;
        let counts = last.as_primitive::<Int64Type>().values();
        let value = S::load(sums);
        for (row, &group) in groups.iter().enumerate() {
            let (sum, count) = &mut self.sums[group as usize];
            if counts[row] != 0 {
                *sum = sum.plus(value(row));
                *count = count.wrapping_add(counts[row]);
            }
        }
        Ok(())
    }

    fn state(&self, groups: &[u32]) -> Result<Vec<ArrayRef>, StateError> {
        let all = || groups.iter().map(|&g| self.sums[g as usize]);
        let mut state = S::store(all().map(|s| s.0), self.scale)?;
        state.push(Arc::new(Int64Array::from_iter_values(all().map(|s| s.1))));
        Ok(state)
    }

    fn result(&self, groups: &[u32]) -> Result<Outcome, StateError> {
        let all = groups.iter().map(|&g| self.sums[g as usize]);
        S::finish(all, self.scale, &self.result, self.mean).map(Outcome::one)
    }

    fn clear(&mut self, groups: &[u32]) {
        for &group in groups {
            self.sums[group as usize] = (S::ZERO, 0);
        }
    }

    fn size(&self) -> usize {
        self.sums.capacity() * size_of::<(S, i64)>()
    }

    fn fresh(&self) -> Box<dyn Accumulator> {
        Box::new(Total::<S>::new(
            self.read,
            &self.result,
            self.scale,
            self.mean,
        ))
    }

    fn copy(&self) -> Box<dyn Accumulator> {
        Box::new(self.clone())
    }
}
