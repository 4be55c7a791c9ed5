//! Functions that make arrays of arrays, or look for something in one.

use super::bound_expr::{Analyzed, BoundExpr, Nulls, call, refuse};
use super::casts::{coerce, common, to_one_type};
use super::collections::no_array;
use super::functions::{Function, ParamType, own};
use super::scope::shortened;
use crate::error::Place;
use crate::eval::arrays as eval;
use crate::eval::arrays::Sets;
use crate::types::DataType as T;

use ParamType::Any;

pub(super) const FUNCTIONS: &[Function] = &[
    own("ARRAY_APPEND", &[Any, Any], 2, false, with_element),
    own("ARRAY_PREPEND", &[Any, Any], 2, false, with_element),
    own("ARRAY_CONCAT", &[Any, Any], 1, true, several),
    own("ARRAY_EXCEPT", &[Any, Any], 2, false, several),
    own("ARRAY_INTERSECT", &[Any, Any], 2, false, several),
    own("ARRAY_UNION", &[Any, Any], 2, false, several),
    own("ARRAY_DISTINCT", &[Any], 1, false, one),
    own("ARRAY_REVERSE", &[Any], 1, false, one),
    own("ARRAY_MAX", &[Any], 1, false, extreme),
    own("ARRAY_MIN", &[Any], 1, false, extreme),
    own("ARRAY_POSITION", &[Any, Any], 2, false, position),
    own("ARRAY_REMOVE", &[Any, Any], 2, false, remove),
    own("ARRAY_SLICE", &[Any, Any, Any], 2, false, slice),
    own("ARRAY_SORT", &[Any, Any, Any], 1, false, sort),
];

/// The type of an array's elements.
fn element(array: &BoundExpr, name: &str) -> Analyzed<T> {
    match &array.data_type {
        T::Array(element) => Ok((**element).clone()),
        _ => no_array(array, name).map(|_| T::Boolean),
    }
}

/// The same of elements that are told apart.
fn comparable(array: &BoundExpr, name: &str) -> Analyzed<T> {
    let element = element(array, name)?;
    if matches!(element, T::Array(_) | T::Map(_) | T::Struct(_)) {
        return refuse(
            array.place,
            format!(
                "elements of {} can't be compared",
                shortened(&array.data_type)
            ),
        );
    }
    Ok(element)
}

/// The same of elements that have an order.
fn ordered(array: &BoundExpr, name: &str) -> Analyzed<T> {
    let element = comparable(array, name)?;
    if matches!(element, T::Boolean | T::Bytes) {
        return refuse(
            array.place,
            format!(
                "{name} is of numbers, texts, dates and times, this is {}",
                shortened(&array.data_type)
            ),
        );
    }
    Ok(element)
}

/// A value as an element of an array.
fn as_element(value: BoundExpr, element: &T) -> Analyzed<BoundExpr> {
    let fits = common(element, &value.data_type).as_ref() == Some(element);
    if !value.untyped_null && !fits {
        return refuse(
            value.place,
            format!(
                "the array holds {element}, this is {}",
                shortened(&value.data_type)
            ),
        );
    }
    coerce(value, element)
}

/// An array and a value that it may hold.
fn with_value(
    args: Vec<BoundExpr>,
    element: impl Fn(&BoundExpr) -> Analyzed<T>,
) -> Analyzed<[BoundExpr; 2]> {
    let mut args = args.into_iter();
    let (Some(list), Some(value)) = (args.next(), args.next()) else {
        return refuse(Place::default(), "two arguments are wanted");
    };
    let element = element(&list)?;
    let value = as_element(value, &element)?;
    Ok([list, value])
}

fn with_element(place: Place, name: &'static str, args: Vec<BoundExpr>) -> Analyzed<BoundExpr> {
    let [list, value] = with_value(args, |list| element(list, name))?;
    let kernel = eval::with_element(name == "ARRAY_PREPEND");
    list_of(place, list, value, kernel)
}

fn remove(place: Place, name: &'static str, args: Vec<BoundExpr>) -> Analyzed<BoundExpr> {
    let [list, value] = with_value(args, |list| comparable(list, name))?;
    list_of(place, list, value, eval::remove())
}

/// An array that is null where `list` is, whatever `value` is.
fn list_of(
    place: Place,
    list: BoundExpr,
    value: BoundExpr,
    kernel: crate::eval::Kernel,
) -> Analyzed<BoundExpr> {
    let nulls = if list.nullable {
        Nulls::Possible
    } else {
        Nulls::Never
    };
    let data_type = list.data_type.clone();
    call(place, data_type, &[list, value], nulls, false, kernel)
}

fn position(place: Place, name: &'static str, args: Vec<BoundExpr>) -> Analyzed<BoundExpr> {
    let both = with_value(args, |list| comparable(list, name))?;
    call(place, T::Int, &both, Nulls::Strict, false, eval::position())
}

fn several(place: Place, name: &'static str, args: Vec<BoundExpr>) -> Analyzed<BoundExpr> {
    for array in &args {
        if name == "ARRAY_CONCAT" {
            element(array, name)?;
        } else {
            comparable(array, name)?;
        }
    }
    let (data_type, args) = to_one_type(name, args)?;
    let kernel = match name {
        "ARRAY_EXCEPT" => eval::sets(Sets::Except),
        "ARRAY_INTERSECT" => eval::sets(Sets::Intersect),
        "ARRAY_UNION" => eval::sets(Sets::Union),
        _ => eval::concat(),
    };
    call(place, data_type, &args, Nulls::Strict, false, kernel)
}

fn one(place: Place, name: &'static str, args: Vec<BoundExpr>) -> Analyzed<BoundExpr> {
    let kernel = if name == "ARRAY_DISTINCT" {
        comparable(&args[0], name)?;
        eval::distinct()
    } else {
        element(&args[0], name)?;
        eval::reverse()
    };
    let data_type = args[0].data_type.clone();
    call(place, data_type, &args, Nulls::Strict, false, kernel)
}

fn extreme(place: Place, name: &'static str, args: Vec<BoundExpr>) -> Analyzed<BoundExpr> {
    let data_type = ordered(&args[0], name)?;
    let kernel = eval::extreme(name == "ARRAY_MAX");
    call(place, data_type, &args, Nulls::Possible, false, kernel)
}

fn slice(place: Place, name: &'static str, args: Vec<BoundExpr>) -> Analyzed<BoundExpr> {
    element(&args[0], name)?;
    let data_type = args[0].data_type.clone();
    let mut coerced = Vec::with_capacity(args.len());
    for (at, arg) in args.into_iter().enumerate() {
        if at == 0 {
            coerced.push(arg);
            continue;
        }
        if !arg.untyped_null && !matches!(arg.data_type, T::Int | T::BigInt) {
            return refuse(
                arg.place,
                format!(
                    "a place in an array is a whole number, this is {}",
                    shortened(&arg.data_type)
                ),
            );
        }
        coerced.push(coerce(arg, &T::BigInt)?);
    }
    call(
        place,
        data_type,
        &coerced,
        Nulls::Strict,
        false,
        eval::slice(),
    )
}

fn sort(place: Place, name: &'static str, args: Vec<BoundExpr>) -> Analyzed<BoundExpr> {
    ordered(&args[0], name)?;
    let data_type = args[0].data_type.clone();
    let mut all = Vec::with_capacity(args.len());
    for (at, arg) in args.into_iter().enumerate() {
        if at > 0 && !arg.untyped_null && arg.data_type != T::Boolean {
            return refuse(
                arg.place,
                format!(
                    "whether {name} is ascending, and nulls come first, is a boolean, this is {}",
                    shortened(&arg.data_type)
                ),
            );
        }
        all.push(if at > 0 {
            coerce(arg, &T::Boolean)?
        } else {
            arg
        });
    }
    call(place, data_type, &all, Nulls::Strict, false, eval::sort())
}
