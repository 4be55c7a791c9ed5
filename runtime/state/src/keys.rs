//! Distinct keys with dense numbers, **groups**, in the order in which they first came.

use hashbrown::HashTable;

use crate::codec::Rows;

/// Fixed, so that runs are alike and a key lands in the same part after a restart.
const SEEDS: [u64; 4] = [
    0x243F_6A88_85A3_08D3,
    0x1319_8A2E_0370_7344,
    0xA409_3822_299F_31D0,
    0x082E_FA98_EC4E_6C89,
];

/// Hashes encoded keys.
#[derive(Clone, Debug)]
pub(crate) struct Hasher(ahash::RandomState);

impl Hasher {
    pub(crate) fn new() -> Hasher {
        let [a, b, c, d] = SEEDS;
        Hasher(ahash::RandomState::with_seeds(a, b, c, d))
    }

    pub(crate) fn hash(&self, key: &[u8]) -> u32 {
        (self.0.hash_one(key) >> 32) as u32
    }
}

/// A table wants 64 bits, of which the highest and the lowest count.
pub(crate) fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    hash: u32,
    group: u32,
}

/// The keys of a table.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    /// Where all keys are equally long.
    width: Option<usize>,
    data: Vec<u8>,
    /// Where each key ends, where they are not equally long.
    ends: Vec<usize>,
    len: usize,
    index: HashTable<Slot>,
    hasher: Hasher,
}

impl Keys {
    pub(crate) fn new(width: Option<usize>) -> Keys {
        Keys {
            width,
            data: Vec::new(),
            ends: Vec::new(),
            len: 0,
            index: HashTable::new(),
            hasher: Hasher::new(),
        }
    }

    /// Groups ever made, removed ones too.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Groups that were not removed.
    pub(crate) fn live(&self) -> usize {
        self.index.len()
    }

    pub(crate) fn hash(&self, key: &[u8]) -> u32 {
        self.hasher.hash(key)
    }

    pub(crate) fn key(&self, group: u32) -> &[u8] {
        key(self.width, &self.data, &self.ends, group)
    }

    /// The key's group, a new one if it has none.
    pub(crate) fn intern(&mut self, bytes: &[u8]) -> u32 {
        let hash = self.hasher.hash(bytes);
        let (width, data, ends) = (self.width, &self.data, &self.ends);
        let entry = self.index.entry(
            spread(hash),
            |slot| slot.hash == hash && key(width, data, ends, slot.group) == bytes,
            |slot| spread(slot.hash),
        );
        match entry {
            hashbrown::hash_table::Entry::Occupied(found) => found.get().group,
            hashbrown::hash_table::Entry::Vacant(free) => {
                let group = self.len as u32;
                free.insert(Slot { hash, group });
                self.append(bytes)
            }
        }
    }

    /// A new group that is not looked up by its key.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> u32 {
        let group = self.len as u32;
        self.data.extend_from_slice(bytes);
        if self.width.is_none() {
            self.ends.push(self.data.len());
        }
        self.len += 1;
        group
    }

    /// The groups of rows.
    pub(crate) fn intern_all(&mut self, rows: &Rows, groups: &mut Vec<u32>) {
        groups.clear();
        groups.extend(rows.iter().map(|row| self.intern(row)));
    }

    pub(crate) fn find(&self, bytes: &[u8]) -> Option<u32> {
        let hash = self.hasher.hash(bytes);
        self.index
            .find(spread(hash), |slot| {
                slot.hash == hash && self.key(slot.group) == bytes
            })
            .map(|slot| slot.group)
    }

    /// Takes a key away; its group's number stays unused.
    pub(crate) fn remove(&mut self, group: u32) {
        let hash = self.hasher.hash(self.key(group));
        if let Ok(found) = self
            .index
            .find_entry(spread(hash), |slot| slot.group == group)
        {
            found.remove();
        }
    }

    /// The groups that were not removed, ascending.
    pub(crate) fn groups(&self) -> Vec<u32> {
        if self.index.len() == self.len {
            return (0..self.len as u32).collect();
        }
        let mut groups: Vec<u32> = self.index.iter().map(|slot| slot.group).collect();
        groups.sort_unstable();
        groups
    }

    /// Empties it and keeps its memory.
    pub(crate) fn clear(&mut self) {
        self.data.clear();
        self.ends.clear();
        self.len = 0;
        self.index.clear();
    }

    /// Bytes of memory.
    pub(crate) fn size(&self) -> usize {
        self.data.capacity() + self.ends.capacity() * 8 + self.index.allocation_size()
    }
}

fn key<'a>(width: Option<usize>, data: &'a [u8], ends: &[usize], group: u32) -> &'a [u8] {
    let group = group as usize;
    if let Some(width) = width {
        return &data[group * width..(group + 1) * width];
    }
    let start = if group == 0 { 0 } else { ends[group - 1] };
    &data[start..ends[group]]
}
