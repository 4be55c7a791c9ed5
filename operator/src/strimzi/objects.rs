//! Writing and deleting objects of Strimzi's kinds.
//!
//! As `apply` does for children in the owner's own namespace: nothing is written that is so already, and force is used
//! only on what carries our labels, or what a user told us to take over. These objects have no owner reference, since
//! they live with their Kafka.

use std::{sync::Arc, time::Duration};

use kube::{
    Api, ResourceExt,
    api::{
        ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, Preconditions,
    },
};
use serde_json::{Value, json};

use super::{
    MANAGED, Strimzi, Watched,
    ownership::{self, Difference},
};
use crate::{
    apply::is_subset,
    names::{APPLIED_ANNOTATION, FIELD_MANAGER, Key, digest},
    reason::ConditionReason,
    retry::Error,
};

/// What an apply did.
#[derive(Clone, Debug)]
pub struct Applied {
    /// The freshest that is known of the object.
    pub object: Arc<DynamicObject>,
    /// What somebody's hand had changed and is put back.
    pub put_back: Vec<Difference>,
}

/// The API of a kind in a namespace.
pub fn api(strimzi: &Strimzi, resource: &ApiResource, namespace: &str) -> Api<DynamicObject> {
    Api::namespaced_with(strimzi.client.clone(), namespace, resource)
}

/// The objects of a kind that carry an owner's labels, in whatever namespace, as the API server has them now.
///
/// # Errors
/// The API server's own.
pub async fn of_owner(
    strimzi: &Strimzi,
    resource: &ApiResource,
    owner: &Key,
) -> Result<Vec<DynamicObject>, Error> {
    let params = ListParams::default().labels(&owner.selector_text());
    let found = strimzi
        .scope
        .list_strimzi(&strimzi.client, resource, &params);
    found
        .await
        .map_err(|e| Error::api(&format!("listing the {}s of {owner}", resource.kind), &e))
}

/// Metadata of an object for an owner of ours: the cluster's label and the owner's.
pub fn labels(owner: &Key, cluster: &str) -> std::collections::BTreeMap<String, String> {
    let mut labels = owner.labels();
    labels.insert(super::CLUSTER_LABEL.into(), cluster.to_owned());
    labels
}

/// Makes one object so. `take_over`: the user asked to take an object over that isn't ours.
///
/// # Errors
/// Stalled `OwnedByAnother` where it is somebody else's, or where another controller holds a field that is ours; waiting
/// `ChildTerminating` while it is being deleted.
pub async fn apply(
    strimzi: &Strimzi,
    kind: &Watched,
    desired: &DynamicObject,
    owner: &Key,
    take_over: bool,
) -> Result<Applied, Error> {
    let resource = kind.resource().await?;
    let (namespace, name) = (desired.namespace().unwrap_or_default(), desired.name_any());
    let place = format!("{} {namespace}/{name}", kind.kind());
    let api = api(strimzi, &resource, &namespace);
    let body = prepared(desired, &resource);
    let live = match kind.get(&namespace, &name) {
        Some(live) => Some(live),
        None => get(&api, &place, &name).await?.map(Arc::new),
    };
    let mut put_back = Vec::new();
    if let Some(live) = &live {
        if live.metadata.deletion_timestamp.is_some() {
            return Err(terminating(&place));
        }
        let ours = ownership::is_of(live, owner);
        if ours && is_so(&body, live) {
            return Ok(Applied {
                object: live.clone(),
                put_back,
            });
        }
        // Field managers aren't kept in the store: they are asked for where they matter.
        let Some(fresh) = get(&api, &place, &name).await? else {
            return Err(Error::transient(
                ConditionReason::Conflict,
                format!("{place} was deleted at this moment"),
            ));
        };
        if !ownership::is_of(&fresh, owner) && !take_over {
            return Err(foreign(&place, &fresh, ""));
        }
        if ours && is_so(&body, &fresh) {
            return Ok(Applied {
                object: Arc::new(fresh),
                put_back,
            });
        }
        put_back = ownership::differences(&body, &fresh);
        if let Some(rival) = put_back
            .iter()
            .find(|d| d.manager.as_deref().is_some_and(|m| !ownership::by_hand(m)))
        {
            return Err(rivalry(&place, rival));
        }
        // A difference is our own change of mind, unless this very thing was applied before.
        put_back.retain(|d| d.manager.is_some() && applied_before(&body, &fresh));
    }
    let params = PatchParams {
        field_manager: Some(FIELD_MANAGER.into()),
        force: live.is_some(),
        ..PatchParams::default()
    };
    tracing::info!(object = %place, created = live.is_none(), "apply");
    match api.patch(&name, &params, &Patch::Apply(&body)).await {
        Ok(answer) => {
            strimzi.metrics.wrote(kind.kind());
            Ok(Applied {
                object: Arc::new(answer),
                put_back,
            })
        }
        Err(kube::Error::Api(status)) if status.code == 409 && live.is_none() => {
            Err(Error::transient(
                ConditionReason::Conflict,
                format!("{place}: {}", status.message),
            ))
        }
        Err(error) => Err(Error::api(&format!("applying {place}"), &error)),
    }
}

/// Marks a KafkaTopic as not the Topic Operator's: deleting it leaves the topic alone. Gives the object after that.
///
/// # Errors
/// As the API server's.
pub async fn unmanage(
    strimzi: &Strimzi,
    object: &DynamicObject,
) -> Result<Option<DynamicObject>, Error> {
    let resource = strimzi.topics.resource().await?;
    let namespace = object.namespace().unwrap_or_default();
    let name = object.name_any();
    let body = json!({"metadata": {"uid": object.uid(), "annotations": {MANAGED: "false"}}});
    let params = PatchParams {
        field_manager: Some(FIELD_MANAGER.into()),
        ..PatchParams::default()
    };
    match api(strimzi, &resource, &namespace)
        .patch(&name, &params, &Patch::Merge(&body))
        .await
    {
        Ok(answer) => {
            strimzi.metrics.wrote("KafkaTopic");
            Ok(Some(answer))
        }
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        Err(error) => Err(Error::api(
            &format!("annotating KafkaTopic {namespace}/{name}"),
            &error,
        )),
    }
}

/// Deletes an object, exactly the one that was seen. It may stay for a while: Strimzi's operators have finalizers.
///
/// # Errors
/// As the API server's; an object that is gone, or replaced, is none.
pub async fn delete(
    strimzi: &Strimzi,
    kind: &Watched,
    object: &DynamicObject,
) -> Result<(), Error> {
    if object.metadata.deletion_timestamp.is_some() {
        return Ok(());
    }
    let resource = kind.resource().await?;
    let namespace = object.namespace().unwrap_or_default();
    let name = object.name_any();
    let params = DeleteParams {
        preconditions: Some(Preconditions {
            uid: object.uid(),
            ..Preconditions::default()
        }),
        ..DeleteParams::default()
    };
    tracing::info!(kind = kind.kind(), namespace, name, "delete");
    match api(strimzi, &resource, &namespace)
        .delete(&name, &params)
        .await
    {
        Ok(_) => {
            strimzi.metrics.wrote(kind.kind());
            Ok(())
        }
        Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => Ok(()),
        Err(error) => Err(Error::api(
            &format!("deleting {} {namespace}/{name}", kind.kind()),
            &error,
        )),
    }
}

/// The object as the API server has it now, with field managers.
///
/// # Errors
/// As the API server's; an object that isn't there is none.
pub async fn get(
    api: &Api<DynamicObject>,
    place: &str,
    name: &str,
) -> Result<Option<DynamicObject>, Error> {
    api.get_opt(name)
        .await
        .map_err(|e| Error::api(&format!("reading {place}"), &e))
}

/// The object isn't ours; `remedy` is what else the user can do.
pub fn foreign(place: &str, live: &DynamicObject, remedy: &str) -> Error {
    let who = match (ownership::owner(live), ownership::controller(live)) {
        (Some(owner), _) => format!("belongs to {owner}"),
        (None, Some(controller)) => format!("belongs to {controller}"),
        (None, None) => format!("was made by {}", ownership::managers_of_spec(live)),
    };
    Error::stalled(
        ConditionReason::OwnedByAnother,
        format!("{place} exists and {who}; Headworks doesn't take it over: {remedy}delete or rename it, or rename this object"),
    )
    .after(Duration::from_secs(60))
}

fn rivalry(place: &str, rival: &Difference) -> Error {
    Error::stalled(
        ConditionReason::OwnedByAnother,
        format!(
            "{place}: {} is {} and should be {}, but field manager {} sets it; Headworks doesn't fight over it: take the field out of what {} applies, or set it in the DataStream",
            rival.path,
            rival.there,
            rival.wanted,
            rival.manager.as_deref().unwrap_or_default(),
            rival.manager.as_deref().unwrap_or_default(),
        ),
    )
    .after(Duration::from_secs(60))
}

/// Applying onto a terminating object waits.
fn terminating(place: &str) -> Error {
    Error::waiting(
        ConditionReason::ChildTerminating,
        format!("{place} is being deleted; it is made again when it is gone. If it stays: Strimzi's operator takes its finalizer away, so look whether it runs"),
    )
    .after(Duration::from_secs(5))
}

/// The object as it is sent, with the digest of itself, so that a field that is no longer wanted is noticed.
fn prepared(desired: &DynamicObject, resource: &ApiResource) -> Value {
    let mut body = json!({
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {
            "name": desired.metadata.name, "namespace": desired.metadata.namespace, "labels": desired.metadata.labels,
        },
        "spec": desired.data["spec"],
    });
    let hash = digest(format!("{} {}", body["metadata"]["labels"], body["spec"]).as_bytes());
    body["metadata"]["annotations"] = json!({APPLIED_ANNOTATION: hash[..16]});
    body
}

fn applied_before(body: &Value, live: &DynamicObject) -> bool {
    body["metadata"]["annotations"][APPLIED_ANNOTATION].as_str()
        == live
            .annotations()
            .get(APPLIED_ANNOTATION)
            .map(String::as_str)
}

fn is_so(body: &Value, live: &DynamicObject) -> bool {
    applied_before(body, live)
        && is_subset(&body["spec"], &live.data["spec"])
        && is_subset(&body["metadata"]["labels"], &json!(live.metadata.labels))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strimzi::{KAFKA_TOPIC, KAFKA_USER, topics, users};

    /// What is sent to the API server, to the byte: another body, also one that means the same, would be written over every object of
    /// every installation.
    #[test]
    fn what_is_sent_is_this_to_the_byte() {
        let topic = topics::KafkaTopic {
            name: "shop.orders".into(),
            namespace: "kafka".into(),
            cluster: "events".into(),
            topic: "shop.orders".into(),
            partitions: Some(6),
            replicas: Some(3),
            config: [("retention.ms".to_owned(), "604800000".to_owned())].into(),
        };
        let resource = KAFKA_TOPIC.resource("v1");
        let owner = Key::new("DataStream", "shop", "orders");
        let built = topics::build(&topic, &owner, &resource, None);
        assert_eq!(
            prepared(&built, &resource),
            json!({
                "apiVersion": "kafka.strimzi.io/v1",
                "kind": "KafkaTopic",
                "metadata": {
                    "name": "shop.orders",
                    "namespace": "kafka",
                    "labels": {"app.kubernetes.io/component": "datastream", "app.kubernetes.io/instance": "orders", "app.kubernetes.io/managed-by": "headworks", "headworks.dev/kind": "DataStream", "headworks.dev/name": "orders", "headworks.dev/namespace": "shop", "strimzi.io/cluster": "events"},
                    "annotations": {APPLIED_ANNOTATION: "867775541b53bfed"},
                },
                "spec": {"topicName": "shop.orders", "config": {"retention.ms": "604800000"}, "partitions": 6, "replicas": 3},
            })
        );

        let user = users::User {
            name: "headworks.prod.grant.shop.report-a".into(),
            namespace: "kafka".into(),
            cluster: "events".into(),
            password_secret: "headworks.prod.grant.shop.report-a.password".into(),
            password_key: "password".into(),
            acls: vec![users::Acl {
                resource: users::ResourceType::Topic,
                name: "shop.orders".into(),
                prefix: false,
                operations: vec!["Read", "Describe"],
            }],
            quotas: users::Quotas {
                consumer_byte_rate: Some(1_048_576),
                ..users::Quotas::default()
            },
        };
        let resource = KAFKA_USER.resource("v1");
        let owner = Key::new("AccessGrant", "shop", "report");
        let built = users::build(&user, &owner, &resource);
        assert_eq!(
            prepared(&built, &resource),
            json!({
                "apiVersion": "kafka.strimzi.io/v1",
                "kind": "KafkaUser",
                "metadata": {
                    "name": "headworks.prod.grant.shop.report-a",
                    "namespace": "kafka",
                    "labels": {"app.kubernetes.io/component": "accessgrant", "app.kubernetes.io/instance": "report", "app.kubernetes.io/managed-by": "headworks", "headworks.dev/kind": "AccessGrant", "headworks.dev/name": "report", "headworks.dev/namespace": "shop", "strimzi.io/cluster": "events"},
                    "annotations": {APPLIED_ANNOTATION: "5223c798f741ade1"},
                },
                "spec": {"authentication": {"type": "scram-sha-512", "password": {"valueFrom": {"secretKeyRef": {"name": "headworks.prod.grant.shop.report-a.password", "key": "password"}}}}, "authorization": {"type": "simple", "acls": [{"type": "allow", "resource": {"type": "topic", "name": "shop.orders", "patternType": "literal"}, "operations": ["Describe", "Read"], "host": "*"}]}, "quotas": {"consumerByteRate": 1_048_576}},
            })
        );
    }
}
