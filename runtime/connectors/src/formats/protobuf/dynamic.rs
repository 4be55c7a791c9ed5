//! `google.protobuf.Struct`, `Value` and `ListValue`: any JSON, as messages. Here it is JSON text.
//!
//! Their numbers are doubles. Of a Struct's keys that come twice the last one counts, as of any map; the text has them
//! in order.

use headworks_schema::protobuf::Known;
use serde_json::{Map, Number, Value};

use super::super::refused::Refused;
use super::wire::{FIXED64, Field, LENGTH, VARINT, field, put_varint};
use super::write::prefixed;

/// Values in values; serde_json's own limit is 128.
const MAX_DEPTH: usize = 100;
/// Up to here every whole number is a double, and is written without a point.
const WHOLE: f64 = 9_007_199_254_740_992.0;

/// Which of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Json {
    Struct,
    Value,
    List,
}

impl Json {
    pub(super) fn of(known: Known) -> Option<Json> {
        match known {
            Known::Struct => Some(Json::Struct),
            Known::Value => Some(Json::Value),
            Known::List => Some(Json::List),
            _ => None,
        }
    }

    /// The message as JSON text.
    pub(super) fn read(self, bytes: &[u8]) -> Result<String, Refused> {
        let value = match self {
            Json::Struct => object(bytes, 0),
            Json::Value => value(bytes, 0),
            Json::List => list(bytes, 0),
        };
        Ok(value?.to_string())
    }

    /// JSON text as the message, without its length.
    pub(super) fn write(self, text: &str, out: &mut Vec<u8>) -> Result<(), Refused> {
        let value: Value = serde_json::from_str(text)
            .map_err(|error| Refused::contract(format!("is no JSON: {error}")))?;
        match (self, &value) {
            (Json::Struct, Value::Object(members)) => put_object(members, out),
            (Json::List, Value::Array(items)) => put_list(items, out),
            (Json::Value, value) => put_value(value, out),
            (Json::Struct, _) => {
                return Err(Refused::contract(
                    "is no JSON object, as the definition's Struct",
                ));
            }
            (Json::List, _) => {
                return Err(Refused::contract(
                    "is no JSON array, as the definition's ListValue",
                ));
            }
        }
        Ok(())
    }
}

fn within<'a>(bytes: &'a [u8], field: &Field) -> &'a [u8] {
    &bytes[field.value as usize..field.end]
}

fn deeper(depth: usize) -> Result<usize, Refused> {
    if depth >= MAX_DEPTH {
        return Err(Refused::decode(format!(
            "JSON nested more than {MAX_DEPTH} levels deep"
        )));
    }
    Ok(depth + 1)
}

fn text(bytes: &[u8], field: &Field) -> Result<String, Refused> {
    let text = std::str::from_utf8(within(bytes, field));
    text.map(str::to_owned)
        .map_err(|_| Refused::decode("a string that is not UTF-8"))
}

fn object(bytes: &[u8], depth: usize) -> Result<Value, Refused> {
    let depth = deeper(depth)?;
    let mut members = Map::new();
    let mut at = 0;
    while at < bytes.len() {
        let entry = field(bytes, &mut at)?;
        if (entry.number, entry.wire) != (1, LENGTH) {
            continue;
        }
        let entry = within(bytes, &entry);
        let (mut key, mut inner) = (String::new(), &[][..]);
        let mut within_entry = 0;
        while within_entry < entry.len() {
            let field = field(entry, &mut within_entry)?;
            match (field.number, field.wire) {
                (1, LENGTH) => key = text(entry, &field)?,
                (2, LENGTH) => inner = within(entry, &field),
                _ => {}
            }
        }
        let value = value(inner, depth).map_err(|refused| refused.key(key.as_bytes()))?;
        members.insert(key, value);
    }
    Ok(Value::Object(members))
}

fn list(bytes: &[u8], depth: usize) -> Result<Value, Refused> {
    let depth = deeper(depth)?;
    let mut items = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let item = field(bytes, &mut at)?;
        if (item.number, item.wire) == (1, LENGTH) {
            let value = value(within(bytes, &item), depth);
            items.push(value.map_err(|refused| refused.index(items.len()))?);
        }
    }
    Ok(Value::Array(items))
}

/// Of a oneof the last member counts.
fn value(bytes: &[u8], depth: usize) -> Result<Value, Refused> {
    let mut found = None;
    let mut at = 0;
    while at < bytes.len() {
        let field = field(bytes, &mut at)?;
        match (field.number, field.wire) {
            (1 | 4, VARINT) | (2, FIXED64) | (3 | 5 | 6, LENGTH) => found = Some(field),
            _ => {}
        }
    }
    let Some(field) = found else {
        return Err(Refused::contract(
            "is a google.protobuf.Value without any value",
        ));
    };
    Ok(match field.number {
        1 => Value::Null,
        2 => Value::Number(number(f64::from_bits(field.value))?),
        3 => Value::String(text(bytes, &field)?),
        4 => Value::Bool(field.value != 0),
        5 => object(within(bytes, &field), depth)?,
        _ => list(within(bytes, &field), depth)?,
    })
}

fn number(value: f64) -> Result<Number, Refused> {
    let signed_zero = value == 0.0 && value.is_sign_negative();
    if value.fract() == 0.0 && value.abs() < WHOLE && !signed_zero {
        return Ok(Number::from(value as i64));
    }
    Number::from_f64(value)
        .ok_or_else(|| Refused::contract("is NaN or infinite, which JSON cannot say"))
}

fn put(number: u64, wire: u8, out: &mut Vec<u8>) {
    put_varint(number << 3 | u64::from(wire), out);
}

fn put_text(number: u64, text: &str, out: &mut Vec<u8>) {
    put(number, LENGTH, out);
    put_varint(text.len() as u64, out);
    out.extend_from_slice(text.as_bytes());
}

fn put_message(number: u64, out: &mut Vec<u8>, content: impl FnOnce(&mut Vec<u8>)) {
    put(number, LENGTH, out);
    let begin = out.len();
    content(out);
    prefixed(begin, out);
}

fn put_object(members: &Map<String, Value>, out: &mut Vec<u8>) {
    for (key, value) in members {
        put_message(1, out, |out| {
            put_text(1, key, out);
            put_message(2, out, |out| put_value(value, out));
        });
    }
}

fn put_list(items: &[Value], out: &mut Vec<u8>) {
    for item in items {
        put_message(1, out, |out| put_value(item, out));
    }
}

fn put_value(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => {
            put(1, VARINT, out);
            out.push(0);
        }
        Value::Number(number) => {
            put(2, FIXED64, out);
            // Without arbitrary precision every number has a double.
            let value = number.as_f64().unwrap_or_default();
            out.extend_from_slice(&value.to_le_bytes());
        }
        Value::String(text) => put_text(3, text, out),
        Value::Bool(value) => {
            put(4, VARINT, out);
            out.push(u8::from(*value));
        }
        Value::Object(members) => put_message(5, out, |out| put_object(members, out)),
        Value::Array(items) => put_message(6, out, |out| put_list(items, out)),
    }
}
