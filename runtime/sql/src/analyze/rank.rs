//! `ROW_NUMBER() OVER (PARTITION BY … ORDER BY …)` and the condition that bounds it: the last row of each
//! key, or the first rows of each key in a window.

use std::rc::Rc;

use super::bound_expr::{Analyzed, refuse};
use super::grouping::{of_times, time_cell};
use super::rows::{Cell, check_inputs, check_key};
use super::scope::{Scope, shortened};
use super::select::{filtered, twice};
use super::stateful_node::{Parts, StatefulNode, column};
use super::window::{self, COLUMNS};
use super::{BoundSelect, Input};
use crate::error::{Place, SqlError};
use crate::keyed::{Operator, Order, Rank};
use crate::syntax::ast::{Expr, Item, Kind, Name, RowNumber, Select};
use crate::syntax::own_name;
use crate::types::DataType;

/// True for a SELECT that numbers rows.
pub(super) fn wanted(select: &Select) -> bool {
    select.items.iter().any(|item| match item {
        Item::Expr { expr, .. } => matches!(expr.kind, Kind::RowNumber(_)),
        Item::All { .. } => false,
    })
}

/// A column of the SELECT list: what it is called, and which column of the node's results.
enum Shown {
    Key(usize),
    Window(usize),
    Time,
    Argument(usize),
    Number,
}

impl Shown {
    /// Which column of the node's results it is. `last`: that of the row's number, among the node's own.
    fn column(&self, node: &StatefulNode, last: usize) -> usize {
        match *self {
            Shown::Key(key) => key,
            Shown::Window(index) => node.window_column(index).unwrap_or(0),
            Shown::Time => node.own_column(0),
            Shown::Argument(index) => node.own_column(index + 1),
            Shown::Number => node.own_column(last),
        }
    }
}

/// What ORDER BY names; none: event time. Whether it descends, and whether null is first.
type Ordered = (Option<Cell>, bool, bool);

/// What PARTITION BY names.
#[derive(Default)]
struct Partition {
    keys: Vec<Cell>,
    bounds: [bool; 3],
}

/// Checks a SELECT that numbers rows. Its bound comes from the SELECT around it.
pub(super) fn select(
    select: &Select,
    inputs: Vec<(BoundSelect, Scope)>,
    named: bool,
) -> Analyzed<BoundSelect> {
    let (number, place) = number(select)?;
    check_inputs(&inputs, place)?;
    let inputs = filtered(select, inputs)?;
    let windowed = inputs.first().and_then(|(c, _)| c.windowed.clone());
    let partition = partition(number, &inputs, place)?;
    let mut time = None;
    if let Some(windowed) = &windowed {
        window::named(windowed, partition.bounds, place, "PARTITION BY")?;
        if windowed.partition.is_some() {
            return refuse(
                place,
                "the first rows of a session are not in this version; take TUMBLE, HOP or CUMULATE",
            );
        }
        time = Some(time_cell(&inputs));
    } else {
        unwindowed(number, place)?;
    }

    let mut arguments: Vec<Cell> = Vec::new();
    let mut order: Vec<Ordered> = Vec::new();
    for by in &number.order {
        let cell = Cell::bind(&inputs, &by.expr)?;
        check_order(&cell, &inputs, by.expr.place)?;
        if windowed.is_none() {
            time = Some(last_time(&cell, by.expr.place, &inputs)?);
        }
        let cell = (!is_event_time(&cell, &inputs)).then_some(cell);
        if let Some(cell) = &cell {
            add(&mut arguments, cell);
        }
        order.push((cell, by.descending, by.nulls_first));
    }

    let listed = list(select, &inputs, named)?;
    for (_, what) in &listed {
        if let Listed::Cell(cell) = what
            && key_of(&partition, cell).is_none()
            && !is_shown_time(cell, &inputs)
        {
            add(&mut arguments, cell);
        }
    }
    arguments.sort_by(|a, b| a.identity.cmp(&b.identity));
    let find = |cell: &Cell| arguments.iter().position(|a| a.identity == cell.identity);
    let keys = partition.keys.len();
    let first = keys + 1;
    let order: Vec<Order> = order
        .into_iter()
        .map(|(cell, descending, nulls_first)| Order {
            column: cell.and_then(|c| find(&c)).map_or(keys, |i| first + i),
            descending,
            nulls_first,
        })
        .collect();
    let shown: Vec<(String, Shown)> = listed
        .into_iter()
        .map(|(name, what)| {
            let shown = match what {
                Listed::Number => Shown::Number,
                Listed::Window(index) => Shown::Window(index),
                Listed::Cell(cell) => match key_of(&partition, &cell) {
                    Some(key) => Shown::Key(key),
                    None if is_shown_time(&cell, &inputs) => Shown::Time,
                    None => Shown::Argument(find(&cell).unwrap_or(0)),
                },
            };
            (name, shown)
        })
        .collect();

    let mut own = vec![(column("event_time", &window::TIME, false), vec![keys])];
    own.extend(arguments.iter().enumerate().map(|(index, cell)| {
        let column = column(&cell.name, cell.data_type(), cell.nullable());
        (column, vec![first + index])
    }));
    let by = order.iter().map(|o| o.column).collect();
    own.push((column("row_number", &DataType::BigInt, false), by));
    let last = own.len() - 1;
    let parts = Parts {
        place,
        keys: partition.keys,
        time,
        arguments,
        window: windowed.map(|w| w.window),
    };
    let stateful = StatefulNode::new(inputs, parts, Operator::Rank(Rank { order, limit: 0 }), own);
    let columns = shown.into_iter().map(|(name, shown)| {
        let index = shown.column(&stateful, last);
        (name, stateful.result(index).at(place))
    });
    let columns = columns.collect();
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

/// The event time that the last row of a key is found by: what ORDER BY names.
fn last_time(cell: &Cell, place: Place, inputs: &[(BoundSelect, Scope)]) -> Analyzed<Cell> {
    let mut times = Vec::with_capacity(inputs.len());
    for ((checked, _), typed) in inputs.iter().zip(&cell.typed) {
        let typed = typed.clone().at(place);
        times.push(window::event_time("ROW_NUMBER", checked, typed).map_err(elsewhere)?);
    }
    Ok(of_times(times))
}

/// The row number of the SELECT list, which is alone there.
fn number(select: &Select) -> Analyzed<(&RowNumber, Place)> {
    let mut found = None;
    for item in &select.items {
        let Item::Expr { expr, .. } = item else {
            continue;
        };
        match (&expr.kind, &found) {
            (Kind::RowNumber(number), None) => found = Some((number.as_ref(), expr.place)),
            (Kind::RowNumber(_), Some(_)) => {
                return refuse(
                    expr.place,
                    "a SELECT has one ROW_NUMBER(); this is a second one",
                );
            }
            _ => {
                if let Some(inner) = expr.stateful() {
                    return refuse(
                        inner.place,
                        "an aggregate beside ROW_NUMBER() would be an aggregation over an aggregation; write one of them to a stream by a Pipeline of its own",
                    );
                }
            }
        }
    }
    let Some((number, place)) = found else {
        return refuse(select.place, "ROW_NUMBER() is missing");
    };
    let other = select
        .group
        .as_ref()
        .map(|g| g.place)
        .or(select.distinct)
        .or(select.having.as_ref().map(|h| h.place));
    match other {
        Some(other) => Err(vec![window::nested(other)]),
        None => Ok((number, place)),
    }
}

fn partition(
    number: &RowNumber,
    inputs: &[(BoundSelect, Scope)],
    place: Place,
) -> Analyzed<Partition> {
    let mut partition = Partition::default();
    for expr in &number.partition {
        let cell = Cell::bind(inputs, expr)?;
        if let Some(index) = cell.window_column(inputs) {
            if let Some(bound) = partition.bounds.get_mut(index) {
                *bound = true;
            }
            continue;
        }
        if cell.reads_window(inputs) {
            return refuse(
                expr.place,
                "PARTITION BY takes window_start and window_end as they are",
            );
        }
        check_key("PARTITION BY", &cell, expr.place)?;
        if key_of(&partition, &cell).is_none() {
            partition.keys.push(cell);
        }
    }
    if partition.keys.is_empty() && partition.bounds == [false; 3] {
        return refuse(
            place,
            "ROW_NUMBER() needs PARTITION BY: the columns whose first rows are wanted",
        );
    }
    Ok(partition)
}

/// Without a window: the first or last row of each key by event time.
fn unwindowed(number: &RowNumber, place: Place) -> Analyzed<()> {
    if number.order.len() > 1 {
        return refuse(
            place,
            "without a window, ROW_NUMBER() is ordered by the event time alone, ascending for the first row of each key or descending for the last",
        );
    }
    Ok(())
}

fn check_order(cell: &Cell, inputs: &[(BoundSelect, Scope)], place: Place) -> Analyzed<()> {
    if cell.reads_window(inputs) {
        return refuse(
            place,
            "a window's bounds are the same for all its rows, so they order nothing",
        );
    }
    match cell.data_type() {
        DataType::Array(_) | DataType::Map(_) | DataType::Struct(_) => refuse(
            place,
            format!(
                "ORDER BY takes single values, not {}",
                shortened(cell.data_type())
            ),
        ),
        _ => Ok(()),
    }
}

/// True for the event time of every branch that has lost no digit on its way into the rows.
pub(super) fn is_shown_time(cell: &Cell, inputs: &[(BoundSelect, Scope)]) -> bool {
    *cell.data_type() == window::TIME && is_event_time(cell, inputs)
}

/// True for the event time of every branch, as it is.
fn is_event_time(cell: &Cell, inputs: &[(BoundSelect, Scope)]) -> bool {
    inputs
        .iter()
        .zip(&cell.typed)
        .all(|((checked, _), typed)| match &checked.input {
            Input::Stream(stream) => stream.time.is_some() && typed.path == stream.time,
            Input::Stateful(_) => false,
        })
}

/// Where the first rows by other columns are found.
fn elsewhere(mut errors: Vec<SqlError>) -> Vec<SqlError> {
    for error in &mut errors {
        error.message.push_str("; the first rows by another column are found in a window: TABLE(TUMBLE(…)) and PARTITION BY window_start, window_end");
    }
    errors
}

fn add(arguments: &mut Vec<Cell>, cell: &Cell) {
    if !arguments.iter().any(|a| a.identity == cell.identity) {
        arguments.push(cell.clone());
    }
}

fn key_of(partition: &Partition, cell: &Cell) -> Option<usize> {
    let keys = &partition.keys;
    keys.iter().position(|k| k.identity == cell.identity)
}

/// A column of the SELECT list before the rows are laid out.
enum Listed {
    Number,
    Window(usize),
    Cell(Cell),
}

/// The SELECT list.
fn list(
    select: &Select,
    inputs: &[(BoundSelect, Scope)],
    named: bool,
) -> Analyzed<Vec<(String, Listed)>> {
    let Some((_, scope)) = inputs.first() else {
        return refuse(select.place, "FROM gives no rows");
    };
    let mut all = Vec::new();
    for item in &select.items {
        match item {
            Item::All { place, of } => {
                if let Some(of) = of
                    && of.text != scope.name
                {
                    return refuse(of.place, format!("unknown stream \"{}\"", of.text));
                }
                for (name, _) in &scope.columns {
                    let expr = window::column(&Name {
                        text: name.clone(),
                        place: *place,
                    });
                    all.push((name.clone(), listed(inputs, &expr)?, *place));
                }
            }
            Item::Expr { expr, alias } => {
                let name = match (alias, own_name(&expr.kind)) {
                    (Some(alias), _) => alias.text.clone(),
                    (None, Some(name)) => name.to_owned(),
                    (None, None) if !named => String::new(),
                    (None, None) => {
                        return refuse(expr.place, "this column needs a name: add AS and one");
                    }
                };
                let what = if matches!(expr.kind, Kind::RowNumber(_)) {
                    Listed::Number
                } else {
                    listed(inputs, expr)?
                };
                all.push((name, what, expr.place));
            }
        }
    }
    for (index, (name, _, place)) in all.iter().enumerate() {
        if named && all[..index].iter().any(|(n, ..)| n == name) {
            return Err(vec![twice(*place, name)]);
        }
    }
    Ok(all
        .into_iter()
        .map(|(name, what, _)| (name, what))
        .collect())
}

fn listed(inputs: &[(BoundSelect, Scope)], expr: &Expr) -> Analyzed<Listed> {
    let cell = Cell::bind(inputs, expr)?;
    if let Some(index) = cell.window_column(inputs) {
        return Ok(Listed::Window(index.min(COLUMNS.len() - 1)));
    }
    if cell.reads_window(inputs) {
        return refuse(
            expr.place,
            "a window's bounds are listed as they are beside ROW_NUMBER(); compute with them in the SELECT around this one",
        );
    }
    Ok(Listed::Cell(cell))
}
