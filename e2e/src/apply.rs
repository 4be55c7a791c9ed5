//! What `kubectl apply` does, over the one connection that all tests have: a seventh of what end-to-end tests asked of the
//! processor was kubectl's. What users see of kubectl (what it refuses, warns of and prints) is tested with kubectl.

use headworks_crds::kinds::KINDS;
use serde_json::{Map, Value};

use crate::api;

/// Where kubectl keeps what was applied last, to know at the next time what was taken out.
const LAST: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Applies every object of a text; what went wrong, of all of them. Nothing where there is one that only kubectl knows how to apply.
pub(crate) fn apply(yaml: &str, namespace: &str) -> Option<Result<(), String>> {
    let all: Vec<Value> = serde_saphyr::from_multiple(yaml).ok()?;
    let all: Vec<(String, Value)> = all
        .into_iter()
        .filter(|object| !object.is_null())
        .map(|object| Some((kind(&object)?, object)))
        .collect::<Option<_>>()?;
    let wrong: Vec<String> = all
        .iter()
        .filter_map(|(kind, object)| one(kind, object, namespace).err())
        .collect();
    Some(if wrong.is_empty() {
        Ok(())
    } else {
        Err(wrong.join("\n"))
    })
}

/// The kind as [`api`] takes it, of those whose lists are replaced as a whole.
fn kind(object: &Value) -> Option<String> {
    let kind = object["kind"].as_str()?;
    match (object["apiVersion"].as_str()?, kind) {
        ("v1", "ConfigMap") => Some("configmaps".to_owned()),
        ("v1", "Secret") => Some("secrets".to_owned()),
        ("headworks.dev/v1alpha1", _) => {
            let ours = KINDS.iter().find(|ours| ours.name == kind)?;
            Some(ours.full_name())
        }
        _ => None,
    }
}

fn one(kind: &str, object: &Value, namespace: &str) -> Result<(), String> {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let namespace = object["metadata"]["namespace"]
        .as_str()
        .unwrap_or(namespace);
    let told = |error: kube::Error| match error {
        kube::Error::Api(status) => format!("{kind} {name}: {}", status.message),
        other => format!("{kind} {name}: {other}"),
    };
    let mut applied = object.clone();
    applied["metadata"]["annotations"][LAST] = Value::from(object.to_string());
    match api::get(kind, name, namespace).ok_or("no cluster")? {
        Err(kube::Error::Api(status)) if status.code == 404 => {
            match api::create(kind, namespace, &applied) {
                // Another test made it in this moment.
                Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
                made => made.map_err(told),
            }
        }
        Err(error) => Err(told(error)),
        Ok(current) => {
            let last = current["metadata"]["annotations"][LAST].as_str();
            let last = last.and_then(|text| serde_json::from_str(text).ok());
            let patch = three_way(&last.unwrap_or_default(), &applied, &current);
            if patch.as_object().is_some_and(Map::is_empty) {
                return Ok(());
            }
            api::patch(kind, name, namespace, &patch).map_err(told)
        }
    }
}

/// The merge patch (RFC 7386) of kubectl for kinds that it has no types of: what is applied and isn't so yet, and null for what was
/// applied last and isn't now.
fn three_way(last: &Value, applied: &Value, current: &Value) -> Value {
    let mut patch = Map::new();
    for (key, value) in applied.as_object().into_iter().flatten() {
        let (before, now) = (&last[key], &current[key]);
        if value.is_object() && now.is_object() {
            let within = three_way(before, value, now);
            if within.as_object().is_some_and(|within| !within.is_empty()) {
                patch.insert(key.clone(), within);
            }
        } else if value != now {
            patch.insert(key.clone(), value.clone());
        }
    }
    for key in last.as_object().into_iter().flat_map(Map::keys) {
        if applied.get(key).is_none() && current.get(key).is_some() {
            patch.insert(key.clone(), Value::Null);
        }
    }
    Value::Object(patch)
}

#[cfg(test)]
mod tests {
    use super::{kind, three_way};
    use serde_json::{Value, json};

    #[test]
    fn a_patch_says_what_is_new_and_what_was_taken_out_and_leaves_others_fields() {
        let last =
            json!({"spec": {"sql": "a", "replicas": 2, "to": [1], "rollout": {"canary": {}}}});
        let applied = json!({"spec": {"sql": "b", "to": [1, 2], "new": {"x": 1}}});
        let current = json!({"metadata": {"uid": "u"},
            "spec": {"sql": "a", "replicas": 2, "to": [1], "rollout": {"canary": {}}, "defaulted": 1}});
        let patch = three_way(&last, &applied, &current);
        let wanted = json!({"spec": {"sql": "b", "to": [1, 2], "new": {"x": 1}, "replicas": null, "rollout": null}});
        assert_eq!(patch, wanted);
        assert_eq!(three_way(&applied, &applied, &applied), json!({}));
        // Nothing was applied before: nothing is taken out.
        let first = three_way(&Value::Null, &applied, &current);
        assert_eq!(first["spec"].get("replicas"), None);
    }

    #[test]
    fn only_kinds_without_lists_to_merge_are_applied_here() {
        let of = |api: &str, of: &str| kind(&json!({"apiVersion": api, "kind": of}));
        let ours = of("headworks.dev/v1alpha1", "DataStream");
        assert_eq!(ours.as_deref(), Some("datastreams.headworks.dev"));
        assert_eq!(of("v1", "Secret").as_deref(), Some("secrets"));
        assert_eq!(of("apps/v1", "Deployment"), None);
        assert_eq!(of("headworks.dev/v1alpha1", "Misspelt"), None);
    }
}
