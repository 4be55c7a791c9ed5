//! One batch through the query: decode, evaluate, encode. Nothing is written yet.
//!
//! A record goes through whole or not at all: if any branch refuses it, or any of its outputs is too
//! large, everything it gave is taken back and it is bad. That is why results are staged.

mod event_time;
mod fix;
mod staged;
mod tombstones;

pub(crate) use event_time::EventTime;
pub(crate) use fix::Fix;
pub(crate) use staged::{Bad, Staged, StagedRows, in_order, taken};
pub(crate) use tombstones::Tombstones;

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use headworks_plan::{DeadLetterReason, RuleFigures};

use crate::format::{DecodeError, Decoder, Encoder, FormatError};
use crate::judge::rules::Rules;
use crate::judge::{self, Topic};
use crate::log::Batch;
use staged::{Judged, StagedRecord};

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
pub(crate) struct StatelessOperator {
    /// In the order of the log's topics.
    pub(crate) inputs: Vec<Input>,
    /// In the order of the plan's outputs.
    pub(crate) outputs: Vec<Output>,
    /// True: bad records of the inputs are this stage's to tell of. Every stage of a pipeline meets the
    /// same ones, so only one of them does.
    pub(crate) tells: bool,
    /// What comes of it.
    pub(crate) results: ResultForm,
}

/// What a stage's results are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ResultForm {
    /// Records of its outputs.
    #[default]
    Records,
    /// Rows of a query with state, which stay columns ([`Staged::rows`]), and with them the event time of each record. There are
    /// no outputs then.
    Rows,
    /// Rows of a table, which stay columns, too.
    TableRows,
}

/// What happens to one input topic's records.
pub(crate) struct Input {
    /// Decodes the columns that any branch or rule reads; with a fix, those that it reads.
    pub(crate) decoder: Box<dyn Decoder>,
    /// The columns that branches and rules read.
    pub(crate) columns: Vec<String>,
    /// What makes them of the decoded ones, where a Replay puts records right.
    pub(crate) fix: Option<Fix>,
    /// Where the event time is among them.
    pub(crate) event_time: Option<EventTime>,
    /// The stream's quality rules over the decoded columns.
    pub(crate) rules: Option<Rules>,
    pub(crate) branches: Vec<Branch>,
    /// Present: its records replace each other, and one without a value is no bad one, but deletes its key. All records are read then,
    /// from the first one that is kept, wherever reading is said to begin.
    pub(crate) tombstones: Option<Tombstones>,
}

/// One `SELECT` over an input.
pub(crate) struct Branch {
    /// Indexes of its columns among the decoded ones.
    pub(crate) columns: Vec<usize>,
    pub(crate) evaluate: Evaluate,
}

/// One output topic.
pub(crate) struct Output {
    pub(crate) topic: String,
    pub(crate) max_message_bytes: u64,
    /// True: a record without a key is refused by the broker.
    pub(crate) compacted: bool,
    pub(crate) encoder: Box<dyn Encoder>,
    /// Quality rules that results are judged by before they are written: those of a Replay, whose results nobody would take for new
    /// ones. What a Pipeline writes is judged by who reads it.
    pub(crate) rules: Option<Rules>,
}

impl StatelessOperator {
    /// True: results are rows of a table.
    pub(crate) fn writes_table(&self) -> bool {
        self.results == ResultForm::TableRows
    }

    /// Runs `batch` and leaves the result in `staged`, whose memory is reused.
    ///
    /// # Errors
    /// Columns that can't be built: a bug, never the data.
    pub(crate) fn run(&mut self, batch: &Batch, staged: &mut Staged) -> Result<(), FormatError> {
        staged.clear();
        staged.results = self.results;
        if self.results == ResultForm::Rows {
            staged.times.resize(batch.len(), None);
        }
        let mut rows_of = vec![Vec::new(); self.inputs.len()];
        for row in 0..batch.len() {
            let (partition, _) = batch.place(row);
            if let Some(rows) = rows_of.get_mut(usize::from(partition.topic)) {
                rows.push(row);
            }
        }
        let tells = self.tells;
        for (at, (input, rows)) in self.inputs.iter_mut().zip(&rows_of).enumerate() {
            if rows.is_empty() {
                continue;
            }
            let is_value = |row: &&usize| batch.value(**row).is_some();
            match &mut input.tombstones {
                Some(tombstones) if !rows.iter().all(|row| is_value(&row)) => {
                    let (values, gone): (Vec<usize>, Vec<usize>) =
                        rows.iter().partition(|row| is_value(row));
                    tombstones.run(&gone, batch, staged)?;
                    input.run((at, tells), &values, batch, &mut self.outputs, staged)?;
                }
                _ => input.run((at, tells), rows, batch, &mut self.outputs, staged)?,
            }
        }
        staged.settle();
        Ok(())
    }

    /// True: of the input with this index all records are read, wherever reading is said to begin.
    pub(crate) fn reads_all(&self, input: u16) -> bool {
        let input = self.inputs.get(usize::from(input));
        input.is_some_and(|input| input.tombstones.is_some())
    }

    /// The quality rules that it counts by, before anything is counted.
    pub(crate) fn counts_by(&self) -> Vec<RuleFigures> {
        let told = self.inputs.iter().filter(|_| self.tells);
        let rules = told.filter_map(|input| input.rules.as_ref());
        rules.flat_map(|rules| rules.none().to_vec()).collect()
    }
}

impl Input {
    /// Takes out the rows that a rule refuses, of `columns` and of `decoded` alike. Every stage that reads an input takes out
    /// the same ones.
    fn judge(
        &self,
        (at, tells): (usize, bool),
        mut columns: RecordBatch,
        decoded: &mut Vec<usize>,
        staged: &mut Staged,
    ) -> Result<RecordBatch, FormatError> {
        let Some(rules) = &self.rules else {
            return Ok(columns);
        };
        let judgement = rules.judge(&columns)?;
        for refused in &judgement.refused {
            staged.take_out(rules, &judgement, refused, decoded[refused.row as usize]);
        }
        let mut rows = None;
        if !judgement.lets_all_through() {
            let kept = judgement.kept(columns.num_rows());
            let left = kept.iter().map(|row| decoded[*row as usize]).collect();
            rows = Some(std::mem::replace(decoded, left));
            columns = take_record_batch(&columns, &UInt32Array::from(kept))
                .map_err(|source| FormatError::Columns { source })?;
        }
        if tells {
            let rows = rows.unwrap_or_else(|| decoded.clone());
            staged.judged.push(Judged {
                input: at,
                rows,
                judgement,
            });
        }
        Ok(columns)
    }

    fn run(
        &mut self,
        place: (usize, bool),
        rows: &[usize],
        batch: &Batch,
        outputs: &mut [Output],
        staged: &mut Staged,
    ) -> Result<(), FormatError> {
        let mut decoded = Vec::with_capacity(rows.len());
        for &row in rows {
            match judge::read(self.decoder.as_mut(), batch.value(row)) {
                Ok(()) => decoded.push(row),
                Err(DecodeError::Refused { error }) => {
                    staged.refuse(row, error.reason, error.to_string());
                }
                Err(DecodeError::Waits { message }) => {
                    // Nothing of this batch goes on: all of it is read again.
                    drop(self.decoder.finish()?);
                    return Err(FormatError::Waits { message });
                }
            }
        }
        if decoded.is_empty() {
            return Ok(());
        }
        let mut columns = self.decoder.finish()?;
        if let Some(fix) = &self.fix {
            let Some(fixed) = fix.run(&columns, &mut decoded, staged)? else {
                return Ok(());
            };
            columns = fixed;
        }
        let columns = self.judge(place, columns, &mut decoded, staged)?;
        if decoded.is_empty() {
            return Ok(());
        }
        if let Some(event_time) = &self.event_time {
            let times = event_time.of(&columns);
            let latest = times.iter().flatten().max().copied();
            staged.max_event_time_ms = staged.max_event_time_ms.max(latest);
            if staged.results == ResultForm::Rows {
                for (row, time) in decoded.iter().zip(times) {
                    staged.times[*row] = time;
                    if time.is_none() && event_time.required {
                        staged.refuse(*row, DeadLetterReason::Contract, event_time.missing());
                    }
                }
            }
        }
        for branch in &self.branches {
            let view = columns
                .project(&branch.columns)
                .map_err(|source| FormatError::Columns { source })?;
            branch.run(&view, &decoded, batch, outputs, staged)?;
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
    ) -> Result<(), FormatError> {
        match (self.evaluate)(view) {
            Ok(mut evaluation) if staged.results != ResultForm::Records => {
                let from = evaluation.rows.iter().map(|row| rows[*row as usize] as u32);
                let from = from.collect();
                if let Some(rows) = evaluation.outputs.pop() {
                    staged.rows.push(StagedRows { rows, from });
                }
            }
            Ok(evaluation) => encode(&evaluation, rows, batch, outputs, staged)?,
            Err(message) => match rows {
                [] => {}
                [row] => staged.refuse(*row, DeadLetterReason::Evaluation, message),
                _ => {
                    let half = rows.len() / 2;
                    self.run(&view.slice(0, half), &rows[..half], batch, outputs, staged)?;
                    self.run(
                        &view.slice(half, rows.len() - half),
                        &rows[half..],
                        batch,
                        outputs,
                        staged,
                    )?;
                }
            },
        }
        Ok(())
    }
}

fn encode(
    evaluation: &Evaluation,
    rows: &[usize],
    batch: &Batch,
    outputs: &mut [Output],
    staged: &mut Staged,
) -> Result<(), FormatError> {
    for (output, results) in outputs.iter().zip(&evaluation.outputs) {
        let Some(rules) = &output.rules else { continue };
        let judgement = rules.judge(results)?;
        for refused in &judgement.refused {
            let from = evaluation.rows[refused.row as usize];
            staged.take_out(rules, &judgement, refused, rows[from as usize]);
        }
    }
    for (result, &from) in evaluation.rows.iter().enumerate() {
        let row = rows[from as usize];
        for (at, (output, results)) in outputs.iter_mut().zip(&evaluation.outputs).enumerate() {
            let written = judge::write(
                output.encoder.as_mut(),
                Topic {
                    name: &output.topic,
                    max_message_bytes: output.max_message_bytes,
                    compacted: output.compacted,
                    row: judge::Row::Result,
                },
                results,
                result,
                &mut staged.bytes,
            )?;
            match written {
                Ok(written) => staged.records.push(StagedRecord {
                    row,
                    output: at,
                    timestamp_ms: batch.timestamp_ms(row),
                    key: written.key(),
                    value: written.value(),
                }),
                Err(error) => staged.refuse(row, error.reason, error.to_string()),
            }
        }
    }
    Ok(())
}
