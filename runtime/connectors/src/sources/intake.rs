//! Records against the contract: what goes in, what is a dead letter, and what neither topic can hold.
//! Every source checks and encodes its records here, so that they are alike whichever way they came.

use bytes::Bytes;
use headworks_engine::format::{Decoder, Encoder, FormatError, RowError};
use headworks_plan::SourcePlan;

use super::outgoing::{Outgoing, Target};
use crate::formats;
use crate::formats::json::JsonDecoder;

/// What a batch with one record costs beyond keys, values and headers: the batch's header (61 bytes,
/// KIP-98) and the record's own varints at their longest.
const RECORD_OVERHEAD: usize = 100;
/// A header's two lengths at their longest.
const HEADER_OVERHEAD: usize = 10;

/// Checks the records of one source.
pub(super) struct Intake {
    source: String,
    plan: SourcePlan,
}

/// What became of a batch of records, each in the order of the batch.
pub(super) struct Checked {
    /// Those that obey the contract, encoded by it.
    pub(super) good: Vec<Outgoing>,
    /// Those that don't: index, fault, original bytes.
    pub(super) bad: Vec<Bad>,
}

pub(super) struct Bad {
    pub(super) index: usize,
    pub(super) error: RowError,
    original: Bytes,
}

impl Intake {
    /// # Errors
    /// The contract is no contract.
    pub(super) fn new(source: &str, plan: &SourcePlan) -> Result<Intake, FormatError> {
        let intake = Intake {
            source: source.to_owned(),
            plan: plan.clone(),
        };
        intake.tools()?;
        Ok(intake)
    }

    /// What comes is JSON; what goes is of the stream's format.
    fn tools(&self) -> Result<(JsonDecoder, Box<dyn Encoder>), FormatError> {
        let contract = &self.plan.into.contract;
        Ok((
            JsonDecoder::whole(contract, self.plan.unknown_fields)?,
            formats::encoder(contract)?,
        ))
    }

    /// Checks `records`, which are slices of `body`.
    ///
    /// # Errors
    /// A bug of ours, never of the data.
    pub(super) fn check(&self, body: &Bytes, records: &[&[u8]]) -> Result<Checked, FormatError> {
        let (mut decoder, mut encoder) = self.tools()?;
        let mut bad = Vec::new();
        let mut origins = Vec::with_capacity(records.len());
        for (index, record) in records.iter().enumerate() {
            match decoder.decode(record) {
                Ok(()) => origins.push(index),
                Err(error) => bad.push(Bad {
                    index,
                    error,
                    original: body.slice_ref(record),
                }),
            }
        }
        let batch = decoder.finish()?;
        // All in one buffer, which the records then share.
        let mut written = Vec::with_capacity(body.len());
        let mut ends = Vec::with_capacity(origins.len());
        for (row, index) in origins.into_iter().enumerate() {
            let start = written.len();
            let keyed = encoder.key(&batch, row, &mut written)?;
            let middle = written.len();
            match encoder.encode(&batch, row, &mut written) {
                Ok(()) => {}
                // JSON can say more than the stream's format: null in a list, text that is no symbol of an enum.
                Err(FormatError::Value { field, message }) => {
                    written.truncate(start);
                    bad.push(Bad {
                        index,
                        error: RowError {
                            reason: "Contract",
                            path: field,
                            message,
                        },
                        original: body.slice_ref(records[index]),
                    });
                    continue;
                }
                Err(error) => return Err(error),
            }
            let bytes = written.len() - start + RECORD_OVERHEAD;
            if bytes as u64 > self.plan.into.max_message_bytes {
                written.truncate(start);
                bad.push(Bad {
                    index,
                    error: self.too_large(bytes),
                    original: body.slice_ref(records[index]),
                });
            } else {
                ends.push((keyed, start, middle, written.len()));
            }
        }
        bad.sort_by_key(|bad| bad.index);
        let written = Bytes::from(written);
        let good = ends
            .into_iter()
            .map(|(keyed, start, middle, end)| Outgoing {
                target: Target::Stream,
                key: keyed.then(|| written.slice(start..middle)),
                value: written.slice(middle..end),
                headers: Vec::new(),
            });
        Ok(Checked {
            good: good.collect(),
            bad,
        })
    }

    fn too_large(&self, bytes: usize) -> RowError {
        let limit = self.plan.into.max_message_bytes;
        RowError {
            reason: "TooLarge",
            path: String::new(),
            message: format!(
                "the record takes {bytes} bytes in Kafka, and the stream's limit (max.message.bytes) is {limit}"
            ),
        }
    }

    /// The bad records as dead letters, with their original bytes; or the indexes of those that are too
    /// large for the dead-letter topic as well.
    pub(super) fn dead_letters(
        &self,
        bad: &[Bad],
        now: jiff::Timestamp,
    ) -> Result<Vec<Outgoing>, Vec<usize>> {
        let letters: Vec<Outgoing> = bad.iter().map(|bad| self.dead_letter(bad, now)).collect();
        let too_large = |letter: &Outgoing| {
            let headers: usize = letter
                .headers
                .iter()
                .map(|(name, value)| name.len() + value.len() + HEADER_OVERHEAD)
                .sum();
            (letter.value.len() + headers + RECORD_OVERHEAD) as u64
                > self.plan.into.max_message_bytes
        };
        let refused: Vec<usize> = bad
            .iter()
            .zip(&letters)
            .filter(|(_, letter)| too_large(letter))
            .map(|(bad, _)| bad.index)
            .collect();
        if refused.is_empty() {
            Ok(letters)
        } else {
            Err(refused)
        }
    }

    fn dead_letter(&self, bad: &Bad, now: jiff::Timestamp) -> Outgoing {
        Outgoing {
            target: Target::DeadLetters,
            key: None,
            value: bad.original.clone(),
            headers: vec![
                ("headworks.error", bad.error.to_string()),
                ("headworks.reason", bad.error.reason.to_owned()),
                ("headworks.source", self.source.clone()),
                ("headworks.time", now.to_string()),
            ],
        }
    }
}
