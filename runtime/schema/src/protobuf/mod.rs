//! A contract as a Protobuf file (proto3), and a Protobuf message as the fields of a contract.
//!
//! A field that may be null is `optional`. Instants are `google.protobuf.Timestamp`. What Protobuf has no type for
//! (decimals, dates, times, time stamps without zone) is a string, written as in JSON: any client can read it without
//! another file to import, and no digit is lost. Lists and maps can't be null in Protobuf, nor hold null, nor stand
//! directly in each other: between them goes a message with the one field `items`.
//!
//! Field numbers are what records are read by, so they never change their meaning: [`from_contract`] keeps those of
//! the definition before, and reserves those of fields that went.

mod fields;
mod file;
mod numbers;
mod strict;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use headworks_plan::{Contract, Definition};
use headworks_sql::types::{DataType, StructField};
use prost_reflect::MessageDescriptor;

pub use fields::{Known, is_packed, known, nullable, scalar, to_fields};
pub use file::{message, parse};
pub use strict::parse_strictly;

use crate::error::SchemaError;
use crate::{names, sql};
use numbers::{MESSAGE, Many, Numbers, Shape};

/// The field of a message that stands for a list or map.
pub(crate) const ITEMS: &str = "items";
const TIMESTAMP: &str = "google.protobuf.Timestamp";

/// The contract as a Protobuf file. The message gets its name of `name`: `my-shop.order-items` is the message
/// `OrderItems` in the package `my_shop`. `previous` is the definition before this one, if there was one.
///
/// # Errors
/// The contract is none, or has a field whose name Protobuf doesn't take; `previous` can't be read.
pub fn from_contract(
    contract: &Contract,
    name: &str,
    previous: Option<&Definition>,
) -> Result<Definition, SchemaError> {
    let fields = sql::fields(contract)?;
    let (package, record) = names::full(name);
    let before = previous
        .map(|definition| {
            let file = parse(definition)?;
            message(&file, definition.message.as_deref())
        })
        .transpose()?;
    let mut path = Vec::new();
    let mut body = String::new();
    write_message(&record, &fields, before.as_ref(), 0, &mut path, &mut body)?;
    let mut out = "syntax = \"proto3\";\n".to_owned();
    if let Some(package) = &package {
        let _ = write!(out, "\npackage {package};\n");
    }
    if body.contains(TIMESTAMP) {
        out.push_str("\nimport \"google/protobuf/timestamp.proto\";\n");
    }
    out.push('\n');
    out.push_str(&body);
    let message = package.map_or(record.clone(), |package| format!("{package}.{record}"));
    // Rules between fields, such as names that differ only in how JSON would write them.
    parse(&out)?;
    Ok(Definition::of_message(out, message))
}

/// A single value: a scalar's word, or the fields of a message.
enum Single {
    Word(&'static str),
    Message(Vec<StructField>),
}

fn single(data_type: &DataType) -> Single {
    Single::Word(match data_type {
        DataType::Boolean => "bool",
        DataType::Int => "int32",
        DataType::BigInt => "int64",
        DataType::Float => "float",
        DataType::Double => "double",
        DataType::Bytes => "bytes",
        DataType::TimestampLtz(_) => TIMESTAMP,
        DataType::String
        | DataType::Decimal { .. }
        | DataType::Date
        | DataType::Time
        | DataType::Timestamp(_) => "string",
        DataType::Struct(fields) => return Single::Message(fields.clone()),
        DataType::Array(_) | DataType::Map(_) => {
            return Single::Message(vec![StructField {
                name: ITEMS.to_owned(),
                data_type: data_type.clone(),
                nullable: false,
            }]);
        }
    })
}

fn write_message(
    name: &str,
    fields: &[StructField],
    before: Option<&MessageDescriptor>,
    depth: usize,
    path: &mut Vec<String>,
    out: &mut String,
) -> Result<(), SchemaError> {
    let indent = "  ".repeat(depth);
    let _ = writeln!(out, "{indent}message {name} {{");
    let mut numbers = Numbers::of(before);
    let mut lines = String::new();
    let mut nested: Vec<String> = Vec::new();
    for field in fields {
        path.push(field.name.clone());
        names::field(&field.name, path, "Protobuf")?;
        let (many, value) = match &field.data_type {
            DataType::Array(item) => (Many::List, single(item)),
            DataType::Map(value) => (Many::Map, single(value)),
            other => (Many::One, single(other)),
        };
        let shape = match &value {
            Single::Word(word) => Shape::new(many, word),
            Single::Message(_) => Shape::new(many, MESSAGE),
        };
        let (number, before) = numbers.of_field(&field.name, &shape, path)?;
        let word = match value {
            Single::Word(word) => word.to_owned(),
            Single::Message(fields) => {
                let inner = names::distinct(&names::pascal(&field.name), |n| {
                    n == name || nested.iter().any(|taken| taken == n)
                });
                nested.push(inner.clone());
                write_message(&inner, &fields, before.as_ref(), depth + 1, path, out)?;
                inner
            }
        };
        let type_ = match many {
            Many::List => format!("repeated {word}"),
            Many::Map => format!("map<string, {word}>"),
            Many::One if field.nullable => format!("optional {word}"),
            Many::One => word,
        };
        let _ = writeln!(lines, "{indent}  {type_} {} = {number};", field.name);
        path.pop();
    }
    out.push_str(&numbers.reserved(&indent));
    let _ = writeln!(out, "{lines}{indent}}}");
    Ok(())
}
