//! The encoder: rows of a batch to JSON objects, and their Kafka keys.
//!
//! Every field of the contract is written, in its order, a null one as `null`. A **key** of one field is
//! the value's bare text, as it stands in JSON but without quotes or escapes (`1042`, `01J9…`,
//! `2026-01-01T00:00:00.000Z`), so that any producer can make the same; a key of several fields is the
//! JSON array of the values (`["eu",7]`). A record whose only key field is null has no key.

use arrow::array::{Array, AsArray, OffsetSizeTrait, RecordBatch, StructArray};
use arrow::datatypes::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type,
    Time64MicrosecondType, TimestampMicrosecondType, TimestampMillisecondType, TimestampSecondType,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use headworks_engine::format::{Encoder, FormatError};
use headworks_plan::Contract;
use headworks_sql::types::{DataType, StructField};
use serde::Serialize;

use super::{decimal, temporal};

/// Writes rows as JSON objects by a contract.
pub struct JsonEncoder {
    members: Vec<Member>,
    keys: Vec<Key>,
}

/// A field and what stands before its value: `"name":`.
struct Member {
    name: String,
    prefix: Vec<u8>,
    data_type: DataType,
    children: Vec<Member>,
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

/// A key field: the column, then the way down through structs.
struct Key {
    name: String,
    steps: Vec<usize>,
}

/// A value that can't be written; the path is made on the way out.
struct Refused {
    path: String,
    message: String,
}

impl Refused {
    fn new(message: impl Into<String>) -> Refused {
        Refused {
            path: String::new(),
            message: message.into(),
        }
    }

    fn within(self, step: &str) -> Refused {
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

impl JsonEncoder {
    /// An encoder for batches with the contract's whole schema.
    ///
    /// # Errors
    /// The contract is no contract.
    pub fn new(contract: &Contract) -> Result<JsonEncoder, FormatError> {
        let schema = super::schema(contract)?;
        let members: Vec<Member> = schema
            .columns
            .iter()
            .map(|c| Member::new(&c.name, &c.data_type))
            .collect();
        let mut keys = Vec::with_capacity(contract.key.len());
        for name in &contract.key {
            let mut steps = Vec::new();
            let mut level = &members;
            for step in name.split('.') {
                let index = level.iter().position(|m| m.name == step).ok_or_else(|| {
                    FormatError::Value {
                        field: name.clone(),
                        message: "the key names a field that the contract doesn't have".to_owned(),
                    }
                })?;
                steps.push(index);
                level = &level[index].children;
            }
            keys.push(Key {
                name: name.clone(),
                steps,
            });
        }
        Ok(JsonEncoder { members, keys })
    }

    /// The same for rows that people look at and no reader gets: a number that is NaN or infinite, and a time outside the years
    /// that JSON's times have, are texts instead of refusals.
    ///
    /// # Errors
    /// The contract is no contract.
    pub fn showing(contract: &Contract) -> Result<JsonEncoder, FormatError> {
        let mut encoder = JsonEncoder::new(contract)?;
        for member in &mut encoder.members {
            member.show();
        }
        Ok(encoder)
    }

    /// Appends the key field's JSON; false: it is null.
    fn key_field(
        &self,
        key: &Key,
        batch: &RecordBatch,
        row: usize,
        out: &mut Vec<u8>,
    ) -> Result<bool, Refused> {
        let mut level = &self.members;
        let mut parent: Option<&StructArray> = None;
        let mut steps = key.steps.iter().peekable();
        while let Some(&index) = steps.next() {
            let array = match parent {
                Some(parent) => parent.columns().get(index),
                None => batch.columns().get(index),
            };
            let array = array.ok_or_else(|| Refused::new("the batch has no such column"))?;
            if array.is_null(row) {
                return Ok(false);
            }
            if steps.peek().is_none() {
                write(&level[index], array, row, out)?;
                return Ok(true);
            }
            parent = array.as_struct_opt();
            level = &level[index].children;
        }
        Ok(false)
    }
}

impl Encoder for JsonEncoder {
    fn encode(
        &mut self,
        batch: &RecordBatch,
        row: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), FormatError> {
        Ok(write_members(&self.members, batch.columns(), row, out)?)
    }

    fn key(
        &mut self,
        batch: &RecordBatch,
        row: usize,
        out: &mut Vec<u8>,
    ) -> Result<bool, FormatError> {
        let start = out.len();
        if let [key] = self.keys.as_slice() {
            let there = self
                .key_field(key, batch, row, out)
                .map_err(|refused| refused.within(&key.name))?;
            bare(out, start);
            return Ok(there);
        }
        for (i, key) in self.keys.iter().enumerate() {
            out.push(if i == 0 { b'[' } else { b',' });
            if !self
                .key_field(key, batch, row, out)
                .map_err(|refused| refused.within(&key.name))?
            {
                out.extend_from_slice(b"null");
            }
        }
        if !self.keys.is_empty() {
            out.push(b']');
        }
        Ok(!self.keys.is_empty())
    }
}

/// Takes the quotes and escapes off a JSON string at the end of `out`.
fn bare(out: &mut Vec<u8>, start: usize) {
    if out.get(start) == Some(&b'"')
        && let Ok(text) = serde_json::from_slice::<String>(&out[start..])
    {
        out.truncate(start);
        out.extend_from_slice(text.as_bytes());
    }
}

impl Member {
    fn new(name: &str, data_type: &DataType) -> Member {
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

    fn show(&mut self) {
        self.only_shown = true;
        self.children.iter_mut().for_each(Member::show);
    }
}

fn write_members(
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

fn write(member: &Member, array: &dyn Array, row: usize, out: &mut Vec<u8>) -> Result<(), Refused> {
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

fn quoted<T>(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    out.push(b'"');
    let result = write(out);
    out.push(b'"');
    result
}

/// Digits from the end of a buffer forward.
fn integer(value: i64, out: &mut Vec<u8>) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    let mut rest = value.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        at -= 1;
        digits[at] = b'-';
    }
    out.extend_from_slice(&digits[at..]);
}

/// A string between quotes; mostly there is nothing in it to be escaped.
fn string(text: &str, out: &mut Vec<u8>) {
    let escaped = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\';
    // Without a branch a byte, so that many are looked at together.
    if text.bytes().fold(false, |any, byte| any | escaped(byte)) {
        return json(text, out);
    }
    out.reserve(text.len() + 2);
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

/// Numbers and strings can't fail to be written into memory.
fn json<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) {
    let _ = serde_json::to_writer(out, value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_strings_are_written_as_serde_writes_them() {
        let written = |write: &dyn Fn(&mut Vec<u8>)| {
            let mut out = b"x".to_vec();
            write(&mut out);
            String::from_utf8(out.split_off(1)).unwrap()
        };
        let mut numbers = vec![0, i64::MIN, i64::MAX];
        numbers.extend((0..19).flat_map(|n| [10_i64.pow(n), 1 - 10_i64.pow(n), -(10_i64.pow(n))]));
        for number in numbers {
            assert_eq!(written(&|out| integer(number, out)), number.to_string());
        }
        let mut texts: Vec<String> = (0..0x180)
            .filter_map(char::from_u32)
            .map(|c| format!("{}{c}b", "a".repeat(33)))
            .collect();
        texts.extend([String::new(), "\u{1f600} é".to_owned()]);
        for text in texts {
            let expected = serde_json::to_string(&text).unwrap();
            assert_eq!(written(&|out| string(&text, out)), expected);
        }
    }
}
