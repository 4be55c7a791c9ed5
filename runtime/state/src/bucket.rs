//! The committed state of a slice: groups in memory, and runs of groups on disk.
//!
//! A run is what was in memory when memory was short, in parts by the keys' hashes. A key may be in memory and in
//! several runs: states are merged when they are wanted, part by part, so that no more than a part is in
//! memory at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::changelog_segments::{ChangelogSegments, PARTS, part_of};
use crate::error::StateError;
use crate::keys::hash;
use crate::record::{put_batch, read_batch};
use crate::spill::{Store, disk};
use crate::table::{Layout, Table};

/// The committed groups of a slice.
#[derive(Debug)]
pub(crate) struct Bucket {
    pub table: Table,
    pub segments: ChangelogSegments,
    /// Parts of runs on disk: part and run; number of keys.
    runs: BTreeMap<(u8, u32), u32>,
    next: u32,
}

/// The key of a part of a run on disk.
fn place(bucket: i64, part: u8, run: u32) -> Vec<u8> {
    let mut key = bucket.to_be_bytes().to_vec();
    key.push(part);
    key.extend_from_slice(&run.to_be_bytes());
    key
}

/// Groups by the part of their key.
pub(crate) fn parts(table: &Table, groups: impl Iterator<Item = u32>) -> Vec<Vec<u32>> {
    let mut parts = vec![Vec::new(); PARTS];
    for group in groups {
        let hash = hash(table.key(group));
        parts[part_of(hash)].push(group);
    }
    parts
}

impl Bucket {
    pub(crate) fn new(layout: &Arc<Layout>, segments: ChangelogSegments) -> Bucket {
        Bucket {
            table: Table::new(layout, false),
            segments,
            runs: BTreeMap::new(),
            next: 0,
        }
    }

    pub(crate) fn is_spilled(&self) -> bool {
        !self.runs.is_empty()
    }

    /// Keys on disk, counted in each run.
    pub(crate) fn spilled_keys(&self) -> u64 {
        self.runs.values().map(|&keys| u64::from(keys)).sum()
    }

    /// Moves what is in memory to a run, and gives what must be written to the disk for it.
    pub(crate) fn spill(
        &mut self,
        bucket: i64,
        layout: &Arc<Layout>,
        out: &mut BTreeMap<Vec<u8>, Vec<u8>>,
    ) -> Result<(), StateError> {
        let table = std::mem::replace(&mut self.table, Table::new(layout, false));
        let parts = parts(&table, table.keys.groups().into_iter());
        for (part, groups) in parts.iter().enumerate().filter(|(_, g)| !g.is_empty()) {
            let mut value = Vec::new();
            put_batch(&table.state(groups)?, &mut value)?;
            out.insert(place(bucket, part as u8, self.next), value);
            self.runs
                .insert((part as u8, self.next), groups.len() as u32);
        }
        self.next += 1;
        Ok(())
    }

    /// Merges what is on disk of one part, or of all, into a table.
    pub(crate) fn load(
        &self,
        bucket: i64,
        part: Option<usize>,
        layout: &Layout,
        store: Option<&Store>,
        into: &mut Table,
    ) -> Result<(), StateError> {
        for &(of, run) in self.runs.keys() {
            if part.is_some_and(|part| part != usize::from(of)) {
                continue;
            }
            let value = store.map(|s| s.get(&place(bucket, of, run))).transpose()?;
            let value = value
                .flatten()
                .ok_or_else(|| disk("a run of state is missing"))?;
            into.absorb_state(&read_batch(&value, &layout.state)?)?;
        }
        Ok(())
    }

    /// Deletes what is on disk of one part, or of all.
    pub(crate) fn discard(
        &mut self,
        bucket: i64,
        part: Option<usize>,
        store: Option<&Store>,
    ) -> Result<(), StateError> {
        let gone: Vec<(u8, u32)> = self
            .runs
            .keys()
            .copied()
            .filter(|(of, _)| part.is_none_or(|part| part == usize::from(*of)))
            .collect();
        if let Some(store) = store.filter(|_| !gone.is_empty()) {
            store.remove(gone.iter().map(|&(part, run)| place(bucket, part, run)))?;
        }
        for run in gone {
            self.runs.remove(&run);
        }
        Ok(())
    }
}
