//! The consumer group: static members, eager rebalances, generations, and commits that wait for
//! their transaction.

use std::collections::{BTreeMap, HashMap};

use crate::log::Position;

/// A member that isn't heard of for this long is put out.
pub(super) const SESSION_TIMEOUT_MS: u64 = 12_000;

/// Topic and partition.
pub(super) type Place = (String, usize);
/// A position, and the note beside it.
pub(super) type Noted = (Position, Option<String>);
/// A commit of one partition.
pub(super) type Offset = (Place, Noted);

#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) generation: u64,
    pub(super) members: BTreeMap<String, Member>,
    /// Topics that the group reads, with their partition counts.
    pub(super) topics: Vec<(String, usize)>,
    rebalancing: bool,
    offsets: HashMap<Place, Noted>,
    held: Vec<(u64, Vec<Offset>)>,
    sessions: u64,
}

#[derive(Debug)]
pub(super) struct Member {
    pub(super) session: u64,
    pub(super) last_seen_ms: u64,
    pub(super) phase: Phase,
    pub(super) assignment: Vec<Place>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Waits for the others.
    Joining,
    /// Has partitions; `told` once it knows.
    Assigned { told: bool },
    /// Is to give them up; `told` once it knows.
    Revoking { told: bool },
}

/// A transaction that isn't over holds the partition's commit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unstable;

impl Group {
    /// Joins under a static id. One that comes back while the group is at rest gets its partitions
    /// without a rebalance (KIP-345), and its former self is fenced.
    pub(super) fn join(&mut self, name: &str, now_ms: u64) -> u64 {
        self.sessions += 1;
        let session = self.sessions;
        if let Some(member) = self.members.get_mut(name) {
            member.session = session;
            member.last_seen_ms = now_ms;
            member.phase = if self.rebalancing {
                Phase::Joining
            } else {
                Phase::Assigned { told: false }
            };
        } else {
            let member = Member {
                session,
                last_seen_ms: now_ms,
                phase: Phase::Joining,
                assignment: Vec::new(),
            };
            self.members.insert(name.to_owned(), member);
            self.rebalance();
        }
        self.complete();
        session
    }

    /// The member, unless it was put out or replaced.
    pub(super) fn member(&mut self, name: &str, session: u64) -> Option<&mut Member> {
        self.members
            .get_mut(name)
            .filter(|member| member.session == session)
    }

    pub(super) fn is_replaced(&self, name: &str, session: u64) -> bool {
        self.members
            .get(name)
            .is_some_and(|member| member.session != session)
    }

    pub(super) fn expire(&mut self, now_ms: u64) {
        let before = self.members.len();
        self.members
            .retain(|_, member| now_ms <= member.last_seen_ms + SESSION_TIMEOUT_MS);
        if self.members.len() < before {
            self.rebalance();
            self.complete();
        }
    }

    pub(super) fn rebalance(&mut self) {
        self.rebalancing = true;
        for member in self.members.values_mut() {
            member.phase = match member.phase {
                Phase::Assigned { told: true } => Phase::Revoking { told: false },
                // Not told yet: it never held them, so it has nothing to give up.
                Phase::Assigned { told: false } | Phase::Joining => Phase::Joining,
                revoking @ Phase::Revoking { .. } => revoking,
            };
        }
    }

    /// Begins a new generation once everybody has come.
    pub(super) fn complete(&mut self) {
        if !self.rebalancing
            || self
                .members
                .values()
                .any(|member| member.phase != Phase::Joining)
        {
            return;
        }
        self.rebalancing = false;
        self.generation += 1;
        let count = self.members.len();
        for (index, member) in self.members.values_mut().enumerate() {
            // The range assignor: each topic's partitions in contiguous runs.
            member.assignment = self
                .topics
                .iter()
                .flat_map(|(topic, partitions)| {
                    let from = partitions * index / count;
                    let to = partitions * (index + 1) / count;
                    (from..to).map(move |partition| (topic.clone(), partition))
                })
                .collect();
            member.phase = Phase::Assigned { told: false };
        }
    }

    pub(super) fn hold(&mut self, transaction: u64, offsets: Vec<Offset>) {
        self.held.push((transaction, offsets));
    }

    /// The transaction's marker has come.
    pub(super) fn settle(&mut self, transaction: u64, committed: bool) {
        for (_, offsets) in self.held.extract_if(.., |(held, _)| *held == transaction) {
            if committed {
                self.offsets.extend(offsets);
            }
        }
    }

    /// Commits outside of any transaction.
    pub(super) fn commit(&mut self, offsets: Vec<Offset>) {
        self.offsets.extend(offsets);
    }

    /// `OffsetFetch` with `require_stable`: nothing while a transaction holds the partition.
    pub(super) fn stable(&self, place: &Place) -> Result<Option<Noted>, Unstable> {
        let held = self
            .held
            .iter()
            .any(|(_, offsets)| offsets.iter().any(|(held, _)| held == place));
        if held {
            return Err(Unstable);
        }
        Ok(self.offsets.get(place).cloned())
    }
}
