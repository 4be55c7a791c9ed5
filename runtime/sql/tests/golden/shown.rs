//! Types and values as Flink's side writes them, and when two of them are the same.

use std::fmt::Write as _;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes as at;
use headworks_sql::types::DataType as T;

pub(crate) fn flink_type(data_type: &T) -> String {
    match data_type {
        T::Decimal { precision, scale } => format!("DECIMAL({precision}, {scale})"),
        T::Array(element) => format!("ARRAY<{}>", flink_type(element)),
        T::Map(value) => format!("MAP<STRING, {}>", flink_type(value)),
        T::Struct(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|f| format!("`{}` {}", f.name, flink_type(&f.data_type)))
                .collect();
            format!("ROW<{}>", fields.join(", "))
        }
        other => other.to_string().to_uppercase(),
    }
}

/// Flink's type without what ours don't have: NOT NULL, lengths of text, precision of times of day.
fn normal_type(flink: &str) -> String {
    let mut text = flink.replace(" NOT NULL", "");
    for start in ["VARCHAR(", "CHAR(", "TIME("] {
        while let Some(at) = text
            .find(start)
            .filter(|at| *at == 0 || !text.as_bytes()[at - 1].is_ascii_alphanumeric())
        {
            let end = at + text[at..].find(')').unwrap();
            text.replace_range(at..=end, if start == "TIME(" { "TIME" } else { "STRING" });
        }
    }
    text
}

pub(crate) fn shown(array: &ArrayRef, row: usize, data_type: &T) -> String {
    if array.is_null(row) {
        return "NULL".to_owned();
    }
    match data_type {
        T::Boolean => array.as_boolean().value(row).to_string(),
        T::Int => array.as_primitive::<at::Int32Type>().value(row).to_string(),
        T::BigInt => array.as_primitive::<at::Int64Type>().value(row).to_string(),
        T::Float => format!("{:?}", array.as_primitive::<at::Float32Type>().value(row)),
        T::Double => format!("{:?}", array.as_primitive::<at::Float64Type>().value(row)),
        T::Decimal { .. } => array
            .as_primitive::<at::Decimal128Type>()
            .value_as_string(row),
        T::String => array
            .as_string::<i32>()
            .value(row)
            .replace('\\', "\\\\")
            .replace('\n', "\\n")
            .replace('\r', "\\r")
            .replace('\t', "\\t"),
        T::Bytes => {
            let bytes = array.as_binary::<i32>().value(row).iter();
            bytes.fold("x'".to_owned(), |text, b| format!("{text}{b:02x}")) + "'"
        }
        T::Date => array
            .as_primitive::<at::Date32Type>()
            .value_as_date(row)
            .unwrap()
            .to_string(),
        T::Time => clock(
            array.as_primitive::<at::Time64MicrosecondType>().value(row),
            false,
        ),
        T::Timestamp(digits) | T::TimestampLtz(digits) => {
            let (value, per_second) = match digits {
                0 => (
                    array.as_primitive::<at::TimestampSecondType>().value(row),
                    1,
                ),
                3 => (
                    array
                        .as_primitive::<at::TimestampMillisecondType>()
                        .value(row),
                    1000,
                ),
                _ => (
                    array
                        .as_primitive::<at::TimestampMicrosecondType>()
                        .value(row),
                    1_000_000,
                ),
            };
            let day = 86_400 * per_second;
            let date = at::Date32Type::to_naive_date_opt(value.div_euclid(day) as i32).unwrap();
            let instant = matches!(data_type, T::TimestampLtz(_));
            format!(
                "{date}T{}{}",
                clock(value.rem_euclid(day) * (1_000_000 / per_second), instant),
                if instant { "Z" } else { "" }
            )
        }
        T::Array(element) => {
            let values = array.as_list::<i32>().value(row);
            format!(
                "[{}]",
                (0..values.len())
                    .map(|i| shown(&values, i, element))
                    .collect::<Vec<_>>()
                    .join(", ")
            )
        }
        T::Map(value) => {
            let entries = array.as_map().value(row);
            let (keys, values) = (entries.column(0).clone(), entries.column(1).clone());
            let entry = |i| {
                format!(
                    "{}={}",
                    shown(&keys, i, &T::String),
                    shown(&values, i, value)
                )
            };
            format!(
                "{{{}}}",
                (0..entries.len()).map(entry).collect::<Vec<_>>().join(", ")
            )
        }
        T::Struct(fields) => {
            let values = array.as_struct();
            let field = |i: usize| shown(values.column(i), row, &fields[i].data_type);
            format!(
                "({})",
                (0..fields.len()).map(field).collect::<Vec<_>>().join(", ")
            )
        }
    }
}

/// A time of day as Java's `LocalTime` writes it; an instant always has seconds.
fn clock(micros: i64, seconds: bool) -> String {
    let (second, micro) = (micros / 1_000_000, micros % 1_000_000);
    let mut text = format!("{:02}:{:02}", second / 3600, second / 60 % 60);
    if seconds || second % 60 != 0 || micro != 0 {
        write!(text, ":{:02}", second % 60).unwrap();
    }
    match micro {
        0 => {}
        m if m % 1000 == 0 => write!(text, ".{:03}", m / 1000).unwrap(),
        m => write!(text, ".{m:06}").unwrap(),
    }
    text
}

/// Equal but for the last digits of floating-point numbers and what [`normal_type`] leaves out.
pub(crate) fn same(flink: &str, ours: &str) -> bool {
    let (Some((flink_type, flink_values)), Some((our_type, our_values))) =
        (flink.split_once(" | "), ours.split_once(" | "))
    else {
        return flink == "refused" && ours.starts_with("refused");
    };
    let tolerance = match our_type {
        "FLOAT" => 1e-6,
        "DOUBLE" => 1e-11,
        _ => return normal_type(flink_type) == our_type && flink_values == our_values,
    };
    let number = |text: &str| text.replace("Infinity", "inf").parse::<f64>().ok();
    let close = |a: &str, b: &str| match (number(a), number(b)) {
        (Some(a), Some(b)) => {
            a.to_bits() == b.to_bits()
                || (a.is_nan() && b.is_nan())
                || (a - b).abs() <= tolerance * a.abs().max(b.abs())
        }
        _ => a == b,
    };
    normal_type(flink_type) == our_type
        && flink_values
            .split(" | ")
            .zip(our_values.split(" | "))
            .all(|(a, b)| close(a, b))
}
