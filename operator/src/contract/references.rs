//! Texts that a definition needs beside its own: given in the spec, or in ConfigMaps of the stream's namespace.
//!
//! Whoever looks at a spec first puts the ConfigMaps' texts in their place ([`inlined`]): what reads a contract out of a spec knows
//! no cluster, and an accepted contract holds the texts as they were.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use headworks_crds::{ConfigMapKeyRef, DataStreamSpec, SchemaReference};
use headworks_plan::{Contract, ReferencedSchema};

use super::definition::Fault;

/// Bytes of all the texts that a definition needs. An accepted contract and every plan that has it is a ConfigMap, which holds
/// a mebibyte.
pub const REFERENCES_BYTES: usize = 128 << 10;

/// A ConfigMap's texts by key; none: there is no such ConfigMap.
pub type Texts = Option<BTreeMap<String, String>>;

/// A ConfigMap or key that a spec names and that isn't there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Field of the spec, such as `spec.avroReferences[0].configMap`.
    pub field: String,
    /// What it names.
    pub key: ConfigMapKeyRef,
    /// Keys that the ConfigMap has; none: there is no such ConfigMap.
    pub keys: Option<Vec<String>>,
}

impl Missing {
    /// What is missing and what to do, without the field.
    pub fn message(&self) -> String {
        let ConfigMapKeyRef { name, key } = &self.key;
        match self.keys.as_deref() {
            None => format!(
                "ConfigMap {name} doesn't exist; make it with key {key}, or correct the name"
            ),
            Some([]) => format!("ConfigMap {name} has no key {key}; add it to its data"),
            Some(keys) => {
                let some: Vec<&str> = keys.iter().take(8).map(String::as_str).collect();
                format!(
                    "ConfigMap {name} has no key {key}; add it to its data, or take one of {}",
                    some.join(", ")
                )
            }
        }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message())
    }
}

/// The texts of a spec, and the field where they stand.
fn given(spec: &DataStreamSpec) -> (&'static str, &[SchemaReference]) {
    match &spec.protobuf {
        Some(protobuf) if spec.avro.is_none() => ("spec.protobuf.imports", &protobuf.imports),
        _ => ("spec.avroReferences", &spec.avro_references),
    }
}

/// Names of the ConfigMaps that a spec takes texts from, and that aren't [`inlined`] yet.
pub fn config_maps(spec: &DataStreamSpec) -> BTreeSet<&str> {
    let unread = given(spec).1.iter().filter(|r| r.text.is_none());
    let keys = unread.filter_map(|r| r.config_map.as_ref());
    keys.map(|key| key.name.as_str()).collect()
}

/// The keys that a spec takes texts from, by the ConfigMap's name.
pub fn keys(spec: &DataStreamSpec) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut all: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for key in given(spec).1.iter().filter_map(|r| r.config_map.as_ref()) {
        all.entry(&key.name).or_default().insert(&key.key);
    }
    all
}

/// The spec with the texts of its ConfigMaps beside the ConfigMaps' names, by which a fault is told where it stands. `texts` gives what
/// a ConfigMap holds, by its name.
///
/// # Errors
/// Each ConfigMap or key that isn't there, at the field that names it.
pub fn inlined(
    spec: &DataStreamSpec,
    texts: impl Fn(&str) -> Texts,
) -> Result<DataStreamSpec, Vec<Missing>> {
    let (place, all) = given(spec);
    let mut missing = Vec::new();
    let mut read = Vec::with_capacity(all.len());
    for (index, reference) in all.iter().enumerate() {
        let Some(key) = &reference.config_map else {
            read.push(reference.clone());
            continue;
        };
        let map = texts(&key.name);
        match map.as_ref().and_then(|map| map.get(&key.key)) {
            Some(text) => read.push(SchemaReference {
                name: reference.name.clone(),
                text: Some(text.clone()),
                config_map: Some(key.clone()),
            }),
            None => missing.push(Missing {
                field: format!("{place}[{index}].configMap"),
                key: key.clone(),
                keys: map.map(|map| map.into_keys().collect()),
            }),
        }
    }
    if !missing.is_empty() {
        return Err(missing);
    }
    let mut spec = spec.clone();
    match &mut spec.protobuf {
        Some(protobuf) if spec.avro.is_none() => protobuf.imports = read,
        _ => spec.avro_references = read,
    }
    Ok(spec)
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
            let key = reference.config_map.as_ref();
            let key = key.map(|key| format!(" in ConfigMap {}, key {},", key.name, key.key));
            return Err(Fault::at(
                format!("{place}[{index}].configMap"),
                format!("the text{} isn't known here", key.unwrap_or_default()),
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

/// Whether the texts' names may be: a name that the contract in force (`before`) has was accepted once, and stays.
///
/// # Errors
/// A name whose subject in a schema registry could be another topic's.
pub(super) fn check_names(spec: &DataStreamSpec, before: Option<&Contract>) -> Result<(), Fault> {
    let definition = before.and_then(|before| before.definition.as_ref());
    let accepted = definition
        .map(|definition| definition.references.as_slice())
        .unwrap_or_default();
    let (place, all) = given(spec);
    for (index, SchemaReference { name, .. }) in all.iter().enumerate() {
        if accepted.iter().any(|one| one.name == *name) {
            continue;
        }
        if let Some(part) = of_others(name) {
            return Err(Fault::at(
                format!("{place}[{index}].name"),
                format!(
                    "{name} has {part} in it: in a schema registry its subject, <topic>{SUBJECT}{name}, could be one of another topic's. Call it otherwise, here and where it is imported"
                ),
            ));
        }
    }
    Ok(())
}

/// Between a topic and a text's name in the subject that the text has in a schema registry.
pub const SUBJECT: &str = "-reference-";

/// What in a text's name could make its subject another topic's: what a topic's own subjects end in, or what begins another text's.
/// Without these no two topics' subjects are the same, whatever the topics are called.
fn of_others(name: &str) -> Option<&'static str> {
    let own = ["-value", "-key"];
    let ends = own.into_iter().find(|end| name.ends_with(end));
    ends.or_else(|| name.contains(SUBJECT).then_some(SUBJECT))
}

/// Where a text that a definition needs stands.
pub(super) struct TextPlace {
    /// Field of the spec: the text's, or that of the ConfigMap that has it.
    pub field: String,
    /// That ConfigMap and its key.
    pub config_map: Option<ConfigMapKeyRef>,
    /// Place within the text, such as `line 2, column 3`.
    pub within: String,
}

/// Where a fault of a definition is, if it is in a text that it needs.
pub(super) fn place_of(spec: &DataStreamSpec, place: &str) -> Option<TextPlace> {
    let (field, all) = given(spec);
    all.iter().enumerate().find_map(|(index, reference)| {
        let rest = place.strip_prefix(reference.name.as_str())?;
        if !rest.is_empty() && !rest.starts_with(": ") {
            return None;
        }
        let config_map = reference.config_map.clone();
        let of = config_map.as_ref().map_or("text", |_| "configMap");
        Some(TextPlace {
            field: format!("{field}[{index}].{of}"),
            config_map,
            within: rest.trim_start_matches(": ").to_owned(),
        })
    })
}

#[cfg(test)]
mod tests {
    use headworks_plan::Definition;
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
        assert!(config_maps(&given).is_empty(), "they are read");
        let inline = spec(&json!([{"name": "common/money.proto", "text": MONEY}]));
        let contract = wanted(("shop", "orders"), &given, None).unwrap();
        assert_eq!(contract, wanted(("shop", "orders"), &inline, None).unwrap());
        assert_eq!(
            contract.fields[1].type_,
            "struct<currency string not null, units bigint not null>"
        );
        assert_eq!(contract.definition.unwrap().references.len(), 1);
    }

    #[test]
    fn what_is_missing_is_told_with_its_place() {
        let told = |given: &serde_json::Value| {
            let missing = inlined(&spec(given), maps).unwrap_err();
            missing[0].to_string()
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
        let broken = told(
            json!([{"name": "common/money.proto", "text": "syntax = \"proto3\";\nmessage Money { sting a = 1 }"}]),
        );
        assert!(
            broken.starts_with("spec.protobuf.imports[0].text line 2: "),
            "{broken}"
        );
        let twice =
            told(json!([{"name": "a.proto", "text": "x"}, {"name": "a.proto", "text": "y"}]));
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
    fn what_is_wrong_in_a_config_map_names_it_with_the_line() {
        let given = spec(&from_map("protos", "money.proto"));
        let broken = "syntax = \"proto3\";\nmessage Money { sting a = 1 }";
        let data = BTreeMap::from([("money.proto".to_owned(), broken.to_owned())]);
        let fault = read_contract(&inlined(&given, |_| Some(data.clone())).unwrap()).unwrap_err();
        let told = fault.to_string();
        assert!(
            told.starts_with(
                "spec.protobuf.imports[0].configMap: key money.proto of ConfigMap protos, line 2: "
            ),
            "{told}"
        );
    }

    #[test]
    fn no_text_has_a_subject_that_could_be_another_topics() {
        let told = |name: &str| {
            let given = json!([{"name": name, "text": MONEY}]);
            read_contract(&spec(&given)).unwrap_err().to_string()
        };
        // Of a topic `orders` the first is the subject of a topic `orders-reference-a`, the last that of a text `b` which it needs.
        for (name, part) in [
            ("a-value", "-value"),
            ("a-key", "-key"),
            ("a-reference-b", "-reference-"),
        ] {
            let told = told(name);
            let begins = format!("spec.protobuf.imports[0].name: {name} has {part} in it: ");
            assert!(told.starts_with(&begins), "{told}");
        }
        // What was accepted once stays.
        let given = spec(&json!([{"name": "a-value", "text": MONEY}]));
        let definition = Definition::new("").with(vec![ReferencedSchema {
            name: "a-value".into(),
            text: String::new(),
        }]);
        let before = Contract {
            definition: Some(definition),
            ..Contract::default()
        };
        assert!(check_names(&given, Some(&before)).is_ok());
        assert!(check_names(&given, Some(&Contract::default())).is_err());
        let fine = told("common/value-reference.proto");
        assert!(!fine.contains("in it"), "{fine}");
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
        assert_eq!(wrong.field, "spec.avroReferences[0].configMap");
        assert!(
            wrong.message.starts_with("key a of ConfigMap avro, "),
            "{wrong}"
        );
    }
}
