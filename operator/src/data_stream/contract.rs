//! From a spec's schema to a contract, and whether a new contract may follow an old one.

use headworks_crds::DataStreamSpec;
use headworks_plan::{Contract, EventTime, Field, Format};
use headworks_sql::{schema::Schema, types::DataType};

use crate::names::digest;

/// The contract that a spec describes.
pub fn contract(spec: &DataStreamSpec) -> Contract {
    Contract {
        fields: spec
            .schema
            .iter()
            .map(|field| Field {
                name: field.name.clone(),
                type_: canonical(&field.type_),
                nullable: field.nullable,
                labels: sorted(&field.labels),
            })
            .collect(),
        key: spec.key.clone(),
        compacted: spec.compacted,
        event_time: spec.event_time.as_ref().map(|e| EventTime {
            field: e.field.clone(),
            max_out_of_orderness_ms: 0,
            idle_timeout_ms: None,
        }),
        format: match spec.format {
            headworks_crds::Format::Json => Format::Json,
        },
    }
}

/// Checks types, names, key and event time; the message names the field.
pub fn check(contract: &Contract) -> Result<(), String> {
    Schema::from_contract(contract)
        .map(|_| ())
        .map_err(|error| format!("spec.schema: {error}"))
}

/// One spelling a type, so that a change of blanks is no change of the contract.
fn canonical(text: &str) -> String {
    text.parse::<DataType>()
        .map_or_else(|_| text.to_owned(), |t| t.to_string())
}

fn sorted(labels: &[String]) -> Vec<String> {
    let mut labels = labels.to_vec();
    labels.sort();
    labels.dedup();
    labels
}

/// Equal contracts have equal fingerprints.
pub fn fingerprint(contract: &Contract) -> String {
    let text = serde_json::to_string(contract).unwrap_or_default();
    digest(text.as_bytes())[..16].to_owned()
}

/// Ok if what is in the topic and what reads it can live with the new contract; else each field that can't.
pub fn compatible(old: &Contract, new: &Contract) -> Result<(), String> {
    let mut broken = Vec::new();
    for field in &old.fields {
        match new.fields.iter().find(|f| f.name == field.name) {
            None => broken.push(format!("field \"{}\" is removed: keep it", field.name)),
            Some(now) if now.type_ != field.type_ => {
                broken.push(format!(
                    "field \"{}\" changes from {} to {}: add a new field beside it",
                    field.name, field.type_, now.type_
                ));
            }
            Some(now) if field.nullable && !now.nullable => {
                broken.push(format!("field \"{}\" becomes required, but records without it may be in the topic: keep nullable: true", field.name));
            }
            Some(_) => {}
        }
    }
    for field in &new.fields {
        if !field.nullable && !old.fields.iter().any(|f| f.name == field.name) {
            broken.push(format!("new field \"{}\" is required, but the records in the topic don't have it: add nullable: true", field.name));
        }
    }
    if broken.is_empty() {
        Ok(())
    } else {
        Err(broken.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(fields: &[(&str, &str, bool)]) -> Contract {
        Contract {
            fields: fields
                .iter()
                .map(|(name, type_, nullable)| Field {
                    name: (*name).into(),
                    type_: (*type_).into(),
                    nullable: *nullable,
                    labels: vec![],
                })
                .collect(),
            ..Contract::default()
        }
    }

    #[test]
    fn a_new_nullable_field_and_a_new_order_are_fine() {
        let old = of(&[("a", "string", false), ("b", "int", false)]);
        let new = of(&[
            ("b", "int", false),
            ("c", "string", true),
            ("a", "string", true),
        ]);
        assert_eq!(compatible(&old, &new), Ok(()));
    }

    #[test]
    fn every_field_that_breaks_is_named_with_its_remedy() {
        let old = of(&[
            ("gone", "string", false),
            ("typed", "int", false),
            ("loose", "int", true),
        ]);
        let new = of(&[
            ("typed", "bigint", false),
            ("loose", "int", false),
            ("fresh", "string", false),
        ]);
        let message = compatible(&old, &new).unwrap_err();
        for word in [
            "\"gone\" is removed",
            "from int to bigint",
            "\"loose\" becomes required",
            "\"fresh\" is required",
        ] {
            assert!(message.contains(word), "{word} in {message}");
        }
    }

    #[test]
    fn the_spelling_of_a_type_is_not_part_of_the_contract() {
        assert_eq!(
            canonical("array< struct<a int> >"),
            canonical("array<struct<a int>>")
        );
    }
}
