//! The end of an epoch: which rows are over, and what the changelog must hold.

use std::collections::{BTreeMap, BTreeSet};

use super::buffer::{Entry, Place};
use super::log::{Added, Bucket, BucketId, Buckets, Head};
use super::pairs::Pair;
use super::{IntervalJoins, Right};
use crate::epoch::EpochOutput;
use crate::error::StateError;

/// The rows that are over, of each side.
#[derive(Default)]
pub(super) struct Over {
    /// Committed ones.
    pub gone: [Vec<Place>; 2],
    /// Those that the epoch added.
    pub passed: [BTreeSet<Place>; 2],
    /// What is given of them, because they made no pair; by event time.
    pub alone: Vec<Pair>,
}

impl IntervalJoins {
    /// The rows that are over by a cut.
    pub(super) fn over(&self, cut: i64) -> Over {
        let mut over = Over::default();
        let mut alone: BTreeMap<(Place, Right), Pair> = BTreeMap::new();
        for right in [false, true] {
            let side = usize::from(right);
            let until = self.over_until(right, cut);
            let mut give = |place: Place, entry: &Entry| {
                let matched = entry.matched || self.overlay.matched[side].contains(&place);
                if self.keeps(right) && !matched {
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
