//! What must hold for the CRDs as a whole: they are bounded, explained, and the same as those committed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{fs, path::PathBuf};

use headworks_crds::{manifest, reference};
use serde_json::Value;

/// Calls `visit` with the path of every property, list item and map value in a schema.
fn walk(path: &str, schema: &Value, visit: &mut impl FnMut(&str, &Value)) {
    visit(path, schema);
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        walk(&format!("{path}.{name}"), property, visit);
    }
    if schema["items"].is_object() {
        walk(&format!("{path}[]"), &schema["items"], visit);
    }
    if schema["additionalProperties"].is_object() {
        walk(
            &format!("{path}{{}}"),
            &schema["additionalProperties"],
            visit,
        );
    }
}

fn each_part(mut visit: impl FnMut(&str, &Value)) {
    for crd in manifest::all() {
        let crd = serde_json::to_value(&crd).unwrap();
        let kind = crd["spec"]["names"]["kind"].as_str().unwrap().to_owned();
        let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        for part in ["spec", "status"] {
            walk(
                &format!("{kind}.{part}"),
                &schema["properties"][part],
                &mut visit,
            );
        }
    }
}

fn unbounded(schema: &Value) -> Option<&'static str> {
    let int_or_string = schema["x-kubernetes-int-or-string"] == true;
    let has = |key: &str| !schema[key].is_null();
    match schema["type"].as_str() {
        Some("string") if !has("maxLength") && !has("enum") => {
            Some("a string without maxLength or enum")
        }
        Some("array") if !has("maxItems") => Some("a list without maxItems"),
        Some("array") if !has("x-kubernetes-list-type") => Some("a list without a list type"),
        Some("object") if has("additionalProperties") && !has("maxProperties") => {
            Some("a map without maxProperties")
        }
        Some("number") => Some("a floating-point number"),
        None if int_or_string && !has("maxLength") => Some("an int-or-string without maxLength"),
        None if !int_or_string => Some("no type"),
        _ if has("nullable") => Some("nullable"),
        _ if has("anyOf") || has("oneOf") || has("allOf") => Some("a choice that isn't structural"),
        // A test's records are as the streams' contracts say, which no schema knows.
        _ if schema["x-kubernetes-preserve-unknown-fields"] == true && !has("maxProperties") => {
            Some("unknown fields")
        }
        Some("integer") if !matches!(schema["format"].as_str(), Some("int32" | "int64")) => {
            Some("an integer of no known size")
        }
        _ => None,
    }
}

#[test]
fn every_string_list_and_map_is_bounded() {
    let mut faults = Vec::new();
    each_part(|path, schema| {
        faults.extend(unbounded(schema).map(|fault| format!("{path}: {fault}")));
    });
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn the_search_for_missing_bounds_finds_them() {
    let schema = serde_json::json!({"type": "object", "properties": {
        "a": {"type": "string"},
        "b": {"type": "array", "maxItems": 3, "x-kubernetes-list-type": "atomic", "items": {"type": "string"}},
        "c": {"type": "object", "additionalProperties": {"type": "string", "maxLength": 3}},
        "d": {"type": "number"},
        "fine": {"type": "string", "maxLength": 3},
    }});
    let mut faults = Vec::new();
    walk("", &schema, &mut |path, schema| {
        if unbounded(schema).is_some() {
            faults.push(path.to_owned());
        }
    });
    assert_eq!(faults, [".a", ".b[]", ".c", ".d"]);
}

#[test]
fn every_field_is_explained() {
    let mut silent = Vec::new();
    each_part(|path, schema| {
        let is_field = !path.ends_with("[]") && !path.ends_with("{}");
        if is_field
            && schema["description"]
                .as_str()
                .is_none_or(|text| text.len() < 10)
        {
            silent.push(path.to_owned());
        }
    });
    assert!(silent.is_empty(), "{silent:#?}");
}

#[test]
fn columns_have_names_that_scripts_can_use() {
    for crd in manifest::all() {
        let columns = crd.spec.versions[0]
            .additional_printer_columns
            .clone()
            .unwrap_or_default();
        // What comes to an end is first asked how far it is.
        let ends = crd.spec.names.kind == "Replay";
        assert_eq!(
            columns.first().map(|c| c.name.as_str()),
            Some(if ends { "PHASE" } else { "READY" }),
            "{}",
            crd.spec.names.kind
        );
        assert_eq!(
            columns.last().map(|c| c.name.as_str()),
            Some("AGE"),
            "{}",
            crd.spec.names.kind
        );
        for column in columns {
            assert!(
                column.name.chars().all(|c| c.is_ascii_uppercase()),
                "{}",
                column.name
            );
        }
        assert_eq!(
            crd.spec.names.categories.as_deref(),
            Some(&["headworks".to_owned()][..])
        );
        // What is written once and looked at for an hour needs no short name.
        assert!(ends || crd.spec.names.short_names.is_some());
    }
}

#[test]
fn a_new_object_is_not_taken_for_one_that_is_well() {
    for crd in manifest::all() {
        let kind = crd.spec.names.kind.clone();
        let version = serde_json::to_value(&crd.spec.versions[0]).unwrap();
        let status = &version["schema"]["openAPIV3Schema"]["properties"]["status"];
        assert_eq!(
            status["default"],
            serde_json::json!({"observedGeneration": -1}),
            "{kind}"
        );
        // A default must be right by its own schema, or the API server refuses the CRD.
        assert!(status["required"].is_null(), "{kind}");
        let generation = &status["properties"]["observedGeneration"];
        assert!(generation["minimum"].is_null(), "{kind}: {generation}");
        assert!(!version["subresources"]["status"].is_null(), "{kind}");
    }
}

#[test]
fn a_column_names_a_field_that_exists() {
    for crd in manifest::all() {
        let kind = crd.spec.names.kind.clone();
        let version = serde_json::to_value(&crd.spec.versions[0]).unwrap();
        for column in version["additionalPrinterColumns"].as_array().unwrap() {
            let path = column["jsonPath"].as_str().unwrap();
            if path.starts_with(".metadata") || path.contains("conditions[?") {
                continue;
            }
            let found = path
                .split('.')
                .skip(1)
                .fold(&version["schema"]["openAPIV3Schema"], |at, name| {
                    &at["properties"][name]
                });
            assert!(found.is_object(), "{kind}: {path}");
        }
    }
}

#[test]
fn the_charts_crds_are_the_ones_made_from_this_code() {
    let folder =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../charts/headworks-crds/templates");
    let mut expected = Vec::new();
    for crd in manifest::all() {
        let name = manifest::file_name(&crd);
        let committed = fs::read_to_string(folder.join(&name)).unwrap_or_default();
        assert!(
            committed == manifest::yaml(&crd).unwrap(),
            "charts/headworks-crds/templates/{name} is out of date: cargo run --release -p headworks-crds --bin crdgen"
        );
        assert!(
            !committed.contains("{{"),
            "{name}: Helm would read this as a template"
        );
        expected.push(name);
    }
    let mut there: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|f| f.unwrap().file_name().into_string().unwrap())
        .collect();
    expected.sort();
    there.sort();
    assert_eq!(there, expected, "files that no kind belongs to");
}

#[test]
fn the_reference_is_the_one_made_from_this_code() {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/kinds.md");
    assert!(
        fs::read_to_string(file).unwrap_or_default() == reference::markdown(),
        "docs/reference/kinds.md is out of date: cargo run --release -p headworks-crds --bin crdgen"
    );
}
