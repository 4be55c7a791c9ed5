//! What a query reads, as written.

use super::{Expr, Interval, Name, Query};
use crate::error::Place;

/// What a SELECT reads.
#[derive(Clone, Debug)]
pub(crate) struct From {
    pub source: FromSource,
    /// `FOR SYSTEM_TIME AS OF time`: of a stream the rows that were valid then.
    pub as_of: Option<Expr>,
    pub alias: Option<Name>,
    pub columns: Vec<Name>,
}

/// A stream or named sub-query, a sub-query in place, one of them cut into windows or with the elements of an array, or two of them
/// joined.
#[derive(Clone, Debug)]
pub(crate) enum FromSource {
    Name(Name),
    Query(Box<Query>),
    Window(Box<WindowTable>),
    Join(Box<Join>),
    Unnest(Box<Unnest>),
}

/// `input [CROSS | LEFT] JOIN UNNEST(argument) [WITH ORDINALITY] [AS alias (columns)] [ON on]`.
#[derive(Clone, Debug)]
pub(crate) struct Unnest {
    /// Where the join's words begin.
    pub place: Place,
    pub input: From,
    pub argument: Expr,
    pub ordinality: bool,
    /// LEFT: a row without elements stays.
    pub outer: bool,
    /// None of a CROSS JOIN.
    pub on: Option<Expr>,
    pub alias: Option<Name>,
    pub columns: Vec<Name>,
}

/// `left [INNER | LEFT | RIGHT | FULL] JOIN right ON condition`.
#[derive(Clone, Debug)]
pub(crate) struct Join {
    /// Where the join's words begin.
    pub place: Place,
    pub wants: Wants,
    pub left: From,
    pub right: From,
    pub on: Expr,
}

/// What is wanted of a join.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wants {
    /// Pairs, and, where said, the left side's rows without one, and the right one's.
    Pairs { outer: (bool, bool) },
    /// `WHERE EXISTS (SELECT …)`: the left side's rows that have a pair; negated: that have none.
    Left { negated: bool },
}

/// A sub-query in WHERE that is a join: `[NOT] EXISTS (SELECT … FROM right WHERE on)`, `expr IN (SELECT column FROM right WHERE on)`.
#[derive(Clone, Debug)]
pub(crate) struct SubQuery {
    pub negated: bool,
    pub right: From,
    pub on: Expr,
}

/// `TABLE(TUMBLE(TABLE source, DESCRIPTOR(time), INTERVAL …))` and the like.
#[derive(Clone, Debug)]
pub(crate) struct WindowTable {
    /// TUMBLE, HOP, CUMULATE or SESSION, as written.
    pub function: Name,
    pub source: From,
    /// `PARTITION BY` of SESSION.
    pub partition: Vec<Name>,
    pub time: Name,
    /// The lengths, by the names of the function's parameters.
    pub lengths: Vec<Length>,
}

/// A length of a window table: `SIZE => INTERVAL …`.
#[derive(Clone, Debug)]
pub(crate) struct Length {
    /// SIZE, SLIDE, STEP, GAP or OFFSET.
    pub parameter: &'static str,
    pub place: Place,
    pub interval: Interval,
}
