//! A contract in the words of its wire format: read from a spec's `avro` or `protobuf`, or derived from `schema`.
//!
//! An accepted definition never changes. Doc texts, comments and blanks are no part of the contract, as
//! `schema[].description` isn't: a change of them alone makes no new contract, no new schema id and rolls no pods
//! ([`essence`]). A derived definition is kept as it is while the fields are the same, so that a newer version of
//! Headworks, which may word it otherwise, changes nothing; a Protobuf field keeps its number for ever.

use headworks_crds::{ConfigMapKeyRef, DataStreamSpec, FieldLabels};
use headworks_plan::{Contract, Definition, Field, ReferencedSchema};
use headworks_schema::{SchemaError, avro, protobuf};
use serde_json::Value;

use super::references;

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
    pub(super) fn at(field: impl Into<String>, message: impl Into<String>) -> Self {
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
/// Where an inline text can't be read, or a label names no field; where the text of a ConfigMap isn't in the spec
/// ([`references::inlined`]).
pub fn read(spec: &DataStreamSpec) -> Result<(Vec<Field>, Option<Definition>), Fault> {
    let (mut fields, definition) = match (&spec.avro, &spec.protobuf) {
        (Some(text), _) => {
            let definition = Definition::new(text.trim_end()).with(references::read(spec)?);
            let fields = avro::to_fields(&definition)
                .map_err(|error| in_texts(spec, "spec.avro", &definition, &error))?;
            (fields, Some(definition))
        }
        (None, Some(given)) => {
            let text = given.schema.trim_end();
            let mut definition = Definition::new(text).with(references::read(spec)?);
            let (fields, message) = protobuf::to_fields(&definition, given.message.as_deref())
                .map_err(|error| in_texts(spec, "spec.protobuf.schema", &definition, &error))?;
            definition.message = Some(message);
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
            type_: super::canonical(&field.type_),
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
    let said = |text: &str| match definition.message {
        None => serde_json::from_str(text).map_or_else(
            |_| text.to_owned(),
            |schema: Value| {
                let mut text = String::new();
                without_docs(&schema, true, &mut text);
                text
            },
        ),
        Some(_) => without_comments(text),
    };
    let references = definition.references.iter().map(|r| ReferencedSchema {
        name: r.name.clone(),
        text: said(&r.text),
    });
    let mut references: Vec<ReferencedSchema> = references.collect();
    references.sort_by(|a, b| a.name.cmp(&b.name));
    Definition {
        schema: said(&definition.schema),
        references,
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

/// The fault of a definition: in its own text, or in one that it needs.
fn in_texts(
    spec: &DataStreamSpec,
    field: &str,
    definition: &Definition,
    error: &SchemaError,
) -> Fault {
    let Some(text) = references::place_of(spec, &error.place) else {
        return in_text(field, &definition.schema, error);
    };
    let error = SchemaError {
        place: text.within,
        message: error.message.clone(),
    };
    // Where a field stands in it is for people to find: the text may be anywhere.
    let fault = in_text(&text.field, "", &error);
    let Some(ConfigMapKeyRef { name, key }) = &text.config_map else {
        return fault;
    };
    // A line of the ConfigMap's, not one of this object's.
    let line = fault.place.map(|(line, _)| format!("line {line}: "));
    Fault {
        place: None,
        message: format!(
            "key {key} of ConfigMap {name}, {}{}",
            line.unwrap_or_default(),
            fault.message
        ),
        ..fault
    }
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
mod tests;
