//! Which of the texts beside a definition needs which: a registry takes a text after those that it needs.

use headworks_plan::{Definition, ReferencedSchema};

use crate::error::SchemaError;
use crate::text::SchemaText;
use crate::{avro, protobuf};

/// A text, and those that it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ordered {
    /// The text.
    pub schema: ReferencedSchema,
    /// Names of those that it needs by itself, each before it.
    pub needs: Vec<String>,
}

/// The texts that a definition needs, each after those that it needs itself; and what the definition needs by itself.
///
/// # Errors
/// One of them can't be read, or they need each other.
pub fn in_order(definition: &Definition) -> Result<(Vec<Ordered>, Vec<String>), SchemaError> {
    if definition.references.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    match definition.message {
        Some(_) => files(definition),
        None => schemas(definition),
    }
}

/// Of Protobuf, by their imports. A file that nobody imports is left out.
fn files(definition: &Definition) -> Result<(Vec<Ordered>, Vec<String>), SchemaError> {
    let file = protobuf::parse(definition)?;
    let text = |name: &str| definition.references.iter().find(|r| r.name == name);
    let beside = |file: &prost_reflect::FileDescriptor| -> Vec<prost_reflect::FileDescriptor> {
        let imported = file.dependencies();
        imported.filter(|f| text(f.name()).is_some()).collect()
    };
    let names = |files: &[prost_reflect::FileDescriptor]| -> Vec<String> {
        files.iter().map(|f| f.name().to_owned()).collect()
    };
    let own = beside(&file);
    let mut ordered: Vec<Ordered> = Vec::new();
    // A file stands on the heap twice: its imports come between. Imports have no circle, or the file wasn't read.
    let mut todo: Vec<(prost_reflect::FileDescriptor, bool)> =
        own.iter().rev().map(|f| (f.clone(), false)).collect();
    while let Some((file, ready)) = todo.pop() {
        if ordered.iter().any(|o| o.schema.name == file.name()) {
            continue;
        }
        let needs = beside(&file);
        if !ready {
            todo.push((file, true));
            todo.extend(needs.into_iter().rev().map(|f| (f, false)));
            continue;
        }
        if let Some(schema) = text(file.name()) {
            ordered.push(Ordered {
                schema: schema.clone(),
                needs: names(&needs),
            });
        }
    }
    Ok((ordered, names(&own)))
}

/// Of Avro, by what can be read with those before it. Each is said to need all of them: a registry looks at no more of them than
/// the types that it finds used.
fn schemas(definition: &Definition) -> Result<(Vec<Ordered>, Vec<String>), SchemaError> {
    let mut ordered: Vec<Ordered> = Vec::new();
    let mut left: Vec<&ReferencedSchema> = definition.references.iter().collect();
    while !left.is_empty() {
        let before: Vec<ReferencedSchema> = ordered.iter().map(|o| o.schema.clone()).collect();
        let needs: Vec<String> = before.iter().map(|r| r.name.clone()).collect();
        let (mut ready, mut waiting, mut last) = (Vec::new(), Vec::new(), None);
        for schema in left {
            let alone = avro::Avro::parse(schema.text.as_str()).map(|_| Vec::new());
            let read = alone.or_else(|_| {
                avro::Avro::parse(&SchemaText {
                    text: schema.text.clone(),
                    references: before.clone(),
                })
                .map(|_| needs.clone())
            });
            match read {
                Ok(needs) => ready.push(Ordered {
                    schema: schema.clone(),
                    needs,
                }),
                Err(error) => {
                    waiting.push(schema);
                    last = Some(error.within(&schema.name));
                }
            }
        }
        if let Some(error) = last.filter(|_| ready.is_empty()) {
            return Err(error);
        }
        ordered.extend(ready);
        left = waiting;
    }
    let own = ordered.iter().map(|o| o.schema.name.clone()).collect();
    Ok((ordered, own))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;

    fn referenced(name: &str, text: &str) -> ReferencedSchema {
        ReferencedSchema {
            name: name.into(),
            text: text.into(),
        }
    }

    fn told(definition: &Definition) -> String {
        let (ordered, own) = in_order(definition).unwrap();
        let lines = ordered
            .iter()
            .map(|o| format!("{}: {}", o.schema.name, o.needs.join(" ")));
        let mut lines: Vec<String> = lines.collect();
        lines.push(format!("own: {}", own.join(" ")));
        lines.join("; ")
    }

    #[test]
    fn files_come_after_those_that_they_import() {
        let order = Definition::of_message(
            "syntax = \"proto3\"; import \"a.proto\"; import \"google/protobuf/timestamp.proto\"; message O { A a = 1; google.protobuf.Timestamp at = 2; }",
            "O",
        );
        let order = order.with(vec![
            referenced(
                "a.proto",
                "syntax = \"proto3\"; import \"b.proto\"; message A { B b = 1; }",
            ),
            referenced("unused.proto", "syntax = \"proto3\";"),
            referenced(
                "b.proto",
                "syntax = \"proto3\"; message B { string s = 1; }",
            ),
        ]);
        assert_eq!(told(&order), "b.proto: ; a.proto: b.proto; own: a.proto");
        assert_eq!(told(&Definition::of_message("x", "X")), "own: ");
    }

    #[test]
    fn schemas_come_after_those_whose_types_they_use() {
        let order = Definition::new(
            r#"{"type": "record", "name": "O", "fields": [{"name": "a", "type": "A"}]}"#,
        );
        let order = order.with(vec![
            referenced(
                "A",
                r#"{"type": "record", "name": "A", "fields": [{"name": "b", "type": "B"}]}"#,
            ),
            referenced("B", r#"{"type": "enum", "name": "B", "symbols": ["X"]}"#),
        ]);
        assert_eq!(told(&order), "B: ; A: B; own: B A");
        let circle = Definition::new("\"int\"").with(vec![referenced(
            "A",
            r#"{"type": "record", "name": "A", "fields": [{"name": "b", "type": "gone.B"}]}"#,
        )]);
        assert!(in_order(&circle).unwrap_err().place.starts_with('A'));
    }
}
