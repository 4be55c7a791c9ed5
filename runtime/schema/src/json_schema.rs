//! A contract as a JSON Schema (draft 7, which registries and editors know), for streams whose records are JSON.
//!
//! It says what a pipeline writes and a Source takes, and never less: a record that is taken obeys it. Some things it
//! can't say, and only the decoder refuses them: a day that its month hasn't, an instant that is outside the years in
//! UTC, a decimal number with too many digits after its point, the range of a decimal string with an exponent, a key that
//! comes twice. `format` is a hint for editors and generators; a validator that checks it refuses the blank that may
//! stand for a time stamp's `T`. Fields that the contract doesn't know are allowed, as a Source allows them unless it is
//! told otherwise.

use headworks_plan::{Contract, Definition};
use headworks_sql::types::{DataType, StructField};
use serde_json::{Map, Value, json};

use crate::error::SchemaError;
use crate::{names, sql};

/// The contract as a JSON Schema with the title that `name` gives.
///
/// # Errors
/// The contract is none.
pub fn from_contract(contract: &Contract, name: &str) -> Result<Definition, SchemaError> {
    let fields = sql::fields(contract)?;
    let mut schema = object(&fields);
    let title = names::full(name).1;
    schema.insert(
        "$schema".to_owned(),
        json!("http://json-schema.org/draft-07/schema#"),
    );
    schema.insert("title".to_owned(), json!(title));
    let text = serde_json::to_string_pretty(&Value::Object(schema));
    Ok(Definition::new(
        text.map_err(|error| SchemaError::whole(error.to_string()))?,
    ))
}

fn object(fields: &[StructField]) -> Map<String, Value> {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for field in fields {
        let mut schema = of(&field.data_type);
        if field.nullable {
            nullable(&mut schema);
        } else {
            required.push(json!(field.name));
        }
        properties.insert(field.name.clone(), Value::Object(schema));
    }
    let mut schema = Map::new();
    schema.insert("type".to_owned(), json!("object"));
    schema.insert("properties".to_owned(), Value::Object(properties));
    if !required.is_empty() {
        schema.insert("required".to_owned(), Value::Array(required));
    }
    schema
}

/// Adds `null` to what a value may be.
fn nullable(schema: &mut Map<String, Value>) {
    if let Some(type_) = schema.get_mut("type") {
        match type_ {
            Value::Array(types) => types.push(json!("null")),
            one => *one = json!([one.take(), "null"]),
        }
    }
}

fn may_be_null(data_type: &DataType) -> Value {
    let mut schema = of(data_type);
    nullable(&mut schema);
    Value::Object(schema)
}

fn of(data_type: &DataType) -> Map<String, Value> {
    const TIME: &str = "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]+)?";
    let schema = match data_type {
        DataType::Boolean => json!({"type": "boolean"}),
        DataType::Int => {
            json!({"type": "integer", "minimum": i32::MIN, "maximum": i32::MAX})
        }
        DataType::BigInt => {
            json!({"type": ["integer", "string"], "minimum": i64::MIN, "maximum": i64::MAX, "pattern": long()})
        }
        // What rounds to infinity is refused; a validator reads a number as a double, as it is here.
        DataType::Double => json!({"type": "number", "minimum": f64::MIN, "maximum": f64::MAX}),
        DataType::Float => {
            json!({"type": "number", "exclusiveMinimum": -FLOAT_END, "exclusiveMaximum": FLOAT_END})
        }
        DataType::Decimal { precision, scale } => {
            // A number's digits after the point can't be said: `multipleOf` fails for doubles in most validators.
            // As text, which is the nearest double; a power needn't be.
            let end: f64 = format!("1e{}", precision - scale)
                .parse()
                .unwrap_or(f64::MAX);
            json!({"type": ["string", "number"], "pattern": decimal(*precision, *scale), "exclusiveMinimum": -end, "exclusiveMaximum": end, "description": data_type.to_string()})
        }
        DataType::String => json!({"type": "string"}),
        DataType::Bytes => {
            json!({"type": "string", "contentEncoding": "base64", "pattern": "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$"})
        }
        DataType::Date => {
            json!({"type": "string", "format": "date", "pattern": format!("^{DAY}$")})
        }
        DataType::Time => json!({"type": "string", "pattern": format!("^{TIME}$")}),
        DataType::Timestamp(_) => {
            json!({"type": "string", "pattern": format!("^{DAY}[Tt ]{TIME}$")})
        }
        DataType::TimestampLtz(_) => {
            json!({"type": "string", "format": "date-time", "pattern": format!("^{DAY}[Tt ]{TIME}([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$")})
        }
        DataType::Array(item) => json!({"type": "array", "items": may_be_null(item)}),
        DataType::Map(value) => {
            json!({"type": "object", "additionalProperties": may_be_null(value)})
        }
        DataType::Struct(fields) => return object(fields),
    };
    match schema {
        Value::Object(schema) => schema,
        _ => Map::new(),
    }
}

/// A day; which months have 31 is left to the decoder.
const DAY: &str = "(0{3}[1-9]|0{2}[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])";
/// Halfway between the greatest float and what would be the next: from here on a number rounds to infinity.
const FLOAT_END: f64 = 340_282_356_779_733_661_637_539_395_458_142_568_448.0;

/// The digits of a bigint in a string, leading zeros allowed: up to 18 of them, or 19 that are in the range.
fn long() -> String {
    let below = |limit: &str| {
        let digits = limit.bytes().enumerate().filter(|(_, digit)| *digit > b'0');
        let mut all: Vec<String> = digits
            .map(|(at, digit)| {
                let less = match char::from(digit - 1) {
                    '0' => "0".to_owned(),
                    less => format!("[0-{less}]"),
                };
                match limit.len() - at - 1 {
                    0 => format!("{}{less}", &limit[..at]),
                    rest => format!("{}{less}[0-9]{{{rest}}}", &limit[..at]),
                }
            })
            .collect();
        all.push(limit.to_owned());
        all.join("|")
    };
    // Of the negative ones there is one more.
    format!(
        "^(-?0*[0-9]{{1,18}}|-?0*({})|-0*{})$",
        below(&i64::MAX.to_string()),
        i64::MIN.unsigned_abs()
    )
}

/// A decimal in a string: no more digits before the point than it holds, and behind its scale zeros only. Of one with an
/// exponent only the form is said.
fn decimal(precision: u8, scale: u8) -> String {
    let whole = match precision - scale {
        0 => "0+".to_owned(),
        digits => format!("0*[0-9]{{1,{digits}}}"),
    };
    let fraction = match scale {
        0 => "0+".to_owned(),
        digits => format!("[0-9]{{1,{digits}}}0*"),
    };
    format!("^-?({whole}(\\.{fraction})?|[0-9]+(\\.[0-9]+)?[eE][+-]?[0-9]+)$")
}

#[cfg(test)]
mod tests {
    use super::*;
    use headworks_plan::Field;

    #[test]
    fn a_contract_is_said_in_json_schema() {
        let field = |name: &str, type_: &str, nullable| Field::new(name, type_, nullable);
        let contract = Contract {
            fields: vec![
                field("id", "bigint", false),
                field("price", "decimal(12,2)", true),
                field("items", "array<struct<sku string not null, qty int>>", true),
                field("at", "timestamp_ltz(3)", false),
                field("local", "timestamp(3)", false),
                field("tags", "map<string,bytes>", false),
            ],
            ..Contract::default()
        };
        insta::assert_snapshot!(from_contract(&contract, "shop.orders").unwrap().schema);
    }

    /// Of every type. `corpus/json_values.py` reads what is printed here, and has another implementation of JSON Schema
    /// say of values whether they obey it; the decoder's tests hold the decoder against that.
    #[test]
    fn every_type_is_said_in_json_schema() {
        let types = [
            "boolean",
            "int",
            "bigint",
            "float",
            "double",
            "decimal(12,2)",
            "decimal(5,0)",
            "decimal(3,3)",
            "decimal(38,10)",
            "string",
            "bytes",
            "date",
            "time",
            "timestamp(0)",
            "timestamp(3)",
            "timestamp(6)",
            "timestamp_ltz(0)",
            "timestamp_ltz(3)",
            "timestamp_ltz(6)",
            "array<int>",
            "map<string,bigint>",
            "struct<x int not null, y decimal(4,1)>",
        ];
        let fields = types.map(|type_| Field::new(type_, type_, true));
        let contract = Contract {
            fields: fields.to_vec(),
            ..Contract::default()
        };
        let printed = from_contract(&contract, "every-type").unwrap().schema;
        insta::assert_snapshot!(printed);
        let corpus: Value =
            serde_json::from_str(include_str!("../corpus/json_values.json")).unwrap();
        assert_eq!(
            serde_json::from_str::<Value>(&printed).unwrap(),
            corpus["schema"],
            "run corpus/json_values.py"
        );
    }
}
