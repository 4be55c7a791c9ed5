//! Rows by key and event time, such as those of one side of a join that a row of the other may still make a pair with.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// What an entry costs beside its bytes, about.
const OVERHEAD: usize = 176;

/// A row's event time and arrival number: its place among the rows of its side.
pub(crate) type Place = (i64, i64);

/// A row that is kept.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// Its columns, encoded.
    pub row: Arc<[u8]>,
    /// What there is to say of it: in an interval join it has made a pair, in a temporal one it deletes its key.
    pub marked: bool,
}

/// The rows.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    by_key: HashMap<Arc<[u8]>, BTreeMap<Place, Entry>>,
    by_time: BTreeMap<Place, Arc<[u8]>>,
    bytes: usize,
}

impl Buffer {
    pub(crate) fn is_empty(&self) -> bool {
        self.by_time.is_empty()
    }

    /// How many keys have rows.
    pub(crate) fn keys(&self) -> usize {
        self.by_key.len()
    }

    /// Estimate of the memory in bytes.
    pub(crate) fn size(&self) -> usize {
        self.bytes
    }

    pub(crate) fn insert(&mut self, place: Place, key: &[u8], entry: Entry) {
        let key = match self.by_key.get_key_value(key) {
            Some((known, _)) => known.clone(),
            None => key.into(),
        };
        self.bytes += key.len() + entry.row.len() + OVERHEAD;
        self.by_key
            .entry(key.clone())
            .or_default()
            .insert(place, entry);
        self.by_time.insert(place, key);
    }

    pub(crate) fn remove(&mut self, place: Place) -> Option<Entry> {
        let key = self.by_time.remove(&place)?;
        let rows = self.by_key.get_mut(&key)?;
        let entry = rows.remove(&place)?;
        if rows.is_empty() {
            self.by_key.remove(&key);
        }
        let size = key.len() + entry.row.len() + OVERHEAD;
        self.bytes = self.bytes.saturating_sub(size);
        Some(entry)
    }

    /// Takes away all rows up to an event time.
    pub(crate) fn remove_until(&mut self, time: i64) {
        for place in self.within((i64::MIN, time)) {
            self.remove(place);
        }
    }

    /// Takes over the rows of another buffer that are behind an event time.
    pub(crate) fn insert_after(&mut self, time: i64, added: &Buffer) {
        for (place, key, entry) in added.between((time, i64::MAX)) {
            if place.0 > time {
                self.insert(place, key, entry.clone());
            }
        }
    }

    /// The rows of a key whose event times are within bounds, both included, by event time.
    pub(crate) fn of_key(
        &self,
        key: &[u8],
        (from, to): (i64, i64),
    ) -> impl Iterator<Item = (Place, &Entry)> {
        let rows = self.by_key.get(key).filter(|_| from <= to);
        let range = rows.map(|rows| rows.range((from, i64::MIN)..=(to, i64::MAX)));
        range
            .into_iter()
            .flatten()
            .map(|(place, entry)| (*place, entry))
    }

    /// All rows up to an event time, in order, each with its key.
    pub(crate) fn until(&self, time: i64) -> impl Iterator<Item = (Place, &Arc<[u8]>)> + Clone {
        let range = self.by_time.range(..=(time, i64::MAX));
        range.map(|(place, key)| (*place, key))
    }

    /// All rows whose event times are within bounds, both included, in order, each with its key.
    pub(crate) fn between(
        &self,
        (from, to): (i64, i64),
    ) -> impl Iterator<Item = (Place, &Arc<[u8]>, &Entry)> + Clone {
        let bounds = (from <= to).then_some((from, i64::MIN)..=(to, i64::MAX));
        let range = bounds.map(|bounds| self.by_time.range(bounds));
        range.into_iter().flatten().filter_map(|(place, key)| {
            let entry = self.by_key.get(key)?.get(place)?;
            Some((*place, key, entry))
        })
    }

    /// The places of all rows whose event times are within bounds, both included.
    pub(crate) fn within(&self, (from, to): (i64, i64)) -> Vec<Place> {
        let range = self.by_time.range((from, i64::MIN)..=(to, i64::MAX));
        range.map(|(place, _)| *place).collect()
    }

    /// All rows, in order, each with its key.
    pub(crate) fn all(&self) -> impl Iterator<Item = (Place, &Arc<[u8]>)> {
        self.by_time.iter().map(|(place, key)| (*place, key))
    }

    pub(crate) fn get(&self, place: Place) -> Option<&Entry> {
        let key = self.by_time.get(&place)?;
        self.by_key.get(key)?.get(&place)
    }

    /// As if each had made a pair: for a mutant.
    pub(crate) fn mark_all(&mut self) {
        let rows = self.by_key.values_mut().flat_map(BTreeMap::values_mut);
        rows.for_each(|entry| entry.marked = true);
    }

    /// The row has made a pair. Gives whether it is the first; none, where there is no such row.
    pub(crate) fn mark(&mut self, place: Place) -> Option<bool> {
        let key = self.by_time.get(&place)?;
        let entry = self.by_key.get_mut(key)?.get_mut(&place)?;
        Some(!std::mem::replace(&mut entry.marked, true))
    }
}

/// Up to which event time about `most` of the rows with these times are: not behind `until`, which none is. All rows of one time go
/// together.
pub(crate) fn nearer(until: i64, most: usize, due: impl Iterator<Item = i64> + Clone) -> i64 {
    if most == usize::MAX || due.clone().count() <= most {
        return until;
    }
    let mut times: BTreeMap<i64, usize> = BTreeMap::new();
    for time in due {
        *times.entry(time).or_default() += 1;
    }
    let mut given = 0;
    for (time, rows) in times {
        given += rows;
        if given >= most {
            return time;
        }
    }
    until
}
