//! Names and types: a syntax tree and the streams' contracts become branches that can be evaluated.
//!
//! The binder resolves every name, gives every expression its Flink type, makes every cast explicit
//! and says everything that is wrong (up to [`MAX_ERRORS`]) with its place. Sub-queries are put in
//! where they are used, so that what runs is always one filter and one projection over one stream.

mod aggregate;
mod aggregates;
mod arrays;
pub(crate) mod bound_expr;
mod casts;
mod collections;
mod expressions;
mod from;
mod functions;
mod grouping;
mod grouping_sets;
mod groups;
mod items;
mod join;
mod json;
mod lengths;
mod literals;
mod logic;
mod math;
mod numbers;
mod over;
mod overflow;
mod rank;
mod rank_limit;
mod rows;
mod scope;
mod select;
mod spread;
mod stateful_node;
mod strings;
mod time;
mod unnest;
mod window;

use std::cell::Cell;
use std::rc::Rc;

use crate::branch::Reads;
use crate::catalog::{Catalog, Overflow};
use crate::error::SqlError;
use crate::schema::{Column, Schema};
use crate::syntax::ast::{Expr, Query};
use crate::types::DataType;
use bound_expr::{Analyzed, BoundExpr, refuse};
use groups::Groups;
use scope::Scope;
use spread::Spread;
pub(crate) use stateful_node::{StatefulNode, unique};
pub(crate) use unnest::Unnested;
use window::Windowed;

/// Most errors that are reported at once.
pub(crate) const MAX_ERRORS: usize = 10;

/// A bound SELECT over one stream, or over the results of what is aggregated.
#[derive(Clone)]
pub(crate) struct BoundSelect {
    pub input: Input,
    /// The input's columns.
    pub schema: Schema,
    /// The arrays and maps whose elements are columns, too: behind those of the input, in order.
    pub unnested: Vec<Unnested>,
    /// What a row must satisfy, if anything.
    pub filter: Option<BoundExpr>,
    /// The texts of the conditions that `filter` is made of.
    pub conditions: Vec<String>,
    /// Output columns.
    pub columns: Vec<(String, BoundExpr)>,
    /// A window table, whose rows aren't aggregated yet.
    pub windowed: Option<Windowed>,
}

/// What a SELECT reads.
#[derive(Clone)]
pub(crate) enum Input {
    Stream(Stream),
    Stateful(Rc<StatefulNode>),
}

/// A stream, as far as windows need to know it.
#[derive(Clone)]
pub(crate) struct Stream {
    pub name: String,
    /// The event time: column and fields.
    pub time: Option<Vec<usize>>,
    /// The same as the contract writes it.
    pub time_field: Option<String>,
    pub compacted: bool,
    /// The contract's key.
    pub key: Vec<String>,
    /// What of it is read.
    pub reads: Reads,
    /// Below a join: the window that the rows are in, where they are of a window table.
    pub spread: Option<Box<Spread>>,
}

impl BoundSelect {
    /// What makes the results that it reads.
    pub(crate) fn stateful(&self) -> Option<&Rc<StatefulNode>> {
        match &self.input {
            Input::Stateful(stateful) => Some(stateful),
            Input::Stream(_) => None,
        }
    }

    /// The stream's name; empty if it reads results.
    pub(crate) fn stream(&self) -> &str {
        match &self.input {
            Input::Stateful(_) => "",
            Input::Stream(stream) => &stream.name,
        }
    }

    /// The column as the output contract shows it.
    pub(crate) fn output(&self, index: usize) -> Option<Column> {
        let (name, typed) = self.columns.get(index)?;
        let mut labels: Vec<String> = typed
            .sources
            .iter()
            .filter_map(|i| self.schema.columns.get(*i))
            .flat_map(|c| c.labels.iter().cloned())
            .collect();
        labels.sort();
        labels.dedup();
        Some(Column {
            name: name.clone(),
            data_type: typed.data_type.clone(),
            nullable: typed.nullable,
            labels,
        })
    }
}

/// Checks a query; gives what to think about, too.
pub(crate) fn query(
    query: &Query,
    catalog: &Catalog,
) -> Analyzed<(Vec<BoundSelect>, Vec<SqlError>)> {
    let budget = Cell::new(select::MAX_SELECTS);
    let environment = select::Environment::of(catalog, &budget);
    let (mut checked, mut notes) = overflow::checked(catalog.overflow(), || {
        select::query(query, &environment).and_then(stateful_node::finished)
    });
    if checked.is_err() {
        // Windows that nothing aggregates are columns like others.
        budget.set(select::MAX_SELECTS);
        let (rows, more) = overflow::checked(catalog.overflow(), || {
            select::query(query, &environment.of_rows()).and_then(stateful_node::finished)
        });
        if let Ok(rows) = rows
            && rows.iter().all(|one| one.stateful().is_none())
        {
            (checked, notes) = (Ok(rows), more);
        }
    }
    checked
        .map(|checked| (checked, notes))
        .map_err(|mut errors| {
            errors.sort_by_key(|e| (e.line, e.column));
            errors.dedup();
            errors.truncate(MAX_ERRORS);
            errors
        })
}

/// Checks a condition over one schema's columns.
pub(crate) fn condition(expr: &Expr, schema: &Schema) -> Analyzed<BoundExpr> {
    let scope = Scope::of_stream("", schema);
    let binder = Binder {
        scope: &scope,
        groups: None,
    };
    let (typed, _) = overflow::checked(Overflow::Fail, || binder.bind(expr));
    let mut typed = typed.map_err(|mut errors| {
        errors.sort_by_key(|e| (e.line, e.column));
        errors.truncate(MAX_ERRORS);
        errors
    })?;
    if typed.untyped_null {
        typed = BoundExpr::null(typed.place, DataType::Boolean);
    }
    if typed.data_type == DataType::Boolean {
        Ok(typed)
    } else {
        let data_type = scope::shortened(&typed.data_type);
        refuse(
            typed.place,
            format!("a condition is a boolean, this is {data_type}"),
        )
    }
}

/// Checks expressions within a scope.
pub(crate) struct Binder<'a> {
    pub scope: &'a Scope,
    /// In a SELECT list or HAVING over groups: what stands for keys and aggregates.
    pub groups: Option<&'a Groups<'a>>,
}

impl Binder<'_> {
    /// The names that may stand before a dot.
    fn names(&self) -> Vec<&str> {
        self.groups.map_or(self.scope, |g| g.scope).names()
    }

    /// Checks several expressions; the errors of all are kept.
    pub(crate) fn bind_all<'e>(
        &self,
        exprs: impl IntoIterator<Item = &'e Expr>,
    ) -> Analyzed<Vec<BoundExpr>> {
        let (mut bound, mut errors) = (Vec::new(), Vec::<SqlError>::new());
        for expr in exprs {
            match self.bind(expr) {
                Ok(typed) => bound.push(typed),
                Err(more) => errors.extend(more),
            }
        }
        if errors.is_empty() {
            Ok(bound)
        } else {
            Err(errors)
        }
    }

    /// Checks two expressions; the errors of both are kept.
    pub(crate) fn bind_two(&self, left: &Expr, right: &Expr) -> Analyzed<(BoundExpr, BoundExpr)> {
        match (self.bind(left), self.bind(right)) {
            (Ok(left), Ok(right)) => Ok((left, right)),
            (Err(mut errors), Err(more)) => {
                errors.extend(more);
                Err(errors)
            }
            (Err(errors), _) | (_, Err(errors)) => Err(errors),
        }
    }
}
