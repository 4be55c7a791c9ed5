//! GROUP BY and SELECT DISTINCT: the keys of groups, and the window.

use std::collections::HashSet;
use std::sync::Arc;

use super::BoundSelect;
use super::aggregate::aggregate;
use super::bound_expr::{Analyzed, BoundExpr, refuse};
use super::grouping_sets::GroupingSets;
use super::rows::{Cell, check_key};
use super::scope::Scope;
use super::window::{self, Windowed};
use crate::error::{Place, SqlError};
use crate::keyed::Window;
use crate::syntax::ast::{Expr, Item, Kind, Name, Select};

/// What GROUP BY names.
#[derive(Default)]
pub(super) struct Keys {
    /// Keys with their texts.
    pub cells: Vec<(String, Cell)>,
    pub window: Option<Window>,
    pub time: Option<Cell>,
    /// Texts of the window's columns, as far as the query may use them.
    pub bounds: Vec<(String, usize)>,
    /// Which keys the groupings have.
    pub sets: GroupingSets,
}

/// Binds what GROUP BY, or SELECT DISTINCT, groups by.
pub(super) fn keys(
    select: &Select,
    inputs: &[(BoundSelect, Scope)],
    scope: &Scope,
    place: Place,
) -> Analyzed<Keys> {
    let exprs = match (&select.group, select.distinct) {
        (Some(_), Some(distinct)) => {
            return refuse(
                distinct,
                "DISTINCT over a GROUP BY is an aggregation over an aggregation; groups are distinct by their keys already, so leave DISTINCT out",
            );
        }
        (None, Some(distinct)) => {
            if let Some(aggregate) = aggregate(select) {
                return refuse(
                    aggregate.place,
                    "an aggregate beside SELECT DISTINCT; leave DISTINCT out, and name the keys in GROUP BY",
                );
            }
            listed(select, scope, distinct)
        }
        (Some(group), None) => group.keys.clone(),
        (None, None) => Vec::new(),
    };
    let (mut keys, mut errors) = (Keys::default(), Vec::<SqlError>::new());
    for expr in &exprs {
        if let Err(more) = key(select, inputs, scope, expr, &mut keys) {
            errors.extend(more);
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let texts: Vec<String> = exprs.iter().map(|expr| scope.text(expr)).collect();
    let sets = select.group.as_ref().and_then(|group| group.sets.as_ref());
    let all = || vec![(0..texts.len()).collect()];
    let sets = sets.cloned().unwrap_or_else(all);
    let of = |set: &Vec<usize>| set.iter().map(|key| texts[*key].clone()).collect();
    keys.sets = GroupingSets::new(sets.iter().map(of).collect());
    if let Some(windowed) = inputs.first().and_then(|(c, _)| c.windowed.as_ref()) {
        let has = |index: usize| keys.bounds.iter().any(|(_, i)| *i == index);
        let clause = if select.distinct.is_some() {
            "SELECT DISTINCT"
        } else {
            "GROUP BY"
        };
        window::named(windowed, [has(0), has(1), has(2)], place, clause)?;
        sessions(windowed, &keys, place)?;
        keys.window = Some(windowed.window);
        keys.time = Some(time_cell(inputs));
    }
    let table = inputs.iter().any(|(c, _)| c.windowed.is_some());
    in_all(&keys, (&exprs, &texts), table, place)?;
    Ok(keys)
}

/// Checks what several groupings can't be of: a window is in all of them.
fn in_all(
    keys: &Keys,
    (exprs, texts): (&[Expr], &[String]),
    table: bool,
    place: Place,
) -> Analyzed<()> {
    if keys.sets.has.len() < 2 {
        return Ok(());
    }
    let Some(window) = keys.window else {
        return refuse(
            place,
            "without a window, a result replaces the one before it by its key, and in GROUPING SETS a key may not be there: group by a window, too, or write a Pipeline for each grouping",
        );
    };
    for (expr, text) in exprs.iter().zip(texts) {
        let is_key = keys.cells.iter().any(|(key, _)| key == text);
        if !is_key && keys.sets.has.iter().any(|set| !set.contains(text)) {
            return refuse(
                expr.place,
                "a window is of all groupings: name it beside GROUPING SETS, as in GROUP BY window_start, window_end, ROLLUP (a, b)",
            );
        }
    }
    if matches!(window, Window::Session { .. }) && table {
        return refuse(
            place,
            "a session ends for each key that it is parted by, which several groupings don't share; write a Pipeline for each grouping",
        );
    }
    Ok(())
}

/// The event time of window tables.
pub(super) fn time_cell(inputs: &[(BoundSelect, Scope)]) -> Cell {
    let windowed = inputs.iter().filter_map(|(c, _)| c.windowed.as_ref());
    of_times(windowed.map(|w| w.time.clone()).collect())
}

/// The event times of all branches.
pub(super) fn of_times(typed: Vec<BoundExpr>) -> Cell {
    let identity = typed.iter().map(|t| t.identity.clone().unwrap_or_default());
    Cell {
        name: "event_time".to_owned(),
        identity: identity.collect(),
        typed,
    }
}

/// The columns of a SELECT DISTINCT as keys; constants are none.
fn listed(select: &Select, scope: &Scope, place: Place) -> Vec<Expr> {
    let mut exprs = Vec::new();
    for item in &select.items {
        match item {
            Item::Expr { expr, .. }
                if matches!(
                    expr.kind,
                    Kind::Number(_) | Kind::Text(_) | Kind::Boolean(_) | Kind::Temporal(..)
                ) => {}
            Item::Expr { expr, .. } => exprs.push(expr.clone()),
            Item::All { .. } => exprs.extend(scope.columns.iter().map(|(name, _)| {
                window::column(&Name {
                    text: name.clone(),
                    place,
                })
            })),
        }
    }
    exprs
}

fn key(
    select: &Select,
    inputs: &[(BoundSelect, Scope)],
    scope: &Scope,
    expr: &Expr,
    keys: &mut Keys,
) -> Analyzed<()> {
    if let Kind::Number(number) = &expr.kind {
        return refuse(
            expr.place,
            format!(
                "GROUP BY {number} is not the column of that position (nor is it in Flink); write the column or expression"
            ),
        );
    }
    if let Some(found) = expr.stateful() {
        return refuse(
            found.place,
            "an aggregate can't be grouped by; its argument is found only when the group is",
        );
    }
    let text = scope.text(expr);
    if let Some((name, args)) = window::call(expr) {
        let windowed = inputs.iter().any(|(c, _)| c.windowed.is_some());
        let window = window::of_call(name, args)?;
        if windowed || keys.window.is_some() {
            return refuse(
                expr.place,
                "a GROUP BY has one window; this is a second one",
            );
        }
        let mut typed = Vec::new();
        for (checked, scope) in inputs {
            typed.push(window::time_of(name, args, checked, scope)?);
        }
        keys.window = Some(window);
        keys.time = Some(of_times(typed));
        keys.bounds
            .extend(window::properties(&text).enumerate().map(|(i, t)| (t, i)));
        return Ok(());
    }
    let cell = match Cell::bind(inputs, expr) {
        Ok(cell) => cell,
        Err(errors) => return Err(alias(select, scope, expr).map_or(errors, |e| vec![e])),
    };
    if let Some(index) = cell.window_column(inputs) {
        keys.bounds.push((text, index));
        return Ok(());
    }
    if cell.reads_window(inputs) {
        return refuse(
            expr.place,
            "a window's bound is grouped by as it is; name window_start and window_end in GROUP BY, and compute with them in the SELECT list",
        );
    }
    let clause = if select.distinct.is_some() {
        "SELECT DISTINCT"
    } else {
        "GROUP BY"
    };
    check_key(clause, &cell, expr.place)?;
    if !keys.cells.iter().any(|(t, _)| *t == text) {
        keys.cells.push((text, cell));
    }
    Ok(())
}

/// A name that the SELECT list gives is unknown in GROUP BY.
fn alias(select: &Select, scope: &Scope, expr: &Expr) -> Option<SqlError> {
    let Kind::Path(names) = &expr.kind else {
        return None;
    };
    let [name] = names.as_slice() else {
        return None;
    };
    if scope.columns.iter().any(|(n, _)| *n == name.text) {
        return None;
    }
    let mut aliases = select.items.iter().filter_map(|item| match item {
        Item::Expr { alias, .. } => alias.as_ref(),
        Item::All { .. } => None,
    });
    if aliases.any(|a| a.text == name.text) {
        return Some(SqlError::new(
            name.place,
            format!(
                "GROUP BY sees the columns of the input, and \"{}\" is a name that the SELECT list gives; write its expression here, too",
                name.text
            ),
        ));
    }
    let near = window::near(&name.text)?;
    Some(
        SqlError::new(
            name.place,
            format!("unknown column \"{}\"; a window's columns come from FROM TABLE(TUMBLE(…)), or group by TUMBLE(time, INTERVAL …) itself", name.text),
        )
        .meant(Some(near).filter(|n| *n != name.text)),
    )
}

/// A session ends for the keys that it is parted by, so groups have the same.
fn sessions(windowed: &Windowed, keys: &Keys, place: Place) -> Analyzed<()> {
    let Some(partition) = &windowed.partition else {
        return Ok(());
    };
    let cells = keys.cells.iter().map(|(_, cell)| cell);
    let grouped: HashSet<&Arc<str>> = cells.filter_map(|c| c.identity.first()).collect();
    let parted: HashSet<&Arc<str>> = partition.iter().collect();
    if grouped == parted {
        return Ok(());
    }
    refuse(
        place,
        "a session ends for each key that SESSION is parted by; GROUP BY window_start, window_end and exactly the columns of SESSION(TABLE … PARTITION BY …)",
    )
}

/// Without a window and a key there is nothing to replace a result by.
pub(super) fn check_keys(keys: &Keys, place: Place) -> Analyzed<()> {
    if keys.window.is_none() && keys.cells.is_empty() {
        return refuse(
            place,
            "an aggregate over the whole stream has no key by which a result would replace the one before it; add GROUP BY with a column, or with a window such as TUMBLE(time, INTERVAL '1' MINUTE)",
        );
    }
    Ok(())
}
