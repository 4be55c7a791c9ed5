//! Committed sessions and those of the epoch, together: for results and for the changelog.

use std::cell::OnceCell;
use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};

use super::Sessions;
use crate::changelog_segments::{Content, PARTS, part_of};
use crate::error::{StateError, columns};
use crate::keys::{Keys, hash};
use crate::session_intervals::{Interval, SessionIntervals};
use crate::table::{Bounds, Table};

/// A session of which something came in this epoch, or that gives its result.
#[derive(Debug)]
pub(super) struct Merged {
    pub interval: Interval,
    pub committed: Vec<u32>,
    pub overlay: Vec<u32>,
}

impl Sessions {
    /// Sessions as they would be after the epoch: those with something new, and other committed ones that are
    /// final now.
    pub(super) fn merged(&self, floor: i64) -> (Vec<Merged>, Vec<Merged>) {
        let mut keys = Keys::new(None);
        let (mut running, mut ending) = (Vec::new(), Vec::new());
        let mut add = |merged: Merged| {
            if self.is_final(merged.interval.last, floor) {
                ending.push(merged);
            } else {
                running.push(merged);
            }
        };
        for group in self.overlay.groups_from(0) {
            let key = self.overlay.table.key(group);
            let known = keys.len();
            if (keys.intern(key) as usize) < known {
                continue;
            }
            let old = self
                .committed
                .of(key)
                .map(|g| (self.committed.interval(g), g, true));
            let new = self
                .overlay
                .of(key)
                .map(|g| (self.overlay.interval(g), g, false));
            let mut all: Vec<(Interval, u32, bool)> = old.chain(new).collect();
            all.sort_by_key(|s| (s.0.start, s.1, s.2));
            let mut last: Option<Merged> = None;
            for (interval, group, is_old) in all {
                let mut merged = match last.take() {
                    Some(merged) if merged.interval.touches(interval, self.gap) => merged,
                    before => {
                        before.into_iter().for_each(&mut add);
                        Merged {
                            interval,
                            committed: Vec::new(),
                            overlay: Vec::new(),
                        }
                    }
                };
                merged.interval = merged.interval.union(interval);
                if is_old {
                    merged.committed.push(group);
                } else {
                    merged.overlay.push(group);
                }
                last = Some(merged);
            }
            last.into_iter().for_each(&mut add);
        }
        for group in self.planned(floor) {
            let interval = self.committed.interval(group);
            let touched = keys.find(self.committed.table.key(group)).is_some();
            if !touched && self.is_final(interval.last, floor) {
                ending.push(Merged {
                    interval,
                    committed: vec![group],
                    overlay: Vec::new(),
                });
            }
        }
        (running, ending)
    }

    /// The results of sessions that are final, by their end.
    pub(super) fn results(
        &self,
        ending: &mut [Merged],
        out: &mut Vec<RecordBatch>,
    ) -> Result<(), StateError> {
        if ending.is_empty() {
            return Ok(());
        }
        ending.sort_by_key(|m| (m.interval.last, m.interval.start));
        let mut results = Table::new(&self.layout, false);
        let (mut old, mut old_to) = (Vec::new(), Vec::new());
        let (mut new, mut new_to) = (Vec::new(), Vec::new());
        for merged in ending.iter() {
            let key = match (merged.committed.first(), merged.overlay.first()) {
                (Some(&group), _) => self.committed.table.key(group),
                (None, Some(&group)) => self.overlay.table.key(group),
                (None, None) => continue,
            };
            let target = results.keys.append(key);
            old.extend_from_slice(&merged.committed);
            old_to.resize(old.len(), target);
            new.extend_from_slice(&merged.overlay);
            new_to.resize(new.len(), target);
        }
        results.absorb_groups(&self.committed.table, &old, &old_to)?;
        results.absorb_groups(&self.overlay.table, &new, &new_to)?;
        let windows: Vec<(i64, i64)> = ending
            .iter()
            .map(|m| (m.interval.start, m.interval.last.saturating_add(self.gap)))
            .collect();
        let all: Vec<u32> = (0..windows.len() as u32).collect();
        results.results(&all, &Bounds::Each(&windows), out)
    }

    /// Sessions as a record has them.
    fn record(
        &self,
        intervals: &SessionIntervals,
        groups: &[u32],
    ) -> Result<RecordBatch, StateError> {
        let state = intervals.table.state(groups)?;
        let times = |pick: fn(Interval) -> i64| -> ArrayRef {
            let times = groups.iter().map(|&group| pick(intervals.interval(group)));
            Arc::new(Int64Array::from_iter_values(times))
        };
        let mut all = state.columns().to_vec();
        all.insert(1, times(|s| s.start));
        all.insert(2, times(|s| s.last));
        RecordBatch::try_new(self.schema.clone(), all).map_err(columns)
    }
}

/// What an epoch writes: sessions of the overlay that stay, or all that stay.
pub(super) struct Epoch<'a> {
    sessions: &'a Sessions,
    staying: &'a [u32],
    gone: &'a [u32],
    staying_parts: OnceCell<Vec<Vec<u32>>>,
    committed_parts: OnceCell<Vec<Vec<u32>>>,
}

pub(super) fn parts(
    intervals: &SessionIntervals,
    groups: impl Iterator<Item = u32>,
) -> Vec<Vec<u32>> {
    let mut parts = vec![Vec::new(); PARTS];
    for group in groups {
        let hash = hash(intervals.table.key(group));
        parts[part_of(hash)].push(group);
    }
    parts
}

impl<'a> Epoch<'a> {
    pub(super) fn new(sessions: &'a Sessions, staying: &'a [u32], gone: &'a [u32]) -> Epoch<'a> {
        Epoch {
            sessions,
            staying,
            gone,
            staying_parts: OnceCell::new(),
            committed_parts: OnceCell::new(),
        }
    }

    fn staying(&self) -> &[Vec<u32>] {
        let all = || parts(&self.sessions.overlay, self.staying.iter().copied());
        self.staying_parts.get_or_init(all)
    }

    fn committed(&self) -> &[Vec<u32>] {
        self.committed_parts.get_or_init(|| {
            let committed = &self.sessions.committed;
            let gone: HashSet<u32> = self.gone.iter().copied().collect();
            let rest = committed.groups_from(0).filter(|g| !gone.contains(g));
            parts(committed, rest)
        })
    }
}

impl Content for Epoch<'_> {
    fn added(&self, part: Option<usize>) -> Result<Option<RecordBatch>, StateError> {
        let groups = part.map_or(self.staying, |part| &self.staying()[part]);
        if groups.is_empty() {
            return Ok(None);
        }
        self.sessions
            .record(&self.sessions.overlay, groups)
            .map(Some)
    }

    fn all(&self, part: Option<usize>) -> Result<RecordBatch, StateError> {
        let mut all = SessionIntervals::new(&self.sessions.layout, self.sessions.gap);
        for i in (0..PARTS).filter(|&i| part.is_none_or(|part| part == i)) {
            all.absorb(&self.sessions.committed, &self.committed()[i])?;
            all.absorb(&self.sessions.overlay, &self.staying()[i])?;
        }
        let groups: Vec<u32> = all.groups_from(0).collect();
        self.sessions.record(&all, &groups)
    }
}
