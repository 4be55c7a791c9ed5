//! Contracts in the words of Avro, Protobuf and JSON Schema, and the registry that keeps them.
//!
//! A contract is SQL's: fields with types. Here it is said as an Avro schema ([`avro`]), a Protobuf file
//! ([`protobuf`]) or a JSON Schema ([`json_schema`]), and an Avro or Protobuf text that somebody wrote is read into
//! the fields of a contract. Both ways are pure. `docs/formats.md` has the table of types.
//!
//! [`registry`] is a client of the API that Confluent's registry, Apicurio and Karapace share. Nothing else here
//! waits for anything.

pub mod avro;
#[cfg(test)]
mod corpus;
mod error;
pub mod json_schema;
mod limits;
mod names;
pub mod needs;
pub mod protobuf;
pub mod registry;
mod sql;
mod text;

pub use error::SchemaError;
pub use limits::{MAX_COLUMNS, MAX_DEPTH, MAX_FIELDS, MAX_REFERENCES, MAX_TEXT};
pub use text::SchemaText;

use headworks_plan::Definition;

/// The full name of the record or message that the definition says a record is, such as `shop.Order`: what the
/// subject strategies RecordName and TopicRecordName go by.
///
/// # Errors
/// The text is no Avro schema of a record.
pub fn record_name(definition: &Definition) -> Result<String, SchemaError> {
    match &definition.message {
        Some(message) => Ok(message.clone()),
        None => avro::Avro::parse(definition)?.record_name(),
    }
}
