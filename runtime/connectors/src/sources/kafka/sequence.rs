//! The transactions: records, and the place in the sequence after them, committed together.

use std::sync::Arc;
use std::time::{Duration, Instant};

use headworks_engine::StopFlag;
use headworks_engine::kafka::{
    BoundedClient, ClientEvents, bounded_call, config, error_mapping, is_purge,
};
use headworks_engine::log::{LogError, Reason};
use headworks_plan::{KafkaConnection, SourcePlan};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use rdkafka::{Offset, TopicPartitionList};

use super::outgoing::Outgoing;
use super::producer::{Missing, Queue, Topics, configure, headers, look};

/// Longest wait for an answer while connecting; a stop is heard in between.
const CONNECTING: Duration = Duration::from_secs(3);
/// How long the transactional producer may take to start.
const STARTING: Duration = Duration::from_secs(20);
/// Longest wait for an answer within a transaction.
const ANSWER: Duration = Duration::from_secs(10);
/// How long an open transaction of a dead pod holds up readers.
const TRANSACTION_MS: u64 = 20_000;
/// How long an abort may take; a successor would end the transaction as well.
const ABORT: Duration = Duration::from_secs(2);
/// How often a full producer queue is tried again.
const QUEUE_FULL: Duration = Duration::from_millis(2);
/// A batch is handed over at once, and committed then.
const QUEUE: Queue = Queue {
    linger: Duration::from_millis(5),
    records: 100_000,
    kibibytes: 32 * 1024,
};

/// Where records go together with the place in the sequence after them.
pub(in crate::sources) trait Ledger {
    /// Commits `records`, and that number `next` comes after them.
    ///
    /// # Errors
    /// The ledger is of no more use. After anything but [`LogError::Abortable`] the records may have been
    /// committed all the same; the next ledger's place tells.
    fn commit(&mut self, records: &[Outgoing], next: u64) -> Result<(), LogError>;
}

/// A transactional producer that has fenced its predecessors.
pub(in crate::sources) struct SequenceWriter {
    producer: BoundedClient<ThreadedProducer<ClientEvents>>,
    /// Of a group without members: it is the transactional id that fences.
    group: Arc<ConsumerGroupMetadata>,
    topics: Topics,
    /// True while an abort would help.
    open: bool,
}

impl SequenceWriter {
    /// Connects, fences whoever wrote this sequence before, and says which number is next. `group` is the sequence's name: the
    /// consumer group that keeps its place, and the transactional id.
    pub(in crate::sources) fn open(
        kafka: &KafkaConnection,
        plan: &SourcePlan,
        group: &str,
        stop: &StopFlag,
    ) -> Result<(SequenceWriter, u64), LogError> {
        let base = config(kafka).map_err(|error| LogError::NeedsPerson {
            reason: Reason::SecretMissing,
            message: error.to_string(),
        })?;
        let topics = Topics::of(plan);
        let events = ClientEvents::default();
        let refused = |error: KafkaError| LogError::NeedsPerson {
            reason: Reason::PlanRefused,
            message: format!(
                "the Kafka client can't be made: {error}; check the connection settings of the Platform"
            ),
        };
        let producer: ThreadedProducer<ClientEvents> =
            producer(&base, plan.into.max_message_bytes, group)
                .create_with_context(events.clone())
                .map_err(refused)?;
        let producer = BoundedClient::new(producer);
        let consumer: BaseConsumer<ClientEvents> = base
            .clone()
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            // Waits for the markers of the predecessor's transaction.
            .set("isolation.level", "read_committed")
            .create_with_context(events.clone())
            .map_err(refused)?;
        let consumer = BoundedClient::new(consumer);
        for topic in topics.needed() {
            look(producer.client(), topic, CONNECTING).map_err(|missing| {
                let error = match missing {
                    Missing::NoAnswer(error) => error,
                    Missing::Refused(code) => KafkaError::MetadataFetch(code),
                };
                events.explain(&error, &format!("asking for topic {topic}"))
            })?;
        }
        start(&producer, &events, stop)?;
        let next = place(&consumer, &events, topics.stream())?;
        let group = consumer
            .group_metadata()
            .ok_or_else(|| broken("the consumer has no group"))?;
        let session = SequenceWriter {
            producer,
            group: Arc::new(group),
            topics,
            open: false,
        };
        Ok((session, next))
    }
}

/// Waits until the producer may begin a transaction, and every predecessor's is over.
fn start(
    producer: &ThreadedProducer<ClientEvents>,
    events: &ClientEvents,
    stop: &StopFlag,
) -> Result<(), LogError> {
    let deadline = Instant::now() + STARTING;
    loop {
        let answer = producer.init_transactions(CONNECTING);
        let error = match answer {
            Ok(()) => return Ok(()),
            Err(error) => {
                error_mapping::of_transaction(&error, "starting the transactional producer")
            }
        };
        let LogError::Retriable { message } = error else {
            return Err(error);
        };
        if let Some(refused) = events.take_refusal() {
            return Err(refused);
        }
        if stop.is_stopped() || Instant::now() >= deadline {
            return Err(LogError::Unavailable { message });
        }
    }
}

/// The committed place in the sequence; 0 before the first commit.
fn place(
    consumer: &BaseConsumer<ClientEvents>,
    events: &ClientEvents,
    topic: &str,
) -> Result<u64, LogError> {
    let doing = "reading the place in the sequence";
    let mut asked = TopicPartitionList::new();
    asked.add_partition(topic, 0);
    let told = consumer
        .committed_offsets(asked, ANSWER)
        .map_err(|error| events.explain(&error, doing))?;
    let told = told
        .find_partition(topic, 0)
        .ok_or_else(|| broken("no answer about the place in the sequence"))?;
    told.error()
        .map_err(|error| error_mapping::of_query(&error, doing))?;
    Ok(match told.offset() {
        Offset::Offset(next) => u64::try_from(next).unwrap_or(0),
        _ => 0,
    })
}

fn broken(message: &str) -> LogError {
    LogError::Broken {
        message: message.to_owned(),
    }
}

fn producer(base: &ClientConfig, max_message_bytes: u64, group: &str) -> ClientConfig {
    let mut config = base.clone();
    configure(&mut config, max_message_bytes, &QUEUE);
    config
        .set("transactional.id", group)
        .set("transaction.timeout.ms", TRANSACTION_MS.to_string())
        .set("message.timeout.ms", TRANSACTION_MS.to_string());
    config
}

impl Ledger for SequenceWriter {
    fn commit(&mut self, records: &[Outgoing], next: u64) -> Result<(), LogError> {
        // What is left of the transaction before this one.
        let _ = self.producer.context().take_delivery_error();
        let _ = self.producer.context().take_refusal();
        self.producer
            .begin_transaction()
            .map_err(|error| error_mapping::of_transaction(&error, "opening a transaction"))?;
        self.open = true;
        for record in records {
            self.send(record)?;
        }
        let mut place = TopicPartitionList::with_capacity(1);
        let offset = Offset::Offset(next.cast_signed());
        place
            .add_partition_offset(self.topics.stream(), 0, offset)
            .map_err(|error| broken(&format!("place {next} can't be committed: {error}")))?;
        let (producer, group) = (Arc::clone(&self.producer), Arc::clone(&self.group));
        bounded_call(ANSWER, move |limit| {
            producer.send_offsets_to_transaction(&place, &group, limit)
        })
        .map_err(|error| self.cause(&error, "adding the place to the transaction"))?;
        // From here on the outcome may be unknown; only a successor learns it then.
        self.open = false;
        self.producer.commit_transaction(ANSWER).map_err(|error| {
            let error = self.cause(&error, "committing the transaction");
            self.open = matches!(error, LogError::Abortable { .. });
            error
        })
    }
}

impl SequenceWriter {
    fn send(&self, outgoing: &Outgoing) -> Result<(), LogError> {
        let topic = self.topics.of_target(outgoing.target);
        let mut record: BaseRecord<'_, [u8], [u8]> =
            BaseRecord::to(topic).payload(&outgoing.value[..]);
        record.key = outgoing.key.as_deref();
        record.headers = headers(outgoing);
        let deadline = Instant::now() + ANSWER;
        while let Err((error, back)) = self.producer.send(record) {
            let full = error.rdkafka_error_code() == Some(Code::QueueFull);
            if !full || Instant::now() > deadline {
                return Err(match error.rdkafka_error_code() {
                    Some(Code::QueueFull) => LogError::Abortable {
                        message: format!("Kafka took no record for {} s", ANSWER.as_secs()),
                    },
                    _ => self.cause(&error, &format!("writing to {topic}")),
                });
            }
            record = back;
            std::thread::sleep(QUEUE_FULL);
        }
        Ok(())
    }

    /// What lies behind the failure of a call: it may be a record that wasn't taken, or a fence.
    fn cause(&self, error: &KafkaError, doing: &str) -> LogError {
        let events = self.producer.context();
        if let Some(refused) = events.take_refusal() {
            return refused;
        }
        if let Some((code, said)) = self.producer.client().fatal_error()
            && let Some(known) = error_mapping::of_client(code, &said)
        {
            return known;
        }
        let verdict = error_mapping::of_transaction(error, doing);
        match events.take_delivery_error() {
            // What an abort throws away isn't why it was aborted.
            Some(code) if !matches!(verdict, LogError::Fenced { .. }) && !is_purge(code) => {
                let error = KafkaError::MessageProduction(code);
                match error_mapping::of_query(&error, &format!("{doing}, as a record wasn't taken"))
                {
                    LogError::Broken { message } => LogError::Abortable { message },
                    known => known,
                }
            }
            _ => verdict,
        }
    }
}

impl Drop for SequenceWriter {
    fn drop(&mut self) {
        // Readers needn't wait for the time-out of what is left open.
        if self.open {
            let _ = self.producer.abort_transaction(ABORT);
        }
    }
}
