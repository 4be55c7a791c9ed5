//! A whole broker in one process: deterministic, seeded, with everything that goes wrong with a real
//! one, so that thousands of runs can be compared with what should have come out.
//!
//! It models transactions whose markers reach partitions late, the last stable offset, offsets that
//! are unstable until their transaction's marker comes, gaps from markers and compaction, epochs and
//! fencing, transaction time-outs, static members, eager rebalances, sessions that expire while their
//! member sleeps and doesn't know it, commits whose outcome is unknown, and a process that dies at any
//! call, before or after the call took effect.

mod chance;
mod group;
mod member;
mod store;
mod topics;

pub use chance::Chance;
pub use member::MemoryLog;
pub use store::{MemoryDatabase, MemoryStore, StoreFaults, lines};
pub use topics::Stored;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::log::{LogError, Position, Reason};
use topics::Broker;

/// The group of those who name none.
const GROUP: &str = "g";

/// How often things go wrong, each in a thousand calls.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// The process dies in a call.
    pub kill: u64,
    /// A call fails in a way that asks for an abort.
    pub abortable: u64,
    /// A commit's answer is lost.
    pub unknown_commit: u64,
    /// A due marker waits for another tick.
    pub marker_delay: u64,
    /// A committed transaction's markers come up to seconds late, but for that of its offsets.
    pub slow_markers: u64,
    /// A decided transaction never tells the group, until somebody ends it up to a minute later.
    pub hanging: u64,
    /// A member that was put out doesn't notice at this poll.
    pub unnoticed: u64,
}

/// Rules of exactly-once that a client can be made to break, to see whether the simulation notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// Offsets are committed after the transaction, not in it.
    OffsetsOutside,
    /// Commits don't carry the group's generation.
    Unfenced,
    /// An abort isn't followed by a rewind.
    NoRewind,
    /// A store's offsets are set without a look at what they were.
    OffsetsUnchecked,
    /// A store's offsets are compared, but not who has claimed them.
    ClaimsUnchecked,
    /// A store's rows are committed before its offsets.
    OffsetsApart,
    /// An attempt doesn't know which records are dead letters by an earlier one.
    NotesForgotten,
    /// A partition's event time isn't restored from the group's commit.
    ClockForgotten,
    /// Records that name their partition are written outside of the transaction, if they have a key: those
    /// of a changelog.
    ChangelogOutside,
    /// A changelog is read to its last stable offset, not to the end that it had when reading began.
    RestoredToStable,
    /// A stage judges its input by no rule, because another stage tells of what breaks one.
    Unjudged,
    /// The client loses a record that it was given, now and then.
    RecordLost,
    /// The client writes a record twice, now and then.
    RecordTwice,
    /// A position is committed beyond what was read, now and then.
    PositionAhead,
}

/// A broker that several members share.
#[derive(Clone, Debug)]
pub struct MemoryBroker {
    broker: Rc<RefCell<Broker>>,
    faults: Faults,
    mutant: Option<Mutant>,
}

impl MemoryBroker {
    /// An empty broker.
    pub fn new(seed: u64, faults: Faults) -> MemoryBroker {
        let mut broker = Broker::new(seed);
        broker.marker_delay = faults.marker_delay;
        broker.slow_markers = faults.slow_markers;
        broker.hanging = faults.hanging;
        MemoryBroker {
            broker: Rc::new(RefCell::new(broker)),
            faults,
            mutant: None,
        }
    }

    /// The same broker, whose clients break a rule.
    #[must_use]
    pub fn with_mutant(mut self, mutant: Mutant) -> MemoryBroker {
        self.mutant = Some(mutant);
        self
    }

    /// The same broker, where nothing goes wrong any more.
    #[must_use]
    pub fn without_faults(mut self) -> MemoryBroker {
        self.faults = Faults::default();
        let mut broker = self.broker.borrow_mut();
        broker.marker_delay = 0;
        broker.slow_markers = 0;
        broker.hanging = 0;
        broker.mend();
        drop(broker);
        self
    }

    /// Makes a topic, or adds partitions to it.
    pub fn create(&self, topic: &str, partitions: usize) {
        let mut broker = self.broker.borrow_mut();
        broker.create(topic, partitions);
        for group in broker.groups.values_mut() {
            if let Some(known) = group.topics.iter_mut().find(|(known, _)| known == topic) {
                known.1 = partitions;
                group.rebalance();
                group.complete();
            }
        }
    }

    /// Appends a record; returns its offset.
    pub fn append(&self, topic: &str, partition: usize, record: Stored) -> i64 {
        self.broker
            .borrow_mut()
            .append(topic, partition, Some(record))
    }

    /// Appends an offset that no reader sees, as a marker or a compacted record leaves it.
    pub fn skip(&self, topic: &str, partition: usize) {
        self.broker.borrow_mut().append(topic, partition, None);
    }

    /// Removes everything below `start`, as retention does.
    pub fn truncate(&self, topic: &str, partition: usize, start: i64) {
        self.broker.borrow_mut().truncate(topic, partition, start);
    }

    /// Deletes a topic and makes it again, empty.
    pub fn remake(&self, topic: &str) {
        let mut broker = self.broker.borrow_mut();
        broker.remake(topic);
    }

    /// The broker's clock, in milliseconds.
    pub fn now_ms(&self) -> i64 {
        self.broker.borrow().now_ms as i64
    }

    /// What a `read_committed` reader finds in a partition.
    pub fn committed(&self, topic: &str, partition: usize) -> Vec<Stored> {
        self.broker
            .borrow()
            .read(topic, partition, 0)
            .map(|(_, record)| record.clone())
            .collect()
    }

    /// The offset of the last record that a `read_committed` reader finds in a partition.
    pub fn last_record(&self, topic: &str, partition: usize) -> Option<i64> {
        let broker = self.broker.borrow();
        let last = broker.read(topic, partition, 0).last();
        last.map(|(offset, _)| offset)
    }

    /// Partitions of a topic.
    pub fn partitions(&self, topic: &str) -> usize {
        self.broker.borrow().partitions(topic)
    }

    /// Lets time pass.
    pub fn tick(&self, ms: u64) {
        self.broker.borrow_mut().tick(ms);
    }

    /// How many transactions were ever opened on the broker.
    pub fn transactions(&self) -> usize {
        self.broker.borrow().transactions()
    }

    /// True when no transaction is open and every marker is written.
    pub fn is_settled(&self) -> bool {
        self.broker.borrow().is_settled()
    }

    /// A stable commit of a partition, by the group [`MemoryBroker::open`] joins.
    pub fn position(&self, topic: &str, partition: usize) -> Option<Position> {
        self.position_of(GROUP, topic, partition)
    }

    /// A group's stable commit of a partition.
    pub fn position_of(&self, group: &str, topic: &str, partition: usize) -> Option<Position> {
        self.broker
            .borrow()
            .groups
            .get(group)?
            .stable(&(topic.to_owned(), partition))
            .ok()
            .flatten()
            .map(|(position, _)| position)
    }

    /// What a stable commit of a partition keeps beside the position, by the group [`MemoryBroker::open`] joins.
    #[cfg(test)]
    pub(crate) fn note(&self, topic: &str, partition: usize) -> Option<String> {
        let broker = self.broker.borrow();
        let group = broker.groups.get(GROUP)?;
        let stable = group.stable(&(topic.to_owned(), partition)).ok()??;
        stable.1
    }

    /// What `kafka-consumer-groups.sh --reset-offsets` does: a commit outside of any transaction, with nothing beside it.
    #[cfg(test)]
    pub(crate) fn set_position(&self, group: &str, topic: &str, partition: usize, offset: i64) {
        let position = Position {
            offset,
            ..Position::default()
        };
        let place = (topic.to_owned(), partition);
        let mut broker = self.broker.borrow_mut();
        broker.group(group).commit(vec![(place, (position, None))]);
    }

    /// Moves a commit of a group by so many offsets, and leaves what stands beside it.
    #[cfg(test)]
    pub(crate) fn move_position(&self, group: &str, topic: &str, partition: usize, by: i64) {
        let place = (topic.to_owned(), partition);
        let mut broker = self.broker.borrow_mut();
        let group = broker.group(group);
        if let Ok(Some((mut position, note))) = group.stable(&place) {
            position.offset += by;
            group.commit(vec![(place, (position, note))]);
        }
    }

    /// What `kafka-consumer-groups.sh --delete` does.
    #[cfg(test)]
    pub(crate) fn delete_group(&self, group: &str) {
        self.broker.borrow_mut().groups.remove(group);
    }

    /// Joins a group as the static member `name`, and fences its former self.
    ///
    /// # Errors
    /// A topic doesn't exist.
    pub fn open(&self, name: &str, topics: &[&str]) -> Result<MemoryLog, LogError> {
        self.open_in(GROUP, name, topics)
    }

    /// Joins the group of that name.
    ///
    /// # Errors
    /// A topic doesn't exist.
    pub fn open_in(&self, group: &str, name: &str, topics: &[&str]) -> Result<MemoryLog, LogError> {
        let mut broker = self.broker.borrow_mut();
        if let Some(missing) = topics.iter().find(|topic| broker.partitions(topic) == 0) {
            return Err(LogError::NeedsPerson {
                reason: Reason::TopicMissing,
                message: format!("topic {missing}"),
            });
        }
        let counted = topics
            .iter()
            .map(|topic| ((*topic).to_owned(), broker.partitions(topic)))
            .collect();
        let producer = format!("{group}-{name}");
        let epoch = broker.init_producer(&producer);
        let now_ms = broker.now_ms;
        let joined = broker.group(group);
        joined.topics = counted;
        let session = joined.join(name, now_ms);
        Ok(MemoryLog {
            shared: self.clone(),
            group: group.to_owned(),
            producer,
            name: name.to_owned(),
            held_back: Vec::new(),
            topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
            epoch,
            session,
            generation: 0,
            reading: BTreeMap::new(),
            dead: false,
            committing: false,
            written: 0,
            committed_unheard: false,
            commit_metadata: BTreeMap::new(),
        })
    }
}
