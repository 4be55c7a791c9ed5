//! A field's default (JSON in the schema) as the bytes that a writer would have written (Avro 1.12, "Complex Types").

use serde_json::{Number, Value};

use super::schema::{Avro, Id, Kind};
use crate::limits::MAX_TEXT;

/// Nesting of a default.
const MAX_DEPTH: usize = 32;

/// `value`, a field's default, as a writer would have written it. `None`: it doesn't fit the type, or is larger than
/// any schema's text.
pub fn encoded(avro: &Avro, id: Id, value: &Value) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    write(avro, id, value, 0, &mut out)?;
    Some(out)
}

fn write(avro: &Avro, id: Id, value: &Value, depth: usize, out: &mut Vec<u8>) -> Option<()> {
    // Records' own defaults stand in for what isn't said, so that a small text can mean much.
    if depth > MAX_DEPTH || out.len() > MAX_TEXT {
        return None;
    }
    match (&avro.node(id).kind, value) {
        (Kind::Null, Value::Null) => {}
        (Kind::Boolean, Value::Bool(value)) => out.push(u8::from(*value)),
        (Kind::Int, Value::Number(number)) => {
            long(i64::from(i32::try_from(whole(number)?).ok()?), out);
        }
        (Kind::Long, Value::Number(number)) => long(whole(number)?, out),
        (Kind::Float, Value::Number(number)) => {
            out.extend_from_slice(&(number.as_f64()? as f32).to_le_bytes());
        }
        (Kind::Double, Value::Number(number)) => {
            out.extend_from_slice(&number.as_f64()?.to_le_bytes());
        }
        (Kind::String, Value::String(text)) => prefixed(text.as_bytes(), out),
        (Kind::Bytes, Value::String(text)) => prefixed(&latin(text)?, out),
        (Kind::Fixed { size, .. }, Value::String(text)) => {
            let bytes = latin(text)?;
            if bytes.len() != *size {
                return None;
            }
            out.extend_from_slice(&bytes);
        }
        (Kind::Enum { symbols, .. }, Value::String(text)) => {
            long(symbols.iter().position(|s| s == text)? as i64, out);
        }
        (Kind::Array(item), Value::Array(values)) => {
            if !values.is_empty() {
                long(values.len() as i64, out);
                for value in values {
                    write(avro, *item, value, depth + 1, out)?;
                }
            }
            out.push(0);
        }
        (Kind::Map(inner), Value::Object(values)) => {
            if !values.is_empty() {
                long(values.len() as i64, out);
                for (key, value) in values {
                    prefixed(key.as_bytes(), out);
                    write(avro, *inner, value, depth + 1, out)?;
                }
            }
            out.push(0);
        }
        (Kind::Record { fields, .. }, Value::Object(values)) => {
            for field in fields {
                let value = values.get(&field.name).or(field.default.as_ref())?;
                write(avro, field.node, value, depth + 1, out)?;
            }
        }
        // The first branch says the specification; others are met, and mean what they seem to.
        (Kind::Union(branches), value) => {
            for (index, branch) in branches.iter().enumerate() {
                let begin = out.len();
                long(index as i64, out);
                if write(avro, *branch, value, depth + 1, out).is_some() {
                    return Some(());
                }
                out.truncate(begin);
            }
            return None;
        }
        _ => return None,
    }
    Some(())
}

/// A number in digits: Avro's own libraries take no `1.0` for an int, unlike JSON's records. `-0` is 0, which the parser
/// takes for a double.
fn whole(number: &Number) -> Option<i64> {
    let minus_zero = || number.as_f64().map(f64::to_bits) == Some((-0.0_f64).to_bits());
    number.as_i64().or_else(|| minus_zero().then_some(0))
}

/// Writes a zigzag varint.
#[inline]
pub fn long(value: i64, out: &mut Vec<u8>) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Writes a length and so many bytes.
#[inline]
pub fn prefixed(bytes: &[u8], out: &mut Vec<u8>) {
    long(bytes.len() as i64, out);
    out.extend_from_slice(bytes);
}

/// A default's bytes are characters up to 255.
fn latin(text: &str) -> Option<Vec<u8>> {
    text.chars()
        .map(|c| u8::try_from(u32::from(c)).ok())
        .collect()
}
