//! The member as the loop sees it.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rdkafka::consumer::Consumer;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::producer::Producer;
use rdkafka::topic_partition_list::Offset;

use super::witness::{Rebalanced, Witness};
use super::{ANSWER, KafkaLog, STATISTICS_LAG, Transaction, offsets, verdict};
use crate::log::{
    Batch, Bounds, Clock, Event, Limits, Log, LogError, Outgoing, Partition, Position, Record,
};

impl Log for KafkaLog {
    fn poll(
        &mut self,
        wait: Duration,
        limits: Limits,
        batch: &mut Batch,
    ) -> Result<Option<Event>, LogError> {
        self.serve_producer();
        let mut wait = wait;
        let mut empty = false;
        let heard = self.witness.heard();
        while !batch.is_full(limits) {
            match self.consumer.poll(wait) {
                None => {
                    empty = self.witness.heard() == heard;
                    break;
                }
                Some(Ok(message)) => take(&self.witness, &mut self.last_topic, &message, batch),
                Some(Err(error)) => {
                    if let Some(error) = verdict::of_poll(&error) {
                        return Err(error);
                    }
                }
            }
            wait = Duration::ZERO;
        }
        self.not_refused()?;
        match self.witness.take_rebalance() {
            Some(Rebalanced::Assigned(partitions)) => {
                self.assign_owed = true;
                self.generation = self.consumer.group_metadata();
                Ok(Some(Event::Assigned(partitions)))
            }
            Some(Rebalanced::Revoked { lost }) => Ok(Some(Event::Revoked { lost })),
            None if empty => Ok(self.passed()),
            None => Ok(None),
        }
    }

    fn committed(&mut self, partitions: &[Partition]) -> Result<Vec<Option<Position>>, LogError> {
        let first_start = |(offset, metadata): (i64, String)| Position {
            offset,
            first_start_ms: offsets::first_start(&metadata),
            clock: Clock::default(),
        };
        let stable = self.stable_commits(partitions)?;
        Ok(stable.into_iter().map(|at| at.map(first_start)).collect())
    }

    fn note(&mut self, notes: Vec<(Partition, String)>) {
        self.notes = notes.into_iter().collect();
    }

    fn notes(&mut self, partitions: &[Partition]) -> Result<Vec<Option<String>>, LogError> {
        let stable = self.stable_commits(partitions)?;
        Ok(stable
            .into_iter()
            .map(|at| at.map(|(_, note)| note))
            .collect())
    }

    fn siblings(&mut self, of: Partition) -> Result<Vec<Partition>, LogError> {
        self.partitions_of(of)
    }

    fn bounds(&mut self, partitions: &[Partition]) -> Result<Vec<Bounds>, LogError> {
        self.bounds_of(partitions)
    }

    fn offsets_at(&mut self, partitions: &[Partition], time_ms: i64) -> Result<Vec<i64>, LogError> {
        self.offsets_from(partitions, time_ms)
    }

    fn assign(&mut self, positions: &[(Partition, i64)]) -> Result<(), LogError> {
        if !self.assign_owed && self.consumer.assignment_lost() {
            // Assigning would hide the loss; the event that tells of it comes with the next poll.
            return Err(LogError::Abortable {
                message: "the partitions were given to others".into(),
            });
        }
        let partitions: Vec<Partition> =
            positions.iter().map(|(partition, _)| *partition).collect();
        let list = self.list(&partitions, |at| Offset::Offset(positions[at].1))?;
        self.consumer
            .assign(&list)
            .map_err(|error| LogError::Broken {
                message: format!("taking the assignment: {error}"),
            })?;
        self.assign_owed = false;
        self.assigned = partitions;
        self.assigned_at = Instant::now();
        Ok(())
    }

    fn unassign(&mut self) -> Result<(), LogError> {
        self.assigned.clear();
        self.assign_owed = false;
        self.consumer.unassign().map_err(|error| LogError::Broken {
            message: format!("giving the assignment up: {error}"),
        })
    }

    fn begin(&mut self) -> Result<(), LogError> {
        let _ = self.witness.take_delivery_error();
        if self.setup.exactly_once {
            self.producer
                .begin_transaction()
                .map_err(|error| verdict::of_transaction(&error, "opening a transaction"))?;
        }
        self.transaction = Transaction::Open;
        Ok(())
    }

    fn produce(&mut self, record: &Outgoing<'_>) -> Result<(), LogError> {
        self.send(record)
    }

    fn commit(&mut self, positions: &[(Partition, Position)]) -> Result<(), LogError> {
        if self.transaction != Transaction::InDoubt && self.consumer.assignment_lost() {
            return Err(LogError::Abortable {
                message: "the partitions were given to others before the commit".into(),
            });
        }
        if self.setup.exactly_once {
            self.commit_transaction(positions)
        } else {
            self.commit_after_delivery(positions)
        }
    }

    fn abort(&mut self) -> Result<(), LogError> {
        self.abort_transaction(ANSWER)
    }

    fn end(&self, partition: Partition) -> Option<i64> {
        self.witness
            .ends(partition)
            .map(|ends| ends.stable)
            .filter(|stable| *stable >= 0)
    }

    fn trouble(&self) -> Option<String> {
        self.witness.down()
    }

    fn now(&self) -> Duration {
        self.born.elapsed()
    }

    fn wall_ms(&self) -> i64 {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }
}

impl KafkaLog {
    /// Offsets below which everything was delivered, though no record is there. Call only when the
    /// queue was just found empty.
    fn passed(&mut self) -> Option<Event> {
        let snapshot = self.witness.snapshot();
        let taken = snapshot.taken?;
        if self.passed_from == Some(taken) || taken < self.assigned_at + STATISTICS_LAG {
            return None;
        }
        self.passed_from = Some(taken);
        let passed: Vec<(Partition, i64)> = self
            .assigned
            .iter()
            .filter_map(|partition| {
                snapshot
                    .partitions
                    .get(partition)
                    .map(|ends| (*partition, ends.passed))
            })
            .filter(|(_, offset)| *offset >= 0)
            .collect();
        (!passed.is_empty()).then_some(Event::Passed(passed))
    }
}

fn take(
    witness: &Witness,
    last_topic: &mut Option<(usize, u16)>,
    message: &BorrowedMessage<'_>,
    batch: &mut Batch,
) {
    let handle = message.topic_ptr() as usize;
    let topic = match *last_topic {
        Some((known, topic)) if known == handle => topic,
        _ => {
            let Some(partition) = witness.partition(message.topic(), message.partition()) else {
                return;
            };
            *last_topic = Some((handle, partition.topic));
            partition.topic
        }
    };
    batch.push(&Record {
        partition: Partition {
            topic,
            number: message.partition(),
        },
        offset: message.offset(),
        timestamp_ms: message.timestamp().to_millis(),
        key: message.key(),
        value: message.payload(),
    });
}
