//! The condition around a SELECT with ROW_NUMBER() that says how many rows are kept: `WHERE rn <= 3`.

use std::rc::Rc;

use super::bound_expr::{Analyzed, BoundExpr, refuse};
use super::scope::Scope;
use super::{Binder, BoundSelect, Input};
use crate::error::Place;
use crate::keyed::{Operator, Rank};
use crate::syntax::ast::{Compare, Expr, Kind, Select};

/// Most rows of a Top-N.
const MAX_ROWS: i64 = 10_000;

/// Takes the bound of a row number from the WHERE of the SELECT around it.
pub(super) fn close(select: &Select, input: &mut BoundSelect, scope: &Scope) -> Analyzed<()> {
    let Some(stateful) = input.stateful() else {
        return Ok(());
    };
    let Operator::Rank(rank) = &stateful.operator else {
        return Ok(());
    };
    let (Some(filter), 0) = (&select.filter, rank.limit) else {
        return Ok(());
    };
    let number = stateful.results.columns.len().saturating_sub(1);
    let binder = Binder {
        scope,
        groups: None,
    };
    let mut least: Option<(i64, Place)> = None;
    let mut open = vec![filter];
    while let Some(part) = open.pop() {
        if let Kind::And(parts) = &part.kind {
            open.extend(parts);
        } else if let Some(limit) = bound(part, &binder, number)?
            && least.is_none_or(|(l, _)| limit < l)
        {
            least = Some((limit, part.place));
        }
    }
    let Some((limit, place)) = least else {
        return Ok(());
    };
    if !(1..=MAX_ROWS).contains(&limit) {
        return refuse(
            place,
            format!("the row number is bounded by 1 to {MAX_ROWS}, not {limit}"),
        );
    }
    if stateful.window.is_none() && limit != 1 {
        return refuse(
            place,
            "without a window, only the first row of each key is kept: rn = 1; the first n are found in a window: TABLE(TUMBLE(…)) and PARTITION BY window_start, window_end",
        );
    }
    let mut closed = stateful.as_ref().clone();
    closed.operator = Operator::Rank(Rank {
        order: rank.order.clone(),
        limit: u32::try_from(limit).unwrap_or(1),
    });
    input.input = Input::Stateful(Rc::new(closed));
    Ok(())
}

/// The bound that a condition gives the row number, if it does.
fn bound(expr: &Expr, binder: &Binder, number: usize) -> Analyzed<Option<i64>> {
    let is_number = |expr: &Expr| {
        let path = |t: BoundExpr| t.path.as_deref() == Some(&[number]);
        matches!(expr.kind, Kind::Path(_)) && binder.bind(expr).is_ok_and(path)
    };
    let value = |expr: &Expr| binder.bind(expr).ok().and_then(|t| t.literal_int());
    let (op, value) = match &expr.kind {
        Kind::Compare(op, left, right) if is_number(left) => (*op, value(right)),
        Kind::Compare(op, left, right) if is_number(right) => {
            let turned = match op {
                Compare::Less => Compare::Greater,
                Compare::LessOrEqual => Compare::GreaterOrEqual,
                Compare::Greater => Compare::Less,
                Compare::GreaterOrEqual => Compare::LessOrEqual,
                same => *same,
            };
            (turned, value(left))
        }
        Kind::Between {
            expr,
            high,
            symmetric: false,
            negated: false,
            ..
        } if is_number(expr) => (Compare::LessOrEqual, value(high)),
        _ => return Ok(None),
    };
    let Some(value) = value else {
        return refuse(
            expr.place,
            "the row number is bounded by a whole number, as in rn <= 3",
        );
    };
    Ok(match op {
        Compare::Equal | Compare::LessOrEqual => Some(value),
        Compare::Less => Some(value.saturating_sub(1)),
        _ => None,
    })
}
