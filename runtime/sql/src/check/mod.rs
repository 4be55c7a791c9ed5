//! Names and types: a syntax tree and the streams' contracts become branches that can be evaluated.
//!
//! The checker resolves every name, gives every expression its Flink type, makes every cast explicit
//! and says everything that is wrong (up to [`MAX_ERRORS`]) with its place. Sub-queries are put in
//! where they are used, so that what runs is always one filter and one projection over one stream.

mod casts;
mod collections;
mod expressions;
mod functions;
mod json;
mod literals;
mod logic;
mod math;
mod numbers;
mod scope;
mod select;
mod strings;
mod time;
pub(crate) mod typed;

use std::cell::Cell;

use crate::Catalog;
use crate::error::SqlError;
use crate::schema::{Column, Schema};
use crate::syntax::ast::{Expr, Query};
use scope::Scope;
use typed::{Bound, Typed, refuse};

/// Most errors that are reported at once.
pub(crate) const MAX_ERRORS: usize = 10;

/// A checked SELECT over one stream.
pub(crate) struct Checked {
    /// The stream's name.
    pub input: String,
    /// The stream's columns.
    pub schema: Schema,
    /// What a row must satisfy, if anything.
    pub filter: Option<Typed>,
    /// Output columns.
    pub columns: Vec<(String, Typed)>,
}

impl Checked {
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

/// Checks a query.
pub(crate) fn query(query: &Query, catalog: &Catalog) -> Bound<Vec<Checked>> {
    let budget = Cell::new(select::MAX_SELECTS);
    select::query(query, &select::Environment::of(catalog, &budget)).map_err(|mut errors| {
        errors.sort_by_key(|e| (e.line, e.column));
        errors.dedup();
        errors.truncate(MAX_ERRORS);
        errors
    })
}

/// Checks a condition over one schema's columns.
pub(crate) fn condition(expr: &Expr, schema: &Schema) -> Bound<Typed> {
    let scope = Scope::of_stream("", schema);
    let typed = Checker { scope: &scope }.bind(expr)?;
    if typed.data_type == crate::types::DataType::Boolean || typed.untyped_null {
        Ok(typed)
    } else {
        refuse(
            typed.place,
            format!("a condition is a boolean, this is {}", typed.data_type),
        )
    }
}

/// Checks expressions within a scope.
pub(crate) struct Checker<'a> {
    pub scope: &'a Scope,
}

impl Checker<'_> {
    /// Checks several expressions; the errors of all are kept.
    pub(crate) fn bind_all<'e>(
        &self,
        exprs: impl IntoIterator<Item = &'e Expr>,
    ) -> Bound<Vec<Typed>> {
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
    pub(crate) fn bind_two(&self, left: &Expr, right: &Expr) -> Bound<(Typed, Typed)> {
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
