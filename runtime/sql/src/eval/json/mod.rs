//! JSON_VALUE, JSON_QUERY, JSON_EXISTS and IS JSON.
//!
//! A path is followed through the text itself: one pass a step, which checks the whole document and
//! keeps numbers as they are written. Paths are `$`, members and indexes (`$.a.b[0]['c d']`), with
//! `strict` (as in Flink 2.3, the default: what is missing, or no JSON at all, is an error) or `lax`
//! (it is empty).

mod path;
mod text;

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int32Array, Int64Array, StringArray};
use serde_json::value::RawValue;

use super::{Args, Kernel};
use crate::syntax::ast::{JsonExistsError, JsonKind, JsonQueryDefault, JsonWrapper};
use crate::types::DataType as T;
use path::Found;
pub(crate) use path::Path;
use text::{Scalar, canonical, scalar};

/// What happens to an empty or failed JSON_VALUE: null, an error, or the value of argument `n`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Otherwise {
    Null,
    Fail,
    Argument(usize),
}

/// JSON_VALUE; the defaults' values are arguments of the result's type.
pub(crate) fn value(path: Path, to: T, on_empty: Otherwise, on_error: Otherwise) -> Kernel {
    Arc::new(move |args: &Args| match &to {
        T::Int => collect(
            args,
            &path,
            on_empty,
            on_error,
            |t| t.parse::<i32>().ok(),
            |i, row| args.primitive::<arrow::datatypes::Int32Type>(i).get(row),
        )
        .map(|v| Arc::new(Int32Array::from(v)) as ArrayRef),
        T::BigInt => collect(
            args,
            &path,
            on_empty,
            on_error,
            |t| t.parse::<i64>().ok(),
            |i, row| args.primitive::<arrow::datatypes::Int64Type>(i).get(row),
        )
        .map(|v| Arc::new(Int64Array::from(v)) as ArrayRef),
        T::Double => collect(
            args,
            &path,
            on_empty,
            on_error,
            |t| t.parse::<f64>().ok(),
            |i, row| args.primitive::<arrow::datatypes::Float64Type>(i).get(row),
        )
        .map(|v| Arc::new(Float64Array::from(v)) as ArrayRef),
        T::Boolean => collect(
            args,
            &path,
            on_empty,
            on_error,
            |t| t.parse::<bool>().ok(),
            |i, row| args.boolean(i).get(row),
        )
        .map(|v| Arc::new(BooleanArray::from(v)) as ArrayRef),
        _ => collect(
            args,
            &path,
            on_empty,
            on_error,
            |t| Some(t.to_owned()),
            |i, row| args.text(i).get(row).map(str::to_owned),
        )
        .map(|v| Arc::new(StringArray::from(v)) as ArrayRef),
    })
}

fn collect<V>(
    args: &Args,
    path: &Path,
    on_empty: Otherwise,
    on_error: Otherwise,
    read: impl Fn(&str) -> Option<V>,
    default: impl Fn(usize, usize) -> Option<V>,
) -> Result<Vec<Option<V>>, String> {
    let documents = args.text(0);
    let mut values = Vec::with_capacity(args.rows);
    for row in 0..args.rows {
        let Some(document) = documents.get(row) else {
            values.push(None);
            continue;
        };
        let (otherwise, message) = match path.find(document) {
            Found::Value(found) => match scalar(found) {
                Scalar::Null => (Otherwise::Null, String::new()),
                Scalar::Text(text) => {
                    if let Some(value) = read(&text) {
                        values.push(Some(value));
                        continue;
                    }
                    let shown: String = text.chars().take(40).collect();
                    let message =
                        format!("JSON_VALUE finds '{shown}', which is no value of the wanted type");
                    (on_error, message)
                }
                Scalar::Nested => {
                    let otherwise = if path.strict { on_error } else { on_empty };
                    (otherwise, "JSON_VALUE finds an object or array".to_owned())
                }
            },
            Found::Missing => (on_empty, "JSON_VALUE finds nothing".to_owned()),
            Found::Invalid => (
                on_error,
                "JSON_VALUE finds nothing there, or no JSON".to_owned(),
            ),
        };
        values.push(match otherwise {
            Otherwise::Null => None,
            Otherwise::Fail => return Err(message),
            Otherwise::Argument(i) => default(i, row),
        });
    }
    Ok(values)
}

/// JSON_QUERY: an object or array as text.
pub(crate) fn query(
    path: Path,
    wrapper: JsonWrapper,
    on_empty: JsonQueryDefault,
    on_error: JsonQueryDefault,
) -> Kernel {
    Arc::new(move |args: &Args| {
        let documents = args.text(0);
        let mut values: Vec<Option<String>> = Vec::with_capacity(args.rows);
        for row in 0..args.rows {
            let Some(document) = documents.get(row) else {
                values.push(None);
                continue;
            };
            let (otherwise, message) = match path.find(document) {
                Found::Value(found) => {
                    let nested = found.get().starts_with(['{', '[']);
                    let wrap = match wrapper {
                        JsonWrapper::Without => false,
                        JsonWrapper::Conditional => !found.get().starts_with('['),
                        JsonWrapper::Unconditional => true,
                    };
                    if found.get() == "null" {
                        (on_empty, "JSON_QUERY finds null")
                    } else if nested || wrap {
                        let text = canonical(found);
                        values.push(Some(if wrap { format!("[{text}]") } else { text }));
                        continue;
                    } else {
                        (
                            if path.strict { on_error } else { on_empty },
                            "JSON_QUERY finds neither object nor array",
                        )
                    }
                }
                Found::Missing => (on_empty, "JSON_QUERY finds nothing"),
                Found::Invalid => (on_error, "JSON_QUERY finds no JSON there"),
            };
            values.push(match otherwise {
                JsonQueryDefault::Null => None,
                JsonQueryDefault::EmptyArray => Some("[]".to_owned()),
                JsonQueryDefault::EmptyObject => Some("{}".to_owned()),
                JsonQueryDefault::Error => return Err(message.to_owned()),
            });
        }
        Ok(Arc::new(StringArray::from(values)) as ArrayRef)
    })
}

/// JSON_EXISTS.
pub(crate) fn exists(path: Path, on_error: JsonExistsError) -> Kernel {
    Arc::new(move |args: &Args| {
        let documents = args.text(0);
        let mut values = Vec::with_capacity(args.rows);
        for row in 0..args.rows {
            values.push(match documents.get(row).map(|d| path.find(d)) {
                None => None,
                Some(Found::Value(found)) => Some(found.get() != "null"),
                Some(Found::Missing) => Some(false),
                Some(Found::Invalid) => match on_error {
                    JsonExistsError::True => Some(true),
                    JsonExistsError::False => Some(false),
                    JsonExistsError::Unknown => None,
                    JsonExistsError::Error => {
                        return Err("JSON_EXISTS finds no JSON there".to_owned());
                    }
                },
            });
        }
        Ok(Arc::new(BooleanArray::from(values)) as ArrayRef)
    })
}

/// `IS [NOT] JSON [VALUE|SCALAR|ARRAY|OBJECT]`.
pub(crate) fn is_json(kind: JsonKind, negated: bool) -> Kernel {
    Arc::new(move |args: &Args| {
        let texts = args.text(0);
        let values = (0..args.rows).map(|row| {
            let Some(text) = texts.get(row) else {
                return Some(negated);
            };
            let first = serde_json::from_str::<&RawValue>(text)
                .ok()
                .and_then(|v| v.get().bytes().next());
            let is = match (first, kind) {
                (None, _) => false,
                (Some(_), JsonKind::Value) => true,
                (Some(first), JsonKind::Object) => first == b'{',
                (Some(first), JsonKind::Array) => first == b'[',
                (Some(first), JsonKind::Scalar) => !matches!(first, b'{' | b'['),
            };
            Some(is != negated)
        });
        Ok(Arc::new(values.collect::<BooleanArray>()) as ArrayRef)
    })
}
