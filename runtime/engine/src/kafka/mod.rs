//! The [`Log`] over librdkafka: one consumer and one transactional producer, both driven by the
//! calling thread alone.
//!
//! What is done here and why, in librdkafka's terms (2.12):
//! * A rebalance event leaves the group waiting for `assign`/`unassign`; the loop calls it once its
//!   transaction is over. The fetchers are paused meanwhile, so no foreign record slips in.
//! * A rewind is an `assign` of the same partitions: it raises each partition's version barrier
//!   before it returns, so nothing that was fetched earlier is delivered (a `seek` needs a started
//!   fetcher and fails in between).
//! * Delivery reports are events here, and `commit_transaction` waits for them; the queue is
//!   therefore served until nothing is in flight before the commit is asked for.
//! * Markers, aborted and compacted records take offsets. The position moves past them once the
//!   statistics say that the fetcher stood at the end *and* the queue was found empty after that;
//!   else retention could remove a marker and make an idle pipeline look as if it had lost data.

mod config;
#[cfg(test)]
mod real;
mod verdict;
mod witness;

pub use config::{ConfigError, config};

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::log::{
    Batch, Bounds, Event, Limits, Log, LogError, Outgoing, Partition, Position, Reason, Record,
};
use witness::{Rebalanced, Witness};

/// Longest wait for one answer of the broker. Well below the group's patience, so that a few may follow each other.
const ANSWER: Duration = Duration::from_secs(10);
/// Longest wait for the first answer of all.
const FIRST_ANSWER: Duration = Duration::from_secs(20);
/// The statistics lag behind by up to a second inside librdkafka; twice that is safe.
const STATISTICS_LAG: Duration = Duration::from_secs(2);

/// What a member of a group needs to know of itself.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Input topics; [`Partition::topic`] is an index into this list.
    pub topics: Vec<String>,
    /// Topics that are written to; checked at the start, so that a missing one is named.
    pub other_topics: Vec<String>,
    /// Consumer group.
    pub group: String,
    /// Transactional id and static member id.
    pub member: String,
    /// Longest time between two commits, in milliseconds; the transaction's time-out grows with it.
    pub commit_interval_ms: u64,
    /// True: transactions. False: an idempotent producer, and offsets committed after the records are acknowledged.
    pub exactly_once: bool,
    /// `max.message.bytes` of every topic written to.
    pub max_message_bytes: Vec<u64>,
}

/// See the module.
pub struct KafkaLog {
    consumer: BaseConsumer<Witness>,
    producer: BaseProducer<Witness>,
    witness: Witness,
    setup: Setup,
    born: Instant,
    /// The group waits for our `assign`.
    assign_owed: bool,
    assigned: Vec<Partition>,
    assigned_at: Instant,
    /// The group's generation that gave us the partitions. Commits carry this one and not the present
    /// one, so that a rebalance we haven't noticed makes the broker refuse them.
    generation: Option<ConsumerGroupMetadata>,
    in_transaction: bool,
    offsets_sent: bool,
    passed_from: Option<Instant>,
    /// The last topic's handle and its index: consecutive records mostly share it.
    last_topic: Option<(usize, u16)>,
}

impl KafkaLog {
    /// Connects, checks that every topic is there, fences whoever ran under this member's name before,
    /// and joins the group.
    ///
    /// # Errors
    /// See [`LogError`]; every one of them may be tried again.
    pub fn open(base: &ClientConfig, setup: Setup) -> Result<KafkaLog, LogError> {
        let witness = Witness::new(setup.topics.clone());
        let broken = |error: KafkaError| LogError::NeedsPerson {
            reason: Reason::PlanRefused,
            message: format!(
                "the Kafka client can't be made: {error}; check the connection settings of the Platform"
            ),
        };
        let consumer: BaseConsumer<Witness> = config::consumer(base, &setup)
            .create_with_context(witness.clone())
            .map_err(broken)?;
        let producer: BaseProducer<Witness> = config::producer(base, &setup)
            .create_with_context(witness.clone())
            .map_err(broken)?;
        let now = Instant::now();
        let log = KafkaLog {
            consumer,
            producer,
            witness,
            setup,
            born: now,
            assign_owed: false,
            assigned: Vec::new(),
            assigned_at: now,
            generation: None,
            in_transaction: false,
            offsets_sent: false,
            passed_from: None,
            last_topic: None,
        };
        log.find_topics()?;
        if log.setup.exactly_once {
            log.fence_predecessor()?;
        }
        let topics: Vec<&str> = log.setup.topics.iter().map(String::as_str).collect();
        log.consumer
            .subscribe(&topics)
            .map_err(|error| verdict::of_query(&error, "joining the group"))?;
        Ok(log)
    }

    fn find_topics(&self) -> Result<(), LogError> {
        let mut topics: Vec<&str> = self
            .setup
            .topics
            .iter()
            .chain(&self.setup.other_topics)
            .map(String::as_str)
            .collect();
        topics.sort_unstable();
        topics.dedup();
        for topic in topics {
            let metadata = self.answered(
                self.consumer.fetch_metadata(Some(topic), ANSWER),
                "asking for the topics",
            )?;
            let error = metadata
                .topics()
                .first()
                .and_then(rdkafka::metadata::MetadataTopic::error);
            if let Some(error) = error.map(RDKafkaErrorCode::from) {
                return Err(verdict::of_query(
                    &KafkaError::MetadataFetch(error),
                    &format!("topic {topic}"),
                ));
            }
        }
        Ok(())
    }

    fn fence_predecessor(&self) -> Result<(), LogError> {
        let deadline = Instant::now() + FIRST_ANSWER;
        loop {
            let answer = self.producer.init_transactions(Duration::from_secs(5));
            self.serve_producer();
            match answer.map_err(|error| {
                verdict::of_transaction(&error, "starting the transactional producer")
            }) {
                Ok(()) => return Ok(()),
                Err(LogError::Retriable { message }) => {
                    self.not_refused()?;
                    if Instant::now() >= deadline {
                        return Err(LogError::Unavailable {
                            message: self.witness.down().unwrap_or(message),
                        });
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Turns the failure of a first answer into what lies behind it.
    fn answered<T>(&self, answer: Result<T, KafkaError>, doing: &str) -> Result<T, LogError> {
        answer.map_err(|error| {
            // Errors wait in the queues until somebody polls.
            let _ = self.consumer.poll(Duration::ZERO);
            for _ in 0..20 {
                let _ = self.consumer.poll(Duration::from_millis(5));
            }
            if let Some(refused) = self.witness.take_refusal() {
                return refused;
            }
            match verdict::of_query(&error, doing) {
                LogError::Retriable { message } => LogError::Unavailable {
                    message: self.witness.down().unwrap_or(message),
                },
                other => other,
            }
        })
    }

    fn not_refused(&self) -> Result<(), LogError> {
        self.witness.take_refusal().map_or(Ok(()), Err)
    }

    fn serve_producer(&self) {
        for _ in 0..4 {
            self.producer.poll(Duration::ZERO);
        }
    }

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

    fn list(
        &self,
        partitions: &[Partition],
        offset: impl Fn(usize) -> Offset,
    ) -> Result<TopicPartitionList, LogError> {
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for (at, partition) in partitions.iter().enumerate() {
            list.add_partition_offset(self.topic(*partition), partition.number, offset(at))
                .map_err(|error| LogError::Broken {
                    message: format!(
                        "naming {}/{}: {error}",
                        self.topic(*partition),
                        partition.number
                    ),
                })?;
        }
        Ok(list)
    }

    fn topic(&self, partition: Partition) -> &str {
        self.setup
            .topics
            .get(usize::from(partition.topic))
            .map_or("", String::as_str)
    }

    fn offsets_for(
        &self,
        partitions: &[Partition],
        what: Offset,
    ) -> Result<Vec<Option<i64>>, LogError> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let list = self.list(partitions, |_| what)?;
        let answer = self
            .consumer
            .offsets_for_times(list, ANSWER)
            .map_err(|error| verdict::of_query(&error, "asking for offsets"))?;
        partitions
            .iter()
            .map(|partition| {
                let place = format!("{}/{}", self.topic(*partition), partition.number);
                let found = answer.find_partition(self.topic(*partition), partition.number);
                let found = found.ok_or_else(|| LogError::Retriable {
                    message: format!("no offset of {place} was given"),
                })?;
                found.error().map_err(|error| {
                    verdict::of_query(&error, &format!("asking for offsets of {place}"))
                })?;
                Ok(match found.offset() {
                    Offset::Offset(offset) => Some(offset),
                    _ => None,
                })
            })
            .collect()
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
        match self.witness.take_delivery_error() {
            None => Ok(()),
            Some(code) => {
                let error = KafkaError::MessageProduction(code);
                Err(match verdict::of_query(&error, "writing") {
                    person @ LogError::NeedsPerson { .. } => person,
                    fenced @ LogError::Fenced { .. } => fenced,
                    _ => LogError::Abortable {
                        message: format!("writing: {error}"),
                    },
                })
            }
        }
    }

    fn positions(
        &self,
        positions: &[(Partition, Position)],
    ) -> Result<TopicPartitionList, LogError> {
        let mut list = TopicPartitionList::with_capacity(positions.len());
        for (partition, position) in positions {
            let mut entry = list.add_partition(self.topic(*partition), partition.number);
            entry
                .set_offset(Offset::Offset(position.offset))
                .map_err(|error| LogError::Broken {
                    message: format!("position {} can't be committed: {error}", position.offset),
                })?;
            if let Some(first) = position.first_start_ms {
                entry.set_metadata(format!("{FIRST_START}{first}"));
            }
        }
        Ok(list)
    }

    fn commit_transaction(&mut self, positions: &[(Partition, Position)]) -> Result<(), LogError> {
        if !self.offsets_sent {
            let list = self.positions(positions)?;
            let Some(generation) = &self.generation else {
                return Err(LogError::Abortable {
                    message: "no partition was ever assigned".into(),
                });
            };
            self.producer
                .send_offsets_to_transaction(&list, generation, ANSWER)
                .map_err(|error| {
                    verdict::of_transaction(&error, "adding positions to the transaction")
                })?;
            self.offsets_sent = true;
        }
        self.flush(ANSWER)?;
        self.delivered()?;
        self.producer
            .commit_transaction(ANSWER)
            .map_err(|error| verdict::of_transaction(&error, "committing the transaction"))?;
        self.in_transaction = false;
        self.offsets_sent = false;
        Ok(())
    }

    fn commit_after_delivery(
        &mut self,
        positions: &[(Partition, Position)],
    ) -> Result<(), LogError> {
        self.flush(ANSWER)?;
        self.delivered()?;
        let list = self.positions(positions)?;
        match self.consumer.commit(&list, CommitMode::Sync) {
            Ok(()) => {
                self.in_transaction = false;
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
            Err(error) => Err(verdict::of_query(&error, "committing positions")),
        }
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

/// How the first start is written in a commit's metadata.
const FIRST_START: &str = "headworks-first-start=";

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
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let list = self.list(partitions, |_| Offset::Invalid)?;
        let answer = self
            .consumer
            .committed_offsets(list, ANSWER)
            .map_err(|error| verdict::of_query(&error, "reading the group's commits"))?;
        partitions
            .iter()
            .map(|partition| {
                let place = format!("{}/{}", self.topic(*partition), partition.number);
                let found = answer.find_partition(self.topic(*partition), partition.number);
                let found = found.ok_or_else(|| LogError::Retriable {
                    message: format!("no commit of {place} was given"),
                })?;
                found.error().map_err(|error| {
                    verdict::of_query(&error, &format!("reading the commit of {place}"))
                })?;
                Ok(match found.offset() {
                    Offset::Offset(offset) => Some(Position {
                        offset,
                        first_start_ms: found
                            .metadata()
                            .strip_prefix(FIRST_START)
                            .and_then(|first| first.parse().ok()),
                    }),
                    _ => None,
                })
            })
            .collect()
    }

    fn siblings(&mut self, of: Partition) -> Result<Vec<Partition>, LogError> {
        let topic = self.topic(of).to_owned();
        let metadata = self
            .consumer
            .fetch_metadata(Some(&topic), ANSWER)
            .map_err(|error| verdict::of_query(&error, "asking for the topic's partitions"))?;
        let known = metadata.topics().iter().find(|found| found.name() == topic);
        Ok(known.map_or_else(Vec::new, |found| {
            found
                .partitions()
                .iter()
                .map(|partition| Partition {
                    topic: of.topic,
                    number: partition.id(),
                })
                .collect()
        }))
    }

    fn bounds(&mut self, partitions: &[Partition]) -> Result<Vec<Bounds>, LogError> {
        let earliest = self.offsets_for(partitions, Offset::Beginning)?;
        let end = self.offsets_for(partitions, Offset::End)?;
        earliest
            .into_iter()
            .zip(end)
            .map(|bounds| match bounds {
                (Some(earliest), Some(end)) => Ok(Bounds { earliest, end }),
                _ => Err(LogError::Retriable {
                    message: "the broker gave no bounds of a partition".into(),
                }),
            })
            .collect()
    }

    fn offsets_at(&mut self, partitions: &[Partition], time_ms: i64) -> Result<Vec<i64>, LogError> {
        let found = self.offsets_for(partitions, Offset::Offset(time_ms.max(0)))?;
        let end = self.bounds(partitions)?;
        Ok(found
            .into_iter()
            .zip(end)
            .map(|(found, bounds)| found.unwrap_or(bounds.end))
            .collect())
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
        self.in_transaction = true;
        self.offsets_sent = false;
        Ok(())
    }

    fn produce(&mut self, record: &Outgoing<'_>) -> Result<(), LogError> {
        let mut outgoing: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(record.topic);
        outgoing.key = record.key;
        outgoing.payload = record.value;
        outgoing.timestamp = record.timestamp_ms;
        if !record.headers.is_empty() {
            let headers = OwnedHeaders::new_with_capacity(record.headers.len());
            outgoing.headers = Some(record.headers.iter().fold(
                headers,
                |headers, (key, value)| {
                    headers.insert(Header {
                        key,
                        value: Some(value),
                    })
                },
            ));
        }
        let deadline = Instant::now() + ANSWER;
        loop {
            let (error, back) = match self.producer.send(outgoing) {
                Ok(()) => return Ok(()),
                Err(refused) => refused,
            };
            match error.rdkafka_error_code() {
                Some(RDKafkaErrorCode::QueueFull) if Instant::now() < deadline => {
                    self.producer.poll(Duration::from_millis(2))
                }
                Some(RDKafkaErrorCode::QueueFull) => {
                    return Err(LogError::Abortable {
                        message: format!("Kafka took no record for {} s", ANSWER.as_secs()),
                    });
                }
                Some(RDKafkaErrorCode::Fatal) => {
                    let said = self.producer.client().fatal_error();
                    let message = said
                        .as_ref()
                        .map_or_else(|| error.to_string(), |(_, text)| text.clone());
                    return Err(
                        match said.map(|(code, _)| verdict::of_client(code, &message)) {
                            Some(Some(known)) => known,
                            _ => LogError::Broken { message },
                        },
                    );
                }
                // The transaction has failed already: the delivery report says why, the abort mends it.
                Some(RDKafkaErrorCode::State) => {
                    return Err(LogError::Abortable {
                        message: format!("writing to {}: {error}", record.topic),
                    });
                }
                _ => {
                    return Err(verdict::of_query(
                        &error,
                        &format!("writing to {}", record.topic),
                    ));
                }
            }
            outgoing = back;
        }
    }

    fn commit(&mut self, positions: &[(Partition, Position)]) -> Result<(), LogError> {
        if self.consumer.assignment_lost() {
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
        if !std::mem::take(&mut self.in_transaction) || !self.setup.exactly_once {
            return Ok(());
        }
        let deadline = Instant::now() + ANSWER;
        loop {
            // Aborting waits for the delivery reports of the purged records, which only we can serve.
            let answer = self.producer.abort_transaction(Duration::from_millis(500));
            match answer
                .map_err(|error| verdict::of_transaction(&error, "aborting the transaction"))
            {
                Ok(()) => {
                    self.offsets_sent = false;
                    return Ok(());
                }
                Err(LogError::Retriable { .. }) if Instant::now() < deadline => {
                    self.producer.poll(Duration::from_millis(5))
                }
                Err(LogError::Retriable { message } | LogError::Abortable { message }) => {
                    return Err(LogError::Broken { message });
                }
                Err(error) => return Err(error),
            }
        }
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

impl Drop for KafkaLog {
    fn drop(&mut self) {
        self.witness.close();
        // A group that waits for our answer would wait for ever in the consumer's close.
        if self.assign_owed {
            let _ = self.consumer.assign(&TopicPartitionList::new());
        }
        let _ = self.consumer.unassign();
        if self.in_transaction && self.setup.exactly_once {
            let _ = self.abort();
        }
    }
}
