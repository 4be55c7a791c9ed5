//! `+ - * / %` and the numeric functions, over whole columns.
//!
//! Integers wrap as Java's do, which Flink shows through; division of exact numbers by zero is an error.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, Decimal128Array, PrimitiveArray};
use arrow::compute::kernels::numeric;
use arrow::datatypes::{Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type};

use super::decimal::{self, Rounding, Shape};
use super::{Args, Kernel};
use crate::syntax::ast::Arithmetic;
use crate::types::DataType;

/// What division by zero is called.
pub(crate) const BY_ZERO: &str = "division by zero";

/// The kernel for two arguments of the same non-decimal numeric type.
pub(crate) fn plain(op: Arithmetic, data_type: &DataType) -> Kernel {
    match (op, data_type) {
        (Arithmetic::Add, _) => Arc::new(|a: &Args| {
            numeric::add_wrapping(&*a.values[0].datum(), &*a.values[1].datum())
                .map_err(|e| e.to_string())
        }),
        (Arithmetic::Subtract, _) => Arc::new(|a: &Args| {
            numeric::sub_wrapping(&*a.values[0].datum(), &*a.values[1].datum())
                .map_err(|e| e.to_string())
        }),
        (Arithmetic::Multiply, _) => Arc::new(|a: &Args| {
            numeric::mul_wrapping(&*a.values[0].datum(), &*a.values[1].datum())
                .map_err(|e| e.to_string())
        }),
        (Arithmetic::Divide, DataType::Int) => Arc::new(|a: &Args| {
            two::<Int32Type>(a, |l, r| {
                if r == 0 {
                    None
                } else {
                    Some(l.wrapping_div(r))
                }
            })
        }),
        (Arithmetic::Divide, DataType::BigInt) => Arc::new(|a: &Args| {
            two::<Int64Type>(a, |l, r| {
                if r == 0 {
                    None
                } else {
                    Some(l.wrapping_div(r))
                }
            })
        }),
        (Arithmetic::Divide, DataType::Float) => {
            Arc::new(|a: &Args| two::<Float32Type>(a, |l, r| Some(l / r)))
        }
        (Arithmetic::Divide, _) => Arc::new(|a: &Args| two::<Float64Type>(a, |l, r| Some(l / r))),
        (_, DataType::Int) => Arc::new(|a: &Args| {
            two::<Int32Type>(a, |l, r| {
                if r == 0 {
                    None
                } else {
                    Some(l.wrapping_rem(r))
                }
            })
        }),
        (_, DataType::BigInt) => Arc::new(|a: &Args| {
            two::<Int64Type>(a, |l, r| {
                if r == 0 {
                    None
                } else {
                    Some(l.wrapping_rem(r))
                }
            })
        }),
        (_, DataType::Float) => Arc::new(|a: &Args| two::<Float32Type>(a, |l, r| Some(l % r))),
        (_, _) => Arc::new(|a: &Args| two::<Float64Type>(a, |l, r| Some(l % r))),
    }
}

fn two<P: ArrowPrimitiveType>(
    args: &Args,
    compute: impl Fn(P::Native, P::Native) -> Option<P::Native>,
) -> Result<ArrayRef, String> {
    let (left, right) = (args.primitive::<P>(0), args.primitive::<P>(1));
    let mut values = Vec::with_capacity(args.rows);
    for row in 0..args.rows {
        values.push(match (left.get(row), right.get(row)) {
            (Some(l), Some(r)) => Some(compute(l, r).ok_or(BY_ZERO)?),
            _ => None,
        });
    }
    Ok(Arc::new(values.into_iter().collect::<PrimitiveArray<P>>()))
}

/// The kernel for two decimals of these scales.
pub(crate) fn decimals(op: Arithmetic, ls: u8, rs: u8, shape: Shape) -> Kernel {
    Arc::new(move |args: &Args| {
        let (left, right) = (
            args.primitive::<Decimal128Type>(0),
            args.primitive::<Decimal128Type>(1),
        );
        let mut values = Vec::with_capacity(args.rows);
        for row in 0..args.rows {
            let (Some(l), Some(r)) = (left.get(row), right.get(row)) else {
                values.push(None);
                continue;
            };
            values.push(match op {
                Arithmetic::Add => decimal::add(l, ls, r, rs, false, shape),
                Arithmetic::Subtract => decimal::add(l, ls, r, rs, true, shape),
                Arithmetic::Multiply => decimal::multiply(l, ls, r, rs, shape),
                _ if r == 0 => return Err(BY_ZERO.to_owned()),
                Arithmetic::Divide => decimal::divide(l, ls, r, rs, shape),
                _ => decimal::remainder(l, ls, r, rs, shape),
            });
        }
        decimal_array(values, shape)
    })
}

/// Decimals of a shape as a column.
pub(crate) fn decimal_array(values: Vec<Option<i128>>, shape: Shape) -> Result<ArrayRef, String> {
    let array = Decimal128Array::from(values)
        .with_precision_and_scale(shape.precision, shape.scale as i8)
        .map_err(|e| e.to_string())?;
    Ok(Arc::new(array))
}

/// A kernel whose decimals with too many digits fail the row instead of being null.
pub(crate) fn or_fail(kernel: Kernel, data_type: DataType) -> Kernel {
    Arc::new(move |args: &Args| {
        let result = kernel(args)?;
        let given = |row| (0..args.len()).all(|i| args.position(i, row).is_some());
        if result.null_count() > 0 && (0..args.rows).any(|row| result.is_null(row) && given(row)) {
            return Err(format!("the value has more digits than {data_type}"));
        }
        Ok(result)
    })
}

/// Applies a function to each value of a decimal column.
pub(crate) fn decimal_unary(
    shape: Shape,
    compute: impl Fn(i128) -> Option<i128> + Send + Sync + 'static,
) -> Kernel {
    Arc::new(move |args: &Args| {
        let column = args.primitive::<Decimal128Type>(0);
        decimal_array(
            (0..args.rows)
                .map(|row| column.get(row).and_then(&compute))
                .collect(),
            shape,
        )
    })
}

/// Applies a function to each value of a column.
pub(crate) fn unary<P: ArrowPrimitiveType, O: ArrowPrimitiveType>(
    compute: impl Fn(P::Native) -> O::Native + Send + Sync + 'static,
) -> Kernel {
    Arc::new(move |args: &Args| {
        let column = args.primitive::<P>(0);
        Ok(Arc::new(
            (0..args.rows)
                .map(|row| column.get(row).map(&compute))
                .collect::<PrimitiveArray<O>>(),
        ))
    })
}

/// `-x`.
pub(crate) fn negate() -> Kernel {
    Arc::new(|args: &Args| numeric::neg_wrapping(args.array(0).as_ref()).map_err(|e| e.to_string()))
}

/// ROUND or TRUNCATE of a decimal to a constant number of digits.
pub(crate) fn round_decimal(scale: u8, digits: i32, rounding: Rounding, shape: Shape) -> Kernel {
    decimal_unary(shape, move |v| {
        decimal::round(v, scale, digits, rounding, shape)
    })
}
