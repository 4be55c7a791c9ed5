//! OVER: each row of the input, with what is computed of the rows of its key up to it.

mod functions;
mod window;

use std::rc::Rc;

use self::functions::{Asked, Function};
use self::window::Bound;
use super::bound_expr::{Analyzed, refuse};
use super::grouping_sets::GroupingSets;
use super::groups::Groups;
use super::rank::is_shown_time;
use super::rows::{Cell, check_inputs};
use super::scope::{NotNull, Scope};
use super::select::{columns, filtered};
use super::stateful_node::{Parts, StatefulNode, column};
use super::window::{TIME, column as path_of};
use super::{Binder, BoundSelect, Input};
use crate::error::Place;
use crate::keyed::Operator;
use crate::keyed::over::{Frame, Over};
use crate::syntax::ast::{Expr, Item, Kind, Name, Select};

/// Where OVER doesn't stand.
pub(super) const LONE: &str = "a function with OVER looks at the rows that WHERE and GROUP BY leave, so it stands in the SELECT list; to ask for what it gives, put this SELECT in FROM: SELECT … FROM (SELECT *, LAG(n) OVER (PARTITION BY key ORDER BY time) AS before FROM s) WHERE n < before";

/// The first function with OVER, other than ROW_NUMBER alone.
pub(super) fn wanted(select: &Select) -> Option<&Expr> {
    expressions(select).find_map(Expr::over)
}

fn expressions(select: &Select) -> impl Iterator<Item = &Expr> {
    select.items.iter().filter_map(|item| match item {
        Item::Expr { expr, .. } => Some(expr),
        Item::All { .. } => None,
    })
}

/// Checks a SELECT with OVER, the first one at `place`.
pub(super) fn select(
    select: &Select,
    inputs: Vec<(BoundSelect, Scope)>,
    named: bool,
    place: Place,
) -> Analyzed<BoundSelect> {
    alone(select, place)?;
    check_inputs(&inputs, place)?;
    if let Some(windowed) = inputs.iter().find_map(|(c, _)| c.windowed.as_ref()) {
        return refuse(
            windowed.place,
            "OVER over a window table is not in this version: its rows are in no window but the frame's; write RANGE BETWEEN INTERVAL … PRECEDING AND CURRENT ROW, or take the first rows of each window with ROW_NUMBER()",
        );
    }
    let inputs = filtered(select, inputs)?;
    let Some((_, scope)) = inputs.first() else {
        return refuse(place, "FROM gives no rows");
    };
    let scope = scope.clone();
    let asked = functions::asked(select, &scope)?;
    let bound = window::bound(select, &asked, &inputs)?;
    let functions = functions::bind(&asked, &inputs)?;
    let listed = listed(select, &inputs, &scope)?;
    let (stateful, texts) = stateful(inputs, bound, functions, listed, place);
    let groups = Groups {
        scope: &scope,
        number: None,
        sets: GroupingSets::default(),
        columns: texts
            .into_iter()
            .map(|(text, index)| (text, stateful.result(index)))
            .collect(),
    };
    let results = Scope {
        name: String::new(),
        columns: Vec::new(),
        sides: Vec::new(),
        not_null: NotNull::default(),
    };
    let binder = Binder {
        scope: &results,
        groups: Some(&groups),
    };
    let columns = columns(select, &binder, named)?;
    Ok(BoundSelect {
        schema: stateful.results.clone(),
        input: Input::Stateful(Rc::new(stateful)),
        filter: None,
        conditions: Vec::new(),
        columns,
        unnested: Vec::new(),
        windowed: None,
    })
}

/// OVER is over rows, not over groups.
fn alone(select: &Select, place: Place) -> Analyzed<()> {
    if let Some(aggregate) = expressions(select).find_map(Expr::aggregate) {
        return refuse(
            aggregate.place,
            "an aggregate of groups beside one with OVER: of the rows up to each row it has OVER, too; of groups it is a SELECT of its own",
        );
    }
    let grouped = select.group.as_ref().map(|group| group.place);
    let having = select.having.as_ref().map(|having| having.place);
    match grouped.or(select.distinct).or(having) {
        Some(_) => refuse(
            place,
            "OVER over groups is not in this version; write the groups to a stream by a Pipeline of its own, and look back over that stream here",
        ),
        None => Ok(()),
    }
}

/// The columns of the input that the SELECT list reads beside its functions, with their texts.
fn listed(
    select: &Select,
    inputs: &[(BoundSelect, Scope)],
    scope: &Scope,
) -> Analyzed<Vec<(String, Cell)>> {
    let mut paths: Vec<Expr> = Vec::new();
    for item in &select.items {
        match item {
            // Whether the name before the dot is there is asked where the list is made.
            Item::All { place, .. } => paths.extend(scope.columns.iter().map(|(name, _)| {
                path_of(&Name {
                    text: name.clone(),
                    place: *place,
                })
            })),
            Item::Expr { expr, .. } => read(expr, &mut paths),
        }
    }
    let mut cells: Vec<(String, Cell)> = Vec::new();
    let mut errors = Vec::new();
    for path in &paths {
        let text = scope.text(path);
        if cells.iter().any(|(known, _)| *known == text) {
            continue;
        }
        match Cell::bind(inputs, path) {
            Ok(cell) => cells.push((text, cell)),
            Err(more) => errors.extend(more),
        }
    }
    if errors.is_empty() {
        Ok(cells)
    } else {
        Err(errors)
    }
}

/// The paths in an expression that aren't a function's.
fn read(expr: &Expr, paths: &mut Vec<Expr>) {
    match &expr.kind {
        Kind::Over(_) | Kind::RowNumber(_) => {}
        Kind::Path(_) => paths.push(expr.clone()),
        _ => crate::stack::deeper(|| {
            for child in expr.children() {
                read(child, paths);
            }
        }),
    }
}

/// What computes the functions, and which of its results a text stands for.
fn stateful(
    inputs: Vec<(BoundSelect, Scope)>,
    bound: Bound,
    functions: Vec<Function>,
    listed: Vec<(String, Cell)>,
    place: Place,
) -> (StatefulNode, Vec<(String, usize)>) {
    let keys = bound.keys.len();
    let of_key = |cell: &Cell| bound.keys.iter().position(|k| k.identity == cell.identity);
    let is_time = |cell: &Cell| is_shown_time(cell, &inputs);
    let mut arguments: Vec<Cell> = Vec::new();
    let shown = listed.iter().map(|(_, cell)| cell);
    let shown = shown.filter(|cell| of_key(cell).is_none() && !is_time(cell));
    for cell in shown.chain(functions.iter().flat_map(Function::cells)) {
        if !arguments.iter().any(|a| a.identity == cell.identity) {
            arguments.push(cell.clone());
        }
    }
    arguments.sort_by(|a, b| a.identity.cmp(&b.identity));
    let row = |cell: &Cell| {
        let found = arguments.iter().position(|a| a.identity == cell.identity);
        keys + 1 + found.unwrap_or(0)
    };
    let mut texts: Vec<(String, usize)> = Vec::new();
    for (text, cell) in &listed {
        let index = match of_key(cell) {
            Some(key) => key,
            None if is_time(cell) => keys,
            None => row(cell),
        };
        texts.push((text.clone(), index));
    }
    let mut own = vec![(column("event_time", &TIME, false), vec![keys])];
    own.extend(arguments.iter().enumerate().map(|(index, cell)| {
        let column = column(&cell.name, cell.data_type(), cell.nullable());
        (column, vec![keys + 1 + index])
    }));
    let mut all = Vec::new();
    for function in functions {
        let from = if function.counts() {
            vec![keys]
        } else {
            function.cells().map(row).collect()
        };
        let index = keys + own.len();
        texts.extend(function.texts.iter().map(|text| (text.clone(), index)));
        let name = format!("over_{}", all.len() + 1);
        own.push((column(&name, &function.data_type, function.nullable), from));
        all.push(function.compiled(&row));
    }
    let over = Over {
        frame: bound.frame.unwrap_or(Frame::Range { preceding_ms: None }),
        functions: all,
    };
    let parts = Parts {
        place,
        keys: bound.keys,
        time: Some(bound.time),
        arguments,
        window: None,
    };
    let operator = Operator::Over(Box::new(over));
    (StatefulNode::new(inputs, parts, operator, own), texts)
}

/// The calls of a SELECT list.
type Calls<'a> = Vec<Asked<'a>>;
