//! A contract as an Avro schema, and an Avro schema as the fields of a contract.
//!
//! A record's elements and values may be null in SQL, so arrays and maps are written with `["null", T]`. A time stamp
//! of whole seconds is written in milliseconds, as Avro has nothing coarser.

pub mod defaults;
mod fields;
mod fingerprint;
mod parse;
mod references;
mod schema;
mod strict;
#[cfg(test)]
mod tests;
pub mod union;

use std::fmt::Write as _;

use headworks_plan::{Contract, Definition};
use headworks_sql::types::{DataType, StructField};

pub use fields::{sql_type, to_fields};
pub use fingerprint::MARKER;
pub use schema::{Avro, Id, Kind, Logical, Node, RecordField};

use crate::error::SchemaError;
use crate::{names, sql};

/// The contract as an Avro schema. The record gets its name of `name`: `my-shop.order-items` is the record
/// `OrderItems` in the namespace `my_shop`.
///
/// # Errors
/// The contract is none, or has a field whose name Avro doesn't take.
pub fn from_contract(contract: &Contract, name: &str) -> Result<Definition, SchemaError> {
    let fields = sql::fields(contract)?;
    let (namespace, record) = names::full(name);
    let mut writer = Writer {
        taken: vec![record.clone()],
        path: Vec::new(),
    };
    let mut out = format!("{{\"type\":\"record\",\"name\":\"{record}\"");
    if let Some(namespace) = namespace {
        let _ = write!(out, ",\"namespace\":\"{namespace}\"");
    }
    out.push_str(",\"fields\":[");
    for (i, field) in fields.iter().enumerate() {
        out.push_str(if i > 0 { ",\n  " } else { "\n  " });
        writer.field(field, &record, &mut out)?;
    }
    out.push_str("\n]}");
    Ok(Definition::new(out))
}

struct Writer {
    /// Names of records; each is declared once.
    taken: Vec<String>,
    path: Vec<String>,
}

impl Writer {
    fn field(
        &mut self,
        field: &StructField,
        parent: &str,
        out: &mut String,
    ) -> Result<(), SchemaError> {
        self.path.push(field.name.clone());
        names::field(&field.name, &self.path, "Avro")?;
        let _ = write!(out, "{{\"name\":\"{}\",\"type\":", field.name);
        let record = format!("{parent}_{}", field.name);
        if field.nullable {
            self.nullable(&field.data_type, &record, out)?;
            out.push_str(",\"default\":null}");
        } else {
            self.type_(&field.data_type, &record, out)?;
            out.push('}');
        }
        self.path.pop();
        Ok(())
    }

    fn nullable(
        &mut self,
        data_type: &DataType,
        record: &str,
        out: &mut String,
    ) -> Result<(), SchemaError> {
        out.push_str("[\"null\",");
        self.type_(data_type, record, out)?;
        out.push(']');
        Ok(())
    }

    fn type_(
        &mut self,
        data_type: &DataType,
        record: &str,
        out: &mut String,
    ) -> Result<(), SchemaError> {
        let (kind, logical) = match data_type {
            DataType::Boolean => ("boolean", ""),
            DataType::Int => ("int", ""),
            DataType::BigInt => ("long", ""),
            DataType::Float => ("float", ""),
            DataType::Double => ("double", ""),
            DataType::String => ("string", ""),
            DataType::Bytes => ("bytes", ""),
            DataType::Date => ("int", "date"),
            DataType::Time => ("long", "time-micros"),
            DataType::Timestamp(6) => ("long", "local-timestamp-micros"),
            DataType::Timestamp(_) => ("long", "local-timestamp-millis"),
            DataType::TimestampLtz(6) => ("long", "timestamp-micros"),
            DataType::TimestampLtz(_) => ("long", "timestamp-millis"),
            DataType::Decimal { precision, scale } => {
                let _ = write!(
                    out,
                    "{{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":{precision},\"scale\":{scale}}}"
                );
                return Ok(());
            }
            DataType::Array(item) => {
                out.push_str("{\"type\":\"array\",\"items\":");
                self.nullable(item, record, out)?;
                out.push('}');
                return Ok(());
            }
            DataType::Map(value) => {
                out.push_str("{\"type\":\"map\",\"values\":");
                self.nullable(value, record, out)?;
                out.push('}');
                return Ok(());
            }
            DataType::Struct(fields) => {
                let taken = &self.taken;
                let name = names::distinct(record, |n| taken.iter().any(|taken| taken == n));
                self.taken.push(name.clone());
                let _ = write!(
                    out,
                    "{{\"type\":\"record\",\"name\":\"{name}\",\"fields\":["
                );
                for (i, field) in fields.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    self.field(field, &name, out)?;
                }
                out.push_str("]}");
                return Ok(());
            }
        };
        if logical.is_empty() {
            let _ = write!(out, "\"{kind}\"");
        } else {
            let _ = write!(out, "{{\"type\":\"{kind}\",\"logicalType\":\"{logical}\"}}");
        }
        Ok(())
    }
}

/// A JSON string.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
