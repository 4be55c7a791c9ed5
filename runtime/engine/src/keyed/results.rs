//! From results to records: HAVING and the SELECT list, each output's form, its bytes.
//!
//! A result goes into every output or into none. One that can't be evaluated or written is given back as
//! bad, as text, since there is no single input record that it comes from.

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::datatypes::SchemaRef;
use arrow::util::display::array_value_to_string;
use headworks_plan::{DeadLetterReason, VerdictFigures};
use headworks_state::EpochOutput;

use super::verdicts::VerdictReader;
use crate::format::{Encoder, FormatError, RowError};
use crate::judge::{self, Topic, Written};
use crate::log::LogError;
use crate::stateless::taken;

/// Makes the query's output of results; with each row the result it comes from, ascending. An error
/// concerns the batch as a whole.
pub(crate) type Finish =
    Box<dyn Fn(&RecordBatch) -> Result<(RecordBatch, Vec<u32>), String> + Send>;
/// Brings the query's output into a stream's form.
pub(crate) type Projection = Box<dyn Fn(&RecordBatch) -> Result<RecordBatch, String> + Send>;

/// How a stream is told that a row is gone. The shape takes the output's columns, of which all but the
/// key's are null.
pub(crate) enum DeleteEncoding {
    /// By a record without a value.
    Tombstone(Projection),
    /// By a row that says so in a column.
    Row(Projection),
}

/// An output topic.
pub(crate) struct SinkWriter {
    pub(crate) topic: String,
    pub(crate) max_message_bytes: u64,
    /// True: a record without a key is refused by the broker.
    pub(crate) compacted: bool,
    pub(crate) encoder: Box<dyn Encoder>,
    pub(crate) shape: Projection,
    /// Present where the output is an upsert.
    pub(crate) gone: Option<DeleteEncoding>,
}

/// What is made of results.
pub(crate) struct Results {
    pub(crate) finish: Finish,
    pub(crate) sinks: Vec<SinkWriter>,
    /// How many of the results' first columns are the key.
    pub(crate) keys: usize,
    /// The output columns that hold the key; empty: results are final.
    pub(crate) unique: Vec<usize>,
    /// The output's columns, each of which may be null.
    pub(crate) output: SchemaRef,
    /// Reads from results what a QualityRule's monitor found.
    pub(crate) verdicts: Option<VerdictReader>,
}

/// What comes of a result.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ResultRecord<'a> {
    /// A record.
    Record {
        /// Index of the sink.
        sink: usize,
        topic: &'a str,
        key: Option<&'a [u8]>,
        /// Absent: a tombstone.
        value: Option<&'a [u8]>,
    },
    /// A result that can't be evaluated or written.
    Bad {
        reason: DeadLetterReason,
        message: &'a str,
        /// The result, as text.
        text: &'a str,
    },
}

/// Takes what comes of results.
pub(crate) type Give<'a> = &'a mut dyn FnMut(ResultRecord<'_>) -> Result<(), LogError>;

impl Results {
    /// Makes records of what an epoch gave.
    ///
    /// # Errors
    /// What `give` says, or `Broken` where Arrow refuses the columns: a bug.
    pub(crate) fn run(&mut self, sealed: &EpochOutput, give: Give<'_>) -> Result<(), LogError> {
        for batch in &sealed.results {
            self.results(batch, give)?;
        }
        for keys in &sealed.gone {
            self.gone(keys, give)?;
        }
        Ok(())
    }

    /// What the results since the last call say of windows; none where they are no verdicts, or there were none.
    pub(crate) fn take_verdicts(&mut self) -> Option<VerdictFigures> {
        self.verdicts.as_mut().and_then(VerdictReader::take)
    }

    fn results(&mut self, results: &RecordBatch, give: Give<'_>) -> Result<(), LogError> {
        let rows = results.num_rows();
        if rows == 0 {
            return Ok(());
        }
        match (self.finish)(results) {
            Ok((output, from)) => {
                self.write(&output, results, &from, give)?;
                if !self.unique.is_empty() && from.len() < rows {
                    let mut kept = from.iter().peekable();
                    let left = (0..rows as u32).filter(|row| kept.next_if_eq(&row).is_none());
                    let columns: Vec<usize> = (0..self.keys).collect();
                    let keys = results
                        .project(&columns)
                        .map_err(|error| error.to_string())
                        .and_then(|keys| taken(&keys, left.collect()))
                        .map_err(broken)?;
                    self.gone(&keys, give)?;
                }
                Ok(())
            }
            Err(message) if rows == 1 => give(ResultRecord::Bad {
                reason: DeadLetterReason::Evaluation,
                message: &message,
                text: &text(results, 0),
            }),
            Err(_) => {
                let half = rows / 2;
                self.results(&results.slice(0, half), give)?;
                self.results(&results.slice(half, rows - half), give)
            }
        }
    }

    /// Writes output rows, each made of the result of that number.
    fn write(
        &mut self,
        output: &RecordBatch,
        results: &RecordBatch,
        from: &[u32],
        give: Give<'_>,
    ) -> Result<(), LogError> {
        let shaped = self
            .sinks
            .iter()
            .map(|sink| (sink.shape)(output))
            .collect::<Result<Vec<_>, _>>()
            .map_err(broken)?;
        let mut bytes = Vec::new();
        for (row, result) in from.iter().enumerate() {
            bytes.clear();
            let mut pieces = Vec::with_capacity(shaped.len());
            let mut refusal = None;
            for (sink, batch) in self.sinks.iter_mut().zip(&shaped) {
                match sink.write(batch, row, &mut bytes)? {
                    Ok(piece) => pieces.push(piece),
                    Err(why) => {
                        refusal = Some(why);
                        break;
                    }
                }
            }
            if let Some(refusal) = refusal {
                let text = text(results, *result as usize);
                give(ResultRecord::Bad {
                    reason: refusal.reason,
                    message: &refusal.to_string(),
                    text: &text,
                })?;
                continue;
            }
            for (at, (sink, piece)) in self.sinks.iter().zip(&pieces).enumerate() {
                give(ResultRecord::Record {
                    sink: at,
                    topic: &sink.topic,
                    key: piece.key().map(|key| &bytes[key]),
                    value: Some(&bytes[piece.value()]),
                })?;
            }
            if let Some(verdicts) = &mut self.verdicts {
                verdicts.read(output, row);
            }
        }
        Ok(())
    }

    /// Tells every sink that the rows of these keys are gone.
    fn gone(&mut self, keys: &RecordBatch, give: Give<'_>) -> Result<(), LogError> {
        let rows = keys.num_rows();
        let columns: Vec<ArrayRef> = (0..self.output.fields().len())
            .map(|column| {
                let key = self.unique.iter().position(|unique| *unique == column);
                match key.and_then(|key| keys.columns().get(key)) {
                    Some(values) => values.clone(),
                    None => new_null_array(self.output.field(column).data_type(), rows),
                }
            })
            .collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let output = RecordBatch::try_new_with_options(self.output.clone(), columns, &options)
            .map_err(|error| broken(error.to_string()))?;
        let mut bytes = Vec::new();
        for (at, sink) in self.sinks.iter_mut().enumerate() {
            let Some(gone) = &sink.gone else { continue };
            let (DeleteEncoding::Tombstone(shape) | DeleteEncoding::Row(shape)) = gone;
            let batch = shape(&output).map_err(broken)?;
            for row in 0..rows {
                bytes.clear();
                let written = |error: FormatError| broken(error.to_string());
                let keyed = sink.encoder.key(&batch, row, &mut bytes).map_err(written)?;
                let middle = bytes.len();
                let value = match sink.gone {
                    Some(DeleteEncoding::Row(_)) => {
                        sink.encoder
                            .encode(&batch, row, &mut bytes)
                            .map_err(written)?;
                        Some(&bytes[middle..])
                    }
                    // No row can have been written without a key.
                    _ if !keyed => continue,
                    _ => None,
                };
                give(ResultRecord::Record {
                    sink: at,
                    topic: &sink.topic,
                    key: keyed.then(|| &bytes[..middle]),
                    value,
                })?;
            }
        }
        Ok(())
    }
}

impl SinkWriter {
    fn write(
        &mut self,
        batch: &RecordBatch,
        row: usize,
        bytes: &mut Vec<u8>,
    ) -> Result<Result<Written, RowError>, LogError> {
        let topic = Topic {
            name: &self.topic,
            max_message_bytes: self.max_message_bytes,
            compacted: self.compacted,
            row: judge::Row::Result,
        };
        judge::write(self.encoder.as_mut(), topic, batch, row, bytes)
            .map_err(|error| broken(error.to_string()))
    }
}

fn broken(message: String) -> LogError {
    LogError::Broken { message }
}

/// A row as text, for a dead letter.
fn text(rows: &RecordBatch, row: usize) -> String {
    let mut members = serde_json::Map::new();
    for (field, column) in rows.schema().fields().iter().zip(rows.columns()) {
        let value = if column.is_null(row) {
            serde_json::Value::Null
        } else {
            array_value_to_string(column, row)
                .unwrap_or_default()
                .into()
        };
        members.insert(field.name().clone(), value);
    }
    serde_json::Value::Object(members).to_string()
}
