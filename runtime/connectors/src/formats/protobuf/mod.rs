//! Protobuf records: decoded straight into Arrow columns, and written by the contract's definition.
//!
//! With a registry a record is in Confluent's wire format: a zero byte, the schema's id as four bytes (big end first),
//! and which message of the file it is, by its indexes. Without one it is the bare message. Fields are found by their
//! numbers ([`compile`]), unknown ones are passed over, nothing is allocated for a record, and a record that is
//! refused leaves no trace in the columns.

mod compile;
mod decode;
mod dynamic;
mod encode;
mod key;
mod many;
mod read;
#[cfg(test)]
mod tests;
mod wire;
mod write;

use headworks_engine::format::FormatError;
use headworks_plan::Contract;
use headworks_schema::protobuf;
use prost_reflect::MessageDescriptor;

pub use decode::ProtobufDecoder;
pub use encode::ProtobufEncoder;

#[cfg(test)]
pub(in crate::formats) use wire::put_varint;

/// The first byte of Confluent's wire format.
const MAGIC: u8 = 0;

/// The message of the contract's definition; one that has none (as in tests of a query) is said in Protobuf here.
fn definition(contract: &Contract) -> Result<MessageDescriptor, FormatError> {
    let made;
    let definition = if let Some(definition) = &contract.definition {
        definition
    } else {
        made = protobuf::from_contract(contract, "record", None).map_err(refused)?;
        &made
    };
    let file = protobuf::parse(definition).map_err(refused)?;
    protobuf::message(&file, definition.message.as_deref()).map_err(refused)
}

fn refused(error: headworks_schema::SchemaError) -> FormatError {
    FormatError::Value {
        field: String::new(),
        message: format!("the contract's Protobuf definition: {error}"),
    }
}

/// Which message of its file this is: the index among the file's, then of each nested one in its parent's.
fn indexes(message: &MessageDescriptor) -> Vec<i32> {
    // The path of descriptors alternates field numbers of FileDescriptorProto and DescriptorProto with indexes.
    message.path().iter().skip(1).step_by(2).copied().collect()
}
