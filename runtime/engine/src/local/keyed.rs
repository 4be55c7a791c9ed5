//! The keyed half of a run in memory: one shard, and a watermark that each record moves.
//!
//! What is late depends on when the watermark moves. In a pod that is with each transaction; Flink, asked to emit a watermark
//! with each record, decides by the record before, and so does this. So a row is late here if it would be in a pod that
//! committed after each record; a pod that commits less often may still take it. The state is sealed only before a row for which
//! it makes a difference, and at the end of a batch.

use headworks_plan::{DeadLetterReason, InternalTopic, PipelinePlan, StatePlan};
use headworks_sql::keyed::Window;
use headworks_state::{EpochOutput, Pool, StatePartition};

use super::{BadRecord, LocalError, Out, Row, SinkSnafu};
use crate::format::Formats;
use crate::keyed::results::{ResultRecord, Results};
use crate::keyed::too_late;
use crate::log::{Batch, LogError};
use crate::pipeline::{CompileError, compile_keyed, compile_rows, times};
use crate::stateless::{Bad, Staged, StatelessOperator};
use snafu::ResultExt;

/// The keyed half.
pub(super) struct Keyed {
    shard: StatePartition,
    results: Results,
    /// The column of the rows that is the event time.
    time: Option<usize>,
    window: Option<Window>,
    /// Results come by event time: of windows, or of a join.
    by_event_time: bool,
    allowed_lateness_ms: i64,
    /// By input.
    clocks: Vec<Clock>,
    /// The watermark up to which windows have given their results.
    sealed_ms: Option<i64>,
}

/// How far event time has come in an input.
#[derive(Clone, Copy, Debug)]
struct Clock {
    disorder_ms: i64,
    greatest_ms: Option<i64>,
    is_over: bool,
}

impl Clock {
    fn mark(self) -> Option<i64> {
        if self.is_over {
            return Some(i64::MAX);
        }
        let greatest = self.greatest_ms?;
        Some(greatest.saturating_sub(self.disorder_ms))
    }
}

impl Keyed {
    /// Compiles both stages of a plan's query: the one that gives rows, and the one that keeps state.
    pub(super) fn new(
        plan: &PipelinePlan,
        (from, at): (usize, usize),
        formats: &dyn Formats,
    ) -> Result<(StatelessOperator, Keyed), CompileError> {
        let (stateless, rows, waits) = compile_rows(plan, from, formats)?;
        let mut states = plan.stages.iter().filter_map(|stage| stage.state.as_ref());
        // One shard, without a topic before it. No key outlives its time: the clock on the wall has no part in a run.
        let alone = StatePlan {
            changelog: InternalTopic::default(),
            allowed_lateness_ms: states.next().map_or(0, |state| state.allowed_lateness_ms),
            ttl_ms: None,
            memory_bytes: u64::MAX,
        };
        let compiled = compile_keyed(plan, at, &alone, None, formats)?;
        let pool = Pool::open(alone.memory_bytes, None).map_err(|error| CompileError::State {
            said: error.to_string(),
        })?;
        let clock = |stream| Clock {
            disorder_ms: times(stream).disorder_ms,
            greatest_ms: None,
            is_over: false,
        };
        let half = Keyed {
            allowed_lateness_ms: compiled.spec.allowed_lateness_ms,
            shard: StatePartition::new(compiled.spec, pool),
            results: compiled.results,
            time: rows.time,
            window: waits.window,
            by_event_time: waits.by_event_time,
            clocks: plan.inputs.iter().map(clock).collect(),
            sealed_ms: None,
        };
        Ok((stateless, half))
    }

    /// True: results come by event time.
    pub(super) fn is_by_event_time(&self) -> bool {
        self.by_event_time
    }

    /// The watermark of an input.
    pub(super) fn mark(&self, input: usize) -> Option<i64> {
        self.clocks.get(input).and_then(|clock| clock.mark())
    }

    /// The least of all inputs; none until all are known.
    fn watermark(&self) -> Option<i64> {
        // None is less than any.
        self.clocks.iter().map(|clock| clock.mark()).min().flatten()
    }

    /// Takes a batch.
    pub(super) fn run(
        &mut self,
        batch: &Batch,
        staged: &mut Staged,
        out: &mut Out<'_>,
    ) -> Result<(), LocalError> {
        staged.refuse_timeless(self.time);
        let pieces = staged.good_rows(batch).map_err(broken)?;
        let mut bad = staged.bad.iter().peekable();
        let mut begin = 0;
        // The rows of a branch of a union are together in a piece, whatever came between them.
        let in_pieces = pieces.len() > 1;
        let mut is_alone = false;
        for end in 0..=batch.len() {
            let time = staged.times.get(end).copied().flatten();
            let is_last = end == batch.len();
            let was_alone = is_alone;
            is_alone = in_pieces && time.is_some_and(|time| self.is_saved_by_order(time));
            let decides = time.is_some_and(|time| self.decides(time));
            if !(is_last || is_alone || was_alone || decides) {
                self.hear(batch, end, time);
                continue;
            }
            let mut late = Vec::new();
            for (rows, from) in &pieces {
                let at = |row: usize| from.partition_point(|from| (*from as usize) < row);
                let (first, last) = (at(begin), at(end));
                let rows = rows.slice(first, last - first);
                let refused = self.shard.add(&rows, 0).map_err(state)?;
                late.extend(refused.iter().map(|row| from[first + *row as usize]));
            }
            late.sort_unstable();
            // A record may give a row to each side of a join.
            late.dedup();
            for row in late {
                out.bad_before(row as usize, &mut bad, batch)?;
                let why = too_late(self.sealed_ms);
                let dead_letter = Bad::new(row as usize, DeadLetterReason::Late, why);
                out.bad(&dead_letter, batch)?;
            }
            out.bad_before(end, &mut bad, batch)?;
            let watermark = self.watermark();
            if self.by_event_time && (is_last || self.sealed_ms != watermark) {
                self.seal(watermark, out)?;
            }
            begin = end;
            if !is_last {
                self.hear(batch, end, time);
            }
        }
        Ok(())
    }

    /// Moves the clock of a record's input.
    fn hear(&mut self, batch: &Batch, row: usize, time: Option<i64>) {
        let (partition, _) = batch.place(row);
        if let Some(clock) = self.clocks.get_mut(usize::from(partition.topic)) {
            clock.greatest_ms = clock.greatest_ms.max(time);
        }
    }

    /// True if what becomes of a row of this time depends on whether the windows that are over by now have given their
    /// results: it is late for one of them, or would join a session that is over. Or, of a join, on which rows are gone by now.
    fn decides(&self, time: i64) -> bool {
        let Some(watermark) = self.watermark() else {
            return false;
        };
        if self.sealed_ms == Some(watermark) {
            return false;
        }
        let Some(window) = self.window else {
            // What a late row of a join finds depends on what is gone by now.
            return self.by_event_time && time <= watermark;
        };
        let now = self.until(watermark);
        let (width, offset) = match window {
            // Exactly the gap still joins.
            Window::Session { .. } => return time <= now,
            Window::Tumble { size, offset } => (size, offset),
            Window::Hop { slide, offset, .. } => (slide, offset),
            Window::Cumulate { step, offset, .. } => (step, offset),
        };
        let ends = |until: i64| until.saturating_sub(offset).div_euclid(width.max(1));
        time < now
            && self
                .sealed_ms
                .is_none_or(|sealed| ends(self.until(sealed)) < ends(now))
    }

    /// Windows that end up to there are over at a watermark.
    fn until(&self, watermark: i64) -> i64 {
        watermark
            .saturating_sub(self.allowed_lateness_ms)
            .saturating_add(1)
    }

    /// True if a row of this time is late, unless a session that came before it and is still open takes it in: then it must be
    /// added after what came before it and before what comes after it. So must a late row of a join.
    fn is_saved_by_order(&self, time: i64) -> bool {
        let in_session = matches!(self.window, Some(Window::Session { .. }));
        let in_join = self.window.is_none() && self.by_event_time;
        (in_session || in_join)
            && self
                .watermark()
                .is_some_and(|watermark| time <= self.until(watermark))
    }

    /// An input is over.
    pub(super) fn end(&mut self, input: usize, out: &mut Out<'_>) -> Result<(), LocalError> {
        if let Some(clock) = self.clocks.get_mut(input) {
            clock.is_over = true;
        }
        self.seal(self.watermark(), out)
    }

    /// Every input is over.
    pub(super) fn finish(&mut self, out: &mut Out<'_>) -> Result<(), LocalError> {
        self.seal(Some(i64::MAX), out)
    }

    /// Gives what is final by a watermark.
    fn seal(&mut self, watermark: Option<i64>, out: &mut Out<'_>) -> Result<(), LocalError> {
        let mut more = true;
        while more {
            let sealed = self.shard.prepare_commit(watermark, 0).map_err(state)?;
            more = sealed.more;
            self.give(&sealed, out)?;
            self.shard.commit().map_err(state)?;
        }
        self.sealed_ms = self.sealed_ms.max(watermark);
        Ok(())
    }

    fn give(&mut self, sealed: &EpochOutput, out: &mut Out<'_>) -> Result<(), LocalError> {
        let mut ended = Ok(());
        let given = self.results.run(sealed, &mut |given| {
            let answer = match given {
                ResultRecord::Record { value: None, .. } => Ok(()),
                ResultRecord::Record {
                    sink,
                    key,
                    value: Some(value),
                    ..
                } => out
                    .sink
                    .row(Row {
                        output: sink,
                        key,
                        value,
                    })
                    .context(SinkSnafu),
                ResultRecord::Bad {
                    reason,
                    message,
                    text,
                } => out.refuse(BadRecord {
                    input: 0,
                    number: None,
                    reason,
                    message,
                    value: text.as_bytes(),
                }),
            };
            answer.map_err(|error| {
                let message = error.to_string();
                ended = Err(error);
                LogError::Broken { message }
            })
        });
        ended?;
        given.map_err(|error| LocalError::State {
            message: error.to_string(),
        })
    }
}

fn state(error: headworks_state::StateError) -> LocalError {
    broken(error.to_string())
}

fn broken(message: String) -> LocalError {
    LocalError::State { message }
}
