//! The encoder: rows of a batch to Avro records, by the contract's definition.

use std::collections::HashMap;

use arrow::array::RecordBatch;
use headworks_engine::format::{Encoder, FormatError};
use headworks_plan::Contract;
use headworks_schema::avro::defaults;
use headworks_schema::avro::{Avro, Id, Kind, Logical, sql_type};
use headworks_sql::types::{DataType, StructField};

use super::super::json::JsonEncoder;
use super::compile::without_null;
use super::union::{Choice, choice};
use super::write::write_record;
use super::{columns, definition};

/// Writes rows as Avro records: in single-object encoding, or behind the registry's id.
pub struct AvroEncoder {
    head: Vec<u8>,
    record: Vec<Member>,
    keys: JsonEncoder,
}

pub(super) struct Member {
    pub(super) name: String,
    pub(super) write: Write,
}

/// How a value is written.
pub(super) enum Write {
    /// The column, and how its values are written.
    Column(usize, DataType, Value),
    /// A field of the definition that the contract doesn't have: always the same.
    Fixed(Vec<u8>),
}

/// Of one type.
pub(super) enum Value {
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
    /// A union of several types.
    Choice(Choice),
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

pub(super) fn value(avro: &Avro, id: Id, from: &DataType) -> Result<Value, (String, String)> {
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
            _ => choice(avro, id, from).map(Value::Choice),
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
