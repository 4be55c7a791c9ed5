//! The member as the loop sees it.

use std::time::Duration;

use super::super::Mutant;
use super::super::group::{Noted, Phase, Place};
use super::super::topics::{Fate, Stored};
use super::MemoryLog;
use crate::log::{
    Batch, Bounds, Changelog, Event, Former, GroupConsumer, Limits, LogError, Outgoing, Partition,
    PartitionEventTime, Position, Refusal, Table, TableRows, Take, Transactions, has_no,
};

impl GroupConsumer for MemoryLog {
    fn poll(
        &mut self,
        wait: Duration,
        limits: Limits,
        batch: &mut Batch,
    ) -> Result<Option<Event>, LogError> {
        self.call()?;
        if let Some(event) = self.group_event()? {
            return Ok(Some(event));
        }
        let event = self.fetch(limits, batch);
        if batch.is_empty() {
            self.shared
                .broker
                .borrow_mut()
                .tick(wait.as_millis() as u64);
        }
        Ok(event)
    }

    fn committed(&mut self, partitions: &[Partition]) -> Result<Vec<Option<Position>>, LogError> {
        let stable = self.stable(partitions)?;
        let forgets = self.shared.mutant == Some(Mutant::ClockForgotten);
        let position = |noted: Option<Noted>| {
            noted.map(|(mut position, _)| {
                if forgets {
                    position.clock = PartitionEventTime::default();
                }
                position
            })
        };
        Ok(stable.into_iter().map(position).collect())
    }

    fn siblings(&mut self, of: Partition) -> Result<Vec<Partition>, LogError> {
        self.call()?;
        let count = self.shared.partitions(&self.topics[usize::from(of.topic)]);
        Ok((0..count as i32)
            .map(|number| Partition {
                topic: of.topic,
                number,
            })
            .collect())
    }

    fn bounds(&mut self, partitions: &[Partition]) -> Result<Vec<Bounds>, LogError> {
        self.call()?;
        let places: Vec<Place> = partitions
            .iter()
            .map(|partition| self.place(*partition))
            .collect();
        let broker = self.shared.broker.borrow();
        let bounds = |(topic, partition): &Place| Bounds {
            earliest: broker.log(topic, *partition).map_or(0, |log| log.start),
            end: broker.stable_end(topic, *partition),
        };
        Ok(places.iter().map(bounds).collect())
    }

    fn offsets_at(&mut self, partitions: &[Partition], time_ms: i64) -> Result<Vec<i64>, LogError> {
        self.call()?;
        let places: Vec<Place> = partitions
            .iter()
            .map(|partition| self.place(*partition))
            .collect();
        let broker = self.shared.broker.borrow();
        let first = |(topic, partition): &Place| {
            let mut records = broker.read(topic, *partition, 0);
            let found =
                records.find(|(_, record)| record.timestamp_ms.is_some_and(|at| at >= time_ms));
            found.map_or_else(
                || broker.stable_end(topic, *partition),
                |(offset, _)| offset,
            )
        };
        Ok(places.iter().map(first).collect())
    }

    fn assign(&mut self, positions: &[(Partition, i64)]) -> Result<(), LogError> {
        self.call()?;
        let rewinds = !self.reading.is_empty();
        if rewinds && self.shared.mutant == Some(Mutant::NoRewind) {
            return Ok(());
        }
        self.reading = positions.iter().copied().collect();
        self.held_back.clear();
        Ok(())
    }

    fn unassign(&mut self) -> Result<(), LogError> {
        self.call()?;
        self.reading.clear();
        let mut broker = self.shared.broker.borrow_mut();
        let broker = &mut *broker;
        let now_ms = broker.now_ms;
        let group = broker.group(&self.group);
        if let Some(member) = group.member(&self.name, self.session) {
            if matches!(member.phase, Phase::Revoking { .. }) {
                member.phase = Phase::Joining;
            }
            group.complete();
        } else {
            self.session = group.join(&self.name, now_ms);
        }
        Ok(())
    }

    fn hold_back(&mut self, partitions: &[Partition]) {
        self.held_back = partitions.to_vec();
    }

    fn end(&self, partition: Partition) -> Option<i64> {
        let (topic, number) = self.place(partition);
        Some(self.shared.broker.borrow().stable_end(&topic, number))
    }

    fn trouble(&self) -> Option<String> {
        None
    }

    fn now(&self) -> Duration {
        Duration::from_millis(self.shared.broker.borrow().now_ms)
    }

    fn wall_ms(&self) -> i64 {
        self.shared.broker.borrow().now_ms as i64
    }

    fn peek(&mut self, partitions: &[Partition]) -> Result<Vec<Option<Position>>, LogError> {
        self.committed(partitions)
    }
}

impl Transactions for MemoryLog {
    fn begin(&mut self) -> Result<(), LogError> {
        self.committing = false;
        self.committed_unheard = false;
        self.written = 0;
        self.call()
    }

    fn produce(&mut self, record: &Outgoing<'_>) -> Result<(), LogError> {
        self.call()?;
        self.may_fail("produce")?;
        let stored = Stored {
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
            timestamp_ms: record.timestamp_ms,
            headers: record
                .headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone()))
                .collect(),
        };
        let partition = record.partition.map(|partition| partition as usize);
        let unwell = self.shared.mutant.is_some() && self.chance(50);
        let mut broker = self.shared.broker.borrow_mut();
        match self.shared.mutant {
            Some(Mutant::RecordLost) if unwell => return Ok(()),
            Some(Mutant::RecordTwice) if unwell => {
                self.written += 1;
                broker
                    .produce(
                        &self.producer,
                        self.epoch,
                        record.topic,
                        partition,
                        stored.clone(),
                    )
                    .map_err(Self::refused)?;
            }
            _ => {}
        }
        self.written += 1;
        if let (Some(partition), true, Some(Mutant::ChangelogOutside)) =
            (partition, record.key.is_some(), self.shared.mutant)
        {
            broker.append(record.topic, partition, Some(stored));
            return Ok(());
        }
        broker
            .produce(&self.producer, self.epoch, record.topic, partition, stored)
            .map_err(Self::refused)
    }

    fn commit(&mut self, positions: &[(Partition, Position)]) -> Result<(), LogError> {
        self.call()?;
        if std::mem::take(&mut self.committed_unheard) {
            return Ok(());
        }
        self.commit_now(positions)
    }

    fn written(&self) -> u64 {
        self.written
    }

    fn abort(&mut self) -> Result<(), LogError> {
        self.call()?;
        self.committing = false;
        self.shared
            .broker
            .borrow_mut()
            .end_transaction(&self.producer, self.epoch, Fate::Aborted)
            .map_err(Self::refused)
    }

    fn set_commit_metadata(&mut self, notes: Vec<(Partition, String)>) {
        self.commit_metadata = notes.into_iter().collect();
    }

    fn commit_metadata(
        &mut self,
        partitions: &[Partition],
    ) -> Result<Vec<Option<String>>, LogError> {
        let stable = self.stable(partitions)?;
        if self.shared.mutant == Some(Mutant::NotesForgotten) {
            return Ok(vec![None; partitions.len()]);
        }
        let note = |noted: Option<Noted>| noted.and_then(|(_, note)| note);
        Ok(stable.into_iter().map(note).collect())
    }
}

impl Changelog for MemoryLog {
    fn restore(&mut self, topic: &str, partition: i32, take: Take<'_>) -> Result<u64, LogError> {
        self.call()?;
        let partition = partition as usize;
        let mut broker = self.shared.broker.borrow_mut();
        let end = broker.high_watermark(topic, partition);
        if self.shared.mutant != Some(Mutant::RestoredToStable) {
            let mut waited = 0;
            while broker.stable_end(topic, partition) < end {
                broker.tick(10);
                waited += 1;
                if waited > 10_000 {
                    return Err(LogError::Broken {
                        message: "the changelog's transactions don't end".to_owned(),
                    });
                }
            }
        }
        let found: Vec<Stored> = broker
            .read(topic, partition, 0)
            .map(|(_, record)| record.clone())
            .collect();
        // Compaction has come to some point: before it only the last record of each key is left, and of
        // tombstones perhaps nothing.
        let clean = broker.chance.below(found.len() as u64 + 1) as usize;
        let no_tombstones = broker.chance.once_in(500);
        drop(broker);
        let mut count = 0;
        for (at, record) in found.iter().enumerate() {
            let outlived = at < clean
                && (found[at + 1..].iter().any(|later| later.key == record.key)
                    || (no_tombstones && record.value.is_none()));
            if !outlived {
                count += 1;
                take(
                    record.key.as_deref().unwrap_or_default(),
                    record.value.as_deref(),
                )
                .map_err(|message| LogError::Broken { message })?;
            }
        }
        Ok(count)
    }

    fn trim(&mut self, offsets: &[(Partition, i64)]) {
        for (partition, offset) in offsets {
            let (topic, number) = self.place(*partition);
            self.shared.truncate(&topic, number, *offset);
        }
    }
}

impl Table for MemoryLog {
    fn insert(&mut self, _: &TableRows, _: bool) -> Result<Vec<Refusal>, LogError> {
        Err(has_no("table"))
    }

    fn former(&self, _: Partition, _: i64) -> Former {
        Former::Nothing
    }

    fn mark_dead_lettered(&mut self, _: Partition, _: i64) {}
}
