//! The end of an epoch: which rows are over, and what the changelog must hold.

use std::collections::{BTreeMap, BTreeSet};

use super::{IntervalJoins, Right};
use crate::epoch::EpochOutput;
use crate::error::StateError;
use crate::joined::Pair;
use crate::timed_rows::buffer::{Entry, Place};
use crate::timed_rows::log::{Added, Bucket, BucketId, Buckets, Head};

/// The rows that are over, of each side.
#[derive(Default)]
pub(super) struct Over {
    /// Committed ones.
    pub gone: [Vec<Place>; 2],
    /// Those that the epoch added.
    pub passed: [BTreeSet<Place>; 2],
    /// What is given of them, because they made no pair; by event time.
    pub alone: Vec<Pair>,
    /// By which cut they are over: an earlier one than was asked for, where more rows would have to be given than an epoch should.
    pub cut: i64,
}

impl IntervalJoins {
    /// The rows that are over by a cut, or by an earlier one, so that about `most` of them are given.
    pub(super) fn over(&self, cut: i64, most: usize) -> Over {
        let cut = self.nearer(cut, most);
        let mut over = Over {
            cut,
            ..Over::default()
        };
        let mut alone: BTreeMap<(Place, Right), Pair> = BTreeMap::new();
        for right in [false, true] {
            let side = usize::from(right);
            let until = self.over_until(right, cut);
            let mut give = |place: Place, entry: &Entry| {
                if self.is_alone(right, place, entry) {
                    alone.insert((place, right), Pair::alone(right, entry.row.clone()));
                }
            };
            for (place, _) in self.committed[side].until(until) {
                if let Some(entry) = self.committed[side].get(place) {
                    give(place, entry);
                }
                over.gone[side].push(place);
            }
            for (place, _) in self.overlay.added[side].until(until) {
                if let Some(entry) = self.overlay.added[side].get(place) {
                    give(place, entry);
                }
                over.passed[side].insert(place);
            }
        }
        over.alone = alone.into_values().collect();
        over
    }

    /// True if a kept row is given with nulls when it goes.
    fn is_alone(&self, right: Right, place: Place, entry: &Entry) -> bool {
        let marked = || self.overlay.matched[usize::from(right)].contains(&place);
        self.keeps(right) && !entry.marked && !marked()
    }

    /// The cut, or an earlier one by which about `most` rows are given alone. All rows that are over by one moment go together.
    fn nearer(&self, cut: i64, most: usize) -> i64 {
        if most == usize::MAX {
            return cut;
        }
        // By the cut at which a row is over.
        let mut alone: BTreeMap<i64, usize> = BTreeMap::new();
        for right in [false, true] {
            let side = usize::from(right);
            let until = self.over_until(right, cut);
            for buffer in [&self.committed[side], &self.overlay.added[side]] {
                for (place, _) in buffer.until(until) {
                    let given = buffer.get(place);
                    if given.is_some_and(|entry| self.is_alone(right, place, entry)) {
                        *alone.entry(self.over_at(right, place.0)).or_default() += 1;
                    }
                }
            }
        }
        let mut given = 0;
        let mut last = None;
        for (at, rows) in alone {
            if given >= most {
                return last.unwrap_or(cut).min(cut);
            }
            given += rows;
            last = Some(at);
        }
        cut
    }

    /// What the changelog must hold of the epoch, and the buckets afterwards.
    pub(super) fn log(
        &self,
        over: &Over,
        head: Head,
        output: &mut EpochOutput,
    ) -> Result<Buckets, StateError> {
        // Only those that change.
        let mut changed = Buckets::new();
        for right in [false, true] {
            let side = usize::from(right);
            for place in &over.gone[side] {
                let bucket = self.changed(&mut changed, self.bucket(right, *place));
                bucket.rows = bucket.rows.saturating_sub(1);
            }
            let mut added: BTreeMap<BucketId, Vec<Added<'_>>> = BTreeMap::new();
            for (place, key) in self.overlay.added[side].all() {
                let entry = self.overlay.added[side].get(place);
                if let Some(entry) = entry.filter(|_| !over.passed[side].contains(&place)) {
                    let id = self.bucket(right, place);
                    added.entry(id).or_default().push((place, key, entry));
                }
            }
            for (id, rows) in added {
                let bucket = self.changed(&mut changed, id);
                bucket.add(id, &rows, head, &mut output.changelog)?;
            }
            let until = self.over_until(right, head.cut);
            let mut matched: BTreeMap<BucketId, Vec<Place>> = BTreeMap::new();
            for place in self.overlay.matched[side]
                .iter()
                .filter(|(time, _)| *time > until)
            {
                matched
                    .entry(self.bucket(right, *place))
                    .or_default()
                    .push(*place);
            }
            for (id, places) in matched {
                let bucket = self.changed(&mut changed, id);
                bucket.mark(id, &places, head, &mut output.changelog);
            }
        }
        for (id, bucket) in &mut changed {
            if bucket.rows == 0 {
                bucket.forget(*id, &mut output.changelog);
            }
        }
        Ok(changed)
    }

    /// A bucket among those that change.
    fn changed<'c>(&self, changed: &'c mut Buckets, id: BucketId) -> &'c mut Bucket {
        let known = || self.buckets.get(&id).cloned().unwrap_or_default();
        changed.entry(id).or_insert_with(known)
    }
}
