//! What GROUP BY, ROW_NUMBER, OVER and joins need state for.
//!
//! Such a query is cut in two stages. The [branches](crate::Branch) of the first give **rows**: the key's columns
//! first, then the event time, then what the operator reads ([`KeyedRows`]). The engine brings rows with equal keys
//! together; the second keeps state for them. What its [`Operator`] gives are **results**, and [`Keyed::finish`] makes
//! the query's output of those (HAVING and the SELECT list).

pub mod over;

use crate::branch::Branch;
use crate::join::{IntervalJoin, TemporalJoin, WindowJoin};
use crate::schema::Schema;
use crate::types::DataType;
use over::Over;

/// Rows that are brought together by key.
#[derive(Debug)]
pub struct KeyedRows {
    /// `keys` columns of the key, then (with a window, or where the operator orders by it) the event time, then the
    /// operator's arguments. Every branch of the stage that gives them has these columns.
    pub schema: Schema,
    /// How many columns the key has. None: all rows have the same key.
    pub keys: usize,
    /// The column that is the event time, a `timestamp_ltz(3)`. A row whose event time is null is bad.
    pub time: Option<usize>,
}

/// What a stage does with its rows by state.
#[derive(Debug)]
pub struct Keyed {
    /// The windows that rows fall into; absent: state is kept for each key for ever (or for its TTL), and
    /// every change of a result is an upsert, but for a join and OVER, whose results come by event time and are final.
    pub window: Option<Window>,
    /// What is computed for each key (and window).
    pub operator: Operator,
    /// What the operator gives: the key's columns; with a window `window_start` and `window_end`
    /// (`timestamp(3)`) and `window_time` (`timestamp_ltz(3)`, the end less 1 ms); then for
    /// [`Operator::Aggregate`] a column for each aggregate, for [`Operator::Rank`] the rows' columns after
    /// the key, in order, and `row_number` (`bigint`). Of [`Operator::IntervalJoin`] and [`Operator::TemporalJoin`] the columns of the left row and
    /// then those of the right one, and nothing else. Of [`Operator::Over`] the rows' columns, in order, and then one for each
    /// function.
    pub results: Schema,
    /// From results to output: takes batches of its `columns` of `results`.
    pub finish: Branch,
    /// Output columns that hold the key, in the key's order, where the output is an upsert; empty with a
    /// window, whose results are final.
    pub unique: Vec<usize>,
    /// Equal for queries whose state is the same: key, window, operator, types of rows and the inputs they
    /// come from; hexadecimal SHA-256. A query with another HAVING or SELECT list may go on with the state.
    pub fingerprint: String,
}

impl Keyed {
    /// True: results come, and state ends, by event time.
    pub fn by_event_time(&self) -> bool {
        self.window.is_some() || self.operator.is_join() || self.operator.is_over()
    }

    /// True: a row that comes too late is refused. An interval join makes the pairs that it still can.
    pub fn refuses_late(&self) -> bool {
        self.by_event_time() && !matches!(self.operator, Operator::IntervalJoin(_))
    }
}

/// How event time is cut into windows; all in milliseconds, aligned to 1970-01-01T00:00:00Z plus `offset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// Every `size`, without overlap.
    Tumble {
        /// Length.
        size: i64,
        /// Shift, below `size`.
        offset: i64,
    },
    /// `size` long, one every `slide`, which divides `size`.
    Hop {
        /// Length.
        size: i64,
        /// Distance of two.
        slide: i64,
        /// Shift, below `slide`.
        offset: i64,
    },
    /// Begins every `max`, and ends `step` after its beginning, 2 × `step` after it, … `max` after it.
    Cumulate {
        /// Longest length.
        max: i64,
        /// How much longer each is than the one before; divides `max`.
        step: i64,
        /// Shift, below `max`.
        offset: i64,
    },
    /// Ends when no row of the key came for `gap`.
    Session {
        /// Length of silence.
        gap: i64,
    },
}

/// What is computed for each key.
#[derive(Clone, Debug, PartialEq)]
pub enum Operator {
    /// These aggregates; none for `SELECT DISTINCT`-like queries that only want the key.
    Aggregate(Vec<Aggregate>),
    /// The first rows of each key by an order.
    Rank(Rank),
    /// Pairs of rows of two inputs. The rows of both come through one exchange, and one of their columns says of which
    /// input a row is.
    IntervalJoin(Box<IntervalJoin>),
    /// Pairs of rows of two inputs that are in one window. They come as those of the other join.
    WindowJoin(Box<WindowJoin>),
    /// Rows of one input with what the other one, whose rows replace each other, held at their time. They come as those of the other join.
    TemporalJoin(Box<TemporalJoin>),
    /// Each row, with what is computed of the rows of its key up to it.
    Over(Box<Over>),
}

impl Operator {
    /// True: it pairs the rows of two inputs.
    pub fn is_join(&self) -> bool {
        self.left().is_some()
    }

    /// Of a join: the columns of the rows that results begin with, which are those of the left input.
    pub fn left(&self) -> Option<&[usize]> {
        match self {
            Operator::IntervalJoin(join) => Some(&join.left),
            Operator::WindowJoin(of) => Some(&of.join.left),
            Operator::TemporalJoin(join) => Some(&join.left),
            Operator::Aggregate(_) | Operator::Rank(_) | Operator::Over(_) => None,
        }
    }

    /// True: it gives each row once, with what is computed of those before it.
    pub fn is_over(&self) -> bool {
        matches!(self, Operator::Over(_))
    }
}

/// One aggregate.
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregate {
    /// The function.
    pub function: Function,
    /// The column of the rows that it reads; absent only for COUNT(*).
    pub argument: Option<usize>,
    /// A boolean column of the rows: only rows where it is true count (FILTER).
    pub filter: Option<usize>,
    /// True: equal values count once.
    pub distinct: bool,
    /// Type of the result, by Flink's rules: AVG(INT) is INT, SUM(INT) is INT and wraps.
    pub data_type: DataType,
}

/// An aggregate function. Null arguments don't count, except as FIRST_VALUE and LAST_VALUE say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Function {
    /// Number of rows, or of values that aren't null.
    Count,
    /// Sum; null without a value.
    Sum,
    /// Least; null without a value.
    Min,
    /// Greatest; null without a value.
    Max,
    /// Mean; null without a value.
    Avg,
    /// Standard deviation of a population.
    StddevPop,
    /// Standard deviation of a sample; null below two values.
    StddevSamp,
    /// Variance of a population.
    VarPop,
    /// Variance of a sample; null below two values.
    VarSamp,
    /// The value that isn't null and came first.
    FirstValue,
    /// The value that isn't null and came last.
    LastValue,
    /// Texts, in the order they came, with this between them.
    ListAgg(String),
    /// All values in the order they came, null ones too, if asked for; null without a value.
    ArrayAgg {
        /// True: a null is a value.
        nulls: bool,
    },
}

/// The first rows of each key. Rows that are equal by the order are in the order they came, but where the
/// [last row by event time](Rank::keeps_last) is kept: of equal ones that is the one that came last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rank {
    /// Columns of the rows, most significant first.
    pub order: Vec<Order>,
    /// How many rows are kept; 1 is deduplication.
    pub limit: u32,
}

impl Rank {
    /// True if the one row that is kept is the last by event time, which is this column of the rows.
    pub fn keeps_last(&self, time: Option<usize>) -> bool {
        matches!(self.order[..], [order] if self.limit == 1 && order.descending && Some(order.column) == time)
    }
}

/// A column that rows are ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// Column of the rows.
    pub column: usize,
    /// True: the greatest first.
    pub descending: bool,
    /// True: null comes before everything else. Flink: first where ascending, last where descending.
    pub nulls_first: bool,
}

/// What readers of a query's output must know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changes {
    /// Every row is final.
    Append,
    /// A row replaces the one with the same values in these output columns, and may be deleted.
    Upsert {
        /// Indexes of output columns.
        key: Vec<usize>,
    },
}
