//! The JSON functions and their clauses.

use super::Binder;
use super::bound_expr::{Analyzed, BoundExpr, Nulls, call, refuse};
use super::casts::coerce;
use super::scope::shortened;
use crate::error::Place;
use crate::eval::json as eval;
use crate::eval::json::{Otherwise, Path};
use crate::syntax::ast::{
    Expr, JsonDefault, JsonExistsError, JsonFunction, JsonKind, JsonQueryDefault,
};
use crate::types::DataType as T;

pub(super) fn bind(
    binder: &Binder,
    place: Place,
    function: &JsonFunction,
    input: &Expr,
    path: &Expr,
) -> Analyzed<BoundExpr> {
    let (input, path) = binder.bind_two(input, path)?;
    let input = text(input)?;
    let path = match path.literal_text().map(Path::compile) {
        Some(Ok(compiled)) => compiled,
        Some(Err(message)) => return refuse(path.place, message),
        None => {
            return refuse(
                path.place,
                "a JSON path is a constant text here, as in '$.a.b[0]'",
            );
        }
    };
    match function {
        JsonFunction::Exists(on_error) => {
            let fails = *on_error == JsonExistsError::Error;
            let nulls = if *on_error == JsonExistsError::Unknown {
                Nulls::Possible
            } else {
                Nulls::Strict
            };
            call(
                place,
                T::Boolean,
                &[input],
                nulls,
                fails,
                eval::exists(path, *on_error),
            )
        }
        JsonFunction::Query {
            wrapper,
            on_empty,
            on_error,
        } => {
            let fails = [on_empty, on_error]
                .into_iter()
                .any(|d| *d == JsonQueryDefault::Error);
            call(
                place,
                T::String,
                &[input],
                Nulls::Possible,
                fails,
                eval::query(path, *wrapper, *on_empty, *on_error),
            )
        }
        JsonFunction::Value {
            returning,
            on_empty,
            on_error,
        } => {
            let to = match returning {
                None => T::String,
                Some(name) => match name.data_type {
                    T::String | T::Boolean | T::Int | T::BigInt | T::Double
                        if name.max_chars.is_none() =>
                    {
                        name.data_type.clone()
                    }
                    _ => {
                        return refuse(
                            name.place,
                            format!(
                                "JSON_VALUE returns STRING, BOOLEAN, INT, BIGINT or DOUBLE, not {}; use CAST",
                                shortened(&name.data_type)
                            ),
                        );
                    }
                },
            };
            let mut args = vec![input];
            let empty = otherwise(binder, on_empty, &to, &mut args)?;
            let error = otherwise(binder, on_error, &to, &mut args)?;
            let fails = [empty, error].iter().any(|o| matches!(o, Otherwise::Fail));
            call(
                place,
                to.clone(),
                &args,
                Nulls::Possible,
                fails,
                eval::value(path, to, empty, error),
            )
        }
    }
}

/// A clause's default; a value becomes an argument of the call.
fn otherwise(
    binder: &Binder,
    default: &JsonDefault,
    to: &T,
    args: &mut Vec<BoundExpr>,
) -> Analyzed<Otherwise> {
    match default {
        JsonDefault::Null => Ok(Otherwise::Null),
        JsonDefault::Error => Ok(Otherwise::Fail),
        JsonDefault::Default(expr) => {
            let typed = binder.bind(expr)?;
            let widens = typed.untyped_null
                || super::casts::common(&typed.data_type, to).as_ref() == Some(to);
            if !widens {
                return refuse(
                    typed.place,
                    format!(
                        "JSON_VALUE returns {to}, and its default is {}; make them equal with RETURNING or CAST",
                        shortened(&typed.data_type)
                    ),
                );
            }
            args.push(coerce(typed, to)?);
            Ok(Otherwise::Argument(args.len() - 1))
        }
    }
}

fn text(input: BoundExpr) -> Analyzed<BoundExpr> {
    if input.untyped_null || input.data_type == T::String {
        return coerce(input, &T::String);
    }
    let hint = match input.data_type {
        T::Struct(_) => "; a struct's field is taken with a dot",
        T::Map(_) => "; a map's value is taken with ['key']",
        T::Array(_) => "; an array's element is taken with [1]",
        _ => "",
    };
    refuse(
        input.place,
        format!(
            "JSON functions read text, this is {}{hint}",
            shortened(&input.data_type)
        ),
    )
}

pub(super) fn is_json(
    place: Place,
    input: BoundExpr,
    kind: JsonKind,
    negated: bool,
) -> Analyzed<BoundExpr> {
    call(
        place,
        T::Boolean,
        &[text(input)?],
        Nulls::Never,
        false,
        eval::is_json(kind, negated),
    )
}
