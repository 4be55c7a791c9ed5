//! Letting go of KafkaTopics so that their topics stay, and deleting them so that they don't.
//!
//! A KafkaTopic's deletion deletes its topic, unless the Topic Operator knows by then that the topic isn't its own
//! (`strimzi.io/managed: "false"`). With the Topic Operator's finalizer on the object it can't miss the annotation: it
//! sees the object, annotated and being deleted, also if it was away meanwhile. Without the finalizer it only hears that
//! the object is gone, and acts by what it saw last; so its word (`Unmanaged=True`) is waited for, for a while: one that
//! says nothing isn't running, and one that starts later finds nothing.

use std::{sync::Arc, time::Duration};

use kube::{ResourceExt, api::DynamicObject};

use super::{MANAGED, State, Strimzi, TOPIC_FINALIZER, objects, observed, ownership};
use crate::{names::Key, retry::Error};

/// How long the Topic Operator's word is waited for.
const TOPIC_OPERATOR_TIMEOUT: Duration = Duration::from_secs(5);
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// The KafkaTopics of an owner in whatever namespace, as the API server has them now: those that we wrote. One that somebody copied, labels
/// and all, stands for a topic of theirs.
///
/// # Errors
/// Waiting `StrimziNotInstalled`, or the API server's own.
pub async fn of_owner(strimzi: &Strimzi, owner: &Key) -> Result<Vec<DynamicObject>, Error> {
    let resource = strimzi.topics.resource().await?;
    let mut all = objects::of_owner(strimzi, &resource, owner).await?;
    all.retain(|object| {
        let ours = ownership::written_by_us(object);
        if !ours {
            let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
            tracing::warn!(%owner, namespace, name, "a KafkaTopic has our labels and was written by somebody else; it is left alone");
        }
        ours
    });
    Ok(all)
}

/// True if the cluster has no KafkaTopics at all, so that there is nothing to let go of.
pub async fn nothing_there(strimzi: &Strimzi) -> bool {
    strimzi.topics.looked().await == State::Absent
}

/// Deletes a KafkaTopic of ours so that its topic stays. It may be there for a while yet, if the Topic Operator is away. One that we
/// didn't write, whatever its labels say, is left alone.
///
/// # Errors
/// The API server's.
pub async fn release(strimzi: &Strimzi, object: &DynamicObject) -> Result<(), Error> {
    let known = object.metadata.managed_fields.is_some();
    let asked = if known {
        None
    } else {
        again(strimzi, object).await?
    };
    if !known && asked.is_none() {
        return Ok(());
    }
    let object = asked.as_ref().unwrap_or(object);
    if !ownership::written_by_us(object) {
        let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
        tracing::warn!(
            namespace,
            name,
            "a KafkaTopic has our labels and was written by somebody else; it is left alone"
        );
        return Ok(());
    }
    let annotated = object.annotations().get(MANAGED).map(String::as_str) == Some("false");
    let fresh = if annotated {
        object.clone()
    } else {
        match objects::unmanage(strimzi, object).await? {
            Some(fresh) => fresh,
            None => return Ok(()),
        }
    };
    if !certain(&fresh) {
        heard(strimzi, &fresh).await?;
    }
    objects::delete(strimzi, &strimzi.topics, &fresh).await
}

/// The object as the API server has it now, with field managers, which no store keeps. One that was replaced is gone.
async fn again(strimzi: &Strimzi, object: &DynamicObject) -> Result<Option<DynamicObject>, Error> {
    let resource = strimzi.topics.resource().await?;
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    let api = objects::api(strimzi, &resource, &namespace);
    let found = objects::get(&api, &format!("KafkaTopic {namespace}/{name}"), &name).await?;
    Ok(found.filter(|found| found.metadata.uid == object.metadata.uid))
}

/// True if deleting the object can't reach the topic any more.
fn certain(object: &DynamicObject) -> bool {
    object.finalizers().iter().any(|f| f == TOPIC_FINALIZER) || observed::let_go(object)
}

/// Waits for the Topic Operator's word, but not for ever.
async fn heard(strimzi: &Strimzi, object: &DynamicObject) -> Result<(), Error> {
    let resource = strimzi.topics.resource().await?;
    let namespace = object.namespace().unwrap_or_default();
    let api = objects::api(strimzi, &resource, &namespace);
    let place = format!("KafkaTopic {namespace}/{}", object.name_any());
    let until = tokio::time::Instant::now() + TOPIC_OPERATOR_TIMEOUT;
    while tokio::time::Instant::now() < until {
        match objects::get(&api, &place, &object.name_any()).await? {
            Some(now) if !certain(&now) => tokio::time::sleep(POLL_INTERVAL).await,
            _ => return Ok(()),
        }
    }
    tracing::warn!(object = %place, "the Topic Operator says nothing: it isn't running");
    Ok(())
}

/// Those of an owner's KafkaTopics, as last seen, that aren't the one at this place.
pub fn strays(
    strimzi: &Strimzi,
    owner: &Key,
    namespace: &str,
    name: &str,
) -> Vec<Arc<DynamicObject>> {
    strimzi.topics.filter(|object| {
        super::ownership::is_of(object, owner)
            && object.metadata.deletion_timestamp.is_none()
            && (object.metadata.namespace.as_deref() != Some(namespace)
                || object.metadata.name.as_deref() != Some(name))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_deletion_is_certain_with_the_finalizer_or_the_operator_s_word() {
        let object = |finalizers: serde_json::Value,
                      conditions: serde_json::Value|
         -> DynamicObject {
            serde_json::from_value(json!({
                "apiVersion": "kafka.strimzi.io/v1", "kind": "KafkaTopic",
                "metadata": {"name": "a", "finalizers": finalizers}, "status": {"conditions": conditions},
            }))
            .unwrap()
        };
        assert!(certain(&object(json!([TOPIC_FINALIZER]), json!([]))));
        assert!(certain(&object(
            json!([]),
            json!([{"type": "Unmanaged", "status": "True"}])
        )));
        assert!(!certain(&object(
            json!(["other"]),
            json!([{"type": "Ready", "status": "True"}])
        )));
    }
}
