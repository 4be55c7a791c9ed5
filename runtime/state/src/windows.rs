//! State of windows that are made of slices: TUMBLE, HOP and CUMULATE.
//!
//! The overlay is one table whose keys begin with the slice, so that a batch that touches many slices costs no more
//! than one that touches one. The committed state is a [`Bucket`] for each slice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;

use crate::accumulate::Input;
use crate::bucket::{Bucket, Log};
use crate::record::{self, Place};
use crate::slices::Slices;
use crate::state::{Common, State};
use crate::table::{Bounds, Layout, Table};
use crate::{Figures, Sealed, StateError, columns, times};

/// State in slices.
#[derive(Debug)]
pub(crate) struct Windows {
    layout: Arc<Layout>,
    slices: Slices,
    /// The watermark of the last commit.
    watermark: Option<i64>,
    /// Every window that ends up to here has given its result, or never will.
    fired: i64,
    /// The same, as the changelog has it.
    recorded: i64,
    committed: BTreeMap<i64, Bucket>,
    overlay: Table,
    pending: Option<Pending>,
    groups: Vec<u32>,
}

/// What a commit does.
#[derive(Debug)]
struct Pending {
    watermark: Option<i64>,
    fired: i64,
    recorded: i64,
    /// Slices whose last window has given its result.
    gone: Vec<i64>,
    /// What the overlay adds to the slices that stay.
    added: BTreeMap<i64, Vec<u32>>,
    logs: BTreeMap<i64, Log>,
}

impl Windows {
    pub(crate) fn new(layout: Arc<Layout>, slices: Slices) -> Windows {
        Windows {
            overlay: Table::new(&layout, true),
            layout,
            slices,
            watermark: None,
            fired: i64::MIN,
            recorded: i64::MIN,
            committed: BTreeMap::new(),
            pending: None,
            groups: Vec::new(),
        }
    }

    fn is_late(&self, slice: i64) -> bool {
        let end = self.slices.last_end(slice);
        end <= self.fired
            || self
                .watermark
                .is_some_and(|w| end.saturating_add(self.layout.spec.allowed_lateness_ms) <= w)
    }

    /// The slice of each row, and the rows that are too late or whose time is unusable.
    fn slices_of(&self, rows: &RecordBatch) -> Result<(Vec<i64>, Vec<u32>), StateError> {
        let times = times(rows, self.layout.spec.time)?;
        let mut slices = Vec::with_capacity(rows.num_rows());
        let mut late = Vec::new();
        // Rows of one slice come together more often than not.
        let mut last = (0, false);
        let mut known = 0..0;
        for (row, &time) in times.values().iter().enumerate() {
            if !known.contains(&time) {
                last = if let Some(slice) = self.slices.of(time) {
                    known = slice..slice + self.slices.width();
                    (slice, self.is_late(slice))
                } else {
                    known = 0..0;
                    (0, true)
                };
            }
            if last.1 {
                late.push(row as u32);
            }
            slices.push(last.0);
        }
        Ok((slices, late))
    }

    /// The windows that are final now and have something in them, by their end.
    fn due(&self, fired: i64, touched: &BTreeMap<i64, Vec<u32>>) -> BTreeMap<i64, i64> {
        let mut due = BTreeMap::new();
        for &slice in self.committed.keys().chain(touched.keys()) {
            let windows = self.slices.windows(slice, self.fired, fired);
            due.extend(windows.map(|(start, end)| (end, start)));
        }
        due
    }

    /// The results of a window: its slices together, committed and not.
    fn results(
        &self,
        (start, end): (i64, i64),
        touched: &BTreeMap<i64, Vec<u32>>,
        out: &mut Vec<RecordBatch>,
    ) -> Result<(), StateError> {
        let slices: BTreeSet<i64> = self
            .committed
            .range(start..end)
            .map(|(s, _)| *s)
            .chain(touched.range(start..end).map(|(s, _)| *s))
            .collect();
        let mut sources: Vec<(&Table, Vec<u32>)> = Vec::new();
        for slice in slices {
            if let Some(bucket) = self.committed.get(&slice) {
                sources.push((&bucket.table, bucket.table.keys.groups()));
            }
            if let Some(groups) = touched.get(&slice) {
                sources.push((&self.overlay, groups.clone()));
            }
        }
        let bounds = Bounds::One(start, end);
        if let [(table, groups)] = &sources[..] {
            return table.results(groups, &bounds, out);
        }
        let mut merged = Table::new(&self.layout, false);
        for (i, (table, groups)) in sources.iter().enumerate() {
            if i == 0 && !std::ptr::eq(*table, &raw const self.overlay) {
                merged = table.copy();
            } else {
                merged.absorb(table, groups)?;
            }
        }
        merged.results(&merged.keys.groups(), &bounds, out)
    }
}

impl State for Windows {
    fn add(
        &mut self,
        rows: &RecordBatch,
        now_ms: i64,
        common: &mut Common,
    ) -> Result<Vec<u32>, StateError> {
        self.pending = None;
        let (mut slices, late) = self.slices_of(rows)?;
        let kept;
        let rows = if late.is_empty() {
            rows
        } else {
            let mut next = late.iter().peekable();
            let indices: Vec<u32> = (0..rows.num_rows() as u32)
                .filter(|row| next.next_if(|late| *late == row).is_none())
                .collect();
            slices = indices.iter().map(|&row| slices[row as usize]).collect();
            kept = take_record_batch(rows, &UInt32Array::from(indices)).map_err(columns)?;
            &kept
        };
        let keys = self.layout.key.encode(
            self.layout.key_columns(rows),
            rows.num_rows(),
            Some(&slices),
        )?;
        common.sketch.take(&keys, 8);
        let input = Input {
            batch: rows,
            first: common.arrivals(rows.num_rows()),
            now_ms,
        };
        let mut groups = std::mem::take(&mut self.groups);
        self.overlay.update(&keys, &input, &mut groups)?;
        self.groups = groups;
        Ok(late)
    }

    fn seal(
        &mut self,
        watermark_ms: Option<i64>,
        _now_ms: i64,
        common: &Common,
    ) -> Result<Sealed, StateError> {
        let mut sealed = Sealed::default();
        let watermark = self.watermark.max(watermark_ms);
        let lateness = self.layout.spec.allowed_lateness_ms;
        let mut added: BTreeMap<i64, Vec<u32>> = BTreeMap::new();
        for group in self.overlay.keys.groups() {
            added
                .entry(self.overlay.bucket(group))
                .or_default()
                .push(group);
        }
        let fired = watermark.map_or(i64::MIN, |w| w.saturating_sub(lateness));
        // Never back, should the lateness have become longer.
        let fired = fired.max(self.fired);
        let due = self.due(fired, &added);
        for (&end, &start) in &due {
            self.results((start, end), &added, &mut sealed.results)?;
        }
        // Whatever is there had a window to come, so nothing is over while no window is due.
        let mut recorded = self.recorded;
        if fired > recorded && !(due.is_empty() && added.is_empty()) {
            sealed.changelog.push(record::fired(fired, common.next));
            recorded = fired;
        }
        let over = |slice: &i64| self.slices.last_end(*slice) <= fired;
        let mut gone = Vec::new();
        if !due.is_empty() {
            gone.extend(self.committed.keys().copied().filter(over));
        }
        added.retain(|slice, _| !over(slice));
        for slice in &gone {
            if let Some(bucket) = self.committed.get(slice) {
                bucket.log.forget(*slice, 0, &mut sealed.changelog);
            }
        }
        let mut logs = BTreeMap::new();
        for (&slice, groups) in &added {
            let mut log = self
                .committed
                .get(&slice)
                .map_or_else(Log::default, |b| b.log.clone());
            let mut values = Vec::new();
            record::values(&self.overlay.state(groups)?, 0, common.next, &mut values)?;
            log.append(slice, 0, values, &mut sealed.changelog);
            logs.insert(slice, log);
        }
        self.pending = Some(Pending {
            watermark,
            fired,
            recorded,
            gone,
            added,
            logs,
        });
        Ok(sealed)
    }

    fn commit(&mut self, _common: &Common) -> Result<(), StateError> {
        let Some(mut pending) = self.pending.take() else {
            return if self.overlay.keys.len() == 0 {
                Ok(())
            } else {
                Err(columns("rows were added after the epoch was sealed"))
            };
        };
        for slice in &pending.gone {
            self.committed.remove(slice);
        }
        for (slice, groups) in &pending.added {
            let bucket = self
                .committed
                .entry(*slice)
                .or_insert_with(|| Bucket::new(&self.layout));
            bucket.table.absorb(&self.overlay, groups)?;
            if let Some(log) = pending.logs.remove(slice) {
                bucket.log = log;
            }
        }
        self.watermark = pending.watermark;
        self.fired = pending.fired;
        self.recorded = pending.recorded;
        self.overlay.clear();
        Ok(())
    }

    fn abort(&mut self) {
        self.pending = None;
        self.overlay.clear();
    }

    fn restore(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<Option<i64>, StateError> {
        match (key.first(), value) {
            (Some(&record::FIRED), Some(value)) => {
                let (fired, next) = record::read_fired(value)?;
                self.recorded = fired;
                Ok(Some(next))
            }
            (Some(&record::BATCH), value) => {
                let place = Place::read(&key[1..])?;
                let Some(value) = value else {
                    if let Some(bucket) = self.committed.get_mut(&place.bucket)
                        && bucket.log.drop(place.sequence)
                    {
                        self.committed.remove(&place.bucket);
                    }
                    return Ok(None);
                };
                let (_, next, body) = record::read_head(value)?;
                let batch = record::read_batch(body, &self.layout.state)?;
                let bucket = self
                    .committed
                    .entry(place.bucket)
                    .or_insert_with(|| Bucket::new(&self.layout));
                bucket.table.absorb_state(&batch)?;
                bucket.log.restore(place.sequence, value.len());
                Ok(Some(next))
            }
            _ => Ok(None),
        }
    }

    fn restored(&mut self, watermark_ms: Option<i64>) -> Result<(), StateError> {
        self.watermark = watermark_ms;
        self.fired = self.recorded;
        let lateness = self.layout.spec.allowed_lateness_ms;
        let fired = watermark_ms.map_or(i64::MIN, |w| w.saturating_sub(lateness));
        // Windows that are due already but are still there: the lateness has become shorter, and they are for the
        // next epoch to give.
        if self.due(fired, &BTreeMap::new()).is_empty() {
            self.fired = self.fired.max(fired);
        }
        Ok(())
    }

    fn figures(&self) -> Figures {
        let tables = self.committed.values().map(|b| &b.table);
        let mut figures = Figures::default();
        for table in tables.chain([&self.overlay]) {
            figures.memory_bytes += table.size() as u64;
            figures.keys += table.keys.live() as u64;
        }
        figures
    }
}
