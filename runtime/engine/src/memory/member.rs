//! One member of the group, with everything that can go wrong in its calls.

use std::collections::BTreeMap;

use super::group::{Noted, Offset, Phase, Place};
use super::topics::{Fate, Refusal};
use super::{MemoryBroker, Mutant};
use crate::log::{Batch, Event, Limits, LogError, Partition, Position, Record};

mod log;

/// One member.
#[derive(Debug)]
pub struct MemoryLog {
    pub(super) shared: MemoryBroker,
    pub(super) group: String,
    /// The transactional id.
    pub(super) producer: String,
    pub(super) name: String,
    pub(super) held_back: Vec<Partition>,
    pub(super) topics: Vec<String>,
    pub(super) epoch: u64,
    pub(super) session: u64,
    pub(super) generation: u64,
    pub(super) reading: BTreeMap<Partition, i64>,
    pub(super) dead: bool,
    /// The positions are in the transaction already.
    pub(super) committing: bool,
    /// Records that the open transaction was given.
    pub(super) written: u64,
    /// The commit took effect, but its answer was lost.
    pub(super) committed_unheard: bool,
    /// What the next commit keeps beside the positions.
    pub(super) commit_metadata: BTreeMap<Partition, String>,
}

impl MemoryLog {
    /// Every call costs time, and may be the process's last.
    fn call(&mut self) -> Result<(), LogError> {
        let mut broker = self.shared.broker.borrow_mut();
        broker.tick(1);
        let now_ms = broker.now_ms;
        if let Some(member) = broker.group(&self.group).member(&self.name, self.session) {
            member.last_seen_ms = now_ms;
        }
        if self.dead || broker.chance.once_in(self.shared.faults.kill) {
            drop(broker);
            return Err(self.die());
        }
        Ok(())
    }

    fn die(&mut self) -> LogError {
        self.dead = true;
        LogError::Broken {
            message: "killed".to_owned(),
        }
    }

    /// True once the process was killed: whoever holds it must drop it.
    pub fn is_dead(&self) -> bool {
        self.dead
    }

    fn chance(&self, per_mille: u64) -> bool {
        self.shared.broker.borrow_mut().chance.once_in(per_mille)
    }

    fn may_fail(&self, doing: &str) -> Result<(), LogError> {
        if self.chance(self.shared.faults.abortable) {
            return Err(LogError::Abortable {
                message: format!("{doing} failed"),
            });
        }
        Ok(())
    }

    fn place(&self, partition: Partition) -> Place {
        (
            self.topics[usize::from(partition.topic)].clone(),
            partition.number as usize,
        )
    }

    fn partition(&self, place: &Place) -> Option<Partition> {
        let topic = self.topics.iter().position(|topic| *topic == place.0)?;
        Some(Partition {
            topic: topic as u16,
            number: place.1 as i32,
        })
    }

    fn refused(refusal: Refusal) -> LogError {
        match refusal {
            Refusal::Fenced => LogError::Fenced {
                message: "the producer is fenced".to_owned(),
            },
            Refusal::Ended => LogError::Abortable {
                message: "the coordinator ended the transaction".to_owned(),
            },
        }
    }

    fn group_event(&mut self) -> Result<Option<Event>, LogError> {
        let mut broker = self.shared.broker.borrow_mut();
        let broker = &mut *broker;
        if broker
            .group(&self.group)
            .is_replaced(&self.name, self.session)
        {
            return Err(LogError::Fenced {
                message: "another process has this member's id".to_owned(),
            });
        }
        let generation = broker.group(&self.group).generation;
        let Some(member) = broker.group(&self.group).member(&self.name, self.session) else {
            if self.reading.is_empty() {
                let now_ms = broker.now_ms;
                self.session = broker.group(&self.group).join(&self.name, now_ms);
                return Ok(None);
            }
            return Ok((!broker.chance.once_in(self.shared.faults.unnoticed))
                .then_some(Event::Revoked { lost: true }));
        };
        match member.phase {
            Phase::Revoking { told: false } => {
                member.phase = Phase::Revoking { told: true };
                Ok(Some(Event::Revoked { lost: false }))
            }
            Phase::Assigned { told: false } => {
                member.phase = Phase::Assigned { told: true };
                let places = member.assignment.clone();
                self.generation = generation;
                Ok(Some(Event::Assigned(
                    places
                        .iter()
                        .filter_map(|place| self.partition(place))
                        .collect(),
                )))
            }
            _ => Ok(None),
        }
    }

    fn fetch(&mut self, limits: Limits, batch: &mut Batch) -> Option<Event> {
        let mut broker = self.shared.broker.borrow_mut();
        let mut passed = Vec::new();
        let partitions: Vec<Partition> = self.reading.keys().copied().collect();
        for partition in partitions {
            if self.held_back.contains(&partition) {
                continue;
            }
            if broker.chance.once_in(300) {
                continue;
            }
            let most = broker.chance.below(6) as usize + 1;
            let place = (
                self.topics[usize::from(partition.topic)].clone(),
                partition.number as usize,
            );
            let at = self.reading.get(&partition).copied().unwrap_or(0);
            let mut next = at;
            let mut taken = 0;
            for (offset, record) in broker.read(&place.0, place.1, at) {
                if taken == most || batch.is_full(limits) {
                    break;
                }
                taken += 1;
                next = offset + 1;
                batch.push(&Record {
                    partition,
                    offset,
                    timestamp_ms: record.timestamp_ms,
                    key: record.key.as_deref(),
                    value: record.value.as_deref(),
                });
                if batch.asks_for_headers() {
                    batch.push_headers(record.headers.clone());
                }
            }
            // A full batch says nothing of what comes next.
            if taken == 0 && !batch.is_full(limits) {
                let end = broker.stable_end(&place.0, place.1);
                if end > at {
                    next = end;
                    passed.push((partition, end));
                }
            }
            self.reading.insert(partition, next);
        }
        (!passed.is_empty()).then_some(Event::Passed(passed))
    }

    /// True if the group still knows us by the generation that gave us the partitions.
    fn is_current(&self) -> bool {
        let mut broker = self.shared.broker.borrow_mut();
        broker.group(&self.group).generation == self.generation
            && broker
                .group(&self.group)
                .member(&self.name, self.session)
                .is_some()
    }

    fn commit_now(&mut self, positions: &[(Partition, Position)]) -> Result<(), LogError> {
        let mutant = self.shared.mutant;
        let ahead = mutant == Some(Mutant::PositionAhead) && self.chance(100);
        let offsets: Vec<Offset> = positions
            .iter()
            .map(|(partition, position)| {
                let mut position = *position;
                position.offset += i64::from(ahead);
                let note = self.commit_metadata.get(partition).cloned();
                (self.place(*partition), (position, note))
            })
            .collect();
        if !self.committing && mutant != Some(Mutant::OffsetsOutside) {
            if mutant != Some(Mutant::Unfenced) && !self.is_current() {
                return Err(LogError::Abortable {
                    message: "the group's generation is over".to_owned(),
                });
            }
            self.shared
                .broker
                .borrow_mut()
                .add_offsets(&self.producer, self.epoch, &self.group, offsets.clone())
                .map_err(Self::refused)?;
            self.committing = true;
            self.call()?;
        }
        self.may_fail("commit")?;
        let unknown = self.chance(self.shared.faults.unknown_commit);
        if unknown && self.chance(500) {
            return Err(LogError::Retriable {
                message: "no answer, and no effect".to_owned(),
            });
        }
        self.shared
            .broker
            .borrow_mut()
            .end_transaction(&self.producer, self.epoch, Fate::Committed)
            .map_err(Self::refused)?;
        self.committing = false;
        self.call()?;
        if mutant == Some(Mutant::OffsetsOutside) {
            let mut broker = self.shared.broker.borrow_mut();
            broker.group(&self.group).commit(offsets);
        }
        if unknown {
            self.committed_unheard = true;
            return Err(LogError::Retriable {
                message: "no answer, but an effect".to_owned(),
            });
        }
        Ok(())
    }

    /// The group's stable commits.
    fn stable(&mut self, partitions: &[Partition]) -> Result<Vec<Option<Noted>>, LogError> {
        self.call()?;
        let places: Vec<Place> = partitions
            .iter()
            .map(|partition| self.place(*partition))
            .collect();
        let mut broker = self.shared.broker.borrow_mut();
        let group = broker.group(&self.group);
        let unstable = || LogError::Retriable {
            message: "a transaction holds the partition".to_owned(),
        };
        places
            .iter()
            .map(|place| group.stable(place).map_err(|_| unstable()))
            .collect()
    }
}
