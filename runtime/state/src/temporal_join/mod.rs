//! State of a temporal join: left rows that wait for the watermark, versions that are valid later, and of each key the row that is
//! valid now.
//!
//! The rules are Flink's (`TemporalRowTimeJoinOperator` of 2.3), but for these. A left row is given once the watermark is past it, and
//! not at it, as OVER gives rows: a version of that time may still come. A left row that is behind what may be given already is late
//! and refused: which version was valid then may be forgotten, and Flink takes what is left. A version that is late counts from then
//! on: it is valid if none of its key is that is newer.
//!
//! A deletion has the time of its record in Kafka, which may be behind the event time of the row that comes after it. It ends
//! what came before it, never what came after: see [`versions`].

mod give;
mod versions;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use headworks_sql::join::TemporalJoin;

use self::versions::{VERSION, Version, read_version};
use crate::codec::Codec;
use crate::epoch::{Change, EpochOutput, Figures};
use crate::error::{StateError, columns};
use crate::joined::{codecs, encoded};
use crate::mutant::Mutant;
use crate::record;
use crate::state::{Common, State};
use crate::table::Layout;
use crate::timed_rows::buffer::{Buffer, Entry};
use crate::timed_rows::log::{
    Added, Bucket, BucketId, Buckets, Head, ROWS, bucket_of, recount, replace, restore,
};

/// How much event time a bucket of the changelog has, in milliseconds. A part of the encoding.
const BUCKET: i64 = 60_000;
const SIDES: [bool; 2] = [false, true];

/// State of a temporal join.
#[derive(Debug)]
pub(crate) struct TemporalJoins {
    layout: Arc<Layout>,
    join: TemporalJoin,
    /// Of the columns that each side gives.
    codecs: [Codec; 2],
    /// Left rows up to this event time are given, and versions up to it are the valid ones, or forgotten.
    cut: i64,
    /// The same, as the changelog has it.
    recorded: i64,
    /// Left rows up to this event time are late: by the watermark of the last commit.
    late: i64,
    /// Behind the cut: left rows, and versions; of these, deletions are marked.
    committed: [Buffer; 2],
    buckets: Buckets,
    valid: HashMap<Arc<[u8]>, Version>,
    valid_bytes: usize,
    added: [Buffer; 2],
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
    valid: Vec<OfKey>,
}

/// A key, encoded, and what is valid of it from now on.
type OfKey = (Arc<[u8]>, Option<Version>);

impl TemporalJoins {
    pub(crate) fn new(layout: Arc<Layout>, join: &TemporalJoin) -> TemporalJoins {
        TemporalJoins {
            codecs: codecs(&layout, [&join.left, &join.right]),
            join: join.clone(),
            layout,
            cut: i64::MIN,
            recorded: i64::MIN,
            late: i64::MIN,
            committed: Default::default(),
            buckets: Buckets::new(),
            valid: HashMap::new(),
            valid_bytes: 0,
            added: Default::default(),
            pending: None,
            broken: None,
        }
    }

    /// Up to which event time left rows may be given by a watermark. Never back, should the lateness have become longer.
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

    fn memory(&self) -> u64 {
        let buffers = self.committed.iter().chain(&self.added);
        (buffers.map(Buffer::size).sum::<usize>() + self.valid_bytes) as u64
    }

    /// What is valid of a key from now on.
    fn set(&mut self, key: Arc<[u8]>, valid: Option<Version>) {
        let length = key.len();
        let before = match valid {
            Some(version) => {
                self.valid_bytes += length + version.size();
                self.valid.insert(key, version)
            }
            None => self.valid.remove(&key),
        };
        if let Some(before) = before {
            let size = length + before.size();
            self.valid_bytes = self.valid_bytes.saturating_sub(size);
        }
    }

    /// What the changelog must hold of the rows that are behind the cut; and the buckets that change.
    fn log(&self, head: Head, out: &mut Vec<Change>) -> Result<Buckets, StateError> {
        let mut changed = Buckets::new();
        let known = |id: BucketId| self.buckets.get(&id).cloned().unwrap_or_default();
        let after = (head.cut.saturating_add(1), i64::MAX);
        for right in SIDES {
            let side = usize::from(right);
            for (place, _) in self.committed[side].until(head.cut) {
                let id = bucket_of(BUCKET, right, place);
                let bucket = changed.entry(id).or_insert_with(|| known(id));
                bucket.rows = bucket.rows.saturating_sub(1);
            }
            let mut added: BTreeMap<BucketId, Vec<Added<'_>>> = BTreeMap::new();
            for row in self.added[side].between(after) {
                if row.0.0 > head.cut {
                    let id = bucket_of(BUCKET, right, row.0);
                    added.entry(id).or_default().push(row);
                }
            }
            for (id, rows) in added {
                let bucket: &mut Bucket = changed.entry(id).or_insert_with(|| known(id));
                bucket.add(id, &rows, head, out)?;
            }
        }
        for (id, bucket) in &mut changed {
            if bucket.rows == 0 {
                bucket.forget(*id, out);
            }
        }
        Ok(changed)
    }
}

impl State for TemporalJoins {
    fn add(
        &mut self,
        rows: &RecordBatch,
        _now_ms: i64,
        common: &mut Common,
    ) -> Result<Vec<u32>, StateError> {
        self.pending = None;
        let count = rows.num_rows();
        let layout = self.layout.clone();
        let key_columns = layout.key_columns(rows);
        let keys = layout.key.encode(key_columns, count, None)?;
        common.sketch.take(&keys, 0);
        let mark = |at: usize| {
            let column = rows.columns().get(at);
            let column = column.and_then(|column| column.as_boolean_opt());
            column.ok_or_else(|| columns("the rows don't say of which side they are"))
        };
        let (sides, deleted) = (mark(self.join.side)?, mark(self.join.deleted)?);
        let encoded = encoded(&self.codecs, [&self.join.left, &self.join.right], rows)?;
        let first = common.arrivals(count);
        let mut late = Vec::new();
        for (row, &time) in layout.times(rows)?.values().iter().enumerate() {
            let right = sides.value(row);
            if right && key_columns.iter().any(|column| column.is_null(row)) {
                // Null equals nothing, so no left row has this version.
                continue;
            }
            if !right && time <= self.late {
                late.push(row as u32);
                continue;
            }
            let side = usize::from(right);
            let marked = right && deleted.value(row);
            let entry = Entry {
                row: if marked {
                    Arc::default()
                } else {
                    encoded[side].row(row).into()
                },
                marked,
            };
            let place = (time, first + row as i64);
            self.added[side].insert(place, keys.row(row), entry);
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
        output.results = self.give(cut)?;
        let next = common.next;
        let buckets = self.log(Head { next, cut }, &mut output.changelog)?;
        let valid = self.valid_from(cut);
        for (key, version) in &valid {
            output
                .changelog
                .push(versions::change(key, version.as_ref(), next, cut));
        }
        let mut recorded = self.recorded;
        let gone = |side: &Buffer| side.until(cut).next().is_some();
        if self.committed.iter().any(gone) {
            // Rows are given one by one, and their records go with their bucket: what is read back must know which are.
            output.changelog.push(record::fired(cut, None, next));
            recorded = cut;
        }
        self.pending = Some(Pending {
            cut,
            recorded,
            late: until.max(self.late),
            buckets,
            valid,
        });
        Ok(output)
    }

    fn commit(&mut self, common: &mut Common) -> Result<(), StateError> {
        let Some(pending) = self.pending.take() else {
            return if self.added.iter().all(Buffer::is_empty) {
                Ok(())
            } else {
                Err(columns("rows were added after the epoch was sealed"))
            };
        };
        let added = std::mem::take(&mut self.added);
        for (committed, added) in self.committed.iter_mut().zip(&added) {
            committed.remove_until(pending.cut);
            committed.insert_after(pending.cut, added);
        }
        replace(&mut self.buckets, pending.buckets);
        for (key, valid) in pending.valid {
            self.set(key, valid);
        }
        self.cut = pending.cut;
        self.recorded = pending.recorded;
        self.late = pending.late;
        common.account(self.memory());
        Ok(())
    }

    fn abort(&mut self) {
        self.pending = None;
        self.added = Default::default();
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
            (Some(&VERSION), None) => {
                self.set(key[1..].into(), None);
                return Ok(None);
            }
            (Some(&VERSION), Some(value)) => {
                let (version, next) = read_version(value)?;
                self.set(key[1..].into(), Some(version));
                common.bounded(self.memory())?;
                return Ok(Some(next));
            }
            (Some(&ROWS), _) => {}
            _ => return Ok(None),
        }
        let (buckets, sides) = (&mut self.buckets, &mut self.committed);
        let next = restore(buckets, sides, (key, value), BUCKET)?;
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
        for rows in &mut self.committed {
            rows.remove_until(self.recorded);
        }
        recount(&mut self.buckets, &self.committed, BUCKET);
        self.cut = self.recorded;
        self.late = self.cut_at(watermark_ms);
        if self.broken == Some(Mutant::HistoryLost) {
            self.valid.clear();
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
            keys: self.committed[0].keys().max(self.valid.len()) as u64,
        }
    }
}
