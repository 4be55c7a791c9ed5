//! Rows of a stream one after another, each as the members that it is shown with; decoded many at a time.

use headworks_connectors::formats::FormatRegistry;
use headworks_connectors::formats::json::JsonEncoder;
use headworks_engine::format::{DecodeError, Decoder, Encoder, FormatError, Formats};
use headworks_plan::{PeekPlan, Reason};
use serde_json::value::RawValue;

use super::members::Members;
use crate::peek::Failure;

/// See the module.
pub(in crate::peek) struct Rows {
    decoder: Box<dyn Decoder>,
    encoder: JsonEncoder,
}

/// A row's values by the contract's top-level fields.
pub(in crate::peek) struct Values(Members);

impl Values {
    /// As JSON.
    pub(in crate::peek) fn get(&self, name: &str) -> Option<&RawValue> {
        let mut members = self.0.0.iter();
        members
            .find(|(given, _)| given == name)
            .map(|(_, value)| &**value)
    }
}

impl Rows {
    /// Of the plan's stream.
    ///
    /// # Errors
    /// The contract is no contract.
    pub(in crate::peek) fn new(plan: &PeekPlan) -> Result<Rows, FormatError> {
        let contract = &plan.stream.contract;
        let columns: Vec<String> = contract.fields.iter().map(|f| f.name.clone()).collect();
        Ok(Rows {
            decoder: FormatRegistry::with(plan.registry.as_ref()).decoder(contract, &columns)?,
            encoder: JsonEncoder::showing(contract)?,
        })
    }

    /// Adds a record's value; false: it can't be decoded.
    ///
    /// # Errors
    /// It has to wait for the schema registry.
    pub(in crate::peek) fn add(&mut self, payload: &[u8]) -> Result<bool, Failure> {
        match self.decoder.decode(payload) {
            Ok(()) => Ok(true),
            Err(DecodeError::Refused { .. }) => Ok(false),
            Err(DecodeError::Waits { message }) => Err(waits(message)),
        }
    }

    /// How many were added and not taken.
    pub(in crate::peek) fn len(&self) -> usize {
        self.decoder.rows()
    }

    /// Gives all of them.
    ///
    /// # Errors
    /// What can't be shown is a fault of ours; or it has to wait for the schema registry.
    pub(in crate::peek) fn take(&mut self, mut each: impl FnMut(&Values)) -> Result<(), Failure> {
        let failure = |error: FormatError| match error {
            FormatError::Waits { message } => waits(message),
            other => Failure::new("Internal", other.to_string()),
        };
        let batch = self.decoder.finish().map_err(failure)?;
        let mut text = Vec::new();
        for row in 0..batch.num_rows() {
            text.clear();
            self.encoder
                .encode(&batch, row, &mut text)
                .map_err(failure)?;
            let members = serde_json::from_slice(&text)
                .map_err(|error| Failure::new("Internal", error.to_string()))?;
            each(&Values(members));
        }
        Ok(())
    }
}

fn waits(message: String) -> Failure {
    Failure::new(Reason::RegistryUnavailable.as_str(), message)
}
