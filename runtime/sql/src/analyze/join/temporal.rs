//! Temporal joins: `a JOIN b FOR SYSTEM_TIME AS OF a.time ON a.key = b.key`.
//!
//! What is asked of the right side is never asked before its versions are known: a version that doesn't satisfy it still ends the one
//! before.

use super::condition::{Rest, conjuncts, key};
use super::inputs::{Sides, check};
use super::{Rows, asked, joined};
use crate::analyze::bound_expr::{Analyzed, BoundExpr, refuse};
use crate::analyze::from::{from, versions};
use crate::analyze::rows::Cell;
use crate::analyze::scope::Scope;
use crate::analyze::select::{Environment, condition};
use crate::analyze::{Binder, BoundSelect, Input, Stream, literals};
use crate::branch::Reads;
use crate::error::{Place, SqlError};
use crate::join::TemporalJoin;
use crate::keyed::Operator;
use crate::syntax::ast::{Expr, Join, Kind, Wants};

/// A left input, with what the right one held at `time`, as what a SELECT reads.
pub(super) fn join<'a>(
    join: &'a Join,
    time: &Expr,
    environment: &Environment<'a>,
) -> Analyzed<(BoundSelect, Scope)> {
    let outer = outer(join)?;
    let left = from(&join.left, environment)?;
    let (right, right_scope) = versions(&join.right, environment)?;
    for (branch, scope) in &left {
        check(branch, scope, join.place)?;
        if let Some(windowed) = branch.windowed.as_ref() {
            return refuse(
                windowed.place,
                "a window table has no versions to be joined with in this version: join the stream, and take the window of the result in a Pipeline of its own",
            );
        }
    }
    let Input::Stream(stream) = &right.input else {
        return refuse(join.place, "only a stream has versions");
    };
    let stream = stream.clone();
    versioned(&stream, time.place)?;
    let mut sides = Sides::checked(join, left, vec![(right, right_scope)])?;
    as_of(time, &sides)?;
    let (keys, rest) = parts(join, &sides, &stream)?;
    // A row of the right side counts whether anything is true of it or not.
    let rest = sides.narrow((outer, true), rest)?;
    let (filter, condition) = asked(rest, !outer)?;
    let scope = sides.scope().clone();
    let marks = vec![deleted(&sides, join.place)];
    let rows = Rows::new(&sides, keys, marks, (false, outer));
    let operator = TemporalJoin {
        outer,
        side: rows.keys + 1,
        deleted: rows.keys + 2,
        left: rows.left.clone(),
        right: rows.right.clone(),
        condition: None,
    };
    let fixed = operator.side;
    let operator = Operator::TemporalJoin(Box::new(operator));
    let mut node = rows.into_node(join.place, sides, operator, condition);
    if let Some(values) = node.rows.last() {
        let tombstones = tombstones(values, fixed);
        node.rows.push(tombstones);
    }
    Ok(joined(node, scope, filter, false))
}

/// True: a left row without a version is given, too.
fn outer(join: &Join) -> Analyzed<bool> {
    match join.wants {
        Wants::Pairs {
            outer: (left, false),
        } => Ok(left),
        Wants::Pairs { .. } => refuse(
            join.place,
            "a temporal join gives rows of its left side with what was valid at their time, so it is an INNER or a LEFT one, as in Flink: exchange the sides",
        ),
        Wants::Left { negated: false } => refuse(
            join.place,
            "of FOR SYSTEM_TIME AS OF there are JOIN and LEFT JOIN: those rows that had a version are JOIN's, as each has at most one",
        ),
        Wants::Left { negated: true } => refuse(
            join.place,
            "of FOR SYSTEM_TIME AS OF there are JOIN and LEFT JOIN: those rows that had no version are LEFT JOIN's WHERE the right side's key IS NULL",
        ),
    }
}

/// Checks that the records of a stream are versions.
fn versioned(stream: &Stream, place: Place) -> Analyzed<()> {
    let name = &stream.name;
    if !stream.compacted || stream.key.is_empty() {
        return refuse(
            place,
            format!(
                "records of stream \"{name}\" don't replace each other, so none of them was valid at a time: FOR SYSTEM_TIME AS OF is for a compacted stream with a key (compacted: true); streams of events are joined by bounds on both event times"
            ),
        );
    }
    let Some(time) = &stream.time else {
        return refuse(
            place,
            format!(
                "stream \"{name}\" doesn't say since when a record is valid: say in its contract which field it is (eventTime)"
            ),
        );
    };
    let is_time = |key: &&String| Some(*key) == stream.time_field.as_ref();
    if let Some(key) = stream.key.iter().find(is_time) {
        return refuse(
            place,
            format!(
                "the key of stream \"{name}\" has its event time \"{key}\", so that no record replaces another"
            ),
        );
    }
    if time.len() > 1 || stream.key.iter().any(|key| key.contains('.')) {
        return refuse(
            place,
            format!(
                "key and event time of stream \"{name}\" are inside of a struct, which FOR SYSTEM_TIME AS OF doesn't take in this version: make them fields of their own"
            ),
        );
    }
    Ok(())
}

/// Checks that versions are asked for by the event time of the left side.
fn as_of(time: &Expr, sides: &Sides) -> Analyzed<()> {
    let binder = Binder {
        scope: sides.scope(),
        groups: None,
    };
    let typed = binder.bind(time)?;
    if sides.side_of(&typed) == Some(false) && sides.is_time(false, time) {
        return Ok(());
    }
    refuse(
        time.place,
        format!(
            "versions are taken by the event time of the left side, as it is: FOR SYSTEM_TIME AS OF {}",
            sides.time_name(false)
        ),
    )
}

/// The condition, taken apart: what the right side's key equals, in the key's order, and the rest.
fn parts<'e>(
    join: &'e Join,
    sides: &Sides,
    stream: &Stream,
) -> Analyzed<(Vec<Cell>, Vec<Rest<'e>>)> {
    let binder = Binder {
        scope: sides.scope(),
        groups: None,
    };
    condition("ON", &join.on, &binder)?;
    let mut all = Vec::new();
    conjuncts(&join.on, &mut all);
    let key_paths: Vec<Option<Vec<usize>>> = stream.key.iter().map(|k| path(sides, k)).collect();
    let mut keys: Vec<Option<Cell>> = vec![None; key_paths.len()];
    let mut rest = Vec::new();
    let mut errors: Vec<SqlError> = Vec::new();
    for expr in all {
        let found = match is_of_key(expr, sides, &key_paths) {
            Some(at) if keys[at].is_none() => match key(expr, sides) {
                Ok(cell) => cell.map(|cell| (at, cell)),
                Err(more) => {
                    errors.extend(more);
                    continue;
                }
            },
            _ => None,
        };
        match found {
            Some((at, cell)) => keys[at] = Some(cell),
            None => rest.push(Rest {
                expr,
                typed: binder.bind(expr)?,
                text: sides.scope().identity(expr),
            }),
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let missing: Vec<String> = stream
        .key
        .iter()
        .zip(&keys)
        .filter(|(_, cell)| cell.is_none())
        .map(|(key, _)| format!("{}.{key}", sides.name(true)))
        .collect();
    if !missing.is_empty() {
        return refuse(
            join.on.place,
            format!(
                "a version is found by the key of stream \"{}\": ON must say what {} equals",
                stream.name,
                missing.join(" and ")
            ),
        );
    }
    Ok((keys.into_iter().flatten().collect(), rest))
}

/// Where a field of the stream is among the columns of the right side.
fn path(sides: &Sides, field: &str) -> Option<Vec<usize>> {
    let (branch, _) = sides.right.first()?;
    let at = branch.schema.columns.iter().position(|c| c.name == field)?;
    Some(vec![at])
}

/// Which field of the right side's key an equality names, as it is.
fn is_of_key(expr: &Expr, sides: &Sides, keys: &[Option<Vec<usize>>]) -> Option<usize> {
    let Kind::Compare(crate::syntax::ast::Compare::Equal, one, other) = &expr.kind else {
        return None;
    };
    let binder = Binder {
        scope: sides.scope(),
        groups: None,
    };
    let side = |expr: &Expr| sides.side_of(&binder.bind(expr).ok()?);
    let right = match (side(one)?, side(other)?) {
        (false, true) => other,
        (true, false) => one,
        _ => return None,
    };
    let bound = sides.bind(true, right).ok()?;
    let path = bound.first()?.path.clone()?;
    keys.iter().position(|key| key.as_ref() == Some(&path))
}

/// Says of a row that its key is deleted, which no record with a value does.
fn deleted(sides: &Sides, place: Place) -> Cell {
    let branches = sides.left.len() + sides.right.len();
    Cell {
        name: "deleted$".to_owned(),
        identity: vec!["false".into(); branches],
        typed: vec![literals::boolean(place, false); branches],
    }
}

/// The rows of records without a value: their key, their time and the marks, of which `side` is the first.
fn tombstones(values: &BoundSelect, side: usize) -> BoundSelect {
    let mut tombstones = values.clone();
    if let Input::Stream(stream) = &mut tombstones.input {
        stream.reads = Reads::Tombstones;
    }
    for (at, (_, typed)) in tombstones.columns.iter_mut().enumerate() {
        let place = typed.place;
        if at == side + 1 {
            *typed = literals::boolean(place, true);
            typed.identity = Some("true".into());
        } else if at > side {
            *typed = BoundExpr::null(place, typed.data_type.clone());
            typed.identity = Some("null".into());
        }
    }
    tombstones
}
