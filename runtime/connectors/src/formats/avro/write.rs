//! Writes one row: each field's value from its column, as the definition has it.

use arrow::array::{Array, AsArray, ListArray, MapArray, StringArray};
use arrow::datatypes::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type,
    Time64MicrosecondType,
};
use headworks_schema::avro::defaults::{long, prefixed};
use headworks_sql::types::DataType;

use super::super::arrays::{point, range, typed};
use super::super::refused::Refused;
use super::super::values::per_second;
use super::encode::{Member, Value, Write};

pub(super) fn write_record(
    members: &[Member],
    columns: &[arrow::array::ArrayRef],
    row: usize,
    out: &mut Vec<u8>,
) -> Result<(), Refused> {
    for member in members {
        match &member.write {
            Write::Fixed(bytes) => out.extend_from_slice(bytes),
            Write::Column(at, data_type, value) => {
                let column = columns
                    .get(*at)
                    .ok_or_else(|| Refused::contract("the batch has no such column"))
                    .map_err(|refused| refused.field(&member.name))?;
                write(value, data_type, column, row, out)
                    .map_err(|refused| refused.field(&member.name))?;
            }
        }
    }
    Ok(())
}

pub(super) fn write(
    value: &Value,
    data_type: &DataType,
    array: &dyn Array,
    row: usize,
    out: &mut Vec<u8>,
) -> Result<(), Refused> {
    if let Value::Optional { null, some, value } = value {
        return if array.is_null(row) && *null >= 0 {
            long(*null, out);
            Ok(())
        } else {
            long(*some, out);
            write(value, data_type, array, row, out)
        };
    }
    if let Value::Choice(choice) = value
        && let Some(null) = choice.null
        && array.is_null(row)
    {
        long(null, out);
        return Ok(());
    }
    if array.is_null(row) {
        return Err(Refused::contract(format!(
            "is null; {data_type} is required by the definition"
        )));
    }
    write_present(value, data_type, array, row, out)
}

/// Writes a value that isn't null.
fn write_present(
    value: &Value,
    data_type: &DataType,
    array: &dyn Array,
    row: usize,
    out: &mut Vec<u8>,
) -> Result<(), Refused> {
    match value {
        Value::Boolean => out.push(u8::from(
            typed(array.as_boolean_opt(), data_type, array)?.value(row),
        )),
        Value::Int => long(primitive::<Int32Type>(data_type, array, row)?.into(), out),
        Value::Long => long(primitive::<Int64Type>(data_type, array, row)?, out),
        Value::Float => {
            let value = primitive::<Float32Type>(data_type, array, row)?;
            out.extend_from_slice(&value.to_le_bytes());
        }
        Value::Double => {
            let value = primitive::<Float64Type>(data_type, array, row)?;
            out.extend_from_slice(&value.to_le_bytes());
        }
        Value::Decimal(size) => {
            let unscaled = primitive::<Decimal128Type>(data_type, array, row)?;
            let bytes = unscaled.to_be_bytes();
            match size {
                None => prefixed(shortest(&bytes), out),
                Some(size) => fixed(shortest(&bytes), unscaled < 0, *size, out)?,
            }
        }
        Value::Text => {
            let text = typed(array.as_string_opt::<i32>(), data_type, array)?.value(row);
            prefixed(text.as_bytes(), out);
        }
        Value::Enum(symbols) => {
            let text = typed(array.as_string_opt::<i32>(), data_type, array)?.value(row);
            let index = symbols
                .get(text)
                .ok_or_else(|| Refused::contract("is none of the enum's symbols"))?;
            long(*index, out);
        }
        Value::Uuid => {
            let text = typed(array.as_string_opt::<i32>(), data_type, array)?.value(row);
            out.extend_from_slice(&uuid(text).ok_or_else(no_uuid)?);
        }
        Value::UuidText => {
            let text = typed(array.as_string_opt::<i32>(), data_type, array)?.value(row);
            uuid(text).ok_or_else(no_uuid)?;
            prefixed(text.as_bytes(), out);
        }
        Value::Bytes(size) => {
            let bytes = typed(array.as_binary_opt::<i32>(), data_type, array)?.value(row);
            match size {
                None => prefixed(bytes, out),
                Some(size) if *size == bytes.len() => out.extend_from_slice(bytes),
                Some(size) => {
                    return Err(Refused::contract(format!(
                        "has {} bytes, and the definition's fixed has {size}",
                        bytes.len()
                    )));
                }
            }
        }
        Value::Date => long(primitive::<Date32Type>(data_type, array, row)?.into(), out),
        Value::TimeMillis => {
            let micros = primitive::<Time64MicrosecondType>(data_type, array, row)?;
            long(micros.div_euclid(1_000), out);
        }
        Value::TimeMicros => {
            long(
                primitive::<Time64MicrosecondType>(data_type, array, row)?,
                out,
            );
        }
        Value::Point(unit) => long(in_unit(i64::from(*unit), data_type, array, row)?, out),
        Value::Array(item, inner) => {
            let list = typed(array.as_list_opt::<i32>(), data_type, array)?;
            write_list(list, (item, inner), row, out)?;
        }
        Value::Map(item, inner) => {
            let map = typed(array.as_map_opt(), data_type, array)?;
            let keys = typed(map.keys().as_string_opt::<i32>(), data_type, array)?;
            write_map(map, keys, (item, inner), row, out)?;
        }
        Value::Record(members) => {
            let object = typed(array.as_struct_opt(), data_type, array)?;
            write_record(members, object.columns(), row, out)?;
        }
        Value::Choice(choice) => {
            let object = typed(array.as_struct_opt(), data_type, array)?;
            choice.write(object.columns(), row, out)?;
        }
        Value::Optional { .. } => {}
    }
    Ok(())
}

/// A point in time, in so many of the definition's units a second.
fn in_unit(unit: i64, data_type: &DataType, array: &dyn Array, row: usize) -> Result<i64, Refused> {
    let (value, digits) = point(data_type, array, row)?;
    let own = per_second(digits);
    let scaled = if unit >= own {
        value.checked_mul(unit / own)
    } else {
        Some(value.div_euclid(own / unit))
    };
    scaled.ok_or_else(|| Refused::contract("is too far away for the definition's unit"))
}

fn write_list(
    list: &ListArray,
    (item, inner): (&Value, &DataType),
    row: usize,
    out: &mut Vec<u8>,
) -> Result<(), Refused> {
    let range = range(list.value_offsets(), row);
    if !range.is_empty() {
        long(range.len() as i64, out);
        for (index, at) in range.enumerate() {
            write(item, inner, list.values(), at, out).map_err(|refused| refused.index(index))?;
        }
    }
    out.push(0);
    Ok(())
}

fn write_map(
    map: &MapArray,
    keys: &StringArray,
    (item, inner): (&Value, &DataType),
    row: usize,
    out: &mut Vec<u8>,
) -> Result<(), Refused> {
    let range = range(map.value_offsets(), row);
    if !range.is_empty() {
        long(range.len() as i64, out);
        for at in range {
            let key = keys.value(at).as_bytes();
            prefixed(key, out);
            write(item, inner, map.values(), at, out).map_err(|refused| refused.key(key))?;
        }
    }
    out.push(0);
    Ok(())
}

fn primitive<T: ArrowPrimitiveType>(
    data_type: &DataType,
    array: &dyn Array,
    row: usize,
) -> Result<T::Native, Refused> {
    Ok(typed(array.as_primitive_opt::<T>(), data_type, array)?.value(row))
}

/// Two's complement without bytes that only repeat the sign.
fn shortest(bytes: &[u8; 16]) -> &[u8] {
    let mut at = 0;
    while at < 15
        && (bytes[at] == 0 && bytes[at + 1] & 0x80 == 0
            || bytes[at] == 0xff && bytes[at + 1] & 0x80 != 0)
    {
        at += 1;
    }
    &bytes[at..]
}

fn fixed(bytes: &[u8], negative: bool, size: usize, out: &mut Vec<u8>) -> Result<(), Refused> {
    let Some(more) = size.checked_sub(bytes.len()) else {
        return Err(Refused::contract(format!(
            "doesn't fit the {size} bytes of the definition's fixed"
        )));
    };
    out.resize(out.len() + more, if negative { 0xff } else { 0 });
    out.extend_from_slice(bytes);
    Ok(())
}

#[cold]
fn no_uuid() -> Refused {
    Refused::contract("is no UUID")
}

fn uuid(text: &str) -> Option<[u8; 16]> {
    let dashes = [8, 13, 18, 23];
    if text.len() != 36 || dashes.iter().any(|at| text.as_bytes()[*at] != b'-') {
        return None;
    }
    let digits: Vec<u8> = text
        .bytes()
        .filter(|byte| *byte != b'-')
        .map(|byte| char::from(byte).to_digit(16).map(|digit| digit as u8))
        .collect::<Option<_>>()?;
    let mut bytes = [0; 16];
    if digits.len() != 32 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = pair[0] << 4 | pair[1];
    }
    Some(bytes)
}
