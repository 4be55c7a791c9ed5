//! A contract in the words of its wire format: read from a spec's `avro` or `protobuf`, or derived from `schema`.
//!
//! An accepted definition never changes. Doc texts, comments and blanks are no part of the contract, as
//! `schema[].description` isn't: a change of them alone makes no new contract, no new schema id and rolls no pods
//! ([`essence`]). A derived definition is kept as it is while the fields are the same, so that a newer version of
//! Headworks, which may word it otherwise, changes nothing; a Protobuf field keeps its number for ever.

use headworks_crds::{DataStreamSpec, FieldLabels};
use headworks_plan::{Contract, Definition, Field};
use headworks_schema::{SchemaError, avro, protobuf};
use serde_json::Value;

/// What is wrong with a spec's contract, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Field of the spec, such as `spec.avro`.
    pub field: String,
    /// Line and column of the text at that field, from 1.
    pub place: Option<(u32, u32)>,
    /// What is wrong and what to do.
    pub message: String,
}

impl Fault {
    fn at(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            place: None,
            message: message.into(),
        }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.place {
            Some((line, _)) => write!(f, "{} line {line}: {}", self.field, self.message),
            None => write!(f, "{}: {}", self.field, self.message),
        }
    }
}

impl std::error::Error for Fault {}

/// Where a spec says its contract: the field that a message begins with.
pub fn place(spec: &DataStreamSpec) -> &'static str {
    if spec.avro.is_some() {
        "spec.avro"
    } else if spec.protobuf.is_some() {
        "spec.protobuf.schema"
    } else {
        "spec.schema"
    }
}

/// The fields that a spec describes, and the definition that stands in it.
///
/// # Errors
/// Where an inline text can't be read, or a label names no field.
pub fn read(spec: &DataStreamSpec) -> Result<(Vec<Field>, Option<Definition>), Fault> {
    let (mut fields, definition) = match (&spec.avro, &spec.protobuf) {
        (Some(text), _) => {
            let text = text.trim_end();
            let fields =
                avro::to_fields(text).map_err(|error| in_text("spec.avro", text, &error))?;
            let definition = Definition::new(text);
            (fields, Some(definition))
        }
        (None, Some(given)) => {
            let text = given.schema.trim_end();
            let (fields, message) = protobuf::to_fields(text, given.message.as_deref())
                .map_err(|error| in_text("spec.protobuf.schema", text, &error))?;
            let definition = Definition::of_message(text, message);
            (fields, Some(definition))
        }
        (None, None) => (plain(spec), None),
    };
    label(&mut fields, &spec.field_labels)?;
    Ok((fields, definition))
}

/// The fields of `spec.schema`.
fn plain(spec: &DataStreamSpec) -> Vec<Field> {
    spec.schema
        .iter()
        .map(|field| Field {
            name: field.name.clone(),
            type_: super::contract::canonical(&field.type_),
            nullable: field.nullable,
            labels: sorted(&field.labels),
        })
        .collect()
}

fn label(fields: &mut [Field], labels: &[FieldLabels]) -> Result<(), Fault> {
    for (index, given) in labels.iter().enumerate() {
        let Some(field) = fields.iter_mut().find(|field| field.name == given.field) else {
            let names: Vec<&str> = fields.iter().map(|f| f.name.as_str()).collect();
            return Err(Fault::at(
                format!("spec.fieldLabels[{index}].field"),
                format!(
                    "the contract has no field \"{}\"; its fields are {}",
                    given.field,
                    names.join(", ")
                ),
            ));
        };
        let mut all = std::mem::take(&mut field.labels);
        all.extend(given.labels.iter().cloned());
        field.labels = sorted(&all);
    }
    Ok(())
}

fn sorted(labels: &[String]) -> Vec<String> {
    let mut labels = labels.to_vec();
    labels.sort();
    labels.dedup();
    labels
}

/// The contract with a definition, where its format has one: the spec's own; else the one before, while it says the same
/// fields; else one that is derived from the fields. `before` is the contract in force.
///
/// # Errors
/// Where the fields can't be said in the format's words.
pub fn complete(
    contract: Contract,
    namespace: &str,
    name: &str,
    before: Option<&Contract>,
) -> Result<Contract, Fault> {
    if contract.definition.is_some() {
        return Ok(contract);
    }
    let before = before.filter(|before| before.format == contract.format);
    let earlier = before.and_then(|before| before.definition.as_ref());
    let definition = match contract.format {
        headworks_plan::Format::Json => None,
        _ if before.is_some_and(|before| same_fields(before, &contract)) => earlier.cloned(),
        _ => None,
    };
    let definition = match (contract.format, definition) {
        (headworks_plan::Format::Json, _) => None,
        (_, Some(definition)) => Some(definition),
        (headworks_plan::Format::Avro, None) => Some(
            avro::from_contract(&contract, &full_name(namespace, name))
                .map_err(|error| Fault::at("spec.schema", error.to_string()))?,
        ),
        (headworks_plan::Format::Protobuf, None) => Some(
            protobuf::from_contract(&contract, &full_name(namespace, name), earlier)
                .map_err(|error| Fault::at("spec.schema", error.to_string()))?,
        ),
    };
    Ok(Contract {
        definition,
        ..contract
    })
}

/// True: names, types and nullability are the same, in the same order. Labels are not in a definition.
fn same_fields(one: &Contract, other: &Contract) -> bool {
    let of = |contract: &Contract| -> Vec<(String, String, bool)> {
        let fields = contract.fields.iter();
        fields
            .map(|f| (f.name.clone(), f.type_.clone(), f.nullable))
            .collect()
    };
    of(one) == of(other)
}

/// What a derived record's full name is made of: `shop.WebOrders` of stream web-orders in namespace shop.
fn full_name(namespace: &str, name: &str) -> String {
    format!("{namespace}.{name}")
}

/// What a definition says without its doc texts, comments and blanks: definitions with equal essences say the same of
/// records.
pub fn essence(definition: &Definition) -> Definition {
    let schema = match definition.message {
        None => serde_json::from_str(&definition.schema).map_or_else(
            |_| definition.schema.clone(),
            |schema: Value| {
                let mut text = String::new();
                without_docs(&schema, true, &mut text);
                text
            },
        ),
        Some(_) => without_comments(&definition.schema),
    };
    Definition {
        schema,
        ..definition.clone()
    }
}

/// JSON with its keys sorted; where it is a `schema`, without its docs. A default's value may have a key `doc` of its own.
fn without_docs(value: &Value, schema: bool, text: &mut String) {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map
                .iter()
                .filter(|(key, _)| !(schema && *key == "doc"))
                .collect();
            entries.sort_by_key(|(key, _)| key.as_str());
            text.push('{');
            for (index, (key, value)) in entries.into_iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                text.push_str(&Value::from(key.as_str()).to_string());
                text.push(':');
                let inner = matches!(key.as_str(), "type" | "fields" | "items" | "values");
                without_docs(value, schema && inner, text);
            }
            text.push('}');
        }
        Value::Array(list) => {
            text.push('[');
            for (index, value) in list.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                without_docs(value, schema, text);
            }
            text.push(']');
        }
        other => text.push_str(&other.to_string()),
    }
}

/// A Protobuf file's words with one blank where they would run together, and no other.
fn without_comments(file: &str) -> String {
    let word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '+');
    let mut text = String::new();
    let mut apart = false;
    let mut chars = file.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '/' if chars.peek() == Some(&'/') => {
                chars.by_ref().find(|c| *c == '\n');
                apart = true;
            }
            '/' if chars.peek() == Some(&'*') => {
                chars.next();
                let mut star = false;
                for c in chars.by_ref() {
                    if star && c == '/' {
                        break;
                    }
                    star = c == '*';
                }
                apart = true;
            }
            c if c.is_whitespace() => apart = true,
            '"' | '\'' => {
                text.push(c);
                let mut escaped = false;
                for inner in chars.by_ref() {
                    text.push(inner);
                    if !escaped && inner == c {
                        break;
                    }
                    escaped = !escaped && inner == '\\';
                }
                apart = false;
            }
            c => {
                if apart && word(c) && text.ends_with(word) {
                    text.push(' ');
                }
                text.push(c);
                apart = false;
            }
        }
    }
    text
}

/// The fault of an inline text, at its line where that is known.
fn in_text(field: &str, text: &str, error: &SchemaError) -> Fault {
    let in_contract = error.place.find("field ").map(|at| &error.place[at..]);
    Fault {
        field: field.to_owned(),
        place: line_of(&error.place).or_else(|| place_of_field(text, &error.place)),
        message: in_contract.map_or_else(
            || error.message.clone(),
            |place| format!("{place}: {}", error.message),
        ),
    }
}

/// `line 3, column 7` as numbers.
fn line_of(place: &str) -> Option<(u32, u32)> {
    let number = |word: &str| {
        let after = place.split_once(word)?.1;
        let end = after.find(|c: char| !c.is_ascii_digit());
        after[..end.unwrap_or(after.len())].parse().ok()
    };
    Some((number("line ")?, number("column ").unwrap_or(1)))
}

/// Where the fields of `field items.sku` are named in an Avro schema, one after the other.
fn place_of_field(text: &str, place: &str) -> Option<(u32, u32)> {
    let path = place.split_once("field ")?.1;
    let mut at = 0;
    for step in path.split('.').filter(|step| !matches!(*step, "[]" | "{}")) {
        at += text[at..].find(&format!("\"{step}\""))? + 1;
    }
    let before = &text[..at.checked_sub(1)?];
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    Some((u32::try_from(line).ok()?, u32::try_from(column).ok()?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(value: &Value) -> DataStreamSpec {
        serde_json::from_value(value.clone()).unwrap()
    }

    const ORDER: &str = r#"{"type": "record", "name": "Order", "namespace": "shop", "doc": "One order.", "fields": [
  {"name": "id", "type": "string", "doc": "ULID"},
  {"name": "amount", "type": ["null", "long"], "default": null}
]}"#;

    const FILE: &str = "syntax = \"proto3\";\npackage shop;\n// One order.\nmessage Order {\n  string id = 1;\n  optional int64 amount = 2; /* in cents */\n}\n";

    #[test]
    fn an_inline_avro_schema_becomes_the_contract_s_fields_with_labels() {
        let spec = spec(&json!({"format": "Avro", "avro": ORDER,
            "fieldLabels": [{"field": "id", "labels": ["pii", "key"]}]}));
        let (fields, definition) = read(&spec).unwrap();
        let said: Vec<_> = fields
            .iter()
            .map(|f| (f.name.as_str(), f.type_.as_str(), f.nullable))
            .collect();
        assert_eq!(said, [("id", "string", false), ("amount", "bigint", true)]);
        assert_eq!(fields[0].labels, ["key", "pii"]);
        assert_eq!(definition.unwrap().schema, ORDER);
    }

    #[test]
    fn an_inline_protobuf_file_becomes_the_contract_s_fields() {
        let spec = spec(&json!({"format": "Protobuf", "protobuf": {"schema": FILE}}));
        let (fields, definition) = read(&spec).unwrap();
        assert_eq!(fields[0].name, "id");
        assert_eq!(
            (fields[1].type_.as_str(), fields[1].nullable),
            ("bigint", true)
        );
        assert_eq!(definition.unwrap().message.as_deref(), Some("shop.Order"));
    }

    #[test]
    fn a_fault_in_a_text_is_said_with_its_field_and_line() {
        let broken = ORDER.replace("\"string\"", "\"strin\"");
        let fault = read(&spec(&json!({"format": "Avro", "avro": broken}))).unwrap_err();
        assert!(
            fault.to_string().starts_with("spec.avro line 2: field id"),
            "{fault}"
        );
        let fault = read(&spec(&json!({"format": "Avro", "avro": "{\n \"type\": }"}))).unwrap_err();
        assert!(
            fault.to_string().starts_with("spec.avro line 2: "),
            "{fault}"
        );
        let broken = FILE.replace("int64 amount", "int63 amount");
        let fault = read(&spec(
            &json!({"format": "Protobuf", "protobuf": {"schema": broken}}),
        ))
        .unwrap_err();
        assert!(
            fault.to_string().starts_with("spec.protobuf.schema line 6"),
            "{fault}"
        );
    }

    #[test]
    fn a_label_of_a_field_that_is_not_there_is_named_with_those_that_are() {
        let spec = spec(&json!({"format": "Avro", "avro": ORDER,
            "fieldLabels": [{"field": "user", "labels": ["pii"]}]}));
        let fault = read(&spec).unwrap_err().to_string();
        for word in ["spec.fieldLabels[0].field", "\"user\"", "id, amount"] {
            assert!(fault.contains(word), "{word} in {fault}");
        }
    }

    fn derived(schema: &Value, before: Option<&Contract>, format: &str) -> Contract {
        let spec = spec(&json!({"format": format, "schema": schema}));
        let contract = super::super::contract::read(&spec).unwrap();
        complete(contract, "shop", "web-orders", before).unwrap()
    }

    #[test]
    fn a_derived_definition_stays_while_the_fields_do() {
        let id = json!([{"name": "id", "type": "string"}]);
        let labelled = json!([{"name": "id", "type": "string", "labels": ["pii"]}]);
        let more = json!([{"name": "id", "type": "string"}, {"name": "n", "type": "int", "nullable": true}]);
        for format in ["Avro", "Protobuf"] {
            let mut first = derived(&id, None, format);
            assert_eq!(
                headworks_schema::record_name(first.definition.as_ref().unwrap()).as_deref(),
                Ok("shop.WebOrders")
            );
            // As an earlier version of Headworks may have worded it.
            let text = &mut first.definition.as_mut().unwrap().schema;
            text.push('\n');
            assert_eq!(
                derived(&labelled, Some(&first), format).definition,
                first.definition
            );
            assert_ne!(
                derived(&more, Some(&first), format).definition,
                first.definition
            );
        }
        assert_eq!(derived(&id, None, "Json").definition, None);
    }

    #[test]
    fn a_derived_protobuf_field_keeps_its_number() {
        let field = |name: &str| json!({"name": name, "type": "int", "nullable": true});
        let first = derived(&json!([field("a"), field("b")]), None, "Protobuf");
        let second = derived(&json!([field("c"), field("b")]), Some(&first), "Protobuf");
        let text = second.definition.unwrap().schema;
        assert!(text.contains("b = 2;"), "{text}");
        assert!(text.contains("c = 3;"), "{text}");
    }

    fn essence_of(text: &str, message: Option<&str>) -> String {
        essence(&Definition {
            message: message.map(Into::into),
            ..Definition::new(text)
        })
        .schema
    }

    #[test]
    fn docs_comments_and_blanks_are_no_part_of_a_definition() {
        let undocumented = ORDER
            .replace("\"doc\": \"One order.\", ", "")
            .replace('\n', "  ");
        let undocumented = undocumented.replace(", \"doc\": \"ULID\"", "");
        assert_eq!(essence_of(ORDER, None), essence_of(&undocumented, None));
        assert_ne!(
            essence_of(ORDER, None),
            essence_of(&ORDER.replace("long", "int"), None)
        );
        // A default's own `doc`, and a field of that name, are data.
        let with_default = |doc: &str| {
            format!(
                r#"{{"type":"record","name":"R","fields":[{{"name":"doc","type":{{"type":"map","values":"string"}},"default":{{"doc":"{doc}"}}}}]}}"#
            )
        };
        assert_ne!(
            essence_of(&with_default("a"), None),
            essence_of(&with_default("b"), None)
        );
        let bare =
            "syntax=\"proto3\";package shop;message Order{string id=1;optional int64 amount=2;}";
        assert_eq!(essence_of(FILE, Some("shop.Order")), bare);
        assert_eq!(
            essence_of("a = \"x // y \\\" /* z\" ; // c", Some("m")),
            "a=\"x // y \\\" /* z\";"
        );
    }
}
