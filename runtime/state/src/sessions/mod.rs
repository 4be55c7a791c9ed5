//! State of SESSION windows: for each key intervals that become one when a row joins them.
//!
//! The overlay has sessions of its own; where they touch committed ones, they are part of them from the commit on. A
//! row joins a session if no more than the gap lies between (as in Flink, exactly the gap still joins). The
//! changelog has what epochs add, as sessions that are merged again when they are read back; each record says
//! what was final before it, as a row may begin a session beside one that has just given its result. Sessions
//! stay in memory: which of them a row joins must be known when it comes.

mod merge;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{AsArray, BinaryArray, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};

use self::merge::{Epoch, parts};
use crate::accumulate::Input;
use crate::changelog_segments::{BASES, ChangelogSegments, PARTS, SegmentWriter};
use crate::epoch::{EpochOutput, Figures};
use crate::error::{StateError, columns};
use crate::record::{self, Place};
use crate::session_intervals::{Interval, SessionIntervals};
use crate::state::{Common, State};
use crate::table::Layout;

/// Times beyond are unusable, as in [`crate::slices`].
const LIMIT: i64 = i64::MAX / 8;

/// State in sessions.
#[derive(Debug)]
pub(crate) struct Sessions {
    layout: Arc<Layout>,
    /// Columns of a record: key, first and last time, state.
    schema: SchemaRef,
    gap: i64,
    /// Sessions that end up to here are final.
    floor: i64,
    /// The same, as the changelog has it.
    recorded: i64,
    committed: SessionIntervals,
    /// Committed sessions by the end that they had when they were put here, which may have moved since.
    calendar: BTreeMap<i64, Vec<u32>>,
    overlay: SessionIntervals,
    segments: ChangelogSegments,
    no_segments: ChangelogSegments,
    pending: Option<Pending>,
    groups: Vec<u32>,
}

/// What a commit does.
#[derive(Debug)]
struct Pending {
    floor: i64,
    recorded: i64,
    /// Sessions of the overlay that go on, and committed ones that gave their result.
    staying: Vec<u32>,
    gone: Vec<u32>,
    segments: ChangelogSegments,
}

impl Sessions {
    pub(crate) fn new(layout: Arc<Layout>, gap: i64, segments: ChangelogSegments) -> Sessions {
        let mut fields = layout.state.fields().to_vec();
        for (i, name) in ["start", "last"].into_iter().enumerate() {
            fields.insert(1 + i, Arc::new(Field::new(name, DataType::Int64, false)));
        }
        let gap = gap.clamp(0, LIMIT);
        Sessions {
            schema: Arc::new(Schema::new(fields)),
            gap,
            floor: i64::MIN,
            recorded: i64::MIN,
            committed: SessionIntervals::new(&layout, gap),
            calendar: BTreeMap::new(),
            overlay: SessionIntervals::new(&layout, gap),
            no_segments: segments.clone(),
            segments,
            pending: None,
            groups: Vec::new(),
            layout,
        }
    }

    fn is_final(&self, last: i64, floor: i64) -> bool {
        last.saturating_add(self.gap) <= floor
    }

    /// Up to which end sessions are final by a watermark.
    fn floor_of(&self, watermark_ms: Option<i64>) -> i64 {
        self.layout.spec.final_until(watermark_ms).max(self.floor)
    }

    /// Puts sessions from that group on, or all, into the calendar.
    fn plan(&mut self, from: u32) {
        for group in self.committed.groups_from(from) {
            let last = self.committed.interval(group).last;
            self.calendar.entry(last).or_default().push(group);
        }
    }

    /// Committed sessions that may be final by their place in the calendar.
    fn planned(&self, floor: i64) -> impl Iterator<Item = u32> {
        let latest = floor.saturating_sub(self.gap);
        self.calendar
            .range(..=latest)
            .flat_map(|(_, groups)| groups.iter().copied())
            .filter(|&group| self.committed.is_alive(group))
    }

    fn is_late(&self, key: &[u8], time: i64) -> bool {
        if !(-LIMIT..LIMIT).contains(&time) {
            return true;
        }
        let row = Interval {
            start: time,
            last: time,
        };
        let joins = |intervals: &SessionIntervals| {
            intervals
                .of(key)
                .any(|group| intervals.interval(group).touches(row, self.gap))
        };
        // A session that still runs takes it in, however old it is.
        self.is_final(time, self.floor) && !joins(&self.overlay) && !joins(&self.committed)
    }

    fn memory(&self) -> u64 {
        (self.committed.size() + self.overlay.size()) as u64
    }

    /// Takes away what had given its result before a record of these keys was written.
    fn forget_final(&mut self, keys: &BinaryArray, floor: i64) -> Result<(), StateError> {
        let mut over: Vec<u32> = keys
            .iter()
            .flatten()
            .flat_map(|key| self.committed.of(key))
            .filter(|&group| self.is_final(self.committed.interval(group).last, floor))
            .collect();
        over.sort_unstable();
        over.dedup();
        self.committed.remove(&over).map(drop)
    }
}

impl State for Sessions {
    fn add(
        &mut self,
        rows: &RecordBatch,
        now_ms: i64,
        common: &mut Common,
    ) -> Result<Vec<u32>, StateError> {
        self.pending = None;
        let times = self.layout.times(rows)?.values();
        let keys = self
            .layout
            .key
            .encode(self.layout.key_columns(rows), rows.num_rows(), None)?;
        common.sketch.take(&keys, 0);
        let mut groups = std::mem::take(&mut self.groups);
        groups.clear();
        let (mut taken, mut late) = (Vec::new(), Vec::new());
        for (row, &time) in times.iter().enumerate() {
            if self.is_late(keys.row(row), time) {
                late.push(row as u32);
                continue;
            }
            let interval = Interval {
                start: time,
                last: time,
            };
            groups.push(self.overlay.put(keys.row(row), interval));
            taken.push(row as u32);
        }
        let kept;
        let rows = if late.is_empty() {
            rows
        } else {
            kept = take_record_batch(rows, &UInt32Array::from(taken)).map_err(columns)?;
            &kept
        };
        let input = Input {
            batch: rows,
            first: common.arrivals(rows.num_rows()),
            now_ms,
        };
        self.overlay.update(&input, &mut groups)?;
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
        let floor = self.floor_of(watermark_ms);
        let (running, mut ending) = self.merged(floor);
        self.results(&mut ending, &mut output.results)?;
        let mut staying: Vec<u32> = running.iter().flat_map(|m| &m.overlay).copied().collect();
        staying.sort_unstable();
        let gone: Vec<u32> = ending.iter().flat_map(|m| &m.committed).copied().collect();
        let mut segments = self.segments.clone();
        let mut recorded = self.recorded;
        if floor > recorded && !(ending.is_empty() && staying.is_empty()) {
            let record = record::fired(floor, None, common.next);
            output.changelog.push(record);
            recorded = floor;
        }
        if staying.is_empty() && gone.len() == self.committed.len() {
            segments.forget(0, &mut output.changelog);
        } else {
            let epoch = Epoch::new(self, &staying, &gone);
            let mut writer = SegmentWriter {
                bucket: 0,
                next: common.next,
                floor: self.floor,
                bases: &mut { BASES },
                out: &mut output.changelog,
            };
            segments.write(&epoch, &mut writer)?;
        }
        self.pending = Some(Pending {
            floor,
            recorded,
            staying,
            gone,
            segments,
        });
        Ok(output)
    }

    fn commit(&mut self, common: &mut Common) -> Result<(), StateError> {
        let Some(pending) = self.pending.take() else {
            return if self.overlay.len() == 0 {
                Ok(())
            } else {
                Err(columns("rows were added after the epoch was sealed"))
            };
        };
        // Those in the calendar that go on get a new place in it.
        let again: Vec<u32> = self.planned(pending.floor).collect();
        let latest = pending.floor.saturating_sub(self.gap);
        self.calendar = self.calendar.split_off(&latest.saturating_add(1));
        self.floor = pending.floor;
        self.recorded = pending.recorded;
        self.segments = pending.segments;
        let renumbered = self.committed.remove(&pending.gone)?;
        let new = self.committed.end();
        self.committed.absorb(&self.overlay, &pending.staying)?;
        self.overlay.clear();
        if renumbered {
            self.calendar.clear();
            self.plan(0);
        } else {
            for group in again {
                if self.committed.is_alive(group) {
                    let last = self.committed.interval(group).last;
                    self.calendar.entry(last).or_default().push(group);
                }
            }
            self.plan(new);
        }
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
        if let (Some(&record::FIRED), Some(value)) = (key.first(), value) {
            let fired = record::read_fired(value)?;
            self.recorded = fired.until;
            return Ok(Some(fired.next));
        }
        if key.first() != Some(&record::BATCH) {
            return Ok(None);
        }
        let place = Place::read(&key[1..])?;
        let Some(value) = value else {
            self.segments.restore_tombstone(place);
            if self.segments.is_empty() {
                self.committed.clear();
                self.segments = self.no_segments.clone();
            }
            return Ok(None);
        };
        let head = record::read_head(value)?;
        let batch = record::read_batch(head.body, &self.schema)?;
        if head.flags & record::RESET_BUCKET != 0 {
            self.committed.clear();
        } else if head.flags & record::RESET_PART != 0 {
            let part = usize::from(place.part).saturating_sub(1) % PARTS;
            let mut old = parts(&self.committed, self.committed.groups_from(0));
            self.committed.remove(&old.swap_remove(part))?;
        }
        self.segments.restore(place, head.flags, value.len());
        let keys = batch.column(0).as_binary::<i32>();
        self.forget_final(keys, head.floor)?;
        let starts = batch.column(1).as_primitive::<Int64Type>().values();
        let lasts = batch.column(2).as_primitive::<Int64Type>().values();
        let targets: Vec<u32> = (0..batch.num_rows())
            .map(|row| {
                let interval = Interval {
                    start: starts[row],
                    last: lasts[row],
                };
                self.committed.put(keys.value(row), interval)
            })
            .collect();
        self.committed
            .absorb_columns(&batch.columns()[3..], &targets)?;
        Ok(Some(head.next))
    }

    fn restored(
        &mut self,
        watermark_ms: Option<i64>,
        common: &mut Common,
    ) -> Result<(), StateError> {
        let recorded = self.recorded;
        let over: Vec<u32> = self
            .committed
            .groups_from(0)
            .filter(|&group| self.is_final(self.committed.interval(group).last, recorded))
            .collect();
        self.committed.remove(&over)?;
        self.floor = recorded;
        let floor = self.floor_of(watermark_ms);
        // Sessions that are final already but are still there (see the same of windows): they are for the next epoch to give.
        let due = |group| self.is_final(self.committed.interval(group).last, floor);
        if !self.committed.groups_from(0).any(due) {
            self.floor = floor;
        }
        self.calendar.clear();
        self.plan(0);
        common.account(self.memory());
        Ok(())
    }

    fn figures(&self) -> Figures {
        Figures {
            memory_bytes: self.memory(),
            disk_bytes: 0,
            keys: (self.committed.len() + self.overlay.len()) as u64,
        }
    }
}
