//! State of windows that are made of slices: TUMBLE, HOP and CUMULATE.
//!
//! The overlay is one table whose keys begin with the slice, so that a batch that touches many slices costs no more
//! than one that touches one. The committed state is a [`Bucket`] for each slice.

mod merge;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;

use self::merge::{Epoch, Touched, rows};
use crate::accumulate::Input;
use crate::bucket::Bucket;
use crate::changelog_segments::{BASES, ChangelogSegments, PARTS, SegmentWriter};
use crate::epoch::{EpochOutput, Figures};
use crate::error::{StateError, columns};
use crate::pool::Pool;
use crate::record::{self, Place};
use crate::slices::Slices;
use crate::spill::Store;
use crate::state::{Common, State};
use crate::table::{Layout, Table};

/// So many bytes of memory are turned into bytes for the disk at once.
const SPILLED: usize = 16 * 1024 * 1024;

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
    /// The window that gives its results over several epochs, by its end, and the part to go on with.
    progress: Option<(i64, usize)>,
    committed: BTreeMap<i64, Bucket>,
    store: Option<Store>,
    /// About how many results an epoch gives at most; those that are due beyond wait for the next one.
    most: usize,
    segments: ChangelogSegments,
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
    progress: Option<(i64, usize)>,
    /// Slices whose last window has given its result.
    gone: Vec<i64>,
    /// What the overlay adds to the slices that stay.
    added: BTreeMap<i64, Vec<u32>>,
    segments: BTreeMap<i64, ChangelogSegments>,
}

impl Windows {
    pub(crate) fn new(layout: Arc<Layout>, slices: Slices, pool: &Pool) -> Windows {
        Windows {
            overlay: Table::new(&layout, true),
            layout,
            slices,
            watermark: None,
            fired: i64::MIN,
            recorded: i64::MIN,
            progress: None,
            committed: BTreeMap::new(),
            store: None,
            most: pool.results(),
            segments: pool.segments(),
            pending: None,
            groups: Vec::new(),
        }
    }

    fn is_late(&self, slice: i64) -> bool {
        let end = self.slices.last_end(slice);
        end <= self.fired || end <= self.layout.spec.final_until(self.watermark)
    }

    /// The slice of each row, and the rows that are too late or whose time is unusable.
    fn slices_of(&self, rows: &RecordBatch) -> Result<(Vec<i64>, Vec<u32>), StateError> {
        let times = self.layout.times(rows)?;
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

    /// Moves the largest slices to the disk until there is room.
    fn spill(&mut self, common: &mut Common) -> Result<(), StateError> {
        let mut sizes: Vec<(usize, i64)> = self
            .committed
            .iter()
            .map(|(slice, bucket)| (bucket.table.size(), *slice))
            .filter(|(size, _)| *size >= common.pool.least() / 64)
            .collect();
        // Many small slices are worth it together.
        if sizes.iter().map(|(size, _)| size).sum::<usize>() < common.pool.least() {
            return Ok(());
        }
        sizes.sort_unstable();
        let mut writes = BTreeMap::new();
        let mut bytes = 0;
        while let Some((size, slice)) = sizes.pop() {
            if let Some(bucket) = self.committed.get_mut(&slice) {
                bucket.spill(slice, &self.layout, &mut writes)?;
            }
            bytes += size;
            common.account(self.memory());
            // What is to be written is in memory, too: some at a time.
            if bytes >= SPILLED || sizes.is_empty() || !common.pool.is_well_filled() {
                if self.store.is_none() {
                    self.store = Some(common.pool.store(true)?);
                }
                if let Some(store) = &self.store {
                    store.write(std::mem::take(&mut writes).into_iter())?;
                }
                bytes = 0;
            }
            if !common.pool.is_well_filled() {
                break;
            }
        }
        Ok(())
    }

    fn memory(&self) -> u64 {
        let committed = self.committed.values().map(|b| b.table.size());
        (committed.sum::<usize>() + self.overlay.size()) as u64
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

    fn prepare_commit(
        &mut self,
        watermark_ms: Option<i64>,
        _now_ms: i64,
        common: &Common,
    ) -> Result<EpochOutput, StateError> {
        let mut output = EpochOutput::default();
        let watermark = self.watermark.max(watermark_ms);
        let mut added: BTreeMap<i64, Vec<u32>> = BTreeMap::new();
        for group in self.overlay.keys.groups() {
            added
                .entry(self.overlay.bucket(group))
                .or_default()
                .push(group);
        }
        // Never back, should the lateness have become longer.
        let fired = self.layout.spec.final_until(watermark).max(self.fired);
        let due = self.due(fired, &added);
        let (mut until, mut progress) = (self.fired, None);
        for (&end, &start) in &due {
            if rows(&output.results) >= self.most {
                output.more = true;
                break;
            }
            if let Some(part) = self.results((start, end), &added, &mut output.results)? {
                output.more = true;
                progress = Some((end, part));
                break;
            }
            until = end;
        }
        // What is left is due in the next epoch.
        let fired = if output.more {
            until.min(fired).max(self.fired)
        } else {
            fired
        };
        // Whatever is there had a window to come, so nothing is over while no window is due.
        let mut recorded = self.recorded;
        let moved = fired > recorded || progress != self.progress;
        if moved && !(due.is_empty() && added.is_empty()) {
            let record = record::fired(fired, progress, common.next);
            output.changelog.push(record);
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
                bucket
                    .segments
                    .clone()
                    .forget(*slice, &mut output.changelog);
            }
        }
        let mut segments = BTreeMap::new();
        let mut bases = BASES;
        for (&slice, groups) in &added {
            let committed = self.committed.get(&slice);
            let mut of_slice =
                committed.map_or_else(|| self.segments.clone(), |b| b.segments.clone());
            let epoch = Epoch {
                windows: self,
                touched: Touched::new(slice, Some(groups)),
            };
            let mut writer = SegmentWriter {
                bucket: slice,
                next: common.next,
                floor: self.fired,
                bases: &mut bases,
                out: &mut output.changelog,
            };
            of_slice.write(&epoch, &mut writer)?;
            segments.insert(slice, of_slice);
        }
        self.pending = Some(Pending {
            watermark,
            fired,
            recorded,
            progress,
            gone,
            added,
            segments,
        });
        Ok(output)
    }

    fn commit(&mut self, common: &mut Common) -> Result<(), StateError> {
        let Some(mut pending) = self.pending.take() else {
            return if self.overlay.keys.len() == 0 {
                Ok(())
            } else {
                Err(columns("rows were added after the epoch was sealed"))
            };
        };
        for slice in &pending.gone {
            if let Some(mut bucket) = self.committed.remove(slice) {
                bucket.discard(*slice, None, self.store.as_ref())?;
            }
        }
        for (slice, groups) in &pending.added {
            let bucket = self
                .committed
                .entry(*slice)
                .or_insert_with(|| Bucket::new(&self.layout, self.segments.clone()));
            bucket.table.absorb(&self.overlay, groups)?;
            if let Some(segments) = pending.segments.remove(slice) {
                bucket.segments = segments;
            }
        }
        self.watermark = pending.watermark;
        self.fired = pending.fired;
        self.recorded = pending.recorded;
        self.progress = pending.progress;
        self.overlay.clear();
        common.account(self.memory());
        if common.pool.is_full() {
            // What the overlay keeps for the next epoch is more than there is.
            self.overlay = Table::new(&self.layout, true);
            common.account(self.memory());
        }
        if common.pool.is_full() {
            self.spill(common)?;
        }
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
        common: &mut Common,
    ) -> Result<Option<i64>, StateError> {
        match (key.first(), value) {
            (Some(&record::FIRED), Some(value)) => {
                let fired = record::read_fired(value)?;
                self.recorded = fired.until;
                self.progress = fired.progress;
                return Ok(Some(fired.next));
            }
            (Some(&record::BATCH), _) => {}
            _ => return Ok(None),
        }
        let place = Place::read(&key[1..])?;
        let Some(value) = value else {
            if let Some(bucket) = self.committed.get_mut(&place.bucket) {
                bucket.segments.restore_tombstone(place);
                if bucket.segments.is_empty() {
                    bucket.discard(place.bucket, None, self.store.as_ref())?;
                    self.committed.remove(&place.bucket);
                }
            }
            return Ok(None);
        };
        let head = record::read_head(value)?;
        let batch = record::read_batch(head.body, &self.layout.state)?;
        let bucket = self
            .committed
            .entry(place.bucket)
            .or_insert_with(|| Bucket::new(&self.layout, self.segments.clone()));
        if head.flags & record::RESET_BUCKET != 0 {
            bucket.discard(place.bucket, None, self.store.as_ref())?;
            bucket.table.clear();
        } else if head.flags & record::RESET_PART != 0 {
            let part = usize::from(place.part).saturating_sub(1) % PARTS;
            bucket.discard(place.bucket, Some(part), self.store.as_ref())?;
        }
        let before = bucket.table.size();
        if head.flags & record::BASE == 0 {
            bucket.table.absorb_state(&batch)?;
        } else {
            // A slice loses no keys, so whatever there was of the part, its base has it.
            bucket.table.replace_state(&batch)?;
        }
        bucket.segments.restore(place, head.flags, value.len());
        // An estimate: what was dropped is counted when the changelog is read.
        common.account_more(bucket.table.size().saturating_sub(before) as u64);
        if common.pool.is_full() {
            common.account(self.memory());
            self.spill(common)?;
        }
        Ok(Some(head.next))
    }

    fn restored(
        &mut self,
        watermark_ms: Option<i64>,
        common: &mut Common,
    ) -> Result<(), StateError> {
        self.watermark = watermark_ms;
        self.fired = self.recorded;
        let fired = self.layout.spec.final_until(watermark_ms);
        // Windows that are due already but are still there: the lateness has become shorter, or the state is of a version
        // in which a window was over a millisecond later; they are for the next epoch to give.
        if self.due(fired, &BTreeMap::new()).is_empty() {
            self.fired = self.fired.max(fired);
        }
        common.account(self.memory());
        Ok(())
    }

    fn figures(&self) -> Figures {
        let committed = self.committed.values();
        let keys = committed.map(|b| b.table.keys.live() as u64 + b.spilled_keys());
        Figures {
            memory_bytes: self.memory(),
            disk_bytes: self.store.as_ref().map_or(0, Store::bytes),
            keys: keys.sum::<u64>() + self.overlay.keys.live() as u64,
        }
    }
}
