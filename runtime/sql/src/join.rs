//! What joins keep and give.
//!
//! The semantics of an interval join are those of Flink 2.3 (`TimeIntervalJoin`): a left row and a right row make a pair if their keys are
//! equal, none of them null, if the left row's event time less the right one's is within the bounds, and if the
//! condition holds. A row is kept as long as a row of the other side that isn't late may still make a pair with it. With
//! an outer side its rows without a pair are given with nulls for the other side, once no pair can come any more.

use std::fmt;
use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch};

use crate::branch::Condition;
use crate::eval::EvaluationError;

/// Rows of two inputs with equal keys, near each other in event time.
#[derive(Clone, Debug, PartialEq)]
pub struct IntervalJoin {
    /// Which sides' rows without a pair are given, too.
    pub kind: JoinKind,
    /// The least that the left row's event time less the right one's may be, in milliseconds.
    pub lower: i64,
    /// The most; not below `lower`.
    pub upper: i64,
    /// The boolean column of the rows that is true for a row of the right input.
    pub side: usize,
    /// The columns of a left row that results begin with, by their places among the rows' columns.
    pub left: Vec<usize>,
    /// The columns of a right row that results end with.
    pub right: Vec<usize>,
    /// What else must be true of a pair; absent: nothing. Of an inner join it is a part of what comes after.
    pub condition: Option<JoinCondition>,
}

/// Rows of two inputs with equal keys in the same window: an interval join of rows whose event time is their window's last moment, with no
/// time between them.
///
/// As in Flink 2.3's `WindowJoinOperator` a row is late if its window is over. It is refused then, as rows of windows are.
#[derive(Clone, Debug, PartialEq)]
pub struct WindowJoin {
    /// What is joined.
    pub join: IntervalJoin,
    /// The boolean column of the rows that is true of a row of the window that ends last, of those that a record falls into: if that one
    /// is late the record is.
    pub last: usize,
}

/// Rows of the left input, each with the row of the right one that was valid at its event time.
///
/// The semantics are those of Flink 2.3 (`TemporalRowTimeJoinOperator`): the right input is a stream whose records replace each other
/// by key; each is valid from its event time until that of the next, and a deletion ends what was valid. A left row is given once event
/// time has passed it, with the version of its key that is valid then, if there is one and the condition holds.
#[derive(Clone, Debug, PartialEq)]
pub struct TemporalJoin {
    /// True: a left row without a version is given, too, with nulls.
    pub outer: bool,
    /// The boolean column of the rows that is true for a row of the right input.
    pub side: usize,
    /// The boolean column of the rows that is true where the right input deletes the key.
    pub deleted: usize,
    /// The columns of a left row that results begin with, by their places among the rows' columns.
    pub left: Vec<usize>,
    /// The columns of a right row that results end with.
    pub right: Vec<usize>,
    /// What else must be true of the two, for the left row to have a version; absent: nothing. Of an inner join it is a part of what comes
    /// after.
    pub condition: Option<JoinCondition>,
}

/// Which pairs are given, and which sides' rows without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinKind {
    /// Neither's.
    Inner,
    /// The left one's.
    Left,
    /// The right one's.
    Right,
    /// Both.
    Full,
    /// No pairs are given: a left row that has one is, once.
    Semi,
    /// No pairs are given: a left row that has none is.
    Anti,
}

impl JoinKind {
    /// The kind by which sides' rows without a pair are given: the left one's, and the right one's.
    pub fn of(keeps: (bool, bool)) -> JoinKind {
        match keeps {
            (false, false) => JoinKind::Inner,
            (true, false) => JoinKind::Left,
            (false, true) => JoinKind::Right,
            (true, true) => JoinKind::Full,
        }
    }

    /// True: a left row without a pair is given.
    pub fn keeps_left(self) -> bool {
        matches!(self, JoinKind::Left | JoinKind::Full | JoinKind::Anti)
    }

    /// True: of a result only the left row is there, and only its columns may be asked for.
    pub fn is_of_left(self) -> bool {
        matches!(self, JoinKind::Semi | JoinKind::Anti)
    }

    /// True: a right row without a pair is given.
    pub fn keeps_right(self) -> bool {
        matches!(self, JoinKind::Right | JoinKind::Full)
    }
}

/// A condition over the columns of the results. Two are equal if their texts are.
#[derive(Clone)]
pub struct JoinCondition {
    /// It, in terms of the inputs' columns.
    text: Arc<str>,
    condition: Arc<Condition>,
}

impl JoinCondition {
    pub(crate) fn new(text: Arc<str>, condition: Condition) -> JoinCondition {
        JoinCondition {
            text,
            condition: Arc::new(condition),
        }
    }

    /// True, false or unknown for each row of a batch of results.
    ///
    /// # Errors
    /// It can't be evaluated: a bug, as the planner takes no condition here that may fail.
    pub fn evaluate(&self, results: &RecordBatch) -> Result<BooleanArray, EvaluationError> {
        self.condition.evaluate(results)
    }
}

impl fmt::Debug for JoinCondition {
    // A part of the state's fingerprint: nothing of the compiled form, which may change.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JoinCondition").field(&self.text).finish()
    }
}

impl PartialEq for JoinCondition {
    fn eq(&self, other: &JoinCondition) -> bool {
        self.text == other.text
    }
}
