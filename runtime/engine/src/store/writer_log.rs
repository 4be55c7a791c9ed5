//! A log that reads from Kafka, flushes to a store without transactions, and then commits to Kafka.
//!
//! The group's commits hold the place, and the dead letters are in the same transaction. Rows that were flushed and whose place
//! wasn't committed are written again.

use std::time::Duration;

use super::Writer;
use super::refusals::{self, said};
use crate::log::{
    Batch, Bounds, Changelog, Event, Former, GroupConsumer, Limits, Log, LogError, Outgoing,
    Partition, Position, Refusal, Table, TableRows, Take, Transactions, has_no,
};

/// See the module. `L` is the group member, and the producer of dead letters.
pub struct WriterLog<L> {
    inner: L,
    writer: Box<dyn Writer>,
}

impl<L: Log> WriterLog<L> {
    /// `inner` reads the inputs.
    pub fn new(inner: L, writer: Box<dyn Writer>) -> WriterLog<L> {
        WriterLog { inner, writer }
    }
}

impl<L: Log> GroupConsumer for WriterLog<L> {
    fn poll(
        &mut self,
        wait: Duration,
        limits: Limits,
        batch: &mut Batch,
    ) -> Result<Option<Event>, LogError> {
        self.inner.poll(wait, limits, batch)
    }

    fn committed(&mut self, partitions: &[Partition]) -> Result<Vec<Option<Position>>, LogError> {
        self.inner.committed(partitions)
    }

    fn peek(&mut self, partitions: &[Partition]) -> Result<Vec<Option<Position>>, LogError> {
        self.inner.peek(partitions)
    }

    fn siblings(&mut self, of: Partition) -> Result<Vec<Partition>, LogError> {
        self.inner.siblings(of)
    }

    fn bounds(&mut self, partitions: &[Partition]) -> Result<Vec<Bounds>, LogError> {
        self.inner.bounds(partitions)
    }

    fn offsets_at(&mut self, partitions: &[Partition], time_ms: i64) -> Result<Vec<i64>, LogError> {
        self.inner.offsets_at(partitions, time_ms)
    }

    fn assign(&mut self, positions: &[(Partition, i64)]) -> Result<(), LogError> {
        self.inner.assign(positions)
    }

    fn unassign(&mut self) -> Result<(), LogError> {
        self.inner.unassign()
    }

    fn hold_back(&mut self, partitions: &[Partition]) {
        self.inner.hold_back(partitions);
    }

    fn end(&self, partition: Partition) -> Option<i64> {
        self.inner.end(partition)
    }

    fn trouble(&self) -> Option<String> {
        self.inner.trouble()
    }

    fn now(&self) -> Duration {
        self.inner.now()
    }

    fn wall_ms(&self) -> i64 {
        self.inner.wall_ms()
    }
}

impl<L: Log> Transactions for WriterLog<L> {
    fn begin(&mut self) -> Result<(), LogError> {
        self.inner.begin()
    }

    /// Only dead letters are written to Kafka.
    fn produce(&mut self, record: &Outgoing<'_>) -> Result<(), LogError> {
        self.inner.produce(record)
    }

    fn commit(&mut self, positions: &[(Partition, Position)]) -> Result<(), LogError> {
        self.writer.flush().map_err(said)?;
        self.inner.commit(positions)
    }

    fn written(&self) -> u64 {
        self.inner.written()
    }

    fn abort(&mut self) -> Result<(), LogError> {
        self.writer.discard();
        self.inner.abort()
    }

    fn set_commit_metadata(&mut self, notes: Vec<(Partition, String)>) {
        self.inner.set_commit_metadata(notes);
    }

    fn commit_metadata(
        &mut self,
        partitions: &[Partition],
    ) -> Result<Vec<Option<String>>, LogError> {
        self.inner.commit_metadata(partitions)
    }
}

impl<L: Log> Changelog for WriterLog<L> {
    fn restore(&mut self, _: &str, _: i32, _: Take<'_>) -> Result<u64, LogError> {
        Err(has_no("changelog"))
    }

    /// What is read is everybody's.
    fn trim(&mut self, _: &[(Partition, i64)]) {}
}

impl<L: Log> Table for WriterLog<L> {
    fn insert(&mut self, rows: &TableRows, first_only: bool) -> Result<Vec<Refusal>, LogError> {
        let WriterLog { inner, writer } = self;
        let mut write = |rows: &TableRows| writer.write(rows);
        refusals::insert(rows, first_only, &mut write, &|| inner.now()).map_err(said)
    }

    /// The dead letters are in the transaction that holds the place, so an attempt leaves none behind.
    fn former(&self, _: Partition, _: i64) -> Former {
        Former::Nothing
    }

    fn mark_dead_lettered(&mut self, _: Partition, _: i64) {}
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeSet;
    use std::rc::Rc;
    use std::sync::Arc;

    use headworks_plan::{OnBadRecord, StartFrom};

    use super::*;
    use crate::log::Reason;
    use crate::memory::{Chance, Faults, MemoryBroker, Stored, lines};
    use crate::pipeline::{InputTopic, Pipeline, Settings};
    use crate::status::StatusHandle;
    use crate::store::{StoreError, UnfitRow};
    use crate::testing::fixture_format::{oracle, table_operator};

    /// Lines that stay once they are flushed; at times they can't be.
    struct Lines {
        flushed: Rc<RefCell<Vec<String>>>,
        buffer: Vec<String>,
        chance: Chance,
        fails: u64,
    }

    impl Writer for Lines {
        fn write(&mut self, rows: &TableRows) -> Result<(), StoreError> {
            let rows = lines(rows);
            let eights = (0..rows.len()).filter(|row| rows[*row].ends_with("=8"));
            let eights: Vec<UnfitRow> = eights
                .map(|row| UnfitRow {
                    row,
                    message: "no eights".to_owned(),
                })
                .collect();
            if !eights.is_empty() {
                return Err(StoreError::Unfit { rows: eights });
            }
            if rows.iter().any(|row| row.ends_with("=4")) {
                return Err(StoreError::Refused {
                    message: "no fours".to_owned(),
                });
            }
            self.buffer.extend(rows);
            Ok(())
        }

        fn flush(&mut self) -> Result<(), StoreError> {
            if self.chance.once_in(self.fails) {
                return Err(StoreError::Held {
                    reason: Reason::StoreUnavailable,
                    message: "the disk is away".to_owned(),
                });
            }
            self.flushed.borrow_mut().append(&mut self.buffer);
            Ok(())
        }

        fn discard(&mut self) {
            self.buffer.clear();
        }
    }

    fn settings() -> Settings {
        Settings {
            pipeline: "shop/p".to_owned(),
            inputs: vec![InputTopic {
                topic: "in".to_owned(),
                dead_letter_topic: "in.dlq".to_owned(),
                max_message_bytes: 1_000_000,
            }],
            on_bad_record: OnBadRecord::DeadLetter,
            start_from: StartFrom::Earliest,
            commit_interval: Duration::from_millis(20),
            accept_data_loss: None,
        }
    }

    /// What was flushed, and what it should have been.
    fn run(seed: u64) -> (Vec<String>, BTreeSet<String>) {
        let mut chance = Chance::new(seed);
        let faults = Faults {
            kill: 10,
            abortable: 10,
            unknown_commit: 100,
            ..Faults::default()
        };
        let mut broker = MemoryBroker::new(seed, faults);
        broker.create("in", 1);
        broker.create("in.dlq", 1);
        let (mut expected, mut bad, mut end) = (BTreeSet::new(), Vec::new(), 0);
        for at in 0..60 {
            let value = match chance.below(20) {
                0 => format!("r-{at}:no-space"),
                n => format!("r-{at} {n}"),
            };
            match oracle(Some(&value)) {
                Ok(rows)
                    if rows
                        .iter()
                        .any(|row| row.ends_with("=8") || row.ends_with("=4")) =>
                {
                    bad.push(format!("StoreRefused {value}"));
                }
                Ok(rows) => expected.extend(rows),
                Err(reason) => bad.push(format!("{reason} {value}")),
            }
            let record = Stored {
                value: Some(value.into_bytes()),
                timestamp_ms: Some(1),
                ..Stored::default()
            };
            end = broker.append("in", 0, record);
        }
        let flushed = Rc::new(RefCell::new(Vec::new()));
        let mut session = None;
        for round in 0..4_000 {
            broker.tick(20);
            if round == 300 {
                broker = broker.without_faults();
                session = None;
            }
            let fails = if round < 300 { 200 } else { 0 };
            let Some(running) = &mut session else {
                let lines = Lines {
                    flushed: Rc::clone(&flushed),
                    buffer: Vec::new(),
                    chance: Chance::new(seed + round),
                    fails,
                };
                if let Ok(log) = broker.open("member-0", &["in"]) {
                    session = Some(Pipeline::new(
                        WriterLog::new(log, Box::new(lines)),
                        table_operator(1, true),
                        Arc::new(settings()),
                        StatusHandle::new(),
                    ));
                }
                continue;
            };
            if running.step().is_err() {
                session = None;
            }
            let position = broker.position("in", 0);
            if round > 300 && position.is_some_and(|position| position.offset > end) {
                break;
            }
        }
        let dead_letters = broker.committed("in.dlq", 0);
        let mut dead_letters: Vec<String> = dead_letters
            .iter()
            .map(|dead_letter| {
                let reason = dead_letter
                    .headers
                    .iter()
                    .find(|(name, _)| name == "headworks.reason");
                let reason = reason.map(|(_, reason)| String::from_utf8_lossy(reason).into_owned());
                let value = dead_letter.value.clone().unwrap_or_default();
                format!(
                    "{} {}",
                    reason.unwrap_or_default(),
                    String::from_utf8_lossy(&value)
                )
            })
            .collect();
        dead_letters.sort();
        bad.sort();
        assert_eq!(dead_letters, bad, "SEED={seed}: each dead letter once");
        (flushed.take(), expected)
    }

    #[test]
    fn every_row_is_there_and_after_failures_perhaps_again() {
        let mut again = 0;
        for seed in 0..60 {
            let (flushed, expected) = run(seed);
            let found: BTreeSet<String> = flushed.iter().cloned().collect();
            assert_eq!(found, expected, "SEED={seed}");
            again += flushed.len() - expected.len();
        }
        assert!(again > 0, "nothing failed between a flush and its commit");
    }
}
