//! Writing children: server-side apply of what is desired, and removal of what no longer is.
//!
//! Nothing is written that is already so. A child that exists but isn't ours is never taken over: the
//! answer is the condition `OwnedByAnother`, which names who owns it. Conflicts are forced only on a
//! child whose owner reference carries our object's UID.

mod subset;

use std::time::Duration;

pub use subset::{is_subset, quantity};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, Preconditions, PropagationPolicy},
    core::NamespaceResourceScope,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    names::{APPLIED_ANNOTATION, FIELD_MANAGER, Key, digest},
    reason::ConditionReason,
    retry::Error,
};

/// Metadata of a child in its owner's namespace.
pub fn child_meta(name: impl Into<String>, owner: &Key, reference: OwnerReference) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.into()),
        namespace: Some(owner.namespace.clone()),
        labels: Some(owner.labels()),
        owner_references: Some(vec![reference]),
        ..ObjectMeta::default()
    }
}

/// Makes one child so. Gives the child as the API server answered if something was written, nothing if it was
/// so already. `live` is the cached child; where the cache has none, the API server is asked
/// once, because a foreign object doesn't carry our label and is in no cache of ours.
pub async fn apply<K>(
    client: &Client,
    desired: &K,
    live: Option<&K>,
    owner_uid: &str,
) -> Result<Option<K>, Error>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Serialize
        + DeserializeOwned
        + Clone
        + std::fmt::Debug,
{
    let namespace = desired.namespace().unwrap_or_default();
    let name = desired.name_any();
    let place = format!("{} {namespace}/{name}", K::kind(&()));
    let api: Api<K> = Api::namespaced(client.clone(), &namespace);
    let fetched = if live.is_none() {
        let found = api.get_opt(&name).await;
        found.map_err(|e| Error::api(&format!("reading {place}"), &e))?
    } else {
        None
    };
    let live = live.or(fetched.as_ref());
    let body = prepared(desired)?;
    let ours = match live {
        None => false,
        Some(live) => {
            if live.meta().deletion_timestamp.is_some() {
                return Err(Error::waiting(
                    ConditionReason::ChildTerminating,
                    format!("{place} is being deleted; it is made again when it is gone"),
                )
                .after(Duration::from_secs(5)));
            }
            if !controlled_by(live, owner_uid) {
                return Err(not_ours(&place, live, desired));
            }
            let value = serde_json::to_value(live).map_err(|e| unserialisable(&place, &e))?;
            if live
                .annotations()
                .get(APPLIED_ANNOTATION)
                .map(String::as_str)
                == applied_hash(&body)
                && is_subset(&body, &value)
            {
                return Ok(None);
            }
            true
        }
    };
    let params = PatchParams {
        field_manager: Some(FIELD_MANAGER.into()),
        force: ours,
        ..PatchParams::default()
    };
    tracing::info!(child = %place, created = !ours, "apply");
    match api.patch(&name, &params, &Patch::Apply(&body)).await {
        Ok(answer) => Ok(Some(answer)),
        Err(kube::Error::Api(status)) if status.code == 409 && !ours => Err(Error::stalled(
            ConditionReason::OwnedByAnother,
            format!("{place}: {}; rename one of the two", status.message),
        )),
        Err(error) => Err(Error::api(&format!("applying {place}"), &error)),
    }
}

/// True: the object's controller is the one of this UID. An owner that doesn't control it has no say.
fn controlled_by<K: Resource>(live: &K, uid: &str) -> bool {
    let mut owners = live.meta().owner_references.iter().flatten();
    owners.any(|r| r.controller == Some(true) && r.uid == uid)
}

/// The object as it is sent: with type and with the digest of itself.
/// True: the live child was last applied from just this, so no field of an earlier one is left in it.
pub fn is_last_applied<K: Resource<DynamicType = ()> + Serialize>(desired: &K, live: &K) -> bool {
    prepared(desired).is_ok_and(|body| {
        live.meta()
            .annotations
            .as_ref()
            .and_then(|all| all.get(APPLIED_ANNOTATION))
            .map(String::as_str)
            == applied_hash(&body)
    })
}

fn prepared<K: Resource<DynamicType = ()> + Serialize>(desired: &K) -> Result<Value, Error> {
    let mut body =
        serde_json::to_value(desired).map_err(|e| unserialisable(&desired.name_any(), &e))?;
    let hash = digest(body.to_string().as_bytes());
    body["apiVersion"] = K::api_version(&()).into();
    body["kind"] = K::kind(&()).into();
    body["metadata"]["annotations"][APPLIED_ANNOTATION] = hash[..16].into();
    Ok(body)
}

fn applied_hash(body: &Value) -> Option<&str> {
    body["metadata"]["annotations"][APPLIED_ANNOTATION].as_str()
}

fn unserialisable(place: &str, error: &serde_json::Error) -> Error {
    Error::transient(
        ConditionReason::Internal,
        format!("{place} can't be written as JSON: {error}"),
    )
}

/// A child of an earlier object of the same name is on its way out (garbage collection); any other is foreign.
fn not_ours<K: Resource>(place: &str, live: &K, desired: &K) -> Error {
    let earlier_self = live.meta().owner_references.iter().flatten().any(|live| {
        desired
            .meta()
            .owner_references
            .iter()
            .flatten()
            .any(|ours| ours.kind == live.kind && ours.name == live.name)
    });
    if earlier_self {
        return Error::waiting(
            ConditionReason::ChildTerminating,
            format!(
                "{place} belongs to a deleted object of this name; it is made again when it is gone"
            ),
        )
        .after(Duration::from_secs(5));
    }
    owned_by_another(place, live)
}

fn owned_by_another<K: Resource>(place: &str, live: &K) -> Error {
    let owner = live
        .meta()
        .owner_references
        .iter()
        .flatten()
        .next()
        .map(|r| format!("{} {}", r.kind, r.name));
    let manager = live
        .meta()
        .managed_fields
        .iter()
        .flatten()
        .find_map(|entry| entry.manager.clone());
    let who = match (owner, manager) {
        (Some(owner), Some(manager)) => format!("belongs to {owner} (field manager {manager})"),
        (Some(owner), None) => format!("belongs to {owner}"),
        (None, Some(manager)) => format!("was made by field manager {manager}"),
        (None, None) => "belongs to someone else".into(),
    };
    Error::stalled(
        ConditionReason::OwnedByAnother,
        format!("{place} exists and {who}; Headworks doesn't take it over: delete or rename it, or rename this object"),
    )
    .after(Duration::from_secs(60))
}

/// Deletes a child that is no longer wanted, exactly the one that was seen (UID precondition).
pub async fn remove<K>(client: &Client, child: &K) -> Result<(), Error>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + DeserializeOwned
        + Clone
        + std::fmt::Debug,
{
    let namespace = child.namespace().unwrap_or_default();
    let name = child.name_any();
    let api: Api<K> = Api::namespaced(client.clone(), &namespace);
    let params = DeleteParams {
        preconditions: Some(Preconditions {
            uid: child.uid(),
            ..Preconditions::default()
        }),
        propagation_policy: Some(PropagationPolicy::Background),
        ..DeleteParams::default()
    };
    tracing::info!(kind = %K::kind(&()), namespace, name, "remove");
    match api.delete(&name, &params).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => Ok(()),
        Err(error) => Err(Error::api(
            &format!("deleting {} {namespace}/{name}", K::kind(&())),
            &error,
        )),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use serde_json::json;

    use super::*;

    fn config_map(value: &str) -> ConfigMap {
        serde_json::from_value(
            json!({"metadata": {"name": "a", "namespace": "shop"}, "data": {"k": value}}),
        )
        .unwrap()
    }

    #[test]
    fn what_is_sent_carries_its_type_and_a_digest_that_follows_its_content() {
        let one = prepared(&config_map("1")).unwrap();
        assert_eq!(one["kind"], "ConfigMap");
        assert_eq!(
            applied_hash(&one),
            applied_hash(&prepared(&config_map("1")).unwrap())
        );
        assert_ne!(
            applied_hash(&one),
            applied_hash(&prepared(&config_map("2")).unwrap())
        );
    }

    #[test]
    fn a_child_is_forced_only_by_its_controller() {
        let by = |uid: &str, controller: bool| -> ConfigMap {
            let reference = json!({"apiVersion": "headworks.dev/v1alpha1", "kind": "Pipeline", "name": "p", "uid": uid, "controller": controller});
            serde_json::from_value(
                json!({"metadata": {"name": "a", "ownerReferences": [reference]}}),
            )
            .unwrap()
        };
        assert!(controlled_by(&by("1", true), "1"));
        assert!(!controlled_by(&by("1", false), "1"));
        assert!(!controlled_by(&by("2", true), "1"));
        assert!(!controlled_by(&config_map("1"), "1"));
    }

    #[test]
    fn a_foreign_child_is_named_with_its_field_manager() {
        let mut live = config_map("1");
        live.metadata.managed_fields =
            Some(serde_json::from_value(json!([{"manager": "helm"}])).unwrap());
        let error = owned_by_another("ConfigMap shop/a", &live);
        assert_eq!(error.reason(), "OwnedByAnother");
        assert!(error.message().contains("helm"), "{error}");
    }
}
