//! What Strimzi's operators say of an object, read purely.
//!
//! The two operators speak differently: a failed KafkaTopic has `Ready=False`, a failed KafkaUser `NotReady=True`, and a
//! KafkaTopic that is paused or unmanaged has no Ready at all, but `ReconciliationPaused=True` or `Unmanaged=True`
//! (Strimzi 1.2.0, `BatchingTopicController`, `StatusUtils`).

use kube::api::DynamicObject;
use serde_json::Value;

use super::{MANAGED, PAUSED};
use crate::reason::{AnyReason, ConditionReason};

/// How an object of Strimzi's is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observed {
    /// Its operator did what this generation of the spec says.
    Ready,
    /// Its operator tried and failed; the words are Strimzi's own.
    Failed {
        /// CamelCase, such as `KafkaError`.
        reason: AnyReason,
        /// What happened.
        message: String,
    },
    /// The annotation `strimzi.io/pause-reconciliation: "true"`: nobody acts.
    Paused,
    /// The annotation `strimzi.io/managed: "false"`: the topic isn't the Topic Operator's.
    Unmanaged,
    /// Its operator hasn't seen this generation of the spec.
    Pending,
    /// It is being deleted.
    Terminating,
}

/// How the object is. Annotations count before conditions: an operator that is away can't have noticed them yet.
pub fn observed(object: &DynamicObject) -> Observed {
    if object.metadata.deletion_timestamp.is_some() {
        return Observed::Terminating;
    }
    if annotated(object, MANAGED, "false") {
        return Observed::Unmanaged;
    }
    if annotated(object, PAUSED, "true") {
        return Observed::Paused;
    }
    let status = &object.data["status"];
    if status["observedGeneration"].as_i64() < object.metadata.generation {
        return Observed::Pending;
    }
    let conditions = status["conditions"].as_array();
    let find = |type_: &str, value: &str| {
        conditions
            .into_iter()
            .flatten()
            .find(|c| c["type"] == type_ && c["status"] == value)
    };
    if let Some(failed) = find("Ready", "False").or_else(|| find("NotReady", "True")) {
        return Observed::Failed {
            reason: AnyReason::read_or(
                failed["reason"].as_str().unwrap_or_default(),
                ConditionReason::StrimziError,
            ),
            message: failed["message"].as_str().unwrap_or("no message").into(),
        };
    }
    if find("Ready", "True").is_some() {
        return Observed::Ready;
    }
    Observed::Pending
}

/// True once the Topic Operator has said that it leaves the topic alone.
pub fn let_go(object: &DynamicObject) -> bool {
    conditions(object).any(|c| c["type"] == "Unmanaged" && c["status"] == "True")
}

/// Messages of Strimzi's `Warning` conditions.
pub fn warnings(object: &DynamicObject) -> Vec<String> {
    conditions(object)
        .filter(|c| c["type"] == "Warning" && c["status"] == "True")
        .filter_map(|c| c["message"].as_str().map(str::to_owned))
        .collect()
}

/// What of a status means something: not the times of its conditions.
pub fn seen(object: &DynamicObject) -> Vec<String> {
    let status = &object.data["status"];
    let mut seen: Vec<String> = conditions(object)
        .map(|c| {
            format!(
                "{} {} {} {}",
                c["type"], c["status"], c["reason"], c["message"]
            )
        })
        .collect();
    seen.push(status["observedGeneration"].to_string());
    seen.push(status["topicId"].to_string());
    seen
}

/// The topic of a KafkaTopic: `spec.topicName`, else the object's name.
pub fn topic_name(object: &DynamicObject) -> &str {
    object.data["spec"]["topicName"]
        .as_str()
        .or(object.metadata.name.as_deref())
        .unwrap_or_default()
}

fn conditions(object: &DynamicObject) -> impl Iterator<Item = &Value> {
    object.data["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten()
}

fn annotated(object: &DynamicObject, key: &str, value: &str) -> bool {
    object
        .metadata
        .annotations
        .as_ref()
        .and_then(|a| a.get(key))
        .is_some_and(|v| v == value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(annotations: &Value, status: &Value) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "kafka.strimzi.io/v1", "kind": "KafkaTopic",
            "metadata": {"name": "a", "namespace": "kafka", "generation": 2, "annotations": annotations},
            "spec": {}, "status": status,
        }))
        .unwrap()
    }

    fn condition(type_: &str, status: &str) -> Value {
        json!({"observedGeneration": 2, "conditions": [{"type": type_, "status": status, "reason": "Kafka Error!", "message": "m"}]})
    }

    #[test]
    fn each_operator_s_way_to_say_it_is_understood() {
        let failed = Observed::Failed {
            reason: AnyReason::read("KafkaError"),
            message: "m".into(),
        };
        for (status, wanted) in [
            (condition("Ready", "True"), Observed::Ready),
            (condition("Ready", "False"), failed.clone()),
            (condition("NotReady", "True"), failed),
            (json!(null), Observed::Pending),
            (
                json!({"observedGeneration": 2, "conditions": []}),
                Observed::Pending,
            ),
            // Ready, but of an older spec.
            (
                json!({"observedGeneration": 1, "conditions": [{"type": "Ready", "status": "True"}]}),
                Observed::Pending,
            ),
        ] {
            assert_eq!(observed(&object(&json!({}), &status)), wanted, "{status}");
        }
    }

    #[test]
    fn a_paused_or_unmanaged_topic_is_said_before_its_operator_notices() {
        let ready = condition("Ready", "True");
        assert_eq!(
            observed(&object(&json!({PAUSED: "true"}), &ready)),
            Observed::Paused
        );
        assert_eq!(
            observed(&object(&json!({MANAGED: "false"}), &ready)),
            Observed::Unmanaged
        );
        assert_eq!(
            observed(&object(&json!({MANAGED: "true", PAUSED: "false"}), &ready)),
            Observed::Ready
        );
        assert!(!let_go(&object(&json!({MANAGED: "false"}), &ready)));
        assert!(let_go(&object(&json!({}), &condition("Unmanaged", "True"))));
    }

    #[test]
    fn what_means_something_does_not_move_with_time() {
        let at = |time: &str| {
            object(
                &json!({}),
                &json!({"observedGeneration": 2, "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": time}]}),
            )
        };
        assert_eq!(
            seen(&at("2026-01-01T00:00:00Z")),
            seen(&at("2026-01-01T00:02:00Z"))
        );
        assert_ne!(
            seen(&at("x")),
            seen(&object(&json!({}), &condition("Ready", "False")))
        );
    }
}
