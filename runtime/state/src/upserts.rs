//! State without windows: a group for each key, for ever or for its TTL, and a record of the changelog for each.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;

use crate::accumulate::Input;
use crate::codec::Codec;
use crate::record::{self, read_head};
use crate::state::{Common, State};
use crate::table::{Bounds, Layout, Table};
use crate::{Change, Figures, Sealed, StateError, columns};

/// So many records that were read back are decoded together.
const RESTORED: usize = 8_192;

/// State by key.
#[derive(Debug)]
pub(crate) struct Upserts {
    layout: Arc<Layout>,
    /// A group's state as one record has it.
    codec: Codec,
    committed: Table,
    overlay: Table,
    pending: Option<Pending>,
    groups: Vec<u32>,
    /// Where the search for keys that are past their TTL goes on.
    sweep: u32,
    /// Records that were read back and not yet taken in.
    back: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

/// What a commit does.
#[derive(Debug)]
struct Pending {
    /// The new state of the keys that have rows.
    changed: Table,
    /// Committed groups whose TTL is over.
    gone: Vec<u32>,
    sweep: u32,
}

impl Upserts {
    pub(crate) fn new(layout: Arc<Layout>) -> Upserts {
        let fields = layout.state.fields().iter().skip(1);
        Upserts {
            codec: Codec::new(fields.map(|f| f.data_type().clone()).collect()),
            committed: Table::new(&layout, false),
            overlay: Table::new(&layout, false),
            layout,
            pending: None,
            groups: Vec::new(),
            sweep: 0,
            back: BTreeMap::new(),
        }
    }

    fn is_over(&self, last: i64, now: i64) -> bool {
        let ttl = self.layout.spec.ttl_ms;
        ttl.is_some_and(|ttl| last.saturating_add(ttl) <= now)
    }

    /// The keys of the overlay with everything that is known of them, in its order; and where each was before.
    fn merged(&self) -> Result<(Table, Vec<Option<u32>>), StateError> {
        let groups = self.overlay.keys.groups();
        let mut changed = Table::new(&self.layout, false);
        let mut before = Vec::with_capacity(groups.len());
        let (mut from, mut to) = (Vec::new(), Vec::new());
        for &group in &groups {
            let key = self.overlay.key(group);
            let target = changed.keys.intern(key);
            let old = self.committed.keys.find(key).filter(|&old| {
                // A key that came again after its TTL begins anew.
                let first = self.overlay.stamp(group).map_or(0, |s| s.0);
                let last = self.committed.stamp(old).map_or(i64::MAX, |s| s.1);
                !self.is_over(last, first)
            });
            if let Some(old) = old {
                from.push(old);
                to.push(target);
            }
            before.push(old);
        }
        changed.absorb_groups(&self.committed, &from, &to)?;
        changed.absorb(&self.overlay, &groups)?;
        Ok((changed, before))
    }

    /// Some of the committed groups whose TTL is over, and where to go on.
    fn over(&self, now: i64) -> (Vec<u32>, u32) {
        let len = self.committed.keys.len();
        if self.layout.spec.ttl_ms.is_none() || len == 0 {
            return (Vec::new(), 0);
        }
        // A bounded share each time: all are seen within some 64 epochs.
        let count = (len / 64 + 1024).min(len);
        let start = self.sweep as usize % len;
        let gone = (0..count)
            .map(|i| ((start + i) % len) as u32)
            .filter(|&group| {
                self.committed
                    .stamp(group)
                    .is_some_and(|(_, last)| self.is_over(last, now))
            })
            .filter(|&group| self.overlay.keys.find(self.committed.key(group)).is_none())
            .collect();
        (gone, ((start + count) % len) as u32)
    }

    fn memory(&self) -> u64 {
        (self.committed.size() + self.overlay.size()) as u64
    }

    /// Takes in the records that were read back.
    fn take_back(&mut self) -> Result<(), StateError> {
        let back = std::mem::take(&mut self.back);
        let mut removed = Vec::new();
        let mut targets = Vec::new();
        let mut values = Vec::new();
        for (key, value) in &back {
            match value {
                Some(value) => {
                    targets.push(self.committed.keys.intern(key));
                    values.push(&value[..]);
                }
                None => removed.extend(self.committed.keys.find(key)),
            }
        }
        self.committed.reset(&targets);
        let states = self.codec.decode(values.into_iter())?;
        self.committed.absorb_columns(&states, &targets)?;
        self.committed.remove(&removed)
    }
}

impl State for Upserts {
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

    fn seal(
        &mut self,
        _watermark_ms: Option<i64>,
        now_ms: i64,
        common: &Common,
    ) -> Result<Sealed, StateError> {
        let mut sealed = Sealed::default();
        let (changed, before) = self.merged()?;
        // A rank may keep what it had.
        let groups: Vec<u32> = (0..before.len() as u32)
            .filter(|&group| {
                let kept = changed.kept(group);
                let old = before[group as usize].and_then(|old| self.committed.kept(old));
                kept.is_none() || kept != old
            })
            .collect();
        changed.results(&groups, &Bounds::No, &mut sealed.results)?;
        // With a TTL every row counts, because it makes the key live on.
        let written = if self.layout.spec.ttl_ms.is_some() {
            changed.keys.groups()
        } else {
            groups
        };
        let states = changed.state_columns(&written)?;
        let states = self.codec.encode(&states, written.len(), None)?;
        for (i, &group) in written.iter().enumerate() {
            let mut key = vec![record::KEY];
            key.extend_from_slice(changed.key(group));
            let mut value = record::head(0, common.next, 0);
            value.extend_from_slice(states.row(i));
            sealed.changelog.push(Change {
                key,
                value: Some(value),
            });
        }
        let (gone, sweep) = self.over(now_ms);
        if !gone.is_empty() {
            let keys = gone.iter().map(|&group| self.committed.key(group));
            sealed.gone.push(self.layout.keys(keys.clone())?);
            sealed.changelog.extend(keys.map(|bytes| {
                let mut key = vec![record::KEY];
                key.extend_from_slice(bytes);
                Change { key, value: None }
            }));
        }
        self.pending = Some(Pending {
            changed,
            gone,
            sweep,
        });
        Ok(sealed)
    }

    fn commit(&mut self, common: &mut Common) -> Result<(), StateError> {
        let Some(pending) = self.pending.take() else {
            return if self.overlay.keys.len() == 0 {
                Ok(())
            } else {
                Err(columns("rows were added after the epoch was sealed"))
            };
        };
        let groups = pending.changed.keys.groups();
        let targets: Vec<u32> = groups
            .iter()
            .map(|&group| self.committed.keys.intern(pending.changed.key(group)))
            .collect();
        self.committed.reset(&targets);
        self.committed
            .absorb_groups(&pending.changed, &groups, &targets)?;
        self.committed.remove(&pending.gone)?;
        self.sweep = pending.sweep;
        self.overlay.clear();
        common.account(self.memory());
        Ok(())
    }

    fn abort(&mut self) {
        self.pending = None;
        self.overlay.clear();
    }

    fn restore(
        &mut self,
        key: &[u8],
        value: Option<&[u8]>,
        _common: &mut Common,
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
            self.take_back()?;
        }
        Ok(next)
    }

    fn restored(
        &mut self,
        _watermark_ms: Option<i64>,
        common: &mut Common,
    ) -> Result<(), StateError> {
        self.take_back()?;
        common.account(self.memory());
        Ok(())
    }

    fn figures(&self) -> Figures {
        Figures {
            memory_bytes: self.memory(),
            disk_bytes: 0,
            keys: self.committed.keys.live() as u64,
        }
    }
}
