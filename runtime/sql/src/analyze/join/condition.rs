//! The condition of a join, taken apart: equal keys, bounds on the time between the two sides, and the rest.
//!
//! What bounds the time is what Flink 2.3 takes (`IntervalJoinUtil`): two comparisons of the event times, one from below
//! and one from above, or one equality; BETWEEN is two comparisons. An event time may have intervals added or taken away.

use std::sync::Arc;

use super::inputs::Sides;
use crate::analyze::Binder;
use crate::analyze::bound_expr::{Analyzed, BoundExpr, refuse};
use crate::analyze::rows::{Cell, check_key};
use crate::analyze::scope::shortened;
use crate::analyze::select::condition;
use crate::error::{Place, SqlError};
use crate::stack;
use crate::syntax::ast::{Arithmetic, Compare, Expr, Interval, Join, Kind};
use crate::syntax::own_name;

/// The condition.
pub(super) struct Parts<'e> {
    /// What is equal on both sides.
    pub keys: Vec<Cell>,
    /// The least and the most that the left event time less the right one may be, in milliseconds.
    pub lower: i64,
    pub upper: i64,
    pub rest: Vec<Rest<'e>>,
}

/// A part of the condition that is neither a key nor a bound.
pub(super) struct Rest<'e> {
    pub expr: &'e Expr,
    /// Over the columns of both sides.
    pub typed: BoundExpr,
    /// Its text in terms of the inputs' columns.
    pub text: Arc<str>,
}

/// A comparison of the two event times: the left one less the right one compares so with a number.
struct Bound {
    place: Place,
    op: Compare,
    millis: i64,
}

/// An event time, of the right side or not, and what is added to it.
type Term = (bool, i64);

impl<'e> Parts<'e> {
    pub(super) fn of(join: &'e Join, sides: &Sides) -> Analyzed<Parts<'e>> {
        let binder = Binder {
            scope: sides.scope(),
            groups: None,
        };
        // What is wrong with names and types, whatever each part is for.
        condition("ON", &join.on, &binder)?;
        let mut parts = Vec::new();
        conjuncts(&join.on, &mut parts);
        let (mut keys, mut bounds, mut rest) = (Vec::new(), Vec::new(), Vec::new());
        let mut errors: Vec<SqlError> = Vec::new();
        let mut windows = WindowParts::default();
        for expr in parts {
            if sides.windows.is_some() {
                if windows.take(expr, sides)? {
                    continue;
                }
            } else if let Some(found) = time_bounds(expr, sides) {
                bounds.extend(found);
                continue;
            }
            match key(expr, sides) {
                Ok(Some(cell)) => keys.push(cell),
                Ok(None) => rest.push(Rest {
                    expr,
                    typed: binder.bind(expr)?,
                    text: sides.scope().identity(expr),
                }),
                Err(more) => errors.extend(more),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let (lower, upper) = if sides.windows.is_some() {
            windows.check(join, sides)?;
            if keys.is_empty() {
                keys.extend(windows.start);
            }
            // By the last moments of their windows.
            (0, 0)
        } else {
            interval(join, sides, &bounds)?
        };
        if keys.is_empty() {
            return refuse(
                join.on.place,
                format!(
                    "a join needs a key that is equal on both sides, such as {}.id = {}.id",
                    sides.name(false),
                    sides.name(true)
                ),
            );
        }
        Ok(Parts {
            keys,
            lower,
            upper,
            rest,
        })
    }
}

/// What the condition of a window join says of the windows.
#[derive(Default)]
struct WindowParts {
    /// Both begin at one time.
    start: Option<Cell>,
    /// Both end at one time.
    end: bool,
}

impl WindowParts {
    /// True if a part says that the windows of both sides have one bound.
    fn take(&mut self, expr: &Expr, sides: &Sides) -> Analyzed<bool> {
        let Kind::Compare(Compare::Equal, one, other) = &expr.kind else {
            return Ok(false);
        };
        let is = |name: &str| {
            let of = |right: bool, expr: &Expr| {
                let all = sides.identities(right, expr);
                !all.is_empty() && all.iter().all(|text| text.starts_with(name))
            };
            (of(false, one) && of(true, other)) || (of(true, one) && of(false, other))
        };
        if is("window_start(") {
            self.start = key(expr, sides)?;
            return Ok(self.start.is_some());
        }
        let of_end = is("window_end(");
        self.end |= of_end;
        // As the ends are equal, so are the last moments.
        Ok(of_end || is("window_time("))
    }

    fn check(&self, join: &Join, sides: &Sides) -> Analyzed<()> {
        if self.start.is_some() && self.end {
            return Ok(());
        }
        let (left, right) = (sides.name(false), sides.name(true));
        refuse(
            join.on.place,
            format!(
                "rows of window tables are joined within one window, so ON has {left}.window_start = {right}.window_start AND {left}.window_end = {right}.window_end, as in Flink"
            ),
        )
    }
}

pub(super) fn conjuncts<'e>(expr: &'e Expr, out: &mut Vec<&'e Expr>) {
    match &expr.kind {
        Kind::And(parts) => stack::deeper(|| {
            for part in parts {
                conjuncts(part, out);
            }
        }),
        _ => out.push(expr),
    }
}

/// The bounds that a part of the condition sets, if it compares the two event times.
fn time_bounds(expr: &Expr, sides: &Sides) -> Option<Vec<Bound>> {
    match &expr.kind {
        Kind::Compare(op, left, right) => {
            let bound = compared(*op, term(left, sides)?, term(right, sides)?)?;
            Some(vec![Bound {
                place: expr.place,
                ..bound
            }])
        }
        Kind::Between {
            expr: of,
            low,
            high,
            symmetric: false,
            negated: false,
        } => {
            let of = term(of, sides)?;
            let (low, high) = (term(low, sides)?, term(high, sides)?);
            let both = [
                compared(Compare::GreaterOrEqual, of, low)?,
                compared(Compare::LessOrEqual, of, high)?,
            ];
            let placed = both.into_iter().map(|bound| Bound {
                place: expr.place,
                ..bound
            });
            Some(placed.collect())
        }
        _ => None,
    }
}

/// What `one op other` says of the left time less the right one.
fn compared(op: Compare, one: Term, other: Term) -> Option<Bound> {
    let ((one, added), (other, to_other)) = (one, other);
    if one == other || op == Compare::NotEqual {
        return None;
    }
    let millis = to_other.checked_sub(added)?;
    let (op, millis) = if one {
        // right + added op left + to_other
        let turned = match op {
            Compare::Less => Compare::Greater,
            Compare::LessOrEqual => Compare::GreaterOrEqual,
            Compare::Greater => Compare::Less,
            Compare::GreaterOrEqual => Compare::LessOrEqual,
            same => same,
        };
        (turned, millis.checked_neg()?)
    } else {
        (op, millis)
    };
    Some(Bound {
        place: Place::default(),
        op,
        millis,
    })
}

/// An event time with intervals added or taken away.
fn term(expr: &Expr, sides: &Sides) -> Option<Term> {
    match &expr.kind {
        Kind::Path(_) | Kind::Field(..) => {
            let binder = Binder {
                scope: sides.scope(),
                groups: None,
            };
            let typed = binder.bind(expr).ok()?;
            let right = sides.side_of(&typed)?;
            sides.is_time(right, expr).then_some((right, 0))
        }
        Kind::Arithmetic(Arithmetic::Add, one, other) => {
            let (of, interval) = match (millis(one), millis(other)) {
                (None, Some(interval)) => (one, interval),
                (Some(interval), None) => (other, interval),
                _ => return None,
            };
            let (right, added) = stack::deeper(|| term(of, sides))?;
            Some((right, added.checked_add(interval)?))
        }
        Kind::Arithmetic(Arithmetic::Subtract, of, interval) => {
            let (right, added) = stack::deeper(|| term(of, sides))?;
            Some((right, added.checked_sub(millis(interval)?)?))
        }
        _ => None,
    }
}

/// The length of an interval of days and times.
fn millis(expr: &Expr) -> Option<i64> {
    match &expr.kind {
        Kind::Interval(Interval::Millis(millis)) => Some(*millis),
        Kind::Negate(inner) => millis(inner)?.checked_neg(),
        _ => None,
    }
}

/// The least and the most of the left time less the right one.
fn interval(join: &Join, sides: &Sides, bounds: &[Bound]) -> Analyzed<(i64, i64)> {
    let (left, right) = (sides.time_name(false), sides.time_name(true));
    let (mut lower, mut upper) = (None, None);
    for bound in bounds {
        let (mut set_lower, mut set_upper) = (None, None);
        match bound.op {
            Compare::Equal => (set_lower, set_upper) = (Some(bound.millis), Some(bound.millis)),
            Compare::Greater => set_lower = bound.millis.checked_add(1),
            Compare::GreaterOrEqual => set_lower = Some(bound.millis),
            Compare::Less => set_upper = bound.millis.checked_sub(1),
            Compare::LessOrEqual => set_upper = Some(bound.millis),
            Compare::NotEqual => {}
        }
        let twice =
            (set_lower.is_some() && lower.is_some()) || (set_upper.is_some() && upper.is_some());
        if twice {
            return refuse(
                bound.place,
                "the time between the two sides is bounded twice on the same side; an interval join takes one bound from below and one from above, or one equality, as in Flink",
            );
        }
        lower = lower.or(set_lower);
        upper = upper.or(set_upper);
    }
    let (Some(low), Some(high)) = (lower, upper) else {
        let missing = match (lower, upper) {
            (None, None) => "no bounds on the time between its sides".to_owned(),
            (Some(_), _) => format!("no bound on how much {left} may be after {right}"),
            (None, _) => format!("no bound on how much {left} may be before {right}"),
        };
        return refuse(
            join.on.place,
            format!(
                "this join has {missing}, and would keep rows for ever: a regular join needs state.ttl, which is not in this version; an interval join says, for example, {right} BETWEEN {left} - INTERVAL '5' MINUTE AND {left} + INTERVAL '1' HOUR"
            ),
        );
    };
    if low > high {
        return refuse(
            bounds.first().map_or(join.on.place, |bound| bound.place),
            format!(
                "no row can be within these bounds: {left} would be at least {low} ms and at most {high} ms after {right}; exchange them"
            ),
        );
    }
    Ok((low, high))
}

/// The key that a part of the condition names, if it says that something of one side equals something of the other.
pub(super) fn key(expr: &Expr, sides: &Sides) -> Analyzed<Option<Cell>> {
    let Kind::Compare(Compare::Equal, one, other) = &expr.kind else {
        return Ok(None);
    };
    let binder = Binder {
        scope: sides.scope(),
        groups: None,
    };
    let (bound_one, bound_other) = binder.bind_two(one, other)?;
    let (left, right) = match (sides.side_of(&bound_one), sides.side_of(&bound_other)) {
        (Some(false), Some(true)) => (one, other),
        (Some(true), Some(false)) => (other, one),
        _ => return Ok(None),
    };
    if bound_one.data_type != bound_other.data_type {
        return refuse(
            expr.place,
            format!(
                "the keys of a join are of one type, these are {} and {}: make them equal with CAST in a sub-query before the join",
                shortened(&bound_one.data_type),
                shortened(&bound_other.data_type)
            ),
        );
    }
    let mut typed = sides.bind(false, left)?;
    typed.extend(sides.bind(true, right)?);
    let mut identity = sides.identities(false, left);
    identity.extend(sides.identities(true, right));
    let cell = Cell {
        name: own_name(&left.kind).unwrap_or_default().to_owned(),
        identity,
        typed,
    };
    check_key("JOIN", &cell, expr.place)?;
    Ok(Some(cell))
}
