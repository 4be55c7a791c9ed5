//! The schemas that another one refers to, in any order: which of them declares a type.

use std::collections::HashMap;

use serde_json::Value;

use super::parse::{MAX_NESTING, json, qualified};
use crate::error::SchemaError;
use crate::text::SchemaText;

/// Texts, each read once.
pub(super) struct References {
    /// Name and schema, until it is read.
    texts: Vec<Option<(String, Value)>>,
    /// Which text declares a type, by the type's full name.
    declared: HashMap<String, usize>,
    /// Their names, for people.
    names: String,
}

impl References {
    pub(super) fn read(written: &SchemaText) -> Result<References, SchemaError> {
        let mut read = References {
            texts: Vec::with_capacity(written.references.len()),
            declared: HashMap::new(),
            names: written.listed(),
        };
        for (at, referenced) in written.references.iter().enumerate() {
            let name = &referenced.name;
            let value = json(&referenced.text).map_err(|error| error.within(name))?;
            read.declare(&value, None, 0, at);
            read.texts.push(Some((name.clone(), value)));
        }
        Ok(read)
    }

    /// The text that declares the type.
    pub(super) fn of(&self, name: &str) -> Option<usize> {
        self.declared.get(name).copied()
    }

    /// A text that wasn't taken yet.
    pub(super) fn take(&mut self, at: usize) -> Option<(String, Value)> {
        self.texts.get_mut(at)?.take()
    }

    /// Their names, for people; empty without any.
    pub(super) fn listed(&self) -> &str {
        &self.names
    }

    /// Notes the types that a schema declares. What is wrong with it is found when it is read.
    fn declare(&mut self, value: &Value, namespace: Option<&str>, depth: usize, at: usize) {
        if depth > 2 * MAX_NESTING {
            return;
        }
        let Some(object) = value.as_object() else {
            for branch in value.as_array().into_iter().flatten() {
                self.declare(branch, namespace, depth + 1, at);
            }
            return;
        };
        let type_ = object.get("type");
        let named = matches!(
            type_.and_then(Value::as_str),
            Some("record" | "error" | "enum" | "fixed")
        );
        let text = |member: &str| object.get(member).and_then(Value::as_str);
        let full = text("name")
            .filter(|_| named)
            .map(|name| qualified(name, text("namespace").or(namespace)));
        let inner = match &full {
            Some(full) => full.rsplit_once('.').map(|(namespace, _)| namespace),
            None => namespace,
        };
        for schema in ["type", "items", "values"]
            .iter()
            .filter_map(|m| object.get(*m))
        {
            self.declare(schema, inner, depth + 1, at);
        }
        for field in object
            .get("fields")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            if let Some(type_) = field.get("type") {
                self.declare(type_, inner, depth + 1, at);
            }
        }
        if let Some(full) = full {
            self.declared.entry(full).or_insert(at);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use headworks_plan::{Definition, ReferencedSchema};

    use super::super::{Avro, to_fields};

    const ORDER: &str = r#"{"type": "record", "name": "shop.Order", "fields": [
        {"name": "id", "type": "string"}, {"name": "to", "type": ["null", "Address"]},
        {"name": "from", "type": "Address"}, {"name": "at", "type": "geo.Country"}]}"#;
    const ADDRESS: &str = r#"{"type": "record", "name": "Address", "namespace": "shop", "fields": [
        {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["HOME", "WORK"]}},
        {"name": "country", "type": "geo.Country"}]}"#;
    const COUNTRY: &str = r#"{"type": "fixed", "name": "Country", "namespace": "geo", "size": 2}"#;

    fn order(texts: &[(&str, &str)]) -> Definition {
        let texts = texts.iter().map(|(name, text)| ReferencedSchema {
            name: (*name).to_owned(),
            text: (*text).to_owned(),
        });
        Definition::new(ORDER).with(texts.collect())
    }

    #[test]
    fn types_of_texts_beside_are_found_in_any_order() {
        let whole = ORDER.replace(r#"["null", "Address"]"#, &format!(r#"["null", {ADDRESS}]"#));
        let whole = whole.replacen(r#""geo.Country""#, COUNTRY, 1);
        let whole = Avro::parse(&whole).unwrap().canonical();
        let (address, country) = (("address.avsc", ADDRESS), ("geo.Country", COUNTRY));
        for texts in [[address, country], [country, address]] {
            let avro = Avro::parse_strictly(&order(&texts)).unwrap();
            // The fingerprint is that of one text with everything in it.
            assert_eq!(avro.canonical(), whole);
            let fields = to_fields(&order(&texts)).unwrap();
            let types: Vec<&str> = fields.iter().map(|f| f.type_.as_str()).collect();
            assert_eq!(
                types,
                [
                    "string",
                    "struct<kind string not null, country bytes not null>",
                    "struct<kind string not null, country bytes not null>",
                    "bytes"
                ]
            );
        }
    }

    #[test]
    fn a_text_that_is_missing_or_wrong_is_named() {
        let said = |texts: &[(&str, &str)]| to_fields(&order(texts)).unwrap_err().to_string();
        assert_eq!(
            said(&[("address.avsc", ADDRESS)]),
            "address.avsc: field country: there is no type \"geo.Country\"; the types are null, boolean, int, long, float, double, bytes, string, and those named before, also in the schemas that this one refers to (address.avsc): add the one that declares it, or correct the name"
        );
        assert_eq!(
            said(&[("a", ADDRESS), ("c", "{")]),
            "c: line 1, column 1: an Avro schema is JSON, and this isn't: EOF while parsing an object"
        );
        assert_eq!(
            said(&[("a", ADDRESS), ("c", COUNTRY), ("again", COUNTRY)]),
            "again: the name \"geo.Country\" is given twice; a type is declared once and then used by its name"
        );
        // Each needs the other.
        let (b, c) = (
            r#"{"type": "array", "items": "geo.Country"}"#,
            r#"{"type": "record", "name": "geo.Country", "fields": [{"name": "a", "type": "Address"}]}"#,
        );
        assert!(said(&[("b", b), ("c", c)]).starts_with("b: c: field a: there is no type"));
        let many: Vec<(&str, &str)> = vec![("x", "\"int\""); 65];
        assert!(said(&many).starts_with("the schema refers to 65 others"));
        // A long chain isn't followed for ever.
        let chain: Vec<(String, String)> = (0..64)
            .map(|i| {
                let nested = "[\"null\",{\"type\":\"array\",\"items\":".repeat(8);
                let end = "}]".repeat(8);
                (
                    format!("R{i}"),
                    format!(
                        r#"{{"type": "record", "name": "R{i}", "fields": [{{"name": "a", "type": {nested}"R{}"{end}}}]}}"#,
                        i + 1
                    ),
                )
            })
            .collect();
        let chain: Vec<(&str, &str)> = chain.iter().map(|(n, t)| (&n[..], &t[..])).collect();
        assert!(said(&chain).contains("nested more than 64 levels deep"));
    }
}
