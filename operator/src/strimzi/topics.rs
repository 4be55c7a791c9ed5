//! KafkaTopics: what one is built from, purely.

use std::collections::BTreeMap;

use kube::api::{ApiResource, DynamicObject};
use serde_json::{Map, Value, json};

use super::{objects::labels, observed};
use crate::names::{Key, digest};

/// A KafkaTopic as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaTopic {
    /// Name of the object.
    pub name: String,
    /// The Kafka's namespace.
    pub namespace: String,
    /// Name of the Strimzi Kafka object.
    pub cluster: String,
    /// Name of the topic.
    pub topic: String,
    /// Partitions; absent: the brokers' default.
    pub partitions: Option<i32>,
    /// Replicas; absent: the brokers' default.
    pub replicas: Option<i32>,
    /// Every setting that the topic has of its own: the Topic Operator takes back what isn't listed.
    pub config: BTreeMap<String, String>,
}

/// The KafkaTopic. Where `live` lists a setting in another form with the same meaning (a number for its text), its form stays.
pub fn build(
    wanted: &KafkaTopic,
    owner: &Key,
    resource: &ApiResource,
    live: Option<&DynamicObject>,
) -> DynamicObject {
    let config: Map<String, Value> = wanted
        .config
        .iter()
        .map(|(key, value)| {
            let there = live
                .map(|l| &l.data["spec"]["config"][key.as_str()])
                .filter(|there| text(there).as_deref() == Some(value));
            (
                key.clone(),
                there.cloned().unwrap_or_else(|| value.clone().into()),
            )
        })
        .collect();
    let mut spec = json!({"topicName": wanted.topic, "config": config});
    if let Some(partitions) = wanted.partitions {
        spec["partitions"] = partitions.into();
    }
    if let Some(replicas) = wanted.replicas {
        spec["replicas"] = replicas.into();
    }
    let mut object = DynamicObject::new(&wanted.name, resource).within(&wanted.namespace);
    object.metadata.labels = Some(labels(owner, &wanted.cluster));
    object.data = json!({"spec": spec});
    object
}

/// The object's name for a topic: the topic's own where that is a valid object name, as Strimzi recommends; else what is
/// left of it, and a digest.
pub fn object_name(topic: &str) -> String {
    let mut labels: Vec<String> = topic
        .to_ascii_lowercase()
        .replace('_', "-")
        .split('.')
        .map(|label| label.trim_matches('-').to_owned())
        .collect();
    labels.retain(|label| !label.is_empty());
    let mut name = labels.join(".");
    if name == topic && name.len() <= 253 {
        return name;
    }
    name.truncate(200);
    let digest = &digest(topic.as_bytes())[..10];
    match name.trim_end_matches(['.', '-']) {
        "" => format!("topic-{digest}"),
        name => format!("{name}-{digest}"),
    }
}

/// What a KafkaTopic lists as the topic's settings, as text.
pub fn listed(object: &DynamicObject) -> BTreeMap<String, String> {
    object.data["spec"]["config"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.clone(), text(value)?)))
        .collect()
}

/// A number of a KafkaTopic's spec: `partitions` or `replicas`.
pub fn number(object: &DynamicObject, field: &str) -> Option<i32> {
    object.data["spec"][field]
        .as_i64()
        .and_then(|n| i32::try_from(n).ok())
}

/// True if the KafkaTopic is for this topic of this cluster.
pub fn is_for(object: &DynamicObject, cluster: &str, namespace: &str, topic: &str) -> bool {
    object.metadata.namespace.as_deref() == Some(namespace)
        && observed::topic_name(object) == topic
        && object
            .metadata
            .labels
            .as_ref()
            .and_then(|l| l.get(super::CLUSTER_LABEL))
            .is_some_and(|c| c == cluster)
}

/// A setting's value as Kafka sees it (Strimzi's `configValueAsString`): lists are joined by commas.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::Array(parts) => Some(parts.iter().filter_map(text).collect::<Vec<_>>().join(",")),
        Value::Null | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strimzi::KAFKA_TOPIC;

    fn wanted() -> KafkaTopic {
        KafkaTopic {
            name: object_name("shop.Orders_v1"),
            namespace: "kafka".into(),
            cluster: "events".into(),
            topic: "shop.Orders_v1".into(),
            partitions: Some(6),
            replicas: None,
            config: BTreeMap::from([
                ("cleanup.policy".into(), "delete".into()),
                ("retention.ms".into(), "604800000".into()),
            ]),
        }
    }

    #[test]
    fn a_kafka_topic_lists_everything() {
        let built = build(
            &wanted(),
            &Key::new("DataStream", "shop", "orders"),
            &KAFKA_TOPIC.resource("v1"),
            None,
        );
        let name = object_name("shop.Orders_v1");
        assert!(name.starts_with("shop.orders-v1-"), "{name}");
        assert_eq!(
            serde_json::to_value(built).unwrap(),
            json!({
                "apiVersion": "kafka.strimzi.io/v1",
                "kind": "KafkaTopic",
                "metadata": {
                    "name": name,
                    "namespace": "kafka",
                    "labels": {
                        "app.kubernetes.io/component": "datastream",
                        "app.kubernetes.io/instance": "orders",
                        "app.kubernetes.io/managed-by": "headworks",
                        "headworks.dev/kind": "DataStream",
                        "headworks.dev/name": "orders",
                        "headworks.dev/namespace": "shop",
                        "strimzi.io/cluster": "events",
                    },
                },
                "spec": {
                    "topicName": "shop.Orders_v1",
                    "partitions": 6,
                    "config": {"cleanup.policy": "delete", "retention.ms": "604800000"},
                },
            })
        );
    }

    #[test]
    fn a_setting_keeps_the_form_in_which_it_is_listed() {
        let version = KAFKA_TOPIC.resource("v1beta2");
        let mut live = DynamicObject::new("a", &version);
        live.data = json!({"spec": {"partitions": 6, "config": {"retention.ms": 604_800_000, "cleanup.policy": ["compact"], "x": {}}}});
        let built = build(
            &wanted(),
            &Key::new("DataStream", "shop", "orders"),
            &version,
            Some(&live),
        );
        assert_eq!(built.data["spec"]["config"]["retention.ms"], 604_800_000);
        assert_eq!(built.data["spec"]["config"]["cleanup.policy"], "delete");
        assert_eq!(listed(&live)["retention.ms"], "604800000");
        assert_eq!(listed(&live).len(), 2);
        assert_eq!(number(&live, "partitions"), Some(6));
    }

    #[test]
    fn a_topic_s_name_is_its_object_s_where_it_can_be() {
        assert_eq!(object_name("shop.orders-2"), "shop.orders-2");
        let (one, two) = (object_name("shop.orders_a"), object_name("shop.Orders-a"));
        assert!(
            one.starts_with("shop.orders-a-") && two.starts_with("shop.orders-a-") && one != two
        );
        assert!(object_name("_-.").starts_with("topic-"));
        let long = object_name(&"a".repeat(249));
        assert_eq!(long.len(), 249);
        assert!(object_name(&"A".repeat(249)).len() <= 253);
    }
}
