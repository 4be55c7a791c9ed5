//! The SELECT list, and what a condition says about nulls.

use super::Checker;
use super::typed::{Bound, Typed, refuse};
use crate::error::{Place, SqlError};
use crate::suggest::nearest;
use crate::syntax::ast::{Expr, Is, Item, Kind};
use crate::syntax::own_name;

pub(super) fn item(
    item: &Item,
    checker: &Checker,
    named: bool,
) -> Bound<Vec<(String, Typed, Place)>> {
    match item {
        Item::All { place, of } => {
            if let Some(of) = of
                && of.text != checker.name()
            {
                let near = nearest(&of.text, [checker.name()].into_iter());
                return Err(vec![
                    SqlError::new(of.place, format!("unknown stream \"{}\"", of.text)).meant(near),
                ]);
            }
            let all: Vec<(String, Typed)> = match checker.groups {
                Some(groups) => groups.all(*place)?,
                None => checker.scope.all().collect(),
            };
            Ok(all
                .into_iter()
                .map(|(name, typed)| (name, typed.at(*place), *place))
                .collect())
        }
        Item::Expr { expr, alias } => {
            let mut typed = checker.bind(expr)?;
            if checker.groups.is_none() {
                typed.identity = Some(checker.scope.identity(expr));
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

/// Finds the paths that a row must have non-null to satisfy a condition.
pub(super) fn not_null(expr: &Expr, checker: &Checker, found: &mut impl FnMut(Vec<usize>)) {
    let mut path = |expr: &Expr| {
        if matches!(
            expr.kind,
            Kind::Path(_) | Kind::Field(..) | Kind::Aggregate(_)
        ) && let Some(path) = checker.bind(expr).ok().and_then(|t| t.path)
        {
            found(path);
        }
    };
    match &expr.kind {
        Kind::And(parts) => parts.iter().for_each(|p| not_null(p, checker, found)),
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
        | Kind::Between { expr, .. } => path(expr),
        // Comparisons of null are unknown, and WHERE keeps only what is true.
        Kind::Compare(_, left, right) => {
            path(left);
            path(right);
        }
        Kind::Path(_) | Kind::Field(..) => path(expr),
        _ => {}
    }
}
