//! Conditions: AND, OR, comparisons, BETWEEN, IN, LIKE, CASE and its relatives.

use std::collections::HashSet;

use super::bound_expr::{Analyzed, BoundExpr, Nulls, build, call, refuse};
use super::casts::{coerce, is_null_constant, read_as_time, to_one_type};
use super::scope::shortened;
use super::{Binder, literals};
use crate::error::{Place, SqlError};
use crate::eval::{Node, compare};
use crate::syntax::ast::{Compare, Expr, Is};
use crate::types::DataType as T;

impl Binder<'_> {
    pub(super) fn logic(&self, place: Place, decides: bool, parts: &[Expr]) -> Analyzed<BoundExpr> {
        let what = if decides { "OR" } else { "AND" };
        let (mut bound, mut errors) = (Vec::new(), Vec::new());
        for part in parts {
            match self.truth(what, part) {
                Ok(typed) => bound.push(typed),
                Err(more) => errors.extend(more),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let node = Node::Logic {
            decides,
            parts: bound.iter().map(BoundExpr::part).collect(),
        };
        let nullable = bound.iter().any(|p| p.nullable);
        build(place, T::Boolean, &bound, nullable, false, node)
    }

    pub(super) fn distinct(
        &self,
        place: Place,
        negated: bool,
        left: &Expr,
        right: &Expr,
    ) -> Analyzed<BoundExpr> {
        let (left, right) = self.bind_two(left, right)?;
        let (left, right) = comparable(place, "IS DISTINCT FROM", left, right)?;
        call(
            place,
            T::Boolean,
            &[left, right],
            Nulls::Never,
            false,
            compare::distinct(negated),
        )
    }

    pub(super) fn is(
        &self,
        place: Place,
        expr: &Expr,
        what: Is,
        negated: bool,
    ) -> Analyzed<BoundExpr> {
        let typed = if what == Is::Null {
            self.bind(expr)?
        } else {
            self.truth("IS", expr)?
        };
        call(
            place,
            T::Boolean,
            &[typed],
            Nulls::Never,
            false,
            compare::is(what, negated),
        )
    }

    /// `x BETWEEN low AND high` is `x >= low AND x <= high`.
    pub(super) fn between(
        &self,
        place: Place,
        parts: [&Expr; 3],
        symmetric: bool,
        negated: bool,
    ) -> Analyzed<BoundExpr> {
        let bound = self.bind_all(parts)?;
        let [x, low, high] = bound.as_slice() else {
            return refuse(place, "BETWEEN needs two bounds");
        };
        let range = |low: &BoundExpr, high: &BoundExpr| -> Analyzed<BoundExpr> {
            let above = compare_typed(place, Compare::GreaterOrEqual, x.clone(), low.clone())?;
            let below = compare_typed(place, Compare::LessOrEqual, x.clone(), high.clone())?;
            combine(place, false, [above, below])
        };
        let mut result = range(low, high)?;
        if symmetric {
            result = combine(place, true, [result, range(high, low)?])?;
        }
        if negated {
            call(
                place,
                T::Boolean,
                &[result],
                Nulls::Strict,
                false,
                compare::not(),
            )
        } else {
            Ok(result)
        }
    }

    pub(super) fn among(
        &self,
        place: Place,
        expr: &Expr,
        list: &[Expr],
        negated: bool,
    ) -> Analyzed<BoundExpr> {
        let x = self.bind(expr);
        let list = self.bind_all(list);
        let (x, list) = match (x, list) {
            (Ok(x), Ok(list)) => (x, list),
            (Err(mut errors), Err(more)) => {
                errors.extend(more);
                return Err(errors);
            }
            (Err(errors), _) | (_, Err(errors)) => return Err(errors),
        };
        let mut all = vec![x];
        for typed in list {
            all.push(read_as_time(typed, &all[0].data_type)?);
        }
        let (data_type, all) = to_one_type("IN", all)?;
        if is_nested(&data_type) {
            return refuse(
                place,
                format!("{} can't be compared", shortened(&data_type)),
            );
        }
        // With a null in the list, a row that isn't found is neither in nor out.
        let nulls = if all.iter().skip(1).any(|t| t.nullable) {
            Nulls::Possible
        } else {
            Nulls::Strict
        };
        if data_type == T::String && all.iter().skip(1).all(BoundExpr::is_literal) {
            let set: HashSet<String> = all
                .iter()
                .skip(1)
                .filter_map(|t| t.literal_text().map(str::to_owned))
                .collect();
            let has_null = all.iter().skip(1).any(is_null_constant);
            return call(
                place,
                T::Boolean,
                &all[..1],
                nulls,
                false,
                compare::among_texts(set, has_null, negated),
            );
        }
        call(
            place,
            T::Boolean,
            &all,
            nulls,
            false,
            compare::among(negated),
        )
    }

    pub(super) fn like(
        &self,
        place: Place,
        expr: &Expr,
        pattern: &Expr,
        escape: Option<&(String, Place)>,
        negated: bool,
    ) -> Analyzed<BoundExpr> {
        let (text, pattern) = self.bind_two(expr, pattern)?;
        for side in [&text, &pattern] {
            if side.data_type != T::String {
                return refuse(
                    side.place,
                    format!(
                        "LIKE compares text, this is {}; use CAST(… AS STRING)",
                        shortened(&side.data_type)
                    ),
                );
            }
        }
        let escape = match escape {
            None => None,
            Some((text, place)) => match (text.chars().next(), text.chars().count()) {
                (Some(c), 1) => Some(c),
                _ => return refuse(*place, "ESCAPE is one character"),
            },
        };
        if let Some(constant) = pattern.literal_text() {
            return match compare::Like::compile(constant, escape) {
                Ok(like) => call(
                    place,
                    T::Boolean,
                    &[text],
                    Nulls::Strict,
                    false,
                    compare::like(like, negated),
                ),
                Err(message) => refuse(pattern.place, message),
            };
        }
        call(
            place,
            T::Boolean,
            &[text, pattern],
            Nulls::Strict,
            escape.is_some(),
            compare::like_each(escape, negated),
        )
    }

    pub(super) fn case(
        &self,
        place: Place,
        operand: Option<&Expr>,
        whens: &[(Expr, Expr)],
        otherwise: Option<&Expr>,
    ) -> Analyzed<BoundExpr> {
        let mut errors: Vec<SqlError> = Vec::new();
        let mut keep =
            |result: Analyzed<BoundExpr>| result.map_err(|more| errors.extend(more)).ok();
        let operand_typed = operand.map(|o| keep(self.bind(o)));
        let (mut conditions, mut values) = (Vec::new(), Vec::new());
        for (when, then) in whens {
            let condition = match &operand_typed {
                None => keep(self.truth("WHEN", when)),
                Some(operand) => match (operand, keep(self.bind(when))) {
                    (Some(operand), Some(when)) => keep(compare_typed(
                        when.place,
                        Compare::Equal,
                        operand.clone(),
                        when,
                    )),
                    _ => None,
                },
            };
            conditions.extend(condition);
            values.extend(keep(self.bind(then)));
        }
        values.extend(match otherwise {
            Some(expr) => keep(self.bind(expr)),
            None => Some(BoundExpr::untyped_null(place)),
        });
        if !errors.is_empty() {
            return Err(errors);
        }
        choose(place, "CASE", conditions, values)
    }
}

/// A comparison of checked parts.
pub(super) fn compare_typed(
    place: Place,
    op: Compare,
    left: BoundExpr,
    right: BoundExpr,
) -> Analyzed<BoundExpr> {
    let (left, right) = comparable(place, sign(op), left, right)?;
    call(
        place,
        T::Boolean,
        &[left, right],
        Nulls::Strict,
        false,
        compare::compare(op),
    )
}

/// CASE of checked parts; `values` has one more than `conditions`, the ELSE.
pub(super) fn choose(
    place: Place,
    what: &str,
    conditions: Vec<BoundExpr>,
    values: Vec<BoundExpr>,
) -> Analyzed<BoundExpr> {
    if values.iter().all(|v| v.untyped_null) {
        return refuse(
            place,
            format!(
                "{what} gives only NULL, which has no type; write CAST(NULL AS STRING) or another type"
            ),
        );
    }
    let (data_type, values) = to_one_type(what, values)?;
    let nullable = values.iter().any(|v| v.nullable);
    let Some((otherwise, thens)) = values.split_last() else {
        return refuse(place, format!("{what} has no values"));
    };
    let node = Node::Case {
        whens: conditions
            .iter()
            .zip(thens)
            .map(|(c, t)| (c.part(), t.part()))
            .collect(),
        otherwise: otherwise.part(),
        data_type: data_type.to_arrow(),
    };
    let parts: Vec<BoundExpr> = conditions
        .into_iter()
        .chain(values.iter().cloned())
        .collect();
    build(place, data_type, &parts, nullable, false, node)
}

/// COALESCE of checked parts: the first that isn't null.
pub(super) fn coalesce(place: Place, what: &str, parts: Vec<BoundExpr>) -> Analyzed<BoundExpr> {
    if parts.is_empty() || parts.iter().all(|v| v.untyped_null) {
        return refuse(place, format!("{what} needs a value that isn't NULL"));
    }
    let (data_type, parts) = to_one_type(what, parts)?;
    let nullable = parts.iter().all(|p| p.nullable);
    let node = Node::Coalesce {
        parts: parts.iter().map(BoundExpr::part).collect(),
        data_type: data_type.to_arrow(),
    };
    build(place, data_type, &parts, nullable, false, node)
}

/// NULLIF: null where both are equal.
pub(super) fn nullif(place: Place, left: BoundExpr, right: BoundExpr) -> Analyzed<BoundExpr> {
    let data_type = left.data_type.clone();
    let equal = compare_typed(place, Compare::Equal, left.clone(), right)?;
    choose(
        place,
        "NULLIF",
        vec![equal],
        vec![BoundExpr::null(place, data_type), left],
    )
}

fn combine(place: Place, decides: bool, parts: [BoundExpr; 2]) -> Analyzed<BoundExpr> {
    let node = Node::Logic {
        decides,
        parts: parts.iter().map(BoundExpr::part).collect(),
    };
    let nullable = parts.iter().any(|p| p.nullable);
    build(place, T::Boolean, &parts, nullable, false, node)
}

fn sign(op: Compare) -> &'static str {
    match op {
        Compare::Equal => "=",
        Compare::NotEqual => "<>",
        Compare::Less => "<",
        Compare::LessOrEqual => "<=",
        Compare::Greater => ">",
        Compare::GreaterOrEqual => ">=",
    }
}

fn is_nested(data_type: &T) -> bool {
    matches!(data_type, T::Array(_) | T::Map(_) | T::Struct(_))
}

/// Brings two expressions to a type in which they can be compared.
fn comparable(
    place: Place,
    what: &str,
    left: BoundExpr,
    right: BoundExpr,
) -> Analyzed<(BoundExpr, BoundExpr)> {
    if left.untyped_null && right.untyped_null {
        return Ok((
            literals::null_text(left.place),
            literals::null_text(right.place),
        ));
    }
    let left_type = left.data_type.clone();
    let right = read_as_time(right, &left_type)?;
    let left = read_as_time(left, &right.data_type)?;
    let Some(to) = super::casts::unify(&[left.clone(), right.clone()]) else {
        return Err(vec![incomparable(place, what, &left, &right)]);
    };
    if is_nested(&to) {
        return refuse(
            place,
            format!(
                "{} can't be compared; compare its elements or fields",
                shortened(&to)
            ),
        );
    }
    Ok((coerce(left, &to)?, coerce(right, &to)?))
}

fn incomparable(place: Place, what: &str, left: &BoundExpr, right: &BoundExpr) -> SqlError {
    let (l, r) = (&left.data_type, &right.data_type);
    let hint = match (l, r) {
        (T::Timestamp(_), T::TimestampLtz(_)) | (T::TimestampLtz(_), T::Timestamp(_)) => {
            "; one is an instant, the other has no zone: cast one of them, CAST(… AS TIMESTAMP_LTZ(3)) reads it in UTC".to_owned()
        }
        (T::String, other) => match left.literal_text() {
            Some(text) if other.is_numeric() && text.trim().parse::<f64>().is_ok() => format!("; write the number without quotes: {}", text.trim()),
            _ => format!("; use CAST(… AS {})", other.to_string().to_uppercase()),
        },
        (other, T::String) => match right.literal_text() {
            Some(text) if other.is_numeric() && text.trim().parse::<f64>().is_ok() => format!("; write the number without quotes: {}", text.trim()),
            _ => format!("; use CAST(… AS {})", other.to_string().to_uppercase()),
        },
        _ => "; make them equal with CAST".to_owned(),
    };
    SqlError::new(
        place,
        format!(
            "{} {what} {} is not defined{hint}",
            shortened(l),
            shortened(r)
        ),
    )
}
