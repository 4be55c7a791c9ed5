//! Keyed state over event time: the second half of a query with GROUP BY, ROW_NUMBER, OVER or a join.
//!
//! A [`StatePartition`] is the state of one partition of the repartition topic. It lives in **epochs**, one for each
//! transaction: [`StatePartition::add`] takes rows into an overlay, [`StatePartition::prepare_commit`] says what the epoch gives (results
//! that became final by the watermark, and what the changelog must hold of it), and then either
//! [`StatePartition::commit`] makes the overlay part of the state or [`StatePartition::abort`] forgets it. The committed state
//! is never touched before the transaction has succeeded. [`StatePartition::restore`] builds it again from the
//! changelog, in any process and to the same answers.
//!
//! Pure but for the spill to disk: no Kafka, no clock (times are arguments), no threads.

mod accumulate;
mod bucket;
mod changelog_segments;
mod codec;
mod epoch;
mod error;
mod interval_join;
mod joined;
mod keyed_upsert;
mod keys;
mod mutant;
mod order;
mod over;
mod pool;
mod record;
mod session_intervals;
mod sessions;
mod sketch;
mod slices;
mod spec;
mod spill;
mod state;
mod table;
mod temporal_join;
mod tiered_groups;
mod timed_rows;
mod windows;

pub use epoch::{Change, EpochOutput, Figures};
pub use error::StateError;
#[doc(hidden)]
pub use mutant::Mutant;
pub use pool::Pool;
pub use spec::Spec;

use std::sync::Arc;

use arrow::array::RecordBatch;
use headworks_sql::keyed::{Operator, Window};

use crate::error::columns;
use crate::interval_join::IntervalJoins;
use crate::keyed_upsert::KeyedUpsert;
use crate::over::OverRows;
use crate::sessions::Sessions;
use crate::slices::Slices;
use crate::state::{Common, State};
use crate::table::Layout;
use crate::temporal_join::TemporalJoins;
use crate::windows::Windows;

/// The state of one partition.
#[derive(Debug)]
pub struct StatePartition {
    layout: Arc<Layout>,
    common: Common,
    state: Box<dyn State>,
}

impl StatePartition {
    /// Empty state.
    pub fn new(spec: Arc<Spec>, pool: Pool) -> StatePartition {
        let layout = Arc::new(Layout::new(spec));
        let slices = layout.spec.window.and_then(Slices::new);
        let state: Box<dyn State> = match (slices, layout.spec.window, &layout.spec.operator) {
            (_, _, Operator::IntervalJoin(join)) => {
                Box::new(IntervalJoins::new(layout.clone(), join, None))
            }
            (_, _, Operator::WindowJoin(of)) => {
                Box::new(IntervalJoins::new(layout.clone(), &of.join, Some(of.last)))
            }
            (_, _, Operator::TemporalJoin(join)) => {
                Box::new(TemporalJoins::new(layout.clone(), join))
            }
            (_, _, Operator::Over(over)) => Box::new(OverRows::new(layout.clone(), over)),
            (Some(slices), ..) => Box::new(Windows::new(layout.clone(), slices, &pool)),
            (None, Some(Window::Session { gap }), _) => {
                Box::new(Sessions::new(layout.clone(), gap, pool.segments()))
            }
            (None, ..) => Box::new(KeyedUpsert::new(layout.clone())),
        };
        StatePartition {
            layout,
            common: Common::new(pool),
            state,
        }
    }

    /// Takes rows (the columns of [`headworks_sql::keyed::Keyed::rows`]) into the epoch's overlay. Gives, ascending,
    /// the rows that are too late for every window they would fall into, by the watermark of the last commit;
    /// nothing was done with them; of an interval join none, of OVER and of a temporal join's left rows those that are behind rows that were given. So are rows whose event time is beyond all reason (more than 36 million years
    /// away), with windows. `now_ms`: wall time, for the TTL.
    ///
    /// # Errors
    /// See [`StateError`].
    pub fn add(&mut self, rows: &RecordBatch, now_ms: i64) -> Result<Vec<u32>, StateError> {
        if rows.num_columns() != self.layout.spec.rows.fields().len() {
            return Err(columns("the rows have other columns"));
        }
        if rows.num_rows() == 0 {
            return Ok(Vec::new());
        }
        self.state.add(rows, now_ms, &mut self.common)
    }

    /// Ends the epoch: what it gives if the watermark is now `watermark_ms` (every later row will have at least
    /// this event time or be late; `None`: not known yet; `i64::MAX`: the end of the input). A watermark below
    /// an earlier one counts as that one. May be called again after another [`StatePartition::add`] of the same epoch.
    ///
    /// # Errors
    /// See [`StateError`].
    pub fn prepare_commit(
        &mut self,
        watermark_ms: Option<i64>,
        now_ms: i64,
    ) -> Result<EpochOutput, StateError> {
        self.state
            .prepare_commit(watermark_ms, now_ms, &self.common)
    }

    /// The transaction that holds what [`StatePartition::prepare_commit`] gave last has succeeded.
    ///
    /// # Errors
    /// See [`StateError`]; the state partition must be restored.
    pub fn commit(&mut self) -> Result<(), StateError> {
        self.state.commit(&mut self.common)?;
        self.common.committed = self.common.next;
        Ok(())
    }

    /// The transaction is void: the epoch is forgotten.
    pub fn abort(&mut self) {
        self.state.abort();
        self.common.next = self.common.committed;
    }

    /// Takes a record of the changelog, in the changelog's order. Afterwards [`StatePartition::restored`] once.
    ///
    /// # Errors
    /// [`StateError::Unreadable`].
    pub fn restore(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), StateError> {
        if let Some(next) = self.state.restore(key, value, &mut self.common)? {
            self.common.next = self.common.next.max(next);
        }
        Ok(())
    }

    /// The changelog was read to its end; the watermark of the last commit was `watermark_ms`.
    ///
    /// # Errors
    /// See [`StateError`].
    pub fn restored(&mut self, watermark_ms: Option<i64>) -> Result<(), StateError> {
        self.common.committed = self.common.next;
        self.state.restored(watermark_ms, &mut self.common)
    }

    /// For tests: what a join or OVER does wrong from now on.
    #[doc(hidden)]
    pub fn break_rule(&mut self, mutant: Mutant) {
        self.state.break_rule(mutant);
    }

    /// What it holds now.
    pub fn figures(&self) -> Figures {
        self.state.figures()
    }

    /// The key (its columns, one row) that most rows had since this was last asked, and which share of them in
    /// per cent; an estimate that finds any key above a third.
    pub fn skewed_key(&mut self) -> Option<(RecordBatch, u8)> {
        let (key, share) = self.common.sketch.heaviest()?;
        let key = self.layout.keys(std::iter::once(&key[..])).ok()?;
        Some((key, share))
    }
}
