//! What the kinds of state have in common.

use std::fmt::Debug;

use arrow::array::RecordBatch;

use crate::epoch::{EpochOutput, Figures};
use crate::error::StateError;
use crate::mutant::Mutant;
use crate::pool::Pool;
use crate::sketch::Sketch;

/// A kind of state; see [`crate::StatePartition`] for what the functions do.
pub(crate) trait State: Debug + Send {
    fn add(
        &mut self,
        rows: &RecordBatch,
        now_ms: i64,
        common: &mut Common,
    ) -> Result<Vec<u32>, StateError>;
    fn prepare_commit(
        &mut self,
        watermark_ms: Option<i64>,
        now_ms: i64,
        common: &Common,
    ) -> Result<EpochOutput, StateError>;
    fn commit(&mut self, common: &mut Common) -> Result<(), StateError>;
    fn abort(&mut self);
    /// Gives the next arrival number, if the record knows one.
    fn restore(
        &mut self,
        key: &[u8],
        value: Option<&[u8]>,
        common: &mut Common,
    ) -> Result<Option<i64>, StateError>;
    fn restored(
        &mut self,
        watermark_ms: Option<i64>,
        common: &mut Common,
    ) -> Result<(), StateError>;
    fn figures(&self) -> Figures;
    /// For tests: what a join or OVER does wrong from now on.
    fn break_rule(&mut self, _mutant: Mutant) {}
}

/// What every kind of state needs.
#[derive(Debug)]
pub(crate) struct Common {
    pub pool: Pool,
    pub sketch: Sketch,
    /// The arrival number of the next row.
    pub next: i64,
    /// The same, at the last commit.
    pub committed: i64,
    /// What of the pool's memory this state partition has.
    memory: u64,
}

impl Common {
    pub(crate) fn new(pool: Pool) -> Common {
        Common {
            pool,
            sketch: Sketch::default(),
            next: 0,
            committed: 0,
            memory: 0,
        }
    }

    /// The number of the first of so many rows.
    pub(crate) fn arrivals(&mut self, rows: usize) -> i64 {
        let first = self.next;
        self.next += rows as i64;
        first
    }

    /// The state partition has so much memory now.
    pub(crate) fn account(&mut self, memory: u64) {
        self.pool.account(memory as i64 - self.memory as i64);
        self.memory = memory;
    }

    /// The same, of state that doesn't go to the disk.
    ///
    /// # Errors
    /// All state partitions together have more than they may.
    pub(crate) fn bounded(&mut self, memory: u64) -> Result<(), StateError> {
        self.account(memory);
        if self.pool.is_exceeded() {
            return Err(StateError::Full {
                memory_bytes: self.pool.memory_bytes(),
            });
        }
        Ok(())
    }

    /// The state partition has so much memory more.
    pub(crate) fn account_more(&mut self, memory: u64) {
        self.account(self.memory + memory);
    }
}

impl Drop for Common {
    fn drop(&mut self) {
        self.account(0);
    }
}
