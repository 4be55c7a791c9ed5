//! Avro records: decoded straight into Arrow columns, and written by the contract's definition.
//!
//! A record says which schema it was written with: by the registry's id (Confluent's wire format: a zero byte, the id
//! as four bytes, big end first), or without a registry by the schema's fingerprint (Avro's single-object encoding).
//! For each such schema a program is made once, of steps that skip a field or read it into its column
//! ([`compile`]); a batch may hold records of several. Nothing is allocated for a record, and a record that is
//! refused leaves no trace in the columns.

mod compile;
mod cursor;
mod decode;
mod encode;
mod read;
mod skip;
#[cfg(test)]
mod tests;
mod union;
mod write;

use headworks_engine::format::FormatError;
use headworks_plan::Contract;
use headworks_schema::avro::{self, Avro, MARKER};
use headworks_sql::types::StructField;

pub use decode::AvroDecoder;
pub use encode::AvroEncoder;

/// The first byte of Confluent's wire format.
const MAGIC: u8 = 0;

/// The contract's definition; one that has none (as in tests of a query) is said in Avro here.
fn definition(contract: &Contract) -> Result<Avro, FormatError> {
    match &contract.definition {
        Some(definition) => Avro::parse(definition),
        None => {
            avro::from_contract(contract, "record").and_then(|definition| Avro::parse(&definition))
        }
    }
    .map_err(refused)
}

fn refused(error: headworks_schema::SchemaError) -> FormatError {
    FormatError::Value {
        field: String::new(),
        message: format!("the contract's Avro definition: {error}"),
    }
}

fn columns(contract: &Contract) -> Result<Vec<StructField>, FormatError> {
    super::columns(contract)
}

/// What stands before every record of the contract.
fn head(contract: &Contract, definition: &Avro) -> Vec<u8> {
    if let Some(registered) = &contract.registered {
        let mut head = vec![MAGIC];
        head.extend_from_slice(&registered.id.to_be_bytes());
        head
    } else {
        let mut head = MARKER.to_vec();
        head.extend_from_slice(&definition.fingerprint().to_le_bytes());
        head
    }
}
