//! Transactions: producers, their epochs, and the markers by which partitions learn how a transaction ended.

use super::{Broker, Entry, Stored};

/// How a transaction ended, if it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::memory) enum Fate {
    Open,
    Committed,
    Aborted,
}

/// A transaction. Its fate is decided at once; each partition learns it by a marker, perhaps later.
#[derive(Debug)]
pub(super) struct Transaction {
    producer: String,
    pub(super) fate: Fate,
    since_ms: u64,
    /// Partitions that hold its records and have no marker yet.
    pub(super) unmarked: Vec<(String, usize)>,
    /// True while its offsets, if any, have no marker yet.
    offsets_unmarked: bool,
    /// No partition gets its marker before.
    slow_until_ms: u64,
    /// Its offsets get none before, whatever comes (KAFKA-20734).
    hangs_until_ms: u64,
}

/// A transactional producer as the coordinator knows it.
#[derive(Debug, Default)]
pub(super) struct Producer {
    epoch: u64,
    current: Option<u64>,
}

/// Why a producer's request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::memory) enum Refusal {
    /// A newer producer has the id.
    Fenced,
    /// The coordinator ended the transaction (it took too long).
    Ended,
}

impl Broker {
    /// Lets time pass: sessions expire, transactions time out, due markers are written.
    pub(in crate::memory) fn tick(&mut self, ms: u64) {
        self.now_ms += ms;
        for group in self.groups.values_mut() {
            group.expire(self.now_ms);
        }
        for id in 0..self.transactions.len() {
            if self.transactions[id].fate == Fate::Open
                && self.now_ms > self.transactions[id].since_ms + self.transaction_timeout_ms
            {
                // KIP-98: the coordinator aborts and bumps the epoch, so the producer can't go on.
                self.decide(id as u64, Fate::Aborted);
                for producer in self.producers.values_mut() {
                    if producer.current == Some(id as u64) {
                        producer.current = None;
                        producer.epoch += 1;
                    }
                }
            }
        }
        self.write_markers();
    }

    fn write_markers(&mut self) {
        for id in 0..self.transactions.len() {
            self.write_markers_of(id);
        }
    }

    fn write_markers_of(&mut self, id: usize) {
        let fate = self.transactions[id].fate;
        if fate == Fate::Open {
            return;
        }
        let mut due = Vec::new();
        if self.now_ms >= self.transactions[id].slow_until_ms {
            due = std::mem::take(&mut self.transactions[id].unmarked);
        }
        for (topic, partition) in due {
            if self.chance.once_in(self.marker_delay) {
                self.transactions[id].unmarked.push((topic, partition));
            } else {
                self.append_marker(&topic, partition);
            }
        }
        if self.transactions[id].offsets_unmarked
            && self.now_ms >= self.transactions[id].hangs_until_ms
            && !self.chance.once_in(self.marker_delay)
        {
            self.settle(id);
        }
    }

    /// Ends what the transaction's producer holds of its groups' offsets, up to this one, each as it was decided:
    /// one marker ends all, and the client sees to it that it is the right one.
    fn settle(&mut self, id: usize) {
        for earlier in 0..=id {
            let transaction = &mut self.transactions[earlier];
            let fate = transaction.fate;
            if fate == Fate::Open || !transaction.offsets_unmarked {
                continue;
            }
            let producer = transaction.producer.clone();
            if producer != self.transactions[id].producer {
                continue;
            }
            self.transactions[earlier].offsets_unmarked = false;
            for group in self.groups.values_mut() {
                group.settle(earlier as u64, fate == Fate::Committed);
            }
        }
    }

    /// Nothing hangs any more.
    pub(in crate::memory) fn mend(&mut self) {
        for transaction in &mut self.transactions {
            transaction.hangs_until_ms = 0;
        }
    }

    fn append_marker(&mut self, topic: &str, partition: usize) {
        if let Some(log) = self.log_mut(topic, partition) {
            log.entries.push(Entry {
                offset: log.end,
                record: None,
                transaction: None,
            });
            log.end += 1;
        }
    }

    fn decide(&mut self, id: u64, fate: Fate) {
        self.transactions[id as usize].fate = fate;
    }

    /// `InitProducerId`: fences the former holder of the id and ends what it left open.
    pub(in crate::memory) fn init_producer(&mut self, name: &str) -> u64 {
        let producer = self.producers.entry(name.to_owned()).or_default();
        producer.epoch += 1;
        let epoch = producer.epoch;
        if let Some(open) = producer.current.take() {
            self.decide(open, Fate::Aborted);
        }
        self.finish(name);
        epoch
    }

    /// Writes every marker that a producer's decided transactions still lack: the coordinator lets it
    /// begin the next one only then (CONCURRENT_TRANSACTIONS until it may).
    fn finish(&mut self, name: &str) {
        let delay = std::mem::take(&mut self.marker_delay);
        for id in 0..self.transactions.len() {
            if self.transactions[id].producer == name {
                self.transactions[id].slow_until_ms = 0;
                self.write_markers_of(id);
            }
        }
        self.marker_delay = delay;
    }

    fn transaction(&mut self, name: &str, epoch: u64) -> Result<u64, Refusal> {
        let since_ms = self.now_ms;
        let producer = self.producers.get_mut(name).ok_or(Refusal::Fenced)?;
        if producer.epoch != epoch {
            return Err(Refusal::Fenced);
        }
        if let Some(current) = producer.current {
            return Ok(current);
        }
        self.finish(name);
        let id = self.transactions.len() as u64;
        if let Some(producer) = self.producers.get_mut(name) {
            producer.current = Some(id);
        }
        self.transactions.push(Transaction {
            producer: name.to_owned(),
            fate: Fate::Open,
            since_ms,
            unmarked: Vec::new(),
            offsets_unmarked: false,
            slow_until_ms: 0,
            hangs_until_ms: 0,
        });
        Ok(id)
    }

    pub(in crate::memory) fn produce(
        &mut self,
        name: &str,
        epoch: u64,
        topic: &str,
        partition: Option<usize>,
        record: Stored,
    ) -> Result<(), Refusal> {
        let id = self.transaction(name, epoch)?;
        let count = self.partitions(topic) as u64;
        let partition = match (&record.key, partition) {
            (_, Some(partition)) => partition as u64,
            (Some(key), None) => {
                key.iter().fold(7_u64, |hash, byte| {
                    hash.wrapping_mul(31).wrapping_add(u64::from(*byte))
                }) % count.max(1)
            }
            (None, None) => self.chance.below(count),
        } as usize;
        let place = (topic.to_owned(), partition);
        let unmarked = &mut self.transactions[id as usize].unmarked;
        if !unmarked.contains(&place) {
            unmarked.push(place);
        }
        if let Some(log) = self.log_mut(topic, partition) {
            log.entries.push(Entry {
                offset: log.end,
                record: Some(record),
                transaction: Some(id),
            });
            log.end += 1;
        }
        Ok(())
    }

    /// `TxnOffsetCommit`: the offsets wait for the transaction's end.
    pub(in crate::memory) fn add_offsets(
        &mut self,
        name: &str,
        epoch: u64,
        group: &str,
        offsets: Vec<crate::memory::group::Offset>,
    ) -> Result<(), Refusal> {
        let id = self.transaction(name, epoch)?;
        self.transactions[id as usize].offsets_unmarked = true;
        self.group(group).hold(id, offsets);
        Ok(())
    }

    /// `EndTxn`.
    pub(in crate::memory) fn end_transaction(
        &mut self,
        name: &str,
        epoch: u64,
        fate: Fate,
    ) -> Result<(), Refusal> {
        let producer = self.producers.get_mut(name).ok_or(Refusal::Fenced)?;
        if producer.epoch != epoch {
            return Err(Refusal::Fenced);
        }
        let Some(id) = producer.current.take() else {
            // Nothing was written: nothing to end.
            return Ok(());
        };
        if self.transactions[id as usize].fate != Fate::Open {
            return Err(Refusal::Ended);
        }
        self.decide(id, fate);
        if fate == Fate::Committed
            && self.slow_markers > 0
            && self.chance.once_in(self.slow_markers)
        {
            let slow_ms = self.chance.below(3_000);
            self.transactions[id as usize].slow_until_ms = self.now_ms + slow_ms;
        }
        if self.hanging > 0 && self.chance.once_in(self.hanging) {
            // Until somebody ends it.
            let hangs_ms = self.chance.below(60_000);
            self.transactions[id as usize].hangs_until_ms = self.now_ms + hangs_ms;
        }
        self.write_markers();
        Ok(())
    }

    /// How many transactions were ever opened.
    pub(in crate::memory) fn transactions(&self) -> usize {
        self.transactions.len()
    }

    /// Nothing is open and every marker is written.
    pub(in crate::memory) fn is_settled(&self) -> bool {
        self.transactions
            .iter()
            .all(|t| t.fate != Fate::Open && t.unmarked.is_empty() && !t.offsets_unmarked)
    }
}
