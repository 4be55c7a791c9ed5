//! Values of a column, of any type of a contract.

use arrow::array::{Array, AsArray, OffsetSizeTrait};
use arrow::datatypes::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type,
    Time64MicrosecondType, TimestampMicrosecondType, TimestampMillisecondType, TimestampSecondType,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use headworks_engine::format::FormatError;
use headworks_sql::types::{DataType, StructField};
use serde::Serialize;

use super::text::{integer, json, quoted, string};
use crate::formats::json::{decimal, temporal};

/// A field and what stands before its value: `"name":`.
pub(super) struct Member {
    pub(super) name: String,
    prefix: Vec<u8>,
    data_type: DataType,
    pub(super) children: Vec<Member>,
    /// True: what JSON has no word for is written as text.
    only_shown: bool,
}

/// Writes the values of one column.
pub(crate) struct JsonValue(Member);

impl JsonValue {
    pub(crate) fn new(name: &str, data_type: &DataType) -> JsonValue {
        JsonValue(Member::new(name, data_type))
    }

    pub(crate) fn write(
        &self,
        array: &dyn Array,
        row: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), FormatError> {
        Ok(write(&self.0, array, row, out).map_err(|refused| refused.within(&self.0.name))?)
    }
}

/// A value that can't be written; the path is made on the way out.
pub(super) struct Refused {
    path: String,
    message: String,
}

impl Refused {
    pub(super) fn new(message: impl Into<String>) -> Refused {
        Refused {
            path: String::new(),
            message: message.into(),
        }
    }

    pub(super) fn within(self, step: &str) -> Refused {
        let dot = if self.path.is_empty() || self.path.starts_with('[') {
            ""
        } else {
            "."
        };
        Refused {
            path: format!("{step}{dot}{}", self.path),
            message: self.message,
        }
    }
}

impl From<Refused> for FormatError {
    fn from(refused: Refused) -> FormatError {
        FormatError::Value {
            field: refused.path,
            message: refused.message,
        }
    }
}

impl Member {
    pub(super) fn new(name: &str, data_type: &DataType) -> Member {
        let mut prefix = Vec::new();
        json(name, &mut prefix);
        prefix.push(b':');
        let children = match data_type {
            DataType::Struct(fields) => fields
                .iter()
                .map(
                    |StructField {
                         name, data_type, ..
                     }| Member::new(name, data_type),
                )
                .collect(),
            DataType::Array(item) | DataType::Map(item) => vec![Member::new("", item)],
            _ => Vec::new(),
        };
        Member {
            name: name.to_owned(),
            prefix,
            data_type: data_type.clone(),
            children,
            only_shown: false,
        }
    }

    pub(super) fn show(&mut self) {
        self.only_shown = true;
        self.children.iter_mut().for_each(Member::show);
    }
}

#[inline]
pub(super) fn write_members(
    members: &[Member],
    columns: &[arrow::array::ArrayRef],
    row: usize,
    out: &mut Vec<u8>,
) -> Result<(), Refused> {
    if members.len() != columns.len() {
        return Err(Refused::new(format!(
            "{} columns where the contract has {}",
            columns.len(),
            members.len()
        )));
    }
    out.push(b'{');
    for (i, (member, column)) in members.iter().zip(columns).enumerate() {
        if i > 0 {
            out.push(b',');
        }
        out.extend_from_slice(&member.prefix);
        write(member, column, row, out).map_err(|refused| refused.within(&member.name))?;
    }
    out.push(b'}');
    Ok(())
}

pub(super) fn write(
    member: &Member,
    array: &dyn Array,
    row: usize,
    out: &mut Vec<u8>,
) -> Result<(), Refused> {
    if array.is_null(row) {
        out.extend_from_slice(b"null");
        return Ok(());
    }
    match &member.data_type {
        DataType::Boolean => json(
            &typed(array.as_boolean_opt(), member, array)?.value(row),
            out,
        ),
        DataType::Int => integer(value::<Int32Type>(member, array, row)?.into(), out),
        DataType::BigInt => integer(value::<Int64Type>(member, array, row)?, out),
        DataType::Float => {
            let number = value::<Float32Type>(member, array, row)?;
            finite(member, number, number.into(), out)?;
        }
        DataType::Double => {
            let number = value::<Float64Type>(member, array, row)?;
            finite(member, number, number, out)?;
        }
        DataType::Decimal { scale, .. } => {
            let unscaled = value::<Decimal128Type>(member, array, row)?;
            quoted(out, |out| decimal::write(unscaled, *scale, out));
        }
        DataType::String => string(
            typed(array.as_string_opt::<i32>(), member, array)?.value(row),
            out,
        ),
        DataType::Bytes => {
            let bytes = typed(array.as_binary_opt::<i32>(), member, array)?.value(row);
            json(&STANDARD.encode(bytes), out);
        }
        DataType::Date => {
            let days = value::<Date32Type>(member, array, row)?;
            within_years(member, out, |out| temporal::write_date(days.into(), out))?;
        }
        DataType::Time => {
            let micros = value::<Time64MicrosecondType>(member, array, row)?;
            let written = quoted(out, |out| temporal::write_time(micros, out));
            written
                .then_some(())
                .ok_or_else(|| Refused::new("is no time of day"))?;
        }
        DataType::Timestamp(digits) => {
            let at = instant(*digits, member, array, row)?;
            within_years(member, out, |out| {
                temporal::write_timestamp(at, *digits, out)
            })?;
        }
        DataType::TimestampLtz(digits) => {
            let at = instant(*digits, member, array, row)?;
            let zoned = |out: &mut Vec<u8>| {
                let written = temporal::write_timestamp(at, *digits, out);
                out.push(b'Z');
                written
            };
            within_years(member, out, zoned)?;
        }
        DataType::Array(_) => {
            let list = typed(array.as_list_opt::<i32>(), member, array)?;
            let range = range(list.value_offsets(), row);
            out.push(b'[');
            for (i, at) in range.enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write(&member.children[0], list.values(), at, out)
                    .map_err(|refused| refused.within(&format!("[{i}]")))?;
            }
            out.push(b']');
        }
        DataType::Map(_) => {
            let map = typed(array.as_map_opt(), member, array)?;
            let keys = typed(map.keys().as_string_opt::<i32>(), member, array)?;
            let range = range(map.value_offsets(), row);
            out.push(b'{');
            for (i, at) in range.enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                string(keys.value(at), out);
                out.push(b':');
                write(&member.children[0], map.values(), at, out)
                    .map_err(|refused| refused.within(&format!("[{:?}]", keys.value(at))))?;
            }
            out.push(b'}');
        }
        DataType::Struct(_) => {
            let object = typed(array.as_struct_opt(), member, array)?;
            write_members(&member.children, object.columns(), row, out)?;
        }
    }
    Ok(())
}

fn range<O: OffsetSizeTrait>(offsets: &[O], row: usize) -> std::ops::Range<usize> {
    offsets[row].as_usize()..offsets[row + 1].as_usize()
}

#[inline]
fn typed<'a, T>(
    array: Option<&'a T>,
    member: &Member,
    given: &dyn Array,
) -> Result<&'a T, Refused> {
    array.ok_or_else(|| {
        Refused::new(format!(
            "the batch has {} where the contract has {}",
            given.data_type(),
            member.data_type
        ))
    })
}

#[inline]
fn value<T: ArrowPrimitiveType>(
    member: &Member,
    array: &dyn Array,
    row: usize,
) -> Result<T::Native, Refused> {
    Ok(typed(array.as_primitive_opt::<T>(), member, array)?.value(row))
}

fn instant(digits: u8, member: &Member, array: &dyn Array, row: usize) -> Result<i64, Refused> {
    match digits {
        0 => value::<TimestampSecondType>(member, array, row),
        3 => value::<TimestampMillisecondType>(member, array, row),
        _ => value::<TimestampMicrosecondType>(member, array, row),
    }
}

/// A number as it is, and as the widest type has it.
fn finite<T: Serialize>(
    member: &Member,
    value: T,
    widest: f64,
    out: &mut Vec<u8>,
) -> Result<(), Refused> {
    if widest.is_finite() {
        json(&value, out);
    } else if member.only_shown {
        json(non_finite(widest), out);
    } else {
        return Err(Refused::new("is NaN or infinite, which JSON cannot say"));
    }
    Ok(())
}

/// The words that Protobuf's JSON has for them.
fn non_finite(number: f64) -> &'static str {
    if number.is_nan() {
        "NaN"
    } else if number > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    }
}

/// A time, which `write` says false of outside the years that are written.
fn within_years(
    member: &Member,
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>) -> bool,
) -> Result<(), Refused> {
    let start = out.len();
    if quoted(out, write) {
        return Ok(());
    }
    let beyond = "is outside the years 0001 to 9999";
    if !member.only_shown {
        return Err(Refused::new(beyond));
    }
    out.truncate(start);
    json(beyond, out);
    Ok(())
}
