//! Distinct keys with dense numbers, **groups**, in the order in which they first came.

use hashbrown::HashTable;

use crate::codec::Rows;

const A: u64 = 0x9E37_79B9_7F4A_7C15;
const B: u64 = 0xD6E8_FEB8_6659_FD93;

fn step(hash: u64, word: u64) -> u64 {
    let product = u128::from(hash ^ word ^ A) * u128::from(B);
    product as u64 ^ (product >> 64) as u64
}

/// Hashes encoded keys. The changelog says which part of the keys a record is of, so the answer must be the same in every
/// process, on every machine and in every version: each eight bytes, little-endian and the last ones filled up with zeros, are
/// multiplied into the state of 64 bits, whose halves of 128 are folded by exclusive or.
pub(crate) fn hash(key: &[u8]) -> u32 {
    let (chunks, rest) = key.as_chunks::<8>();
    let mut hash = step(0, key.len() as u64);
    for chunk in chunks {
        hash = step(hash, u64::from_le_bytes(*chunk));
    }
    if !rest.is_empty() {
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        hash = step(hash, u64::from_le_bytes(last));
    }
    (hash >> 32) as u32
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
}

impl Keys {
    pub(crate) fn new(width: Option<usize>) -> Keys {
        Keys {
            width,
            data: Vec::new(),
            ends: Vec::new(),
            len: 0,
            index: HashTable::new(),
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

    pub(crate) fn key(&self, group: u32) -> &[u8] {
        key(self.width, &self.data, &self.ends, group)
    }

    /// The key's group, a new one if it has none.
    pub(crate) fn intern(&mut self, bytes: &[u8]) -> u32 {
        let hash = hash(bytes);
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
        let hash = hash(bytes);
        self.index
            .find(spread(hash), |slot| {
                slot.hash == hash && self.key(slot.group) == bytes
            })
            .map(|slot| slot.group)
    }

    /// Takes a key away; its group's number stays unused.
    pub(crate) fn remove(&mut self, group: u32) {
        let hash = hash(self.key(group));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_the_same_hash_for_ever() {
        let keys = [&b""[..], b"a", b"12345678", b"123456789"];
        assert_eq!(
            keys.map(hash),
            [0xC9D8_74CA, 0x2982_DA5A, 0x390F_0AD4, 0x1C7B_A6A3]
        );
    }
}
