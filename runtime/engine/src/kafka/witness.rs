//! What librdkafka says outside of calls: rebalances, statistics, errors, log lines.
//!
//! The witness only writes down. In particular a rebalance is *not* answered from inside the callback
//! (librdkafka then waits for `assign` or `unassign`), so that the loop can end its transaction first.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{DeliveryResult, ProducerContext};
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::RDKafkaRespErr;
use serde::Deserialize;

use super::verdict;
use crate::log::{LogError, Partition};

/// Shared by the consumer, the producer and the log that owns both.
#[derive(Clone, Debug)]
pub(super) struct Witness(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    topics: Vec<String>,
    born: Instant,
    closing: AtomicBool,
    /// Counts everything that came instead of a record, so that "nothing came" can be told apart.
    heard: AtomicU64,
    /// Counts connections that broke.
    broke: AtomicU64,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    rebalance: Option<Rebalanced>,
    refused: Option<LogError>,
    delivery: Option<RDKafkaErrorCode>,
    down: Option<String>,
    last_transport: Option<String>,
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

impl Witness {
    pub(super) fn new(topics: Vec<String>) -> Witness {
        Witness(Arc::new(Shared {
            topics,
            born: Instant::now(),
            closing: AtomicBool::new(false),
            heard: AtomicU64::new(0),
            broke: AtomicU64::new(0),
            seen: Mutex::new(Seen::default()),
        }))
    }

    pub(super) fn partition(&self, topic: &str, number: i32) -> Option<Partition> {
        let topic = self.0.topics.iter().position(|known| known == topic)?;
        Some(Partition {
            topic: u16::try_from(topic).ok()?,
            number,
        })
    }

    pub(super) fn close(&self) {
        self.0.closing.store(true, Ordering::Release);
    }

    pub(super) fn heard(&self) -> u64 {
        self.0.heard.load(Ordering::Acquire)
    }

    /// How often a connection broke, in all.
    pub(super) fn broke(&self) -> u64 {
        self.0.broke.load(Ordering::Acquire)
    }

    pub(super) fn take_rebalance(&self) -> Option<Rebalanced> {
        self.seen().rebalance.take()
    }

    /// True: a rebalance waits to be taken.
    pub(super) fn is_rebalancing(&self) -> bool {
        self.seen().rebalance.is_some()
    }

    pub(super) fn take_refusal(&self) -> Option<LogError> {
        self.seen().refused.take()
    }

    pub(super) fn take_delivery_error(&self) -> Option<RDKafkaErrorCode> {
        self.seen().delivery.take()
    }

    pub(super) fn down(&self) -> Option<String> {
        self.seen().down.clone()
    }

    /// Not later than the moment the statistics were taken.
    pub(super) fn taken(&self) -> Option<Instant> {
        self.seen().snapshot.taken
    }

    pub(super) fn ends(&self, partition: Partition) -> Option<Ends> {
        self.seen().snapshot.partitions.get(&partition).copied()
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Witness {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, message: &str) {
        self.0.heard.fetch_add(1, Ordering::AcqRel);
        match level {
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error => {
                tracing::error!(target: "librdkafka", fac, "{message}");
            }
            RDKafkaLogLevel::Warning => tracing::warn!(target: "librdkafka", fac, "{message}"),
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
                tracing::info!(target: "librdkafka", fac, "{message}");
            }
            RDKafkaLogLevel::Debug => tracing::debug!(target: "librdkafka", fac, "{message}"),
        }
    }

    fn stats_raw(&self, statistics: &[u8]) {
        self.0.heard.fetch_add(1, Ordering::AcqRel);
        match serde_json::from_slice::<Statistics>(statistics) {
            Ok(statistics) => self.learn(&statistics),
            Err(error) => tracing::warn!(%error, "librdkafka's statistics can't be read"),
        }
    }

    fn error(&self, error: KafkaError, said: &str) {
        self.0.heard.fetch_add(1, Ordering::AcqRel);
        let Some(code) = error.rdkafka_error_code() else {
            return;
        };
        let mut seen = self.seen();
        match code {
            RDKafkaErrorCode::AllBrokersDown => {
                self.0.broke.fetch_add(1, Ordering::AcqRel);
                seen.down = Some(
                    seen.last_transport
                        .clone()
                        .unwrap_or_else(|| said.to_owned()),
                );
            }
            RDKafkaErrorCode::BrokerTransportFailure
            | RDKafkaErrorCode::Resolve
            | RDKafkaErrorCode::OperationTimedOut => {
                self.0.broke.fetch_add(1, Ordering::AcqRel);
                seen.last_transport = Some(said.to_owned());
            }
            code => {
                if let Some(refused) = verdict::of_client(code, said) {
                    tracing::warn!(?code, said, "Kafka refuses us");
                    seen.refused = Some(refused);
                }
            }
        }
    }
}

impl ConsumerContext for Witness {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        kind: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        self.0.heard.fetch_add(1, Ordering::AcqRel);
        if self.0.closing.load(Ordering::Acquire) {
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
        self.seen().rebalance = Some(rebalanced);
    }
}

impl ProducerContext for Witness {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            self.seen().delivery = error.rdkafka_error_code();
        }
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

impl Witness {
    fn learn(&self, statistics: &Statistics) {
        if statistics.kind != "consumer" {
            return;
        }
        let mut seen = self.seen();
        if statistics
            .brokers
            .values()
            .any(|broker| broker.nodeid >= 0 && matches!(broker.state.as_str(), "UP" | "UPDATE"))
        {
            seen.down = None;
            seen.last_transport = None;
        }
        seen.snapshot.taken = Some(self.0.born + Duration::from_micros(statistics.age));
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
    use super::*;

    #[test]
    fn statistics_give_the_end_of_each_input_partition_and_nothing_else() {
        let witness = Witness::new(vec!["a".into(), "b".into()]);
        witness.seen().down = Some("gone".into());
        let json = r#"{"name":"x","type":"consumer","ts":5,"time":6,"age":1500000,"brokers":{"k/1":{"nodeid":1,"state":"UP","rtt":{"min":1}}},
          "topics":{"b":{"topic":"b","partitions":{"0":{"partition":0,"ls_offset":9,"hi_offset":12,"eof_offset":7},"-1":{"ls_offset":-1001,"eof_offset":-1001}}},
                    "other":{"partitions":{"0":{"ls_offset":1,"eof_offset":1}}}}}"#;
        witness.stats_raw(json.as_bytes());
        assert!(witness.taken().is_some());
        assert_eq!(witness.seen().snapshot.partitions.len(), 1);
        assert_eq!(
            witness.ends(Partition {
                topic: 1,
                number: 0
            }),
            Some(Ends {
                stable: 9,
                passed: 7
            })
        );
        assert_eq!(witness.down(), None, "a broker is up again");
        assert_eq!(witness.heard(), 1);
    }

    #[test]
    fn brokers_that_are_all_down_are_remembered_with_the_cause() {
        let witness = Witness::new(vec![]);
        witness.error(
            KafkaError::Global(RDKafkaErrorCode::Resolve),
            "kafka:9092: Failed to resolve 'kafka:9092'",
        );
        assert_eq!(witness.down(), None);
        witness.error(
            KafkaError::Global(RDKafkaErrorCode::AllBrokersDown),
            "1/1 brokers are down",
        );
        assert_eq!(
            witness.down().as_deref(),
            Some("kafka:9092: Failed to resolve 'kafka:9092'")
        );
    }
}
