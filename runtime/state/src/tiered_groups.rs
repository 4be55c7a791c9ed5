//! Groups by key in memory and, beyond that, on disk.
//!
//! What was touched lately is in a **young** table. When memory is short, the **old** one goes to the disk and the young
//! one takes its place, so that what goes is what wasn't touched for longest. A key may be in several places; the
//! younger one counts.

use std::sync::Arc;

use crate::codec::Codec;
use crate::error::StateError;
use crate::spill::Store;
use crate::state::Common;
use crate::table::{Layout, Table};

/// The store takes no longer keys: groups with such keys stay in memory.
const LONGEST: usize = 60_000;

/// So many groups are encoded at once on their way to the disk.
const CHUNK: usize = 8_192;

/// Committed groups by key.
#[derive(Debug)]
pub(crate) struct TieredGroups {
    layout: Arc<Layout>,
    /// A group's state as one row.
    codec: Codec,
    pub young: Table,
    pub old: Table,
    store: Option<Store>,
}

/// A key as the store has it, which takes no empty ones.
fn place(key: &[u8]) -> Vec<u8> {
    let mut place = Vec::with_capacity(key.len() + 1);
    place.push(b'k');
    place.extend_from_slice(key);
    place
}

impl TieredGroups {
    pub(crate) fn new(layout: &Arc<Layout>) -> TieredGroups {
        let fields = layout.state.fields().iter().skip(1);
        TieredGroups {
            layout: layout.clone(),
            codec: Codec::new(fields.map(|f| f.data_type().clone()).collect()),
            young: Table::new(layout, false),
            old: Table::new(layout, false),
            store: None,
        }
    }

    pub(crate) fn size(&self) -> u64 {
        (self.young.size() + self.old.size()) as u64
    }

    pub(crate) fn disk(&self) -> u64 {
        self.store.as_ref().map_or(0, Store::bytes)
    }

    /// Estimate of the number of keys.
    pub(crate) fn keys(&self) -> u64 {
        let disk = self.store.as_ref().map_or(0, Store::len);
        (self.young.keys.live() + self.old.keys.live()) as u64 + disk
    }

    /// What is known of some keys, each with the number of the key it has here.
    pub(crate) fn find<'a>(
        &self,
        keys: impl Iterator<Item = &'a [u8]>,
    ) -> Result<Table, StateError> {
        let mut found = Table::new(&self.layout, false);
        let (mut young, mut young_to) = (Vec::new(), Vec::new());
        let (mut old, mut old_to) = (Vec::new(), Vec::new());
        let mut missing = Vec::new();
        for key in keys {
            if let Some(group) = self.young.keys.find(key) {
                young.push(group);
                young_to.push(found.keys.intern(key));
            } else if let Some(group) = self.old.keys.find(key) {
                old.push(group);
                old_to.push(found.keys.intern(key));
            } else if self.store.is_some() {
                missing.push(key);
            }
        }
        found.absorb_groups(&self.young, &young, &young_to)?;
        found.absorb_groups(&self.old, &old, &old_to)?;
        if let Some(store) = &self.store {
            // Neighbours are in one block.
            missing.sort_unstable();
            let (mut values, mut targets) = (Vec::new(), Vec::new());
            for key in missing {
                if let Some(value) = store.get(&place(key))? {
                    values.push(value);
                    targets.push(found.keys.intern(key));
                }
            }
            let states = self.codec.decode(values.iter().map(|value| &value[..]))?;
            found.absorb_columns(&states, &targets)?;
        }
        Ok(found)
    }

    /// Makes all groups of a table what is known of their keys.
    pub(crate) fn put(&mut self, table: &Table) -> Result<(), StateError> {
        let groups = table.keys.groups();
        let targets: Vec<u32> = groups
            .iter()
            .map(|&group| self.young.keys.intern(table.key(group)))
            .collect();
        self.young.reset(&targets);
        self.young.absorb_groups(table, &groups, &targets)
    }

    /// Forgets keys.
    pub(crate) fn remove(&mut self, keys: &[Vec<u8>]) -> Result<(), StateError> {
        for table in [&mut self.young, &mut self.old] {
            let groups: Vec<u32> = keys.iter().filter_map(|key| table.keys.find(key)).collect();
            table.remove(&groups)?;
        }
        match &self.store {
            Some(store) => store.remove(keys.iter().map(|key| place(key))),
            None => Ok(()),
        }
    }

    /// Moves what wasn't touched lately to the disk, if memory is short; `other`: memory that isn't ours to move.
    pub(crate) fn make_room(&mut self, other: u64, common: &mut Common) -> Result<(), StateError> {
        common.account(self.size() + other);
        if !common.pool.is_full() {
            return Ok(());
        }
        // The old half first, then the younger one.
        for _ in 0..2 {
            if self.young.size().max(self.old.size()) < common.pool.least() {
                break;
            }
            if self.old.keys.live() > 0 {
                self.spill(common)?;
            }
            self.old = std::mem::replace(&mut self.young, Table::new(&self.layout, false));
            common.account(self.size() + other);
            if !common.pool.is_well_filled() {
                break;
            }
        }
        Ok(())
    }

    fn spill(&mut self, common: &Common) -> Result<(), StateError> {
        if self.store.is_none() {
            self.store = Some(common.pool.store(false)?);
        }
        let Some(store) = &self.store else {
            return Ok(());
        };
        let (old, young, codec) = (&self.old, &self.young, &self.codec);
        let (mut groups, mut stay) = (Vec::new(), Vec::new());
        for group in old.keys.groups() {
            let key = old.key(group);
            if young.keys.find(key).is_some() {
                continue;
            }
            if key.len() > LONGEST {
                stay.push(group);
            } else {
                groups.push(group);
            }
        }
        groups.sort_unstable_by_key(|&group| old.key(group));
        let chunks = groups.chunks(CHUNK).map(|chunk| {
            let states = old.state_columns(chunk)?;
            let states = codec.encode(&states, chunk.len(), None)?;
            Ok(chunk
                .iter()
                .enumerate()
                .map(|(i, &group)| (place(old.key(group)), states.row(i).to_vec()))
                .collect::<Vec<_>>())
        });
        store.write_chunks(chunks)?;
        self.young.absorb(&self.old, &stay)
    }

    /// Some entries of the disk behind a key, as a table, and the last one's key; none at the end.
    pub(crate) fn on_disk(
        &self,
        after: &[u8],
        count: usize,
    ) -> Result<(Table, Option<Vec<u8>>), StateError> {
        let mut table = Table::new(&self.layout, false);
        let Some(store) = &self.store else {
            return Ok((table, None));
        };
        let entries = store.after(&place(after), count)?;
        let last = entries.last().map(|(key, _)| key[1..].to_vec());
        let targets: Vec<u32> = entries
            .iter()
            .map(|(key, _)| table.keys.intern(&key[1..]))
            .collect();
        let states = self.codec.decode(entries.iter().map(|(_, v)| &v[..]))?;
        table.absorb_columns(&states, &targets)?;
        Ok((table, last))
    }

    /// The codec of a group's state.
    pub(crate) fn codec(&self) -> &Codec {
        &self.codec
    }
}
