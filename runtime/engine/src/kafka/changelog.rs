//! The pipeline's own topics: a changelog read from its beginning to its end, and records deleted that
//! nobody needs any more.
//!
//! The end of a changelog is its **high watermark**, which only a `read_uncommitted` client is told; a
//! `read_committed` one is told the last stable offset, which lags behind while a transaction is open, also
//! a dead predecessor's. Reading goes on until the partition's end is reported at that mark or beyond it. The
//! last record's offset says nothing: markers and aborted records take offsets too (KAFKA-10167).

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer, DefaultConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::bounded::BoundedClient;
use super::queue::{Bell, MOST, Queue, Taken};
use super::{ANSWER, KafkaLog, config, error_mapping, hanging_transaction};
use crate::log::{LogError, Partition, Take};

/// A restore that gets nowhere for so long is given up, and tried again by a new session. Longer than an
/// open transaction of a dead predecessor may last, which the restore has to wait for.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often the group hears of a member that restores.
const SIGN_OF_LIFE: Duration = Duration::from_millis(100);
/// How often records are deleted.
const TRIM_EVERY: Duration = Duration::from_secs(5);

/// The clients that read changelogs. They are kept from one partition to the next and dropped when the
/// partitions are read.
pub(super) struct Reader {
    /// `read_uncommitted`: knows the high watermark.
    ends: BoundedClient<BaseConsumer<DefaultConsumerContext>>,
    /// `read_committed`.
    records: BoundedClient<BaseConsumer<DefaultConsumerContext>>,
    bell: Arc<Bell>,
}

type Answer = Pin<Box<dyn Future<Output = KafkaResult<TopicPartitionList>> + Send>>;

/// Deletes records, one request at a time.
#[derive(Default)]
pub(super) struct Trimmer {
    admin: Option<BoundedClient<AdminClient<DefaultClientContext>>>,
    asked: Option<Answer>,
    asked_at: Option<Instant>,
}

impl KafkaLog {
    pub(super) fn read_changelog(
        &mut self,
        topic: &str,
        partition: i32,
        take: Take<'_>,
    ) -> Result<u64, LogError> {
        if self.reader.is_none() {
            self.reader = Some(self.new_reader()?);
        }
        let Some(reader) = self.reader.take() else {
            return Ok(0);
        };
        let read = self.read_to_the_end(&reader, topic, partition, take);
        let _ = reader.records.unassign();
        if read.is_ok() {
            self.reader = Some(reader);
        }
        read
    }

    fn new_reader(&self) -> Result<Reader, LogError> {
        let make = |committed| {
            config::reader(&self.base, &self.setup.group, committed)
                .create::<BaseConsumer>()
                .map_err(|error| LogError::Broken {
                    message: format!("the changelog's reader can't be made: {error}"),
                })
        };
        let mut records = make(true)?;
        let bell = Arc::new(Bell::default());
        records.set_nonempty_callback({
            let bell = Arc::clone(&bell);
            move || bell.ring()
        });
        Ok(Reader {
            ends: BoundedClient::new(make(false)?),
            records: BoundedClient::new(records),
            bell,
        })
    }

    fn read_to_the_end(
        &mut self,
        reader: &Reader,
        topic: &str,
        partition: i32,
        take: Take<'_>,
    ) -> Result<u64, LogError> {
        let place = format!("changelog {topic}/{partition}");
        let (_, mark) = reader
            .ends
            .fetch_watermarks(topic, partition, ANSWER)
            .map_err(|error| {
                error_mapping::of_query(&error, &format!("asking for the end of {place}"))
            })?;
        let broken = |message: String| LogError::Broken {
            message: format!("{place}: {message}"),
        };
        let mut queue = Queue::detach(&reader.records, topic, partition, &reader.bell)
            .ok_or_else(|| broken("has no queue".to_owned()))?;
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Beginning)
            .map_err(|error| broken(error.to_string()))?;
        reader
            .records
            .assign(&list)
            .map_err(|error| broken(error.to_string()))?;
        let patience = PATIENCE.max(hanging_transaction::patience(&self.setup));
        let (mut count, mut at, mut ended) = (0, -1, false);
        // All that is committed was read, and there is more.
        let mut waits = false;
        let mut moved = Instant::now();
        let mut alive = moved;
        while !ended {
            let (before, mut outcome) = (at, Ok(()));
            let taken = queue.take(MOST, |taken| match taken {
                _ if outcome.is_err() => {}
                Taken::Record {
                    offset, key, value, ..
                } => {
                    at = offset + 1;
                    count += 1;
                    outcome = take(key.unwrap_or_default(), value).map_err(&broken);
                }
                Taken::End(offset) => {
                    at = at.max(offset);
                    ended |= offset >= mark;
                    waits = !ended;
                }
                Taken::Failed(code) => {
                    let error = KafkaError::MessageConsumption(code);
                    outcome = error_mapping::of_poll(&error).map_or(Ok(()), Err);
                }
            });
            outcome?;
            if at > before {
                moved = Instant::now();
            } else if moved.elapsed() > patience {
                let (seconds, at) = (patience.as_secs(), at.max(0));
                if waits {
                    return Err(hanging_transaction::hanging(
                        &format!("{place} from offset {at} on"),
                        seconds,
                    ));
                }
                return Err(broken(format!(
                    "nothing came for {seconds} s, at offset {at} of {mark}"
                )));
            }
            if let Some(Err(error)) = reader.records.poll(Duration::ZERO)
                && let Some(error) = error_mapping::of_poll(&error)
            {
                return Err(error);
            }
            if alive.elapsed() >= SIGN_OF_LIFE {
                crate::status::alive();
                self.stay_a_member()?;
                alive = Instant::now();
            }
            if taken == 0 && !ended {
                reader.bell.wait(SIGN_OF_LIFE);
            }
        }
        Ok(count)
    }

    /// Serves the group's events while no record is read, so that it doesn't take the member for dead.
    fn stay_a_member(&mut self) -> Result<(), LogError> {
        self.serve_producer();
        self.serve_events()?;
        self.not_refused()?;
        if self.events.is_rebalancing() || self.consumer.assignment_lost() {
            return Err(LogError::Abortable {
                message: "the group wants the partitions back while their state is restored".into(),
            });
        }
        Ok(())
    }

    /// Asks the broker to delete what is below these offsets, unless it is still busy with the last request
    /// or that was just now: the next call names later offsets.
    pub(super) fn delete_below(&mut self, offsets: &[(Partition, i64)]) {
        if !self.trimmer.is_free() || offsets.is_empty() {
            return;
        }
        let partitions: Vec<Partition> = offsets.iter().map(|(partition, _)| *partition).collect();
        let Ok(list) = self.list(&partitions, |at| Offset::Offset(offsets[at].1)) else {
            return;
        };
        if self.trimmer.admin.is_none() {
            match self.base.create() {
                Ok(admin) => self.trimmer.admin = Some(BoundedClient::new(admin)),
                Err(error) => tracing::debug!(%error, "no client to delete records with"),
            }
        }
        if let Some(admin) = &self.trimmer.admin {
            let options = AdminOptions::new().request_timeout(Some(ANSWER));
            self.trimmer.asked = Some(Box::pin(admin.delete_records(&list, &options)));
            self.trimmer.asked_at = Some(Instant::now());
        }
    }
}

impl Trimmer {
    /// True: another request may be sent. Hears the answer of the last one, if it is there.
    fn is_free(&mut self) -> bool {
        if let Some(asked) = &mut self.asked {
            match asked.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Pending => return false,
                Poll::Ready(Err(error)) => tracing::debug!(%error, "records could not be deleted"),
                Poll::Ready(Ok(answer)) => {
                    for refused in answer.elements() {
                        if let Err(error) = refused.error() {
                            tracing::debug!(topic = refused.topic(), partition = refused.partition(), %error, "records could not be deleted");
                        }
                    }
                }
            }
            self.asked = None;
        }
        self.asked_at.is_none_or(|at| at.elapsed() >= TRIM_EVERY)
    }
}
