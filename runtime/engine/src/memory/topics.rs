//! Topics: offsets, the last stable offset, what is read of them.

mod transactions;

pub(super) use transactions::{Fate, Refusal};

use std::collections::BTreeMap;

use super::chance::Chance;
use super::group::Group;
use transactions::{Producer, Transaction};

/// A record as the broker keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// Key, if any.
    pub key: Option<Vec<u8>>,
    /// Value; absent: a tombstone.
    pub value: Option<Vec<u8>>,
    /// Kafka timestamp in milliseconds.
    pub timestamp_ms: Option<i64>,
    /// Headers in order.
    pub headers: Vec<(String, Vec<u8>)>,
}

#[derive(Debug)]
struct Entry {
    offset: i64,
    /// Absent: a marker, or a record that compaction took.
    record: Option<Stored>,
    transaction: Option<u64>,
}

/// One partition's log.
#[derive(Debug, Default)]
pub(super) struct PartitionLog {
    entries: Vec<Entry>,
    pub(super) start: i64,
    pub(super) end: i64,
}

/// The whole broker.
#[derive(Debug)]
pub(super) struct Broker {
    pub(super) chance: Chance,
    pub(super) now_ms: u64,
    pub(super) groups: BTreeMap<String, Group>,
    topics: BTreeMap<String, Vec<PartitionLog>>,
    producers: BTreeMap<String, Producer>,
    transactions: Vec<Transaction>,
    /// How often, in a thousand ticks, a due marker is still not written.
    pub(super) marker_delay: u64,
    /// How often, in a thousand transactions, markers come much later.
    pub(super) slow_markers: u64,
    /// How often, in a thousand transactions, that of the offsets is never written by itself.
    pub(super) hanging: u64,
    transaction_timeout_ms: u64,
}

impl Broker {
    pub(super) fn new(seed: u64) -> Broker {
        Broker {
            chance: Chance::new(seed),
            now_ms: 1_000_000,
            groups: BTreeMap::new(),
            topics: BTreeMap::new(),
            producers: BTreeMap::new(),
            transactions: Vec::new(),
            marker_delay: 0,
            slow_markers: 0,
            hanging: 0,
            transaction_timeout_ms: 15_000,
        }
    }

    pub(super) fn create(&mut self, topic: &str, partitions: usize) {
        let logs = self.topics.entry(topic.to_owned()).or_default();
        while logs.len() < partitions {
            logs.push(PartitionLog::default());
        }
    }

    /// The group of that name.
    pub(super) fn group(&mut self, name: &str) -> &mut Group {
        self.groups.entry(name.to_owned()).or_default()
    }

    pub(super) fn remake(&mut self, topic: &str) {
        for log in self.topics.get_mut(topic).into_iter().flatten() {
            *log = PartitionLog::default();
        }
    }

    pub(super) fn partitions(&self, topic: &str) -> usize {
        self.topics.get(topic).map_or(0, Vec::len)
    }

    pub(super) fn log(&self, topic: &str, partition: usize) -> Option<&PartitionLog> {
        self.topics.get(topic)?.get(partition)
    }

    fn log_mut(&mut self, topic: &str, partition: usize) -> Option<&mut PartitionLog> {
        self.topics.get_mut(topic)?.get_mut(partition)
    }

    /// Appends outside of any transaction; returns the offset.
    pub(super) fn append(&mut self, topic: &str, partition: usize, record: Option<Stored>) -> i64 {
        let Some(log) = self.log_mut(topic, partition) else {
            return -1;
        };
        let offset = log.end;
        log.entries.push(Entry {
            offset,
            record,
            transaction: None,
        });
        log.end += 1;
        offset
    }

    /// The offset from which on nothing is decided yet.
    pub(super) fn stable_end(&self, topic: &str, partition: usize) -> i64 {
        let Some(log) = self.log(topic, partition) else {
            return 0;
        };
        let undecided = |entry: &&Entry| {
            entry.transaction.is_some_and(|id| {
                let transaction = &self.transactions[id as usize];
                transaction.fate == Fate::Open
                    || transaction
                        .unmarked
                        .iter()
                        .any(|(t, p)| t == topic && *p == partition)
            })
        };
        log.entries
            .iter()
            .find(undecided)
            .map_or(log.end, |entry| entry.offset)
    }

    /// Committed records in `[from, stable end)`.
    pub(super) fn read(
        &self,
        topic: &str,
        partition: usize,
        from: i64,
    ) -> impl Iterator<Item = (i64, &Stored)> {
        let end = self.stable_end(topic, partition);
        let entries = self
            .log(topic, partition)
            .map_or(&[][..], |log| &log.entries);
        let begin = entries.partition_point(move |entry| entry.offset < from);
        entries[begin..]
            .iter()
            .take_while(move |entry| entry.offset < end)
            .filter_map(|entry| {
                let committed = entry
                    .transaction
                    .is_none_or(|id| self.transactions[id as usize].fate == Fate::Committed);
                entry
                    .record
                    .as_ref()
                    .filter(|_| committed)
                    .map(|record| (entry.offset, record))
            })
    }

    /// The offset after the last one, decided or not.
    pub(super) fn high_watermark(&self, topic: &str, partition: usize) -> i64 {
        self.log(topic, partition).map_or(0, |log| log.end)
    }

    /// Takes away everything below `start`.
    pub(super) fn truncate(&mut self, topic: &str, partition: usize, start: i64) {
        if let Some(log) = self.log_mut(topic, partition) {
            log.entries.retain(|entry| entry.offset >= start);
            log.start = start;
            log.end = log.end.max(start);
        }
    }
}
