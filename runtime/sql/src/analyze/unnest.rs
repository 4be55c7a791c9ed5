//! UNNEST: the elements of a row's array, or the entries of its map, become rows, each with the row's other columns.
//!
//! Facts (null elements, LEFT, names, ON) are Flink 2.3.0's, asked by runtime/connectors/tests/keyed/cases/unnest.golden.

use std::collections::BTreeSet;
use std::ops::Range;

use arrow::array::AsArray;

use super::bound_expr::{Analyzed, BoundExpr, refuse};
use super::from::from;
use super::scope::{NotNull, Scope, Side, shortened};
use super::select::{Environment, condition};
use super::window::{COLUMNS, Windowed};
use super::{Binder, BoundSelect, Input};
use crate::branch::Expansion;
use crate::error::Place;
use crate::schema::{Column, Schema};
use crate::syntax::ast::{Name, Unnest};
use crate::types::DataType;

/// Most UNNESTs of a branch, once sub-queries are put in: rows multiply.
const MAX_UNNESTED: usize = 8;
const BEFORE_WINDOW: &str =
    "UNNEST is done before a row is in its window; say this of the window around the aggregation";

/// An array or map whose elements are columns.
#[derive(Clone)]
pub(crate) struct Unnested {
    place: Place,
    /// What a row must satisfy before.
    filter: Option<BoundExpr>,
    argument: BoundExpr,
    /// LEFT: a row of which no element is left stays, with nulls.
    outer: bool,
    ordinality: bool,
    /// What an element must satisfy.
    on: Option<BoundExpr>,
    /// The place of the first new column.
    first: usize,
    /// How many there are.
    width: usize,
    /// How many columns before it are no window's.
    own: usize,
}

impl Unnested {
    /// Each row once for each element of a constant array, in the column with this place, which is the schema's last.
    pub(super) fn each(
        branch: &mut BoundSelect,
        argument: BoundExpr,
        first: usize,
        place: Place,
    ) -> Self {
        Self {
            place,
            filter: branch.filter.take(),
            argument,
            outer: false,
            ordinality: false,
            on: None,
            first,
            width: 1,
            own: branch.windowed.as_ref().map_or(first, |w| w.first),
        }
    }

    /// The same as a branch evaluates it.
    pub(crate) fn expansion(&self) -> Expansion<'_> {
        Expansion {
            place: self.place,
            filter: self.filter.as_ref().map(BoundExpr::computed),
            argument: self.argument.computed(),
            outer: self.outer,
            ordinality: self.ordinality,
            on: self.on.as_ref().map(BoundExpr::computed),
            columns: self.made(),
            own: self.own,
        }
    }

    /// The places of the new columns.
    fn made(&self) -> Range<usize> {
        self.first..self.first + self.width
    }
}

impl BoundSelect {
    /// The columns of the stream that these are computed from: those of UNNEST are made of what its array is.
    pub(crate) fn of_stream(&self, columns: &BTreeSet<usize>) -> BTreeSet<usize> {
        let mut open = columns.clone();
        for unnested in self.unnested.iter().rev() {
            let made = unnested.made();
            let before = open.len();
            open.retain(|column| !made.contains(column));
            if open.len() < before {
                open.extend(&unnested.argument.sources);
            }
        }
        open
    }

    /// The columns of the input that are read whatever is asked for.
    pub(crate) fn read_by_unnest(&self) -> BTreeSet<usize> {
        let parts = self.unnested.iter().flat_map(|one| {
            let parts = one.filter.iter().chain([&one.argument]).chain(&one.on);
            parts.flat_map(|part| part.sources.iter().copied())
        });
        self.of_stream(&parts.collect())
    }

    /// The input's columns, with those of UNNEST behind them.
    pub(crate) fn with_unnested(&self, mut input: Schema) -> Schema {
        for one in &self.unnested {
            let made = self.schema.columns.get(one.made()).unwrap_or_default();
            let labels = labels(&input, &one.argument);
            input.columns.extend(made.iter().map(|column| Column {
                labels: labels.clone(),
                ..column.clone()
            }));
        }
        input
    }

    /// The window table, which is no input of what is computed before the window.
    pub(crate) fn take_window(&mut self) -> Option<Windowed> {
        let windowed = self.windowed.take()?;
        // Behind them are columns whose places must stay.
        if self.schema.columns.len() == windowed.first + COLUMNS.len() {
            self.schema.columns.truncate(windowed.first);
        }
        Some(windowed)
    }
}

/// What FROM names with an UNNEST behind it.
pub(super) fn unnest<'a>(
    of: &'a Unnest,
    environment: &Environment<'a>,
) -> Analyzed<Vec<(BoundSelect, Scope)>> {
    let inputs = from(&of.input, environment)?;
    inputs
        .into_iter()
        .map(|(branch, scope)| one(of, branch, scope))
        .collect()
}

fn one(of: &Unnest, mut branch: BoundSelect, scope: Scope) -> Analyzed<(BoundSelect, Scope)> {
    check(of, &branch)?;
    let binder = Binder {
        scope: &scope,
        groups: None,
    };
    let argument = binder.bind(&of.argument)?;
    let reads_window = |typed: &BoundExpr| {
        let windowed = branch.windowed.as_ref();
        windowed.is_some_and(|windowed| windowed.reads(typed))
    };
    if reads_window(&argument) {
        return refuse(argument.place, BEFORE_WINDOW);
    }
    let made = columns(of, &argument)?;
    let identity = scope.identity(&of.argument);
    let number = branch.unnested.len();
    let first = branch.schema.columns.len();
    let own = branch.windowed.as_ref().map_or(first, |w| w.first);
    let mut scope = named(of, scope, made.len())?;
    let labels = labels(&branch.schema, &argument);
    let width = made.len();
    for (index, (name, data_type, nullable)) in made.into_iter().enumerate() {
        let nullable = nullable || of.outer;
        let place = first + index;
        let mut typed = BoundExpr::column(of.place, place, data_type.clone(), nullable);
        typed.identity = Some(format!("unnest{number}.{index}({identity})").into());
        branch.schema.columns.push(Column {
            name: format!("{number}.{name}"),
            data_type,
            nullable,
            labels: labels.clone(),
        });
        scope.columns.push((name, typed));
    }
    let on = match &of.on {
        None => None,
        Some(on) => {
            let binder = Binder {
                scope: &scope,
                groups: None,
            };
            let typed = condition("ON", on, &binder)?;
            if reads_window(&typed) {
                return refuse(typed.place, BEFORE_WINDOW);
            }
            Some((typed, scope.identity(on)))
        }
    };
    // Two queries of which one has UNNEST, or another one, don't go on with each other's state.
    let text = on.as_ref().map(|(_, text)| text);
    branch.conditions.push(format!(
        "unnest{number}({identity}) {} {} {text:?}",
        of.outer, of.ordinality
    ));
    let is_true = |typed: &BoundExpr| {
        let value = typed
            .node
            .literal()
            .and_then(|value| value.as_boolean_opt());
        value.is_some_and(|value| value.iter().all(|value| value == Some(true)))
    };
    branch.unnested.push(Unnested {
        place: of.place,
        filter: branch.filter.take(),
        argument,
        outer: of.outer,
        ordinality: of.ordinality,
        on: on.map(|(typed, _)| typed).filter(|typed| !is_true(typed)),
        first,
        width,
        own,
    });
    branch.columns.clone_from(&scope.columns);
    Ok((branch, scope))
}

/// What can't be unnested.
fn check(of: &Unnest, branch: &BoundSelect) -> Analyzed<()> {
    match &branch.input {
        Input::Stateful(node) if node.replaces() => {
            return refuse(
                of.place,
                "without a window, a result replaces the one before it, and the rows of the elements that it has no longer would stay: aggregate in a window, and UNNEST what that gives",
            );
        }
        Input::Stream(stream) if stream.compacted => {
            return refuse(
                of.place,
                format!(
                    "a record of the compacted stream \"{}\" replaces the one before it, and the rows of the elements that it has no longer would stay: UNNEST is for streams that aren't compacted",
                    stream.name
                ),
            );
        }
        Input::Stateful(_) | Input::Stream(_) => {}
    }
    if branch.unnested.len() == MAX_UNNESTED {
        return refuse(
            of.place,
            format!("a row passes at most {MAX_UNNESTED} UNNESTs"),
        );
    }
    Ok(())
}

/// A column's name, type, and whether it may be null.
type Made = (String, DataType, bool);

/// The columns that it gives.
fn columns(of: &Unnest, argument: &BoundExpr) -> Analyzed<Vec<Made>> {
    let mut made: Vec<Made> = match &argument.data_type {
        _ if argument.untyped_null => {
            return refuse(argument.place, "UNNEST of NULL gives no columns");
        }
        // An element that is null is no row.
        DataType::Array(element) => match element.as_ref() {
            DataType::Struct(fields) => fields
                .iter()
                .map(|field| (field.name.clone(), field.data_type.clone(), field.nullable))
                .collect(),
            element => {
                let name = of.alias.as_ref().map(|alias| alias.text.clone());
                let name = name.unwrap_or_else(|| "EXPR$0".to_owned());
                vec![(name, element.clone(), true)]
            }
        },
        DataType::Map(value) => vec![
            ("KEY".to_owned(), DataType::String, false),
            ("VALUE".to_owned(), value.as_ref().clone(), true),
        ],
        other => {
            return refuse(
                argument.place,
                format!(
                    "UNNEST takes an array or a map, this is {}",
                    shortened(other)
                ),
            );
        }
    };
    if of.ordinality {
        made.push(("ORDINALITY".to_owned(), DataType::Int, false));
    }
    let Some(first) = of.columns.first() else {
        return Ok(made);
    };
    if of.columns.len() != made.len() {
        return refuse(
            first.place,
            format!(
                "{} names are given for {} columns: UNNEST of {}{} gives {}",
                of.columns.len(),
                made.len(),
                shortened(&argument.data_type),
                if of.ordinality {
                    " WITH ORDINALITY"
                } else {
                    ""
                },
                listed(&made)
            ),
        );
    }
    for (column, name) in made.iter_mut().zip(&of.columns) {
        column.0.clone_from(&name.text);
    }
    Ok(made)
}

fn listed(made: &[Made]) -> String {
    let shown = made.iter().take(12).map(|(name, data_type, _)| {
        if name == "EXPR$0" {
            shortened(data_type)
        } else {
            format!("{name} {}", shortened(data_type))
        }
    });
    let more = if made.len() > 12 { ", …" } else { "" };
    format!("{}{more}", shown.collect::<Vec<_>>().join(", "))
}

/// The scope with one more name before a dot, for so many columns, which aren't there yet.
fn named(of: &Unnest, mut scope: Scope, made: usize) -> Analyzed<Scope> {
    let width = scope.columns.len();
    if scope.sides.is_empty() {
        scope.sides.push(Side {
            name: std::mem::take(&mut scope.name),
            columns: 0..width,
        });
    }
    let alias = of.alias.as_ref();
    if let Some(Name { text, place }) = alias
        && scope.sides.iter().any(|side| side.name == *text)
    {
        return refuse(
            *place,
            format!("\"{text}\" is the name of another input; give one another alias"),
        );
    }
    scope.sides.push(Side {
        name: alias.map_or_else(String::new, |alias| alias.text.clone()),
        columns: width..width + made,
    });
    scope.not_null = NotNull::default();
    Ok(scope)
}

/// The labels of what it is made of.
fn labels(schema: &Schema, argument: &BoundExpr) -> Vec<String> {
    let columns = argument.sources.iter();
    let labels: BTreeSet<String> = columns
        .filter_map(|column| schema.columns.get(*column))
        .flat_map(|column| column.labels.iter().cloned())
        .collect();
    labels.into_iter().collect()
}
