//! Which rule checks which kind of expression.

use std::sync::Arc;

use super::bound_expr::{Analyzed, BoundExpr, Nulls, call, refuse};
use super::{Binder, casts, collections, functions, json, literals, logic, numbers, time, window};
use crate::error::Place;
use crate::eval::compare;
use crate::stack;
use crate::syntax::ast::{Expr, Kind};
use crate::types::DataType as T;

/// What is said of a row number and of an interval that stand where they can't.
const LONE_SUB_QUERY: &str = "a sub-query with EXISTS or IN is a join: it stands in WHERE, alone or joined to the rest by AND";
const LONE_ROW_NUMBER: &str = "ROW_NUMBER() OVER (…) stands alone in a SELECT list, as in SELECT *, ROW_NUMBER() OVER (…) AS rn";
const LONE_INTERVAL: &str = "an interval can only be added to, or taken from, a date or time, as in t + n * INTERVAL '1' DAY; TIMESTAMPADD(DAY, n, t) does the same";

impl Binder<'_> {
    /// Checks one expression.
    pub(crate) fn bind(&self, expr: &Expr) -> Analyzed<BoundExpr> {
        let mut typed = stack::deeper(|| self.bind_anew(expr))?;
        if typed.nullable && self.scope.not_null.has(expr, || self.text(expr)) {
            typed.nullable = false;
        }
        Ok(typed)
    }

    /// The text by which a condition's expressions are found again.
    pub(super) fn text(&self, expr: &Expr) -> String {
        self.groups.map_or(self.scope, |g| g.scope).text(expr)
    }

    /// Checks one expression without what WHERE says of it.
    fn bind_anew(&self, expr: &Expr) -> Analyzed<BoundExpr> {
        let place = expr.place;
        if let Some(found) = self.groups.and_then(|g| g.find(expr, self.scope)) {
            return found;
        }
        match &expr.kind {
            Kind::Aggregate(aggregate) => refuse(
                place,
                format!(
                    "{}(…) is made of many rows, and here one row is looked at; aggregates stand in a SELECT list and in HAVING",
                    aggregate.function
                ),
            ),
            Kind::RowNumber(_) => refuse(place, LONE_ROW_NUMBER),
            Kind::Over(_) => refuse(place, super::over::LONE),
            Kind::SubQuery(_) => refuse(place, LONE_SUB_QUERY),
            Kind::Interval(_) => refuse(place, LONE_INTERVAL),
            Kind::Null => Ok(BoundExpr::untyped_null(place)),
            Kind::Boolean(value) => Ok(literals::boolean(place, *value)),
            Kind::Number(number) => literals::number(place, number),
            Kind::Text(text) => Ok(literals::text(place, text)),
            Kind::Temporal(kind, text) => literals::temporal(place, *kind, text),
            Kind::Path(names) => self.scope.path(names),
            Kind::Field(of, name) => self.scope.field(self.bind(of)?, name),
            Kind::Index(of, index) => {
                let (of, index) = self.bind_two(of, index)?;
                collections::index(place, of, index)
            }
            Kind::Negate(inner) => numbers::negate(place, self.bind(inner)?),
            Kind::Not(inner) => {
                let inner = [self.truth("NOT", inner)?];
                let not = compare::not();
                call(place, T::Boolean, &inner, Nulls::Strict, false, not)
            }
            Kind::And(parts) => self.logic(place, false, parts),
            Kind::Or(parts) => self.logic(place, true, parts),
            Kind::Arithmetic(op, left, right) => self.arithmetic(place, *op, left, right),
            Kind::Compare(op, left, right) => {
                let (left, right) = self.bind_two(left, right)?;
                logic::compare_typed(place, *op, left, right)
            }
            Kind::Distinct {
                negated,
                left,
                right,
            } => self.distinct(place, *negated, left, right),
            Kind::Is {
                expr,
                what,
                negated,
            } => self.is(place, expr, *what, *negated),
            Kind::Between {
                expr,
                low,
                high,
                symmetric,
                negated,
            } => self.between(place, [expr, low, high], *symmetric, *negated),
            Kind::In {
                expr,
                list,
                negated,
            } => self.among(place, expr, list, *negated),
            Kind::Like {
                expr,
                pattern,
                escape,
                negated,
            } => self.like(place, expr, pattern, escape.as_ref(), *negated),
            Kind::Case {
                operand,
                whens,
                otherwise,
            } => self.case(place, operand.as_deref(), whens, otherwise.as_deref()),
            Kind::Cast { expr, to, try_ } => casts::explicit(self.bind(expr)?, to, *try_, place),
            Kind::Call { name, .. } if window::is_window(&name.text) => {
                Err(vec![window::misplaced(name)])
            }
            Kind::Call { name, args } => functions::bind(self, name, args),
            Kind::Timed { name, unit, args } => time::timed(name, *unit, self.bind_all(args)?),
            Kind::Trim { side, what, expr } => {
                let text = self.bind(expr)?;
                let what = what.as_ref().map(|w| self.bind(w)).transpose()?;
                super::strings::trim(place, *side, text, what)
            }
            Kind::Json {
                function,
                input,
                path,
            } => json::bind(self, place, function, input, path),
            Kind::IsJson {
                expr,
                kind,
                negated,
            } => json::is_json(place, self.bind(expr)?, *kind, *negated),
            Kind::Array(list) => collections::array(place, self.bind_all(list)?),
            Kind::Map(list) => collections::map(place, self.bind_all(list)?),
            Kind::Row(list) => collections::row(place, self.bind_all(list)?),
        }
    }

    /// Checks an expression that must be a boolean.
    pub(super) fn truth(&self, what: &str, expr: &Expr) -> Analyzed<BoundExpr> {
        let typed = self.bind(expr)?;
        if typed.untyped_null {
            return Ok(BoundExpr::null(typed.place, T::Boolean));
        }
        if typed.data_type == T::Boolean {
            Ok(typed)
        } else {
            not_boolean(typed.place, what, &typed.data_type)
        }
    }
}

fn not_boolean<V>(place: Place, what: &str, data_type: &T) -> Analyzed<V> {
    refuse(
        place,
        format!(
            "{what} needs a condition (boolean), this is {}",
            super::scope::shortened(data_type)
        ),
    )
}

/// A kernel that a room gives as a plain function.
pub(super) fn plain(
    kernel: fn(&crate::eval::Args) -> Result<arrow::array::ArrayRef, String>,
) -> crate::eval::Kernel {
    Arc::new(kernel)
}
