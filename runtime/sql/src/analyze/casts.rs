//! Casts that a query writes, and those that the dialect makes by itself (widening only).

use arrow::array::Array;

use super::bound_expr::{Analyzed, BoundExpr, Nulls, call, refuse};
use super::overflow;
use super::scope::shortened;
use crate::error::SqlError;
use crate::eval::cast::{cast, cut};
use crate::eval::decimal::Shape;
use crate::syntax::ast::TypeName;
use crate::types::DataType as T;

/// CAST and TRY_CAST.
pub(super) fn explicit(
    typed: BoundExpr,
    to: &TypeName,
    lenient: bool,
    place: crate::error::Place,
) -> Analyzed<BoundExpr> {
    let (result, nulls) = convert(typed, &to.data_type, lenient, place)?;
    if nulls && !lenient {
        overflow::note(place, &to.data_type);
    }
    match to.max_chars {
        Some(max) => call(place, T::String, &[result], Nulls::Strict, false, cut(max)),
        None => Ok(result),
    }
}

/// The cast; true: it may be null of a value that isn't.
fn convert(
    typed: BoundExpr,
    to: &T,
    lenient: bool,
    place: crate::error::Place,
) -> Analyzed<(BoundExpr, bool)> {
    if typed.untyped_null {
        return Ok((BoundExpr::null(place, to.clone()), false));
    }
    if typed.data_type == *to {
        return Ok((typed, false));
    }
    // An array's elements may be null, whatever the array is.
    let strict = match to {
        T::Array(_) => overflow::asked(),
        _ => overflow::fails(std::slice::from_ref(&typed)),
    };
    let Some(found) = cast(&typed.data_type, to, lenient, strict) else {
        let hint = match (&typed.data_type, to) {
            (T::BigInt | T::Int, T::Timestamp(_) | T::TimestampLtz(_)) => {
                "; use TO_TIMESTAMP_LTZ(number, 3) for milliseconds since 1970, or 0 for seconds"
            }
            (T::Timestamp(_) | T::TimestampLtz(_), T::Int | T::BigInt) => {
                "; use EXTRACT(EPOCH FROM …) for seconds since 1970"
            }
            (T::Array(_) | T::Map(_) | T::Struct(_), T::String) => {
                "; name the element or field that is wanted"
            }
            _ => "",
        };
        return refuse(
            place,
            format!(
                "{} can't be cast to {}{hint}",
                shortened(&typed.data_type),
                shortened(to)
            ),
        );
    };
    let nulls = if found.nulls {
        Nulls::Possible
    } else {
        Nulls::Strict
    };
    let result = call(
        place,
        to.clone(),
        &[typed],
        nulls,
        found.fails,
        found.kernel,
    )?;
    Ok((result, found.nulls))
}

/// Brings an expression to a type that [`unify`] found for it.
pub(super) fn coerce(typed: BoundExpr, to: &T) -> Analyzed<BoundExpr> {
    let place = typed.place;
    Ok(convert(typed, to, false, place)?.0)
}

/// The shape of an exact number as a decimal.
pub(super) fn shape(data_type: &T) -> Option<Shape> {
    match data_type {
        T::Int => Some(Shape::INT),
        T::BigInt => Some(Shape::BIGINT),
        T::Decimal { precision, scale } => Some(Shape {
            precision: *precision,
            scale: *scale,
        }),
        _ => None,
    }
}

/// The decimal type of a shape.
pub(super) fn decimal(shape: Shape) -> T {
    T::Decimal {
        precision: shape.precision,
        scale: shape.scale,
    }
}

/// The type to which two types widen, if there is one.
pub(super) fn common(left: &T, right: &T) -> Option<T> {
    if left == right {
        return Some(left.clone());
    }
    Some(match (left, right) {
        (T::Int, T::BigInt) | (T::BigInt, T::Int) => T::BigInt,
        (T::Double, other) | (other, T::Double) if other.is_numeric() => T::Double,
        (T::Float, T::Decimal { .. }) | (T::Decimal { .. }, T::Float) => T::Double,
        (T::Float, other) | (other, T::Float) if other.is_numeric() => T::Float,
        (T::Decimal { .. }, other) | (other, T::Decimal { .. }) => {
            // A whole number beside a decimal takes the decimal's shape where Flink does so: it adds no
            // digits before the point that the decimal hasn't.
            let decimal_side = if matches!(left, T::Decimal { .. }) {
                left
            } else {
                right
            };
            decimal(shape(decimal_side)?.common(shape(other)?))
        }
        (T::Timestamp(a), T::Timestamp(b)) => T::Timestamp(*a.max(b)),
        (T::TimestampLtz(a), T::TimestampLtz(b)) => T::TimestampLtz(*a.max(b)),
        (T::Array(a), T::Array(b)) => T::Array(Box::new(common(a, b)?)),
        _ => return None,
    })
}

/// The type to which all widen; bare NULLs go along.
pub(super) fn unify(all: &[BoundExpr]) -> Option<T> {
    let mut result: Option<T> = None;
    for typed in all.iter().filter(|t| !t.untyped_null) {
        result = Some(match result {
            None => typed.data_type.clone(),
            Some(so_far) => common(&so_far, &typed.data_type)?,
        });
    }
    Some(result.unwrap_or(T::String))
}

/// Brings all to one type; the error names what doesn't fit.
pub(super) fn to_one_type(what: &str, all: Vec<BoundExpr>) -> Analyzed<(T, Vec<BoundExpr>)> {
    let Some(to) = unify(&all) else {
        let first = all
            .iter()
            .find(|t| !t.untyped_null)
            .unwrap_or(&all[0])
            .clone();
        let other = all
            .iter()
            .find(|t| !t.untyped_null && common(&first.data_type, &t.data_type).is_none())
            .unwrap_or(&first);
        let message = format!(
            "{what} mixes {} and {}; make them equal with CAST",
            shortened(&first.data_type),
            shortened(&other.data_type)
        );
        return Err(vec![SqlError::new(other.place, message)]);
    };
    let all: Analyzed<Vec<BoundExpr>> = all.into_iter().map(|t| coerce(t, &to)).collect();
    Ok((to, all?))
}

/// A constant text beside a date or time is read as one, as Flink does.
pub(super) fn read_as_time(typed: BoundExpr, beside: &T) -> Analyzed<BoundExpr> {
    let text = typed.data_type == T::String && typed.literal_text().is_some();
    if text
        && matches!(
            beside,
            T::Date | T::Time | T::Timestamp(_) | T::TimestampLtz(_)
        )
    {
        return coerce(typed, beside);
    }
    Ok(typed)
}

/// True for a constant NULL of whatever type.
pub(super) fn is_null_constant(typed: &BoundExpr) -> bool {
    typed.node.literal().is_some_and(|v| v.is_null(0))
}
