//! A topic of a real Kafka, read without a group: partitions are assigned by hand, and nothing is committed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use headworks_engine::kafka::{BoundedClient, config, error_mapping};
use headworks_engine::log::LogError;
use headworks_plan::PeekPlan;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::metadata::{MetadataPartition, MetadataTopic};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::{ClientContext, Timestamp};

use super::Failure;
use super::dead_letter::PREFIX;
use super::select::{Event, Found, Topic};

/// Longest wait for one answer of the broker.
const ANSWER: Duration = Duration::from_secs(10);
/// The first answer is waited for so often, so long each: in between, what the client was told is looked at.
const TRIES: usize = 5;
const TRY: Duration = Duration::from_secs(4);
/// Records fetched ahead, in KiB over all partitions: they share the consumer's queue.
const FETCH_QUEUE_KIB: usize = 32 * 1024;

/// See the module.
pub(crate) struct KafkaTopic {
    consumer: BoundedClient<BaseConsumer<Heard>>,
    topic: String,
    group: String,
    bootstrap: String,
    /// True: dead letters are read, whose headers say what they are.
    with_headers: bool,
}

impl KafkaTopic {
    /// Connects.
    pub(crate) fn open(plan: &PeekPlan) -> Result<KafkaTopic, Failure> {
        let base = config(&plan.kafka)
            .map_err(|error| Failure::new("SecretMissing", error.to_string()))?;
        let consumer: BaseConsumer<Heard> = settings(base, &plan.group)
            .create_with_context(Heard::default())
            .map_err(|error| {
                Failure::new(
                    "PlanRefused",
                    format!("the Kafka client can't be made: {error}; check the connection settings of the Platform"),
                )
            })?;
        Ok(KafkaTopic {
            consumer: BoundedClient::new(consumer),
            topic: plan.topic().to_owned(),
            with_headers: plan.task.reads_letters(),
            group: plan.group.clone(),
            bootstrap: plan.kafka.bootstrap_servers.clone(),
        })
    }

    fn list(&self, offsets: &BTreeMap<i32, Offset>) -> Result<TopicPartitionList, Failure> {
        let mut list = TopicPartitionList::new();
        for (partition, offset) in offsets {
            list.add_partition_offset(&self.topic, *partition, *offset)
                .map_err(|error| self.failure(&error, "choosing offsets"))?;
        }
        Ok(list)
    }

    /// What lies behind an error: a refusal that the client was told of, else the error itself.
    fn failure(&self, error: &KafkaError, doing: &str) -> Failure {
        if let Some(refused) = self.consumer.context().refused() {
            return refused;
        }
        match error.rdkafka_error_code() {
            Some(Code::TopicAuthorizationFailed) => self.not_authorized(doing),
            _ => match error_mapping::of_query(error, doing) {
                LogError::NeedsPerson { reason, message } => Failure::new(reason.as_str(), message),
                LogError::Retriable { message } => self.unavailable(&message),
                other => Failure::new("KafkaError", other.to_string()),
            },
        }
    }

    fn not_authorized(&self, doing: &str) -> Failure {
        let topic = &self.topic;
        let place = if self.with_headers {
            "spec.deadLetters"
        } else {
            "spec.read"
        };
        Failure::new(
            "NotAuthorized",
            format!(
                "{doing}: Kafka doesn't let this user read topic {topic}: it needs Read and Describe on it. An AccessGrant that has the stream in {place} gives both; name it with --grant"
            ),
        )
    }

    fn unavailable(&self, message: &str) -> Failure {
        let why = self.consumer.context().down();
        let why = why.map_or_else(|| message.to_owned(), |down| format!("{message} ({down})"));
        Failure::new(
            "KafkaUnavailable",
            format!("Kafka at {} doesn't answer: {why}", self.bootstrap),
        )
    }

    /// Errors wait in the queue until somebody polls.
    fn listen(&self) {
        for _ in 0..20 {
            let _ = self.consumer.poll(Duration::from_millis(5));
        }
    }
}

/// A committed reader that belongs to no group's members: librdkafka needs a group's name all the same.
fn settings(mut config: ClientConfig, group: &str) -> ClientConfig {
    config
        .set("group.id", group)
        .set("isolation.level", "read_committed")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("enable.partition.eof", "true")
        // What retention takes while it is being looked at is gone: the next record is as good.
        .set("auto.offset.reset", "earliest")
        .set("check.crcs", "true")
        .set("fetch.max.bytes", (16 << 20).to_string())
        .set("fetch.queue.backoff.ms", "10")
        .set("fetch.error.backoff.ms", "100")
        .set("fetch.wait.max.ms", "100")
        .set("queued.max.messages.kbytes", FETCH_QUEUE_KIB.to_string());
    config
}

impl Topic for KafkaTopic {
    fn partitions(&mut self) -> Result<BTreeSet<i32>, Failure> {
        let doing = format!("asking for topic {}", self.topic);
        let mut tries = 0;
        let metadata = loop {
            tries += 1;
            let answer = self.consumer.fetch_metadata(Some(&self.topic), TRY);
            match answer {
                Ok(metadata) => break metadata,
                Err(error) => {
                    self.listen();
                    let refused = self.consumer.context().has_refused();
                    if refused || tries == TRIES {
                        return Err(self.failure(&error, &doing));
                    }
                }
            }
        };
        let found = metadata.topics().first();
        if let Some(error) = found.and_then(MetadataTopic::error) {
            return Err(self.failure(&KafkaError::MetadataFetch(error.into()), &doing));
        }
        let partitions = found.map(MetadataTopic::partitions).unwrap_or_default();
        Ok(partitions.iter().map(MetadataPartition::id).collect())
    }

    fn bounds(&mut self, partition: i32) -> Result<(i64, i64), Failure> {
        self.consumer
            .fetch_watermarks(&self.topic, partition, ANSWER)
            .map_err(|error| {
                let doing = format!("asking for the ends of {}/{partition}", self.topic);
                self.failure(&error, &doing)
            })
    }

    fn at_time(
        &mut self,
        partitions: &BTreeSet<i32>,
        ms: i64,
    ) -> Result<BTreeMap<i32, i64>, Failure> {
        let doing = format!("asking topic {} for records of a time", self.topic);
        let asked = partitions.iter().map(|p| (*p, Offset::Offset(ms)));
        let list = self.list(&asked.collect())?;
        let answer = self.consumer.offsets_for_times(list, ANSWER);
        let answer = answer.map_err(|error| self.failure(&error, &doing))?;
        let mut offsets = BTreeMap::new();
        for element in answer.elements() {
            element
                .error()
                .map_err(|error| self.failure(&error, &doing))?;
            if let Offset::Offset(offset) = element.offset() {
                offsets.insert(element.partition(), offset);
            }
        }
        Ok(offsets)
    }

    fn read_from(&mut self, offsets: &BTreeMap<i32, i64>) -> Result<(), Failure> {
        let offsets = offsets.iter().map(|(p, o)| (*p, Offset::Offset(*o)));
        let list = self.list(&offsets.collect())?;
        // A partition that was left before stays paused over an assignment.
        self.consumer
            .assign(&list)
            .and_then(|()| self.consumer.resume(&list))
            .map_err(|error| self.failure(&error, "beginning to read"))
    }

    fn leave(&mut self, partition: i32) -> Result<(), Failure> {
        let list = self.list(&[(partition, Offset::Invalid)].into())?;
        self.consumer
            .pause(&list)
            .map_err(|error| self.failure(&error, "ending to read"))
    }

    fn next(&mut self, patience: Duration) -> Result<Option<Event>, Failure> {
        let error = match self.consumer.poll(patience) {
            None => return Ok(None),
            Some(Ok(message)) => {
                return Ok(Some(Event::Record(Found {
                    partition: message.partition(),
                    offset: message.offset(),
                    timestamp: match message.timestamp() {
                        Timestamp::NotAvailable => None,
                        Timestamp::CreateTime(ms) | Timestamp::LogAppendTime(ms) => Some(ms),
                    },
                    key: message.key().map(<[u8]>::to_vec),
                    value: message.payload().map(<[u8]>::to_vec),
                    headers: if self.with_headers {
                        headers(&message)
                    } else {
                        Vec::new()
                    },
                })));
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                return Ok(Some(Event::End(partition)));
            }
            Some(Err(error)) => error,
        };
        match error.rdkafka_error_code() {
            // The group's name is librdkafka's wish; nothing is asked of the group.
            Some(Code::GroupAuthorizationFailed) => {
                tracing::debug!(
                    group = self.group,
                    "no right on the group, which isn't used"
                );
                Ok(None)
            }
            Some(Code::TopicAuthorizationFailed) => Err(self.not_authorized("reading")),
            _ => match error_mapping::of_query(&error, "reading") {
                // librdkafka tries again; a silence that lasts is told by who waits.
                LogError::Retriable { .. } => Ok(None),
                _ => Err(self.failure(&error, "reading")),
            },
        }
    }

    fn silent(&self, patience: Duration) -> Failure {
        self.unavailable(&format!("nothing came for {} s", patience.as_secs()))
    }
}

/// Those that say what a dead letter is.
fn headers(message: &BorrowedMessage<'_>) -> Vec<(String, Vec<u8>)> {
    let all = message.headers().into_iter().flat_map(Headers::iter);
    all.filter(|header| header.key.starts_with(PREFIX))
        .filter_map(|header| Some((header.key.to_owned(), header.value?.to_vec())))
        .collect()
}

/// What the client says outside of calls.
#[derive(Default)]
struct Heard {
    refused: Mutex<Option<Failure>>,
    down: Mutex<Option<String>>,
}

impl Heard {
    fn refused(&self) -> Option<Failure> {
        lock(&self.refused).take()
    }

    fn has_refused(&self) -> bool {
        lock(&self.refused).is_some()
    }

    fn down(&self) -> Option<String> {
        lock(&self.down).clone()
    }
}

impl ClientContext for Heard {
    fn log(&self, _: RDKafkaLogLevel, fac: &str, message: &str) {
        tracing::debug!(target: "librdkafka", fac, "{message}");
    }

    fn error(&self, error: KafkaError, said: &str) {
        match error.rdkafka_error_code() {
            Some(Code::BrokerTransportFailure | Code::Resolve | Code::OperationTimedOut) => {
                *lock(&self.down) = Some(said.to_owned());
            }
            // What isn't about the connection comes with the poll or the call, too.
            Some(code @ (Code::Authentication | Code::SaslAuthenticationFailed | Code::SSL)) => {
                if let Some(LogError::NeedsPerson { reason, message }) =
                    error_mapping::of_client(code, said)
                {
                    *lock(&self.refused) = Some(Failure::new(reason.as_str(), message));
                }
            }
            _ => {}
        }
    }
}

impl ConsumerContext for Heard {}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
