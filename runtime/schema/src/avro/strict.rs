//! What the specification forbids in a schema although records could be read by it (Avro 1.12, "Names", "Enums",
//! "Unions"). Other libraries refuse it, and a registry, which asks one of them, does.
//!
//! Only a text that becomes a contract is held against it: a record's schema is whatever its writer took.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::parse::{Parser, primitive, shown};
use super::schema::Id;
use crate::error::SchemaError;
use crate::names::is_plain;

const NAME: &str = "begins with a letter or _, and has letters (a to z), digits and _ only";

impl Parser {
    /// An enum's symbols: names, each once, and its default one of them.
    pub(super) fn symbols(
        &self,
        symbols: &[String],
        default: Option<&str>,
    ) -> Result<(), SchemaError> {
        let mut seen = HashSet::new();
        for symbol in symbols {
            if !is_plain(symbol) {
                return self.refuse(format!(
                    "\"{}\" is no symbol of an enum: one {NAME}",
                    shown(symbol)
                ));
            }
            if !seen.insert(symbol) {
                return self.refuse(format!(
                    "the enum has the symbol \"{}\" twice",
                    shown(symbol)
                ));
            }
        }
        if default.is_some_and(|default| !seen.contains(&default.to_owned())) {
            return self.refuse("an enum's \"default\" is one of its symbols");
        }
        Ok(())
    }

    /// A named type's names: its own, its namespace's and those it had.
    pub(super) fn about_name(
        &self,
        object: &Map<String, Value>,
        full: &str,
        namespace: Option<&str>,
    ) -> Result<(), SchemaError> {
        if primitive(full).is_some() {
            return self.refuse(format!(
                "a type can't be named \"{full}\", which is one of Avro's own types; give it another name"
            ));
        }
        let parts = |name: &str| name.is_empty() || name.split('.').all(is_plain);
        if let Some(namespace) = namespace.filter(|namespace| !parts(namespace)) {
            return self.refuse(format!(
                "\"{}\" is no namespace: each of its parts {NAME}",
                shown(namespace)
            ));
        }
        let wrong = self
            .aliases(object)?
            .into_iter()
            .find(|alias| !parts(alias));
        wrong.map_or(Ok(()), |alias| {
            self.refuse(format!("\"{}\" is no alias: a name {NAME}", shown(alias)))
        })
    }

    /// What stands beside a field's name and type.
    pub(super) fn about_field(&self, field: &Value) -> Result<(), SchemaError> {
        if let Some(field) = field.as_object() {
            self.aliases(field)?;
        }
        match field.get("order").map(Value::as_str) {
            None | Some(Some("ascending" | "descending" | "ignore")) => Ok(()),
            Some(_) => self.refuse("a field's \"order\" is ascending, descending or ignore"),
        }
    }

    fn aliases<'a>(&self, object: &'a Map<String, Value>) -> Result<Vec<&'a str>, SchemaError> {
        let names: Option<Vec<&str>> = match object.get("aliases") {
            None => return Ok(Vec::new()),
            Some(Value::Array(aliases)) => aliases.iter().map(Value::as_str).collect(),
            Some(_) => None,
        };
        names.map_or_else(|| self.refuse("\"aliases\" is an array of names"), Ok)
    }

    /// A union's branches: of what has no name, one of a kind.
    pub(super) fn distinct(&self, branches: &[Id]) -> Result<(), SchemaError> {
        let mut seen = HashSet::new();
        for branch in branches {
            let word = self.kind(*branch).word();
            if !seen.insert(word) {
                return self.refuse(format!(
                    "the union has {word} twice, and nobody could tell which of the two a value is"
                ));
            }
        }
        Ok(())
    }
}
