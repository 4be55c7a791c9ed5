//! Joins: the condition is taken apart into equal keys, bounds on the time between the sides, and the rest.
//!
//! The rows of both sides go through one exchange: the key, the event time, a mark that says of which side a row is, then
//! the columns of the left side, null in rows of the right one, and those of the right side. Why not through one each:
//! docs/decisions/0030.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use super::bound_expr::{Analyzed, BoundExpr, refuse};
use super::from::from;
use super::rows::{Cell, branches, distinct_names};
use super::scope::{NotNull, Scope};
use super::select::{Environment, and};
use super::stateful_node::{JoinNode, StatefulNode, column, picked};
use super::{BoundSelect, Input};
use crate::branch::Condition;
use crate::join::{IntervalJoin, JoinCondition, JoinKind};
use crate::keyed::Operator;
use crate::schema::{Column, Schema};
use crate::syntax::ast::{Join, Wants};

mod condition;
mod inputs;

use condition::Parts;
use inputs::Sides;

/// Two inputs that are joined, as what a SELECT reads.
pub(super) fn join<'a>(
    join: &'a Join,
    environment: &Environment<'a>,
) -> Analyzed<(BoundSelect, Scope)> {
    let (left, right) = match (
        from(&join.left, environment),
        from(&join.right, environment),
    ) {
        (Ok(left), Ok(right)) => (left, right),
        (Err(mut errors), Err(more)) => {
            errors.extend(more);
            return Err(errors);
        }
        (Err(errors), _) | (_, Err(errors)) => return Err(errors),
    };
    let mut sides = Sides::new(join, left, right)?;
    let parts = Parts::of(join, &sides)?;
    let kind = kind_of(join.wants);
    let rest = sides.narrow(kind, parts.rest)?;
    let scope = sides.scope().clone();
    let mut filter = None;
    let mut condition = None;
    for part in rest {
        if kind == JoinKind::Inner {
            filter = Some(match filter.take() {
                None => part.typed,
                Some(before) => and(before, part.typed)?,
            });
            continue;
        }
        if part.typed.fallible {
            return refuse(
                part.typed.place,
                "this may fail for what a row holds, and in the condition of such a join nothing could then be said of the row: compute it in a sub-query before the join",
            );
        }
        condition = Some(match condition.take() {
            None => (part.typed, part.text),
            Some((before, text)) => {
                let text: Arc<str> = format!("{text} and {}", part.text).into();
                (and(before, part.typed)?, text)
            }
        });
    }
    let node = node(
        join,
        sides,
        parts.keys,
        (parts.lower, parts.upper),
        condition,
    );
    let mut sides = scope.sides;
    if kind.is_of_left() {
        sides.truncate(1);
    }
    let width = sides.last().map_or(0, |side| side.columns.end);
    let columns = scope.columns.iter().take(width).enumerate();
    let columns = columns.map(|(index, (name, typed))| {
        let mut shown = node.result(index);
        shown.identity.clone_from(&typed.identity);
        (name.clone(), shown)
    });
    let scope = Scope {
        name: String::new(),
        columns: columns.collect(),
        sides,
        not_null: NotNull::default(),
    };
    let joined = BoundSelect {
        schema: node.results.clone(),
        input: Input::Stateful(Rc::new(node)),
        filter,
        conditions: Vec::new(),
        columns: scope.columns.clone(),
        windowed: None,
    };
    Ok((joined, scope))
}

fn kind_of(wants: Wants) -> JoinKind {
    match wants {
        Wants::Pairs { outer } => JoinKind::of(outer),
        Wants::Left { negated: false } => JoinKind::Semi,
        Wants::Left { negated: true } => JoinKind::Anti,
    }
}

/// What keeps the join's state.
fn node(
    join: &Join,
    sides: Sides,
    keys: Vec<Cell>,
    (lower, upper): (i64, i64),
    condition: Option<(BoundExpr, Arc<str>)>,
) -> StatefulNode {
    let kind = kind_of(join.wants);
    let count = sides.left.len();
    let time = sides.time(keys.len());
    let key_count = keys.len();
    let mut cells = keys;
    let named = cells.iter().map(|cell| format!("\"{}\"", cell.name));
    let named = named.collect();
    cells.push(time);
    cells.push(sides.mark());
    let mut results: Vec<(Column, usize)> = Vec::new();
    let mut places = [Vec::new(), Vec::new()];
    for (right, places) in places.iter_mut().enumerate() {
        let padded = if right == 0 {
            kind.keeps_right()
        } else {
            kind.keeps_left() || kind.is_of_left()
        };
        for index in sides.columns(right == 1) {
            let cell = sides.cell(index);
            let same = |known: &Cell| sides.is_same(known, &cell, right == 1);
            let row = cells[..=key_count].iter().position(same);
            let data_type = cell.data_type().clone();
            let nullable = padded || sides.nullable(&cell, right == 1);
            let shown = column(&cell.name, &data_type, nullable);
            let row = row.unwrap_or_else(|| {
                cells.push(cell);
                cells.len() - 1
            });
            results.push((shown, row));
            places.push(row);
        }
    }
    let [left, right] = places;
    let (mut columns, from): (Vec<Column>, Vec<usize>) = results.into_iter().unzip();
    let distinct = distinct_names(columns.iter().map(|c| c.name.as_str()));
    for (column, name) in columns.iter_mut().zip(distinct) {
        column.name = name;
    }
    let operator = IntervalJoin {
        kind,
        lower,
        upper,
        side: key_count + 1,
        left,
        right,
        condition: None,
    };
    StatefulNode {
        place: join.place,
        rows: branches(sides.into_inputs(), &cells),
        keys: key_count,
        named,
        time: Some(key_count),
        window: None,
        operator: Operator::IntervalJoin(Box::new(operator)),
        results: Schema { columns },
        from: from.into_iter().map(|row| vec![row]).collect(),
        join: Some(JoinNode {
            left: count,
            condition,
        }),
    }
}

/// The join without the columns that neither its condition nor what comes after asks for, and with its condition compiled.
pub(super) fn pruned(
    node: &StatefulNode,
    of: &IntervalJoin,
    used: &BTreeSet<usize>,
) -> StatefulNode {
    let condition = node.join.as_ref().and_then(|join| join.condition.as_ref());
    let mut used = used.clone();
    if used.is_empty() {
        // What comes after reads some column, so that it knows how many rows there are.
        used = (0..node.results.columns.len()).collect();
    }
    used.extend(condition.iter().flat_map(|(typed, _)| typed.sources.iter()));
    let keep = |result: usize| used.contains(&result);
    let kept: BTreeSet<usize> = picked(&node.from, keep).concat().into_iter().collect();
    let width = node.rows.first().map_or(0, |rows| rows.columns.len());
    let stays = |row: usize| row <= of.side || kept.contains(&row);
    let moved: BTreeMap<usize, usize> = (0..width)
        .filter(|row| stays(*row))
        .enumerate()
        .map(|(to, from)| (from, to))
        .collect();
    let to = |row: &usize| moved.get(row).copied().unwrap_or(*row);
    let mut pruned = node.clone();
    for branch in &mut pruned.rows {
        branch.columns = picked(&branch.columns, stays);
    }
    pruned.results.columns = picked(&node.results.columns, keep);
    pruned.from = picked(&node.from, keep);
    for from in &mut pruned.from {
        *from = from.iter().map(to).collect();
    }
    let left = picked(&of.left, keep);
    let right = picked(&of.right, |index| keep(of.left.len() + index));
    let names: Vec<String> = pruned.results.names().map(str::to_owned).collect();
    pruned.operator = Operator::IntervalJoin(Box::new(IntervalJoin {
        left: left.iter().map(to).collect(),
        right: right.iter().map(to).collect(),
        condition: condition.map(|(typed, text)| {
            let compiled = Condition::new(typed.computed(), false, &node.results);
            JoinCondition::new(text.clone(), compiled.among(&names))
        }),
        ..of.clone()
    }));
    pruned
}
