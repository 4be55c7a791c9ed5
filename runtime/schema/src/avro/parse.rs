//! Reads an Avro schema's JSON text into nodes: names are resolved, what isn't a schema is refused with its place.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::references::References;
use super::schema::{Id, Kind, Logical, Node, RecordField};
use crate::error::SchemaError;
use crate::limits::MAX_TEXT;
use crate::text::SchemaText;

/// Nesting of the text; schemas by reference may be deeper.
pub(super) const MAX_NESTING: usize = 64;
/// Most nodes of one schema.
const MAX_NODES: usize = 16_384;

/// The nodes of a schema's text, and which of them is the outermost. `strict`: what no reader of records needs to know,
/// but the specification forbids and other libraries refuse, is refused, too.
pub(super) fn parse(written: &SchemaText, strict: bool) -> Result<(Vec<Node>, Id), SchemaError> {
    written.within_limits()?;
    let mut parser = Parser {
        nodes: Vec::new(),
        named: HashMap::new(),
        path: Vec::new(),
        strict,
        references: References::read(written)?,
    };
    for at in 0..written.references.len() {
        parser.reference(at, 0)?;
    }
    let root = parser.node(&json(&written.text)?, None, 0)?;
    Ok((parser.nodes, root))
}

pub(super) fn json(text: &str) -> Result<Value, SchemaError> {
    if text.len() > MAX_TEXT {
        return Err(SchemaError::whole(format!(
            "an Avro schema may have {MAX_TEXT} bytes, this one has {}",
            text.len()
        )));
    }
    serde_json::from_str(text).map_err(|error| {
        let said = error.to_string();
        let said = said.split(" at line").next().unwrap_or_default();
        SchemaError::line(
            error.line(),
            error.column(),
            format!("an Avro schema is JSON, and this isn't: {said}"),
        )
    })
}

pub(super) struct Parser {
    nodes: Vec<Node>,
    named: HashMap<String, Id>,
    path: Vec<String>,
    strict: bool,
    references: References,
}

impl Parser {
    pub(super) fn refuse<T>(&self, message: impl Into<String>) -> Result<T, SchemaError> {
        Err(SchemaError::at(&self.path, message))
    }

    pub(super) fn kind(&self, id: Id) -> &Kind {
        &self.nodes[id].kind
    }

    fn push(&mut self, kind: Kind, logical: Logical) -> Result<Id, SchemaError> {
        if self.nodes.len() >= MAX_NODES {
            return self.refuse(format!("the schema has more than {MAX_NODES} types"));
        }
        self.nodes.push(Node { kind, logical });
        Ok(self.nodes.len() - 1)
    }

    fn node(
        &mut self,
        value: &Value,
        namespace: Option<&str>,
        depth: usize,
    ) -> Result<Id, SchemaError> {
        if depth > MAX_NESTING {
            return self.refuse(format!(
                "the schema is nested more than {MAX_NESTING} levels deep"
            ));
        }
        match value {
            Value::String(word) => self.word(word, namespace, depth),
            Value::Array(branches) => {
                let mut union = Vec::with_capacity(branches.len().min(64));
                for branch in branches {
                    if branch.is_array() {
                        return self.refuse("a union can't stand directly in a union");
                    }
                    union.push(self.node(branch, namespace, depth + 1)?);
                }
                if union.is_empty() {
                    return self.refuse("a union needs at least one branch");
                }
                if self.strict {
                    self.distinct(&union)?;
                }
                self.push(Kind::Union(union), Logical::None)
            }
            Value::Object(object) => self.object(object, namespace, depth),
            _ => self.refuse("a type is a name, an object or an array (a union)"),
        }
    }

    /// The type of this name. One of a text that is referred to and wasn't read yet is read now.
    fn word(
        &mut self,
        word: &str,
        namespace: Option<&str>,
        depth: usize,
    ) -> Result<Id, SchemaError> {
        if let Some(kind) = primitive(word) {
            return self.push(kind, Logical::None);
        }
        let full = qualified(word, namespace);
        // A name without a dot may also be one of the null namespace.
        for name in [full.as_str(), word] {
            if !self.named.contains_key(name)
                && let Some(at) = self.references.of(name)
            {
                self.reference(at, depth + 1)?;
            }
            if let Some(id) = self.named.get(name) {
                return Ok(*id);
            }
        }
        let beside = self.references.listed();
        let beside = if beside.is_empty() {
            String::new()
        } else {
            format!(
                ", also in the schemas that this one refers to ({beside}): add the one that declares it, or correct the name"
            )
        };
        self.refuse(format!(
            "there is no type \"{}\"; the types are null, boolean, int, long, float, double, bytes, string, and those named before{beside}",
            shown(word)
        ))
    }

    /// Reads a text that is referred to, if that isn't done or being done.
    fn reference(&mut self, at: usize, depth: usize) -> Result<(), SchemaError> {
        let Some((name, value)) = self.references.take(at) else {
            return Ok(());
        };
        let path = std::mem::take(&mut self.path);
        let read = self.node(&value, None, depth);
        self.path = path;
        read.map(|_| ()).map_err(|error| error.within(&name))
    }

    fn object(
        &mut self,
        object: &Map<String, Value>,
        namespace: Option<&str>,
        depth: usize,
    ) -> Result<Id, SchemaError> {
        let word = match object.get("type") {
            Some(Value::String(word)) => word.as_str(),
            Some(Value::Array(_) | Value::Object(_)) if self.strict => {
                return self.refuse(
                    "a type's \"type\" is a name: write what stands there in place of the object around it",
                );
            }
            // {"type": {"type": …}}: the outer object adds nothing.
            Some(inner) => return self.node(inner, namespace, depth + 1),
            None => return self.refuse("a type's object needs \"type\""),
        };
        match word {
            "record" | "error" => self.record(object, namespace, depth),
            "enum" => {
                let name = self.name(object, namespace)?;
                let symbols = match object.get("symbols") {
                    Some(Value::Array(symbols)) => symbols
                        .iter()
                        .map(|s| s.as_str().map(str::to_owned))
                        .collect::<Option<Vec<_>>>(),
                    _ => None,
                };
                let Some(symbols) = symbols.filter(|symbols| !symbols.is_empty()) else {
                    return self.refuse("an enum needs \"symbols\", an array of names");
                };
                let default = object.get("default").and_then(Value::as_str);
                if self.strict {
                    self.symbols(&symbols, default)?;
                }
                let id = self.push(
                    Kind::Enum {
                        name: name.clone(),
                        symbols,
                        default: default.map(str::to_owned),
                    },
                    Logical::None,
                )?;
                self.named(name, id)?;
                Ok(id)
            }
            "fixed" => {
                let name = self.name(object, namespace)?;
                let size = object.get("size").and_then(Value::as_u64);
                let Some(size) = size.filter(|size| *size <= MAX_TEXT as u64) else {
                    return self.refuse("a fixed needs \"size\", its number of bytes");
                };
                let size = size as usize;
                let kind = Kind::Fixed {
                    name: name.clone(),
                    size,
                };
                let logical = logical(object, &kind);
                let id = self.push(kind, logical)?;
                self.named(name, id)?;
                Ok(id)
            }
            "array" | "map" => {
                let member = if word == "array" { "items" } else { "values" };
                let Some(inner) = object.get(member) else {
                    return self.refuse(format!("{word} needs \"{member}\""));
                };
                let inner = self.node(inner, namespace, depth + 1)?;
                let kind = if word == "array" {
                    Kind::Array(inner)
                } else {
                    Kind::Map(inner)
                };
                self.push(kind, Logical::None)
            }
            _ => match primitive(word) {
                Some(kind) => {
                    let logical = logical(object, &kind);
                    self.push(kind, logical)
                }
                None => self.word(word, namespace, depth),
            },
        }
    }

    fn record(
        &mut self,
        object: &Map<String, Value>,
        namespace: Option<&str>,
        depth: usize,
    ) -> Result<Id, SchemaError> {
        let name = self.name(object, namespace)?;
        let inner = name
            .rsplit_once('.')
            .map(|(namespace, _)| namespace.to_owned());
        let Some(Value::Array(given)) = object.get("fields") else {
            return self.refuse("a record needs \"fields\", an array");
        };
        // The name is known before the fields: they may use it.
        let open = Kind::Record {
            name: name.clone(),
            fields: Vec::new(),
        };
        let id = self.push(open, Logical::None)?;
        self.named(name.clone(), id)?;
        let mut fields: Vec<RecordField> = Vec::with_capacity(given.len().min(1024));
        for field in given {
            let Some(field_name) = field.get("name").and_then(Value::as_str) else {
                return self.refuse("each of a record's fields needs a \"name\"");
            };
            self.path.push(shown(field_name));
            if !crate::names::is_plain(field_name) {
                return self.refuse(
                    "a name begins with a letter or _, and has letters (a to z), digits and _ only",
                );
            }
            if fields.iter().any(|f| f.name == field_name) {
                return self.refuse("the record has two fields of this name");
            }
            let Some(type_) = field.get("type") else {
                return self.refuse("a field needs a \"type\"");
            };
            let node = self.node(type_, inner.as_deref(), depth + 1)?;
            if self.strict {
                self.about_field(field)?;
            }
            let aliases = match field.get("aliases") {
                Some(Value::Array(aliases)) => aliases
                    .iter()
                    .filter_map(|alias| alias.as_str().map(str::to_owned))
                    .collect(),
                _ => Vec::new(),
            };
            fields.push(RecordField {
                name: field_name.to_owned(),
                aliases,
                default: field.get("default").cloned(),
                node,
            });
            self.path.pop();
        }
        self.nodes[id].kind = Kind::Record { name, fields };
        Ok(id)
    }

    /// A named type's full name.
    fn name(
        &self,
        object: &Map<String, Value>,
        namespace: Option<&str>,
    ) -> Result<String, SchemaError> {
        let Some(name) = object.get("name").and_then(Value::as_str) else {
            return self.refuse("a record, enum or fixed needs a \"name\"");
        };
        if !name.split('.').all(crate::names::is_plain) {
            return self.refuse(format!(
                "\"{}\" is no name: it begins with a letter or _, and has letters (a to z), digits and _ only",
                shown(name)
            ));
        }
        let own = object.get("namespace").and_then(Value::as_str);
        let full = qualified(name, own.or(namespace));
        if self.strict {
            self.about_name(object, &full, own)?;
        }
        Ok(full)
    }

    fn named(&mut self, name: String, id: Id) -> Result<(), SchemaError> {
        if self.named.contains_key(&name) {
            return self.refuse(format!(
                "the name \"{}\" is given twice; a type is declared once and then used by its name",
                shown(&name)
            ));
        }
        self.named.insert(name, id);
        Ok(())
    }
}

pub(super) fn qualified(name: &str, namespace: Option<&str>) -> String {
    match namespace {
        Some(namespace) if !name.contains('.') && !namespace.is_empty() => {
            format!("{namespace}.{name}")
        }
        _ => name.to_owned(),
    }
}

pub(super) fn primitive(word: &str) -> Option<Kind> {
    Some(match word {
        "null" => Kind::Null,
        "boolean" => Kind::Boolean,
        "int" => Kind::Int,
        "long" => Kind::Long,
        "float" => Kind::Float,
        "double" => Kind::Double,
        "bytes" => Kind::Bytes,
        "string" => Kind::String,
        _ => return None,
    })
}

fn logical(object: &Map<String, Value>, kind: &Kind) -> Logical {
    let number = |name: &str| {
        object
            .get(name)
            .and_then(Value::as_u64)
            .and_then(|n| u32::try_from(n).ok())
    };
    let word = object.get("logicalType").and_then(Value::as_str);
    match (word, kind) {
        (Some("decimal"), Kind::Bytes | Kind::Fixed { .. }) => {
            let scale = number("scale").unwrap_or(0);
            match number("precision") {
                Some(precision) if precision > 0 && scale <= precision => {
                    Logical::Decimal { precision, scale }
                }
                _ => Logical::None,
            }
        }
        (Some("date"), Kind::Int) => Logical::Date,
        (Some("time-millis"), Kind::Int) => Logical::TimeMillis,
        (Some("time-micros"), Kind::Long) => Logical::TimeMicros,
        (Some("timestamp-millis"), Kind::Long) => Logical::Timestamp(1_000),
        (Some("timestamp-micros"), Kind::Long) => Logical::Timestamp(1_000_000),
        (Some("timestamp-nanos"), Kind::Long) => Logical::Timestamp(1_000_000_000),
        (Some("local-timestamp-millis"), Kind::Long) => Logical::LocalTimestamp(1_000),
        (Some("local-timestamp-micros"), Kind::Long) => Logical::LocalTimestamp(1_000_000),
        (Some("local-timestamp-nanos"), Kind::Long) => Logical::LocalTimestamp(1_000_000_000),
        (Some("uuid"), Kind::String | Kind::Fixed { size: 16, .. }) => Logical::Uuid,
        _ => Logical::None,
    }
}

pub(super) fn shown(name: &str) -> String {
    name.chars().take(64).collect()
}
