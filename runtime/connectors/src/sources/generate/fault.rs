//! Records that break the contract, each in a way of its own.

use headworks_sql::schema::{Column, Schema};
use headworks_sql::types::DataType;
use serde_json::{Map, Value, json};

use super::seeded_rng::SeededRng;

/// The ways. Where the contract has nothing that could be broken so, the text is cut off instead.
#[derive(Clone, Copy, Debug)]
enum Way {
    WrongType,
    Missing,
    CutOff,
    OutOfRange,
    Null,
}

const WAYS: [Way; 5] = [
    Way::WrongType,
    Way::Missing,
    Way::CutOff,
    Way::OutOfRange,
    Way::Null,
];

/// What becomes of `sound`, a record that obeys the contract.
pub(super) fn broken(sound: &str, schema: &Schema, rng: &mut SeededRng) -> String {
    let way = *rng.of(&WAYS);
    let broken = match serde_json::from_str(sound) {
        Ok(Value::Object(record)) => change(record, way, schema, rng),
        _ => None,
    };
    broken.unwrap_or_else(|| cut_off(sound).to_owned())
}

fn change(
    mut record: Map<String, Value>,
    way: Way,
    schema: &Schema,
    rng: &mut SeededRng,
) -> Option<String> {
    let fits = |column: &&Column| match way {
        Way::WrongType => true,
        Way::Missing | Way::Null => !column.nullable,
        Way::OutOfRange => too_large(&column.data_type).is_some(),
        Way::CutOff => false,
    };
    let columns: Vec<&Column> = schema.columns.iter().filter(fits).collect();
    if columns.is_empty() {
        return None;
    }
    let column = *rng.of(&columns);
    match way {
        Way::Missing => drop(record.remove(&column.name)),
        Way::Null => drop(record.insert(column.name.clone(), Value::Null)),
        Way::WrongType => drop(record.insert(column.name.clone(), wrong(&column.data_type))),
        Way::OutOfRange => {
            let value = too_large(&column.data_type)?;
            record.insert(column.name.clone(), value);
        }
        Way::CutOff => return None,
    }
    Some(Value::Object(record).to_string())
}

/// The first half; an object's end is always missing then.
fn cut_off(text: &str) -> &str {
    let mut end = text.len() / 2;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// A value of another type than `wanted`.
fn wrong(wanted: &DataType) -> Value {
    match wanted {
        DataType::String => json!(42),
        DataType::Boolean => json!("yes"),
        DataType::Array(_) => json!({"is": "no array"}),
        DataType::Map(_) | DataType::Struct(_) => json!(["is no object"]),
        DataType::Bytes => json!("not base64!"),
        _ => json!("n/a"),
    }
}

/// A number that `wanted` has no room for.
fn too_large(wanted: &DataType) -> Option<Value> {
    Some(match wanted {
        DataType::Int => json!(3_000_000_000_u64),
        DataType::BigInt => json!(u64::MAX),
        DataType::Decimal { precision, scale } => {
            json!("9".repeat(usize::from(precision - scale) + 1))
        }
        _ => return None,
    })
}
