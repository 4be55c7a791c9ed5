//! The query as written: only what the dialect has, so nothing can be parsed and then forgotten.

mod from;

use crate::error::Place;

pub(crate) use from::{From, FromSource, Join, Length, SubQuery, Unnest, Wants, WindowTable};

/// A query: named sub-queries and branches that `UNION ALL` puts together.
#[derive(Clone, Debug)]
pub(crate) struct Query {
    pub with: Vec<Named>,
    pub branches: Vec<Body>,
}

/// `name [(columns)] AS (query)`.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    pub name: Name,
    pub columns: Vec<Name>,
    pub query: Query,
}

/// One side of a `UNION ALL`.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    Select(Box<Select>),
    Query(Box<Query>),
}

/// `SELECT [DISTINCT] items FROM from [WHERE filter] [GROUP BY group] [HAVING having]`.
#[derive(Clone, Debug)]
pub(crate) struct Select {
    pub place: Place,
    /// Where DISTINCT stands.
    pub distinct: Option<Place>,
    pub items: Vec<Item>,
    pub from: From,
    pub filter: Option<Expr>,
    pub group: Option<Group>,
    pub having: Option<Expr>,
    /// `WINDOW name AS (…)`.
    pub windows: Vec<(Name, OverWindow)>,
}

/// `GROUP BY keys`.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub place: Place,
    pub keys: Vec<Expr>,
    /// Of GROUPING SETS, ROLLUP and CUBE: the groupings, each by the places of its keys.
    pub sets: Option<Vec<Vec<usize>>>,
}

/// An entry of the SELECT list.
#[derive(Clone, Debug)]
pub(crate) enum Item {
    /// `*` or `t.*`.
    All { place: Place, of: Option<Name> },
    /// `expression [AS alias]`.
    Expr { expr: Expr, alias: Option<Name> },
}

/// An aggregate function's call.
#[derive(Clone, Debug)]
pub(crate) struct AggregateCall {
    /// Upper case.
    pub function: String,
    pub distinct: bool,
    /// `COUNT(*)`.
    pub star: bool,
    pub args: Vec<Expr>,
    /// ARRAY_AGG's `IGNORE NULLS`.
    pub ignores_nulls: bool,
    /// `FILTER (WHERE …)`.
    pub filter: Option<Expr>,
}

/// `ROW_NUMBER() OVER (PARTITION BY partition ORDER BY order)`.
#[derive(Clone, Debug)]
pub(crate) struct RowNumber {
    pub partition: Vec<Expr>,
    pub order: Vec<Ordering>,
}

/// `function OVER window`.
#[derive(Clone, Debug)]
pub(crate) struct OverCall {
    pub function: OverFunction,
    pub window: OverWindowRef,
}

/// What is computed over the window.
#[derive(Clone, Debug)]
pub(crate) enum OverFunction {
    Aggregate(AggregateCall),
    /// `LAG(x [, n [, default]])`.
    Lag(Vec<Expr>),
    Rank,
    DenseRank,
}

/// A window in place, or the name of one of WINDOW.
#[derive(Clone, Debug)]
pub(crate) enum OverWindowRef {
    Here(OverWindow),
    Named(Name),
}

/// `([PARTITION BY partition] [ORDER BY order] [frame])`.
#[derive(Clone, Debug)]
pub(crate) struct OverWindow {
    pub place: Place,
    pub partition: Vec<Expr>,
    pub order: Vec<Ordering>,
    pub frame: Option<(Frame, Place)>,
}

/// Where a frame begins; it ends with CURRENT ROW.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// `ROWS`: so many rows before; none: UNBOUNDED.
    Rows(Option<u32>),
    /// `RANGE`: so many milliseconds before; none: UNBOUNDED.
    Range(Option<i64>),
}

/// `expr [ASC|DESC] [NULLS FIRST|LAST]`.
#[derive(Clone, Debug)]
pub(crate) struct Ordering {
    pub expr: Expr,
    pub descending: bool,
    pub nulls_first: bool,
}

/// A name and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Name {
    pub text: String,
    pub place: Place,
}

/// An expression and where it begins (an operator's place is the operator's own).
#[derive(Clone, Debug)]
pub(crate) struct Expr {
    pub place: Place,
    pub depth: usize,
    pub kind: Kind,
}

/// What an expression is.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Null,
    Boolean(bool),
    Number(String),
    Text(String),
    /// `DATE '…'`, `TIME '…'`, `TIMESTAMP '…'`.
    Temporal(Temporal, String),
    Interval(Interval),
    /// A column, possibly with its stream before and fields behind.
    Path(Vec<Name>),
    Field(Box<Expr>, Name),
    Index(Box<Expr>, Box<Expr>),
    Negate(Box<Expr>),
    Not(Box<Expr>),
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Arithmetic(Arithmetic, Box<Expr>, Box<Expr>),
    Compare(Compare, Box<Expr>, Box<Expr>),
    /// `IS [NOT] DISTINCT FROM`.
    Distinct {
        negated: bool,
        left: Box<Expr>,
        right: Box<Expr>,
    },
    Is {
        expr: Box<Expr>,
        what: Is,
        negated: bool,
    },
    Between {
        expr: Box<Expr>,
        low: Box<Expr>,
        high: Box<Expr>,
        symmetric: bool,
        negated: bool,
    },
    In {
        expr: Box<Expr>,
        list: Vec<Expr>,
        negated: bool,
    },
    Like {
        expr: Box<Expr>,
        pattern: Box<Expr>,
        escape: Option<(String, Place)>,
        negated: bool,
    },
    Case {
        operand: Option<Box<Expr>>,
        whens: Vec<(Expr, Expr)>,
        otherwise: Option<Box<Expr>>,
    },
    Cast {
        expr: Box<Expr>,
        to: TypeName,
        try_: bool,
    },
    Call {
        name: Name,
        args: Vec<Expr>,
    },
    /// A function whose first argument is a unit of time, such as `EXTRACT(DAY FROM t)`.
    Timed {
        name: Name,
        unit: Unit,
        args: Vec<Expr>,
    },
    /// `TRIM([LEADING|TRAILING|BOTH] [what] FROM text)`.
    Trim {
        side: TrimSide,
        what: Option<Box<Expr>>,
        expr: Box<Expr>,
    },
    Json {
        function: JsonFunction,
        input: Box<Expr>,
        path: Box<Expr>,
    },
    IsJson {
        expr: Box<Expr>,
        kind: JsonKind,
        negated: bool,
    },
    Array(Vec<Expr>),
    Map(Vec<Expr>),
    Row(Vec<Expr>),
    Aggregate(Box<AggregateCall>),
    RowNumber(Box<RowNumber>),
    Over(Box<OverCall>),
    SubQuery(Box<SubQuery>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Temporal {
    Date,
    Time,
    Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Concat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compare {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Is {
    Null,
    True,
    False,
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TrimSide {
    Leading,
    Trailing,
    Both,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JsonKind {
    Value,
    Scalar,
    Array,
    Object,
}

/// A unit of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Millennium,
    Century,
    Decade,
    Year,
    Quarter,
    Month,
    Week,
    Day,
    Hour,
    Minute,
    Second,
    Millisecond,
    Microsecond,
    DayOfWeek,
    IsoDayOfWeek,
    DayOfYear,
    IsoYear,
    Epoch,
}

/// `INTERVAL '2:30' HOUR TO MINUTE`, already in its base unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interval {
    Months(i64),
    Millis(i64),
}

/// A type as a query writes it.
#[derive(Clone, Debug)]
pub(crate) struct TypeName {
    pub place: Place,
    pub data_type: crate::types::DataType,
    /// `VARCHAR(n)`: a cast cuts the text to so many characters.
    pub max_chars: Option<usize>,
}

/// A JSON function with its clauses.
#[derive(Clone, Debug)]
pub(crate) enum JsonFunction {
    Exists(JsonExistsError),
    Value {
        returning: Option<TypeName>,
        on_empty: JsonDefault,
        on_error: JsonDefault,
    },
    Query {
        wrapper: JsonWrapper,
        on_empty: JsonQueryDefault,
        on_error: JsonQueryDefault,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JsonExistsError {
    True,
    False,
    Unknown,
    Error,
}

#[derive(Clone, Debug)]
pub(crate) enum JsonDefault {
    Null,
    Error,
    Default(Box<Expr>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JsonWrapper {
    Without,
    Conditional,
    Unconditional,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JsonQueryDefault {
    Null,
    EmptyArray,
    EmptyObject,
    Error,
}
