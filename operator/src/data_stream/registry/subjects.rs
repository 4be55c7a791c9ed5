//! How subjects are called, and whose a name is. Pure.

use std::collections::BTreeMap;

use headworks_crds::{SubjectNaming, TopicPolicy};
use headworks_plan::Definition;

use crate::contract::topic_name;

/// The subject of a stream's records.
///
/// # Errors
/// Where the name is the record's, and the definition is none.
pub(super) fn subject(
    naming: Option<SubjectNaming>,
    topic: &str,
    definition: &Definition,
) -> Result<String, String> {
    let name = || headworks_schema::record_name(definition).map_err(|error| error.to_string());
    Ok(match naming.unwrap_or_default() {
        SubjectNaming::TopicName => format!("{topic}-value"),
        SubjectNaming::RecordName => name()?,
        SubjectNaming::TopicRecordName => format!("{topic}-{}", name()?),
    })
}

/// What the names of a namespace's records begin with. They have no hyphens, and namespaces no underscores.
pub(super) fn record_prefix(namespace: &str) -> String {
    format!("{}.", namespace.replace('-', "_"))
}

/// Whose a record's name is: as with topics, a namespace owns the names that begin with it and a dot, and a rule gives it
/// others. A subject that topics share is a name in the whole registry, where anybody could put another record under it.
pub(super) fn owns(
    namespace: &str,
    labels: &BTreeMap<String, String>,
    policy: &[TopicPolicy],
    record: &str,
) -> bool {
    record.starts_with(&record_prefix(namespace))
        || topic_name::allowed(record, namespace, labels, policy).is_ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn definition(text: &str) -> Definition {
        Definition::new(text)
    }

    #[test]
    fn a_subject_is_named_by_topic_record_or_both() {
        let record = definition(
            r#"{"type":"record","name":"Order","namespace":"shop","fields":[{"name":"id","type":"string"}]}"#,
        );
        let of = |naming| subject(naming, "shop.orders", &record).unwrap();
        assert_eq!(of(None), "shop.orders-value");
        assert_eq!(of(Some(SubjectNaming::TopicName)), "shop.orders-value");
        assert_eq!(of(Some(SubjectNaming::RecordName)), "shop.Order");
        assert_eq!(
            of(Some(SubjectNaming::TopicRecordName)),
            "shop.orders-shop.Order"
        );
        let message = Definition::of_message(String::new(), "shop.v1.Order");
        assert_eq!(
            subject(Some(SubjectNaming::RecordName), "t", &message).unwrap(),
            "shop.v1.Order"
        );
    }

    #[test]
    fn a_record_s_name_is_its_namespace_s_or_needs_a_rule() {
        let policy: Vec<TopicPolicy> = serde_json::from_value(
            json!([{"namespaces": {"matchLabels": {"team": "core"}}, "prefixes": ["com.example."]}]),
        )
        .unwrap();
        let core = BTreeMap::from([("team".to_owned(), "core".to_owned())]);
        let none = BTreeMap::new();
        assert!(owns("shop", &none, &policy, "shop.v1.Order"));
        assert!(owns("team-a", &none, &policy, "team_a.Order"));
        assert!(owns("evil", &core, &policy, "com.example.Order"));
        for foreign in ["shop.Order", "Order", "com.example.Order", "evilshop.Order"] {
            assert!(!owns("evil", &none, &policy, foreign), "{foreign}");
        }
    }
}
