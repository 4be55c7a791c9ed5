//! A run in memory: the same decoding, evaluation and encoding as in a pod, without a broker.
//!
//! It is what `headworks test` and `headworks run` stand on. A [`Local`] takes records one by one, runs
//! the compiled stage over bounded batches, and gives back rows and bad records in the order of what they
//! came from. Each input is one partition. Where the query has windows or a join, each record moves the watermark, as if it were a
//! transaction of its own: a window's rows come when it is over, and what comes after that is late ([`keyed`]). At the
//! end of the input event time is over, and every window with it. There is no transaction, because there is nothing that
//! could die between two of them; the `memory` broker, which is made to fail, is for the loop's own tests.

mod keyed;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod twin;

use std::io;
use std::iter::Peekable;

use headworks_plan::{DeadLetterReason, OnBadRecord, PipelinePlan};
use snafu::{ResultExt, Snafu};

use self::keyed::Keyed;
use crate::format::{FormatError, Formats};
use crate::judge::rules;
use crate::log::{Batch, Limits, Partition, Record};
use crate::pipeline::{compile, stateful};
use crate::stateless::{Bad, Staged, StatelessOperator};

/// Bounds of one batch, as in the loop.
const BATCH: Limits = Limits {
    rows: 8_192,
    bytes: 8 * 1024 * 1024,
};

/// Why a local run ends early.
#[derive(Debug, Snafu)]
pub enum LocalError {
    /// The plan can't be run.
    #[snafu(display("{message}"))]
    Plan {
        /// What is wrong with it.
        message: String,
    },
    /// Columns that can't be built: a bug, never the data.
    #[snafu(display("{source}"))]
    Columns {
        /// What the format said.
        source: FormatError,
    },
    /// State that can't be kept: a bug, never the data.
    #[snafu(display("{message}"))]
    State {
        /// What went wrong.
        message: String,
    },
    /// What takes the results couldn't.
    #[snafu(display("{source}"))]
    Sink {
        /// What the system said.
        source: io::Error,
    },
    /// `onBadRecord: Stop` met a bad record, or a rule's `onError: Stop` one that breaks it, and nothing after it was done.
    #[snafu(display(
        "{}: {message} ({reason}); {}",
        number.map_or_else(|| "a result".to_owned(), |number| format!("record {number}")),
        remedy(*reason)
    ))]
    Stopped {
        /// The record's number within its input, from 0; of a result none.
        number: Option<u64>,
        /// `Decode`, `Contract`, `Evaluation`, `TooLarge` or `Late`; of one that a rule stops at `Quality`.
        reason: DeadLetterReason,
        /// What is wrong with it.
        message: String,
    },
}

fn remedy(reason: DeadLetterReason) -> &'static str {
    match reason {
        DeadLetterReason::Late => {
            "raise maxOutOfOrderness of the stream or allowedLateness of the Pipeline, or set onBadRecord to DeadLetter or Drop to go on without it"
        }
        DeadLetterReason::Quality => rules::REMEDY,
        _ => "mend the query, or set onBadRecord to DeadLetter or Drop to go on without it",
    }
}

/// A row of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row<'a> {
    /// Index of the output among the plan's.
    pub output: usize,
    /// The Kafka key it would have.
    pub key: Option<&'a [u8]>,
    /// The row, encoded.
    pub value: &'a [u8],
}

/// A record that can't be read or evaluated, or comes too late; or a result that can't be evaluated or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadRecord<'a> {
    /// Index of the input among the plan's; of a result 0, whose dead letters it goes to.
    pub input: usize,
    /// Its number within the input, from 0; of a result none: it comes of many records.
    pub number: Option<u64>,
    /// `Decode`, `Contract`, `Evaluation`, `TooLarge`, `Late` or `Quality`.
    pub reason: DeadLetterReason,
    /// What is wrong with it.
    pub message: &'a str,
    /// Its bytes; of a result its columns as text.
    pub value: &'a [u8],
}

/// Takes what a run gives.
pub trait Sink {
    /// Takes a row.
    ///
    /// # Errors
    /// It can't be written; the run ends.
    fn row(&mut self, row: Row<'_>) -> io::Result<()>;
    /// Takes a bad record; under `onBadRecord: Drop`, too.
    ///
    /// # Errors
    /// It can't be written; the run ends.
    fn bad(&mut self, bad: BadRecord<'_>) -> io::Result<()>;
}

/// A pipeline that runs in memory.
pub struct Local {
    stateless: StatelessOperator,
    keyed: Option<Keyed>,
    stops: bool,
    batch: Batch,
    staged: Staged,
    /// Records taken so far, an input.
    taken: Vec<u64>,
}

impl std::fmt::Debug for Local {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Local")
            .field("taken", &self.taken)
            .finish_non_exhaustive()
    }
}

impl Local {
    /// Compiles a plan. Of its outputs only streams are served.
    ///
    /// # Errors
    /// The query or a contract is wrong.
    pub fn new(plan: &PipelinePlan, formats: &dyn Formats) -> Result<Local, LocalError> {
        let compiled = stateful(plan).and_then(|stages| match stages {
            Some(stages) => {
                let both = Keyed::new(plan, stages, formats);
                both.map(|(stateless, keyed)| (stateless, Some(keyed)))
            }
            None => compile(plan, formats).map(|stateless| (stateless, None)),
        });
        let (stateless, keyed) = compiled.map_err(|error| LocalError::Plan {
            message: error.to_string(),
        })?;
        Ok(Local {
            stateless,
            keyed,
            stops: plan.on_bad_record == OnBadRecord::Stop,
            batch: Batch::default(),
            staged: Staged::default(),
            taken: vec![0; plan.inputs.len()],
        })
    }

    /// Takes a record of the input of that index among the plan's; runs a batch when one is full.
    ///
    /// # Errors
    /// The run is over.
    pub fn push(
        &mut self,
        input: usize,
        value: &[u8],
        sink: &mut dyn Sink,
    ) -> Result<(), LocalError> {
        let number = self.taken[input];
        self.taken[input] += 1;
        self.batch.push(&Record {
            partition: Partition {
                topic: input as u16,
                number: 0,
            },
            offset: number as i64,
            timestamp_ms: None,
            key: None,
            value: Some(value),
        });
        if self.batch.is_full(BATCH) {
            self.flush(sink)?;
        }
        Ok(())
    }

    /// Runs what was taken and isn't run yet.
    ///
    /// # Errors
    /// The run is over.
    pub fn flush(&mut self, sink: &mut dyn Sink) -> Result<(), LocalError> {
        if self.batch.is_empty() {
            return Ok(());
        }
        self.stateless
            .run(&self.batch, &mut self.staged)
            .context(ColumnsSnafu)?;
        let halt = (!self.staged.halts.is_empty()).then(|| self.staged.halts.swap_remove(0));
        let stopped = halt.map(|(row, broken)| {
            let number = self.batch.record(row).offset as u64;
            self.staged.truncate(row);
            self.batch.truncate(row);
            LocalError::Stopped {
                number: Some(number),
                reason: DeadLetterReason::Quality,
                message: broken.message,
            }
        });
        let mut out = Out {
            sink,
            stops: self.stops,
        };
        if let Some(keyed) = &mut self.keyed {
            keyed.run(&self.batch, &mut self.staged, &mut out)?;
        } else {
            out.tell(&self.batch, &self.staged)?;
        }
        self.batch.clear();
        stopped.map_or(Ok(()), Err)
    }

    /// The event time that the input has come to by its contract, in milliseconds: every later record is younger, or behind
    /// the watermark. None until that is known, `i64::MAX` where event time is of no consequence or the input is over. A
    /// run over several inputs takes the next record of one that has the least, as a pod doesn't read on where others
    /// are behind (`maxDrift`).
    pub fn mark(&mut self, input: usize, sink: &mut dyn Sink) -> Result<Option<i64>, LocalError> {
        if self
            .keyed
            .as_ref()
            .is_none_or(|keyed| !keyed.is_by_event_time())
        {
            return Ok(Some(i64::MAX));
        }
        self.flush(sink)?;
        Ok(self.keyed.as_ref().and_then(|keyed| keyed.mark(input)))
    }

    /// That input is over: it holds the watermark back no more.
    ///
    /// # Errors
    /// The run is over.
    pub fn end(&mut self, input: usize, sink: &mut dyn Sink) -> Result<(), LocalError> {
        self.flush(sink)?;
        let stops = self.stops;
        match &mut self.keyed {
            Some(keyed) if keyed.is_by_event_time() => keyed.end(input, &mut Out { sink, stops }),
            _ => Ok(()),
        }
    }

    /// Every input is over: runs what isn't run yet, and gives what state held back. Of an upsert each key's
    /// last row; what was deleted isn't shown.
    ///
    /// # Errors
    /// The run is over.
    pub fn finish(&mut self, sink: &mut dyn Sink) -> Result<(), LocalError> {
        self.flush(sink)?;
        let stops = self.stops;
        match &mut self.keyed {
            Some(keyed) => keyed.finish(&mut Out { sink, stops }),
            None => Ok(()),
        }
    }
}

/// Where results go.
struct Out<'a> {
    sink: &'a mut dyn Sink,
    stops: bool,
}

impl Out<'_> {
    /// Tells of a batch of a query without state, in the order of the records.
    fn tell(&mut self, batch: &Batch, staged: &Staged) -> Result<(), LocalError> {
        let mut bad = staged.bad.iter().peekable();
        for row in &staged.records {
            // A bad record has no rows, so which of the two comes first is never in doubt.
            self.bad_before(row.row, &mut bad, batch)?;
            self.sink
                .row(Row {
                    output: row.output,
                    key: staged.key(row),
                    value: staged.value(row),
                })
                .context(SinkSnafu)?;
        }
        self.bad_before(usize::MAX, &mut bad, batch)
    }

    /// Tells of the bad records that come before a row of the batch.
    fn bad_before<'b>(
        &mut self,
        end: usize,
        bad: &mut Peekable<impl Iterator<Item = &'b Bad>>,
        batch: &Batch,
    ) -> Result<(), LocalError> {
        while let Some(bad) = bad.next_if(|bad| bad.row < end) {
            self.bad(bad, batch)?;
        }
        Ok(())
    }

    fn bad(&mut self, bad: &Bad, batch: &Batch) -> Result<(), LocalError> {
        let record = batch.record(bad.row);
        self.refuse(BadRecord {
            input: usize::from(record.partition.topic),
            number: Some(record.offset as u64),
            reason: bad.reason,
            message: &bad.message,
            value: record.value.unwrap_or_default(),
        })
    }

    fn refuse(&mut self, bad: BadRecord<'_>) -> Result<(), LocalError> {
        // What becomes of a record that breaks a rule, the rule says.
        if self.stops && bad.reason != DeadLetterReason::Quality {
            return StoppedSnafu {
                number: bad.number,
                reason: bad.reason,
                message: bad.message,
            }
            .fail();
        }
        self.sink.bad(bad).context(SinkSnafu)
    }
}
