//! Writing, committing, aborting.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{CommitMode, Consumer, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::producer::Producer;
use rdkafka::topic_partition_list::TopicPartitionList;

use super::bounded::{bounded_call, is_given_up};
use super::hanging_transaction::SHORT;
use super::{ANSWER, KafkaLog, Transaction, error_mapping};
use crate::log::{LogError, Outgoing, Partition, Position};

impl KafkaLog {
    pub(super) fn send(&mut self, record: &Outgoing<'_>) -> Result<(), LogError> {
        let mut deadline = None;
        loop {
            let Err(code) = self.producer.send(record) else {
                self.written += 1;
                return Ok(());
            };
            match code {
                RDKafkaErrorCode::QueueFull => {
                    // The clock is asked only where there is something to wait for.
                    let now = Instant::now();
                    if now >= *deadline.get_or_insert(now + ANSWER) {
                        return Err(LogError::Abortable {
                            message: format!("Kafka took no record for {} s", ANSWER.as_secs()),
                        });
                    }
                    self.producer.poll(Duration::from_millis(2));
                }
                RDKafkaErrorCode::Fatal => {
                    let said = self.producer.client().fatal_error();
                    let message = said
                        .as_ref()
                        .map_or_else(|| code.to_string(), |(_, text)| text.clone());
                    return Err(
                        match said.map(|(code, _)| error_mapping::of_client(code, &message)) {
                            Some(Some(known)) => known,
                            _ => LogError::Broken { message },
                        },
                    );
                }
                // The transaction has failed already: the delivery report says why, the abort mends it.
                RDKafkaErrorCode::State => {
                    return Err(LogError::Abortable {
                        message: format!("writing to {}: {code}", record.topic),
                    });
                }
                code => {
                    return Err(error_mapping::of_query(
                        &KafkaError::MessageProduction(code),
                        &format!("writing to {}", record.topic),
                    ));
                }
            }
        }
    }

    pub(super) fn commit_transaction(
        &mut self,
        positions: &[(Partition, Position)],
    ) -> Result<(), LogError> {
        if self.transaction == Transaction::Open {
            let list = self.positions(positions)?;
            self.restate()?;
            let Some(generation) = &self.generation else {
                return Err(LogError::Abortable {
                    message: "no partition was ever assigned".into(),
                });
            };
            self.setup.tracker.sent(&list);
            // Not for longer: what `restate` found must still hold.
            self.send_positions(list, Arc::clone(generation), SHORT)
                .map_err(|error| self.not_positioned(&error))?;
            self.transaction = Transaction::Positioned;
        }
        self.flush(ANSWER)?;
        self.delivered()?;
        self.setup.tracker.asked();
        if self.transaction != Transaction::InDoubt {
            self.broke_before = self.events.client.broke();
        }
        let answer = self
            .producer
            .commit_transaction(ANSWER)
            .map_err(|error| error_mapping::of_transaction(&error, "committing the transaction"));
        self.transaction = match answer {
            Ok(()) => {
                self.setup.tracker.confirmed();
                self.committed_here = true;
                Transaction::Closed
            }
            Err(LogError::Retriable { .. }) => Transaction::InDoubt,
            Err(_) => Transaction::Positioned,
        };
        answer
    }

    /// Adds positions to the transaction in the name of a member of `group`.
    pub(super) fn send_positions(
        &self,
        list: TopicPartitionList,
        group: Arc<ConsumerGroupMetadata>,
        limit: Duration,
    ) -> KafkaResult<()> {
        let producer = Arc::clone(&self.producer);
        bounded_call(limit, move |limit| {
            producer.send_offsets_to_transaction(&list, &group, limit)
        })
    }

    fn not_positioned(&self, error: &KafkaError) -> LogError {
        if is_given_up(error) {
            // A new session fences this one's client, whatever that may still do.
            return LogError::Unavailable {
                message: format!(
                    "adding positions to the transaction: the coordinator of group {} doesn't answer",
                    self.setup.group
                ),
            };
        }
        error_mapping::of_transaction(error, "adding positions to the transaction")
    }

    pub(super) fn commit_after_delivery(
        &mut self,
        positions: &[(Partition, Position)],
    ) -> Result<(), LogError> {
        self.flush(ANSWER)?;
        self.delivered()?;
        let list = self.positions(positions)?;
        match self.commit_positions(list, ANSWER) {
            Ok(()) => {
                self.transaction = Transaction::Closed;
                Ok(())
            }
            // The generation is over: what was written stays, what wasn't committed is read again.
            Err(KafkaError::ConsumerCommit(
                RDKafkaErrorCode::IllegalGeneration
                | RDKafkaErrorCode::UnknownMemberId
                | RDKafkaErrorCode::RebalanceInProgress,
            )) => Err(LogError::Abortable {
                message: "the partitions were given to others before the commit".into(),
            }),
            Err(error) => Err(self.not_committed(&error, "committing positions")),
        }
    }

    /// Commits positions outside of a transaction, in the name of the group's member.
    pub(super) fn commit_positions(
        &self,
        list: TopicPartitionList,
        limit: Duration,
    ) -> KafkaResult<()> {
        let consumer = Arc::clone(&self.consumer);
        bounded_call(limit, move |_| consumer.commit(&list, CommitMode::Sync))
    }

    /// What the failure of [`KafkaLog::commit_positions`] means. One that was given up may come through at any time, so this member
    /// must not commit anything further: a new session's member takes its place, and then the broker refuses it.
    pub(super) fn not_committed(&self, error: &KafkaError, doing: &str) -> LogError {
        if is_given_up(error) {
            return LogError::Unavailable {
                message: format!(
                    "{doing}: the coordinator of group {} doesn't answer",
                    self.setup.group
                ),
            };
        }
        error_mapping::of_query(error, doing)
    }

    pub(super) fn abort_transaction(&mut self, patience: Duration) -> Result<(), LogError> {
        match std::mem::replace(&mut self.transaction, Transaction::Closed) {
            Transaction::Closed => return Ok(()),
            _ if !self.setup.exactly_once => return Ok(()),
            Transaction::InDoubt => {
                return Err(LogError::Broken {
                    message: "a commit whose outcome isn't known can't be aborted".into(),
                });
            }
            Transaction::Open | Transaction::Positioned => {}
        }
        let deadline = Instant::now() + patience;
        loop {
            // Aborting waits for the delivery reports of the purged records, which only we can serve.
            let answer = self.producer.abort_transaction(Duration::from_millis(500));
            match answer
                .map_err(|error| error_mapping::of_transaction(&error, "aborting the transaction"))
            {
                Ok(()) => return Ok(()),
                Err(LogError::Retriable { .. }) if Instant::now() < deadline => {
                    self.producer.poll(Duration::from_millis(5));
                }
                Err(LogError::Retriable { message } | LogError::Abortable { message }) => {
                    return Err(LogError::Broken { message });
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Serves delivery reports until nothing is in flight.
    fn flush(&self, patience: Duration) -> Result<(), LogError> {
        let deadline = Instant::now() + patience;
        while self.producer.in_flight_count() > 0 {
            if Instant::now() >= deadline {
                return Err(LogError::Retriable {
                    message: format!(
                        "{} records are not acknowledged yet",
                        self.producer.in_flight_count()
                    ),
                });
            }
            self.producer.poll(Duration::from_millis(1));
        }
        Ok(())
    }

    fn delivered(&self) -> Result<(), LogError> {
        match self.events.client.take_delivery_error() {
            None => Ok(()),
            Some(code) => {
                let error = KafkaError::MessageProduction(code);
                Err(match error_mapping::of_query(&error, "writing") {
                    person @ LogError::NeedsPerson { .. } => person,
                    fenced @ LogError::Fenced { .. } => fenced,
                    _ => LogError::Abortable {
                        message: format!("writing: {error}"),
                    },
                })
            }
        }
    }
}
