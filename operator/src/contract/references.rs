//! Texts that a definition needs beside its own: given in the spec, or in ConfigMaps of the stream's namespace.
//!
//! Whoever looks at a spec first puts the ConfigMaps' texts in their place ([`inlined`]): what reads a contract out of a spec knows
//! no cluster, and an accepted contract holds the texts as they were.

use std::collections::{BTreeMap, BTreeSet};

use headworks_crds::{ConfigMapKeyRef, DataStreamSpec, SchemaReference};
use headworks_plan::ReferencedSchema;

use super::definition::Fault;

/// Bytes of all the texts that a definition needs. An accepted contract and every plan that has it is a ConfigMap, which holds
/// a mebibyte.
pub const REFERENCES_BYTES: usize = 128 << 10;

/// A ConfigMap's texts by key; none: there is no such ConfigMap.
pub type Texts = Option<BTreeMap<String, String>>;

/// The texts of a spec, and the field where they stand.
fn given(spec: &DataStreamSpec) -> (&'static str, &[SchemaReference]) {
    match &spec.protobuf {
        Some(protobuf) if spec.avro.is_none() => ("spec.protobuf.imports", &protobuf.imports),
        _ => ("spec.avroReferences", &spec.avro_references),
    }
}

/// Names of the ConfigMaps that a spec takes texts from.
pub fn config_maps(spec: &DataStreamSpec) -> BTreeSet<&str> {
    let keys = given(spec).1.iter().filter_map(|r| r.config_map.as_ref());
    keys.map(|key| key.name.as_str()).collect()
}

/// The spec with the texts of its ConfigMaps in their place. `texts` gives what a ConfigMap holds, by its name.
///
/// # Errors
/// Each ConfigMap or key that isn't there, at the field that names it.
pub fn inlined(
    spec: &DataStreamSpec,
    texts: impl Fn(&str) -> Texts,
) -> Result<DataStreamSpec, Vec<Fault>> {
    let (place, all) = given(spec);
    let mut faults = Vec::new();
    let mut read = Vec::with_capacity(all.len());
    for (index, reference) in all.iter().enumerate() {
        let Some(key) = &reference.config_map else {
            read.push(reference.clone());
            continue;
        };
        match text(key, &texts) {
            Ok(text) => read.push(SchemaReference {
                name: reference.name.clone(),
                text: Some(text),
                config_map: None,
            }),
            Err(message) => faults.push(Fault::at(format!("{place}[{index}].configMap"), message)),
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let mut spec = spec.clone();
    match &mut spec.protobuf {
        Some(protobuf) if spec.avro.is_none() => protobuf.imports = read,
        _ => spec.avro_references = read,
    }
    Ok(spec)
}

fn text(key: &ConfigMapKeyRef, texts: &impl Fn(&str) -> Texts) -> Result<String, String> {
    let ConfigMapKeyRef { name, key } = key;
    let Some(mut map) = texts(name) else {
        return Err(format!(
            "ConfigMap {name} doesn't exist; make it with key {key}, or correct the name"
        ));
    };
    if let Some(text) = map.remove(key) {
        return Ok(text);
    }
    let keys: Vec<&str> = map.keys().take(8).map(String::as_str).collect();
    Err(if keys.is_empty() {
        format!("ConfigMap {name} has no key {key}; add it to its data")
    } else {
        format!(
            "ConfigMap {name} has no key {key}; add it to its data, or take one of {}",
            keys.join(", ")
        )
    })
}

/// The texts that a spec's definition needs. Each is in the spec ([`inlined`]).
///
/// # Errors
/// Two of one name, more than [`REFERENCES_BYTES`], or one whose ConfigMap wasn't read.
pub(super) fn read(spec: &DataStreamSpec) -> Result<Vec<ReferencedSchema>, Fault> {
    let (place, all) = given(spec);
    let mut read: Vec<ReferencedSchema> = Vec::with_capacity(all.len());
    let mut bytes = 0;
    for (index, reference) in all.iter().enumerate() {
        let name = &reference.name;
        if read.iter().any(|before| before.name == *name) {
            return Err(Fault::at(
                format!("{place}[{index}].name"),
                format!("{name} stands here twice: take one of the two out"),
            ));
        }
        let Some(text) = &reference.text else {
            return Err(Fault::at(
                format!("{place}[{index}].configMap"),
                "its text isn't known here",
            ));
        };
        // As at the definition itself: blanks at the end are no part of it.
        let text = text.trim_end();
        bytes += text.len();
        if bytes > REFERENCES_BYTES {
            return Err(Fault::at(
                place,
                format!(
                    "the texts have more than {REFERENCES_BYTES} bytes together: take out what the definition doesn't use"
                ),
            ));
        }
        read.push(ReferencedSchema {
            name: name.clone(),
            text: text.to_owned(),
        });
    }
    Ok(read)
}

/// Where a fault of a definition is, if it is in a text that it needs: the field, and what is left of its place.
pub(super) fn place_of(spec: &DataStreamSpec, place: &str) -> Option<(String, String)> {
    let (field, all) = given(spec);
    all.iter().enumerate().find_map(|(index, reference)| {
        let rest = place.strip_prefix(reference.name.as_str())?;
        if !rest.is_empty() && !rest.starts_with(": ") {
            return None;
        }
        let rest = rest.trim_start_matches(": ").to_owned();
        Some((format!("{field}[{index}].text"), rest))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::contract::{contract, fingerprint, read as read_contract, wanted};

    const MONEY: &str = "syntax = \"proto3\"; package common; message Money { string currency = 1; int64 units = 2; }";

    fn spec(imports: &serde_json::Value) -> DataStreamSpec {
        serde_json::from_value(json!({"format": "Protobuf", "protobuf": {
            "schema": "syntax = \"proto3\"; package shop; import \"common/money.proto\"; message Order { string id = 1; common.Money total = 2; }",
            "imports": imports}}))
        .unwrap()
    }

    fn maps(name: &str) -> Texts {
        let data = BTreeMap::from([("money.proto".to_owned(), MONEY.to_owned())]);
        (name == "protos").then_some(data)
    }

    fn from_map(name: &str, key: &str) -> serde_json::Value {
        json!([{"name": "common/money.proto", "configMap": {"name": name, "key": key}}])
    }

    #[test]
    fn a_file_in_a_config_map_is_as_one_in_the_spec() {
        let given = spec(&from_map("protos", "money.proto"));
        assert_eq!(config_maps(&given), BTreeSet::from(["protos"]));
        let fault = read_contract(&given).unwrap_err();
        assert_eq!(fault.field, "spec.protobuf.imports[0].configMap");
        let given = inlined(&given, maps).unwrap();
        let inline = spec(&json!([{"name": "common/money.proto", "text": MONEY}]));
        assert_eq!(given, inline);
        let contract = wanted(("shop", "orders"), &given, None).unwrap();
        assert_eq!(
            contract.fields[1].type_,
            "struct<currency string not null,units bigint not null>"
        );
        assert_eq!(contract.definition.unwrap().references.len(), 1);
    }

    #[test]
    fn what_is_missing_is_told_with_its_place() {
        let told = |given: &serde_json::Value| {
            let faults = inlined(&spec(given), maps).unwrap_err();
            faults[0].to_string()
        };
        assert_eq!(
            told(&from_map("protoss", "money.proto")),
            "spec.protobuf.imports[0].configMap: ConfigMap protoss doesn't exist; make it with key money.proto, or correct the name"
        );
        assert_eq!(
            told(&from_map("protos", "mony.proto")),
            "spec.protobuf.imports[0].configMap: ConfigMap protos has no key mony.proto; add it to its data, or take one of money.proto"
        );
    }

    #[test]
    fn what_is_wrong_in_a_text_is_told_where_it_stands() {
        let told = |given: serde_json::Value| read_contract(&spec(&given)).unwrap_err().to_string();
        let broken = told(json!([{"name": "common/money.proto", "text": "syntax = \"proto3\";\nmessage Money { sting a = 1 }"}]));
        assert!(
            broken.starts_with("spec.protobuf.imports[0].text line 2: "),
            "{broken}"
        );
        let twice = told(json!([{"name": "a.proto", "text": "x"}, {"name": "a.proto", "text": "y"}]));
        assert_eq!(
            twice,
            "spec.protobuf.imports[1].name: a.proto stands here twice: take one of the two out"
        );
        let missing = told(json!([{"name": "common/cash.proto", "text": MONEY}]));
        assert!(missing.contains("common/cash.proto"), "{missing}");
        let large = told(json!([{"name": "a.proto", "text": "x".repeat(REFERENCES_BYTES + 1)}]));
        assert!(large.starts_with("spec.protobuf.imports: "), "{large}");
    }

    #[test]
    fn comments_and_order_of_other_texts_are_no_part_of_a_contract() {
        let of = |texts: serde_json::Value| fingerprint(&contract(&spec(&texts)));
        let money = json!({"name": "common/money.proto", "text": MONEY});
        let other = json!({"name": "b.proto", "text": "syntax = \"proto3\";"});
        let plain = of(json!([money, other]));
        assert_eq!(of(json!([other, money])), plain);
        let commented = format!("// What it costs.\n{MONEY}\n");
        let commented = json!({"name": "common/money.proto", "text": commented});
        assert_eq!(of(json!([commented, other])), plain);
        let changed = MONEY.replace("units = 2", "units = 3");
        let changed = json!({"name": "common/money.proto", "text": changed});
        assert_ne!(of(json!([changed, other])), plain);
    }

    #[test]
    fn an_avro_schema_takes_types_from_others() {
        let spec: DataStreamSpec = serde_json::from_value(json!({"format": "Avro",
            "avro": "{\"type\": \"record\", \"name\": \"shop.Order\", \"fields\": [{\"name\": \"to\", \"type\": \"geo.Address\"}]}",
            "avroReferences": [{"name": "geo.Address", "configMap": {"name": "avro", "key": "a"}}]}))
        .unwrap();
        let address = |type_: &str| {
            let text = json!({"type": "record", "name": "geo.Address", "fields": [{"name": "city", "type": type_}]});
            let data = BTreeMap::from([("a".to_owned(), text.to_string())]);
            inlined(&spec, |_| Some(data.clone())).unwrap()
        };
        let fields = read_contract(&address("string")).unwrap().fields;
        assert_eq!(fields[0].type_, "struct<city string not null>");
        let wrong = read_contract(&address("strng")).unwrap_err();
        assert_eq!(wrong.field, "spec.avroReferences[0].text");
    }
}
