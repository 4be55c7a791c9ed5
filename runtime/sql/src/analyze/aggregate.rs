//! HAVING and aggregates: a SELECT over groups of rows.

use std::rc::Rc;

use super::aggregates::{self, BoundAggregate};
use super::bound_expr::{Analyzed, refuse};
use super::grouping::{Keys, check_keys, keys};
use super::groups::Groups;
use super::rows::{Cell, check_inputs};
use super::scope::{NotNull, Scope};
use super::select::{columns, condition, filtered, known};
use super::stateful_node::{Parts, StatefulNode, column};
use super::{Binder, BoundSelect, Input};
use crate::error::Place;
use crate::keyed::{Aggregate, Operator};
use crate::syntax::ast::{Expr, Item, Kind, Select};

/// Most aggregates of a SELECT.
const MAX_AGGREGATES: usize = 200;

/// True for a SELECT over groups.
pub(super) fn wanted(select: &Select) -> bool {
    select.group.is_some()
        || select.having.is_some()
        || select.distinct.is_some()
        || aggregate(select).is_some()
}

/// The first aggregate of the SELECT list or HAVING.
pub(super) fn aggregate(select: &Select) -> Option<&Expr> {
    expressions(select).find_map(Expr::aggregate)
}

fn expressions(select: &Select) -> impl Iterator<Item = &Expr> {
    select
        .items
        .iter()
        .filter_map(|item| match item {
            Item::Expr { expr, .. } => Some(expr),
            Item::All { .. } => None,
        })
        .chain(&select.having)
}

/// Checks a SELECT over groups.
pub(super) fn select(
    select: &Select,
    inputs: Vec<(BoundSelect, Scope)>,
    named: bool,
) -> Analyzed<BoundSelect> {
    let place = select
        .group
        .as_ref()
        .map(|g| g.place)
        .or(select.distinct)
        .or(aggregate(select).map(|e| e.place))
        .unwrap_or(select.place);
    check_inputs(&inputs, place)?;
    let mut inputs = filtered(select, inputs)?;
    let Some((_, scope)) = inputs.first() else {
        return refuse(place, "FROM gives no rows");
    };
    let scope = scope.clone();
    let mut keys = keys(select, &inputs, &scope, place)?;
    check_keys(&keys, place)?;
    let aggregates = collect(select, &inputs, &scope)?;
    let sets = keys.sets.clone();
    let several = sets.has.len() > 1;
    if several {
        sets.expand(&mut inputs, &mut keys.cells, place)?;
    }
    let number = keys.cells.len().saturating_sub(1);
    let (stateful, texts) = stateful(inputs, keys, aggregates, place);
    let groups = Groups {
        scope: &scope,
        number: several.then(|| stateful.result(number)),
        sets,
        columns: texts
            .into_iter()
            .map(|(text, index)| (text, stateful.result(index)))
            .collect(),
    };
    finish(select, stateful, &groups, named)
}

/// HAVING and the SELECT list over the results.
fn finish(
    select: &Select,
    stateful: StatefulNode,
    groups: &Groups,
    named: bool,
) -> Analyzed<BoundSelect> {
    let mut results = Scope {
        name: String::new(),
        columns: Vec::new(),
        sides: Vec::new(),
        not_null: NotNull::default(),
    };
    let mut errors = Vec::new();
    let mut filter = None;
    if let Some(having) = &select.having {
        let binder = Binder {
            scope: &results,
            groups: Some(groups),
        };
        match condition("HAVING", having, &binder) {
            Ok(typed) => {
                filter = Some(typed);
                results.not_null = known(having, &binder);
            }
            Err(more) => errors.extend(more),
        }
    }
    let binder = Binder {
        scope: &results,
        groups: Some(groups),
    };
    match columns(select, &binder, named) {
        Ok(columns) if errors.is_empty() => Ok(BoundSelect {
            schema: stateful.results.clone(),
            input: Input::Stateful(Rc::new(stateful)),
            filter,
            conditions: Vec::new(),
            columns,
            unnested: Vec::new(),
            windowed: None,
        }),
        Ok(_) => Err(errors),
        Err(more) => {
            errors.extend(more);
            Err(errors)
        }
    }
}

/// The aggregates of the SELECT list and HAVING, each with the texts that stand for it.
fn collect(
    select: &Select,
    inputs: &[(BoundSelect, Scope)],
    scope: &Scope,
) -> Analyzed<Vec<(Vec<String>, BoundAggregate)>> {
    let (mut found, mut errors) = (Vec::<(Vec<String>, BoundAggregate)>::new(), Vec::new());
    let mut open: Vec<&Expr> = expressions(select).collect();
    while let Some(expr) = open.pop() {
        let Kind::Aggregate(call) = &expr.kind else {
            open.extend(expr.children());
            continue;
        };
        let text = scope.text(expr);
        if found.iter().any(|(texts, _)| texts.contains(&text)) {
            continue;
        }
        match aggregates::bind(inputs, call, expr.place) {
            Ok(aggregate) => {
                let identity = aggregate.identity();
                match found.iter_mut().find(|(_, a)| a.identity() == identity) {
                    Some((texts, _)) => texts.push(text),
                    None => found.push((vec![text], aggregate)),
                }
            }
            Err(more) => errors.extend(more),
        }
        if found.len() > MAX_AGGREGATES {
            return refuse(
                select.place,
                format!("a SELECT has at most {MAX_AGGREGATES} aggregates"),
            );
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    // State keeps them in this order, wherever the query names them.
    found.sort_by_key(|(_, aggregate)| aggregate.identity());
    Ok(found)
}

/// What keeps the groups' state, and which of its results a text stands for.
fn stateful(
    inputs: Vec<(BoundSelect, Scope)>,
    keys: Keys,
    aggregates: Vec<(Vec<String>, BoundAggregate)>,
    place: Place,
) -> (StatefulNode, Vec<(String, usize)>) {
    let width = keys.cells.len() + usize::from(keys.time.is_some());
    let mut arguments: Vec<Cell> = Vec::new();
    for (_, aggregate) in &aggregates {
        for cell in aggregate.argument.iter().chain(&aggregate.filter) {
            if !arguments.iter().any(|a| a.identity == cell.identity) {
                arguments.push(cell.clone());
            }
        }
    }
    arguments.sort_by(|a, b| a.identity.cmp(&b.identity));
    let row = |cell: &Option<Cell>| {
        let cell = cell.as_ref()?;
        let found = arguments.iter().position(|a| a.identity == cell.identity)?;
        Some(width + found)
    };
    let (mut all, mut own) = (Vec::new(), Vec::new());
    for (_, aggregate) in &aggregates {
        let (argument, filter) = (row(&aggregate.argument), row(&aggregate.filter));
        let name = format!("aggregate_{}", all.len() + 1);
        own.push((
            column(&name, &aggregate.data_type, aggregate.nullable),
            // What decides which values count is part of where the result comes from, as a CASE's condition is.
            argument.into_iter().chain(filter).collect(),
        ));
        all.push(Aggregate {
            function: aggregate.function.clone(),
            argument,
            filter,
            distinct: aggregate.distinct,
            data_type: aggregate.data_type.clone(),
        });
    }
    let (texts, cells): (Vec<String>, Vec<Cell>) = keys.cells.into_iter().unzip();
    let parts = Parts {
        place,
        keys: cells,
        time: keys.time,
        arguments,
        window: keys.window,
    };
    let stateful = StatefulNode::new(inputs, parts, Operator::Aggregate(all), own);
    let mut columns: Vec<(String, usize)> = texts.into_iter().zip(0..).collect();
    for (text, index) in keys.bounds {
        columns.extend(stateful.window_column(index).map(|i| (text, i)));
    }
    for (index, (texts, _)) in aggregates.into_iter().enumerate() {
        let index = stateful.own_column(index);
        columns.extend(texts.into_iter().map(|text| (text, index)));
    }
    (stateful, columns)
}
