//! What the engine asks of a store: rows and the place they were read up to, in one transaction.
//!
//! A table's stage is the same loop as a stream's, over another log: [`StoreLog`] reads from Kafka and
//! commits to the store. The store's own transaction holds the rows and moves each partition's offset
//! **from the value it was read at** (rule 20 of the engine). Whoever takes a partition also **claims**
//! its offset: a later claim, or an offset that isn't the expected one, refuses the commit. So a process
//! that was replaced without knowing it can't write anything, and neither can a commit of its that is
//! still on its way when its successor has read the offset. A claim counts once Kafka has confirmed,
//! by a commit of the group, that whoever made it owns the partition.
//!
//! Dead letters can't be part of that transaction. They are committed in Kafka first, together with a
//! [note](commit_metadata) of which records they were, and an attempt that comes after a lost store transaction
//! goes by that note: what is a dead letter already becomes neither a dead letter nor a row again.
//!
//! A store without transactions is a [`Writer`]: its rows are flushed before their place is committed in Kafka, so that after a
//! failure some are written again ([`WriterLog`]). Which of the two a store is, and what it guarantees, its [`TableSink`] says.
//!
//! Rows come as [`TableRows`]: columns of one batch, which a [`TableSchema`] gives a meaning. A store that keeps columns takes them as
//! they are; one that is told rows makes rows of them itself. Which rows those are that it refuses, it may say or leave to a search.
//!
//! The engine knows no store; `connectors` implements [`Store`] for PostgreSQL, [`crate::memory`] for
//! the simulation.

pub(crate) mod commit_metadata;
mod log;
mod refusals;
mod schema;
mod writer_log;

pub use crate::log::TableRows;
pub use log::StoreLog;
pub use schema::TableSchema;
pub use writer_log::WriterLog;

pub use headworks_plan::Guarantee;
use headworks_plan::TableOutput;

use crate::log::{Holds, Position, Reason};

/// Why a store didn't do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// The rows of one [`Store::write`] are refused for what they hold. None of them was written, and
    /// the transaction goes on.
    Refused {
        /// What the store said. It needn't say which of them it means: that is found out by halves.
        message: String,
    },
    /// The same, of rows that it knows by number: whatever comes of the others, these can't be written. The others come again
    /// without them.
    Unfit {
        /// Those rows; at least one.
        rows: Vec<UnfitRow>,
    },
    /// An offset isn't what it was expected to be: somebody else has moved it. Nothing was committed.
    Conflict {
        /// Whose offset.
        message: String,
    },
    /// The answer to a commit was lost: it may have taken effect, or may still.
    Unknown {
        /// What went wrong.
        message: String,
    },
    /// The work can't go on until the store, or somebody, does something. The transaction is over.
    Held {
        /// Which kind of problem.
        reason: Reason,
        /// What, where, and what to do.
        message: String,
    },
    /// This session is of no more use.
    Broken {
        /// What went wrong.
        message: String,
    },
}

/// A row that a store can't be given for what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnfitRow {
    /// Its number among those of the call.
    pub row: usize,
    /// What is wrong with it; never the whole value.
    pub message: String,
}

/// How far a partition moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move<'a> {
    /// Topic.
    pub topic: &'a str,
    /// Partition number.
    pub partition: i32,
    /// The offset that the store holds now; absent: none.
    pub expected: Option<i64>,
    /// What it is to hold.
    pub position: Position,
}

/// Opens sessions.
pub type Open<'a, S> = Box<dyn Fn() -> Box<S> + 'a>;

/// What a table's rows go into, by what it guarantees. A session isn't connected yet.
pub enum TableSink<'a> {
    /// See [`Guarantee::Transactional`].
    Transactional(Open<'a, dyn Store>),
    /// See [`Guarantee::IdempotentUpsert`].
    IdempotentUpsert(Open<'a, dyn Writer>),
    /// See [`Guarantee::AtLeastOnce`].
    AtLeastOnce(Open<'a, dyn Writer>),
}

impl TableSink<'_> {
    /// What it guarantees.
    pub fn guarantee(&self) -> Guarantee {
        match self {
            TableSink::Transactional(_) => Guarantee::Transactional,
            TableSink::IdempotentUpsert(_) => Guarantee::IdempotentUpsert,
            TableSink::AtLeastOnce(_) => Guarantee::AtLeastOnce,
        }
    }
}

/// One session with a store that keeps no place for us: the place is committed in Kafka once the rows are flushed. Every
/// call blocks, none longer than about 15 s, and each connects anew where it must.
pub trait Writer {
    /// Writes rows in order, all or none; they needn't be there before [`Writer::flush`].
    ///
    /// # Errors
    /// See [`StoreError`].
    fn write(&mut self, rows: &TableRows) -> Result<(), StoreError>;

    /// Returns once all that was written is there to stay.
    ///
    /// # Errors
    /// See [`StoreError`].
    fn flush(&mut self) -> Result<(), StoreError>;

    /// Forgets what isn't flushed, as far as that can be done: it is written again.
    fn discard(&mut self);
}

/// One session with a store that has transactions, for one table. Every call blocks, none longer than about 15 s, and each
/// connects anew where it must (but never in the middle of a transaction).
pub trait Store {
    /// Claims these partitions (topic and number) for this session, and says how far each was read, by
    /// the rows that the store holds. From now on no commit of an earlier claim takes effect. Checks
    /// first that the table is there and takes the query's columns.
    ///
    /// # Errors
    /// See [`StoreError`].
    fn claim(&mut self, partitions: &[(String, i32)]) -> Result<Vec<Option<Position>>, StoreError>;

    /// How far each partition was read, without a claim.
    ///
    /// # Errors
    /// See [`StoreError`].
    fn offsets(
        &mut self,
        partitions: &[(String, i32)],
    ) -> Result<Vec<Option<Position>>, StoreError>;

    /// Opens a transaction.
    ///
    /// # Errors
    /// See [`StoreError`].
    fn begin(&mut self) -> Result<(), StoreError>;

    /// Writes rows in order in the open transaction: all or none. They are no more than a batch holds (2,000 records, 8 MiB as they
    /// were read), and may be a part of one.
    ///
    /// # Errors
    /// See [`StoreError`].
    fn write(&mut self, rows: &TableRows) -> Result<(), StoreError>;

    /// Commits the open transaction together with these moves, of partitions that this session claimed
    /// or that have no offset yet: all or nothing.
    ///
    /// # Errors
    /// See [`StoreError`].
    fn commit(&mut self, moves: &[Move<'_>]) -> Result<(), StoreError>;

    /// Takes the open transaction back, if there is one.
    fn rollback(&mut self);

    /// See [`Table::holds`](crate::log::Table::holds). None, too, where it would take longer than about a second.
    fn holds(&mut self) -> Option<Holds> {
        None
    }
}

/// Makes stores: the seam through which the binary hands them to the engine.
pub trait Stores: Send + Sync {
    /// What rows of `columns` go into.
    fn sink<'a>(&'a self, table: &'a TableOutput, columns: &'a TableSchema) -> TableSink<'a>;
}
