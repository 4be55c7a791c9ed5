//! JSON_VALUE, JSON_QUERY, JSON_EXISTS and IS JSON.
//!
//! A path is followed through the text itself: one pass a step, which checks the whole document and
//! keeps numbers as they are written. Paths are `$`, members and indexes (`$.a.b[0]['c d']`), with
//! `strict` (as in Flink 2.3, the default: what is missing, or no JSON at all, is an error) or `lax`
//! (it is empty).

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int32Array, Int64Array, StringArray};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{Args, Kernel};
use crate::syntax::ast::{JsonExistsError, JsonKind, JsonQueryDefault, JsonWrapper};
use crate::types::DataType as T;

/// A compiled path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Path {
    strict: bool,
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Member(String),
    Index(usize),
}

impl Path {
    /// Compiles a path such as `$.a.b[0]` or `strict $['a b']`.
    pub(crate) fn compile(text: &str) -> Result<Self, String> {
        let trimmed = text.trim();
        let mode = |word: &str| {
            trimmed
                .get(..word.len())
                .filter(|m| m.eq_ignore_ascii_case(word))
                .map(|_| trimmed[word.len()..].trim_start())
        };
        let (strict, path) = match (mode("strict "), mode("lax ")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => (true, trimmed),
        };
        let wrong = |what: &str| {
            format!(
                "the JSON path '{text}' {what}; a path is $ with members and indexes, as in $.a.b[0]['c d']"
            )
        };
        let mut rest = path
            .strip_prefix('$')
            .ok_or_else(|| wrong("doesn't begin with $"))?;
        let mut steps = Vec::new();
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix('.') {
                let end = after.find(['.', '[']).unwrap_or(after.len());
                let name = &after[..end];
                if name.is_empty() || name == "*" || name.contains(['(', '?', '@']) {
                    return Err(wrong(
                        "has a step that is not supported (wildcards, descents and filters are not)",
                    ));
                }
                steps.push(Step::Member(name.to_owned()));
                rest = &after[end..];
            } else if let Some(after) = rest.strip_prefix('[') {
                let quote = after.chars().next().filter(|c| matches!(c, '\'' | '"'));
                if let Some(quote) = quote {
                    let name = &after[1..];
                    let end = name
                        .find(quote)
                        .ok_or_else(|| wrong("has a quote that is not closed"))?;
                    steps.push(Step::Member(name[..end].to_owned()));
                    rest = name[end + 1..]
                        .strip_prefix(']')
                        .ok_or_else(|| wrong("lacks ]"))?;
                } else {
                    let end = after.find(']').ok_or_else(|| wrong("lacks ]"))?;
                    let index = after[..end].trim().parse().map_err(|_| wrong("has an index that is not supported (wildcards, ranges and negative ones are not)"))?;
                    steps.push(Step::Index(index));
                    rest = &after[end + 1..];
                }
            } else {
                return Err(wrong("can't be read"));
            }
        }
        if steps.len() > 64 {
            return Err(wrong("has more than 64 steps"));
        }
        Ok(Self { strict, steps })
    }

    fn find<'a>(&self, document: &'a str) -> Found<'a> {
        // As in Flink, what follows the document is not looked at.
        let mut documents =
            serde_json::Deserializer::from_str(document).into_iter::<&'a RawValue>();
        let Some(Ok(mut here)) = documents.next() else {
            return self.nothing();
        };
        for step in &self.steps {
            let mut reader = serde_json::Deserializer::from_str(here.get());
            let next = match step {
                Step::Member(name) if here.get().starts_with('{') => {
                    Member(name).deserialize(&mut reader)
                }
                Step::Index(index) if here.get().starts_with('[') => {
                    Element(*index).deserialize(&mut reader)
                }
                _ => Ok(None),
            };
            match next {
                Ok(Some(value)) => here = value,
                Ok(None) | Err(_) => return self.nothing(),
            }
        }
        // In lax mode null is as good as nothing.
        if !self.strict && here.get() == "null" {
            Found::Missing
        } else {
            Found::Value(here)
        }
    }

    /// What it means that a path leads nowhere, or that the text is no JSON.
    fn nothing<'a>(&self) -> Found<'a> {
        if self.strict {
            Found::Invalid
        } else {
            Found::Missing
        }
    }
}

/// What a path leads to.
enum Found<'a> {
    Value(&'a RawValue),
    /// Nothing is there, or the text is no JSON, and the path is lax.
    Missing,
    /// The same for a strict path.
    Invalid,
}

/// Finds a member of an object; of equal names the last counts.
struct Member<'n>(&'n str);

impl<'de> DeserializeSeed<'de> for Member<'_> {
    type Value = Option<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Member<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            if key == self.0 {
                found = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// Finds an element of an array.
struct Element(usize);

impl<'de> DeserializeSeed<'de> for Element {
    type Value = Option<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Element {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut at = 0;
        let mut found = None;
        loop {
            if at == self.0 {
                found = seq.next_element()?;
                if found.is_none() {
                    return Ok(None);
                }
            } else if seq.next_element::<IgnoredAny>()?.is_none() {
                return Ok(found);
            }
            at += 1;
        }
    }
}

/// A scalar's text as Flink shows it; `None`: an object or array. `Some(None)`: null.
fn scalar_text(value: &RawValue) -> Option<Option<String>> {
    let raw = value.get();
    match raw.as_bytes().first()? {
        b'{' | b'[' => None,
        b'"' => serde_json::from_str::<String>(raw).ok().map(Some),
        b'n' => Some(None),
        b't' | b'f' => Some(Some(raw.to_owned())),
        _ => Some(Some(number_text(raw))),
    }
}

/// A number as Java's `BigDecimal.toString` writes it.
fn number_text(raw: &str) -> String {
    let (mantissa, exponent) = raw.split_once(['e', 'E']).unwrap_or((raw, "0"));
    if !raw.contains(['.', 'e', 'E']) {
        return if raw == "-0" {
            "0".to_owned()
        } else {
            raw.to_owned()
        };
    }
    let Ok(exponent) = exponent.parse::<i64>() else {
        return raw.to_owned();
    };
    let (sign, mantissa) = mantissa
        .strip_prefix('-')
        .map_or(("", mantissa), |m| ("-", m));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let joined = format!("{whole}{fraction}");
    let digits = joined.trim_start_matches('0');
    let digits = if digits.is_empty() { "0" } else { digits };
    let sign = if digits == "0" { "" } else { sign };
    let scale = fraction.len() as i64 - exponent;
    let adjusted = digits.len() as i64 - 1 - scale;
    if scale == 0 {
        return format!("{sign}{digits}");
    }
    if scale > 0 && adjusted >= -6 {
        let scale = scale as usize;
        let padded = format!("{digits:0>width$}", width = scale + 1);
        let (whole, fraction) = padded.split_at(padded.len() - scale);
        return format!("{sign}{whole}.{fraction}");
    }
    let (first, rest) = digits.split_at(1);
    let point = if rest.is_empty() { "" } else { "." };
    format!(
        "{sign}{first}{point}{rest}E{}{adjusted}",
        if adjusted >= 0 { "+" } else { "" }
    )
}

/// What JSON_VALUE gives for a row.
enum Outcome {
    Text(Option<String>),
    Empty,
    Error(String),
}

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
        let outcome = match path.find(document) {
            Found::Value(found) => match scalar_text(found) {
                Some(text) => Outcome::Text(text),
                None if path.strict => {
                    Outcome::Error("JSON_VALUE finds an object or array".to_owned())
                }
                None => Outcome::Empty,
            },
            Found::Missing => Outcome::Empty,
            Found::Invalid => Outcome::Error("JSON_VALUE finds no JSON there".to_owned()),
        };
        let (otherwise, message) = match outcome {
            Outcome::Text(None) => (Otherwise::Null, String::new()),
            Outcome::Text(Some(text)) => match read(&text) {
                Some(value) => {
                    values.push(Some(value));
                    continue;
                }
                None => (
                    on_error,
                    format!(
                        "JSON_VALUE finds '{}', which is no value of the wanted type",
                        text.chars().take(40).collect::<String>()
                    ),
                ),
            },
            Outcome::Empty => (on_empty, "JSON_VALUE finds nothing".to_owned()),
            Outcome::Error(message) => (on_error, message),
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

/// JSON text as Flink writes it: without spaces, members sorted by name, numbers as [`number_text`].
fn canonical(value: &RawValue) -> String {
    let raw = value.get();
    match raw.as_bytes().first() {
        Some(b'{') => {
            let members: BTreeMap<String, &RawValue> =
                serde_json::from_str(raw).unwrap_or_default();
            let members: Vec<String> = members
                .iter()
                .map(|(name, value)| format!("{}:{}", quoted(name), canonical(value)))
                .collect();
            format!("{{{}}}", members.join(","))
        }
        Some(b'[') => {
            let elements: Vec<&RawValue> = serde_json::from_str(raw).unwrap_or_default();
            format!(
                "[{}]",
                elements
                    .into_iter()
                    .map(canonical)
                    .collect::<Vec<_>>()
                    .join(",")
            )
        }
        Some(b'"') => serde_json::from_str::<String>(raw)
            .map_or_else(|_| raw.to_owned(), |text| quoted(&text)),
        Some(b'-' | b'0'..=b'9') => number_text(raw),
        _ => raw.to_owned(),
    }
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_through_the_text() {
        let document = r#" {"a": {"b": [1, {"c d": "x\n"}], "b2": 1.50}, "a.b": null} "#;
        for (path, want) in [
            ("$.a.b[1]['c d']", Some("\"x\\n\"")),
            ("lax $.a.b2", Some("1.50")),
            ("$['a.b']", Some("null")),
            ("lax $.a.zz", None),
            ("$[0]", None),
            ("$.a.b[7]", None),
        ] {
            let got = match Path::compile(path).unwrap().find(document) {
                Found::Value(v) => Some(v.get().to_owned()),
                _ => None,
            };
            assert_eq!(got.as_deref(), want, "{path}");
        }
        for path in ["a", "$..a", "$.*", "$.a[*]", "$.a[-1]", "$['a", "$x", ""] {
            assert!(Path::compile(path).is_err(), "{path}");
        }
    }

    #[test]
    fn numbers_are_written_as_javas_big_decimals() {
        for (raw, text) in [
            ("1", "1"),
            ("2.50", "2.50"),
            ("1e2", "1E+2"),
            ("1E-7", "1E-7"),
            ("1.0", "1.0"),
            ("-12.5e1", "-125"),
            ("0.00000012", "1.2E-7"),
            ("123e-2", "1.23"),
        ] {
            assert_eq!(number_text(raw), text);
        }
    }
}
