//! Numeric functions.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array};
use arrow::datatypes::{Float32Type, Float64Type, Int32Type, Int64Type};

use super::bound_expr::{Analyzed, BoundExpr, Nulls, call, refuse};
use super::casts::{decimal, shape, to_one_type};
use super::functions::{Function, ParamType, kernel, own};
use super::overflow;
use super::scope::shortened;
use crate::error::Place;
use crate::eval::arithmetic::{decimal_unary, round_decimal, unary};
use crate::eval::decimal::{Rounding, Shape};
use crate::eval::{Args, Kernel};
use crate::syntax::ast::Arithmetic;
use crate::types::DataType as T;

use ParamType::{Any, Double, Int};

type Result1 = Result<ArrayRef, String>;

macro_rules! double {
    ($name:literal, $f:expr) => {
        kernel($name, &[Double], 1, T::Double, |a: &Args| -> Result1 {
            let column = a.primitive::<Float64Type>(0);
            let f: fn(f64) -> f64 = $f;
            Ok(Arc::new(
                (0..a.rows)
                    .map(|row| column.get(row).map(f))
                    .collect::<Float64Array>(),
            ))
        })
    };
}

macro_rules! double2 {
    ($name:literal, $f:expr) => {
        kernel(
            $name,
            &[Double, Double],
            2,
            T::Double,
            |a: &Args| -> Result1 {
                let (left, right) = (a.primitive::<Float64Type>(0), a.primitive::<Float64Type>(1));
                let f: fn(f64, f64) -> f64 = $f;
                Ok(Arc::new(
                    (0..a.rows)
                        .map(|row| Some(f(left.get(row)?, right.get(row)?)))
                        .collect::<Float64Array>(),
                ))
            },
        )
    };
}

pub(super) const FUNCTIONS: &[Function] = &[
    double2!("POWER", f64::powf),
    double2!("ATAN2", f64::atan2),
    double!("SQRT", f64::sqrt),
    double!("EXP", f64::exp),
    double!("LN", f64::ln),
    double!("LOG10", f64::log10),
    double!("LOG2", f64::log2),
    double!("SIN", f64::sin),
    double!("COS", f64::cos),
    double!("TAN", f64::tan),
    double!("COT", |x| 1.0 / x.tan()),
    double!("ASIN", f64::asin),
    double!("ACOS", f64::acos),
    double!("ATAN", f64::atan),
    double!("SINH", f64::sinh),
    double!("COSH", f64::cosh),
    double!("TANH", f64::tanh),
    double!("DEGREES", f64::to_degrees),
    double!("RADIANS", f64::to_radians),
    own("LOG", &[Double, Double], 1, false, log),
    own("PI", &[], 0, false, |place, _, _| {
        Ok(constant(place, std::f64::consts::PI))
    }),
    own("E", &[], 0, false, |place, _, _| {
        Ok(constant(place, std::f64::consts::E))
    }),
    own("ABS", &[Any], 1, false, abs),
    own("SIGN", &[Any], 1, false, sign),
    own("CEIL", &[Any], 1, false, whole),
    own("CEILING", &[Any], 1, false, whole),
    own("FLOOR", &[Any], 1, false, whole),
    own("ROUND", &[Any, Int], 1, false, round),
    own("TRUNCATE", &[Any, Int], 1, false, round),
    own(
        "MOD",
        &[Any, Any],
        2,
        false,
        |place, _, args| match <[BoundExpr; 2]>::try_from(args) {
            Ok([left, right]) => super::numbers::compute(place, Arithmetic::Remainder, left, right),
            Err(_) => refuse(place, "MOD takes 2 arguments"),
        },
    ),
];

fn constant(place: Place, value: f64) -> BoundExpr {
    BoundExpr::literal(place, T::Double, Arc::new(Float64Array::from(vec![value])))
}

fn log(place: Place, _: &'static str, args: Vec<BoundExpr>) -> Analyzed<BoundExpr> {
    let kernel: Kernel = if args.len() == 1 {
        unary::<Float64Type, Float64Type>(f64::ln)
    } else {
        Arc::new(|a: &Args| {
            let (base, x) = (a.primitive::<Float64Type>(0), a.primitive::<Float64Type>(1));
            Ok(Arc::new(
                (0..a.rows)
                    .map(|row| Some(x.get(row)?.ln() / base.get(row)?.ln()))
                    .collect::<Float64Array>(),
            ))
        })
    };
    call(place, T::Double, &args, Nulls::Strict, false, kernel)
}

fn number(arg: &BoundExpr, name: &str) -> Analyzed<()> {
    if arg.data_type.is_numeric() && !arg.untyped_null {
        return Ok(());
    }
    refuse(
        arg.place,
        format!(
            "{name} takes a number, this is {}",
            shortened(&arg.data_type)
        ),
    )
}

fn abs(place: Place, name: &'static str, args: Vec<BoundExpr>) -> Analyzed<BoundExpr> {
    number(&args[0], name)?;
    let data_type = args[0].data_type.clone();
    let kernel = match &data_type {
        T::Int => unary::<Int32Type, Int32Type>(i32::wrapping_abs),
        T::BigInt => unary::<Int64Type, Int64Type>(i64::wrapping_abs),
        T::Float => unary::<Float32Type, Float32Type>(f32::abs),
        T::Decimal { precision, scale } => decimal_unary(
            Shape {
                precision: *precision,
                scale: *scale,
            },
            i128::checked_abs,
        ),
        _ => unary::<Float64Type, Float64Type>(f64::abs),
    };
    call(place, data_type, &args, Nulls::Strict, false, kernel)
}

fn sign(place: Place, name: &'static str, args: Vec<BoundExpr>) -> Analyzed<BoundExpr> {
    number(&args[0], name)?;
    let data_type = args[0].data_type.clone();
    // Java's Math.signum: zero stays zero, NaN stays NaN.
    let signum = |x: f64| {
        if x == 0.0 || x.is_nan() {
            x
        } else {
            x.signum()
        }
    };
    let kernel = match &data_type {
        T::Int => unary::<Int32Type, Int32Type>(i32::signum),
        T::BigInt => unary::<Int64Type, Int64Type>(i64::signum),
        T::Float => unary::<Float32Type, Float32Type>(move |x| signum(f64::from(x)) as f32),
        T::Decimal { precision, scale } => {
            let one = 10i128.pow(u32::from(*scale));
            if precision == scale {
                return refuse(
                    place,
                    format!(
                        "SIGN of {data_type} doesn't fit its type; cast it to a decimal with a digit before the point"
                    ),
                );
            }
            decimal_unary(
                Shape {
                    precision: *precision,
                    scale: *scale,
                },
                move |v| Some(v.signum() * one),
            )
        }
        _ => unary::<Float64Type, Float64Type>(signum),
    };
    call(place, data_type, &args, Nulls::Strict, false, kernel)
}

/// CEIL and FLOOR to whole numbers.
fn whole(place: Place, name: &'static str, args: Vec<BoundExpr>) -> Analyzed<BoundExpr> {
    number(&args[0], name)?;
    let down = name == "FLOOR";
    let data_type = args[0].data_type.clone();
    match &data_type {
        T::Decimal { precision, scale } => {
            let rounding = if down {
                Rounding::Floor
            } else {
                Rounding::Ceiling
            };
            let to = Shape {
                precision: *precision,
                scale: 0,
            };
            let nulls = if *scale == 0 || precision > scale {
                Nulls::Strict
            } else {
                Nulls::Possible
            };
            call(
                place,
                decimal(to),
                &args,
                nulls,
                false,
                round_decimal(*scale, 0, rounding, to),
            )
        }
        T::Float => call(
            place,
            T::Float,
            &args,
            Nulls::Strict,
            false,
            unary::<Float32Type, Float32Type>(if down { f32::floor } else { f32::ceil }),
        ),
        T::Double => call(
            place,
            T::Double,
            &args,
            Nulls::Strict,
            false,
            unary::<Float64Type, Float64Type>(if down { f64::floor } else { f64::ceil }),
        ),
        _ => Ok(args
            .into_iter()
            .next()
            .map_or_else(|| BoundExpr::untyped_null(place), |t| t.at(place))),
    }
}

/// ROUND (half away from zero) and TRUNCATE, to a constant number of digits.
fn round(place: Place, name: &'static str, args: Vec<BoundExpr>) -> Analyzed<BoundExpr> {
    number(&args[0], name)?;
    let digits = match args.get(1) {
        None => 0,
        Some(arg) => match arg.literal_int() {
            Some(digits) => digits.clamp(-400, 400) as i32,
            None => {
                return refuse(
                    arg.place,
                    format!("{name}'s number of digits is a constant here"),
                );
            }
        },
    };
    let truncate = name == "TRUNCATE";
    let rounding = if truncate {
        Rounding::Down
    } else {
        Rounding::HalfUp
    };
    let data_type = args[0].data_type.clone();
    let args = &args[..1];
    match &data_type {
        T::Decimal { scale, .. } => {
            let to = shape(&data_type).unwrap_or(Shape::INT).rounded(digits);
            let kernel = round_decimal(*scale, digits, rounding, to);
            if overflow::fails(args) {
                overflow::decimal(place, decimal(to), args, false, kernel)
            } else {
                call(place, decimal(to), args, Nulls::Possible, false, kernel)
            }
        }
        T::Int => call(
            place,
            T::Int,
            args,
            Nulls::Strict,
            false,
            unary::<Int32Type, Int32Type>(move |v| {
                round_int(i128::from(v), digits, rounding) as i32
            }),
        ),
        T::BigInt => call(
            place,
            T::BigInt,
            args,
            Nulls::Strict,
            false,
            unary::<Int64Type, Int64Type>(move |v| {
                round_int(i128::from(v), digits, rounding) as i64
            }),
        ),
        T::Float => call(
            place,
            T::Float,
            args,
            Nulls::Strict,
            false,
            unary::<Float32Type, Float32Type>(move |v| {
                round_float(f64::from(v), &v.to_string(), digits, truncate) as f32
            }),
        ),
        _ => call(
            place,
            T::Double,
            args,
            Nulls::Strict,
            false,
            unary::<Float64Type, Float64Type>(move |v| {
                round_float(v, &v.to_string(), digits, truncate)
            }),
        ),
    }
}

fn round_int(value: i128, digits: i32, rounding: Rounding) -> i128 {
    if digits >= 0 {
        return value;
    }
    crate::eval::decimal::round(
        value,
        0,
        digits,
        rounding,
        Shape {
            precision: 38,
            scale: 0,
        },
    )
    .unwrap_or(0)
}

/// Rounds the decimal digits that the number shows, as Java's BigDecimal.valueOf does.
fn round_float(value: f64, shown: &str, digits: i32, truncate: bool) -> f64 {
    if !value.is_finite() {
        return value;
    }
    if digits < 0 {
        if digits < -308 {
            return 0.0;
        }
        let unit = 10f64.powi(-digits);
        return if truncate {
            (value / unit).trunc() * unit
        } else {
            (value / unit).round() * unit
        };
    }
    let fraction = shown.split_once('.').map_or(0, |(_, f)| f.len());
    let digits = digits as usize;
    if fraction <= digits {
        return value;
    }
    let cut = &shown[..shown.len() - (fraction - digits)];
    let up = !truncate && shown.as_bytes()[shown.len() - (fraction - digits)] >= b'5';
    let cut = cut.trim_end_matches('.');
    let Ok(base) = cut.parse::<f64>() else {
        return value;
    };
    if !up {
        return base;
    }
    // One step away from zero in the last digit kept.
    let step = 10f64.powi(-(digits as i32));
    let next = base.abs() + step;
    format!("{next:.digits$}")
        .parse::<f64>()
        .unwrap_or(next)
        .copysign(value)
}

/// GREATEST and LEAST: null if an argument is.
pub(super) fn extreme(
    place: Place,
    greatest: bool,
    what: &str,
    args: Vec<BoundExpr>,
) -> Analyzed<BoundExpr> {
    let args = super::functions::times_of(args)?;
    if args.iter().all(|a| a.untyped_null) {
        return refuse(place, format!("{what} gives only NULL, which has no type"));
    }
    let (data_type, args) = to_one_type(what, args)?;
    if matches!(data_type, T::Array(_) | T::Map(_) | T::Struct(_)) {
        return refuse(
            place,
            format!("{what} can't compare {}", shortened(&data_type)),
        );
    }
    call(
        place,
        data_type,
        &args,
        Nulls::Strict,
        false,
        crate::eval::compare::extreme(greatest),
    )
}
