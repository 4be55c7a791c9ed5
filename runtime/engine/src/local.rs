//! A run in memory: the same decoding, evaluation and encoding as in a pod, without a broker.
//!
//! It is what `headworks test` and `headworks run` stand on. A [`Local`] takes records one by one, runs
//! the compiled stage over bounded batches, and gives back rows and bad records in the order of what they
//! came from. Where the query needs state, rows come at the end of the input: there event time is over, and
//! every window with it. There is no transaction, because there is nothing that could die between two of them; the
//! `memory` broker, which is made to fail, is for the loop's own tests.

use std::io;

use headworks_plan::{InternalTopic, KeyedPlan, OnBadRecord, PipelinePlan};
use headworks_state::{Pool, Shard};
use snafu::{ResultExt, Snafu};

use crate::format::{FormatError, Formats};
use crate::keyed::results::{Given, Results};
use crate::log::{Batch, Limits, LogError, Partition, Record};
use crate::pipeline::{
    CompileError, Stage, Staged, compile, compile_rows, compile_second, needs_state,
};

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
    /// `onBadRecord: Stop` met a bad record, and nothing after it was done.
    #[snafu(display(
        "record {number}: {message} ({reason}); mend the query, or set onBadRecord to DeadLetter or Drop to go on without it"
    ))]
    Stopped {
        /// The record's number within its input, from 0.
        number: u64,
        /// `Decode`, `Contract`, `Evaluation` or `TooLarge`.
        reason: &'static str,
        /// What is wrong with it.
        message: String,
    },
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

/// A record that can't be read or evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadRecord<'a> {
    /// Index of the input among the plan's.
    pub input: usize,
    /// Its number within the input, from 0. A result that can't be evaluated or written comes after all
    /// records.
    pub number: u64,
    /// `Decode`, `Contract`, `Evaluation` or `TooLarge`.
    pub reason: &'static str,
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
    stage: Stage,
    keyed: Option<Keyed>,
    stops: bool,
    batch: Batch,
    staged: Staged,
    /// Records taken so far, an input.
    taken: Vec<u64>,
}

/// The keyed half.
struct Keyed {
    shard: Shard,
    results: Results,
    /// The column of the rows that is the event time.
    time: Option<usize>,
}

impl Keyed {
    fn new(plan: &PipelinePlan, formats: &dyn Formats) -> Result<(Stage, Keyed), CompileError> {
        let (stage, keyed) = compile_rows(plan, formats)?;
        // One shard, without a topic before it; no row comes after the watermark, which is at the end.
        let alone = KeyedPlan {
            repartition: InternalTopic::default(),
            changelog: InternalTopic::default(),
            group: String::new(),
            allowed_lateness_ms: 0,
            max_drift_ms: 0,
            ttl_ms: None,
            memory_bytes: u64::MAX,
            results: None,
        };
        let compiled = compile_second(plan, &alone, formats)?;
        let pool = Pool::open(alone.memory_bytes, None).map_err(|error| CompileError::State {
            said: error.to_string(),
        })?;
        let keyed = Keyed {
            shard: Shard::new(compiled.spec, pool),
            results: compiled.results,
            time: keyed.time,
        };
        Ok((stage, keyed))
    }
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
        let compiled = needs_state(plan).and_then(|needed| {
            if needed {
                Keyed::new(plan, formats).map(|(stage, keyed)| (stage, Some(keyed)))
            } else {
                compile(plan, formats).map(|stage| (stage, None))
            }
        });
        let (stage, keyed) = compiled.map_err(|error| LocalError::Plan {
            message: error.to_string(),
        })?;
        Ok(Local {
            stage,
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
        self.stage
            .run(&self.batch, &mut self.staged)
            .context(ColumnsSnafu)?;
        if let Some(keyed) = &self.keyed {
            self.staged.refuse_timeless(keyed.time);
        }
        let mut bad = self.staged.bad.iter().peekable();
        let mut rows = self.staged.records.iter().peekable();
        loop {
            // A bad record has no rows, so which of the two comes first is never in doubt.
            let bad_is_next = match (bad.peek(), rows.peek()) {
                (Some(bad), Some(row)) => bad.row < row.row,
                (Some(_), None) => true,
                (None, Some(_)) => false,
                (None, None) => break,
            };
            if !bad_is_next {
                if let Some(row) = rows.next() {
                    sink.row(Row {
                        output: row.output,
                        key: self.staged.key(row),
                        value: self.staged.value(row),
                    })
                    .context(SinkSnafu)?;
                }
            } else if let Some(bad) = bad.next() {
                let record = self.batch.record(bad.row);
                let number = record.offset as u64;
                if self.stops {
                    return StoppedSnafu {
                        number,
                        reason: bad.reason,
                        message: &bad.message,
                    }
                    .fail();
                }
                sink.bad(BadRecord {
                    input: usize::from(record.partition.topic),
                    number,
                    reason: bad.reason,
                    message: &bad.message,
                    value: record.value.unwrap_or_default(),
                })
                .context(SinkSnafu)?;
            }
        }
        if let Some(keyed) = &mut self.keyed {
            let rows = self.staged.good_rows(&self.batch);
            for (rows, _) in rows.map_err(|message| LocalError::State { message })? {
                keyed.shard.add(&rows, 0).map_err(state)?;
            }
        }
        self.batch.clear();
        Ok(())
    }

    /// The input is over: runs what isn't run yet, and gives what state held back. Of an upsert each key's
    /// last row; what was deleted isn't shown.
    ///
    /// # Errors
    /// The run is over.
    pub fn finish(&mut self, sink: &mut dyn Sink) -> Result<(), LocalError> {
        self.flush(sink)?;
        let Some(keyed) = &mut self.keyed else {
            return Ok(());
        };
        let number = self.taken.first().copied().unwrap_or(0);
        let stops = self.stops;
        let mut more = true;
        while more {
            let sealed = keyed.shard.seal(Some(i64::MAX), 0).map_err(state)?;
            more = sealed.more;
            let mut ended = Ok(());
            let given = keyed.results.run(&sealed, &mut |given| {
                let answer = match given {
                    Given::Record { value: None, .. } => Ok(()),
                    Given::Record {
                        outlet,
                        key,
                        value: Some(value),
                        ..
                    } => sink
                        .row(Row {
                            output: outlet,
                            key,
                            value,
                        })
                        .context(SinkSnafu),
                    Given::Bad {
                        reason, message, ..
                    } if stops => StoppedSnafu {
                        number,
                        reason,
                        message,
                    }
                    .fail(),
                    Given::Bad {
                        reason,
                        message,
                        text,
                    } => sink
                        .bad(BadRecord {
                            input: 0,
                            number,
                            reason,
                            message,
                            value: text.as_bytes(),
                        })
                        .context(SinkSnafu),
                };
                answer.map_err(|error| {
                    let message = error.to_string();
                    ended = Err(error);
                    LogError::Broken { message }
                })
            });
            ended?;
            given.map_err(|error| LocalError::State {
                message: error.to_string(),
            })?;
            keyed.shard.commit().map_err(state)?;
        }
        Ok(())
    }
}

fn state(error: headworks_state::StateError) -> LocalError {
    LocalError::State {
        message: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use headworks_plan::{Contract, Delivery, Field, StartFrom, Stream};

    use super::*;
    use crate::words::WordFormats;

    #[derive(Default)]
    struct Kept(Vec<String>);

    impl Sink for Kept {
        fn row(&mut self, row: Row<'_>) -> io::Result<()> {
            self.0.push(String::from_utf8_lossy(row.value).into_owned());
            Ok(())
        }

        fn bad(&mut self, bad: BadRecord<'_>) -> io::Result<()> {
            let value = String::from_utf8_lossy(bad.value);
            self.0
                .push(format!("#{} {value} {}", bad.number, bad.reason));
            Ok(())
        }
    }

    fn plan(on_bad_record: OnBadRecord) -> PipelinePlan {
        let field = |name: &str, type_: &str| Field {
            name: name.into(),
            type_: type_.into(),
            nullable: false,
            labels: Vec::new(),
        };
        let stream = |name: &str| Stream {
            name: name.into(),
            topic: name.into(),
            dead_letter_topic: format!("{name}.dlq"),
            contract: Contract {
                fields: vec![field("id", "string"), field("n", "bigint")],
                ..Contract::default()
            },
            max_message_bytes: 1_000_000,
        };
        PipelinePlan {
            sql: "SELECT id, 40 / n AS n FROM words WHERE n < 20".into(),
            inputs: vec![stream("words")],
            outputs: vec![stream("out")],
            tables: Vec::new(),
            delivery: Delivery::ExactlyOnce,
            commit_interval_ms: 10,
            start_from: StartFrom::Earliest,
            on_bad_record,
            on_overflow: headworks_plan::OnOverflow::SetNull,
            group: "g".into(),
            keyed: None,
            accept_data_loss: None,
        }
    }

    fn run(on_bad_record: OnBadRecord, values: &[&str]) -> (Vec<String>, Result<(), LocalError>) {
        let mut kept = Kept::default();
        let mut local = Local::new(&plan(on_bad_record), &WordFormats).unwrap();
        let pushed = values
            .iter()
            .try_for_each(|value| local.push(0, value.as_bytes(), &mut kept));
        let ended = pushed.and_then(|()| local.flush(&mut kept));
        (kept.0, ended)
    }

    #[test]
    fn rows_and_bad_records_come_in_the_order_of_the_input() {
        let values = ["a 1", "b 0", "nonsense", "d 30", "e 5"];
        let (kept, ended) = run(OnBadRecord::DeadLetter, &values);
        assert_eq!(kept[0], "a=40");
        assert_eq!(kept[1], "#1 b 0 Evaluation");
        assert!(kept[2].starts_with("#2 nonsense"), "{kept:?}");
        assert_eq!(kept[3..], ["e=8"]);
        ended.unwrap();
    }

    #[test]
    fn a_query_with_state_gives_its_rows_when_the_input_is_over() {
        let mut plan = plan(OnBadRecord::DeadLetter);
        plan.sql =
            "SELECT id, COUNT(*) AS n FROM words WHERE n < 20 GROUP BY id HAVING COUNT(*) > 1"
                .into();
        let mut kept = Kept::default();
        let mut local = Local::new(&plan, &WordFormats).unwrap();
        for value in ["a 1", "b 0", "a 2", "nonsense", "b 30", "c 3", "b 5"] {
            local.push(0, value.as_bytes(), &mut kept).unwrap();
        }
        local.flush(&mut kept).unwrap();
        assert_eq!(kept.0.len(), 1, "{:?}: only the bad record", kept.0);
        local.finish(&mut kept).unwrap();
        kept.0[1..].sort();
        assert_eq!(kept.0[1..], ["a=2", "b=2"]);
    }

    #[test]
    fn stop_ends_before_the_bad_record_and_after_what_came_before_it() {
        let (kept, ended) = run(OnBadRecord::Stop, &["a 1", "b 0", "c 2"]);
        assert_eq!(kept, ["a=40"]);
        assert!(ended.unwrap_err().to_string().starts_with("record 1: "));
    }

    #[test]
    fn more_records_than_a_batch_holds_keep_their_numbers() {
        let mut values = vec!["a 1"; BATCH.rows + 1];
        values.push("b 0");
        let (kept, _) = run(OnBadRecord::DeadLetter, &values);
        assert_eq!(kept.len(), BATCH.rows + 2);
        assert_eq!(
            kept.last().unwrap(),
            &format!("#{} b 0 Evaluation", BATCH.rows + 1)
        );
    }
}
