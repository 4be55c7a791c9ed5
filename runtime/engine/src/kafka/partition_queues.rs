//! The owned partitions, each with its own queue, and how a batch is filled from them.
//!
//! Back-pressure is a queue that isn't read: librdkafka stops fetching when it is full, and nothing that
//! was fetched is thrown away (`pause` would do that).

use rdkafka::error::RDKafkaErrorCode;

use super::member_events::MemberEvents;
use super::queue::{MOST, Queue, Taken};
use crate::log::{Batch, Limits, Partition, Record};

/// What a record is taken to be large before any was seen, in bytes.
const FIRST_GUESS: usize = 16 * 1024;

/// Where the records of one partition come in.
pub(super) struct PartitionQueue {
    partition: Partition,
    queue: Queue<MemberEvents>,
    held: bool,
}

/// Every owned partition.
#[derive(Default)]
pub(super) struct PartitionQueues {
    all: Vec<PartitionQueue>,
    /// Whose turn it is.
    turn: usize,
    /// Bytes of a record, as seen last.
    usual: usize,
}

impl PartitionQueues {
    pub(super) fn clear(&mut self) {
        self.all.clear();
        self.turn = 0;
    }

    pub(super) fn add(&mut self, partition: Partition, queue: Queue<MemberEvents>) {
        self.all.push(PartitionQueue {
            partition,
            queue,
            held: false,
        });
    }

    pub(super) fn hold(&mut self, partitions: &[Partition]) {
        for one in &mut self.all {
            one.held = partitions.contains(&one.partition);
        }
    }

    /// The partitions that are read.
    pub(super) fn open(&self) -> impl Iterator<Item = Partition> {
        self.all
            .iter()
            .filter(|one| !one.held)
            .map(|one| one.partition)
    }

    /// Appends what is at hand, in turn. True: every queue that is read was found empty.
    pub(super) fn fill(
        &mut self,
        limits: Limits,
        batch: &mut Batch,
    ) -> Result<bool, RDKafkaErrorCode> {
        let count = self.all.len();
        let mut failed = None;
        for step in 0..count {
            let at = (self.turn + step) % count;
            let one = &mut self.all[at];
            if one.held {
                continue;
            }
            loop {
                if batch.is_full(limits) {
                    self.turn = (at + 1) % count;
                    return failed.map_or(Ok(false), Err);
                }
                // A whole piece is taken at once, so its size is bounded by what records were like until now.
                let usual = if self.usual == 0 {
                    FIRST_GUESS
                } else {
                    self.usual
                };
                let most = ((limits.bytes - batch.bytes()) / usual)
                    .clamp(1, MOST)
                    .min(limits.rows - batch.len());
                let (rows, bytes) = (batch.len(), batch.bytes());
                let taken = one.queue.take(most, |taken| match taken {
                    Taken::Record {
                        offset,
                        timestamp_ms,
                        key,
                        value,
                        headers,
                    } => {
                        batch.push(&Record {
                            partition: one.partition,
                            offset,
                            timestamp_ms,
                            key,
                            value,
                        });
                        if batch.asks_for_headers() {
                            batch.push_headers(headers.ours());
                        }
                    }
                    Taken::End(_) => {}
                    Taken::Failed(code) => failed = Some(code),
                });
                if batch.len() > rows {
                    self.usual = ((batch.bytes() - bytes) / (batch.len() - rows)).max(1);
                }
                if taken < most {
                    break;
                }
            }
        }
        failed.map_or(Ok(true), Err)
    }
}
