//! One batch through the query: decode, evaluate, encode. Nothing is written yet.
//!
//! A record goes through whole or not at all: if any branch refuses it, or any of its outputs is too
//! large, everything it gave is taken back and it is bad. That is why results are staged.

use std::ops::Range;

use arrow::array::{Array, RecordBatch};

use super::event_time::EventTime;
use crate::format::{Decoder, Encoder, FormatError, WAITS};
use crate::keyed::gather::taken;
use crate::log::Batch;

/// Kafka's batch header (61 bytes) and a record's own lengths, rounded up: what a record costs beyond
/// its key, value and headers when it travels alone.
pub(crate) const RECORD_OVERHEAD: u64 = 128;

/// What a branch makes of some rows: for each output topic a batch of its schema, and for each result
/// row the input row it came from.
#[derive(Debug)]
pub(crate) struct Evaluation {
    pub(crate) rows: Vec<u32>,
    pub(crate) outputs: Vec<RecordBatch>,
}

/// Evaluates a branch over a batch of its columns. An error concerns the batch as a whole.
pub(crate) type Evaluate = Box<dyn Fn(&RecordBatch) -> Result<Evaluation, String> + Send>;

/// A query, ready to run.
#[derive(Default)]
pub(crate) struct Stage {
    /// In the order of the log's topics.
    pub(crate) inputs: Vec<Input>,
    /// In the order of the plan's outputs; or one table.
    pub(crate) outputs: Vec<Output>,
    /// True: bad records of the inputs are this stage's to tell of. Every stage of a pipeline meets the
    /// same ones, so only one of them does.
    pub(crate) tells: bool,
    /// True: results are the rows of a query with state, which stay columns ([`Staged::rows`]). There are no
    /// outputs then.
    pub(crate) keeps_rows: bool,
}

/// What happens to one input topic's records.
pub(crate) struct Input {
    /// Decodes the columns that any branch reads.
    pub(crate) decoder: Box<dyn Decoder>,
    /// Where the event time is among them.
    pub(crate) event_time: Option<EventTime>,
    pub(crate) branches: Vec<Branch>,
}

/// One `SELECT` over an input.
pub(crate) struct Branch {
    /// Indexes of its columns among the decoded ones.
    pub(crate) columns: Vec<usize>,
    pub(crate) evaluate: Evaluate,
}

/// One output topic, or a table.
pub(crate) struct Output {
    /// The topic; a table's name.
    pub(crate) topic: String,
    /// True: results are rows of a table.
    pub(crate) table: bool,
    pub(crate) max_message_bytes: u64,
    /// True: a record without a key is refused by the broker.
    pub(crate) compacted: bool,
    pub(crate) encoder: Box<dyn Encoder>,
}

/// What a batch gave.
#[derive(Debug, Default)]
pub(crate) struct Staged {
    bytes: Vec<u8>,
    /// In the order of the input rows.
    pub(crate) records: Vec<StagedRecord>,
    /// At most one for a row, in the order of the input rows.
    pub(crate) bad: Vec<Bad>,
    pub(crate) max_event_time_ms: Option<i64>,
    /// What the branches of a stage that keeps rows gave; also of bad records.
    pub(crate) rows: Vec<StagedRows>,
    /// For a stage that keeps rows: the event time of each of the batch's rows that has one.
    pub(crate) times: Vec<Option<i64>>,
    keeps_rows: bool,
}

/// Rows that a branch gave.
#[derive(Debug)]
pub(crate) struct StagedRows {
    pub(crate) rows: RecordBatch,
    /// For each the batch's row that it came from; ascending.
    pub(crate) from: Vec<u32>,
}

/// A record to be written.
#[derive(Debug)]
pub(crate) struct StagedRecord {
    /// The batch's row that it came from.
    pub(crate) row: usize,
    /// Index of the output.
    pub(crate) output: usize,
    /// That row's Kafka timestamp.
    pub(crate) timestamp_ms: Option<i64>,
    key: Option<Range<usize>>,
    value: Range<usize>,
}

/// The reason of a record whose rows a store refused.
pub(crate) const STORE_REFUSED: &str = "StoreRefused";

/// A record that could not be read, evaluated or stored, and why.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Bad {
    pub(crate) row: usize,
    /// `Decode`, `Contract`, `Evaluation`, `TooLarge` or [`STORE_REFUSED`].
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

impl Staged {
    pub(crate) fn key(&self, record: &StagedRecord) -> Option<&[u8]> {
        record.key.clone().map(|range| &self.bytes[range])
    }

    pub(crate) fn value(&self, record: &StagedRecord) -> &[u8] {
        &self.bytes[record.value.clone()]
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.records.clear();
        self.bad.clear();
        self.max_event_time_ms = None;
        self.rows.clear();
        self.times.clear();
    }

    /// True for a row that is bad. For settled results.
    pub(crate) fn is_bad(&self, row: usize) -> bool {
        !self.bad.is_empty() && self.bad.binary_search_by_key(&row, |bad| bad.row).is_ok()
    }

    /// Rows without the event time that the query needs make their records bad.
    pub(crate) fn refuse_timeless(&mut self, time: Option<usize>) {
        let Some(time) = time else { return };
        let mut bad = Vec::new();
        for piece in &self.rows {
            if let Some(column) = piece
                .rows
                .columns()
                .get(time)
                .filter(|c| c.null_count() > 0)
            {
                let nulls = piece
                    .from
                    .iter()
                    .enumerate()
                    .filter(|(row, _)| column.is_null(*row));
                bad.extend(nulls.map(|(_, from)| *from as usize));
            }
        }
        if !bad.is_empty() {
            for row in bad {
                self.refuse(
                    row,
                    "Contract",
                    "the event time of its row is null".to_owned(),
                );
            }
            self.settle();
        }
    }

    /// The rows, without those of bad records and of records that `batch` doesn't hold any more; with each
    /// the batch's row that it came from.
    ///
    /// # Errors
    /// Arrow refused the columns: a bug.
    pub(crate) fn good_rows(&self, batch: &Batch) -> Result<Vec<(RecordBatch, Vec<u32>)>, String> {
        let stays = |from: &u32| (*from as usize) < batch.len() && !self.is_bad(*from as usize);
        let good = |piece: &StagedRows| {
            if piece.from.iter().all(stays) {
                return Ok((piece.rows.clone(), piece.from.clone()));
            }
            let kept: Vec<u32> = (0..piece.from.len() as u32)
                .filter(|row| stays(&piece.from[*row as usize]))
                .collect();
            let from = kept.iter().map(|row| piece.from[*row as usize]).collect();
            Ok((taken(&piece.rows, kept)?, from))
        };
        self.rows
            .iter()
            .filter(|piece| !piece.from.is_empty())
            .map(good)
            .collect()
    }

    pub(super) fn refuse(&mut self, row: usize, reason: &'static str, message: String) {
        self.bad.push(Bad {
            row,
            reason,
            message,
        });
    }

    /// Forgets everything about these rows, which are in order.
    pub(super) fn forget(&mut self, rows: &[usize]) {
        self.records
            .retain(|record| rows.binary_search(&record.row).is_err());
        self.bad.retain(|bad| rows.binary_search(&bad.row).is_err());
    }

    /// Forgets everything about the rows from `row` on.
    pub(super) fn truncate(&mut self, row: usize) {
        self.records.retain(|record| record.row < row);
        self.bad.retain(|bad| bad.row < row);
    }

    /// Takes back what bad rows gave, and restores the order of rows.
    pub(super) fn settle(&mut self) {
        self.bad.sort_by_key(|bad| bad.row);
        self.bad.dedup_by_key(|bad| bad.row);
        if !self.bad.is_empty() {
            let bad = &self.bad;
            self.records.retain(|record| {
                bad.binary_search_by_key(&record.row, |bad| bad.row)
                    .is_err()
            });
        }
        if !self.records.is_sorted_by_key(|record| record.row) {
            self.records.sort_by_key(|record| record.row);
        }
    }
}

impl Stage {
    /// True: results are rows of a table.
    pub(crate) fn writes_table(&self) -> bool {
        self.outputs.iter().any(|output| output.table)
    }

    /// Runs `batch` and leaves the result in `staged`, whose memory is reused.
    ///
    /// # Errors
    /// Columns that can't be built: a bug, never the data.
    pub(crate) fn run(&mut self, batch: &Batch, staged: &mut Staged) -> Result<(), FormatError> {
        staged.clear();
        staged.keeps_rows = self.keeps_rows;
        if self.keeps_rows {
            staged.times.resize(batch.len(), None);
        }
        let mut rows_of = vec![Vec::new(); self.inputs.len()];
        for row in 0..batch.len() {
            let (partition, _) = batch.place(row);
            if let Some(rows) = rows_of.get_mut(usize::from(partition.topic)) {
                rows.push(row);
            }
        }
        for (input, rows) in self.inputs.iter_mut().zip(&rows_of) {
            if !rows.is_empty() {
                input.run(rows, batch, &mut self.outputs, staged)?;
            }
        }
        staged.settle();
        Ok(())
    }
}

impl Input {
    fn run(
        &mut self,
        rows: &[usize],
        batch: &Batch,
        outputs: &mut [Output],
        staged: &mut Staged,
    ) -> Result<(), FormatError> {
        let mut decoded = Vec::with_capacity(rows.len());
        for &row in rows {
            match batch.value(row).map(|value| self.decoder.decode(value)) {
                Some(Ok(())) => decoded.push(row),
                Some(Err(error)) if error.reason == WAITS => {
                    // Nothing of this batch goes on: all of it is read again.
                    drop(self.decoder.finish()?);
                    return Err(FormatError::Waits {
                        message: error.message,
                    });
                }
                Some(Err(error)) => staged.refuse(row, error.reason, error.to_string()),
                None => staged.refuse(
                    row,
                    "Contract",
                    "the record has no value (a tombstone), which only a compacted stream gives a meaning".to_owned(),
                ),
            }
        }
        if decoded.is_empty() {
            return Ok(());
        }
        let columns = self.decoder.finish()?;
        if let Some(event_time) = &self.event_time {
            let times = event_time.of(&columns);
            let latest = times.iter().flatten().max().copied();
            staged.max_event_time_ms = staged.max_event_time_ms.max(latest);
            if staged.keeps_rows {
                for (row, time) in decoded.iter().zip(times) {
                    staged.times[*row] = time;
                    if time.is_none() && event_time.required {
                        staged.refuse(*row, "Contract", event_time.missing());
                    }
                }
            }
        }
        for branch in &self.branches {
            let view = columns
                .project(&branch.columns)
                .map_err(|source| FormatError::Columns { source })?;
            branch.run(&view, &decoded, batch, outputs, staged);
        }
        Ok(())
    }
}

impl Branch {
    /// Evaluates `view`, whose rows are the batch's `rows`. Where the batch fails as a whole, its halves
    /// are tried, down to the row that is to blame.
    fn run(
        &self,
        view: &RecordBatch,
        rows: &[usize],
        batch: &Batch,
        outputs: &mut [Output],
        staged: &mut Staged,
    ) {
        match (self.evaluate)(view) {
            Ok(mut evaluation) if staged.keeps_rows => {
                let from = evaluation.rows.iter().map(|row| rows[*row as usize] as u32);
                let from = from.collect();
                if let Some(rows) = evaluation.outputs.pop() {
                    staged.rows.push(StagedRows { rows, from });
                }
            }
            Ok(evaluation) => encode(&evaluation, rows, batch, outputs, staged),
            Err(message) => match rows {
                [] => {}
                [row] => staged.refuse(*row, "Evaluation", message),
                _ => {
                    let half = rows.len() / 2;
                    self.run(&view.slice(0, half), &rows[..half], batch, outputs, staged);
                    self.run(
                        &view.slice(half, rows.len() - half),
                        &rows[half..],
                        batch,
                        outputs,
                        staged,
                    );
                }
            },
        }
    }
}

fn encode(
    evaluation: &Evaluation,
    rows: &[usize],
    batch: &Batch,
    outputs: &mut [Output],
    staged: &mut Staged,
) {
    for (result, &from) in evaluation.rows.iter().enumerate() {
        let row = rows[from as usize];
        for (at, (output, results)) in outputs.iter_mut().zip(&evaluation.outputs).enumerate() {
            let start = staged.bytes.len();
            let keyed = output.encoder.key(results, result, &mut staged.bytes);
            let middle = staged.bytes.len();
            let written = keyed.and_then(|keyed| {
                output
                    .encoder
                    .encode(results, result, &mut staged.bytes)
                    .map(|()| keyed)
            });
            let end = staged.bytes.len();
            let value = output.encoder.wire_len().unwrap_or(end - middle);
            let size = (middle - start + value) as u64;
            let refusal = match written {
                Err(error) => Some(("Evaluation", format!("output {}: {error}", output.topic))),
                Ok(false) if output.compacted => Some((
                    "Evaluation",
                    format!(
                        "output {}: the key is null, and a compacted stream has a row for each key",
                        output.topic
                    ),
                )),
                Ok(_) if size.saturating_add(RECORD_OVERHEAD) > output.max_message_bytes => Some((
                    "TooLarge",
                    format!(
                        "the result is {size} bytes, above the {} bytes that topic {} takes (max.message.bytes)",
                        output.max_message_bytes, output.topic
                    ),
                )),
                Ok(keyed) => {
                    let key = keyed.then_some(start..middle);
                    staged.records.push(StagedRecord {
                        row,
                        output: at,
                        timestamp_ms: batch.timestamp_ms(row),
                        key,
                        value: middle..end,
                    });
                    None
                }
            };
            if let Some((reason, message)) = refusal {
                staged.bytes.truncate(start);
                staged.refuse(row, reason, message);
            }
        }
    }
}
