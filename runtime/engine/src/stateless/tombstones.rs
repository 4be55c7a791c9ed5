//! Records without a value, of a stream whose records replace each other: each becomes a row that says that its key is gone.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, TimestampMillisecondArray};
use arrow::compute::cast;
use arrow::datatypes::SchemaRef;
use headworks_plan::DeadLetterReason;

use super::{Evaluate, Staged, StagedRows};
use crate::format::{DecodeError, Decoder, FormatError};
use crate::log::Batch;

/// What happens to an input's records without a value.
pub(crate) struct Tombstones {
    /// Reads keys.
    pub(crate) keys: Box<dyn Decoder>,
    /// What the query's branch for them takes.
    pub(crate) schema: SchemaRef,
    /// For each of its columns the one of the key; none for the event time, which is the record's time in Kafka.
    pub(crate) columns: Vec<Option<usize>>,
    pub(crate) evaluate: Evaluate,
}

impl Tombstones {
    /// Makes rows of the batch's records `rows`. They move no event time on: the time in Kafka is another clock's.
    pub(super) fn run(
        &mut self,
        rows: &[usize],
        batch: &Batch,
        staged: &mut Staged,
    ) -> Result<(), FormatError> {
        let mut from = Vec::with_capacity(rows.len());
        for &row in rows {
            let record = batch.record(row);
            let (Some(key), Some(_)) = (record.key, record.timestamp_ms) else {
                let why = "the record has neither a value nor a key, so it deletes nothing";
                staged.refuse(row, DeadLetterReason::Contract, why.to_owned());
                continue;
            };
            match self.keys.decode(key) {
                Ok(()) => from.push(row as u32),
                Err(DecodeError::Refused { error }) => {
                    let why = format!(
                        "the record has no value, so it deletes its key, which can't be read: {error}"
                    );
                    staged.refuse(row, error.reason, why);
                }
                Err(DecodeError::Waits { message }) => {
                    drop(self.keys.finish()?);
                    return Err(FormatError::Waits { message });
                }
            }
        }
        if from.is_empty() {
            return Ok(());
        }
        let keys = self.keys.finish()?;
        let times = from.iter().map(|row| batch.timestamp_ms(*row as usize));
        let times: TimestampMillisecondArray = times.collect();
        let times: ArrayRef = Arc::new(times.with_timezone("UTC"));
        let columns = |source| FormatError::Columns { source };
        let mut all = Vec::with_capacity(self.columns.len());
        for (column, field) in self.columns.iter().zip(self.schema.fields()) {
            all.push(match column {
                Some(key) => keys.column(*key).clone(),
                None => cast(&times, field.data_type()).map_err(columns)?,
            });
        }
        let view = RecordBatch::try_new(self.schema.clone(), all).map_err(columns)?;
        match (self.evaluate)(&view) {
            Ok(mut evaluation) => {
                // The branch filters nothing.
                if let Some(rows) = evaluation.outputs.pop() {
                    staged.rows.push(StagedRows { rows, from });
                }
            }
            Err(message) => {
                for row in from {
                    staged.refuse(row as usize, DeadLetterReason::Evaluation, message.clone());
                }
            }
        }
        Ok(())
    }
}
