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
use crate::error::Place;
use crate::join::{IntervalJoin, JoinCondition, JoinKind, TemporalJoin, WindowJoin};
use crate::keyed::Operator;
use crate::schema::{Column, Schema};
use crate::syntax::ast::{Join, Wants};

mod condition;
mod inputs;
mod temporal;

use condition::{Parts, Rest};
use inputs::Sides;

/// Two inputs that are joined, as what a SELECT reads.
pub(super) fn join<'a>(
    join: &'a Join,
    environment: &Environment<'a>,
) -> Analyzed<(BoundSelect, Scope)> {
    if let Some(time) = &join.right.as_of {
        return temporal::join(join, time, environment);
    }
    let sides = environment.of_rows();
    let (left, right) = match (from(&join.left, &sides), from(&join.right, &sides)) {
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
    let rest = sides.narrow((kind.keeps_left(), kind.keeps_right()), parts.rest)?;
    let (filter, condition) = asked(rest, kind == JoinKind::Inner)?;
    let scope = sides.scope().clone();
    let bounds = (parts.lower, parts.upper);
    let node = node(join, sides, parts.keys, bounds, condition);
    Ok(joined(node, scope, filter, kind.is_of_left()))
}

/// What else is asked of a pair: of an inner join in a filter after it, otherwise in its condition, with that one's text.
type Asked = (Option<BoundExpr>, Option<(BoundExpr, Arc<str>)>);

fn asked(rest: Vec<Rest<'_>>, after: bool) -> Analyzed<Asked> {
    let mut filter = None;
    let mut condition = None;
    for part in rest {
        if after {
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
    Ok((filter, condition))
}

/// What a SELECT over a join reads. `of_left`: only the columns of the left side are there.
fn joined(
    node: StatefulNode,
    scope: Scope,
    filter: Option<BoundExpr>,
    of_left: bool,
) -> (BoundSelect, Scope) {
    let mut sides = scope.sides;
    if of_left {
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
        unnested: Vec::new(),
        windowed: None,
    };
    (joined, scope)
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
    let padded = (kind.keeps_right(), kind.keeps_left() || kind.is_of_left());
    let windows = sides.windows.is_some();
    let marks = windows.then(|| sides.ends_last()).into_iter().collect();
    let rows = Rows::new(&sides, keys, marks, padded);
    let operator = IntervalJoin {
        kind,
        lower,
        upper,
        side: rows.keys + 1,
        left: rows.left.clone(),
        right: rows.right.clone(),
        condition: None,
    };
    let operator = if windows {
        Operator::WindowJoin(Box::new(WindowJoin {
            last: rows.keys + 2,
            join: operator,
        }))
    } else {
        Operator::IntervalJoin(Box::new(operator))
    };
    rows.into_node(join.place, sides, operator, condition)
}

/// The rows of both sides, and what results take of them.
struct Rows {
    /// How many columns are the key. The event time comes next, then the mark of the side, then marks of the join's own, then the columns
    /// of the sides.
    keys: usize,
    named: Vec<String>,
    cells: Vec<Cell>,
    results: Vec<Column>,
    left: Vec<usize>,
    right: Vec<usize>,
}

impl Rows {
    /// `padded`: the columns of the left side, and of the right one, are null in some results.
    fn new(sides: &Sides, keys: Vec<Cell>, marks: Vec<Cell>, padded: (bool, bool)) -> Rows {
        let key_count = keys.len();
        let mut cells = keys;
        let named = cells.iter().map(|cell| format!("\"{}\"", cell.name));
        let named = named.collect();
        cells.push(sides.time(key_count));
        cells.push(sides.mark());
        cells.extend(marks);
        let mut results: Vec<Column> = Vec::new();
        let mut places = [Vec::new(), Vec::new()];
        for (right, places) in places.iter_mut().enumerate() {
            let padded = if right == 0 { padded.0 } else { padded.1 };
            for index in sides.columns(right == 1) {
                let cell = sides.cell(index);
                let same = |known: &Cell| sides.is_same(known, &cell, right == 1);
                let row = cells[..=key_count].iter().position(same);
                let data_type = cell.data_type().clone();
                let nullable = padded || sides.nullable(&cell, right == 1);
                results.push(column(&cell.name, &data_type, nullable));
                places.push(row.unwrap_or_else(|| {
                    cells.push(cell);
                    cells.len() - 1
                }));
            }
        }
        let distinct = distinct_names(results.iter().map(|c| c.name.as_str()));
        for (column, name) in results.iter_mut().zip(distinct) {
            column.name = name;
        }
        let [left, right] = places;
        Rows {
            keys: key_count,
            named,
            cells,
            results,
            left,
            right,
        }
    }

    fn into_node(
        self,
        place: Place,
        sides: Sides,
        operator: Operator,
        condition: Option<(BoundExpr, Arc<str>)>,
    ) -> StatefulNode {
        let count = sides.left.len();
        let from = self.left.iter().chain(&self.right);
        StatefulNode {
            place,
            rows: branches(sides.into_inputs(), &self.cells),
            keys: self.keys,
            named: self.named,
            time: Some(self.keys),
            window: None,
            operator,
            from: from.map(|row| vec![*row]).collect(),
            results: Schema {
                columns: self.results,
            },
            join: Some(JoinNode {
                left: count,
                condition,
            }),
        }
    }
}

/// The join without the columns that neither its condition nor what comes after asks for, and with its condition compiled.
pub(super) fn pruned(
    node: &StatefulNode,
    of: &IntervalJoin,
    used: &BTreeSet<usize>,
) -> StatefulNode {
    let build = |left, right, condition| {
        Operator::IntervalJoin(Box::new(IntervalJoin {
            left,
            right,
            condition,
            ..of.clone()
        }))
    };
    pruned_rows(node, (of.side, of.left.len()), used, build)
}

/// The same.
pub(super) fn pruned_windows(
    node: &StatefulNode,
    of: &WindowJoin,
    used: &BTreeSet<usize>,
) -> StatefulNode {
    let build = |left, right, condition| {
        Operator::WindowJoin(Box::new(WindowJoin {
            last: of.last,
            join: IntervalJoin {
                left,
                right,
                condition,
                ..of.join.clone()
            },
        }))
    };
    pruned_rows(node, (of.last, of.join.left.len()), used, build)
}

/// The same.
pub(super) fn pruned_temporal(
    node: &StatefulNode,
    of: &TemporalJoin,
    used: &BTreeSet<usize>,
) -> StatefulNode {
    let build = |left, right, condition| {
        Operator::TemporalJoin(Box::new(TemporalJoin {
            left,
            right,
            condition,
            ..of.clone()
        }))
    };
    pruned_rows(node, (of.deleted, of.left.len()), used, build)
}

/// The same: the columns of the rows up to `fixed` stay, and the first `left` results are the left side's.
fn pruned_rows(
    node: &StatefulNode,
    (fixed, left): (usize, usize),
    used: &BTreeSet<usize>,
    build: impl FnOnce(Vec<usize>, Vec<usize>, Option<JoinCondition>) -> Operator,
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
    let stays = |row: usize| row <= fixed || kept.contains(&row);
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
    let names: Vec<String> = pruned.results.names().map(str::to_owned).collect();
    let places = |range: std::ops::Range<usize>| -> Vec<usize> {
        let kept = range.filter(|result| keep(*result));
        let rows = kept.filter_map(|result| node.from.get(result)?.first());
        rows.map(to).collect()
    };
    pruned.operator = build(
        places(0..left),
        places(left..node.from.len()),
        condition.map(|(typed, text)| {
            let compiled = Condition::new(typed.computed(), false, &node.results);
            JoinCondition::new(text.clone(), compiled.among(&names))
        }),
    );
    pruned
}
