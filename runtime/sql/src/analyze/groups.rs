//! What a SELECT list and HAVING see over groups: keys, the window's bounds and aggregates.

use super::bound_expr::{Analyzed, BoundExpr, refuse};
use super::grouping_sets::GroupingSets;
use super::scope::Scope;
use super::window;
use crate::error::Place;
use crate::syntax::ast::{Expr, Kind, Name};

/// The columns of the results, by the texts of the expressions that they stand for.
pub(crate) struct Groups<'a> {
    /// The input's columns, which the texts are in terms of.
    pub scope: &'a Scope,
    /// Text and column.
    pub columns: Vec<(String, BoundExpr)>,
    /// Which keys the groupings have.
    pub sets: GroupingSets,
    /// Of several groupings: which one a result is of.
    pub number: Option<BoundExpr>,
}

impl Groups<'_> {
    /// What stands for an expression; `None`: look into it.
    pub(super) fn find(&self, expr: &Expr, results: &Scope) -> Option<Analyzed<BoundExpr>> {
        if self.may_have(expr) {
            let text = self.scope.text(expr);
            if let Some((_, typed)) = self.columns.iter().find(|(t, _)| *t == text) {
                return Some(Ok(results.narrowed(typed.clone().at(expr.place))));
            }
        }
        let text = |expr: &Expr| self.scope.text(expr);
        if let Some(found) = self.sets.function(expr, self.number.as_ref(), text) {
            return Some(found);
        }
        match &expr.kind {
            Kind::Call { name, .. } if window::is_window(&name.text) => {
                Some(Err(vec![window::misplaced(name)]))
            }
            Kind::Path(names) => Some(self.ungrouped(names)),
            _ => None,
        }
    }

    /// False if nothing begins like the expression: so a text isn't made for each part of a long one.
    fn may_have(&self, expr: &Expr) -> bool {
        let head = format!("{}(", expr.label());
        matches!(expr.kind, Kind::Path(_)) || self.columns.iter().any(|(t, _)| t.starts_with(&head))
    }

    /// All columns, as `*` gives them.
    pub(super) fn all(&self, place: Place) -> Analyzed<Vec<(String, BoundExpr)>> {
        let mut all = Vec::new();
        for (name, _) in &self.scope.columns {
            let expr = window::column(&Name {
                text: name.clone(),
                place,
            });
            let text = self.scope.text(&expr);
            match self.columns.iter().find(|(t, _)| *t == text) {
                Some((_, typed)) => all.push((name.clone(), typed.clone())),
                None => {
                    return self
                        .ungrouped(&[Name {
                            text: name.clone(),
                            place,
                        }])
                        .map(|_| all);
                }
            }
        }
        Ok(all)
    }

    fn ungrouped(&self, names: &[Name]) -> Analyzed<BoundExpr> {
        let typed = self.scope.path(names)?;
        let name = names.last().map_or("", |n| n.text.as_str());
        if window::COLUMNS.iter().any(|(column, _)| *column == name) {
            return refuse(
                typed.place,
                format!("\"{name}\" is not in GROUP BY; add it there"),
            );
        }
        refuse(
            typed.place,
            format!(
                "\"{name}\" differs within a group: add it to GROUP BY, or say which value is meant, as in MAX({name}) or LAST_VALUE({name})"
            ),
        )
    }
}
