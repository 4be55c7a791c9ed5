//! What quality rules say of what the new version wrote.

use std::time::Instant;

use headworks_connectors::formats::FormatRegistry;
use headworks_engine::format::{DecodeError, Decoder, FormatError, Formats};
use headworks_engine::judge::rules::Rules;
use headworks_plan::{Reason, RuleFigures, Stream};

use super::merge::{Part, merge};
use crate::peek::{Failure, Topic};

/// Rows that are judged together.
const BATCH: usize = 512;
/// Bytes of records that are decoded together.
const BATCH_BYTES: usize = 4 << 20;

/// Judges all records of a stream by its rules; says whether it were all.
///
/// # Errors
/// What Kafka says; rules that aren't of this contract.
pub(super) fn judge<T: Topic>(
    stream: &Stream,
    formats: &FormatRegistry,
    part: Part<T>,
    deadline: Instant,
    most: u64,
) -> Result<(Vec<RuleFigures>, bool), Failure> {
    let refused = |said: String| Failure::new(Reason::PlanRefused.as_str(), said);
    let Some(rules) = Rules::of(stream).map_err(|error| refused(error.to_string()))? else {
        return Ok((Vec::new(), true));
    };
    let columns: Vec<String> = rules.columns().iter().cloned().collect();
    let mut judging = Judging {
        decoder: formats
            .decoder(&stream.contract, &columns)
            .map_err(|error| refused(error.to_string()))?,
        counted: rules.none().to_vec(),
        rules: rules.among(&columns),
        bytes: 0,
    };
    let mut records = 0;
    let whole = merge(&mut [part], deadline, |_, found| {
        let Some(value) = found.value else {
            return Ok(true);
        };
        if records == most {
            return Ok(false);
        }
        records += 1;
        judging.add(&value)?;
        Ok(true)
    })?;
    judging.flush()?;
    Ok((judging.counted, whole))
}

struct Judging {
    decoder: Box<dyn Decoder>,
    rules: Rules,
    counted: Vec<RuleFigures>,
    bytes: usize,
}

impl Judging {
    fn add(&mut self, value: &[u8]) -> Result<(), Failure> {
        match self.decoder.decode(value) {
            Ok(()) => {}
            // Whoever could write there besides the canary is none of its doing.
            Err(DecodeError::Refused { .. }) => return Ok(()),
            Err(DecodeError::Waits { message }) => {
                return Err(Failure::new(Reason::RegistryUnavailable.as_str(), message));
            }
        }
        self.bytes += value.len();
        if self.decoder.rows() >= BATCH || self.bytes >= BATCH_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Failure> {
        self.bytes = 0;
        let failure =
            |error: FormatError| Failure::new(Reason::PlanRefused.as_str(), error.to_string());
        let batch = self.decoder.finish().map_err(failure)?;
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let judgement = self.rules.judge(&batch).map_err(failure)?;
        // When, and where, isn't told.
        let counted = self.rules.count(&judgement, u32::MAX, 0, |_| None);
        RuleFigures::add_all(&mut self.counted, &counted);
        Ok(())
    }
}
