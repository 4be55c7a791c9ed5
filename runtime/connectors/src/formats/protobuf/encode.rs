//! The encoder: rows of a batch to Protobuf messages, by the contract's definition.
//!
//! As proto3 has it, a field that isn't `optional` and has its type's default isn't written. A list or map that is null
//! is an empty one; null within them can't be said and is refused.

use std::collections::HashMap;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{
    ArrowPrimitiveType, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type,
};
use headworks_engine::format::{Encoder, FormatError};
use headworks_plan::Contract;
use headworks_schema::protobuf::{Known, known};
use headworks_sql::types::{DataType, StructField};
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

use super::super::arrays::{point, range, typed};
use super::super::json::{JsonEncoder, JsonValue};
use super::super::refused::Refused;
use super::super::values::{is_written, per_second};
use super::compile::{Many, shape, values_of};
use super::decode::head;
use super::definition;
use super::wire::{FIXED32, FIXED64, LENGTH, VARINT, put_varint, unzigzag};

/// Writes rows as Protobuf messages: bare, or behind the registry's id.
pub struct ProtobufEncoder {
    head: Vec<u8>,
    members: Vec<Member>,
    keys: JsonEncoder,
    /// For what is written as text, and packed lists.
    scratch: Vec<u8>,
}

/// A field, and the column of the same place in the contract.
struct Member {
    name: String,
    column: usize,
    data_type: DataType,
    number: u32,
    many: Many,
    /// True: null is said by leaving it out, and every value is written.
    presence: bool,
    value: Value,
}

enum Value {
    Bool,
    /// Of 32 bits as int32, sint32, …
    Int(Whole),
    /// Of 64 bits.
    Long(Whole),
    /// `uint64` or `fixed64`, of a decimal.
    Unsigned {
        fixed: bool,
    },
    Float,
    Double,
    Text,
    Bytes,
    /// Text, as in JSON.
    Written(JsonValue),
    Enum(HashMap<String, i32>),
    Timestamp,
    Wrapper(Box<Member>),
    Struct(Vec<Member>),
}

#[derive(Clone, Copy)]
enum Whole {
    Plain,
    Zigzag,
    Fixed32,
    Fixed64,
}

impl ProtobufEncoder {
    /// An encoder for batches with the contract's whole schema.
    ///
    /// # Errors
    /// The contract is no contract, or its definition isn't of it.
    pub fn new(contract: &Contract) -> Result<ProtobufEncoder, FormatError> {
        let message = definition(contract)?;
        let columns = super::super::columns(contract)?;
        let members = members(&message, &columns)
            .map_err(|(field, message)| FormatError::Value { field, message })?;
        Ok(ProtobufEncoder {
            head: head(contract, &message),
            members,
            keys: JsonEncoder::new(contract)?,
            scratch: Vec::new(),
        })
    }
}

impl Encoder for ProtobufEncoder {
    fn encode(
        &mut self,
        batch: &RecordBatch,
        row: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), FormatError> {
        out.extend_from_slice(&self.head);
        Ok(write_message(
            &self.members,
            batch.columns(),
            row,
            out,
            &mut self.scratch,
        )?)
    }

    fn key(
        &mut self,
        batch: &RecordBatch,
        row: usize,
        out: &mut Vec<u8>,
    ) -> Result<bool, FormatError> {
        self.keys.key(batch, row, out)
    }
}

type Wrong = (String, String);

fn members(message: &MessageDescriptor, columns: &[StructField]) -> Result<Vec<Member>, Wrong> {
    let made = columns.iter().enumerate().map(|(at, column)| {
        let field = message.get_field_by_name(&column.name).ok_or_else(|| {
            (
                column.name.clone(),
                "the definition doesn't have it".to_owned(),
            )
        })?;
        member(&field, &column.name, at, &column.data_type)
            .map_err(|(path, why)| (format!("{}{path}", column.name), why))
    });
    let mut members: Vec<Member> = made.collect::<Result<_, Wrong>>()?;
    // In the order of numbers, as others write them.
    members.sort_by_key(|member| member.number);
    Ok(members)
}

fn member(
    field: &FieldDescriptor,
    name: &str,
    column: usize,
    data_type: &DataType,
) -> Result<Member, Wrong> {
    let many = shape(field);
    let value = match (many, data_type) {
        (Many::List, DataType::Array(item)) => value(&field.kind(), item)?,
        (Many::Map, DataType::Map(item)) => match values_of(field) {
            Some(inner) => value(&inner.kind(), item)?,
            None => return Err(no(field.kind(), data_type)),
        },
        (Many::One, data_type) => value(&field.kind(), data_type)?,
        _ => return Err(no(field.kind(), data_type)),
    };
    Ok(Member {
        name: name.to_owned(),
        column,
        data_type: data_type.clone(),
        number: field.number(),
        many,
        presence: field.supports_presence(),
        value,
    })
}

fn value(kind: &Kind, from: &DataType) -> Result<Value, Wrong> {
    Ok(match (kind, from) {
        (Kind::Bool, DataType::Boolean) => Value::Bool,
        (Kind::Int32, DataType::Int) => Value::Int(Whole::Plain),
        (Kind::Sint32, DataType::Int) => Value::Int(Whole::Zigzag),
        (Kind::Sfixed32, DataType::Int) => Value::Int(Whole::Fixed32),
        (Kind::Int64 | Kind::Uint32, DataType::BigInt) => Value::Long(Whole::Plain),
        (Kind::Sint64, DataType::BigInt) => Value::Long(Whole::Zigzag),
        (Kind::Sfixed64, DataType::BigInt) => Value::Long(Whole::Fixed64),
        (Kind::Fixed32, DataType::BigInt) => Value::Long(Whole::Fixed32),
        (Kind::Uint64, DataType::Decimal { scale: 0, .. }) => Value::Unsigned { fixed: false },
        (Kind::Fixed64, DataType::Decimal { scale: 0, .. }) => Value::Unsigned { fixed: true },
        (Kind::Float, DataType::Float) => Value::Float,
        (Kind::Double, DataType::Double) => Value::Double,
        (Kind::String, DataType::String) => Value::Text,
        (Kind::Bytes, DataType::Bytes) => Value::Bytes,
        (Kind::String, from) if is_written(from) => Value::Written(JsonValue::new("", from)),
        (Kind::Enum(values), DataType::String) => Value::Enum(
            values
                .values()
                .map(|value| (value.name().to_owned(), value.number()))
                .collect(),
        ),
        (Kind::Message(message), from) => match (known(message), from) {
            (Known::Timestamp, DataType::TimestampLtz(_)) => Value::Timestamp,
            (Known::Wrapper, from)
            | (Known::Items, from @ (DataType::Array(_) | DataType::Map(_))) => {
                match message.get_field(1) {
                    Some(field) => Value::Wrapper(Box::new(member(&field, "", 0, from)?)),
                    None => return Err(no(kind.clone(), from)),
                }
            }
            (_, DataType::Struct(columns)) => Value::Struct(
                members(message, columns).map_err(|(path, why)| (format!(".{path}"), why))?,
            ),
            _ => return Err(no(kind.clone(), from)),
        },
        _ => return Err(no(kind.clone(), from)),
    })
}

fn no(kind: Kind, from: &DataType) -> Wrong {
    let kind = format!("{kind:?}").to_lowercase();
    (
        String::new(),
        format!("is {from} in the contract, and {kind} in the definition"),
    )
}

fn write_message(
    members: &[Member],
    columns: &[arrow::array::ArrayRef],
    row: usize,
    out: &mut Vec<u8>,
    scratch: &mut Vec<u8>,
) -> Result<(), Refused> {
    for member in members {
        columns
            .get(member.column)
            .ok_or_else(|| Refused::contract("the batch has no such column"))
            .and_then(|column| member.write(column, row, out, scratch))
            .map_err(|refused| refused.field(&member.name))?;
    }
    Ok(())
}

/// What was appended to `out` since `begin`, with its length before it.
fn prefixed(begin: usize, out: &mut Vec<u8>) {
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
        let packed = self.value.wire() != LENGTH;
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
                self.tag(LENGTH, out);
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
            put_varint(1 << 3 | u64::from(LENGTH), out);
            put_varint(key.len() as u64, out);
            out.extend_from_slice(key);
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

impl Value {
    fn wire(&self) -> u8 {
        match self {
            Value::Bool | Value::Enum(_) | Value::Unsigned { fixed: false } => VARINT,
            Value::Int(whole) | Value::Long(whole) => whole.wire(),
            Value::Float => FIXED32,
            Value::Double | Value::Unsigned { fixed: true } => FIXED64,
            Value::Text
            | Value::Bytes
            | Value::Written(_)
            | Value::Timestamp
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
                let unit = per_second(digits);
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
