//! The end of an epoch: which left rows are due, and what was valid at their time.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::{Array, RecordBatch};

use super::versions::{Version, Versions};
use super::{OfKey, TemporalJoins};
use crate::error::{StateError, columns};
use crate::joined::{Pair, results};
use crate::mutant::Mutant;
use crate::timed_rows::buffer::{Buffer, Place, nearer};

/// A left row that is due, and its key.
type Due<'a> = (Place, &'a Arc<[u8]>, Arc<[u8]>);

/// How many rows become one batch of results.
const RESULTS: usize = 8_192;

impl TemporalJoins {
    /// The cut, or an earlier one by which about `most` rows are given. All rows of one time go together.
    pub(super) fn nearer(&self, until: i64, most: usize) -> i64 {
        let rows = self.committed[0]
            .until(until)
            .chain(self.added[0].until(until));
        nearer(until, most, rows.map(|((time, _), _)| time))
    }

    /// What left rows up to a cut give, by event time and then in the order in which they came.
    pub(super) fn give(&self, cut: i64) -> Result<Vec<RecordBatch>, StateError> {
        let mut due: Vec<Due<'_>> = Vec::new();
        for buffer in [&self.committed[0], &self.added[0]] {
            let rows = buffer.between((i64::MIN, cut));
            due.extend(rows.map(|(place, key, entry)| (place, key, entry.row.clone())));
        }
        due.sort_by_key(|(place, ..)| *place);
        let mut of: HashMap<&Arc<[u8]>, Versions> = HashMap::new();
        let mut given = Vec::with_capacity(due.len().div_ceil(RESULTS));
        for rows in due.chunks(RESULTS) {
            let mut pairs = Vec::with_capacity(rows.len());
            for ((time, _), key, left) in rows {
                let versions = of.entry(*key).or_insert_with(|| self.versions(key, cut));
                let time = if self.broken == Some(Mutant::NewestVersion) {
                    i64::MAX
                } else {
                    *time
                };
                pairs.push(Pair {
                    left: Some(left.clone()),
                    right: versions.at(time).map(|version| version.row),
                });
            }
            let pairs = self.asked(pairs)?;
            if !pairs.is_empty() {
                let pairs: Vec<&Pair> = pairs.iter().collect();
                given.push(results(&self.layout, &self.codecs, &pairs)?);
            }
        }
        Ok(given)
    }

    /// Left rows with their versions, without those for which the condition isn't true; of an inner join without those that have none.
    fn asked(&self, mut pairs: Vec<Pair>) -> Result<Vec<Pair>, StateError> {
        if !self.join.outer {
            pairs.retain(|pair| pair.right.is_some());
            return Ok(pairs);
        }
        let Some(condition) = &self.join.condition else {
            return Ok(pairs);
        };
        let all: Vec<&Pair> = pairs.iter().collect();
        let holds = condition
            .evaluate(&results(&self.layout, &self.codecs, &all)?)
            .map_err(columns)?;
        for (row, pair) in pairs.iter_mut().enumerate() {
            if !(holds.is_valid(row) && holds.value(row)) {
                pair.right = None;
            }
        }
        Ok(pairs)
    }

    /// The versions of a key up to a cut.
    fn versions(&self, key: &[u8], cut: i64) -> Versions {
        let cut = if self.broken == Some(Mutant::NewestVersion) {
            i64::MAX
        } else {
            cut
        };
        let bounds = (i64::MIN, cut);
        let committed = self.committed[1].of_key(key, bounds);
        let known = committed.chain(self.added[1].of_key(key, bounds));
        let versions = Versions::new(self.valid.get(key), known);
        if self.broken == Some(Mutant::DeletionIgnored) {
            return versions.undeleted();
        }
        versions
    }

    /// What is valid from a cut on, of the keys for which that changes.
    pub(super) fn valid_from(&self, cut: i64) -> Vec<OfKey> {
        let changed = keys(&self.committed[1], cut).chain(keys(&self.added[1], cut));
        let changed: BTreeSet<&Arc<[u8]>> = changed.collect();
        let of_key = |key: &&Arc<[u8]>| {
            let valid = self.versions(key, cut).at(cut);
            let which = |version: &Version| (version.place, version.last);
            let before = self.valid.get(*key).map(which);
            (valid.as_ref().map(which) != before).then(|| (Arc::clone(key), valid))
        };
        let mut valid: Vec<OfKey> = changed.iter().filter_map(of_key).collect();
        if self.broken == Some(Mutant::VersionGone) {
            let used = keys(&self.committed[0], cut).chain(keys(&self.added[0], cut));
            let gone = used.filter(|key| self.valid.contains_key(*key) && !changed.contains(key));
            valid.extend(gone.map(|key| (key.clone(), None)));
        }
        valid
    }
}

/// The keys of the rows up to a cut.
fn keys(rows: &Buffer, cut: i64) -> impl Iterator<Item = &Arc<[u8]>> {
    rows.until(cut).map(|(_, key)| key)
}
