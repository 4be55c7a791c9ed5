//! Rows in the text format of `COPY`: values between tabs, `\N` for null, a line a row.
//! <https://www.postgresql.org/docs/current/sql-copy.html>
//!
//! They are written a row after the other, since a line is what the server refuses. What type a column has is found out once a
//! batch.

#[cfg(test)]
mod tests;

use arrow::array::{
    Array, ArrowPrimitiveType, AsArray, BinaryArray, BooleanArray, PrimitiveArray, RecordBatch,
    StringArray,
};
use arrow::datatypes::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type,
    Time64MicrosecondType, TimestampMicrosecondType, TimestampMillisecondType, TimestampSecondType,
};
use headworks_engine::format::FormatError;
use headworks_engine::store::{StoreError, TableSchema, UnfitRow};
use headworks_plan::DELETED_COLUMN;
use headworks_sql::types::DataType;

use crate::formats::json::{JsonValue, decimal, temporal};

/// Writes rows of a query's columns, the mark of deletes behind them.
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
    pub fn new(schema: &TableSchema) -> RowEncoder {
        let column = |column: &headworks_sql::schema::Column| Column {
            name: column.name.clone(),
            data_type: column.data_type.clone(),
            nested: matches!(
                column.data_type,
                DataType::Array(_) | DataType::Map(_) | DataType::Struct(_)
            )
            .then(|| JsonValue::new(&column.name, &column.data_type)),
        };
        let mark = schema.deleted.map(|_| Column {
            name: DELETED_COLUMN.to_owned(),
            data_type: DataType::Boolean,
            nested: None,
        });
        let columns = schema.columns.columns.iter().map(column);
        RowEncoder {
            columns: columns.chain(mark).collect(),
            json: Vec::new(),
        }
    }

    /// Appends a line for each row of a batch.
    ///
    /// # Errors
    /// [`StoreError::Unfit`]: the values that can't be written, for each row the first; [`StoreError::Broken`]: the batch has other
    /// columns, a bug. `out` is of no use then.
    pub fn encode(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<(), StoreError> {
        let columns = self.columns.iter().zip(batch.columns());
        let cells: Option<Vec<Cells<'_>>> = columns
            .map(|(column, array)| Cells::new(column, array))
            .collect();
        let cells = cells.filter(|cells| {
            cells.len() == self.columns.len() && cells.len() == batch.num_columns()
        });
        let cells = cells.ok_or_else(|| StoreError::Broken {
            message: "the batch has other columns than the query".to_owned(),
        })?;
        let mut unfit = Vec::new();
        for row in 0..batch.num_rows() {
            for (at, cells) in cells.iter().enumerate() {
                if at > 0 {
                    out.push(b'\t');
                }
                if let Err(message) = cells.write(row, &mut self.json, out) {
                    let field = self.columns[at].name.clone();
                    unfit.push(UnfitRow {
                        row,
                        message: message.of(field).to_string(),
                    });
                    break;
                }
            }
            out.push(b'\n');
        }
        if unfit.is_empty() {
            return Ok(());
        }
        Err(StoreError::Unfit { rows: unfit })
    }
}

/// Why a value can't be written.
enum Refused {
    /// What is wrong with it.
    Value(&'static str),
    /// The same of a part of it.
    Part(FormatError),
}

impl Refused {
    fn of(self, field: String) -> FormatError {
        match self {
            Refused::Part(error) => error,
            Refused::Value(message) => FormatError::Value {
                field,
                message: message.to_owned(),
            },
        }
    }
}

/// A column of a batch by its type.
enum Cells<'a> {
    Boolean(&'a BooleanArray),
    Int(&'a PrimitiveArray<Int32Type>),
    BigInt(&'a PrimitiveArray<Int64Type>),
    Float(&'a PrimitiveArray<Float32Type>),
    Double(&'a PrimitiveArray<Float64Type>),
    Decimal(&'a PrimitiveArray<Decimal128Type>, u8),
    String(&'a StringArray),
    Bytes(&'a BinaryArray),
    Date(&'a PrimitiveArray<Date32Type>),
    Time(&'a PrimitiveArray<Time64MicrosecondType>),
    Instant(Instants<'a>, u8, &'static [u8]),
    Nested(&'a JsonValue, &'a dyn Array),
}

/// Points in time in the unit that so many digits need.
enum Instants<'a> {
    Seconds(&'a PrimitiveArray<TimestampSecondType>),
    Millis(&'a PrimitiveArray<TimestampMillisecondType>),
    Micros(&'a PrimitiveArray<TimestampMicrosecondType>),
}

impl<'a> Instants<'a> {
    fn new(digits: u8, array: &'a dyn Array) -> Option<Instants<'a>> {
        Some(match digits {
            0 => Instants::Seconds(array.as_primitive_opt()?),
            3 => Instants::Millis(array.as_primitive_opt()?),
            _ => Instants::Micros(array.as_primitive_opt()?),
        })
    }
}

fn value<T: ArrowPrimitiveType>(array: &PrimitiveArray<T>, row: usize) -> Option<T::Native> {
    (!array.is_null(row)).then(|| array.value(row))
}

impl<'a> Cells<'a> {
    /// Absent where the array has another type than the column.
    fn new(column: &'a Column, array: &'a dyn Array) -> Option<Cells<'a>> {
        if let Some(nested) = &column.nested {
            return Some(Cells::Nested(nested, array));
        }
        Some(match column.data_type {
            DataType::Boolean => Cells::Boolean(array.as_boolean_opt()?),
            DataType::Int => Cells::Int(array.as_primitive_opt()?),
            DataType::BigInt => Cells::BigInt(array.as_primitive_opt()?),
            DataType::Float => Cells::Float(array.as_primitive_opt()?),
            DataType::Double => Cells::Double(array.as_primitive_opt()?),
            DataType::Decimal { scale, .. } => Cells::Decimal(array.as_primitive_opt()?, scale),
            DataType::String => Cells::String(array.as_string_opt()?),
            DataType::Bytes => Cells::Bytes(array.as_binary_opt()?),
            DataType::Date => Cells::Date(array.as_primitive_opt()?),
            DataType::Time => Cells::Time(array.as_primitive_opt()?),
            DataType::Timestamp(digits) => {
                Cells::Instant(Instants::new(digits, array)?, digits, b"")
            }
            DataType::TimestampLtz(digits) => {
                Cells::Instant(Instants::new(digits, array)?, digits, b"Z")
            }
            DataType::Array(_) | DataType::Map(_) | DataType::Struct(_) => return None,
        })
    }

    /// Appends a row's value. `json` is room for a nested one.
    fn write(&self, row: usize, json: &mut Vec<u8>, out: &mut Vec<u8>) -> Result<(), Refused> {
        let there = match self {
            Cells::Boolean(array) => (!array.is_null(row)).then(|| {
                out.push(if array.value(row) { b't' } else { b'f' });
            }),
            Cells::Int(array) => value(array, row).map(|value| text(value, out)),
            Cells::BigInt(array) => value(array, row).map(|value| text(value, out)),
            Cells::Float(array) => value(array, row).map(|value| {
                let kind = (value.is_nan(), value.is_infinite(), value < 0.0);
                float(kind, format_args!("{value:e}"), out);
            }),
            Cells::Double(array) => value(array, row).map(|value| {
                let kind = (value.is_nan(), value.is_infinite(), value < 0.0);
                float(kind, format_args!("{value:e}"), out);
            }),
            Cells::Decimal(array, scale) => {
                value(array, row).map(|value| decimal::write(value, *scale, out))
            }
            Cells::String(array) => {
                (!array.is_null(row)).then(|| escaped(array.value(row).as_bytes(), out))
            }
            Cells::Bytes(array) => (!array.is_null(row)).then(|| hex(array.value(row), out)),
            Cells::Date(array) => value(array, row)
                .map(|days| within(temporal::write_date(days.into(), out)))
                .transpose()?,
            Cells::Time(array) => value(array, row)
                .map(|micros| {
                    let written = temporal::write_time(micros, out);
                    written
                        .then_some(())
                        .ok_or(Refused::Value("is no time of day"))
                })
                .transpose()?,
            Cells::Instant(instants, digits, zone) => {
                let at = match instants {
                    Instants::Seconds(array) => value(array, row),
                    Instants::Millis(array) => value(array, row),
                    Instants::Micros(array) => value(array, row),
                };
                at.map(|at| {
                    within(temporal::write_timestamp(at, *digits, out))?;
                    out.extend_from_slice(zone);
                    Ok(())
                })
                .transpose()?
            }
            Cells::Nested(nested, array) => (!array.is_null(row))
                .then(|| {
                    json.clear();
                    nested.write(*array, row, json).map_err(Refused::Part)?;
                    escaped(json, out);
                    Ok(())
                })
                .transpose()?,
        };
        if there.is_none() {
            out.extend_from_slice(b"\\N");
        }
        Ok(())
    }
}

fn within(written: bool) -> Result<(), Refused> {
    written
        .then_some(())
        .ok_or(Refused::Value("is outside the years 0001 to 9999"))
}

fn hex(bytes: &[u8], out: &mut Vec<u8>) {
    // A backslash is written as two.
    out.extend_from_slice(b"\\\\x");
    for byte in bytes {
        let digit = |nibble: u8| b"0123456789abcdef"[usize::from(nibble & 15)];
        out.extend_from_slice(&[digit(byte >> 4), digit(*byte)]);
    }
}

fn text(value: impl std::fmt::Display, out: &mut Vec<u8>) {
    use std::io::Write as _;
    // Memory takes all of it.
    let _ = write!(out, "{value}");
}

/// `kind`: it is NaN, infinite, below zero.
fn float(kind: (bool, bool, bool), digits: std::fmt::Arguments<'_>, out: &mut Vec<u8>) {
    match kind {
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
