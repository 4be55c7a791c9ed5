//! The [`Log`] over librdkafka: one consumer and one transactional producer, both driven by the
//! calling thread alone.
//!
//! What is done here and why, in librdkafka's terms (2.12):
//! * A rebalance event leaves the group waiting for `assign`/`unassign`; the loop calls it once its
//!   transaction is over. The fetchers are paused meanwhile, so no foreign record slips in.
//! * A rewind is an `assign` of the same partitions: it raises each partition's version barrier
//!   before it returns, so nothing that was fetched earlier is delivered (a `seek` needs a started
//!   fetcher and fails in between).
//! * Records come from the partitions' own queues, by whole batches (`queue`). They are detached before the
//!   `assign` that starts them; the consumer's queue brings events alone, and is served first.
//! * Delivery reports are events here, and come for failures only. A record is in flight until the broker
//!   has acknowledged it or its report is served; the queue is therefore served until nothing is in flight
//!   before the commit is asked for.
//! * Markers, aborted and compacted records take offsets. The position moves past them once the
//!   statistics say that the fetcher stood at the end *and* the queue was found empty after that;
//!   else retention could remove a marker and make an idle pipeline look as if it had lost data.

mod bounded;
mod changelog;
mod client_events;
mod commit_tracker;
mod config;
pub mod error_mapping;
mod hanging_transaction;
mod member;
mod member_events;
mod offsets;
mod partition_queues;
mod queue;
#[cfg(test)]
mod real;
mod sender;
mod transaction;

pub use bounded::{BoundedClient, bounded_call};
pub use client_events::{ClientEvents, is_of_connection, is_purge};
pub use commit_tracker::CommitTracker;
pub use config::{ConfigError, config};

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, Producer};
use rdkafka::topic_partition_list::TopicPartitionList;

use crate::log::{LogError, Partition, Reason};
use changelog::{Reader, Trimmer};
use member_events::MemberEvents;
use partition_queues::PartitionQueues;
use queue::Bell;
use sender::Sender;

/// Longest wait for one answer of the broker. Well below the group's patience, so that a few may follow each other.
const ANSWER: Duration = Duration::from_secs(10);
/// Longest wait for the first answer of all.
const FIRST_ANSWER: Duration = Duration::from_secs(20);
/// A member that its group hasn't let in for so long says so. A group that rebalances waits as long for a member that is busy.
const ADMISSION_LIMIT: Duration = Duration::from_secs(60);
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
    /// What earlier sessions of this member in this process know.
    pub tracker: CommitTracker,
}

/// How far the transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transaction {
    Closed,
    Open,
    /// It holds the positions.
    Positioned,
    /// A commit was asked for, and its outcome isn't known.
    InDoubt,
}

/// See the module.
pub struct KafkaLog {
    queues: PartitionQueues,
    bell: Arc<Bell>,
    consumer: BoundedClient<BaseConsumer<MemberEvents>>,
    producer: Sender,
    events: MemberEvents,
    setup: Setup,
    born: Instant,
    /// After how long outside of the group that is told: [`ADMISSION_LIMIT`], but for tests.
    admission_limit: Duration,
    /// The group waits for our `assign`.
    assign_owed: bool,
    assigned: Vec<Partition>,
    assigned_at: Instant,
    /// The group's generation that gave us the partitions. Commits carry this one and not the present
    /// one, so that a rebalance we haven't noticed makes the broker refuse them.
    generation: Option<Arc<ConsumerGroupMetadata>>,
    transaction: Transaction,
    /// Records that the open transaction was given.
    written: u64,
    passed_from: Option<Instant>,
    /// The last commit was made under the present assignment.
    committed_here: bool,
    /// How many connections had broken when the last commit was asked for, or was last seen to be there.
    broke_before: u64,
    /// What the next commit keeps beside the positions.
    commit_metadata: HashMap<Partition, String>,
    /// What every client needs: for the clients of changelogs, which are made when they are needed.
    base: ClientConfig,
    reader: Option<Reader>,
    trimmer: Trimmer,
}

impl KafkaLog {
    /// Connects, checks that every topic is there, fences whoever ran under this member's name before,
    /// and joins the group.
    ///
    /// # Errors
    /// See [`LogError`]; every one of them may be tried again.
    pub fn open(base: &ClientConfig, setup: Setup) -> Result<KafkaLog, LogError> {
        let events = MemberEvents::new(setup.topics.clone());
        let broken = |error: KafkaError| LogError::NeedsPerson {
            reason: Reason::PlanRefused,
            message: format!(
                "the Kafka client can't be made: {error}; check the connection settings of the Platform"
            ),
        };
        let producer: BaseProducer<MemberEvents> = config::producer(base, &setup)
            .create_with_context(events.clone())
            .map_err(broken)?;
        let producer = BoundedClient::new(producer);
        let partitions = find_topics(&producer, &events, &setup)?;
        let mut consumer: BaseConsumer<MemberEvents> = config::consumer(base, &setup, partitions)
            .create_with_context(events.clone())
            .map_err(broken)?;
        let bell = Arc::new(Bell::default());
        consumer.set_nonempty_callback({
            let bell = Arc::clone(&bell);
            move || bell.ring()
        });
        let now = Instant::now();
        let log = KafkaLog {
            queues: PartitionQueues::default(),
            bell,
            consumer: BoundedClient::new(consumer),
            producer: Sender::new(producer),
            events,
            setup,
            born: now,
            admission_limit: ADMISSION_LIMIT,
            assign_owed: false,
            assigned: Vec::new(),
            assigned_at: now,
            generation: None,
            transaction: Transaction::Closed,
            written: 0,
            passed_from: None,
            committed_here: false,
            broke_before: 0,
            commit_metadata: HashMap::new(),
            base: base.clone(),
            reader: None,
            trimmer: Trimmer::default(),
        };
        if log.setup.exactly_once {
            log.fence_predecessor()?;
        }
        let topics: Vec<&str> = log.setup.topics.iter().map(String::as_str).collect();
        log.consumer
            .subscribe(&topics)
            .map_err(|error| error_mapping::of_query(&error, "joining the group"))?;
        log.events.joining();
        Ok(log)
    }

    fn fence_predecessor(&self) -> Result<(), LogError> {
        let deadline = Instant::now() + FIRST_ANSWER;
        loop {
            let answer = self.producer.init_transactions(Duration::from_secs(5));
            self.serve_producer();
            match answer.map_err(|error| {
                error_mapping::of_transaction(&error, "starting the transactional producer")
            }) {
                Ok(()) => return Ok(()),
                Err(LogError::Retriable { message }) => {
                    self.not_refused()?;
                    if Instant::now() >= deadline {
                        return Err(LogError::Unavailable {
                            message: self.events.client.down().unwrap_or(message),
                        });
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn not_refused(&self) -> Result<(), LogError> {
        self.events.client.take_refusal().map_or(Ok(()), Err)
    }

    fn serve_producer(&self) {
        for _ in 0..4 {
            self.producer.poll(Duration::ZERO);
        }
    }
}

/// Checks that every topic is there. Gives the number of partitions of the inputs.
fn find_topics(
    producer: &BaseProducer<MemberEvents>,
    events: &MemberEvents,
    setup: &Setup,
) -> Result<usize, LogError> {
    let mut topics: Vec<&str> = setup
        .topics
        .iter()
        .chain(&setup.other_topics)
        .map(String::as_str)
        .collect();
    topics.sort_unstable();
    topics.dedup();
    let mut partitions = 0;
    for topic in topics {
        let metadata = producer
            .client()
            .fetch_metadata(Some(topic), ANSWER)
            .map_err(|error| explained(producer, events, &error, "asking for the topics"))?;
        let found = metadata.topics().first();
        let error = found.and_then(rdkafka::metadata::MetadataTopic::error);
        if let Some(error) = error.map(RDKafkaErrorCode::from) {
            return Err(error_mapping::of_query(
                &KafkaError::MetadataFetch(error),
                &format!("topic {topic}"),
            ));
        }
        if setup.topics.iter().any(|input| input == topic) {
            partitions += found.map_or(0, |found| found.partitions().len());
        }
    }
    Ok(partitions)
}

/// Turns the failure of a first answer into what lies behind it.
fn explained(
    producer: &BaseProducer<MemberEvents>,
    events: &MemberEvents,
    error: &KafkaError,
    doing: &str,
) -> LogError {
    // Errors wait in the queue until somebody polls.
    for _ in 0..20 {
        producer.poll(Duration::from_millis(5));
    }
    events.client.explain(error, doing)
}

impl Drop for KafkaLog {
    fn drop(&mut self) {
        self.events.close();
        self.queues.clear();
        // A group that waits for our answer would wait for ever in the consumer's close.
        if self.assign_owed {
            let _ = self.consumer.assign(&TopicPartitionList::new());
        }
        let _ = self.consumer.unassign();
        // Readers needn't wait for the time-out of what is left open; a successor would end it, too.
        let _ = self.abort_transaction(Duration::from_secs(2));
    }
}
