//! The encoder: rows of a batch to Avro records, by the contract's definition.

use std::collections::HashMap;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type,
    Time64MicrosecondType,
};
use headworks_engine::format::{Encoder, FormatError};
use headworks_plan::Contract;
use headworks_schema::avro::defaults::{self, long, prefixed};
use headworks_schema::avro::{Avro, Id, Kind, Logical, sql_type};
use headworks_sql::types::{DataType, StructField};

use super::super::arrays::{point, range, typed};
use super::super::json::JsonEncoder;
use super::super::refused::Refused;
use super::super::values::per_second;
use super::compile::without_null;
use super::{columns, definition};

/// Writes rows as Avro records: in single-object encoding, or behind the registry's id.
pub struct AvroEncoder {
    head: Vec<u8>,
    record: Vec<Member>,
    keys: JsonEncoder,
}

struct Member {
    name: String,
    write: Write,
}

/// How a value is written.
enum Write {
    /// The column, and how its values are written.
    Column(usize, DataType, Value),
    /// A field of the definition that the contract doesn't have: always the same.
    Fixed(Vec<u8>),
}

/// Of one type.
enum Value {
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Decimal(Option<usize>),
    Text,
    /// Text that is a UUID.
    UuidText,
    Bytes(Option<usize>),
    Enum(HashMap<String, i64>),
    Uuid,
    Date,
    TimeMillis,
    TimeMicros,
    Point(u32),
    Array(Box<Value>, DataType),
    Map(Box<Value>, DataType),
    Record(Vec<Member>),
    /// A union with null: the branches' indexes.
    Optional {
        null: i64,
        some: i64,
        value: Box<Value>,
    },
}

impl AvroEncoder {
    /// An encoder for batches with the contract's whole schema.
    ///
    /// # Errors
    /// The contract is no contract, or its definition isn't of it.
    pub fn new(contract: &Contract) -> Result<AvroEncoder, FormatError> {
        let avro = definition(contract)?;
        let record = record(&avro, avro.root(), &columns(contract)?)
            .map_err(|(field, message)| FormatError::Value { field, message })?;
        Ok(AvroEncoder {
            head: super::head(contract, &avro),
            record,
            keys: JsonEncoder::new(contract)?,
        })
    }
}

impl Encoder for AvroEncoder {
    fn encode(
        &mut self,
        batch: &RecordBatch,
        row: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), FormatError> {
        out.extend_from_slice(&self.head);
        Ok(write_record(&self.record, batch.columns(), row, out)?)
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

fn record(avro: &Avro, id: Id, columns: &[StructField]) -> Result<Vec<Member>, (String, String)> {
    let Kind::Record { fields, .. } = &avro.node(id).kind else {
        return Err((
            String::new(),
            "the definition has no record here".to_owned(),
        ));
    };
    let mut members = Vec::with_capacity(fields.len());
    for field in fields {
        let column = columns.iter().position(|column| column.name == field.name);
        let write = if let Some(at) = column {
            let data_type = &columns[at].data_type;
            let value = value(avro, field.node, data_type)
                .map_err(|(path, why)| (format!("{}{path}", field.name), why))?;
            Write::Column(at, data_type.clone(), value)
        } else {
            let default = field.default.as_ref();
            let bytes = default.and_then(|value| defaults::encoded(avro, field.node, value));
            Write::Fixed(bytes.ok_or_else(|| {
                (
                    field.name.clone(),
                    "the definition has it without a default, and the contract doesn't have it"
                        .to_owned(),
                )
            })?)
        };
        members.push(Member {
            name: field.name.clone(),
            write,
        });
    }
    let lacks = columns
        .iter()
        .find(|c| !fields.iter().any(|f| f.name == c.name));
    match lacks {
        None => Ok(members),
        Some(column) => Err((
            column.name.clone(),
            "the definition doesn't have it".to_owned(),
        )),
    }
}

fn value(avro: &Avro, id: Id, from: &DataType) -> Result<Value, (String, String)> {
    let node = avro.node(id);
    if let Kind::Union(branches) = &node.kind {
        let only = without_null(avro, id);
        let at = |wanted: Id| branches.iter().position(|branch| *branch == wanted);
        let null = branches
            .iter()
            .position(|branch| matches!(avro.node(*branch).kind, Kind::Null));
        return match (at(only), null) {
            (Some(some), Some(null)) => Ok(Value::Optional {
                null: null as i64,
                some: some as i64,
                value: Box::new(value(avro, only, from)?),
            }),
            // One branch, which is never null: the union's index, and nothing is null.
            (Some(some), None) => Ok(Value::Optional {
                null: -1,
                some: some as i64,
                value: Box::new(value(avro, only, from)?),
            }),
            _ => Err((String::new(), "is a union of several types".to_owned())),
        };
    }
    let within = |(path, why): (String, String)| (format!("[]{path}"), why);
    Ok(match (&node.kind, node.logical, from) {
        (Kind::Boolean, _, DataType::Boolean) => Value::Boolean,
        (Kind::Int, Logical::Date, DataType::Date) => Value::Date,
        (Kind::Int, Logical::TimeMillis, DataType::Time) => Value::TimeMillis,
        (Kind::Int, _, DataType::Int) => Value::Int,
        (Kind::Long, Logical::TimeMicros, DataType::Time) => Value::TimeMicros,
        (Kind::Long, Logical::Timestamp(unit), DataType::TimestampLtz(_))
        | (Kind::Long, Logical::LocalTimestamp(unit), DataType::Timestamp(_)) => Value::Point(unit),
        (Kind::Long, _, DataType::BigInt) => Value::Long,
        (Kind::Float, _, DataType::Float) => Value::Float,
        (Kind::Double, _, DataType::Double) => Value::Double,
        (Kind::Bytes, Logical::Decimal { scale, .. }, DataType::Decimal { scale: own, .. })
            if scale == u32::from(*own) =>
        {
            Value::Decimal(None)
        }
        (
            Kind::Fixed { size, .. },
            Logical::Decimal { scale, .. },
            DataType::Decimal { scale: own, .. },
        ) if scale == u32::from(*own) => Value::Decimal(Some(*size)),
        (Kind::String, Logical::Uuid, DataType::String) => Value::UuidText,
        (Kind::String, _, DataType::String) => Value::Text,
        (Kind::Enum { symbols, .. }, _, DataType::String) => Value::Enum(
            symbols
                .iter()
                .enumerate()
                .map(|(index, symbol)| (symbol.clone(), index as i64))
                .collect(),
        ),
        (Kind::Fixed { .. }, Logical::Uuid, DataType::String) => Value::Uuid,
        (Kind::Bytes, _, DataType::Bytes) => Value::Bytes(None),
        (Kind::Fixed { size, .. }, _, DataType::Bytes) => Value::Bytes(Some(*size)),
        (Kind::Array(item), _, DataType::Array(from)) => Value::Array(
            Box::new(value(avro, *item, from).map_err(within)?),
            DataType::clone(from),
        ),
        (Kind::Map(inner), _, DataType::Map(from)) => Value::Map(
            Box::new(value(avro, *inner, from).map_err(within)?),
            DataType::clone(from),
        ),
        (Kind::Record { .. }, _, DataType::Struct(fields)) => Value::Record(
            record(avro, id, fields).map_err(|(path, why)| (format!(".{path}"), why))?,
        ),
        _ => {
            let other = sql_type(avro, id).map_or_else(
                |_| "no column's type".to_owned(),
                |(data_type, _)| data_type.to_string(),
            );
            return Err((
                String::new(),
                format!("is {from} in the contract, and {other} in the definition"),
            ));
        }
    })
}

fn write_record(
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

fn write(
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
    if array.is_null(row) {
        return Err(Refused::contract(format!(
            "is null; {data_type} is required by the definition"
        )));
    }
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
        Value::Point(unit) => {
            let (value, digits) = point(data_type, array, row)?;
            let (unit, own) = (i64::from(*unit), per_second(digits));
            let scaled = if unit >= own {
                value.checked_mul(unit / own)
            } else {
                Some(value.div_euclid(own / unit))
            };
            long(
                scaled.ok_or_else(|| {
                    Refused::contract("is too far away for the definition's unit")
                })?,
                out,
            );
        }
        Value::Array(item, inner) => {
            let list = typed(array.as_list_opt::<i32>(), data_type, array)?;
            let range = range(list.value_offsets(), row);
            if !range.is_empty() {
                long(range.len() as i64, out);
                for (index, at) in range.enumerate() {
                    write(item, inner, list.values(), at, out)
                        .map_err(|refused| refused.index(index))?;
                }
            }
            out.push(0);
        }
        Value::Map(item, inner) => {
            let map = typed(array.as_map_opt(), data_type, array)?;
            let keys = typed(map.keys().as_string_opt::<i32>(), data_type, array)?;
            let range = range(map.value_offsets(), row);
            if !range.is_empty() {
                long(range.len() as i64, out);
                for at in range {
                    let key = keys.value(at).as_bytes();
                    prefixed(key, out);
                    write(item, inner, map.values(), at, out)
                        .map_err(|refused| refused.key(key))?;
                }
            }
            out.push(0);
        }
        Value::Record(members) => {
            let object = typed(array.as_struct_opt(), data_type, array)?;
            write_record(members, object.columns(), row, out)?;
        }
        Value::Optional { .. } => {}
    }
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
