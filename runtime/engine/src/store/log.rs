//! A log that reads from Kafka and commits to a store.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use super::commit_metadata::CommitMetadata;
use super::refusals::{self, said};
use super::{Move, Store, StoreError};
use crate::log::{
    Batch, Bounds, Changelog, Event, Former, GroupConsumer, Holds, Limits, Log, LogError, Outgoing,
    Partition, Position, Refusal, Table, TableRows, Take, Transactions, has_no,
};

/// How often a commit in Kafka is repeated whose outcome isn't known.
const ATTEMPTS: u32 = 4;

/// See the module above. `L` is the group member, and the producer of dead letters.
pub struct StoreLog<L> {
    inner: L,
    store: Box<dyn Store>,
    topics: Vec<String>,
    /// What the store holds, as last read or written.
    stored: HashMap<Partition, Option<Position>>,
    /// What earlier attempts left behind in Kafka.
    former: HashMap<Partition, CommitMetadata>,
    /// Records that are dead letters by this transaction or an earlier attempt at it.
    dead_lettered: BTreeMap<Partition, BTreeSet<i64>>,
    dead_letters: DeadLetters,
}

/// How far the Kafka transaction is that holds the dead letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DeadLetters {
    None,
    Open,
    Committed,
}

impl<L: Log> StoreLog<L> {
    /// `topics` are the inputs that `inner` was opened with.
    pub fn new(inner: L, store: Box<dyn Store>, topics: Vec<String>) -> StoreLog<L> {
        StoreLog {
            inner,
            store,
            topics,
            stored: HashMap::new(),
            former: HashMap::new(),
            dead_lettered: BTreeMap::new(),
            dead_letters: DeadLetters::None,
        }
    }

    fn topic(&self, partition: Partition) -> &str {
        self.topics
            .get(usize::from(partition.topic))
            .map_or("", String::as_str)
    }

    fn places(&self, partitions: &[Partition]) -> Vec<(String, i32)> {
        partitions
            .iter()
            .map(|partition| (self.topic(*partition).to_owned(), partition.number))
            .collect()
    }

    fn claim(&mut self, partitions: &[Partition]) -> Result<(), StoreError> {
        let places = self.places(partitions);
        let found = self.store.claim(&places)?;
        if found.len() != partitions.len() {
            return Err(StoreError::Broken {
                message: "the store answered about other partitions".to_owned(),
            });
        }
        self.stored.extend(partitions.iter().copied().zip(found));
        Ok(())
    }

    /// What a partition's note must say once it is read up to `position`.
    fn metadata_of(&self, partition: Partition, position: Position) -> CommitMetadata {
        let mut start = self
            .stored
            .get(&partition)
            .copied()
            .flatten()
            .map_or(position.offset, |stored| stored.offset);
        let mut dead_letters = self
            .dead_lettered
            .get(&partition)
            .cloned()
            .unwrap_or_default();
        let mut end = position.offset;
        // An earlier attempt may have come further.
        if let Some(former) = self.former.get(&partition) {
            dead_letters.extend(former.dead_letters.range(position.offset..));
            end = end.max(former.end);
            start = start.max(former.start);
        }
        CommitMetadata {
            start,
            end,
            dead_letters,
        }
    }

    /// Commits the dead letters, so that the store's commit can follow.
    fn commit_dead_letters(&mut self, positions: &[(Partition, Position)]) -> Result<(), LogError> {
        let notes: Vec<(Partition, CommitMetadata)> = positions
            .iter()
            .map(|(partition, position)| (*partition, self.metadata_of(*partition, *position)))
            .collect();
        self.inner.set_commit_metadata(
            notes
                .iter()
                .map(|(partition, note)| (*partition, note.write()))
                .collect(),
        );
        self.inner.commit(positions)?;
        self.dead_letters = DeadLetters::Committed;
        self.former.extend(notes);
        Ok(())
    }

    fn commit_rows(&mut self, positions: &[(Partition, Position)]) -> Result<(), StoreError> {
        let moves: Vec<Move<'_>> = positions
            .iter()
            .filter_map(|(partition, position)| {
                let stored = self.stored.get(partition).copied().flatten();
                (stored != Some(*position)).then(|| Move {
                    topic: self
                        .topics
                        .get(usize::from(partition.topic))
                        .map_or("", String::as_str),
                    partition: partition.number,
                    expected: stored.map(|stored| stored.offset),
                    position: *position,
                })
            })
            .collect();
        self.store.commit(&moves)
    }

    /// Whether a commit whose answer was lost took effect. It is never assumed; and the new claim keeps it
    /// from doing so later.
    fn look(&mut self, positions: &[(Partition, Position)], why: String) -> Result<(), StoreError> {
        tracing::warn!(
            why,
            "whether the store has committed isn't known; its offsets tell"
        );
        let partitions: Vec<Partition> = positions.iter().map(|(p, _)| *p).collect();
        self.claim(&partitions)?;
        // Whether the store keeps counts is another matter.
        let uncounted = |position: Position| Position {
            counts: None,
            ..position
        };
        let there = positions.iter().all(|(partition, position)| {
            let stored = self.stored.get(partition).copied().flatten();
            stored.map(uncounted) == Some(uncounted(*position))
        });
        if there {
            return Ok(());
        }
        Err(StoreError::Conflict { message: why })
    }

    /// Proves that a claim was made by the partitions' owner, by a commit that Kafka refuses to anybody else.
    /// Without that, a member that was put out and doesn't know it could claim after its successor, and
    /// write rows of what has become dead letters meanwhile. With it, claims follow each other as owners
    /// do.
    fn prove(&mut self, positions: &[(Partition, Position)]) -> Result<(), LogError> {
        self.inner.begin()?;
        self.dead_letters = DeadLetters::Open;
        let mut attempt = 0;
        loop {
            attempt += 1;
            match self.commit_dead_letters(positions) {
                Err(LogError::Retriable { message }) if attempt < ATTEMPTS => {
                    tracing::warn!(message, "whether the commit succeeded isn't known yet");
                }
                answer => break answer?,
            }
        }
        self.dead_letters = DeadLetters::None;
        Ok(())
    }
}

impl<L: Log> GroupConsumer for StoreLog<L> {
    fn poll(
        &mut self,
        wait: Duration,
        limits: Limits,
        batch: &mut Batch,
    ) -> Result<Option<Event>, LogError> {
        self.inner.poll(wait, limits, batch)
    }

    /// The store's offsets: without any, the pipeline begins where `startFrom` says, whatever the group
    /// has committed. A database that was made anew is filled anew.
    fn committed(&mut self, partitions: &[Partition]) -> Result<Vec<Option<Position>>, LogError> {
        // Whoever asks reads again from there.
        self.dead_lettered.clear();
        // First the claim: what is noted in Kafka by then is all that will be.
        self.claim(partitions).map_err(said)?;
        let notes = self.inner.commit_metadata(partitions)?;
        for (partition, note) in partitions.iter().zip(notes) {
            self.former.remove(partition);
            if let Some(note) = note.as_deref().and_then(CommitMetadata::read) {
                self.former.insert(*partition, note);
            }
        }
        Ok(partitions
            .iter()
            .map(|partition| self.stored.get(partition).copied().flatten())
            .collect())
    }

    fn peek(&mut self, partitions: &[Partition]) -> Result<Vec<Option<Position>>, LogError> {
        let places = self.places(partitions);
        self.store.offsets(&places).map_err(said)
    }

    fn siblings(&mut self, of: Partition) -> Result<Vec<Partition>, LogError> {
        self.inner.siblings(of)
    }

    fn bounds(&mut self, partitions: &[Partition]) -> Result<Vec<Bounds>, LogError> {
        self.inner.bounds(partitions)
    }

    fn offsets_at(&mut self, partitions: &[Partition], time_ms: i64) -> Result<Vec<i64>, LogError> {
        self.inner.offsets_at(partitions, time_ms)
    }

    /// The claim counts only for the partitions' owner.
    fn assign(&mut self, positions: &[(Partition, i64)]) -> Result<(), LogError> {
        if !positions.is_empty() {
            let positions: Vec<(Partition, Position)> = positions
                .iter()
                .map(|(partition, offset)| {
                    let position = Position {
                        offset: *offset,
                        ..Position::default()
                    };
                    (*partition, position)
                })
                .collect();
            self.prove(&positions)?;
        }
        self.inner.assign(positions)
    }

    fn unassign(&mut self) -> Result<(), LogError> {
        self.inner.unassign()
    }

    fn end(&self, partition: Partition) -> Option<i64> {
        self.inner.end(partition)
    }

    fn trouble(&self) -> Option<String> {
        self.inner.trouble()
    }

    fn now(&self) -> Duration {
        self.inner.now()
    }

    fn wall_ms(&self) -> i64 {
        self.inner.wall_ms()
    }

    fn hold_back(&mut self, partitions: &[Partition]) {
        self.inner.hold_back(partitions);
    }
}

impl<L: Log> Transactions for StoreLog<L> {
    fn begin(&mut self) -> Result<(), LogError> {
        self.dead_letters = DeadLetters::None;
        self.store.begin().map_err(said)
    }

    /// Only dead letters are written to Kafka.
    fn produce(&mut self, record: &Outgoing<'_>) -> Result<(), LogError> {
        if self.dead_letters == DeadLetters::None {
            self.inner.begin()?;
            self.dead_letters = DeadLetters::Open;
        }
        self.inner.produce(record)
    }

    fn commit(&mut self, positions: &[(Partition, Position)]) -> Result<(), LogError> {
        if self.dead_letters == DeadLetters::Open {
            self.commit_dead_letters(positions)?;
        }
        match self.commit_rows(positions) {
            Err(StoreError::Unknown { message }) => {
                self.look(positions, message).map_err(said)?;
                // To look took a claim.
                self.prove(positions)?;
            }
            answer => answer.map_err(said)?,
        }
        self.stored.extend(
            positions
                .iter()
                .map(|(partition, position)| (*partition, Some(*position))),
        );
        self.dead_letters = DeadLetters::None;
        self.dead_lettered.clear();
        Ok(())
    }

    /// Rows aren't records: what is counted is dead letters.
    fn written(&self) -> u64 {
        if self.dead_letters == DeadLetters::None {
            return 0;
        }
        self.inner.written()
    }

    fn abort(&mut self) -> Result<(), LogError> {
        self.store.rollback();
        self.dead_lettered.clear();
        if std::mem::replace(&mut self.dead_letters, DeadLetters::None) == DeadLetters::Open {
            return self.inner.abort();
        }
        Ok(())
    }

    /// The commits of the group hold the notes about dead letters, and nothing else.
    fn set_commit_metadata(&mut self, _: Vec<(Partition, String)>) {}

    fn commit_metadata(
        &mut self,
        partitions: &[Partition],
    ) -> Result<Vec<Option<String>>, LogError> {
        Ok(vec![None; partitions.len()])
    }
}

impl<L: Log> Changelog for StoreLog<L> {
    fn restore(&mut self, _: &str, _: i32, _: Take<'_>) -> Result<u64, LogError> {
        Err(has_no("changelog"))
    }

    /// What is read is everybody's.
    fn trim(&mut self, _: &[(Partition, i64)]) {}
}

impl<L: Log> Table for StoreLog<L> {
    fn insert(&mut self, rows: &TableRows, first_only: bool) -> Result<Vec<Refusal>, LogError> {
        let StoreLog { inner, store, .. } = self;
        let mut write = |rows: &TableRows| store.write(rows);
        refusals::insert(rows, first_only, &mut write, &|| inner.now()).map_err(said)
    }

    fn former(&self, partition: Partition, offset: i64) -> Former {
        match self.former.get(&partition) {
            Some(note) if note.dead_letters.contains(&offset) => Former::DeadLetter,
            Some(note) if offset < note.start => Former::Stored,
            _ => Former::Nothing,
        }
    }

    fn holds(&mut self) -> Option<Holds> {
        self.store.holds()
    }

    fn mark_dead_lettered(&mut self, partition: Partition, offset: i64) {
        self.dead_lettered
            .entry(partition)
            .or_default()
            .insert(offset);
    }
}
