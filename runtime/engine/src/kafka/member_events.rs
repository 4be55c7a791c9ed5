//! What librdkafka says to a member of a group outside of calls: rebalances and statistics, besides what every client is told.
//!
//! It is only written down. In particular a rebalance is *not* answered from inside the callback
//! (librdkafka then waits for `assign` or `unassign`), so that the loop can end its transaction first.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::producer::{DeliveryResult, ProducerContext};
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::RDKafkaRespErr;
use serde::Deserialize;

use super::client_events::ClientEvents;
use crate::log::Partition;

/// Shared by the consumer, the producer and the log that owns both.
#[derive(Clone, Debug)]
pub(super) struct MemberEvents {
    /// What any client is told.
    pub(super) client: ClientEvents,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    topics: Vec<String>,
    born: Instant,
    closing: AtomicBool,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    rebalance: Option<Rebalanced>,
    /// Since when the group was asked for partitions, or took them back, and has given none.
    outside_since: Option<Instant>,
    snapshot: Snapshot,
}

/// A rebalance that waits for an answer.
#[derive(Clone, Debug)]
pub(super) enum Rebalanced {
    /// These partitions are ours now.
    Assigned(Vec<Partition>),
    /// Every partition is to be given up.
    Revoked {
        /// They already belong to others.
        lost: bool,
    },
}

/// The statistics that matter.
#[derive(Debug, Default)]
struct Snapshot {
    /// Not later than the moment the numbers were taken.
    taken: Option<Instant>,
    partitions: HashMap<Partition, Ends>,
}

/// Ends of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ends {
    /// Last stable offset; negative: not known.
    pub(super) stable: i64,
    /// Everything below was fetched when the fetcher stood at the end; negative: it never did.
    pub(super) passed: i64,
}

impl MemberEvents {
    pub(super) fn new(topics: Vec<String>) -> MemberEvents {
        MemberEvents {
            client: ClientEvents::default(),
            shared: Arc::new(Shared {
                topics,
                born: Instant::now(),
                closing: AtomicBool::new(false),
                seen: Mutex::new(Seen::default()),
            }),
        }
    }

    pub(super) fn partition(&self, topic: &str, number: i32) -> Option<Partition> {
        let topic = self.shared.topics.iter().position(|known| known == topic)?;
        Some(Partition {
            topic: u16::try_from(topic).ok()?,
            number,
        })
    }

    pub(super) fn close(&self) {
        self.shared.closing.store(true, Ordering::Release);
    }

    pub(super) fn take_rebalance(&self) -> Option<Rebalanced> {
        self.seen().rebalance.take()
    }

    /// The group is asked to be let in.
    pub(super) fn joining(&self) {
        self.seen().outside_since = Some(Instant::now());
    }

    /// How long the group has given no assignment, not even an empty one, while it was asked for one.
    pub(super) fn outside_for(&self) -> Option<Duration> {
        self.seen().outside_since.map(|since| since.elapsed())
    }

    fn rebalanced(&self, rebalanced: Rebalanced) {
        let mut seen = self.seen();
        seen.outside_since = match &rebalanced {
            Rebalanced::Assigned(_) => None,
            Rebalanced::Revoked { .. } => Some(Instant::now()),
        };
        seen.rebalance = Some(rebalanced);
    }

    /// True: a rebalance waits to be taken.
    pub(super) fn is_rebalancing(&self) -> bool {
        self.seen().rebalance.is_some()
    }

    /// Not later than the moment the statistics were taken.
    pub(super) fn taken(&self) -> Option<Instant> {
        self.seen().snapshot.taken
    }

    pub(super) fn ends(&self, partition: Partition) -> Option<Ends> {
        self.seen().snapshot.partitions.get(&partition).copied()
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.shared
            .seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for MemberEvents {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.client.log(level, facility, message);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        self.client.hear();
        match serde_json::from_slice::<Statistics>(statistics) {
            Ok(statistics) => self.learn(&statistics),
            Err(error) => tracing::warn!(%error, "librdkafka's statistics can't be read"),
        }
    }

    fn error(&self, error: KafkaError, said: &str) {
        self.client.error(error, said);
    }
}

impl ConsumerContext for MemberEvents {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        kind: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        self.client.hear();
        if self.shared.closing.load(Ordering::Acquire) {
            // The loop has ended and will not answer any more.
            if let Err(error) = consumer.unassign() {
                tracing::warn!(%error, "partitions could not be given up at the end");
            }
            return;
        }
        let rebalanced = match kind {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => {
                let ours = partitions
                    .elements()
                    .iter()
                    .filter_map(|p| self.partition(p.topic(), p.partition()))
                    .collect();
                Rebalanced::Assigned(ours)
            }
            _ => Rebalanced::Revoked {
                lost: consumer.assignment_lost(),
            },
        };
        self.rebalanced(rebalanced);
    }
}

impl ProducerContext for MemberEvents {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        self.client.delivered(result);
    }
}

/// The part of librdkafka's STATISTICS.md that is read; the rest is skipped without being built.
#[derive(Deserialize)]
struct Statistics {
    #[serde(rename = "type")]
    kind: String,
    age: u64,
    brokers: HashMap<String, Broker>,
    topics: HashMap<String, Topic>,
}

#[derive(Deserialize)]
struct Broker {
    nodeid: i64,
    state: String,
}

#[derive(Deserialize)]
struct Topic {
    partitions: HashMap<i32, Ranges>,
}

#[derive(Deserialize)]
struct Ranges {
    ls_offset: i64,
    eof_offset: i64,
}

impl MemberEvents {
    fn learn(&self, statistics: &Statistics) {
        if statistics.kind != "consumer" {
            return;
        }
        if statistics
            .brokers
            .values()
            .any(|broker| broker.nodeid >= 0 && matches!(broker.state.as_str(), "UP" | "UPDATE"))
        {
            self.client.up();
        }
        let mut seen = self.seen();
        seen.snapshot.taken = Some(self.shared.born + Duration::from_micros(statistics.age));
        seen.snapshot.partitions.clear();
        for (topic, known) in &statistics.topics {
            for (number, ranges) in &known.partitions {
                if let (Some(partition), true) = (self.partition(topic, *number), *number >= 0) {
                    seen.snapshot.partitions.insert(
                        partition,
                        Ends {
                            stable: ranges.ls_offset,
                            passed: ranges.eof_offset,
                        },
                    );
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::error::RDKafkaErrorCode;

    use super::*;

    #[test]
    fn a_member_is_outside_from_joining_or_a_revocation_until_any_assignment() {
        let events = MemberEvents::new(vec!["a".into()]);
        assert_eq!(events.outside_for(), None, "nobody has asked the group");
        events.joining();
        assert!(events.outside_for().is_some());
        events.rebalanced(Rebalanced::Assigned(Vec::new()));
        assert_eq!(
            events.outside_for(),
            None,
            "there are more members than partitions"
        );
        events.rebalanced(Rebalanced::Revoked { lost: false });
        assert!(events.outside_for().is_some());
        events.rebalanced(Rebalanced::Assigned(vec![Partition {
            topic: 0,
            number: 0,
        }]));
        assert_eq!(events.outside_for(), None);
    }

    #[test]
    fn statistics_give_the_end_of_each_input_partition_and_nothing_else() {
        let events = MemberEvents::new(vec!["a".into(), "b".into()]);
        events
            .client
            .error(KafkaError::Global(RDKafkaErrorCode::AllBrokersDown), "gone");
        let json = r#"{"name":"x","type":"consumer","ts":5,"time":6,"age":1500000,"brokers":{"k/1":{"nodeid":1,"state":"UP","rtt":{"min":1}}},
          "topics":{"b":{"topic":"b","partitions":{"0":{"partition":0,"ls_offset":9,"hi_offset":12,"eof_offset":7},"-1":{"ls_offset":-1001,"eof_offset":-1001}}},
                    "other":{"partitions":{"0":{"ls_offset":1,"eof_offset":1}}}}}"#;
        events.stats_raw(json.as_bytes());
        assert!(events.taken().is_some());
        assert_eq!(events.seen().snapshot.partitions.len(), 1);
        assert_eq!(
            events.ends(Partition {
                topic: 1,
                number: 0
            }),
            Some(Ends {
                stable: 9,
                passed: 7
            })
        );
        assert_eq!(events.client.down(), None, "a broker is up again");
        assert_eq!(events.client.heard(), 2);
    }
}
