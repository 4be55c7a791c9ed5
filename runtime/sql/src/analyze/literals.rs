//! Constants: numbers by their size, text, dates and times.

use std::sync::Arc;

use arrow::array::{Array, BooleanArray, Float64Array, Int32Array, Int64Array, StringArray};

use super::bound_expr::{Analyzed, BoundExpr, refuse};
use super::casts::decimal;
use crate::error::Place;
use crate::eval::decimal::{Shape, from_text};
use crate::eval::{arithmetic, calendar, cast, moments};
use crate::syntax::ast::Temporal;
use crate::types::DataType as T;

pub(super) fn boolean(place: Place, value: bool) -> BoundExpr {
    BoundExpr::literal(place, T::Boolean, Arc::new(BooleanArray::from(vec![value])))
}

pub(super) fn int(place: Place, value: i32) -> BoundExpr {
    BoundExpr::literal(place, T::Int, Arc::new(Int32Array::from(vec![value])))
}

pub(super) fn text(place: Place, value: &str) -> BoundExpr {
    BoundExpr::literal(place, T::String, Arc::new(StringArray::from(vec![value])))
}

/// A whole number is INT or BIGINT by its size, one with a point DECIMAL, one with an exponent DOUBLE.
pub(super) fn number(place: Place, number: &str) -> Analyzed<BoundExpr> {
    if number.contains(['e', 'E']) {
        return match number.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(BoundExpr::literal(
                place,
                T::Double,
                Arc::new(Float64Array::from(vec![value])),
            )),
            _ => refuse(place, format!("{number} is beyond the range of double")),
        };
    }
    if !number.contains('.') {
        if let Ok(value) = number.parse::<i32>() {
            return Ok(int(place, value));
        }
        if let Ok(value) = number.parse::<i64>() {
            return Ok(BoundExpr::literal(
                place,
                T::BigInt,
                Arc::new(Int64Array::from(vec![value])),
            ));
        }
    }
    let digits = number.trim_start_matches('-');
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    // As Flink counts them: 0.908 has four digits.
    let whole = whole.trim_start_matches('0').len().max(1);
    let precision = whole + fraction.len();
    if precision > 38 {
        return refuse(
            place,
            format!("the number {number} has {precision} digits; a decimal has at most 38"),
        );
    }
    let shape = Shape {
        precision: precision as u8,
        scale: fraction.len() as u8,
    };
    let value = from_text(number, shape).value();
    match (value, arithmetic::decimal_array(vec![value], shape)) {
        (Some(_), Ok(array)) => Ok(BoundExpr::literal(place, decimal(shape), array)),
        _ => refuse(place, format!("the number {number} can't be read")),
    }
}

/// `DATE '…'`, `TIME '…'`, `TIMESTAMP '…'`.
pub(super) fn temporal(place: Place, kind: Temporal, text: &str) -> Analyzed<BoundExpr> {
    let (data_type, example) = match kind {
        Temporal::Date => (T::Date, "DATE '2026-03-31'"),
        Temporal::Time => (T::Time, "TIME '12:34:56'"),
        Temporal::Timestamp => {
            let digits = text.rsplit_once('.').map_or(0, |(_, f)| f.trim_end().len());
            let digits = match digits {
                0 => 0,
                1..=3 => 3,
                4..=6 => 6,
                _ => return refuse(place, "a time stamp has at most 6 digits of a second here"),
            };
            (T::Timestamp(digits), "TIMESTAMP '2026-03-31 12:34:56.789'")
        }
    };
    // A literal's day is one that there is.
    let date = text.trim().split([' ', 'T']).next().unwrap_or_default();
    let day = moments::read_date(date).filter(|_| date.matches('-').count() == 2);
    let moment = cast::read_time(text.trim(), &data_type)
        .filter(|m| kind == Temporal::Time || day.is_some_and(|day| day.days() == m.days));
    match moment.map(|m| calendar::column(std::iter::once(Some(m)), &data_type)) {
        Some(Ok(array)) if array.len() == 1 => Ok(BoundExpr::literal(place, data_type, array)),
        _ => refuse(
            place,
            format!("'{text}' is no {data_type}; write it as {example}"),
        ),
    }
}

/// NULL where its type doesn't matter.
pub(super) fn null_text(place: Place) -> BoundExpr {
    BoundExpr::null(place, T::String)
}
