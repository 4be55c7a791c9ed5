//! Wire formats. One folder each.

use std::sync::Arc;

use headworks_engine::format::{Decoder, Encoder, FormatError, Formats};
use headworks_plan::{Contract, Format, RegistryConnection};
use headworks_sql::types::StructField;

mod arrays;
pub mod avro;
#[cfg(test)]
mod corpus;
mod frame;
pub mod json;
mod letters;
mod local;
pub mod protobuf;
#[cfg(test)]
mod references;
mod refused;
mod schemas;
#[cfg(test)]
mod shapes;
mod values;

pub use letters::DeadLetterFormats;
pub use local::AsJson;
use schemas::Schemas;

/// Every format that this binary knows, chosen by the contract's `format`.
#[derive(Clone, Debug, Default)]
pub struct FormatRegistry {
    schemas: Arc<Schemas>,
}

impl FormatRegistry {
    /// The formats of a process that may ask this registry for schemas that its plan doesn't hold.
    pub fn with(registry: Option<&RegistryConnection>) -> FormatRegistry {
        FormatRegistry {
            schemas: Arc::new(Schemas::new(registry)),
        }
    }
}

impl Formats for FormatRegistry {
    fn decoder(
        &self,
        contract: &Contract,
        columns: &[String],
    ) -> Result<Box<dyn Decoder>, FormatError> {
        let schemas = Arc::clone(&self.schemas);
        Ok(match contract.format {
            Format::Json => Box::new(json::JsonDecoder::pruned(contract, columns)?),
            Format::Avro => Box::new(avro::AvroDecoder::pruned(contract, columns, schemas)?),
            Format::Protobuf => Box::new(protobuf::ProtobufDecoder::pruned(
                contract, columns, schemas,
            )?),
        })
    }

    /// Whatever the format, a key is JSON's.
    fn keys(&self, contract: &Contract) -> Result<Box<dyn Decoder>, FormatError> {
        Ok(Box::new(json::KeyDecoder::new(contract)?))
    }

    fn encoder(&self, contract: &Contract) -> Result<Box<dyn Encoder>, FormatError> {
        encoder(contract)
    }
}

/// An encoder for batches that have the contract's whole schema. It needs no registry: the plan has the id.
pub(crate) fn encoder(contract: &Contract) -> Result<Box<dyn Encoder>, FormatError> {
    Ok(match contract.format {
        Format::Json => Box::new(json::JsonEncoder::new(contract)?),
        Format::Avro => Box::new(avro::AvroEncoder::new(contract)?),
        Format::Protobuf => Box::new(protobuf::ProtobufEncoder::new(contract)?),
    })
}

/// The contract's fields with their types.
fn columns(contract: &Contract) -> Result<Vec<StructField>, FormatError> {
    let columns = json::schema(contract)?.columns.into_iter();
    let fields = columns.map(|column| StructField {
        name: column.name,
        data_type: column.data_type,
        nullable: column.nullable,
    });
    Ok(fields.collect())
}

/// Those of `columns` that are wanted, in the order in which they are wanted.
fn pruned(columns: &[StructField], wanted: &[String]) -> Result<Vec<StructField>, FormatError> {
    let find = |name: &String| {
        let found = columns.iter().find(|column| column.name == *name);
        found.cloned().ok_or_else(|| FormatError::Value {
            field: name.clone(),
            message: "the contract has no such field".to_owned(),
        })
    };
    wanted.iter().map(find).collect()
}
