//! `+ - * / %` and their result types, which are Flink's.

use arrow::array::{Array, AsArray};
use arrow::datatypes::Decimal128Type;

use super::bound_expr::{Analyzed, BoundExpr, Nulls, call, refuse};
use super::casts::{coerce, common, decimal, shape};
use super::scope::shortened;
use super::{Binder, overflow, time};
use crate::error::{Place, SqlError};
use crate::eval::arithmetic;
use crate::eval::decimal::Shape;
use crate::syntax::ast::{Arithmetic, Expr, Interval, Kind};
use crate::types::DataType as T;

fn sign(op: Arithmetic) -> &'static str {
    match op {
        Arithmetic::Add => "+",
        Arithmetic::Subtract => "-",
        Arithmetic::Multiply => "*",
        Arithmetic::Divide => "/",
        Arithmetic::Remainder => "%",
        Arithmetic::Concat => "||",
    }
}

impl Binder<'_> {
    pub(super) fn arithmetic(
        &self,
        place: Place,
        op: Arithmetic,
        left: &Expr,
        right: &Expr,
    ) -> Analyzed<BoundExpr> {
        match (op, &left.kind, &right.kind) {
            (Arithmetic::Add | Arithmetic::Subtract, _, Kind::Interval(interval)) => {
                return time::shift(
                    place,
                    self.bind(left)?,
                    *interval,
                    op == Arithmetic::Subtract,
                );
            }
            (Arithmetic::Add, Kind::Interval(interval), _) => {
                return time::shift(place, self.bind(right)?, *interval, false);
            }
            (Arithmetic::Add | Arithmetic::Subtract, _, Kind::Arithmetic(inner, ..)) => {
                if let Some((times, interval)) = times_interval(*inner, &right.kind) {
                    let (time, times) = self.bind_two(left, times)?;
                    let minus = op == Arithmetic::Subtract;
                    return time::shift_times(place, time, times, interval, minus);
                }
            }
            (Arithmetic::Add, Kind::Arithmetic(inner, ..), _) => {
                if let Some((times, interval)) = times_interval(*inner, &left.kind) {
                    let (times, time) = self.bind_two(times, right)?;
                    return time::shift_times(place, time, times, interval, false);
                }
            }
            _ => {}
        }
        let (left, right) = self.bind_two(left, right)?;
        if op == Arithmetic::Concat {
            return super::strings::concat(place, "||", vec![left, right]);
        }
        compute(place, op, left, right)
    }
}

/// The parts of `n * INTERVAL '1' DAY` and `INTERVAL '1' DAY * n`.
fn times_interval(op: Arithmetic, kind: &Kind) -> Option<(&Expr, Interval)> {
    let (Arithmetic::Multiply, Kind::Arithmetic(_, left, right)) = (op, kind) else {
        return None;
    };
    match (&left.kind, &right.kind) {
        (Kind::Interval(interval), _) => Some((right, *interval)),
        (_, Kind::Interval(interval)) => Some((left, *interval)),
        _ => None,
    }
}

/// The arithmetic of two checked numbers.
pub(super) fn compute(
    place: Place,
    op: Arithmetic,
    left: BoundExpr,
    right: BoundExpr,
) -> Analyzed<BoundExpr> {
    let (left, right) = match (left.untyped_null, right.untyped_null) {
        (true, true) => {
            return refuse(
                place,
                "NULL alone has no type; write CAST(NULL AS INT) or another type",
            );
        }
        (true, false) => (BoundExpr::null(left.place, right.data_type.clone()), right),
        (false, true) => {
            let null = BoundExpr::null(right.place, left.data_type.clone());
            (left, null)
        }
        _ => (left, right),
    };
    if !left.data_type.is_numeric() || !right.data_type.is_numeric() {
        return Err(vec![not_numbers(place, op, &left, &right)]);
    }
    let exact = matches!(op, Arithmetic::Divide | Arithmetic::Remainder);
    if let (Some(l), Some(r), true) = (
        shape(&left.data_type),
        shape(&right.data_type),
        matches!(left.data_type, T::Decimal { .. }) || matches!(right.data_type, T::Decimal { .. }),
    ) {
        let result = match op {
            Arithmetic::Add | Arithmetic::Subtract => l.sum(r),
            Arithmetic::Multiply => l.product(r),
            Arithmetic::Divide => l.quotient(r),
            _ => l.remainder(r),
        };
        let nonzero = right.is_literal() && !is_zero(&right);
        let (left, right) = (coerce(left, &decimal(l))?, coerce(right, &decimal(r))?);
        let kernel = arithmetic::decimals(op, l.scale, r.scale, result);
        // A sum that isn't cut to 38 digits always fits.
        let whole = |s: Shape| s.precision - s.scale;
        let fits = match op {
            Arithmetic::Add | Arithmetic::Subtract => {
                result.scale == l.scale.max(r.scale) && whole(result) > whole(l).max(whole(r))
            }
            Arithmetic::Multiply => result.scale == l.scale + r.scale,
            _ => false,
        };
        // Nor are a quotient's digits too many that isn't cut, and a remainder's.
        let never = match op {
            Arithmetic::Divide => l.quotient_fits(r),
            op => op == Arithmetic::Remainder,
        };
        let (to, args, fallible) = (decimal(result), [left, right], exact && !nonzero);
        return if fits {
            call(place, to, &args, Nulls::Strict, fallible, kernel)
        } else if never && !overflow::fails(&args) {
            call(place, to, &args, Nulls::Possible, fallible, kernel)
        } else {
            overflow::decimal(place, to, &args, fallible, kernel)
        };
    }
    let Some(to) = common(&left.data_type, &right.data_type) else {
        return Err(vec![not_numbers(place, op, &left, &right)]);
    };
    let divisor = right.data_type.clone();
    let nonzero = right.literal_int().is_some_and(|v| v != 0);
    let fallible = exact && matches!(to, T::Int | T::BigInt) && !nonzero;
    let (left, right) = (coerce(left, &to)?, coerce(right, &to)?);
    let result = call(
        place,
        to.clone(),
        &[left, right],
        Nulls::Strict,
        fallible,
        arithmetic::plain(op, &to),
    )?;
    // The remainder of whole numbers has the divisor's type.
    if op == Arithmetic::Remainder && to == T::BigInt {
        coerce(result, &divisor)
    } else {
        Ok(result)
    }
}

fn is_zero(typed: &BoundExpr) -> bool {
    let decimal = |v: &arrow::array::ArrayRef| {
        v.as_primitive_opt::<Decimal128Type>()
            .is_some_and(|d| d.is_null(0) || d.value(0) == 0)
    };
    typed.literal_int() == Some(0) || typed.node.literal().is_some_and(decimal)
}

fn not_numbers(place: Place, op: Arithmetic, left: &BoundExpr, right: &BoundExpr) -> SqlError {
    let (l, r) = (&left.data_type, &right.data_type);
    let time = |t: &T| matches!(t, T::Date | T::Time | T::Timestamp(_) | T::TimestampLtz(_));
    let hint = match (op, l, r) {
        (Arithmetic::Add, T::String, _) | (Arithmetic::Add, _, T::String) => {
            "; text is joined with ||"
        }
        (Arithmetic::Subtract, l, r) if time(l) && time(r) => {
            "; the time between two is TIMESTAMPDIFF(SECOND, earlier, later)"
        }
        (Arithmetic::Add | Arithmetic::Subtract, l, _) if time(l) => {
            "; time is added as INTERVAL '1' DAY"
        }
        (_, T::String, _) | (_, _, T::String) => {
            "; text becomes a number with CAST(… AS DOUBLE) or another type"
        }
        _ => "",
    };
    SqlError::new(
        place,
        format!(
            "{} {} {} is not defined{hint}",
            shortened(l),
            sign(op),
            shortened(r)
        ),
    )
}

/// `-x`.
pub(super) fn negate(place: Place, typed: BoundExpr) -> Analyzed<BoundExpr> {
    if typed.untyped_null || !typed.data_type.is_numeric() {
        return refuse(
            place,
            format!(
                "-{} is not defined: a number is needed",
                shortened(&typed.data_type)
            ),
        );
    }
    let data_type = typed.data_type.clone();
    let kernel = match &data_type {
        T::Decimal { precision, scale } => arithmetic::decimal_unary(
            Shape {
                precision: *precision,
                scale: *scale,
            },
            i128::checked_neg,
        ),
        _ => arithmetic::negate(),
    };
    call(place, data_type, &[typed], Nulls::Strict, false, kernel)
}
