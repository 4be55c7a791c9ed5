//! Variances and standard deviations, by Welford's method, so that close values far from zero keep their
//! digits; states are merged as Chan et al. do.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, Decimal128Array, Float32Array, Float64Array, Int32Array, Int64Array,
};
use arrow::datatypes::{DataType, Float64Type, Int64Type};

use super::{Accumulator, Input, Outcome, Read, doubles};
use crate::error::{StateError, columns};

/// `sample`: by one less than the number of values. `root`: the standard deviation.
pub(crate) fn moments(
    read: Read,
    result: &DataType,
    sample: bool,
    root: bool,
) -> Box<dyn Accumulator> {
    Box::new(Moments {
        read,
        result: result.clone(),
        sample,
        root,
        all: Vec::new(),
    })
}

/// Number of values, their mean, and the sum of squared distances from it.
#[derive(Clone, Copy, Debug, Default)]
struct Moment {
    count: i64,
    mean: f64,
    squares: f64,
}

impl Moment {
    /// Welford's step, in Flink's order of operations.
    fn push(&mut self, value: f64) {
        self.count += 1;
        let distance = value - self.mean;
        self.mean += distance / self.count as f64;
        self.squares += distance * (value - self.mean);
    }

    fn add(&mut self, other: Moment) {
        if other.count == 0 {
            return;
        }
        let count = self.count + other.count;
        let share = other.count as f64 / count as f64;
        let distance = other.mean - self.mean;
        self.squares += other.squares + distance * distance * share * self.count as f64;
        self.mean += distance * share;
        self.count = count;
    }
}

/// The number that the shortest text of `value`, which isn't negative, names; none where it doesn't fit.
fn decimal(value: f64, precision: u8, scale: i8) -> Option<i128> {
    let text = format!("{value:e}");
    let (digits, exponent) = text.split_once('e')?;
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let number: i128 = format!("{whole}{fraction}").parse().ok()?;
    let exponent: i32 = exponent.parse().ok()?;
    let shift = exponent - i32::try_from(fraction.len()).ok()? + i32::from(scale);
    let unit = 10i128.checked_pow(shift.unsigned_abs());
    let number = match unit {
        Some(unit) if shift >= 0 => number.checked_mul(unit)?,
        // Half away from zero.
        Some(unit) => number / unit + i128::from(number % unit >= unit - unit / 2),
        None if shift < 0 => 0,
        None => return None,
    };
    (number < 10i128.pow(u32::from(precision.min(38)))).then_some(number)
}

#[derive(Clone, Debug)]
struct Moments {
    read: Read,
    result: DataType,
    sample: bool,
    root: bool,
    all: Vec<Moment>,
}

impl Moments {
    fn value(&self, moment: Moment) -> Option<f64> {
        let divisor = moment.count - i64::from(self.sample);
        if divisor <= 0 {
            return None;
        }
        let variance = moment.squares / divisor as f64;
        Some(if self.root { variance.sqrt() } else { variance })
    }
}

impl Accumulator for Moments {
    fn types(&self) -> Vec<DataType> {
        vec![DataType::Int64, DataType::Float64, DataType::Float64]
    }

    fn resize(&mut self, len: usize) {
        self.all.resize(len, Moment::default());
    }

    fn update(&mut self, input: &Input<'_>, groups: &[u32]) -> Result<(), StateError> {
        let Some(column) = self.read.column(input) else {
            return Ok(());
        };
        let value = doubles(column);
        let all = &mut self.all;
        self.read.each(input, groups, |row, group| {
            all[group].push(value(row));
        });
        Ok(())
    }

    fn merge(&mut self, state: &[ArrayRef], groups: &[u32]) -> Result<(), StateError> {
        let counts = state[0].as_primitive::<Int64Type>().values();
        let means = state[1].as_primitive::<Float64Type>().values();
        let squares = state[2].as_primitive::<Float64Type>().values();
        for (row, &group) in groups.iter().enumerate() {
            self.all[group as usize].add(Moment {
                count: counts[row],
                mean: means[row],
                squares: squares[row],
            });
        }
        Ok(())
    }

    fn state(&self, groups: &[u32]) -> Result<Vec<ArrayRef>, StateError> {
        let all = || groups.iter().map(|&g| self.all[g as usize]);
        Ok(vec![
            Arc::new(Int64Array::from_iter_values(all().map(|m| m.count))),
            Arc::new(Float64Array::from_iter_values(all().map(|m| m.mean))),
            Arc::new(Float64Array::from_iter_values(all().map(|m| m.squares))),
        ])
    }

    fn result(&self, groups: &[u32]) -> Result<Outcome, StateError> {
        let values = groups.iter().map(|&g| self.value(self.all[g as usize]));
        let column: ArrayRef = match &self.result {
            DataType::Int32 => {
                Arc::new(values.map(|v| v.map(|v| v as i32)).collect::<Int32Array>())
            }
            DataType::Int64 => {
                Arc::new(values.map(|v| v.map(|v| v as i64)).collect::<Int64Array>())
            }
            DataType::Float32 => Arc::new(
                values
                    .map(|v| v.map(|v| v as f32))
                    .collect::<Float32Array>(),
            ),
            DataType::Decimal128(precision, scale) => {
                let values: Decimal128Array = values
                    .map(|v| v.and_then(|v| decimal(v, *precision, *scale)))
                    .collect();
                Arc::new(
                    values
                        .with_precision_and_scale(*precision, *scale)
                        .map_err(columns)?,
                )
            }
            _ => Arc::new(values.collect::<Float64Array>()),
        };
        Ok(Outcome::one(column))
    }

    fn clear(&mut self, groups: &[u32]) {
        for &group in groups {
            self.all[group as usize] = Moment::default();
        }
    }

    fn size(&self) -> usize {
        self.all.capacity() * size_of::<Moment>()
    }

    fn fresh(&self) -> Box<dyn Accumulator> {
        moments(self.read, &self.result, self.sample, self.root)
    }

    fn copy(&self) -> Box<dyn Accumulator> {
        Box::new(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::decimal;

    #[test]
    fn a_decimal_has_the_digits_that_are_shown() {
        assert_eq!(
            decimal(4.999_999_999_979_999e19, 38, 6),
            Some(49_999_999_999_799_990_000_000_000)
        );
        assert_eq!(decimal(27.642_568_75, 38, 6), Some(27_642_569));
        assert_eq!(decimal(0.000_000_5, 38, 6), Some(1));
        assert_eq!(decimal(0.000_000_49, 38, 6), Some(0));
        assert_eq!(decimal(1e-300, 38, 6), Some(0));
        assert_eq!(decimal(0.0, 38, 6), Some(0));
        assert_eq!(decimal(1e32, 38, 6), None);
        assert_eq!(decimal(9e31, 38, 6), Some(9 * 10i128.pow(37)));
        assert_eq!(decimal(1e300, 38, 6), None);
        assert_eq!(decimal(f64::INFINITY, 38, 6), None);
    }
}
