//! Expressions as trees: their parts, and their text without spaces, places and spelling of key words.

use super::ast::{Expr, JsonDefault, JsonFunction, Kind, Name};
use super::over;
use crate::stack;

impl Expr {
    /// The expressions that it is made of.
    pub(crate) fn children(&self) -> Vec<&Expr> {
        match &self.kind {
            Kind::Null
            | Kind::Boolean(_)
            | Kind::Number(_)
            | Kind::Text(_)
            | Kind::Temporal(..)
            | Kind::Interval(_)
            | Kind::Path(_)
            // Its names are another SELECT's.
            | Kind::SubQuery(_) => Vec::new(),
            Kind::Field(expr, _)
            | Kind::Negate(expr)
            | Kind::Not(expr)
            | Kind::Is { expr, .. }
            | Kind::IsJson { expr, .. }
            | Kind::Cast { expr, .. } => vec![expr],
            Kind::Index(left, right)
            | Kind::Arithmetic(_, left, right)
            | Kind::Compare(_, left, right)
            | Kind::Distinct { left, right, .. } => vec![left, right],
            Kind::Between {
                expr, low, high, ..
            } => vec![expr, low, high],
            Kind::In { expr, list, .. } => [expr.as_ref()].into_iter().chain(list).collect(),
            Kind::Like { expr, pattern, .. } => vec![expr, pattern],
            Kind::Case {
                operand,
                whens,
                otherwise,
            } => {
                let whens = whens.iter().flat_map(|(when, then)| [when, then]);
                let operand = operand.iter().map(AsRef::as_ref);
                operand
                    .chain(whens)
                    .chain(otherwise.iter().map(AsRef::as_ref))
                    .collect()
            }
            Kind::Trim { what, expr, .. } => what
                .iter()
                .map(AsRef::as_ref)
                .chain([expr.as_ref()])
                .collect(),
            Kind::Json {
                function,
                input,
                path,
            } => {
                let mut all = vec![input.as_ref(), path.as_ref()];
                if let JsonFunction::Value {
                    on_empty, on_error, ..
                } = function
                {
                    for default in [on_empty, on_error] {
                        if let JsonDefault::Default(expr) = default {
                            all.push(expr);
                        }
                    }
                }
                all
            }
            Kind::And(list)
            | Kind::Or(list)
            | Kind::Call { args: list, .. }
            | Kind::Timed { args: list, .. }
            | Kind::Array(list)
            | Kind::Map(list)
            | Kind::Row(list) => list.iter().collect(),
            Kind::Aggregate(call) => call.args.iter().chain(&call.filter).collect(),
            Kind::Over(call) => over::children(call),
            Kind::RowNumber(number) => number
                .partition
                .iter()
                .chain(number.order.iter().map(|o| &o.expr))
                .collect(),
        }
    }

    /// What it is, but for its parts.
    pub(crate) fn label(&self) -> String {
        match &self.kind {
            Kind::Null => "null".into(),
            Kind::Boolean(value) => value.to_string(),
            Kind::Number(number) => number.clone(),
            Kind::Text(text) => format!("{text:?}"),
            Kind::Temporal(kind, text) => format!("{kind:?} {text:?}"),
            Kind::Interval(interval) => format!("{interval:?}"),
            Kind::Path(_) => "path".into(),
            Kind::Field(_, name) => format!("field {:?}", name.text),
            Kind::Index(..) => "index".into(),
            Kind::Negate(_) => "negate".into(),
            Kind::Not(_) => "not".into(),
            Kind::And(_) => "and".into(),
            Kind::Or(_) => "or".into(),
            Kind::Arithmetic(op, ..) => format!("{op:?}"),
            Kind::Compare(op, ..) => format!("{op:?}"),
            Kind::Distinct { negated, .. } => format!("distinct {negated}"),
            Kind::Is { what, negated, .. } => format!("is {what:?} {negated}"),
            Kind::Between {
                symmetric, negated, ..
            } => format!("between {symmetric} {negated}"),
            Kind::In { negated, .. } => format!("in {negated}"),
            Kind::Like {
                escape, negated, ..
            } => format!("like {:?} {negated}", escape.as_ref().map(|(e, _)| e)),
            Kind::Case {
                operand, otherwise, ..
            } => format!("case {} {}", operand.is_some(), otherwise.is_some()),
            Kind::Cast { to, try_, .. } => {
                format!("cast {} {:?} {try_}", to.data_type, to.max_chars)
            }
            Kind::Call { name, .. } => format!("call {}", name.text.to_ascii_uppercase()),
            Kind::Timed { name, unit, .. } => {
                format!("timed {} {unit:?}", name.text.to_ascii_uppercase())
            }
            Kind::Trim { side, what, .. } => format!("trim {side:?} {}", what.is_some()),
            Kind::Json { function, .. } => json(function),
            Kind::IsJson { kind, negated, .. } => format!("is json {kind:?} {negated}"),
            Kind::Array(_) => "array".into(),
            Kind::Map(_) => "map".into(),
            Kind::Row(_) => "row".into(),
            Kind::SubQuery(_) => "sub-query".into(),
            Kind::Over(call) => over::label(call),
            Kind::Aggregate(call) => format!(
                "aggregate {} {} {} {}{}",
                call.function,
                call.distinct,
                call.star,
                call.filter.is_some(),
                if call.ignores_nulls { " ignores" } else { "" }
            ),
            Kind::RowNumber(number) => {
                let order = number.order.iter().map(|o| (o.descending, o.nulls_first));
                format!(
                    "row_number {} {:?}",
                    number.partition.len(),
                    order.collect::<Vec<_>>()
                )
            }
        }
    }

    /// The first aggregate in it, itself included; not one within a row number or an OVER window.
    pub(crate) fn aggregate(&self) -> Option<&Expr> {
        match self.kind {
            Kind::Aggregate(_) => Some(self),
            Kind::RowNumber(_) | Kind::Over(_) => None,
            _ => stack::deeper(|| self.children().into_iter().find_map(Expr::aggregate)),
        }
    }

    /// The first call with OVER in it, itself included, other than ROW_NUMBER.
    pub(crate) fn over(&self) -> Option<&Expr> {
        match self.kind {
            Kind::Over(_) => Some(self),
            _ => stack::deeper(|| self.children().into_iter().find_map(Expr::over)),
        }
    }

    /// The first aggregate, row number or OVER in it, itself included.
    pub(crate) fn stateful(&self) -> Option<&Expr> {
        if matches!(
            self.kind,
            Kind::Aggregate(_) | Kind::RowNumber(_) | Kind::Over(_)
        ) {
            return Some(self);
        }
        stack::deeper(|| self.children().into_iter().find_map(Expr::stateful))
    }
}

/// The expression's text, equal for expressions that are equal: `column` gives that of a column's path.
pub(crate) fn canonical(expr: &Expr, column: &dyn Fn(&[Name]) -> String) -> String {
    if let Kind::Path(names) = &expr.kind {
        return column(names);
    }
    let parts: Vec<String> = expr
        .children()
        .into_iter()
        .map(|child| stack::deeper(|| canonical(child, column)))
        .collect();
    format!("{}({})", expr.label(), parts.join(","))
}

fn json(function: &JsonFunction) -> String {
    let default = |default: &JsonDefault| match default {
        JsonDefault::Null => "null",
        JsonDefault::Error => "error",
        JsonDefault::Default(_) => "default",
    };
    match function {
        JsonFunction::Exists(on_error) => format!("json exists {on_error:?}"),
        JsonFunction::Value {
            returning,
            on_empty,
            on_error,
        } => {
            let returning = returning.as_ref().map(|t| (&t.data_type, t.max_chars));
            format!(
                "json value {returning:?} {} {}",
                default(on_empty),
                default(on_error)
            )
        }
        JsonFunction::Query {
            wrapper,
            on_empty,
            on_error,
        } => format!("json query {wrapper:?} {on_empty:?} {on_error:?}"),
    }
}
