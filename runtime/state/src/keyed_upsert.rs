//! State without windows: a group for each key, for ever or for its TTL, and a record of the changelog for each.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;

use crate::accumulate::Input;
use crate::epoch::{Change, EpochOutput, Figures};
use crate::error::{StateError, columns};
use crate::record::{self, read_head};
use crate::state::{Common, State};
use crate::table::{Bounds, Layout, Table};
use crate::tiered_groups::TieredGroups;

/// So many records that were read back are decoded together.
const RESTORED: usize = 8_192;

/// State by key.
#[derive(Debug)]
pub(crate) struct KeyedUpsert {
    layout: Arc<Layout>,
    committed: TieredGroups,
    overlay: Table,
    pending: Option<Pending>,
    groups: Vec<u32>,
    sweep: Sweep,
    /// Records that were read back and not yet taken in.
    back: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

/// Where the search for keys that are past their TTL goes on.
#[derive(Clone, Debug, Default)]
struct Sweep {
    memory: usize,
    disk: Vec<u8>,
}

/// What a commit does.
#[derive(Debug)]
struct Pending {
    /// The new state of the keys that have rows.
    changed: Table,
    /// Keys whose TTL is over.
    gone: Vec<Vec<u8>>,
    sweep: Sweep,
}

impl KeyedUpsert {
    pub(crate) fn new(layout: Arc<Layout>) -> KeyedUpsert {
        KeyedUpsert {
            committed: TieredGroups::new(&layout),
            overlay: Table::new(&layout, false),
            layout,
            pending: None,
            groups: Vec::new(),
            sweep: Sweep::default(),
            back: BTreeMap::new(),
        }
    }

    fn is_over(&self, last: i64, now: i64) -> bool {
        let ttl = self.layout.spec.ttl_ms;
        ttl.is_some_and(|ttl| last.saturating_add(ttl) <= now)
    }

    /// The keys of the overlay with everything that is known of them, in its order; and the number of the row that
    /// each kept before.
    fn merged(&self) -> Result<(Table, Vec<Option<i64>>), StateError> {
        let groups = self.overlay.keys.groups();
        let keys = groups.iter().map(|&group| self.overlay.key(group));
        let found = self.committed.find(keys)?;
        let mut changed = Table::new(&self.layout, false);
        let mut before = Vec::with_capacity(groups.len());
        let (mut from, mut to) = (Vec::new(), Vec::new());
        for &group in &groups {
            let key = self.overlay.key(group);
            let target = changed.keys.intern(key);
            let old = found.keys.find(key).filter(|&old| {
                // A key that came again after its TTL begins anew.
                let first = self.overlay.arrival(group).map_or(0, |s| s.0);
                let last = found.arrival(old).map_or(i64::MAX, |s| s.1);
                !self.is_over(last, first)
            });
            if let Some(old) = old {
                from.push(old);
                to.push(target);
            }
            before.push(old.and_then(|old| found.kept(old)));
        }
        changed.absorb_groups(&found, &from, &to)?;
        changed.absorb(&self.overlay, &groups)?;
        Ok((changed, before))
    }

    /// Some of the keys whose TTL is over, and where to go on. A bounded share each time: all in memory are seen
    /// within some 64 epochs.
    fn over(&self, now: i64) -> Result<(Vec<Vec<u8>>, Sweep), StateError> {
        let mut gone = Vec::new();
        let mut sweep = self.sweep.clone();
        if self.layout.spec.ttl_ms.is_none() {
            return Ok((gone, sweep));
        }
        let (young, old) = (&self.committed.young, &self.committed.old);
        let is_over = |table: &Table, group: u32| {
            let last = table.arrival(group).map(|times| times.1);
            last.is_some_and(|last| self.is_over(last, now))
                && self.overlay.keys.find(table.key(group)).is_none()
        };
        let len = young.keys.len() + old.keys.len();
        let count = (len / 64 + 1024).min(len);
        for i in 0..count {
            let place = (sweep.memory + i) % len;
            let (table, group) = match place.checked_sub(young.keys.len()) {
                None => (young, place as u32),
                Some(place) => (old, place as u32),
            };
            let is_stale = place >= young.keys.len() && young.keys.find(table.key(group)).is_some();
            if !is_stale && is_over(table, group) {
                gone.push(table.key(group).to_vec());
            }
        }
        sweep.memory = (sweep.memory + count) % len.max(1);
        let (table, last) = self.committed.on_disk(&sweep.disk, 1024)?;
        for group in table.keys.groups() {
            let key = table.key(group);
            let is_stale = young.keys.find(key).is_some() || old.keys.find(key).is_some();
            if !is_stale && is_over(&table, group) {
                gone.push(key.to_vec());
            }
        }
        sweep.disk = last.unwrap_or_default();
        Ok((gone, sweep))
    }

    /// Takes in the records that were read back.
    fn take_back(&mut self, common: &mut Common) -> Result<(), StateError> {
        let back = std::mem::take(&mut self.back);
        let mut table = Table::new(&self.layout, false);
        let mut targets = Vec::new();
        let mut values = Vec::new();
        let mut removed = Vec::new();
        for (key, value) in &back {
            match value {
                Some(value) => {
                    targets.push(table.keys.intern(key));
                    values.push(&value[..]);
                }
                None => removed.push(key.clone()),
            }
        }
        let states = self.committed.codec().decode(values.into_iter())?;
        table.absorb_columns(&states, &targets)?;
        self.committed.put(&table)?;
        self.committed.remove(&removed)?;
        self.committed.make_room(0, common)
    }
}

impl State for KeyedUpsert {
    fn add(
        &mut self,
        rows: &RecordBatch,
        now_ms: i64,
        common: &mut Common,
    ) -> Result<Vec<u32>, StateError> {
        self.pending = None;
        let keys = self
            .layout
            .key
            .encode(self.layout.key_columns(rows), rows.num_rows(), None)?;
        common.sketch.take(&keys, 0);
        let input = Input {
            batch: rows,
            first: common.arrivals(rows.num_rows()),
            now_ms,
        };
        let mut groups = std::mem::take(&mut self.groups);
        self.overlay.update(&keys, &input, &mut groups)?;
        self.groups = groups;
        Ok(Vec::new())
    }

    fn prepare_commit(
        &mut self,
        _watermark_ms: Option<i64>,
        now_ms: i64,
        common: &Common,
    ) -> Result<EpochOutput, StateError> {
        let mut output = EpochOutput::default();
        let (changed, before) = self.merged()?;
        // A rank may keep what it had.
        let groups: Vec<u32> = (0..before.len() as u32)
            .filter(|&group| {
                let kept = changed.kept(group);
                kept.is_none() || kept != before[group as usize]
            })
            .collect();
        changed.results(&groups, &Bounds::No, &mut output.results)?;
        // With a TTL every row counts, because it makes the key live on.
        let written = if self.layout.spec.ttl_ms.is_some() {
            changed.keys.groups()
        } else {
            groups
        };
        let states = changed.state_columns(&written)?;
        let states = self
            .committed
            .codec()
            .encode(&states, written.len(), None)?;
        let key = |bytes: &[u8]| {
            let mut key = vec![record::KEY];
            key.extend_from_slice(bytes);
            key
        };
        for (i, &group) in written.iter().enumerate() {
            let mut value = record::head(0, common.next, 0);
            value.extend_from_slice(states.row(i));
            output.changelog.push(Change {
                key: key(changed.key(group)),
                value: Some(value),
            });
        }
        let (gone, sweep) = self.over(now_ms)?;
        if !gone.is_empty() {
            let keys = gone.iter().map(|key| &key[..]);
            output.gone.push(self.layout.keys(keys)?);
            output.changelog.extend(gone.iter().map(|bytes| Change {
                key: key(bytes),
                value: None,
            }));
        }
        self.pending = Some(Pending {
            changed,
            gone,
            sweep,
        });
        Ok(output)
    }

    fn commit(&mut self, common: &mut Common) -> Result<(), StateError> {
        let Some(pending) = self.pending.take() else {
            return if self.overlay.keys.len() == 0 {
                Ok(())
            } else {
                Err(columns("rows were added after the epoch was sealed"))
            };
        };
        self.committed.put(&pending.changed)?;
        self.committed.remove(&pending.gone)?;
        self.sweep = pending.sweep;
        self.overlay.clear();
        if common.pool.is_full() {
            // What it keeps for the next epoch is more than there is.
            self.overlay = Table::new(&self.layout, false);
        }
        self.committed.make_room(self.overlay.size() as u64, common)
    }

    fn abort(&mut self) {
        // A search that found nothing needs not be made again.
        if let Some(pending) = self.pending.take().filter(|p| p.gone.is_empty()) {
            self.sweep = pending.sweep;
        }
        self.overlay.clear();
    }

    fn restore(
        &mut self,
        key: &[u8],
        value: Option<&[u8]>,
        common: &mut Common,
    ) -> Result<Option<i64>, StateError> {
        if key.first() != Some(&record::KEY) {
            return Ok(None);
        }
        let (next, state) = match value {
            Some(value) => {
                let head = read_head(value)?;
                (Some(head.next), Some(head.body.to_vec()))
            }
            None => (None, None),
        };
        self.back.insert(key[1..].to_vec(), state);
        if self.back.len() >= RESTORED {
            self.take_back(common)?;
        }
        Ok(next)
    }

    fn restored(
        &mut self,
        _watermark_ms: Option<i64>,
        common: &mut Common,
    ) -> Result<(), StateError> {
        self.take_back(common)
    }

    fn figures(&self) -> Figures {
        Figures {
            memory_bytes: self.committed.size() + self.overlay.size() as u64,
            disk_bytes: self.committed.disk(),
            keys: self.committed.keys(),
        }
    }
}
