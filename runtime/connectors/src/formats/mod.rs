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
        }
    }

    fn encoder(&self, contract: &Contract) -> Result<Box<dyn Encoder>, FormatError> {
        match contract.format {
            Format::Json => Ok(Box::new(json::JsonEncoder::new(contract)?)),
        }
    }
}
