//! Writes one row: each member's value from its column, as the definition has it on the wire.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{
    ArrowPrimitiveType, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type,
};
use headworks_sql::types::DataType;

use super::super::arrays::{point, range, typed};
use super::super::refused::Refused;
use super::super::values::per_second;
use super::compile::Many;
use super::encode::{Member, Value, Whole};
use super::wire::{FIXED32, FIXED64, LENGTH, VARINT, put_varint, unzigzag};

pub(super) fn write_message(
    members: &[Member],
    columns: &[arrow::array::ArrayRef],
    row: usize,
    out: &mut Vec<u8>,
    scratch: &mut Vec<u8>,
) -> Result<(), Refused> {
    for (at, member) in members.iter().enumerate() {
        columns
            .get(member.column)
            .ok_or_else(|| Refused::contract("the batch has no such column"))
            .and_then(|column| {
                if member.oneof.is_some() && !column.is_null(row) {
                    alone(member, &members[..at], columns, row)?;
                }
                member.write(column, row, out, scratch)
            })
            .map_err(|refused| refused.field(&member.name))?;
    }
    Ok(())
}

/// Refuses a member of a oneof beside another one that is set: a reader would see only the last.
fn alone(
    member: &Member,
    before: &[Member],
    columns: &[arrow::array::ArrayRef],
    row: usize,
) -> Result<(), Refused> {
    let other = before.iter().find(|other| {
        let column = columns.get(other.column);
        other.oneof == member.oneof && column.is_some_and(|column| !column.is_null(row))
    });
    match (other, &member.oneof) {
        (Some(other), Some(oneof)) => Err(Refused::contract(format!(
            "is set, and so is {}; of the definition's oneof {oneof} one can be set at most",
            other.name
        ))),
        _ => Ok(()),
    }
}

/// What was appended to `out` since `begin`, with its length before it.
pub(super) fn prefixed(begin: usize, out: &mut Vec<u8>) {
    let content = out.len();
    put_varint((content - begin) as u64, out);
    let length = out.len() - content;
    out[begin..].rotate_right(length);
}

impl Member {
    fn tag(&self, wire: u8, out: &mut Vec<u8>) {
        put_varint(u64::from(self.number) << 3 | u64::from(wire), out);
    }

    fn write(
        &self,
        array: &dyn Array,
        row: usize,
        out: &mut Vec<u8>,
        scratch: &mut Vec<u8>,
    ) -> Result<(), Refused> {
        match self.many {
            Many::One if array.is_null(row) => {
                // Empty text says nothing, too, where a value is written as text.
                if self.presence || matches!(self.value, Value::Written(_)) {
                    return Ok(());
                }
                Err(Refused::contract(format!(
                    "is null; {} is required by the definition, where it isn't optional",
                    self.data_type
                )))
            }
            Many::One => {
                let begin = out.len();
                self.tag(self.value.wire(), out);
                let content = out.len();
                self.value
                    .write(&self.data_type, array, row, out, scratch)?;
                if !self.presence && out[content..].iter().all(|byte| *byte == 0) {
                    out.truncate(begin);
                }
                Ok(())
            }
            _ if array.is_null(row) => Ok(()),
            Many::List => self.write_list(array, row, out, scratch),
            Many::Map => self.write_map(array, row, out, scratch),
        }
    }

    fn write_list(
        &self,
        array: &dyn Array,
        row: usize,
        out: &mut Vec<u8>,
        scratch: &mut Vec<u8>,
    ) -> Result<(), Refused> {
        let DataType::Array(inner) = &self.data_type else {
            return Ok(());
        };
        let list = typed(array.as_list_opt::<i32>(), &self.data_type, array)?;
        let range = range(list.value_offsets(), row);
        if range.is_empty() {
            return Ok(());
        }
        let wire = self.value.wire();
        let packed = self.packed && wire != LENGTH;
        let mut begin = out.len();
        if packed {
            self.tag(LENGTH, out);
            begin = out.len();
        }
        for (index, at) in range.enumerate() {
            if list.values().is_null(at) {
                return Err(no_null().index(index));
            }
            if !packed {
                self.tag(wire, out);
            }
            self.value
                .write(inner, list.values(), at, out, scratch)
                .map_err(|refused| refused.index(index))?;
        }
        if packed {
            prefixed(begin, out);
        }
        Ok(())
    }

    fn write_map(
        &self,
        array: &dyn Array,
        row: usize,
        out: &mut Vec<u8>,
        scratch: &mut Vec<u8>,
    ) -> Result<(), Refused> {
        let DataType::Map(inner) = &self.data_type else {
            return Ok(());
        };
        let map = typed(array.as_map_opt(), &self.data_type, array)?;
        let keys = typed(map.keys().as_string_opt::<i32>(), &self.data_type, array)?;
        for at in range(map.value_offsets(), row) {
            let key = keys.value(at).as_bytes();
            if map.values().is_null(at) {
                return Err(no_null().key(key));
            }
            self.tag(LENGTH, out);
            let begin = out.len();
            self.key.write(keys.value(at), out)?;
            put_varint(2 << 3 | u64::from(self.value.wire()), out);
            self.value
                .write(inner, map.values(), at, out, scratch)
                .map_err(|refused| refused.key(key))?;
            prefixed(begin, out);
        }
        Ok(())
    }
}

#[cold]
fn no_null() -> Refused {
    Refused::contract("is null, and a list or map of Protobuf can't hold null")
}

impl Whole {
    fn wire(self) -> u8 {
        match self {
            Whole::Plain | Whole::Zigzag => VARINT,
            Whole::Fixed32 => FIXED32,
            Whole::Fixed64 => FIXED64,
        }
    }

    fn write(self, value: i64, out: &mut Vec<u8>) {
        match self {
            Whole::Plain => put_varint(value as u64, out),
            Whole::Zigzag => put_varint(unzigzag(value), out),
            Whole::Fixed32 => out.extend_from_slice(&(value as u32).to_le_bytes()),
            Whole::Fixed64 => out.extend_from_slice(&value.to_le_bytes()),
        }
    }
}

/// `google.protobuf.Timestamp` of a point in time, in so many units a second.
fn write_timestamp(value: i64, unit: i64, out: &mut Vec<u8>) {
    let (seconds, rest) = (value.div_euclid(unit), value.rem_euclid(unit));
    let begin = out.len();
    if seconds != 0 {
        put_varint(1 << 3, out);
        put_varint(seconds as u64, out);
    }
    if rest != 0 {
        put_varint(2 << 3, out);
        put_varint((rest * (1_000_000_000 / unit)) as u64, out);
    }
    prefixed(begin, out);
}

impl Value {
    fn wire(&self) -> u8 {
        match self {
            Value::Bool
            | Value::Enum(_)
            | Value::Uint32 { fixed: false }
            | Value::Unsigned { fixed: false } => VARINT,
            Value::Int(whole) | Value::Long(whole) => whole.wire(),
            Value::Float | Value::Uint32 { fixed: true } => FIXED32,
            Value::Double | Value::Unsigned { fixed: true } => FIXED64,
            Value::Text
            | Value::Bytes
            | Value::Written(_)
            | Value::Timestamp
            | Value::Present
            | Value::Json(_)
            | Value::Wrapper(_)
            | Value::Struct(_) => LENGTH,
        }
    }

    /// Writes a value that isn't null, without its tag.
    fn write(
        &self,
        data_type: &DataType,
        array: &dyn Array,
        row: usize,
        out: &mut Vec<u8>,
        scratch: &mut Vec<u8>,
    ) -> Result<(), Refused> {
        match self {
            Value::Bool => {
                out.push(u8::from(
                    typed(array.as_boolean_opt(), data_type, array)?.value(row),
                ));
            }
            Value::Int(whole) => {
                whole.write(primitive::<Int32Type>(data_type, array, row)?.into(), out);
            }
            Value::Long(whole) => {
                whole.write(primitive::<Int64Type>(data_type, array, row)?, out);
            }
            Value::Uint32 { fixed } => {
                let value = primitive::<Int64Type>(data_type, array, row)?;
                let value = u32::try_from(value)
                    .map_err(|_| Refused::contract("doesn't fit the definition's uint32"))?;
                if *fixed {
                    out.extend_from_slice(&value.to_le_bytes());
                } else {
                    put_varint(u64::from(value), out);
                }
            }
            Value::Unsigned { fixed } => {
                let value = primitive::<Decimal128Type>(data_type, array, row)?;
                let value = u64::try_from(value)
                    .map_err(|_| Refused::contract("doesn't fit the definition's uint64"))?;
                if *fixed {
                    out.extend_from_slice(&value.to_le_bytes());
                } else {
                    put_varint(value, out);
                }
            }
            Value::Float => {
                let value = primitive::<Float32Type>(data_type, array, row)?;
                out.extend_from_slice(&value.to_le_bytes());
            }
            Value::Double => {
                let value = primitive::<Float64Type>(data_type, array, row)?;
                out.extend_from_slice(&value.to_le_bytes());
            }
            Value::Text => {
                let text = typed(array.as_string_opt::<i32>(), data_type, array)?.value(row);
                put_varint(text.len() as u64, out);
                out.extend_from_slice(text.as_bytes());
            }
            Value::Bytes => {
                let bytes = typed(array.as_binary_opt::<i32>(), data_type, array)?.value(row);
                put_varint(bytes.len() as u64, out);
                out.extend_from_slice(bytes);
            }
            Value::Written(json) => {
                scratch.clear();
                json.write(array, row, scratch)
                    .map_err(|error| Refused::contract(error.to_string()))?;
                let text = scratch
                    .strip_prefix(b"\"")
                    .and_then(|text| text.strip_suffix(b"\""))
                    .unwrap_or(scratch);
                put_varint(text.len() as u64, out);
                out.extend_from_slice(text);
            }
            Value::Enum(numbers) => {
                let text = typed(array.as_string_opt::<i32>(), data_type, array)?.value(row);
                // A number without a name is read as itself, and goes back as itself.
                let number = numbers.get(text).copied().or_else(|| text.parse().ok());
                let number =
                    number.ok_or_else(|| Refused::contract("is none of the enum's names"))?;
                put_varint(i64::from(number) as u64, out);
            }
            Value::Timestamp => {
                let (value, digits) = point(data_type, array, row)?;
                write_timestamp(value, per_second(digits), out);
            }
            Value::Present => {
                if !typed(array.as_boolean_opt(), data_type, array)?.value(row) {
                    return Err(Refused::contract(
                        "is false; a message without fields is there (true) or not (null)",
                    ));
                }
                out.push(0);
            }
            Value::Json(json) => {
                let text = typed(array.as_string_opt::<i32>(), data_type, array)?.value(row);
                let begin = out.len();
                json.write(text, out)?;
                prefixed(begin, out);
            }
            Value::Wrapper(inner) => {
                let begin = out.len();
                inner.write(array, row, out, scratch)?;
                prefixed(begin, out);
            }
            Value::Struct(members) => {
                let object = typed(array.as_struct_opt(), data_type, array)?;
                let begin = out.len();
                write_message(members, object.columns(), row, out, scratch)?;
                prefixed(begin, out);
            }
        }
        Ok(())
    }
}

fn primitive<T: ArrowPrimitiveType>(
    data_type: &DataType,
    array: &dyn Array,
    row: usize,
) -> Result<T::Native, Refused> {
    Ok(typed(array.as_primitive_opt::<T>(), data_type, array)?.value(row))
}
