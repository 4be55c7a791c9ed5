//! Wire formats. One folder each.

use headworks_engine::format::{Decoder, Encoder, FormatError, Formats};
use headworks_plan::{Contract, Format};

pub mod json;

/// Every format that this binary knows, chosen by the contract's `format`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known;

impl Formats for Known {
    fn decoder(
        &self,
        contract: &Contract,
        columns: &[String],
    ) -> Result<Box<dyn Decoder>, FormatError> {
        match contract.format {
            Format::Json => Ok(Box::new(json::JsonDecoder::pruned(contract, columns)?)),
            Format::Avro | Format::Protobuf => Err(unknown(contract.format)),
        }
    }

    fn encoder(&self, contract: &Contract) -> Result<Box<dyn Encoder>, FormatError> {
        match contract.format {
            Format::Json => Ok(Box::new(json::JsonEncoder::new(contract)?)),
            Format::Avro | Format::Protobuf => Err(unknown(contract.format)),
        }
    }
}

fn unknown(format: Format) -> FormatError {
    FormatError::Value {
        field: String::new(),
        message: format!("this version doesn't read or write {format:?} records"),
    }
}
