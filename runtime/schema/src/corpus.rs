//! Our reader of definitions against the verdicts of others, which `corpus/*.py` write down.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use serde_json::Value;

use crate::avro::{Avro, Kind, defaults};
use crate::protobuf;

/// Every case whose verdict isn't ours, but for those of `known`, which must differ as they say: true where we take it.
fn differences(
    corpus: &str,
    known: &[(&str, bool)],
    ours: impl Fn(&str) -> Result<(), String>,
) -> Vec<String> {
    let corpus: Value = serde_json::from_str(corpus).unwrap();
    let cases = corpus["cases"].as_array().unwrap();
    assert!(cases.len() > 100);
    let mut found = Vec::new();
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let theirs = case["taken"].as_bool().unwrap();
        let verdict = ours(case["text"].as_str().unwrap());
        let listed = known.iter().find(|(known, _)| *known == name);
        let expected = listed.map_or(theirs, |(_, taken)| *taken);
        assert!(
            listed.is_none_or(|(_, taken)| *taken != theirs),
            "{name} is no difference"
        );
        if verdict.is_ok() != expected {
            found.push(format!(
                "{name}: {} there ({}), {} here",
                if theirs { "taken" } else { "refused" },
                case["said"].as_str().unwrap_or_default(),
                verdict.err().unwrap_or_else(|| "taken".to_owned())
            ));
        }
    }
    for (name, _) in known {
        assert!(cases.iter().any(|case| case["name"] == *name), "{name}");
    }
    found
}

#[test]
fn what_protoc_refuses_is_refused_and_what_it_takes_is_taken() {
    let known = [
        // Of editions 2023 is read; not yet with what proto3 can't say beside what proto2 can't.
        ("edition 2024", false),
        ("edition: required and implicit", false),
        ("edition: closed enum without 0 in an implicit file", false),
        // The parser takes whatever type begins with this word for a map.
        ("edition: type named map", false),
        // It is stricter with names and numbers that mean nothing, or not the same to everybody.
        ("reserved beyond max", false),
        ("reserved to beyond max", false),
        ("reserved name that is none", false),
        ("JSON name twice in proto2", false),
        ("names in other case", false),
        ("deprecated_legacy_json_field_conflicts", false),
        ("oneof of optional's own name", false),
        ("default of a string that is no UTF-8", false),
        ("very large int default of a double", false),
        // Extensions are no fields of a record, and enums of descriptor.proto nobody's.
        ("extension number twice", true),
        ("extension with json_name", true),
        ("proto2 enum in proto3", true),
        // It says nothing.
        ("uninterpreted_option", true),
    ];
    let found = differences(include_str!("../corpus/protobuf.json"), &known, |text| {
        protobuf::parse_strictly(text)
            .map(drop)
            .map_err(|error| error.to_string())
    });
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn what_avros_own_library_refuses_is_refused_and_what_it_takes_is_taken() {
    let known = [
        // The specification's names are of ASCII letters, and begin with none of its dots.
        ("field with a letter of another script", false),
        ("name of another script", false),
        ("namespace of another script", false),
        ("enum with a letter of another script", false),
        ("name with a leading dot", false),
        // Java's reader knows types that are declared later, and enums that are declared twice alike.
        ("enum before it is declared", false),
        ("enum twice", false),
        // No value could be of it.
        ("enum without symbols", false),
        ("union of none", false),
        // Java takes a default here that it can't write.
        ("default for bytes beyond 255", false),
        ("default for a fixed of another size", false),
        ("default for an enum that is no symbol", false),
        // JSON has neither.
        ("comment", false),
        ("default NaN for a double", false),
        // It would be infinite.
        ("default 1e400 for a double", false),
    ];
    let found = differences(include_str!("../corpus/avro.json"), &known, |text| {
        let avro = Avro::parse_strictly(text).map_err(|error| error.to_string())?;
        let fields = avro.nodes().iter().flat_map(|node| match &node.kind {
            Kind::Record { fields, .. } => fields.as_slice(),
            _ => &[],
        });
        let wrong = fields.into_iter().find(|field| {
            let default = field.default.as_ref();
            default.is_some_and(|default| defaults::encoded(&avro, field.node, default).is_none())
        });
        wrong.map_or(Ok(()), |field| {
            Err(format!("the default of {}", field.name))
        })
    });
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}
