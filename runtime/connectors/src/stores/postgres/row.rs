//! Rows in the text format of `COPY`: values between tabs, `\N` for null, a line a row.
//! <https://www.postgresql.org/docs/current/sql-copy.html>

use arrow::array::{Array, ArrowPrimitiveType, AsArray, RecordBatch};
use arrow::datatypes::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type,
    Time64MicrosecondType, TimestampMicrosecondType, TimestampMillisecondType, TimestampSecondType,
};
use headworks_engine::format::{Encoder, FormatError};
use headworks_sql::schema::Schema;
use headworks_sql::types::DataType;

use crate::formats::json::{JsonValue, decimal, temporal};

/// Writes rows of a query's columns.
pub struct RowEncoder {
    columns: Vec<Column>,
    json: Vec<u8>,
}

struct Column {
    name: String,
    data_type: DataType,
    nested: Option<JsonValue>,
}

impl RowEncoder {
    /// An encoder for batches with these columns.
    pub fn new(columns: &Schema) -> RowEncoder {
        let column = |column: &headworks_sql::schema::Column| Column {
            name: column.name.clone(),
            data_type: column.data_type.clone(),
            nested: matches!(
                column.data_type,
                DataType::Array(_) | DataType::Map(_) | DataType::Struct(_)
            )
            .then(|| JsonValue::new(&column.name, &column.data_type)),
        };
        RowEncoder {
            columns: columns.columns.iter().map(column).collect(),
            json: Vec::new(),
        }
    }
}

impl Encoder for RowEncoder {
    fn encode(
        &mut self,
        batch: &RecordBatch,
        row: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), FormatError> {
        if batch.num_columns() != self.columns.len() {
            return Err(FormatError::Value {
                field: String::new(),
                message: "the batch has other columns than the query".to_owned(),
            });
        }
        for (at, (column, array)) in self.columns.iter().zip(batch.columns()).enumerate() {
            if at > 0 {
                out.push(b'\t');
            }
            if array.is_null(row) {
                out.extend_from_slice(b"\\N");
            } else if let Some(nested) = &column.nested {
                self.json.clear();
                nested.write(array, row, &mut self.json)?;
                escaped(&self.json, out);
            } else {
                write(&column.data_type, array, row, out).map_err(|message| {
                    FormatError::Value {
                        field: column.name.clone(),
                        message: message.to_owned(),
                    }
                })?;
            }
        }
        out.push(b'\n');
        Ok(())
    }

    fn key(&mut self, _: &RecordBatch, _: usize, _: &mut Vec<u8>) -> Result<bool, FormatError> {
        Ok(false)
    }
}

const OTHER_TYPE: &str = "the batch has another type than the query";

fn value<T: ArrowPrimitiveType>(array: &dyn Array, row: usize) -> Result<T::Native, &'static str> {
    Ok(array.as_primitive_opt::<T>().ok_or(OTHER_TYPE)?.value(row))
}

fn write(
    data_type: &DataType,
    array: &dyn Array,
    row: usize,
    out: &mut Vec<u8>,
) -> Result<(), &'static str> {
    match data_type {
        DataType::Boolean => {
            let value = array.as_boolean_opt().ok_or(OTHER_TYPE)?.value(row);
            out.push(if value { b't' } else { b'f' });
        }
        DataType::Int => text(value::<Int32Type>(array, row)?, out),
        DataType::BigInt => text(value::<Int64Type>(array, row)?, out),
        DataType::Float => {
            let value = value::<Float32Type>(array, row)?;
            float(
                value.is_nan(),
                value.is_infinite(),
                format_args!("{value:e}"),
                value < 0.0,
                out,
            );
        }
        DataType::Double => {
            let value = value::<Float64Type>(array, row)?;
            float(
                value.is_nan(),
                value.is_infinite(),
                format_args!("{value:e}"),
                value < 0.0,
                out,
            );
        }
        DataType::Decimal { scale, .. } => {
            decimal::write(value::<Decimal128Type>(array, row)?, *scale, out);
        }
        DataType::String => {
            let text = array.as_string_opt::<i32>().ok_or(OTHER_TYPE)?.value(row);
            escaped(text.as_bytes(), out);
        }
        DataType::Bytes => {
            let bytes = array.as_binary_opt::<i32>().ok_or(OTHER_TYPE)?.value(row);
            // A backslash is written as two.
            out.extend_from_slice(b"\\\\x");
            for byte in bytes {
                let digit = |nibble: u8| b"0123456789abcdef"[usize::from(nibble & 15)];
                out.extend_from_slice(&[digit(byte >> 4), digit(*byte)]);
            }
        }
        DataType::Date => {
            let days = value::<Date32Type>(array, row)?;
            within(temporal::write_date(days.into(), out))?;
        }
        DataType::Time => {
            let micros = value::<Time64MicrosecondType>(array, row)?;
            if !temporal::write_time(micros, out) {
                return Err("is no time of day");
            }
        }
        DataType::Timestamp(digits) => {
            within(temporal::write_timestamp(
                instant(*digits, array, row)?,
                *digits,
                out,
            ))?;
        }
        DataType::TimestampLtz(digits) => {
            within(temporal::write_timestamp(
                instant(*digits, array, row)?,
                *digits,
                out,
            ))?;
            out.push(b'Z');
        }
        DataType::Array(_) | DataType::Map(_) | DataType::Struct(_) => return Err(OTHER_TYPE),
    }
    Ok(())
}

fn within(written: bool) -> Result<(), &'static str> {
    written
        .then_some(())
        .ok_or("is outside the years 0001 to 9999")
}

fn instant(digits: u8, array: &dyn Array, row: usize) -> Result<i64, &'static str> {
    match digits {
        0 => value::<TimestampSecondType>(array, row),
        3 => value::<TimestampMillisecondType>(array, row),
        _ => value::<TimestampMicrosecondType>(array, row),
    }
}

fn text(value: impl std::fmt::Display, out: &mut Vec<u8>) {
    use std::io::Write as _;
    // Memory takes all of it.
    let _ = write!(out, "{value}");
}

fn float(
    nan: bool,
    infinite: bool,
    digits: std::fmt::Arguments<'_>,
    below: bool,
    out: &mut Vec<u8>,
) {
    match (nan, infinite, below) {
        (true, ..) => out.extend_from_slice(b"NaN"),
        (_, true, false) => out.extend_from_slice(b"Infinity"),
        (_, true, true) => out.extend_from_slice(b"-Infinity"),
        _ => text(digits, out),
    }
}

fn escaped(bytes: &[u8], out: &mut Vec<u8>) {
    for byte in bytes {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            other => out.push(*other),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, BinaryArray, Float64Array, Int32Array, StringArray};
    use headworks_sql::schema::Column;

    use super::*;

    fn lines(columns: Vec<(&str, DataType, ArrayRef)>) -> Vec<String> {
        let schema = Schema {
            columns: columns
                .iter()
                .map(|(name, data_type, _)| Column {
                    name: (*name).into(),
                    data_type: data_type.clone(),
                    nullable: true,
                    labels: Vec::new(),
                })
                .collect(),
        };
        let arrays = columns.into_iter().map(|(_, _, array)| array).collect();
        let batch = RecordBatch::try_new(schema.to_arrow(), arrays).unwrap();
        let mut encoder = RowEncoder::new(&schema);
        let line = |row| {
            let mut out = Vec::new();
            encoder.encode(&batch, row, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        (0..batch.num_rows()).map(line).collect()
    }

    #[test]
    fn a_line_can_hold_anything() {
        let texts = StringArray::from(vec![Some("a\tb\\N\r\n\\."), None, Some("")]);
        let bytes = BinaryArray::from_opt_vec(vec![Some(&b"\x00\\\xff"[..]), Some(b""), None]);
        let numbers = Int32Array::from(vec![Some(i32::MIN), None, Some(0)]);
        assert_eq!(
            lines(vec![
                ("t", DataType::String, Arc::new(texts)),
                ("b", DataType::Bytes, Arc::new(bytes)),
                ("n", DataType::Int, Arc::new(numbers)),
            ]),
            [
                "a\\tb\\\\N\\r\\n\\\\.\t\\\\x005cff\t-2147483648\n",
                "\\N\t\\\\x\t\\N\n",
                "\t\\N\t0\n"
            ]
        );
    }

    #[test]
    fn numbers_without_end_have_names() {
        let values = vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300, -0.1];
        let found = lines(vec![(
            "x",
            DataType::Double,
            Arc::new(Float64Array::from(values)),
        )]);
        assert_eq!(
            found,
            ["NaN\n", "Infinity\n", "-Infinity\n", "1e300\n", "-1e-1\n"]
        );
    }
}
