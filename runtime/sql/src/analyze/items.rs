//! The SELECT list, and what a condition says about nulls.

use std::collections::HashMap;

use super::Binder;
use super::bound_expr::{Analyzed, BoundExpr, refuse};
use crate::error::{Place, SqlError};
use crate::suggest::nearest;
use crate::syntax::ast::{Expr, Is, Item, Kind, Name};
use crate::syntax::own_name;

pub(super) fn item(
    item: &Item,
    binder: &Binder,
    named: bool,
) -> Analyzed<Vec<(String, BoundExpr, Place)>> {
    match item {
        Item::All { place, of } => {
            let unknown = |of: &Name| {
                let near = nearest(&of.text, binder.names().into_iter());
                let error = SqlError::new(of.place, format!("unknown stream \"{}\"", of.text));
                Err(vec![error.meant(near)])
            };
            let name = of.as_ref().map(|of| of.text.as_str());
            let all: Vec<(String, BoundExpr)> = match (binder.groups, of) {
                (Some(groups), Some(of)) if of.text != groups.scope.name => return unknown(of),
                (Some(groups), _) => groups.all(*place)?,
                (None, of) => match (binder.scope.all(name), of) {
                    (Some(all), _) => all,
                    (None, Some(of)) => return unknown(of),
                    (None, None) => Vec::new(),
                },
            };
            Ok(all
                .into_iter()
                .map(|(name, typed)| (name, typed.at(*place), *place))
                .collect())
        }
        Item::Expr { expr, alias } => {
            let mut typed = binder.bind(expr)?;
            if binder.groups.is_none() {
                typed.identity = Some(binder.scope.identity(expr));
            }
            if typed.untyped_null {
                return refuse(
                    expr.place,
                    "NULL alone has no type; write CAST(NULL AS STRING) or another type",
                );
            }
            let name = match (alias, own_name(&expr.kind)) {
                (Some(alias), _) => alias.text.clone(),
                (None, Some(name)) => name.to_owned(),
                (None, None) if !named => String::new(),
                (None, None) => {
                    return refuse(expr.place, "this column needs a name: add AS and one");
                }
            };
            Ok(vec![(
                name,
                typed,
                alias.as_ref().map_or(expr.place, |a| a.place),
            )])
        }
    }
}

/// The expressions that aren't null in a row that satisfies a condition, by their text.
pub(super) fn not_null<'e>(expr: &'e Expr, binder: &Binder) -> HashMap<String, &'e Expr> {
    let mut found = HashMap::new();
    collect(expr, binder, &mut found);
    found
}

fn collect<'e>(expr: &'e Expr, binder: &Binder, found: &mut HashMap<String, &'e Expr>) {
    let mut known = |expr: &'e Expr| whole(expr, binder, found);
    match &expr.kind {
        Kind::And(parts) => parts.iter().for_each(|p| collect(p, binder, found)),
        // What each of them says.
        Kind::Or(parts) => {
            let mut all = parts.iter().map(|p| not_null(p, binder));
            let first = all.next().unwrap_or_default();
            let common = all.fold(first, |mut so_far, next| {
                so_far.retain(|text, _| next.contains_key(text));
                so_far
            });
            found.extend(common);
        }
        Kind::Is {
            expr,
            what: Is::Null,
            negated: true,
        }
        | Kind::Is {
            expr,
            what: Is::True | Is::False,
            negated: false,
        }
        | Kind::In { expr, .. }
        | Kind::Like { expr, .. }
        | Kind::Between { expr, .. } => known(expr),
        // Comparisons of null are unknown, and WHERE keeps only what is true.
        Kind::Compare(_, left, right) => {
            known(left);
            known(right);
        }
        Kind::Not(inner) => match &inner.kind {
            Kind::Is {
                expr,
                what: Is::Null,
                negated: false,
            } => known(expr),
            Kind::Compare(..) | Kind::In { .. } | Kind::Like { .. } | Kind::Between { .. } => {
                collect(inner, binder, found);
            }
            _ => known(inner),
        },
        Kind::Path(_) | Kind::Field(..) => known(expr),
        _ => {}
    }
}

/// An expression that isn't null; nor is then what it would be null with.
fn whole<'e>(expr: &'e Expr, binder: &Binder, found: &mut HashMap<String, &'e Expr>) {
    match &expr.kind {
        Kind::Cast { expr, .. } | Kind::Negate(expr) => whole(expr, binder, found),
        Kind::Arithmetic(_, left, right) => {
            whole(left, binder, found);
            whole(right, binder, found);
        }
        Kind::Null
        | Kind::Boolean(_)
        | Kind::Number(_)
        | Kind::Text(_)
        | Kind::Temporal(..)
        | Kind::Interval(_) => return,
        _ => {}
    }
    found.insert(binder.text(expr), expr);
}
