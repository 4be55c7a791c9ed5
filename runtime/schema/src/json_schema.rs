//! A contract as a JSON Schema (draft 7, which registries and editors know), for streams whose records are JSON.
//!
//! It says what a pipeline writes and a Source takes. Fields that the contract doesn't know are allowed, as a Source
//! allows them unless it is told otherwise.

use headworks_plan::{Contract, Definition};
use headworks_sql::types::{DataType, StructField};
use serde_json::{Map, Value, json};

use crate::{SchemaError, names, sql};

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
    Ok(Definition {
        schema: text.map_err(|error| SchemaError::whole(error.to_string()))?,
        message: None,
    })
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
    const DAY: &str = "[0-9]{4}-[0-9]{2}-[0-9]{2}";
    const TIME: &str = "[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{1,9})?";
    let schema = match data_type {
        DataType::Boolean => json!({"type": "boolean"}),
        DataType::Int => {
            json!({"type": "integer", "minimum": i32::MIN, "maximum": i32::MAX})
        }
        DataType::BigInt => {
            json!({"type": ["integer", "string"], "minimum": i64::MIN, "maximum": i64::MAX, "pattern": "^-?[0-9]+$"})
        }
        DataType::Float | DataType::Double => json!({"type": "number"}),
        DataType::Decimal { scale, .. } => {
            let pattern = if *scale == 0 {
                "^-?[0-9]+$".to_owned()
            } else {
                format!("^-?[0-9]+(\\.[0-9]{{1,{scale}}})?$")
            };
            json!({"type": ["string", "number"], "pattern": pattern, "description": data_type.to_string()})
        }
        DataType::String => json!({"type": "string"}),
        DataType::Bytes => json!({"type": "string", "contentEncoding": "base64"}),
        DataType::Date => json!({"type": "string", "format": "date"}),
        DataType::Time => json!({"type": "string", "pattern": format!("^{TIME}$")}),
        DataType::Timestamp(_) => json!({"type": "string", "pattern": format!("^{DAY}T{TIME}$")}),
        DataType::TimestampLtz(_) => json!({"type": "string", "format": "date-time"}),
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

#[cfg(test)]
mod tests {
    use super::*;
    use headworks_plan::Field;

    #[test]
    fn a_contract_is_said_in_json_schema() {
        let field = |name: &str, type_: &str, nullable| Field {
            name: name.into(),
            type_: type_.into(),
            nullable,
            labels: vec![],
        };
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
}
