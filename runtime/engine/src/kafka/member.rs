//! The member as the loop sees it.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::producer::Producer;
use rdkafka::topic_partition_list::Offset;

use super::member_events::Rebalanced;
use super::queue::Queue;
use super::{ANSWER, KafkaLog, STATISTICS_LAG, Transaction, error_mapping, offsets};
use crate::log::{
    Batch, Bounds, Changelog, Event, Former, GroupConsumer, Limits, LogError, Outgoing, Partition,
    Position, Refusal, Table, TableRows, Take, Transactions, has_no,
};

impl GroupConsumer for KafkaLog {
    fn poll(
        &mut self,
        wait: Duration,
        limits: Limits,
        batch: &mut Batch,
    ) -> Result<Option<Event>, LogError> {
        self.serve_producer();
        let heard = self.events.client.heard();
        let mut empty = self.read(limits, batch)?;
        if batch.is_empty() && self.events.client.heard() == heard && self.bell.wait(wait) {
            empty = self.read(limits, batch)?;
        }
        self.not_refused()?;
        match self.events.take_rebalance() {
            Some(Rebalanced::Assigned(partitions)) => {
                self.assign_owed = true;
                self.generation = self.consumer.group_metadata().map(Arc::new);
                Ok(Some(Event::Assigned(partitions)))
            }
            Some(Rebalanced::Revoked { lost }) => Ok(Some(Event::Revoked { lost })),
            None if empty && self.events.client.heard() == heard => Ok(self.passed()),
            None => Ok(None),
        }
    }

    fn committed(&mut self, partitions: &[Partition]) -> Result<Vec<Option<Position>>, LogError> {
        let stable = self.stable_commits(partitions)?;
        Ok(stable
            .into_iter()
            .map(|at| at.map(|(offset, metadata)| offsets::position(offset, &metadata)))
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
        self.reader = None;
        self.queues.clear();
        for partition in &partitions {
            let (topic, number) = (self.topic(*partition), partition.number);
            let queue = Queue::detach(&self.consumer, topic, number, &self.bell);
            let queue = queue.ok_or_else(|| LogError::Broken {
                message: format!("{topic}/{number} has no queue"),
            })?;
            self.queues.add(*partition, queue);
        }
        self.consumer
            .assign(&list)
            .map_err(|error| LogError::Broken {
                message: format!("taking the assignment: {error}"),
            })?;
        self.assign_owed = false;
        self.committed_here = false;
        self.assigned = partitions;
        self.assigned_at = Instant::now();
        Ok(())
    }

    fn unassign(&mut self) -> Result<(), LogError> {
        self.reader = None;
        self.queues.clear();
        self.assigned.clear();
        self.assign_owed = false;
        self.committed_here = false;
        self.consumer.unassign().map_err(|error| LogError::Broken {
            message: format!("giving the assignment up: {error}"),
        })
    }

    fn hold_back(&mut self, partitions: &[Partition]) {
        self.queues.hold(partitions);
    }

    fn end(&self, partition: Partition) -> Option<i64> {
        self.events
            .ends(partition)
            .map(|ends| ends.stable)
            .filter(|stable| *stable >= 0)
    }

    fn trouble(&self) -> Option<String> {
        if let Some(down) = self.events.client.down() {
            return Some(format!(
                "no broker can be reached: {down}; nothing is lost, the work goes on when one answers"
            ));
        }
        let outside = self.events.outside_for()?;
        // librdkafka goes on asking without a word, whatever the coordinator answers.
        (outside >= self.admission_limit).then(|| {
            format!(
                "group {} has not let this member in for {} s: its coordinator refuses or doesn't answer, or waits for other members; \
                 see the log of the broker that coordinates it (kafka-consumer-groups --describe --state --group names it or says why not) \
                 and whether the group's other members are well; nothing is lost, the work goes on when the member is let in",
                self.setup.group,
                self.admission_limit.as_secs()
            )
        })
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

    fn peek(&mut self, partitions: &[Partition]) -> Result<Vec<Option<Position>>, LogError> {
        self.committed(partitions)
    }
}

impl Transactions for KafkaLog {
    fn begin(&mut self) -> Result<(), LogError> {
        let _ = self.events.client.take_delivery_error();
        if self.setup.exactly_once {
            self.producer
                .begin_transaction()
                .map_err(|error| error_mapping::of_transaction(&error, "opening a transaction"))?;
        }
        self.transaction = Transaction::Open;
        self.written = 0;
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

    fn written(&self) -> u64 {
        self.written
    }

    fn abort(&mut self) -> Result<(), LogError> {
        self.abort_transaction(ANSWER)
    }

    fn set_commit_metadata(&mut self, notes: Vec<(Partition, String)>) {
        self.commit_metadata = notes.into_iter().collect();
    }

    fn commit_metadata(
        &mut self,
        partitions: &[Partition],
    ) -> Result<Vec<Option<String>>, LogError> {
        let stable = self.stable_commits(partitions)?;
        Ok(stable
            .into_iter()
            // Tools that set a group's offsets leave no note.
            .map(|at| at.map(|(_, note)| note).filter(|note| !note.is_empty()))
            .collect())
    }
}

impl Changelog for KafkaLog {
    fn restore(&mut self, topic: &str, partition: i32, take: Take<'_>) -> Result<u64, LogError> {
        self.read_changelog(topic, partition, take)
    }

    fn trim(&mut self, offsets: &[(Partition, i64)]) {
        self.delete_below(offsets);
    }
}

impl Table for KafkaLog {
    fn insert(&mut self, _: &TableRows, _: bool) -> Result<Vec<Refusal>, LogError> {
        Err(has_no("table"))
    }

    fn former(&self, _: Partition, _: i64) -> Former {
        Former::Nothing
    }

    fn mark_dead_lettered(&mut self, _: Partition, _: i64) {}
}

impl KafkaLog {
    /// Offsets below which everything was delivered, though no record is there. Call only when the
    /// queue was just found empty.
    fn passed(&mut self) -> Option<Event> {
        let taken = self.events.taken()?;
        if self.passed_from == Some(taken) || taken < self.assigned_at + STATISTICS_LAG {
            return None;
        }
        self.passed_from = Some(taken);
        // What is held back isn't read, so what was fetched of it isn't delivered.
        let passed: Vec<(Partition, i64)> = self
            .queues
            .open()
            .filter_map(|partition| {
                self.events
                    .ends(partition)
                    .map(|ends| (partition, ends.passed))
            })
            .filter(|(_, offset)| *offset >= 0)
            .collect();
        (!passed.is_empty()).then_some(Event::Passed(passed))
    }

    /// Serves events, then appends what is at hand. True: nothing more was there.
    fn read(&mut self, limits: Limits, batch: &mut Batch) -> Result<bool, LogError> {
        self.serve_events()?;
        if self.events.is_rebalancing() {
            return Ok(false);
        }
        let filled = self.queues.fill(limits, batch);
        match filled.map_err(|code| error_mapping::of_poll(&KafkaError::MessageConsumption(code))) {
            Ok(empty) => Ok(empty),
            Err(Some(error)) => Err(error),
            // librdkafka goes on by itself.
            Err(None) => Ok(false),
        }
    }

    /// Takes what the consumer's own queue brings: everything but records.
    pub(super) fn serve_events(&mut self) -> Result<(), LogError> {
        while !self.events.is_rebalancing() {
            let heard = self.events.client.heard();
            match self.consumer.poll(Duration::ZERO) {
                None if self.events.client.heard() == heard => break,
                None => {}
                Some(Err(error)) => {
                    if let Some(error) = error_mapping::of_poll(&error) {
                        return Err(error);
                    }
                }
                Some(Ok(message)) => {
                    return Err(LogError::Broken {
                        message: format!(
                            "a record of {}/{} came by the wrong queue",
                            message.topic(),
                            message.partition()
                        ),
                    });
                }
            }
        }
        Ok(())
    }
}
