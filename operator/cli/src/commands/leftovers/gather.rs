//! What is looked at: objects, what carries our labels in Kubernetes, and what is in Kafka.

use headworks_crds::{LABEL_KIND, LABEL_NAME, LABEL_NAMESPACE, Platform};
use headworks_operator::contract::{revision, topic_name};
use headworks_operator::kafka::{Admin, Connection, Scram, Tls};
use headworks_operator::names::{MANAGED_BY, MANAGED_BY_VALUE, label_value};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::core::GroupVersionKind;
use kube::{Api, ResourceExt};

use super::failed;
use crate::cluster::{Cluster, said};
use crate::commands::doctor::{list, resources};
use crate::leftovers::{Kind, Labelled, Seen};
use crate::{End, output::note};

/// Kinds of Strimzi's that stay.
const OF_STRIMZI: [(Kind, &str, &str, [&str; 2]); 2] = [
    (
        Kind::KafkaTopic,
        "KafkaTopic",
        "kafkatopics",
        ["v1", "v1beta2"],
    ),
    (
        Kind::KafkaUser,
        "KafkaUser",
        "kafkausers",
        ["v1", "v1beta2"],
    ),
];

/// Every object of ours. All of them must be seen: what isn't would be taken for gone.
pub(super) async fn objects(
    cluster: &Cluster,
    platform: Option<&Platform>,
    seen: &mut Seen,
) -> Result<(), End> {
    let status = platform.and_then(|p| p.status.clone());
    seen.installation = status.and_then(|s| s.installation).unwrap_or_default();
    for (resource, _) in resources() {
        let objects = list(cluster, &resource, None).await.map_err(|error| {
            failed(
                &format!(
                    "listing {} of all namespaces, which is needed to know what is gone",
                    resource.plural
                ),
                &error,
            )
        })?;
        for object in objects {
            let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
            note_used(&resource.kind, &namespace, &name, &object, seen);
            let kind = resource.kind.clone();
            let labels = (kind.clone(), label_value(&namespace), label_value(&name));
            seen.labels.insert(labels);
            seen.objects.insert((kind, namespace, name));
        }
    }
    Ok(())
}

/// Topics that an object has or is to have, and the state of a Pipeline.
fn note_used(kind: &str, namespace: &str, name: &str, object: &DynamicObject, seen: &mut Seen) {
    let status = &object.data["status"];
    match kind {
        "DataStream" => {
            let given = object.data["spec"]["topic"].as_str();
            let topic = topic_name::topic_of(namespace, name, given);
            seen.used.insert(topic_name::dead_letter_topic(&topic));
            seen.used.insert(topic);
            for field in ["topic", "deadLetterTopic"] {
                seen.used.extend(status[field].as_str().map(str::to_owned));
            }
        }
        "Pipeline" if status["group"].is_string() => {
            let version = status["state"]["version"].as_str().map(str::to_owned);
            let key = (namespace.to_owned(), name.to_owned());
            seen.versions.insert(key, version);
            let topics = status["state"]["topics"].as_array().into_iter().flatten();
            seen.used
                .extend(topics.filter_map(|t| Some(t.as_str()?.to_owned())));
        }
        _ => {}
    }
}

/// What carries our labels and has no owner that Kubernetes knows. `platform`: the one whose Kafka is looked at.
pub(super) async fn labelled(cluster: &Cluster, platform: &str, seen: &mut Seen) {
    let params = ListParams::default().labels(&format!("{MANAGED_BY}={MANAGED_BY_VALUE}"));
    let maps: Api<ConfigMap> = Api::all(cluster.client.clone());
    match maps.list(&params).await {
        Ok(list) => {
            let maps = list.items.iter();
            seen.labelled.extend(maps.filter_map(|map| {
                let contract = revision::read(map);
                // Another Platform's topic isn't in this Kafka.
                let topic = contract.filter(|c| c.platform == platform).map(|c| c.topic);
                of_labels(Kind::ConfigMap, map, topic)
            }));
        }
        Err(error) => note(&format!(
            "headworks: ConfigMaps can't be listed: {}",
            said(&error)
        )),
    }
    let secrets: Api<Secret> = Api::all(cluster.client.clone());
    match secrets.list_metadata(&params).await {
        Ok(list) => {
            let secrets = list.items.iter();
            seen.labelled
                .extend(secrets.filter_map(|secret| of_labels(Kind::Secret, secret, None)));
        }
        Err(error) => note(&format!(
            "headworks: Secrets can't be listed: {}",
            said(&error)
        )),
    }
    for (kind, name, plural, versions) in OF_STRIMZI {
        for version in versions {
            let gvk = GroupVersionKind::gvk("kafka.strimzi.io", version, name);
            let resource = ApiResource::from_gvk_with_plural(&gvk, plural);
            let api: Api<DynamicObject> = Api::all_with(cluster.client.clone(), &resource);
            match api.list_metadata(&params).await {
                Ok(list) => {
                    let found = list.items.iter();
                    seen.labelled
                        .extend(found.filter_map(|one| of_labels(kind, one, None)));
                    break;
                }
                // Strimzi, or this version of its kinds, isn't there.
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                Err(error) => {
                    note(&format!(
                        "headworks: {plural} can't be listed: {}",
                        said(&error)
                    ));
                    break;
                }
            }
        }
    }
}

fn of_labels<K: ResourceExt>(kind: Kind, object: &K, topic: Option<String>) -> Option<Labelled> {
    if !object.owner_references().is_empty() {
        return None;
    }
    let label = |key: &str| object.labels().get(key).cloned();
    Some(Labelled {
        kind,
        namespace: object.namespace().unwrap_or_default(),
        name: object.name_any(),
        owner: (
            label(LABEL_KIND)?,
            label(LABEL_NAMESPACE)?,
            label(LABEL_NAME)?,
        ),
        topic,
    })
}

/// Asks Kafka, with the Platform's credentials.
pub(super) async fn in_kafka(
    cluster: &Cluster,
    platform: &Platform,
    at: &str,
    seen: &mut Seen,
) -> Result<Admin, String> {
    let kafka = &platform.spec.kafka;
    let tls = match kafka.tls.as_ref().map(|tls| tls.ca_secret.as_ref()) {
        None => None,
        Some(None) => Some(Tls { ca_pem: None }),
        Some(Some(r)) => Some(Tls {
            ca_pem: Some(secret(cluster, &r.namespace, &r.name, &r.key).await?),
        }),
    };
    let scram = kafka.authentication.as_ref();
    let scram = match scram.and_then(|a| a.scram_sha512.as_ref()) {
        None => None,
        Some(r) => Some(Scram {
            username: secret(cluster, &r.namespace, &r.name, &r.username_key).await?,
            password: secret(cluster, &r.namespace, &r.name, &r.password_key).await?,
        }),
    };
    let connection = Connection {
        bootstrap_servers: at.to_owned(),
        tls,
        scram,
    };
    let admin = Admin::new(&connection).map_err(|e| e.to_string())?;
    seen.topics = Some(admin.topic_names().await.map_err(|e| e.to_string())?);
    match admin.group_names().await {
        Ok(groups) => seen.groups = groups,
        Err(error) => note(&format!("headworks: {error}")),
    }
    match admin.user_names().await {
        Ok(users) => seen.users = users,
        Err(error) => note(&format!("headworks: {error}")),
    }
    Ok(admin)
}

async fn secret(
    cluster: &Cluster,
    namespace: &str,
    name: &str,
    key: &str,
) -> Result<String, String> {
    let api: Api<Secret> = Api::namespaced(cluster.client.clone(), namespace);
    let found = api.get(name).await;
    let found = found.map_err(|e| format!("Secret {namespace}/{name}: {}", said(&e)))?;
    let bytes = found.data.unwrap_or_default().remove(key);
    let bytes = bytes.ok_or_else(|| format!("Secret {namespace}/{name} has no key {key}"))?;
    String::from_utf8(bytes.0).map_err(|_| format!("Secret {namespace}/{name}: {key} is no text"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_kubernetes_removes_by_itself_is_no_leftover() {
        let map = |owner: bool| -> ConfigMap {
            let owners = json!([{"apiVersion": "v1", "kind": "X", "name": "x", "uid": "u"}]);
            serde_json::from_value(json!({"metadata": {"name": "m", "namespace": "shop",
                "ownerReferences": if owner { owners } else { json!([]) },
                "labels": {LABEL_KIND: "DataStream", LABEL_NAMESPACE: "shop", LABEL_NAME: "a"}}}))
            .unwrap()
        };
        assert!(of_labels(Kind::ConfigMap, &map(true), None).is_none());
        assert!(of_labels(Kind::ConfigMap, &map(false), None).is_some());
    }
}
