//! Whose an object of Strimzi's kinds is, and who has a word in it: read purely from labels and field managers.
//!
//! An object is ours by the three labels that name our owner, where we put it. Labels can be copied: what is found by them elsewhere
//! is ours only if the API server's own record says that we wrote it ([`written_by_us`]), or if its name is one that only we give
//! ([`is_user_of`]). A person's hand (kubectl) on fields that are ours is
//! drift, and put back. Another controller that holds such a field is not fought: two that each put back what the other
//! wrote would never come to rest.

use kube::api::DynamicObject;
use serde_json::Value;

use crate::names::{FIELD_MANAGER, Key, LABEL_KIND, LABEL_NAME, LABEL_NAMESPACE};

/// True if the object carries the labels of this owner.
pub fn is_of(object: &DynamicObject, owner: &Key) -> bool {
    let Some(labels) = &object.metadata.labels else {
        return false;
    };
    owner
        .selector()
        .iter()
        .all(|(key, value)| labels.get(key) == Some(value))
}

/// True if we applied the object's spec, by the API server's record of who wrote what. A copy that somebody else made of it has the
/// same labels and annotations, and not this. Needs `managedFields`.
pub fn written_by_us(object: &DynamicObject) -> bool {
    object
        .metadata
        .managed_fields
        .iter()
        .flatten()
        .filter(|entry| entry.operation.as_deref() == Some("Apply"))
        .filter(|entry| entry.manager.as_deref() == Some(FIELD_MANAGER))
        .any(|entry| {
            let fields = entry.fields_v1.as_ref();
            fields.is_some_and(|fields| fields.0.get("f:spec").is_some())
        })
}

/// True if a KafkaUser carries the labels of this owner and the name of one of its users: `headworks.<installation>.<what>.<namespace>.<name>`,
/// with `-a` or `-b` at the end for those of AccessGrants.
pub fn is_user_of(object: &DynamicObject, owner: &Key) -> bool {
    let name = object.metadata.name.as_deref().unwrap_or_default();
    let (what, slots): (_, &[&str]) = match owner.kind.as_str() {
        "AccessGrant" => ("grant".to_owned(), &["-a", "-b"]),
        kind => (kind.to_lowercase(), &[""]),
    };
    let (namespace, of) = (&owner.namespace, &owner.name);
    let mut ends = slots
        .iter()
        .map(|slot| format!(".{what}.{namespace}.{of}{slot}"));
    is_of(object, owner)
        && name.starts_with("headworks.")
        && ends.any(|end| name.len() > "headworks".len() + end.len() && name.ends_with(&end))
}

/// Our owner of the object, whoever that is: the labels' kind, namespace and name.
pub fn owner(object: &DynamicObject) -> Option<String> {
    let labels = object.metadata.labels.as_ref()?;
    Some(format!(
        "{} {}/{}",
        labels.get(LABEL_KIND)?,
        labels.get(LABEL_NAMESPACE)?,
        labels.get(LABEL_NAME)?
    ))
}

/// True for a field manager that is a person at a keyboard.
pub fn by_hand(manager: &str) -> bool {
    manager.starts_with("kubectl")
}

/// Who holds an object that isn't ours, if that is more than a person: its owner's reference, or the first manager of its spec
/// that is no hand. Needs `managedFields`.
pub fn controller(object: &DynamicObject) -> Option<String> {
    if let Some(reference) = object.metadata.owner_references.iter().flatten().next() {
        return Some(format!("{} {}", reference.kind, reference.name));
    }
    managers(object)
        .find(|(manager, fields)| {
            !by_hand(manager) && *manager != FIELD_MANAGER && fields.get("f:spec").is_some()
        })
        .map(|(manager, _)| format!("field manager {manager}"))
}

/// Everybody's names on the object's spec, for a message.
pub fn managers_of_spec(object: &DynamicObject) -> String {
    let mut names: Vec<&str> = managers(object)
        .filter(|(_, fields)| fields.get("f:spec").is_some())
        .map(|(manager, _)| manager)
        .collect();
    names.sort_unstable();
    names.dedup();
    if names.is_empty() {
        "an unknown field manager".into()
    } else {
        format!("field manager {}", names.join(", "))
    }
}

/// A difference between what we want in a spec and what is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Path below the object, such as `spec.config.retention.ms`.
    pub path: String,
    /// What is there, as JSON.
    pub there: String,
    /// What is wanted, as JSON.
    pub wanted: String,
    /// Who wrote what is there; absent where managedFields don't say.
    pub manager: Option<String>,
}

/// Where the live spec has another value than the desired one, and who wrote it. Needs `managedFields`.
pub fn differences(desired: &Value, live: &DynamicObject) -> Vec<Difference> {
    let mut found = Vec::new();
    walk(
        &desired["spec"],
        &live.data["spec"],
        &mut vec!["spec".into()],
        &mut |path, wanted, there| {
            found.push(Difference {
                path: path.join("."),
                there: there.to_string(),
                wanted: wanted.to_string(),
                manager: holder(live, path),
            });
        },
    );
    found
}

/// Keys of the live `spec.config` that the desired one doesn't list, with who wrote them.
pub fn additions(desired: &Value, live: &DynamicObject) -> Vec<(String, Option<String>)> {
    let (Some(there), wanted) = (
        live.data["spec"]["config"].as_object(),
        desired["spec"]["config"].as_object(),
    ) else {
        return Vec::new();
    };
    there
        .keys()
        .filter(|key| wanted.is_none_or(|w| !w.contains_key(*key)))
        .map(|key| {
            let path = ["spec".to_owned(), "config".to_owned(), key.clone()];
            (key.clone(), holder(live, &path))
        })
        .collect()
}

fn walk(
    wanted: &Value,
    there: &Value,
    path: &mut Vec<String>,
    differs: &mut impl FnMut(&[String], &Value, &Value),
) {
    match wanted {
        Value::Object(fields) => {
            for (key, value) in fields {
                path.push(key.clone());
                walk(value, &there[key.as_str()], path, differs);
                path.pop();
            }
        }
        _ if wanted != there => differs(path, wanted, there),
        _ => {}
    }
}

/// The manager, other than us, that holds a field. Needs `managedFields`.
pub fn holder(object: &DynamicObject, path: &[String]) -> Option<String> {
    managers(object)
        .filter(|(manager, _)| *manager != FIELD_MANAGER)
        .find(|(_, fields)| {
            let mut at = *fields;
            path.iter().all(|part| {
                let next = at.get(format!("f:{part}"));
                at = next.unwrap_or(at);
                next.is_some()
            })
        })
        .map(|(manager, _)| manager.to_owned())
}

fn managers(object: &DynamicObject) -> impl Iterator<Item = (&str, &Value)> {
    object
        .metadata
        .managed_fields
        .iter()
        .flatten()
        .filter_map(|entry| Some((entry.manager.as_deref()?, &entry.fields_v1.as_ref()?.0)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn live() -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "kafka.strimzi.io/v1", "kind": "KafkaTopic",
            "metadata": {
                "name": "shop.orders", "namespace": "kafka",
                "labels": Key::new("DataStream", "shop", "orders").labels(),
                "managedFields": [
                    {"manager": "headworks", "operation": "Apply", "apiVersion": "kafka.strimzi.io/v1", "fieldsType": "FieldsV1",
                     "fieldsV1": {"f:spec": {"f:partitions": {}, "f:config": {"f:cleanup.policy": {}}}}},
                    {"manager": "kubectl-edit", "operation": "Update", "apiVersion": "kafka.strimzi.io/v1", "fieldsType": "FieldsV1",
                     "fieldsV1": {"f:spec": {"f:config": {"f:retention.ms": {}, "f:segment.bytes": {}}}}},
                    {"manager": "argocd-controller", "operation": "Apply", "apiVersion": "kafka.strimzi.io/v1", "fieldsType": "FieldsV1",
                     "fieldsV1": {"f:spec": {"f:replicas": {}}}},
                ],
            },
            "spec": {"partitions": 3, "replicas": 2, "config": {"retention.ms": "5", "segment.bytes": 7, "cleanup.policy": "delete"}},
        }))
        .unwrap()
    }

    #[test]
    fn a_difference_names_its_place_and_who_made_it() {
        let desired = json!({"spec": {"partitions": 3, "replicas": 1, "config": {"retention.ms": "6", "cleanup.policy": "delete"}}});
        let found = differences(&desired, &live());
        let short: Vec<_> = found
            .iter()
            .map(|d| (d.path.as_str(), d.there.as_str(), d.manager.as_deref()))
            .collect();
        assert_eq!(
            short,
            [
                ("spec.config.retention.ms", "\"5\"", Some("kubectl-edit")),
                ("spec.replicas", "2", Some("argocd-controller")),
            ]
        );
        assert_eq!(
            additions(&desired, &live()),
            [("segment.bytes".to_owned(), Some("kubectl-edit".to_owned()))]
        );
    }

    #[test]
    fn hands_and_controllers_are_told_apart() {
        assert!(by_hand("kubectl-client-side-apply") && by_hand("kubectl"));
        assert!(!by_hand("kustomize-controller"));
        assert_eq!(
            controller(&live()).as_deref(),
            Some("field manager argocd-controller")
        );
        let mut plain = live();
        plain.metadata.managed_fields.as_mut().unwrap().truncate(2);
        assert_eq!(controller(&plain), None);
        assert_eq!(
            managers_of_spec(&plain),
            "field manager headworks, kubectl-edit"
        );
    }

    #[test]
    fn a_copy_of_an_object_has_its_labels_and_not_our_hand() {
        assert!(written_by_us(&live()));
        let mut copy = live();
        copy.metadata.managed_fields.as_mut().unwrap().remove(0);
        assert!(!written_by_us(&copy));
        copy.metadata.managed_fields = None;
        assert!(is_of(&copy, &Key::new("DataStream", "shop", "orders")) && !written_by_us(&copy));
        let mut updated = live();
        updated.metadata.managed_fields.as_mut().unwrap()[0].operation = Some("Update".into());
        assert!(!written_by_us(&updated));
    }

    #[test]
    fn a_kafka_user_is_an_owners_by_its_name_too() {
        let user = |name: &str, owner: &Key| -> DynamicObject {
            serde_json::from_value(
                json!({"apiVersion": "kafka.strimzi.io/v1", "kind": "KafkaUser",
                "metadata": {"name": name, "namespace": "kafka", "labels": owner.labels()}}),
            )
            .unwrap()
        };
        let grant = Key::new("AccessGrant", "shop", "report");
        let pipeline = Key::new("Pipeline", "shop", "p");
        for slot in ["a", "b"] {
            let name = format!("headworks.prod.grant.shop.report-{slot}");
            assert!(is_user_of(&user(&name, &grant), &grant));
            assert!(!is_user_of(&user(&name, &grant), &pipeline));
        }
        assert!(is_user_of(
            &user("headworks.prod.pipeline.shop.p", &pipeline),
            &pipeline
        ));
        for foreign in [
            "my-own-user",
            "headworks.prod.pipeline.shop.p2",
            "headworks.prod.pipeline.other.p",
            "headworks.pipeline.shop.p",
            "x.headworks.prod.pipeline.shop.p",
        ] {
            assert!(
                !is_user_of(&user(foreign, &pipeline), &pipeline),
                "{foreign}"
            );
        }
    }

    #[test]
    fn an_object_is_ours_by_all_three_labels() {
        assert!(is_of(&live(), &Key::new("DataStream", "shop", "orders")));
        assert!(!is_of(&live(), &Key::new("DataStream", "shop", "order")));
        assert_eq!(owner(&live()).as_deref(), Some("DataStream shop/orders"));
    }
}
