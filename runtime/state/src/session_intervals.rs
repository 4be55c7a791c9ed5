//! Sessions by key: intervals of event time, each with a group of a table.

use std::sync::Arc;

use arrow::array::ArrayRef;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::accumulate::Input;
use crate::error::StateError;
use crate::keys::{hash, spread};
use crate::table::{Layout, Table};

const NONE: u32 = u32::MAX;

/// A session: the times of its first and last row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interval {
    pub start: i64,
    pub last: i64,
}

#[derive(Clone, Copy, Debug)]
struct Link {
    interval: Interval,
    /// The next session of the key; of a session that was merged into another: that one.
    next: u32,
    alive: bool,
}

#[derive(Clone, Copy, Debug)]
struct Head {
    hash: u32,
    first: u32,
}

/// Sessions that don't touch each other.
#[derive(Debug)]
pub(crate) struct SessionIntervals {
    layout: Arc<Layout>,
    gap: i64,
    /// A group for each session; its keys are not looked up.
    pub table: Table,
    links: Vec<Link>,
    heads: HashTable<Head>,
    alive: usize,
    /// Sessions that were merged into others since the last [`SessionIntervals::merge_joined`].
    merged: Vec<u32>,
}

impl Interval {
    /// True: no more than `gap` lies between the two.
    pub(crate) fn touches(self, other: Interval, gap: i64) -> bool {
        self.start <= other.last.saturating_add(gap) && other.start <= self.last.saturating_add(gap)
    }

    pub(crate) fn union(self, other: Interval) -> Interval {
        Interval {
            start: self.start.min(other.start),
            last: self.last.max(other.last),
        }
    }
}

impl SessionIntervals {
    pub(crate) fn new(layout: &Arc<Layout>, gap: i64) -> SessionIntervals {
        SessionIntervals {
            layout: layout.clone(),
            gap,
            table: Table::new(layout, false),
            links: Vec::new(),
            heads: HashTable::new(),
            alive: 0,
            merged: Vec::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.alive
    }

    pub(crate) fn interval(&self, group: u32) -> Interval {
        self.links[group as usize].interval
    }

    pub(crate) fn size(&self) -> usize {
        self.table.size() + self.links.capacity() * 24 + self.heads.allocation_size()
    }

    /// One more than the greatest number a session has.
    pub(crate) fn end(&self) -> u32 {
        self.links.len() as u32
    }

    pub(crate) fn is_alive(&self, group: u32) -> bool {
        self.links[group as usize].alive
    }

    /// All sessions from that number on, in the order they came.
    pub(crate) fn groups_from(&self, first: u32) -> impl Iterator<Item = u32> {
        (first..self.end()).filter(|&group| self.is_alive(group))
    }

    /// Takes in states of sessions that were [`SessionIntervals::put`].
    pub(crate) fn absorb_columns(
        &mut self,
        state: &[ArrayRef],
        groups: &[u32],
    ) -> Result<(), StateError> {
        let targets: Vec<u32> = groups.iter().map(|&group| self.found(group)).collect();
        self.table.absorb_columns(state, &targets)?;
        self.merge_joined()
    }

    /// The sessions of a key.
    pub(crate) fn of<'a>(&'a self, key: &[u8]) -> impl Iterator<Item = u32> + use<'a> {
        let hash = hash(key);
        let head = self
            .heads
            .find(spread(hash), |h| {
                h.hash == hash && self.table.key(h.first) == key
            })
            .map_or(NONE, |h| h.first);
        let some = |group: u32| (group != NONE).then_some(group);
        std::iter::successors(some(head), move |&group| {
            some(self.links[group as usize].next)
        })
    }

    /// Puts an interval where it belongs, merging what it joins; gives its session, which is final only after
    /// [`SessionIntervals::merge_joined`].
    pub(crate) fn put(&mut self, key: &[u8], interval: Interval) -> u32 {
        let hash = hash(key);
        let table = &self.table;
        let entry = self.heads.entry(
            spread(hash),
            |h| h.hash == hash && table.key(h.first) == key,
            |h| spread(h.hash),
        );
        let mut head = match entry {
            Entry::Occupied(found) => found,
            Entry::Vacant(free) => {
                let first = self.table.keys.append(key);
                free.insert(Head { hash, first });
                self.links.push(Link {
                    interval,
                    next: NONE,
                    alive: true,
                });
                self.alive += 1;
                return first;
            }
        };
        let first = head.get().first;
        let mut joined = NONE;
        let (mut before, mut group) = (NONE, first);
        let mut whole = interval;
        while group != NONE {
            let link = self.links[group as usize];
            if !link.interval.touches(whole, self.gap) {
                before = group;
            } else if joined == NONE {
                joined = group;
                whole = whole.union(link.interval);
                before = group;
            } else {
                // It joins two: the later in the list goes into the earlier.
                whole = whole.union(link.interval);
                self.links[before as usize].next = link.next;
                self.links[group as usize].next = joined;
                self.links[group as usize].alive = false;
                self.alive -= 1;
                self.merged.push(group);
            }
            group = link.next;
        }
        if joined == NONE {
            joined = self.table.keys.append(key);
            self.links.push(Link {
                interval,
                next: first,
                alive: true,
            });
            self.alive += 1;
            head.get_mut().first = joined;
        } else {
            self.links[joined as usize].interval = whole;
        }
        joined
    }

    /// The session that a session has become part of.
    fn found(&self, mut group: u32) -> u32 {
        while !self.links[group as usize].alive {
            group = self.links[group as usize].next;
        }
        group
    }

    /// Takes in rows that were [`SessionIntervals::put`].
    pub(crate) fn update(
        &mut self,
        input: &Input<'_>,
        groups: &mut [u32],
    ) -> Result<(), StateError> {
        if !self.merged.is_empty() {
            for group in groups.iter_mut() {
                *group = self.found(*group);
            }
        }
        self.table.update_groups(input, groups)?;
        self.merge_joined()
    }

    /// Merges the states of sessions that became one.
    pub(crate) fn merge_joined(&mut self) -> Result<(), StateError> {
        self.table.resize();
        if self.merged.is_empty() {
            return Ok(());
        }
        let merged = std::mem::take(&mut self.merged);
        let targets: Vec<u32> = merged.iter().map(|&group| self.found(group)).collect();
        self.table.fold(&merged, &targets)
    }

    /// Takes sessions of another table in.
    pub(crate) fn absorb(
        &mut self,
        other: &SessionIntervals,
        groups: &[u32],
    ) -> Result<(), StateError> {
        let targets: Vec<u32> = groups
            .iter()
            .map(|&group| self.put(other.table.key(group), other.interval(group)))
            .collect();
        let targets: Vec<u32> = targets.iter().map(|&group| self.found(group)).collect();
        self.table.absorb_groups(&other.table, groups, &targets)?;
        self.merge_joined()
    }

    /// Takes sessions away. True: the others have new numbers.
    pub(crate) fn remove(&mut self, groups: &[u32]) -> Result<bool, StateError> {
        for &group in groups {
            let hash = hash(self.table.key(group));
            let next = self.links[group as usize].next;
            let before = self
                .of(self.table.key(group))
                .find(|&g| self.links[g as usize].next == group);
            if let Some(before) = before {
                self.links[before as usize].next = next;
            } else if let Ok(mut head) = self.heads.find_entry(spread(hash), |h| h.first == group) {
                if next == NONE {
                    head.remove();
                } else {
                    head.get_mut().first = next;
                }
            }
            self.links[group as usize].alive = false;
            self.alive -= 1;
        }
        self.table.reset(groups);
        if self.links.len() > 1024 && self.alive < self.links.len() / 2 {
            let mut rest = SessionIntervals::new(&self.layout, self.gap);
            let groups: Vec<u32> = self.groups_from(0).collect();
            rest.absorb(self, &groups)?;
            *self = rest;
            return Ok(true);
        }
        Ok(false)
    }

    pub(crate) fn clear(&mut self) {
        self.table.clear();
        self.links.clear();
        self.heads.clear();
        self.alive = 0;
        self.merged.clear();
    }
}
