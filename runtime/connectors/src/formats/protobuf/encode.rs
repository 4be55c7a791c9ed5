//! The encoder: rows of a batch to Protobuf messages, by the contract's definition.
//!
//! As proto3 has it, a field that isn't `optional` and has its type's default isn't written. A list or map that is null
//! is an empty one; null within them can't be said and is refused.

use std::collections::HashMap;

use arrow::array::RecordBatch;
use headworks_engine::format::{Encoder, FormatError};
use headworks_plan::Contract;
use headworks_schema::protobuf::{Known, is_packed, known};
use headworks_sql::types::{DataType, StructField};
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

use super::super::json::{JsonEncoder, JsonValue};
use super::super::values::is_written;
use super::compile::{Many, shape, values_of};
use super::decode::head;
use super::definition;
use super::dynamic::Json;
use super::key::Key;
use super::write::write_message;

/// Writes rows as Protobuf messages: bare, or behind the registry's id.
pub struct ProtobufEncoder {
    head: Vec<u8>,
    members: Vec<Member>,
    keys: JsonEncoder,
    /// For what is written as text, and packed lists.
    scratch: Vec<u8>,
}

/// A field, and the column of the same place in the contract.
pub(super) struct Member {
    pub name: String,
    pub column: usize,
    pub data_type: DataType,
    pub number: u32,
    pub many: Many,
    /// How a map's keys are written.
    pub key: Key,
    /// True: null is said by leaving it out, and every value is written.
    pub presence: bool,
    /// True: a list of numbers, booleans or an enum is written without a tag for each.
    pub packed: bool,
    /// Which of the message's oneofs it is in.
    pub oneof: Option<String>,
    pub value: Value,
}

pub(super) enum Value {
    Bool,
    /// Of 32 bits as int32, sint32, …
    Int(Whole),
    /// Of 64 bits.
    Long(Whole),
    /// `uint32` or `fixed32`, of a bigint.
    Uint32 {
        fixed: bool,
    },
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
    /// A message without fields.
    Present,
    /// JSON text.
    Json(Json),
    Wrapper(Box<Member>),
    Struct(Vec<Member>),
}

#[derive(Clone, Copy)]
pub(super) enum Whole {
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
    let mut key = Key::Text;
    let value = match (many, data_type) {
        (Many::List, DataType::Array(item)) => value(&field.kind(), item)?,
        (Many::Map, DataType::Map(item)) => match values_of(field) {
            Some((keys, inner)) => {
                key = keys;
                value(&inner.kind(), item)?
            }
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
        key,
        presence: field.supports_presence(),
        packed: is_packed(field),
        oneof: field
            .containing_oneof()
            .filter(|oneof| !oneof.is_synthetic())
            .map(|oneof| oneof.name().to_owned()),
        value,
    })
}

fn value(kind: &Kind, from: &DataType) -> Result<Value, Wrong> {
    Ok(match (kind, from) {
        (Kind::Bool, DataType::Boolean) => Value::Bool,
        (Kind::Int32, DataType::Int) => Value::Int(Whole::Plain),
        (Kind::Sint32, DataType::Int) => Value::Int(Whole::Zigzag),
        (Kind::Sfixed32, DataType::Int) => Value::Int(Whole::Fixed32),
        (Kind::Int64, DataType::BigInt) => Value::Long(Whole::Plain),
        (Kind::Sint64, DataType::BigInt) => Value::Long(Whole::Zigzag),
        (Kind::Sfixed64, DataType::BigInt) => Value::Long(Whole::Fixed64),
        (Kind::Uint32, DataType::BigInt) => Value::Uint32 { fixed: false },
        (Kind::Fixed32, DataType::BigInt) => Value::Uint32 { fixed: true },
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
            (Known::Empty, DataType::Boolean) => Value::Present,
            (it @ (Known::Struct | Known::Value | Known::List), from) => {
                match (Json::of(it), from) {
                    (Some(json), DataType::String) => Value::Json(json),
                    _ => return Err(no(kind.clone(), from)),
                }
            }
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
