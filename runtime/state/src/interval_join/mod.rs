//! State of an interval join: the rows of each side that a row of the other may still make a pair with.
//!
//! The rules are Flink's (`TimeIntervalJoin` of 2.3). A row is paired, when it comes, with the rows of the other side that
//! are kept; whichever of two comes second finds the first. It is kept while the watermark is before the last event time
//! that a partner may have. A kept row goes when the watermark has passed that; if its side is an outer one and it never
//! made a pair, it is given with nulls then. A late row isn't refused: it makes its pairs with what is still kept. Rows of window tables
//! are joined so, too, by the last moments of their windows; of these a late row is refused, or passed over where its record is in a
//! window that ends later.
//!
//! Which rows of an epoch see each other doesn't depend on how the input is cut into epochs, but for late rows: a row that
//! isn't late can't have a partner that is gone.

mod pairs;
mod seal;

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch, TimestampMillisecondArray};
use headworks_sql::join::IntervalJoin;

use self::pairs::Incoming;
use crate::codec::Codec;
use crate::epoch::{EpochOutput, Figures};
use crate::error::{StateError, columns};
use crate::joined::{Pair, codecs, encoded};
use crate::mutant::Mutant;
use crate::record;
use crate::state::{Common, State};
use crate::table::Layout;
use crate::timed_rows::buffer::{Buffer, Place};
use crate::timed_rows::log::{BucketId, Buckets, Head, ROWS, bucket_of, recount, replace, restore};

/// How many pairs become one batch of results.
const RESULTS: usize = 8_192;
/// A bucket of the changelog is so much of the interval, within these bounds in milliseconds. A part of the encoding.
const SHARE: i64 = 8;
const BUCKET: (i64, i64) = (1_000, 3_600_000);

/// Which side of two: the left one is `false`.
type Right = bool;

/// State of a join.
#[derive(Debug)]
pub(crate) struct IntervalJoins {
    layout: Arc<Layout>,
    join: IntervalJoin,
    /// Of the columns that each side gives.
    codecs: [Codec; 2],
    /// Of a window join: the column that is true of the last window of a record.
    last: Option<usize>,
    /// Of a window join: windows up to this last moment are over, by the watermark of the last commit.
    late: i64,
    /// The watermark, less the allowed lateness, by which rows are over.
    cut: i64,
    /// The same, as the changelog has it.
    recorded: i64,
    committed: [Buffer; 2],
    buckets: Buckets,
    overlay: Overlay,
    pending: Option<Pending>,
    /// For tests.
    broken: Option<Mutant>,
}

/// What the epoch adds.
#[derive(Debug, Default)]
struct Overlay {
    added: [Buffer; 2],
    /// Committed rows that made their first pair.
    matched: [BTreeSet<Place>; 2],
    pairs: Vec<Pair>,
    bytes: usize,
}

/// What a commit does.
#[derive(Debug)]
struct Pending {
    cut: i64,
    recorded: i64,
    late: i64,
    /// Committed rows that are over.
    gone: [Vec<Place>; 2],
    buckets: Buckets,
}

impl IntervalJoins {
    /// `last`: of a window join the column that is true of the last window of a record.
    pub(crate) fn new(
        layout: Arc<Layout>,
        join: &IntervalJoin,
        last: Option<usize>,
    ) -> IntervalJoins {
        IntervalJoins {
            codecs: codecs(&layout, [&join.left, &join.right]),
            join: join.clone(),
            layout,
            last,
            late: i64::MIN,
            cut: i64::MIN,
            recorded: i64::MIN,
            committed: Default::default(),
            buckets: Buckets::new(),
            overlay: Overlay::default(),
            pending: None,
            broken: None,
        }
    }

    fn keeps(&self, right: Right) -> bool {
        if right {
            self.join.kind.keeps_right()
        } else {
            self.join.kind.keeps_left()
        }
    }

    /// The watermark, less the allowed lateness. Never back, should the lateness have become longer.
    fn cut_at(&self, watermark_ms: Option<i64>) -> i64 {
        let cut = watermark_ms.map_or(i64::MIN, |watermark| match watermark {
            i64::MAX => i64::MAX,
            watermark => watermark.saturating_sub(self.layout.spec.allowed_lateness_ms),
        });
        cut.max(self.cut)
    }

    /// Rows of a side up to this event time are over.
    fn over_until(&self, right: Right, cut: i64) -> i64 {
        let cut = match self.broken {
            Some(Mutant::CutTooSoon) if cut > i64::MIN => {
                cut.saturating_add((self.join.upper - self.join.lower) / 2 + 1)
            }
            _ => cut,
        };
        match cut {
            i64::MAX => i64::MAX,
            i64::MIN => i64::MIN,
            cut if right => cut.saturating_sub(self.join.upper).saturating_sub(1),
            cut => cut.saturating_add(self.join.lower).saturating_sub(1),
        }
    }

    /// The first cut by which a row of a side is over: one that has passed the last event time of a partner.
    fn over_at(&self, right: Right, time: i64) -> i64 {
        self.partners(right, time).1.saturating_add(1)
    }

    /// The event times that partners of a row of a side may have.
    fn partners(&self, right: Right, time: i64) -> (i64, i64) {
        let (lower, upper) = (self.join.lower, self.join.upper);
        if right {
            (time.saturating_add(lower), time.saturating_add(upper))
        } else {
            (time.saturating_sub(upper), time.saturating_sub(lower))
        }
    }

    /// How much event time a bucket has, in milliseconds.
    fn width(&self) -> i64 {
        let span = self.join.upper.saturating_sub(self.join.lower) / SHARE;
        span.clamp(BUCKET.0, BUCKET.1)
    }

    /// The bucket of a row.
    fn bucket(&self, right: Right, place: Place) -> BucketId {
        bucket_of(self.width(), right, place)
    }

    /// Of a window join: the rows that are late and are the last of their record, and which rows are late at all. Of another none: late
    /// rows make the pairs that they still can.
    fn late_rows(
        &self,
        rows: &RecordBatch,
        times: &TimestampMillisecondArray,
    ) -> Result<(Vec<u32>, Vec<bool>), StateError> {
        let Some(last) = self.last else {
            return Ok((Vec::new(), Vec::new()));
        };
        let last = rows.columns().get(last);
        let last = last.and_then(|column| column.as_boolean_opt());
        let last = last.ok_or_else(|| columns("the rows don't say of which window they are"))?;
        let over: Vec<bool> = times
            .values()
            .iter()
            .map(|time| *time <= self.late)
            .collect();
        let late = (0..rows.num_rows()).filter(|row| over[*row] && last.value(*row));
        Ok((late.map(|row| row as u32).collect(), over))
    }

    fn memory(&self) -> u64 {
        let buffers = self.committed.iter().chain(&self.overlay.added);
        (buffers.map(Buffer::size).sum::<usize>() + self.overlay.bytes) as u64
    }
}

impl State for IntervalJoins {
    fn add(
        &mut self,
        rows: &RecordBatch,
        _now_ms: i64,
        common: &mut Common,
    ) -> Result<Vec<u32>, StateError> {
        self.pending = None;
        let count = rows.num_rows();
        let key_columns = self.layout.key_columns(rows);
        let keys = self.layout.key.encode(key_columns, count, None)?;
        common.sketch.take(&keys, 0);
        let sides = rows.columns().get(self.join.side);
        let sides = sides.and_then(|column| column.as_boolean_opt());
        let sides = sides.ok_or_else(|| columns("the rows don't say of which side they are"))?;
        let layout = self.layout.clone();
        let (late, over) = self.late_rows(rows, layout.times(rows)?)?;
        let input = Incoming {
            over,
            keys,
            key_columns,
            sides,
            times: layout.times(rows)?,
            rows: encoded(&self.codecs, [&self.join.left, &self.join.right], rows)?,
            first: common.arrivals(count),
        };
        let mut next = 0;
        while next < count {
            next = self.pair(&input, next)?;
            common.bounded(self.memory())?;
        }
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
        let over = self.over(until, common.pool.results());
        let cut = over.cut;
        let late = until.max(self.late);
        output.more = cut < until;
        let pairs: Vec<&Pair> = self.overlay.pairs.iter().chain(&over.alone).collect();
        for chunk in pairs.chunks(RESULTS) {
            output.results.push(self.results(chunk)?);
        }
        let head = Head {
            next: common.next,
            cut,
        };
        let buckets = self.log(&over, head, &mut output)?;
        let mut recorded = self.recorded;
        if over.gone.iter().any(|places| !places.is_empty()) {
            // Rows are over one by one, and their records go with their bucket: what is read back must know which are.
            output.changelog.push(record::fired(cut, None, common.next));
            recorded = cut;
        }
        self.pending = Some(Pending {
            late,
            cut,
            recorded,
            gone: over.gone,
            buckets,
        });
        Ok(output)
    }

    fn commit(&mut self, common: &mut Common) -> Result<(), StateError> {
        let Some(pending) = self.pending.take() else {
            return if self.overlay.is_empty() {
                Ok(())
            } else {
                Err(columns("rows were added after the epoch was sealed"))
            };
        };
        for (side, places) in pending.gone.iter().enumerate() {
            for place in places {
                self.committed[side].remove(*place);
            }
        }
        let overlay = std::mem::take(&mut self.overlay);
        for (side, right) in [false, true].into_iter().enumerate() {
            for place in &overlay.matched[side] {
                self.committed[side].mark(*place);
            }
            let until = self.over_until(right, pending.cut);
            self.committed[side].insert_after(until, &overlay.added[side]);
        }
        replace(&mut self.buckets, pending.buckets);
        self.cut = pending.cut;
        self.late = pending.late;
        self.recorded = pending.recorded;
        common.account(self.memory());
        Ok(())
    }

    fn abort(&mut self) {
        self.pending = None;
        self.overlay = Overlay::default();
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
            (Some(&ROWS), _) => {}
            _ => return Ok(None),
        }
        let width = self.width();
        let (buckets, sides) = (&mut self.buckets, &mut self.committed);
        let next = restore(buckets, sides, (key, value), width)?;
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
        for right in [false, true] {
            let side = usize::from(right);
            let until = self.over_until(right, self.recorded);
            self.committed[side].remove_until(until);
        }
        let width = self.width();
        recount(&mut self.buckets, &self.committed, width);
        self.cut = self.recorded;
        self.cut = self.cut_at(watermark_ms);
        self.late = self.cut;
        if self.broken == Some(Mutant::TimerLost) {
            for side in &mut self.committed {
                side.mark_all();
            }
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
            keys: self.committed.iter().map(|side| side.keys() as u64).sum(),
        }
    }
}

impl Overlay {
    fn is_empty(&self) -> bool {
        self.pairs.is_empty() && self.added.iter().all(Buffer::is_empty)
    }

    fn give(&mut self, pair: Pair) {
        // With the columns that it becomes, which are there in full when the epoch is sealed.
        self.bytes += std::mem::size_of::<Pair>() + pair.size();
        self.pairs.push(pair);
    }
}
