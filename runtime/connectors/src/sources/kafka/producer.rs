//! What every producer of a source has in common.

use std::time::Duration;

use headworks_plan::{OnInvalid, SourcePlan};
use rdkafka::client::{Client, ClientContext};
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{Header, OwnedHeaders};

use super::outgoing::{Outgoing, Target};

/// Room for a header of Kafka's protocol above the topic's own limit.
const PROTOCOL_OVERHEAD: u64 = 64 * 1024;

/// How much a producer keeps before it is sent.
pub(super) struct Queue {
    /// How long a record waits for others.
    pub(super) linger: Duration,
    /// Most records.
    pub(super) records: u32,
    /// Most KiB, unless the largest record needs more.
    pub(super) kibibytes: u64,
}

/// Sets a producer up for records of which none, as Kafka counts it, is larger than `max_message_bytes`.
pub(super) fn configure(config: &mut ClientConfig, max_message_bytes: u64, queue: &Queue) {
    // A batch is refused whole if it is above the topic's limit, so no batch may outgrow it.
    let batch = max_message_bytes.clamp(1_000, 1_000_000);
    let largest = (max_message_bytes + PROTOCOL_OVERHEAD).clamp(batch, 1_000_000_000);
    let kibibytes = queue.kibibytes.max(largest / 512);
    config
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("compression.type", "lz4")
        .set("linger.ms", queue.linger.as_millis().to_string())
        .set("partitioner", "murmur2_random")
        .set("batch.size", batch.to_string())
        .set("message.max.bytes", largest.to_string())
        .set("queue.buffering.max.messages", queue.records.to_string())
        .set("queue.buffering.max.kbytes", kibibytes.to_string());
}

/// The topics that a source writes.
pub(super) struct Topics {
    stream: String,
    dead_letters: String,
    /// No dead letter is written where the source refuses what breaks the contract.
    takes_dead_letters: bool,
}

impl Topics {
    pub(super) fn of(plan: &SourcePlan) -> Topics {
        Topics {
            stream: plan.into.topic.clone(),
            dead_letters: plan.into.dead_letter_topic.clone(),
            takes_dead_letters: plan.on_invalid == OnInvalid::DeadLetter || plan.into.quarantines(),
        }
    }

    /// The stream's.
    pub(super) fn stream(&self) -> &str {
        &self.stream
    }

    /// That of a target.
    pub(super) fn of_target(&self, target: Target) -> &str {
        match target {
            Target::Stream => &self.stream,
            Target::DeadLetters => &self.dead_letters,
        }
    }

    /// Those that must be there.
    pub(super) fn needed(&self) -> impl Iterator<Item = &str> {
        let dead_letters = self.takes_dead_letters.then_some(&self.dead_letters);
        [Some(&self.stream), dead_letters]
            .into_iter()
            .flatten()
            .map(String::as_str)
    }
}

/// Why a topic can't be written, as far as its metadata tells.
pub(super) enum Missing {
    /// No broker answered.
    NoAnswer(KafkaError),
    /// A broker says why not.
    Refused(Code),
}

/// Asks the brokers for a topic.
pub(super) fn look<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    wait: Duration,
) -> Result<(), Missing> {
    let metadata = client
        .fetch_metadata(Some(topic), wait)
        .map_err(Missing::NoAnswer)?;
    let code = match metadata.topics().first() {
        Some(found) => found.error().map(Code::from),
        None => Some(Code::UnknownTopic),
    };
    code.map_or(Ok(()), |code| Err(Missing::Refused(code)))
}

/// A record's headers; none: it has none.
pub(super) fn headers(outgoing: &Outgoing) -> Option<OwnedHeaders> {
    let all = &outgoing.headers;
    let add = |headers: OwnedHeaders, (key, value): &(&'static str, String)| {
        headers.insert(Header {
            key,
            value: Some(value),
        })
    };
    (!all.is_empty()).then(|| {
        all.iter()
            .fold(OwnedHeaders::new_with_capacity(all.len()), add)
    })
}
