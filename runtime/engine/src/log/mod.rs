//! What the loop asks of a broker: one member of a consumer group and one transactional producer,
//! seen as a single thing, because their fates are one.
//!
//! A [`Log`] reads only committed records. It never moves on its own: it takes an assignment when the
//! loop calls [`GroupConsumer::assign`], gives it up when the loop calls [`GroupConsumer::unassign`], and commits when
//! told. The loop can therefore always finish its transaction before a partition goes to somebody
//! else. `kafka` implements this over librdkafka, `memory` over a deterministic broker in one process.

mod batch;
mod counts;
mod error;
mod rows;

pub use batch::{Batch, Limits, Record, RecordHeaders};
pub use counts::{Counts, Origin};
pub use error::LogError;
pub use headworks_plan::Reason;
pub use rows::{Refusal, TableRows};

use std::time::Duration;

/// A partition of one of the input topics that the log was opened with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition {
    /// Index into the list of input topics.
    pub topic: u16,
    /// Partition number.
    pub number: i32,
}

/// How far a partition has been read, as the group's commit keeps it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// The next offset to be read.
    pub offset: i64,
    /// When the pipeline first started, in milliseconds since 1970 UTC, if it began at `Latest`. It
    /// travels in the commit's metadata, so that a partition added later (or owned by a member that
    /// came second) begins at the same moment and not at its own end.
    pub first_start_ms: Option<i64>,
    /// How far event time has come in the partition; kept only by the first part of a pipeline with state.
    pub clock: PartitionEventTime,
    /// What was done of the partition. Absent: nobody counts, or who has committed the position didn't.
    pub counts: Option<Counts>,
}

/// The event time of a partition, which travels in the commit's metadata: a watermark is part of the
/// transaction, else a restart would let late rows reopen windows that are written already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartitionEventTime {
    /// The greatest event time read, in milliseconds since 1970 UTC.
    pub event_time_ms: Option<i64>,
    /// True: the owner of the partition was at its end for the stream's `idleTimeout`.
    pub idle: bool,
}

/// The offsets that a partition holds now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The oldest retained offset.
    pub earliest: i64,
    /// The offset after the last one that a `read_committed` reader may see.
    pub end: i64,
}

/// What else a poll can bring besides records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The group gave this member these partitions (all of them, the former set is void). Nothing is
    /// read before [`GroupConsumer::assign`].
    Assigned(Vec<Partition>),
    /// The group wants every partition back, and waits for [`GroupConsumer::unassign`].
    Revoked {
        /// True: they are already somebody else's, so what is uncommitted must be aborted.
        lost: bool,
    },
    /// Everything below these offsets has been delivered, though no record is there: transaction
    /// markers, aborted records and compacted ones take offsets too.
    Passed(Vec<(Partition, i64)>),
}

/// A record to be written.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// Topic.
    pub topic: &'a str,
    /// Partition; absent: as the key says.
    pub partition: Option<i32>,
    /// Key; decides the partition (murmur2, as Java's producer does). Absent: any partition.
    pub key: Option<&'a [u8]>,
    /// Value; absent: a tombstone.
    pub value: Option<&'a [u8]>,
    /// Kafka timestamp, milliseconds since 1970 UTC; absent: the time of writing.
    pub timestamp_ms: Option<i64>,
    /// Headers in order.
    pub headers: &'a [(&'static str, Vec<u8>)],
}

/// What an earlier attempt, whose rows were lost, left behind of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Former {
    /// Nothing.
    Nothing,
    /// Its dead letter.
    DeadLetter,
    /// The store had it, and has it no more (it was restored from a backup, or made anew). Where the
    /// record itself is bad, its dead letter was written then.
    Stored,
}

/// What a log is read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// A Pipeline.
    Pipeline,
    /// A Replay.
    Replay,
}

impl Reader {
    /// The kind.
    pub fn kind(self) -> &'static str {
        match self {
            Reader::Pipeline => "Pipeline",
            Reader::Replay => "Replay",
        }
    }
}

/// Takes a record of a changelog: key, and value unless it is a tombstone.
pub type Take<'a> = &'a mut dyn FnMut(&[u8], Option<&[u8]>) -> Result<(), String>;

/// What is read: one member of a consumer group. Every call may block for some seconds, none
/// longer than the group's patience (`max.poll.interval.ms`).
pub trait GroupConsumer {
    /// Waits up to `wait` for something to read, then appends what is at hand to `batch`, at most
    /// `limits`. An event ends the poll; the records before it belong to the old assignment.
    ///
    /// # Errors
    /// See [`LogError`]; records already in `batch` are to be forgotten.
    fn poll(
        &mut self,
        wait: Duration,
        limits: Limits,
        batch: &mut Batch,
    ) -> Result<Option<Event>, LogError>;

    /// The group's stable commits: waits for transactions that hold these partitions to end.
    ///
    /// # Errors
    /// See [`LogError`].
    fn committed(&mut self, partitions: &[Partition]) -> Result<Vec<Option<Position>>, LogError>;

    /// The same for partitions that are not to be read, and may be another member's.
    ///
    /// # Errors
    /// See [`LogError`].
    fn peek(&mut self, partitions: &[Partition]) -> Result<Vec<Option<Position>>, LogError>;

    /// Every partition of the same topic.
    ///
    /// # Errors
    /// See [`LogError`].
    fn siblings(&mut self, of: Partition) -> Result<Vec<Partition>, LogError>;

    /// What the partitions hold now, in the same order.
    ///
    /// # Errors
    /// See [`LogError`].
    fn bounds(&mut self, partitions: &[Partition]) -> Result<Vec<Bounds>, LogError>;

    /// For each partition the first offset whose record has this timestamp or a later one (the end, if
    /// there is none).
    ///
    /// # Errors
    /// See [`LogError`].
    fn offsets_at(&mut self, partitions: &[Partition], time_ms: i64) -> Result<Vec<i64>, LogError>;

    /// Reads from these positions on. Also rewinds: nothing that was fetched before is delivered.
    ///
    /// # Errors
    /// See [`LogError`].
    fn assign(&mut self, positions: &[(Partition, i64)]) -> Result<(), LogError>;

    /// Gives every partition up.
    ///
    /// # Errors
    /// See [`LogError`].
    fn unassign(&mut self) -> Result<(), LogError>;

    /// From now on the next polls bring nothing of these partitions, and bring the others on; an empty list
    /// lets all go on. Nothing is lost or read twice by it. [`GroupConsumer::assign`] lets all go on.
    fn hold_back(&mut self, partitions: &[Partition]);

    /// The end (last stable offset) of a partition as last heard from the broker; costs no request.
    fn end(&self, partition: Partition) -> Option<i64>;

    /// The kind of the object that it is read for, for messages and for the headers of dead letters.
    fn reader(&self) -> Reader {
        Reader::Pipeline
    }

    /// How long a position that moved past no record may wait for its commit; none: as long as the loop likes.
    fn passed_wait(&self) -> Option<Duration> {
        None
    }

    /// Why nothing can be read just now though nothing failed: no broker can be reached, or the group doesn't let this member in.
    /// A whole message, with what is to be done. The log goes on trying.
    fn trouble(&self) -> Option<String>;

    /// Time since an arbitrary beginning; never goes back.
    fn now(&self) -> Duration;

    /// Milliseconds since 1970 UTC.
    fn wall_ms(&self) -> i64;
}

/// What is written: one transactional producer, whose transactions hold the positions of what is read.
pub trait Transactions {
    /// Opens a transaction.
    ///
    /// # Errors
    /// See [`LogError`].
    fn begin(&mut self) -> Result<(), LogError>;

    /// Writes a record in the open transaction. It is copied; a full queue makes the call wait.
    ///
    /// # Errors
    /// See [`LogError`].
    fn produce(&mut self, record: &Outgoing<'_>) -> Result<(), LogError>;

    /// Commits the open transaction together with the positions of **every** owned partition.
    ///
    /// # Errors
    /// After [`LogError::Retriable`] the outcome is unknown: call it again with the same positions to
    /// learn it. See [`LogError`] for the others.
    fn commit(&mut self, positions: &[(Partition, Position)]) -> Result<(), LogError>;

    /// How many records the open transaction was given since it was opened, as the client counts those that it took.
    fn written(&self) -> u64;

    /// Aborts the open transaction. The caller rewinds with [`GroupConsumer::assign`] afterwards.
    ///
    /// # Errors
    /// See [`LogError`].
    fn abort(&mut self) -> Result<(), LogError>;

    /// What the next commit is to keep beside the positions, for [`Transactions::commit_metadata`]. At most 4 KB each.
    fn set_commit_metadata(&mut self, notes: Vec<(Partition, String)>);

    /// The notes of the group's stable commits, as [`GroupConsumer::committed`] gives the positions.
    ///
    /// # Errors
    /// See [`LogError`].
    fn commit_metadata(
        &mut self,
        partitions: &[Partition],
    ) -> Result<Vec<Option<String>>, LogError>;
}

/// The topics that are the pipeline's own: the changelog of its state, and what is read only by it.
pub trait Changelog {
    /// Reads a changelog partition from its beginning to the end that it has now, committed records only:
    /// every transaction that was open when this was called has ended before the answer. `take` gets key
    /// and value; an absent value is a tombstone. Gives the number of records.
    ///
    /// # Errors
    /// See [`LogError`]; what was taken is to be forgotten. [`LogError::Abortable`]: the group wants the
    /// partitions back, as the next poll will say.
    fn restore(&mut self, topic: &str, partition: i32, take: Take<'_>) -> Result<u64, LogError>;

    /// Lets the broker delete what is below these offsets of the topics that are read, when it finds time.
    /// Only for topics of the pipeline's own. A failure is of no consequence and isn't told.
    fn trim(&mut self, offsets: &[(Partition, i64)]);
}

/// A table whose rows are in the transaction.
pub trait Table {
    /// Writes rows, in the order of their records, to the table in the open transaction. Records whose
    /// rows the store refuses for what they hold stay out whole, and are named in order;
    /// `first_only`: nothing after the first of them is written.
    ///
    /// # Errors
    /// See [`LogError`].
    fn insert(&mut self, rows: &TableRows, first_only: bool) -> Result<Vec<Refusal>, LogError>;

    /// What an earlier attempt left behind of a record that is read again.
    fn former(&self, partition: Partition, offset: i64) -> Former;

    /// Says that the record is a dead letter, by this transaction or an earlier one.
    fn mark_dead_lettered(&mut self, partition: Partition, offset: i64);

    /// Compares what the table holds with what all members of the group have counted to have written, both as of one instant. Not
    /// to be called while a transaction is open. None: there is no table, or what it holds can't be told, or not now.
    fn holds(&mut self) -> Option<Holds> {
        None
    }
}

/// What a table holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holds {
    /// Rows that are there.
    pub rows: u64,
    /// Rows that should be: those that were there when counting began, and those that were written since.
    pub expected: u64,
}

/// All of it, because the fates of what is read and written are one. What a log doesn't have it says itself.
pub trait Log: GroupConsumer + Transactions + Changelog + Table {}

impl<L: GroupConsumer + Transactions + Changelog + Table> Log for L {}

/// What a log without a table says when it is given rows, and one without a changelog when it is asked for it: a bug.
pub(crate) fn has_no(what: &str) -> LogError {
    LogError::Broken {
        message: format!("this log has no {what}"),
    }
}
