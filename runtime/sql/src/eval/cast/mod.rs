//! CAST, as Flink 2.3 does it: integers are cut, decimals overflow to NULL, text that can't be read
//! fails the row (CAST) or gives NULL (TRY_CAST).

mod read;
mod write;

use std::fmt::{Display, LowerExp};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, ListArray, StringArray};
use arrow::datatypes::{
    ArrowPrimitiveType, Decimal128Type, Field, Float32Type, Float64Type, Int32Type, Int64Type,
};

use super::calendar::{self, Moment};
use super::decimal::{self, Read, Rounding, Shape};
use super::{Args, Kernel, Value, arithmetic};
use crate::types::DataType as T;
use read::from_text;
pub(crate) use read::read_time;
use write::to_text;

/// A cast's kernel and its dangers.
pub(crate) struct Cast {
    pub kernel: Kernel,
    /// A value may fail the row.
    pub fails: bool,
    /// A value may become null.
    pub nulls: bool,
}

fn safe(kernel: Kernel) -> Option<Cast> {
    Some(Cast {
        kernel,
        fails: false,
        nulls: false,
    })
}

/// The cast between two types; `None` if there is none. `lenient`: TRY_CAST. `strict`: a decimal with too many
/// digits fails the row instead of being null.
pub(crate) fn cast(from: &T, to: &T, lenient: bool, strict: bool) -> Option<Cast> {
    use arithmetic::unary;
    match (from, to) {
        _ if from == to => safe(Arc::new(|a: &Args| Ok(a.array(0).clone()))),
        (T::Int, T::BigInt) => safe(unary::<Int32Type, Int64Type>(i64::from)),
        (T::BigInt, T::Int) => safe(unary::<Int64Type, Int32Type>(|v| v as i32)),
        (T::Int, T::Float) => safe(unary::<Int32Type, Float32Type>(|v| v as f32)),
        (T::Int, T::Double) => safe(unary::<Int32Type, Float64Type>(f64::from)),
        (T::BigInt, T::Float) => safe(unary::<Int64Type, Float32Type>(|v| v as f32)),
        (T::BigInt, T::Double) => safe(unary::<Int64Type, Float64Type>(|v| v as f64)),
        (T::Float, T::Double) => safe(unary::<Float32Type, Float64Type>(f64::from)),
        (T::Double, T::Float) => safe(unary::<Float64Type, Float32Type>(|v| v as f32)),
        (T::Float, T::Int) => safe(unary::<Float32Type, Int32Type>(|v| v as i32)),
        (T::Float, T::BigInt) => safe(unary::<Float32Type, Int64Type>(|v| v as i64)),
        (T::Double, T::Int) => safe(unary::<Float64Type, Int32Type>(|v| v as i32)),
        (T::Double, T::BigInt) => safe(unary::<Float64Type, Int64Type>(|v| v as i64)),
        (T::Boolean, T::Int | T::BigInt | T::Float | T::Double) => {
            let to = to.to_arrow();
            safe(Arc::new(move |a: &Args| {
                arrow::compute::cast(a.array(0), &to).map_err(|e| e.to_string())
            }))
        }
        (T::Int | T::BigInt | T::Float | T::Double, T::Boolean) => safe(Arc::new(|a: &Args| {
            arrow::compute::cast(a.array(0), &arrow::datatypes::DataType::Boolean)
                .map_err(|e| e.to_string())
        })),
        (_, T::Decimal { precision, scale }) => to_decimal(
            from,
            Shape {
                precision: *precision,
                scale: *scale,
            },
            lenient,
            strict && !lenient,
        ),
        (T::Decimal { scale, .. }, T::Int | T::BigInt | T::Float | T::Double) => {
            from_decimal(*scale, to)
        }
        (_, T::String) => to_text(from),
        (T::String, T::Bytes) => safe(Arc::new(|a: &Args| {
            let text = a.text(0);
            Ok(Arc::new(
                (0..a.rows)
                    .map(|row| text.get(row).map(str::as_bytes))
                    .collect::<BinaryArray>(),
            ))
        })),
        (T::String, _) => from_text(to, lenient),
        (
            T::Date | T::Timestamp(_) | T::TimestampLtz(_),
            T::Date | T::Timestamp(_) | T::TimestampLtz(_),
        )
        | (T::Timestamp(_) | T::TimestampLtz(_), T::Time) => Some(Cast {
            kernel: between_times(from.clone(), to.clone(), lenient),
            fails: !lenient,
            nulls: lenient,
        }),
        (T::Array(from), T::Array(to)) => array(cast(from, to, lenient, strict)?, to),
        _ => None,
    }
}

fn to_decimal(from: &T, shape: Shape, lenient: bool, strict: bool) -> Option<Cast> {
    let to = T::Decimal {
        precision: shape.precision,
        scale: shape.scale,
    };
    let kernel: Kernel = match from {
        T::Int => whole::<Int32Type>(shape),
        T::BigInt => whole::<Int64Type>(shape),
        T::Decimal { scale, .. } => {
            let scale = *scale;
            arithmetic::decimal_unary(shape, move |v| decimal::reshape(v, scale, shape))
        }
        T::Float => approximate::<Float32Type>(shape, lenient, f32::is_finite),
        T::Double => approximate::<Float64Type>(shape, lenient, f64::is_finite),
        T::Boolean => Arc::new(move |a: &Args| {
            let column = a.boolean(0);
            arithmetic::decimal_array(
                (0..a.rows)
                    .map(|row| {
                        column
                            .get(row)
                            .and_then(|v| decimal::reshape(i128::from(v), 0, shape))
                    })
                    .collect(),
                shape,
            )
        }),
        T::String => {
            let named = to.clone();
            let kernel: Kernel = Arc::new(move |a: &Args| {
                let column = a.text(0);
                let mut values = Vec::with_capacity(a.rows);
                for row in 0..a.rows {
                    values.push(match column.get(row) {
                        None => None,
                        Some(text) => match decimal::from_text(text.trim(), shape) {
                            Read::Value(value) => Some(value),
                            Read::TooLarge => None,
                            Read::Unreadable if lenient => None,
                            Read::Unreadable => return Err(unreadable(text, &named)),
                        },
                    });
                }
                arithmetic::decimal_array(values, shape)
            });
            return Some(Cast {
                kernel: if strict {
                    arithmetic::or_fail(kernel, to)
                } else {
                    kernel
                },
                fails: !lenient,
                nulls: !strict,
            });
        }
        _ => return None,
    };
    // A whole number that always fits is never null.
    let fits = match from {
        T::Int => shape.precision - shape.scale >= Shape::INT.precision,
        T::BigInt => shape.precision - shape.scale >= Shape::BIGINT.precision,
        T::Decimal { precision, scale } => {
            shape.scale >= *scale && shape.precision - shape.scale >= precision - scale
        }
        T::Boolean => shape.precision > shape.scale,
        _ => false,
    };
    if fits {
        safe(kernel)
    } else if strict {
        Some(Cast {
            kernel: arithmetic::or_fail(kernel, to),
            fails: true,
            nulls: false,
        })
    } else {
        Some(Cast {
            kernel,
            // NaN and Infinity are no decimals at all.
            fails: !lenient && matches!(from, T::Float | T::Double),
            nulls: true,
        })
    }
}

/// Whole numbers as decimals; null where one doesn't fit.
fn whole<P: ArrowPrimitiveType<Native: Into<i128>>>(shape: Shape) -> Kernel {
    Arc::new(move |a: &Args| {
        let column = a.primitive::<P>(0);
        let reshaped = |row| decimal::reshape(column.get(row)?.into(), 0, shape);
        arithmetic::decimal_array((0..a.rows).map(reshaped).collect(), shape)
    })
}

/// Floating-point numbers as decimals, through the shortest text that reads back as the same number, as Java's
/// BigDecimal.valueOf. What isn't finite fails, or is null where the cast is lenient.
fn approximate<P: ArrowPrimitiveType<Native: LowerExp + Display>>(
    shape: Shape,
    lenient: bool,
    is_finite: fn(P::Native) -> bool,
) -> Kernel {
    Arc::new(move |a: &Args| {
        let column = a.primitive::<P>(0);
        let mut values = Vec::with_capacity(a.rows);
        for row in 0..a.rows {
            values.push(match column.get(row) {
                Some(v) if !lenient && !is_finite(v) => {
                    return Err(format!("{v} is no decimal"));
                }
                v => v.and_then(|v| decimal::from_text(&format!("{v:e}"), shape).value()),
            });
        }
        arithmetic::decimal_array(values, shape)
    })
}

fn from_decimal(scale: u8, to: &T) -> Option<Cast> {
    let whole = move |v: i128| {
        decimal::round(
            v,
            scale,
            0,
            Rounding::Down,
            Shape {
                precision: 38,
                scale: 0,
            },
        )
        .unwrap_or(0)
    };
    let double = move |v: i128| {
        decimal::to_text(v, scale)
            .parse::<f64>()
            .unwrap_or(f64::NAN)
    };
    safe(match to {
        T::Int => arithmetic::unary::<Decimal128Type, Int32Type>(move |v| whole(v) as i32),
        T::BigInt => arithmetic::unary::<Decimal128Type, Int64Type>(move |v| whole(v) as i64),
        T::Float => arithmetic::unary::<Decimal128Type, Float32Type>(move |v| double(v) as f32),
        _ => arithmetic::unary::<Decimal128Type, Float64Type>(double),
    })
}

fn unreadable(text: &str, to: &T) -> String {
    let shown: String = text.chars().take(40).collect();
    let more = if shown.len() < text.len() { "…" } else { "" };
    format!("'{shown}{more}' can't be cast to {to}")
}

fn between_times(from: T, to: T, lenient: bool) -> Kernel {
    Arc::new(move |a: &Args| {
        let moments = calendar::moments(a, 0, &from);
        let fits = |m: Moment| match &to {
            T::Date => i32::try_from(m.days).is_ok(),
            T::Timestamp(digits) | T::TimestampLtz(digits) => {
                m.to_units(calendar::per_second(*digits)).is_some()
            }
            _ => true,
        };
        let values = (0..a.rows).map(|row| {
            let moment = moments(row).map(|m| match &to {
                T::Time => Moment {
                    days: 0,
                    micros: m.micros / 1_000_000 * 1_000_000,
                },
                T::Date => Moment { micros: 0, ..m },
                _ => m,
            });
            moment.filter(|m| !lenient || fits(*m))
        });
        calendar::column(values, &to)
    })
}

fn array(element: Cast, to: &T) -> Option<Cast> {
    let item = to.to_arrow();
    let inner = element.kernel;
    let kernel: Kernel = Arc::new(move |a: &Args| {
        let list: &ListArray = a.array(0).as_list();
        let values = list.values().clone();
        let rows = values.len();
        let values = inner(&Args {
            values: vec![Value::Array(values)],
            rows,
        })?;
        let field = Arc::new(Field::new("item", item.clone(), true));
        ListArray::try_new(field, list.offsets().clone(), values, list.nulls().cloned())
            .map(|l| Arc::new(l) as ArrayRef)
            .map_err(|e| e.to_string())
    });
    Some(Cast {
        kernel,
        fails: element.fails,
        nulls: false,
    })
}

/// Cuts text to so many characters, as a cast to VARCHAR(n) does.
pub(crate) fn cut(max_chars: usize) -> Kernel {
    Arc::new(move |a: &Args| {
        let column = a.text(0);
        Ok(Arc::new(
            (0..a.rows)
                .map(|row| {
                    column.get(row).map(|t| {
                        t.char_indices()
                            .nth(max_chars)
                            .map_or(t, |(end, _)| &t[..end])
                    })
                })
                .collect::<StringArray>(),
        ))
    })
}
