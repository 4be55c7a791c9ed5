//! The rows that branches give to what keeps state: columns that are bound in every branch.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::bound_expr::{Analyzed, BoundExpr, refuse};
use super::scope::{Scope, shortened};
use super::{Binder, BoundSelect, casts, window};
use crate::error::Place;
use crate::syntax::ast::Expr;
use crate::types::DataType;

/// One column of the rows.
#[derive(Clone)]
pub(super) struct Cell {
    /// What it is called; made distinct later.
    pub name: String,
    /// What it is, in each branch.
    pub identity: Vec<Arc<str>>,
    /// How each branch computes it.
    pub typed: Vec<BoundExpr>,
}

impl Cell {
    /// Binds an expression in every branch.
    pub(super) fn bind(inputs: &[(BoundSelect, Scope)], expr: &Expr) -> Analyzed<Self> {
        let mut typed = Vec::with_capacity(inputs.len());
        let mut identity: Vec<Arc<str>> = Vec::with_capacity(inputs.len());
        for (_, scope) in inputs {
            let binder = Binder {
                scope,
                groups: None,
            };
            typed.push(binder.bind(expr)?);
            identity.push(scope.identity(expr));
        }
        // Branches that were united have the same types; a constant NULL takes any.
        if typed.iter().all(|t| t.untyped_null) {
            return refuse(
                expr.place,
                "NULL alone has no type; write CAST(NULL AS STRING) or another type",
            );
        }
        let (_, typed) = casts::to_one_type("UNION ALL", typed)?;
        let name = crate::syntax::own_name(&expr.kind).unwrap_or_default();
        Ok(Self {
            name: name.to_owned(),
            identity,
            typed,
        })
    }

    pub(super) fn data_type(&self) -> &DataType {
        &self.typed[0].data_type
    }

    pub(super) fn nullable(&self) -> bool {
        self.typed.iter().any(|t| t.nullable)
    }

    /// True if it reads a column of the window, which branches don't have.
    pub(super) fn reads_window(&self, inputs: &[(BoundSelect, Scope)]) -> bool {
        inputs
            .iter()
            .zip(&self.typed)
            .any(|((checked, _), typed)| checked.windowed.as_ref().is_some_and(|w| w.reads(typed)))
    }

    /// Which column of the window it is, if nothing but that.
    pub(super) fn window_column(&self, inputs: &[(BoundSelect, Scope)]) -> Option<usize> {
        let (checked, _) = inputs.first()?;
        checked.windowed.as_ref()?.column(self.typed.first()?)
    }
}

/// Checks that equal values of a key's column are written equally.
pub(super) fn check_key(clause: &str, cell: &Cell, place: Place) -> Analyzed<()> {
    match cell.data_type() {
        DataType::Float | DataType::Double => refuse(
            place,
            format!(
                "{clause}: a {} is no key: equal numbers may be written differently; use CAST(… AS DECIMAL(p,s)), or ROUND and CAST",
                cell.data_type()
            ),
        ),
        DataType::Array(_) | DataType::Map(_) | DataType::Struct(_) => refuse(
            place,
            format!(
                "{clause}: a key is a single value, this is {}; name the field or element that is wanted",
                shortened(cell.data_type())
            ),
        ),
        _ => Ok(()),
    }
}

/// Checks that the rows may be put into state.
pub(super) fn check_inputs(inputs: &[(BoundSelect, Scope)], place: Place) -> Analyzed<()> {
    for (checked, _) in inputs {
        match &checked.input {
            super::Input::Stateful(node) => return Err(vec![window::over_state(place, node)]),
            super::Input::Stream(stream) if stream.compacted => {
                return Err(vec![window::compacted(place, &stream.name)]);
            }
            super::Input::Stream(_) => {}
        }
    }
    Ok(())
}

/// Branches that give the cells as their columns.
pub(super) fn branches(inputs: Vec<(BoundSelect, Scope)>, cells: &[Cell]) -> Vec<BoundSelect> {
    let names = distinct_names(cells.iter().map(|c| c.name.as_str()));
    inputs
        .into_iter()
        .enumerate()
        .map(|(branch, (mut checked, _))| {
            checked.take_window();
            checked.columns = cells
                .iter()
                .zip(&names)
                .map(|(cell, name)| {
                    let mut typed = cell.typed[branch].clone();
                    typed.identity = cell.identity.get(branch).cloned();
                    (name.clone(), typed)
                })
                .collect();
            checked
        })
        .collect()
}

/// The names, each once.
pub(super) fn distinct_names<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut taken = BTreeSet::new();
    names
        .map(|name| {
            let base = if name.is_empty() { "column" } else { name };
            let mut name = base.to_owned();
            let mut number = 1;
            while !taken.insert(name.clone()) {
                number += 1;
                name = format!("{base}_{number}");
            }
            name
        })
        .collect()
}
