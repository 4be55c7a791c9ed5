//! Arrays, maps and rows.

use super::bound_expr::{Analyzed, BoundExpr, Nulls, call, refuse};
use super::casts::{coerce, to_one_type};
use super::functions::{Function, ParamType, own};
use super::scope::shortened;
use crate::error::Place;
use crate::eval::collections as eval;
use crate::types::{DataType as T, StructField};

use ParamType::Any;

pub(super) const FUNCTIONS: &[Function] = &[
    own("CARDINALITY", &[Any], 1, false, cardinality),
    own("ELEMENT", &[Any], 1, false, element),
    own("ARRAY_CONTAINS", &[Any, Any], 2, false, contains),
    own(
        "ARRAY_JOIN",
        &[Any, ParamType::Text, ParamType::Text],
        2,
        false,
        join,
    ),
    own("MAP_KEYS", &[Any], 1, false, map_part),
    own("MAP_VALUES", &[Any], 1, false, map_part),
];

/// `array[1]` (from 1; null where there is no such element), `map['key']`.
pub(super) fn index(place: Place, of: BoundExpr, index: BoundExpr) -> Analyzed<BoundExpr> {
    match of.data_type.clone() {
        T::Array(element) => {
            if !matches!(index.data_type, T::Int | T::BigInt) {
                return refuse(
                    index.place,
                    format!(
                        "an array's index is a whole number, this is {}",
                        shortened(&index.data_type)
                    ),
                );
            }
            if index.literal_int().is_some_and(|i| i < 1) {
                return refuse(index.place, "an array's first element has the index 1");
            }
            let index = coerce(index, &T::BigInt)?;
            call(
                place,
                *element,
                &[of, index],
                Nulls::Possible,
                false,
                eval::element_at(),
            )
        }
        T::Map(value) => {
            if index.data_type != T::String {
                return refuse(
                    index.place,
                    format!(
                        "a map's key is a string, this is {}",
                        shortened(&index.data_type)
                    ),
                );
            }
            call(
                place,
                *value,
                &[of, index],
                Nulls::Possible,
                false,
                eval::value_of(),
            )
        }
        other => refuse(
            place,
            format!("{} has no elements to take with [ ]", shortened(&other)),
        ),
    }
}

/// `ARRAY[…]`.
pub(super) fn array(place: Place, items: Vec<BoundExpr>) -> Analyzed<BoundExpr> {
    if items.is_empty() || items.iter().all(|i| i.untyped_null) {
        return refuse(
            place,
            "the array's type is open; give it an element that isn't NULL",
        );
    }
    let (element, items) = to_one_type("ARRAY", items)?;
    let kernel = eval::make_array(element.to_arrow());
    call(
        place,
        T::Array(Box::new(element)),
        &items,
        Nulls::Never,
        false,
        kernel,
    )
}

/// `MAP['key', value, …]`.
pub(super) fn map(place: Place, items: Vec<BoundExpr>) -> Analyzed<BoundExpr> {
    if items.is_empty() || items.len() % 2 == 1 {
        return refuse(place, "MAP[…] takes keys and values in turn");
    }
    let (mut keys, mut values) = (Vec::new(), Vec::new());
    for (i, item) in items.into_iter().enumerate() {
        if i % 2 == 1 {
            values.push(item);
        } else if item.data_type == T::String && !item.nullable {
            keys.push(item);
        } else {
            let null = if item.nullable {
                " that may be null"
            } else {
                ""
            };
            return refuse(
                item.place,
                format!(
                    "a map's key is a string that isn't null, this is {}{null}",
                    shortened(&item.data_type)
                ),
            );
        }
    }
    if values.iter().all(|v| v.untyped_null) {
        return refuse(
            place,
            "the map's type is open; give it a value that isn't NULL",
        );
    }
    let (value, values) = to_one_type("MAP", values)?;
    let data_type = T::Map(Box::new(value));
    let kernel = eval::make_map(data_type.to_arrow());
    let items: Vec<BoundExpr> = keys
        .into_iter()
        .zip(values)
        .flat_map(|(k, v)| [k, v])
        .collect();
    call(place, data_type, &items, Nulls::Never, false, kernel)
}

/// `ROW(…)`, with Flink's field names `EXPR$0` and so on.
pub(super) fn row(place: Place, items: Vec<BoundExpr>) -> Analyzed<BoundExpr> {
    if items.is_empty() {
        return refuse(place, "ROW() has no fields");
    }
    if let Some(null) = items.iter().find(|i| i.untyped_null) {
        return refuse(
            null.place,
            "NULL alone has no type; write CAST(NULL AS STRING) or another type",
        );
    }
    let fields = items.iter().enumerate().map(|(i, t)| StructField {
        name: format!("EXPR${i}"),
        data_type: t.data_type.clone(),
        nullable: t.nullable,
    });
    let data_type = T::Struct(fields.collect());
    let kernel = eval::make_struct(data_type.to_arrow());
    call(place, data_type, &items, Nulls::Never, false, kernel)
}

fn cardinality(place: Place, name: &'static str, args: Vec<BoundExpr>) -> Analyzed<BoundExpr> {
    match args[0].data_type {
        T::Array(_) | T::Map(_) => call(
            place,
            T::Int,
            &args,
            Nulls::Strict,
            false,
            eval::cardinality(),
        ),
        _ => no_array(&args[0], name),
    }
}

pub(super) fn no_array(arg: &BoundExpr, name: &str) -> Analyzed<BoundExpr> {
    refuse(
        arg.place,
        format!(
            "{name} takes an array, this is {}",
            shortened(&arg.data_type)
        ),
    )
}

fn element(place: Place, name: &'static str, args: Vec<BoundExpr>) -> Analyzed<BoundExpr> {
    match args[0].data_type.clone() {
        T::Array(element) => call(
            place,
            *element,
            &args,
            Nulls::Possible,
            true,
            eval::only_element(),
        ),
        _ => no_array(&args[0], name),
    }
}

fn contains(place: Place, name: &'static str, args: Vec<BoundExpr>) -> Analyzed<BoundExpr> {
    let T::Array(element) = args[0].data_type.clone() else {
        return no_array(&args[0], name);
    };
    if matches!(*element, T::Array(_) | T::Map(_) | T::Struct(_)) {
        return refuse(
            args[0].place,
            format!(
                "elements of {} can't be compared",
                shortened(&args[0].data_type)
            ),
        );
    }
    let mut args = args;
    let wanted = args.remove(1);
    if !wanted.untyped_null
        && super::casts::common(&element, &wanted.data_type).as_ref() != Some(&*element)
    {
        return refuse(
            wanted.place,
            format!(
                "the array holds {element}, this is {}",
                shortened(&wanted.data_type)
            ),
        );
    }
    let list = args.remove(0);
    let nullable = list.nullable;
    let wanted = coerce(wanted, &element)?;
    let nulls = if nullable {
        Nulls::Possible
    } else {
        Nulls::Never
    };
    call(
        place,
        T::Boolean,
        &[list, wanted],
        nulls,
        false,
        eval::contains(),
    )
}

fn join(place: Place, name: &'static str, args: Vec<BoundExpr>) -> Analyzed<BoundExpr> {
    match &args[0].data_type {
        T::Array(element) if **element == T::String => {
            call(place, T::String, &args, Nulls::Strict, false, eval::join())
        }
        T::Array(element) => refuse(
            args[0].place,
            format!(
                "{name} takes an array of strings, this one holds {element}; cast it with CAST(… AS ARRAY<STRING>)"
            ),
        ),
        _ => no_array(&args[0], name),
    }
}

fn map_part(place: Place, name: &'static str, args: Vec<BoundExpr>) -> Analyzed<BoundExpr> {
    let T::Map(value) = args[0].data_type.clone() else {
        return refuse(
            args[0].place,
            format!(
                "{name} takes a map, this is {}",
                shortened(&args[0].data_type)
            ),
        );
    };
    let keys = name == "MAP_KEYS";
    let element = if keys { T::String } else { *value };
    call(
        place,
        T::Array(Box::new(element)),
        &args,
        Nulls::Strict,
        false,
        eval::map_part(keys),
    )
}
