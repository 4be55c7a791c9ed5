//! State of OVER: the rows that wait for the watermark, and what is kept of those that are given.
//!
//! Rows are given in the order of their event time, each once the watermark is past it: a row of the watermark's own time
//! may still come. (Flink 2.3 gives rows at the watermark's time, too, and drops those of that time that come later.) A row
//! that is behind what may be given already is late, and refused.
//!
//! A frame of RANGE finds its rows by their time, so those stay where they waited until no frame takes them in any more. What
//! ROWS, LAG and unbounded frames need goes by key: the last rows, what the aggregates remember of all rows, and how many
//! there were ([`keys`]).

mod frames;
mod given;
mod keys;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::RecordBatch;
use headworks_sql::keyed::over::Over;

use self::frames::Functions;
use self::keys::{Kept, OVER, read_kept};
use crate::codec::Codec;
use crate::epoch::{Change, EpochOutput, Figures};
use crate::error::{StateError, columns};
use crate::mutant::Mutant;
use crate::record;
use crate::state::{Common, State};
use crate::table::Layout;
use crate::timed_rows::buffer::{Buffer, Entry, Place, nearer};
use crate::timed_rows::log::{
    Added, Bucket, BucketId, Buckets, Head, ROWS, bucket_of, recount, replace, restore,
};

/// A bucket of the changelog is so much of a RANGE, within these bounds in milliseconds. A part of the encoding.
const SHARE: i64 = 8;
const BUCKET: (i64, i64) = (1_000, 3_600_000);

/// State of OVER.
#[derive(Debug)]
pub(crate) struct OverRows {
    layout: Arc<Layout>,
    over: Over,
    functions: Functions,
    /// Of the rows' columns behind the key.
    codec: Codec,
    /// Rows up to this event time are given.
    cut: i64,
    /// The same, as the changelog has it.
    recorded: i64,
    /// Rows up to this event time are late: by the watermark of the last commit.
    late: i64,
    committed: Buffer,
    buckets: Buckets,
    kept: HashMap<Arc<[u8]>, Kept>,
    kept_bytes: usize,
    added: Buffer,
    pending: Option<Pending>,
    /// For tests.
    broken: Option<Mutant>,
}

/// What a commit does.
#[derive(Debug)]
struct Pending {
    cut: i64,
    recorded: i64,
    late: i64,
    buckets: Buckets,
    kept: Vec<(Arc<[u8]>, Kept)>,
}

impl OverRows {
    pub(crate) fn new(layout: Arc<Layout>, over: &Over) -> OverRows {
        let fields = layout.spec.rows.fields().iter().skip(layout.spec.keys);
        let types = fields.map(|field| field.data_type().clone()).collect();
        OverRows {
            functions: Functions::new(over, &layout.spec),
            codec: Codec::new(types),
            over: over.clone(),
            layout,
            cut: i64::MIN,
            recorded: i64::MIN,
            late: i64::MIN,
            committed: Buffer::default(),
            buckets: Buckets::new(),
            kept: HashMap::new(),
            kept_bytes: 0,
            added: Buffer::default(),
            pending: None,
            broken: None,
        }
    }

    /// Up to which event time rows may be given by a watermark. Never back, should the lateness have become longer.
    fn cut_at(&self, watermark_ms: Option<i64>) -> i64 {
        let cut = watermark_ms.map_or(i64::MIN, |watermark| match watermark {
            i64::MAX => i64::MAX,
            watermark => {
                let cut = watermark.saturating_sub(self.layout.spec.allowed_lateness_ms);
                if self.broken == Some(Mutant::GivenEarly) {
                    cut.saturating_add(1_000)
                } else {
                    cut.saturating_sub(1)
                }
            }
        });
        cut.max(self.cut)
    }

    /// Rows up to this event time are in no frame of a row that may still be given.
    fn gone_until(&self, cut: i64) -> i64 {
        match (cut, self.over.range_ms()) {
            (i64::MIN | i64::MAX, _) | (_, None) => cut,
            (cut, Some(range)) => cut.saturating_sub(range),
        }
    }

    /// The cut, or an earlier one by which about `most` rows are given. All rows of one time go together.
    fn nearer(&self, until: i64, most: usize) -> i64 {
        let due = (self.cut.saturating_add(1), until);
        let rows = self.committed.between(due).chain(self.added.between(due));
        nearer(until, most, rows.map(|((time, _), ..)| time))
    }

    fn width(&self) -> i64 {
        let range = self.over.range_ms().unwrap_or(0) / SHARE;
        range.clamp(BUCKET.0, BUCKET.1)
    }

    fn bucket(&self, place: Place) -> BucketId {
        bucket_of(self.width(), false, place)
    }

    fn memory(&self) -> u64 {
        (self.committed.size() + self.added.size() + self.kept_bytes) as u64
    }

    fn keep(&mut self, key: Arc<[u8]>, kept: Kept) {
        self.kept_bytes += key.len() + kept.size();
        let length = key.len();
        if let Some(before) = self.kept.insert(key, kept) {
            let size = length + before.size();
            self.kept_bytes = self.kept_bytes.saturating_sub(size);
        }
    }

    /// What the changelog must hold of the rows that wait, or that frames still take in; and the buckets that change.
    fn log(&self, head: Head, out: &mut Vec<Change>) -> Result<Buckets, StateError> {
        let gone = self.gone_until(head.cut);
        let mut changed = Buckets::new();
        let known = |id: BucketId| self.buckets.get(&id).cloned().unwrap_or_default();
        for (place, ..) in self.committed.between((i64::MIN, gone)) {
            let id = self.bucket(place);
            let bucket = changed.entry(id).or_insert_with(|| known(id));
            bucket.rows = bucket.rows.saturating_sub(1);
        }
        let mut added: BTreeMap<BucketId, Vec<Added<'_>>> = BTreeMap::new();
        for row in self.added.between((gone.saturating_add(1), i64::MAX)) {
            if row.0.0 > gone {
                added.entry(self.bucket(row.0)).or_default().push(row);
            }
        }
        for (id, rows) in added {
            let bucket: &mut Bucket = changed.entry(id).or_insert_with(|| known(id));
            bucket.add(id, &rows, head, out)?;
        }
        for (id, bucket) in &mut changed {
            if bucket.rows == 0 {
                bucket.forget(*id, out);
            }
        }
        Ok(changed)
    }
}

impl State for OverRows {
    fn add(
        &mut self,
        rows: &RecordBatch,
        _now_ms: i64,
        common: &mut Common,
    ) -> Result<Vec<u32>, StateError> {
        self.pending = None;
        let count = rows.num_rows();
        let layout = self.layout.clone();
        let keys = layout.key.encode(layout.key_columns(rows), count, None)?;
        common.sketch.take(&keys, 0);
        let values = rows.columns().get(layout.spec.keys..).unwrap_or_default();
        let values = self.codec.encode(values, count, None)?;
        let first = common.arrivals(count);
        let mut late = Vec::new();
        for (row, &time) in layout.times(rows)?.values().iter().enumerate() {
            if time <= self.late {
                late.push(row as u32);
                continue;
            }
            let entry = Entry {
                row: values.row(row).into(),
                marked: false,
            };
            let place = (time, first + row as i64);
            self.added.insert(place, keys.row(row), entry);
        }
        common.bounded(self.memory())?;
        Ok(late)
    }

    fn prepare_commit(
        &mut self,
        watermark_ms: Option<i64>,
        _now_ms: i64,
        common: &Common,
    ) -> Result<EpochOutput, StateError> {
        let mut output = EpochOutput::default();
        let until = self.cut_at(watermark_ms);
        let cut = self.nearer(until, common.pool.results());
        output.more = cut < until;
        let given = self.give(cut)?;
        output.results = given.results;
        let next = common.next;
        let buckets = self.log(Head { next, cut }, &mut output.changelog)?;
        for (key, kept) in &given.kept {
            output.changelog.push(kept.change(key, next, cut));
        }
        let gone = self.gone_until(cut);
        let any = |buffer: &Buffer, until| buffer.between((i64::MIN, until)).next().is_some();
        let mut recorded = self.recorded;
        let due = (self.cut.saturating_add(1), cut);
        if any(&self.committed, gone)
            || self.committed.between(due).next().is_some()
            || any(&self.added, cut)
        {
            // Rows are given one by one, and their records go with their bucket: what is read back must know which are.
            output.changelog.push(record::fired(cut, None, next));
            recorded = cut;
        }
        self.pending = Some(Pending {
            cut,
            recorded,
            late: until.max(self.late),
            buckets,
            kept: given.kept,
        });
        Ok(output)
    }

    fn commit(&mut self, common: &mut Common) -> Result<(), StateError> {
        let Some(pending) = self.pending.take() else {
            return if self.added.is_empty() {
                Ok(())
            } else {
                Err(columns("rows were added after the epoch was sealed"))
            };
        };
        let gone = self.gone_until(pending.cut);
        self.committed.remove_until(gone);
        let added = std::mem::take(&mut self.added);
        self.committed.insert_after(gone, &added);
        replace(&mut self.buckets, pending.buckets);
        for (key, kept) in pending.kept {
            self.keep(key, kept);
        }
        self.cut = pending.cut;
        self.recorded = pending.recorded;
        self.late = pending.late;
        common.account(self.memory());
        Ok(())
    }

    fn abort(&mut self) {
        self.pending = None;
        self.added = Buffer::default();
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
                return Ok(Some(fired.next));
            }
            (Some(&OVER), Some(value)) => {
                let (kept, next) = read_kept(value)?;
                self.keep(key[1..].into(), kept);
                common.bounded(self.memory())?;
                return Ok(Some(next));
            }
            (Some(&ROWS), _) => {}
            _ => return Ok(None),
        }
        let (width, sides) = (self.width(), std::slice::from_mut(&mut self.committed));
        let next = restore(&mut self.buckets, sides, (key, value), width)?;
        if next.is_some() {
            common.bounded(self.memory())?;
        }
        Ok(next)
    }

    fn restored(
        &mut self,
        watermark_ms: Option<i64>,
        common: &mut Common,
    ) -> Result<(), StateError> {
        self.committed.remove_until(self.gone_until(self.recorded));
        let width = self.width();
        let sides = std::slice::from_ref(&self.committed);
        recount(&mut self.buckets, sides, width);
        self.cut = self.recorded;
        self.late = self.cut_at(watermark_ms);
        if self.broken == Some(Mutant::HistoryLost) {
            self.kept.clear();
            self.committed.remove_until(self.cut);
        }
        common.account(self.memory());
        Ok(())
    }

    fn break_rule(&mut self, mutant: Mutant) {
        self.broken = Some(mutant);
    }

    fn figures(&self) -> Figures {
        Figures {
            memory_bytes: self.memory(),
            disk_bytes: 0,
            keys: self.committed.keys().max(self.kept.len()) as u64,
        }
    }
}
