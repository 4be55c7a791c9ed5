//! Text to values.

use std::sync::Arc;

use arrow::array::BooleanArray;

use super::{Cast, unreadable};
use crate::eval::calendar::{self, Moment};
use crate::eval::{Args, Kernel, moments};
use crate::types::DataType as T;

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

/// The cast from text.
pub(super) fn from_text(to: &T, lenient: bool) -> Option<Cast> {
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
        T::Date => {
            let date = match text.split_once('T') {
                Some((date, _)) => moments::read_moment(text, false).map(|_| date),
                None => text.split(' ').next(),
            };
            moments::read_date(date?).map(|d| Moment {
                days: d.days(),
                micros: 0,
            })
        }
        T::Time => moments::read_clock(text).map(|micros| Moment { days: 0, micros }),
        T::TimestampLtz(_) => moments::read_moment(text, true),
        _ => moments::read_moment(text, false),
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
