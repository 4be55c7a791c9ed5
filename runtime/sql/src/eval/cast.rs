//! CAST, as Flink 2.3 does it: integers are cut, decimals overflow to NULL, text that can't be read
//! fails the row (CAST) or gives NULL (TRY_CAST).

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, ListArray, StringArray, StringBuilder,
};
use arrow::datatypes::{
    Date32Type, Decimal128Type, Field, Float32Type, Float64Type, Int32Type, Int64Type,
};

use super::calendar::{self, Moment};
use super::decimal::{self, Rounding, Shape};
use super::{Args, Kernel, Value, arithmetic};
use crate::types::DataType as T;

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

fn nulling(kernel: Kernel) -> Option<Cast> {
    Some(Cast {
        kernel,
        fails: false,
        nulls: true,
    })
}

/// The cast between two types; `None` if there is none. `lenient`: TRY_CAST.
pub(crate) fn cast(from: &T, to: &T, lenient: bool) -> Option<Cast> {
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
        (T::Array(from), T::Array(to)) => array(cast(from, to, lenient)?, to),
        _ => None,
    }
}

fn to_decimal(from: &T, shape: Shape, lenient: bool) -> Option<Cast> {
    let kernel: Kernel = match from {
        T::Int => Arc::new(move |a: &Args| {
            let column = a.primitive::<Int32Type>(0);
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
        T::BigInt => Arc::new(move |a: &Args| {
            let column = a.primitive::<Int64Type>(0);
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
        T::Decimal { scale, .. } => {
            let scale = *scale;
            arithmetic::decimal_unary(shape, move |v| decimal::reshape(v, scale, shape))
        }
        // Through the shortest text that reads back as the same number, as Java's BigDecimal.valueOf.
        T::Float => Arc::new(move |a: &Args| {
            let column = a.primitive::<Float32Type>(0);
            arithmetic::decimal_array(
                (0..a.rows)
                    .map(|row| {
                        column
                            .get(row)
                            .and_then(|v| decimal::from_text(&format!("{v:e}"), shape).flatten())
                    })
                    .collect(),
                shape,
            )
        }),
        T::Double => Arc::new(move |a: &Args| {
            let column = a.primitive::<Float64Type>(0);
            arithmetic::decimal_array(
                (0..a.rows)
                    .map(|row| {
                        column
                            .get(row)
                            .and_then(|v| decimal::from_text(&format!("{v:e}"), shape).flatten())
                    })
                    .collect(),
                shape,
            )
        }),
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
            let kernel: Kernel = Arc::new(move |a: &Args| {
                let column = a.text(0);
                let mut values = Vec::with_capacity(a.rows);
                for row in 0..a.rows {
                    values.push(match column.get(row) {
                        None => None,
                        Some(text) => match decimal::from_text(text.trim(), shape) {
                            Some(value) => value,
                            None if lenient => None,
                            None => {
                                return Err(unreadable(
                                    text,
                                    &T::Decimal {
                                        precision: shape.precision,
                                        scale: shape.scale,
                                    },
                                ));
                            }
                        },
                    });
                }
                arithmetic::decimal_array(values, shape)
            });
            return Some(Cast {
                kernel,
                fails: !lenient,
                nulls: true,
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
    if fits { safe(kernel) } else { nulling(kernel) }
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

/// Collects one text a row.
fn texts(args: &Args, write: impl Fn(usize, &mut String) -> bool) -> Result<ArrayRef, String> {
    let mut builder = StringBuilder::with_capacity(args.rows, args.rows * 8);
    let mut text = String::new();
    for row in 0..args.rows {
        text.clear();
        if write(row, &mut text) {
            builder.append_value(&text)
        } else {
            builder.append_null()
        }
    }
    Ok(Arc::new(builder.finish()))
}

fn to_text(from: &T) -> Option<Cast> {
    let from_type = from.clone();
    safe(match from {
        T::Int | T::BigInt => Arc::new(|a: &Args| {
            arrow::compute::cast(a.array(0), &arrow::datatypes::DataType::Utf8)
                .map_err(|e| e.to_string())
        }),
        T::Boolean => Arc::new(|a: &Args| {
            let column = a.boolean(0);
            texts(a, |row, text| {
                column
                    .get(row)
                    .map(|v| text.push_str(if v { "TRUE" } else { "FALSE" }))
                    .is_some()
            })
        }),
        T::Float => Arc::new(|a: &Args| {
            let column = a.primitive::<Float32Type>(0);
            texts(a, |row, text| {
                column
                    .get(row)
                    .map(|v| text.push_str(&java_float(f64::from(v), &format!("{v:e}"))))
                    .is_some()
            })
        }),
        T::Double => Arc::new(|a: &Args| {
            let column = a.primitive::<Float64Type>(0);
            texts(a, |row, text| {
                column
                    .get(row)
                    .map(|v| text.push_str(&java_float(v, &format!("{v:e}"))))
                    .is_some()
            })
        }),
        T::Decimal { scale, .. } => {
            let scale = *scale;
            Arc::new(move |a: &Args| {
                let column = a.primitive::<Decimal128Type>(0);
                texts(a, |row, text| {
                    column
                        .get(row)
                        .map(|v| text.push_str(&decimal::to_text(v, scale)))
                        .is_some()
                })
            })
        }
        T::Bytes => Arc::new(|a: &Args| {
            let column = a.bytes(0);
            texts(a, |row, text| {
                column
                    .get(row)
                    .map(|v| text.push_str(&String::from_utf8_lossy(v)))
                    .is_some()
            })
        }),
        T::Date => Arc::new(|a: &Args| {
            let column = a.primitive::<Date32Type>(0);
            texts(a, |row, text| {
                column
                    .get(row)
                    .map(|v| text.push_str(&calendar::date_text(calendar::Date::of(i64::from(v)))))
                    .is_some()
            })
        }),
        T::Time => Arc::new(|a: &Args| {
            let moments = calendar::moments(a, 0, &T::Time);
            texts(a, |row, text| {
                moments(row)
                    .map(|m| text.push_str(&calendar::clock_text(m, fraction_digits(m))))
                    .is_some()
            })
        }),
        T::Timestamp(digits) | T::TimestampLtz(digits) => {
            let digits = *digits;
            Arc::new(move |a: &Args| {
                let moments = calendar::moments(a, 0, &from_type);
                texts(a, |row, text| {
                    let moment = moments(row);
                    moment
                        .map(|m| {
                            text.push_str(&format!(
                                "{} {}",
                                calendar::date_text(m.date()),
                                calendar::clock_text(m, digits)
                            ))
                        })
                        .is_some()
                })
            })
        }
        _ => return None,
    })
}

/// As many digits of a second as a time of day has: 0, 3 or 6.
fn fraction_digits(moment: Moment) -> u8 {
    match moment.micros {
        m if m % 1_000_000 == 0 => 0,
        m if m % 1000 == 0 => 3,
        _ => 6,
    }
}

/// A floating-point number as Java writes it (`Double.toString`); `shortest` is Rust's `{:e}`.
fn java_float(value: f64, shortest: &str) -> String {
    if !value.is_finite() {
        return if value.is_nan() {
            "NaN".to_owned()
        } else {
            format!("{}Infinity", if value < 0.0 { "-" } else { "" })
        };
    }
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((shortest, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (sign, digits) = match mantissa.strip_prefix('-') {
        Some(rest) => ("-", rest.replace('.', "")),
        None => ("", mantissa.replace('.', "")),
    };
    if !(-3..7).contains(&exponent) && value != 0.0 {
        let (first, rest) = digits.split_at(1);
        return format!(
            "{sign}{first}.{}E{exponent}",
            if rest.is_empty() { "0" } else { rest }
        );
    }
    if exponent < 0 {
        return format!(
            "{sign}0.{}{digits}",
            "0".repeat(exponent.unsigned_abs() as usize - 1)
        );
    }
    let whole = exponent as usize + 1;
    let digits = format!("{digits:0<whole$}");
    let (whole, fraction) = digits.split_at(whole);
    format!(
        "{sign}{whole}.{}",
        if fraction.is_empty() { "0" } else { fraction }
    )
}

/// Reads each text with `read`; what can't be read is null or an error.
fn reading<V>(
    args: &Args,
    to: &T,
    lenient: bool,
    read: impl Fn(&str) -> Option<V>,
) -> Result<Vec<Option<V>>, String> {
    let column = args.text(0);
    (0..args.rows)
        .map(|row| match column.get(row) {
            None => Ok(None),
            Some(text) => match read(text.trim()) {
                Some(value) => Ok(Some(value)),
                None if lenient => Ok(None),
                None => Err(unreadable(text, to)),
            },
        })
        .collect()
}

fn from_text(to: &T, lenient: bool) -> Option<Cast> {
    let target = to.clone();
    let kernel: Kernel = match to {
        T::Boolean => Arc::new(move |a: &Args| {
            Ok(Arc::new(BooleanArray::from(reading(
                a,
                &target,
                lenient,
                read_boolean,
            )?)))
        }),
        T::Int => Arc::new(move |a: &Args| {
            Ok(Arc::new(arrow::array::Int32Array::from(reading(
                a,
                &target,
                lenient,
                |t| read_int(t).and_then(|v| i32::try_from(v).ok()),
            )?)))
        }),
        T::BigInt => Arc::new(move |a: &Args| {
            Ok(Arc::new(arrow::array::Int64Array::from(reading(
                a, &target, lenient, read_int,
            )?)))
        }),
        T::Float => Arc::new(move |a: &Args| {
            Ok(Arc::new(arrow::array::Float32Array::from(reading(
                a,
                &target,
                lenient,
                |t| read_float(t).map(|v| v as f32),
            )?)))
        }),
        T::Double => Arc::new(move |a: &Args| {
            Ok(Arc::new(arrow::array::Float64Array::from(reading(
                a, &target, lenient, read_float,
            )?)))
        }),
        T::Date | T::Time | T::Timestamp(_) | T::TimestampLtz(_) => Arc::new(move |a: &Args| {
            let values = reading(a, &target, lenient, |text| read_time(text, &target))?;
            calendar::column(values.into_iter(), &target)
        }),
        _ => return None,
    };
    Some(Cast {
        kernel,
        fails: !lenient,
        nulls: lenient,
    })
}

/// Reads a text as a date, time or time stamp type.
pub(crate) fn read_time(text: &str, to: &T) -> Option<Moment> {
    match to {
        // A date may be followed by a time, which is cut.
        T::Date => calendar::read_date(text)
            .map(|d| Moment {
                days: d.days(),
                micros: 0,
            })
            .or_else(|| calendar::read_moment(text, false).map(|m| Moment { micros: 0, ..m })),
        T::Time => calendar::read_clock(text).map(|micros| Moment { days: 0, micros }),
        T::TimestampLtz(_) => calendar::read_moment(text, true),
        _ => calendar::read_moment(text, false),
    }
}

fn read_boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "t" | "true" | "y" | "yes" | "1" => Some(true),
        "f" | "false" | "n" | "no" | "0" => Some(false),
        _ => None,
    }
}

/// A whole number; a fraction behind it is cut.
fn read_int(text: &str) -> Option<i64> {
    match text.split_once('.') {
        None => text.parse().ok(),
        Some((whole, fraction))
            if fraction.bytes().all(|b| b.is_ascii_digit())
                && !(whole.is_empty() && fraction.is_empty()) =>
        {
            if matches!(whole, "" | "-" | "+") {
                Some(0)
            } else {
                whole.parse().ok()
            }
        }
        Some(_) => None,
    }
}

fn read_float(text: &str) -> Option<f64> {
    match text.trim_start_matches(['+', '-']) {
        // Rust reads more words than Java does.
        "NaN" | "Infinity" => text.parse().ok(),
        rest if rest.starts_with(|c: char| c.is_ascii_digit() || c == '.') => text.parse().ok(),
        _ => None,
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floating_point_numbers_are_written_as_java_writes_them() {
        for (value, text) in [
            (1.5, "1.5"),
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (0.001, "0.001"),
            (0.0001, "1.0E-4"),
            (1_234_567.0, "1234567.0"),
            (12_345_678.0, "1.2345678E7"),
            (1e20, "1.0E20"),
            (100.0, "100.0"),
        ] {
            assert_eq!(java_float(value, &format!("{value:e}")), text);
        }
        assert_eq!(java_float(f64::INFINITY, "inf"), "Infinity");
    }
}
