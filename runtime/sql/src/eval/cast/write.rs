//! Values to text.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringBuilder};
use arrow::datatypes::{Date32Type, Decimal128Type, Float32Type, Float64Type};

use super::{Cast, safe};
use crate::eval::calendar::{self, Moment};
use crate::eval::{Args, decimal};
use crate::types::DataType as T;

/// Collects one text a row.
fn texts(args: &Args, write: impl Fn(usize, &mut String) -> bool) -> Result<ArrayRef, String> {
    let mut builder = StringBuilder::with_capacity(args.rows, args.rows * 8);
    let mut text = String::new();
    for row in 0..args.rows {
        text.clear();
        if write(row, &mut text) {
            builder.append_value(&text);
        } else {
            builder.append_null();
        }
    }
    Ok(Arc::new(builder.finish()))
}

/// The cast to text.
pub(super) fn to_text(from: &T) -> Option<Cast> {
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
                            text.push_str(&calendar::date_text(m.date()));
                            text.push(' ');
                            text.push_str(&calendar::clock_text(m, digits));
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
