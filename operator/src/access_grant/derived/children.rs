//! Writing derived streams and their Pipelines, and taking them away with the last grant that wants them.

use std::{collections::BTreeSet, time::Duration};

use headworks_crds::AccessGrant;
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::OwnerReference, jiff::Timestamp};
use kube::{
    Api, Resource, ResourceExt,
    api::{Patch, PatchParams},
    core::NamespaceResourceScope,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{CONTENT_ANNOTATION, DERIVED_PART, Derived, name};
use crate::{
    access_grant::{dereference, rotation},
    apply::{self, is_subset},
    context::Context,
    names::{FIELD_MANAGER, MANAGED_BY, MANAGED_BY_VALUE, PART_LABEL},
    retry::Error,
};

/// All grants of the namespace that want this derived stream, by name.
pub fn owners(context: &Context, namespace: &str, derived: &str) -> Vec<OwnerReference> {
    let now = Timestamp::now();
    let mut all: Vec<(String, OwnerReference)> = context
        .stores
        .grants
        .state()
        .iter()
        .filter_map(|guarded| guarded.0.as_ref().ok())
        .filter(|grant| grant.namespace().as_deref() == Some(namespace))
        .filter(|grant| wants(grant, derived, now) && dereference::accepted(grant, context).is_ok())
        .filter_map(|grant| Some((grant.name_any(), grant.owner_ref(&())?)))
        .collect();
    all.sort_by(|(one, _), (other, _)| one.cmp(other));
    all.into_iter().map(|(_, reference)| reference).collect()
}

/// A grant that is over, or going, wants nothing any more; whatever else is wrong with its spec.
fn wants(grant: &AccessGrant, derived: &str, now: Timestamp) -> bool {
    let last = grant.status.as_ref().and_then(|s| s.expires.as_deref());
    let (end, _) = rotation::end(&grant.spec, last);
    end.is_none_or(|end| now < end)
        && grant.metadata.deletion_timestamp.is_none()
        && !grant.spec.except_labels.is_empty()
        && grant
            .spec
            .read
            .iter()
            .any(|stream| name(stream, &grant.spec.except_labels) == derived)
}

/// Applies both where they differ.
///
/// # Errors
/// `OwnedByAnother`; what the API server says.
pub async fn apply(context: &Context, derived: &Derived) -> Result<(), Error> {
    let (namespace, name) = (
        derived.stream.namespace().unwrap_or_default(),
        derived.stream.name_any(),
    );
    put(
        context,
        &derived.stream,
        context.stores.stream(&namespace, &name),
    )
    .await?;
    put(
        context,
        &derived.pipeline,
        context.stores.pipeline(&namespace, &name),
    )
    .await
}

async fn put<K>(context: &Context, desired: &K, cached: Option<K>) -> Result<(), Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Serialize
        + DeserializeOwned
        + Clone
        + std::fmt::Debug,
{
    let (namespace, name) = (desired.namespace().unwrap_or_default(), desired.name_any());
    let place = format!("{} {namespace}/{name}", K::kind(&()));
    let api: Api<K> = Api::namespaced(context.client.clone(), &namespace);
    let live = match cached {
        Some(live) => Some(live),
        None => api
            .get_opt(&name)
            .await
            .map_err(|e| Error::api(&format!("reading {place}"), &e))?,
    };
    let wanted = body(desired)?;
    if let Some(live) = &live {
        if live.meta().deletion_timestamp.is_some() {
            return Err(Error::waiting(
                "ChildTerminating",
                format!("{place} is being deleted; it is made again when it is gone"),
            )
            .after(Duration::from_secs(5)));
        }
        if !ours(live) {
            return Err(Error::stalled(
                "OwnedByAnother",
                format!("{place} exists and isn't derived for a grant; Headworks doesn't take it over: delete or rename it"),
            )
            .after(Duration::from_secs(60)));
        }
        if !owned_by_one_of(live, &grants_here(context, &namespace)) {
            return Err(Error::waiting(
                "ChildTerminating",
                format!(
                    "{place} belongs to a deleted AccessGrant; it is made again when it is gone"
                ),
            )
            .after(Duration::from_secs(5)));
        }
        let about = |o: &K| o.annotations().get(CONTENT_ANNOTATION).cloned();
        if about(live).is_some_and(|there| Some(there) != about(desired)) {
            return Err(Error::stalled(
                "OwnedByAnother",
                format!("{place} is derived from another stream, or without other labels; Headworks doesn't change what its clients read: delete the grants that it is for, or name this stream otherwise"),
            )
            .after(Duration::from_secs(60)));
        }
        let there = body(live)?;
        let owners = |o: &K| {
            o.owner_references()
                .iter()
                .map(|r| r.uid.clone())
                .collect::<BTreeSet<_>>()
        };
        if owners(live) == owners(desired)
            && is_subset(&wanted["spec"], &there["spec"])
            && same_keys(&wanted, &there)
            && about(live) == about(desired)
        {
            return Ok(());
        }
    }
    let params = PatchParams {
        field_manager: Some(FIELD_MANAGER.into()),
        force: live.is_some(),
        ..PatchParams::default()
    };
    tracing::info!(child = %place, created = live.is_none(), "apply");
    context.metrics.wrote(&K::kind(&()));
    api.patch(&name, &params, &Patch::Apply(&wanted))
        .await
        .map_err(|e| Error::api(&format!("applying {place}"), &e))?;
    Ok(())
}

/// A field that is gone from the schema must go from the object, too.
fn same_keys(wanted: &Value, there: &Value) -> bool {
    let names = |value: &Value| -> Vec<Value> {
        value["spec"]["schema"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|f| f["name"].clone())
            .collect()
    };
    names(wanted) == names(there) && wanted["spec"].get("key") == there["spec"].get("key")
}

pub(super) fn body<K: Resource<DynamicType = ()> + Serialize>(object: &K) -> Result<Value, Error> {
    let mut body = serde_json::to_value(object).map_err(|e| {
        Error::transient(
            "Internal",
            format!("a derived stream can't be written: {e}"),
        )
    })?;
    body["apiVersion"] = K::api_version(&()).into();
    body["kind"] = K::kind(&()).into();
    if let Some(body) = body.as_object_mut() {
        body.remove("status");
    }
    Ok(body)
}

fn ours<K: Resource>(live: &K) -> bool {
    let labels = live.labels();
    labels.get(PART_LABEL).map(String::as_str) == Some(DERIVED_PART)
        && labels.get(MANAGED_BY).map(String::as_str) == Some(MANAGED_BY_VALUE)
        && of_grants(live).next().is_some()
}

/// UIDs of the grants that an object names as its owners.
fn of_grants<K: Resource>(live: &K) -> impl Iterator<Item = &str> {
    live.owner_references()
        .iter()
        .filter(|r| r.kind == "AccessGrant" && r.api_version.starts_with("headworks.dev/"))
        .map(|r| r.uid.as_str())
}

/// True: a grant of the namespace that is here owns the object. That it says so of one that isn't is no proof.
fn owned_by_one_of<K: Resource>(live: &K, grants: &BTreeSet<String>) -> bool {
    of_grants(live).any(|uid| grants.contains(uid))
}

/// UIDs of the namespace's grants.
fn grants_here(context: &Context, namespace: &str) -> BTreeSet<String> {
    let grants = context.stores.grants.state();
    let here = grants
        .iter()
        .filter(|grant| grant.meta().namespace.as_deref() == Some(namespace));
    here.filter_map(|grant| grant.meta().uid.clone()).collect()
}

/// Removes derived streams that this grant owned and that no grant wants any more, and leaves the others to those that do.
///
/// # Errors
/// What the API server says.
pub async fn sweep(
    context: &Context,
    grant: &AccessGrant,
    wanted: &BTreeSet<String>,
) -> Result<(), Error> {
    let (namespace, uid) = (
        grant.namespace().unwrap_or_default(),
        grant.uid().unwrap_or_default(),
    );
    let owned = |meta: &kube::core::ObjectMeta| {
        meta.namespace.as_deref() == Some(namespace.as_str())
            && meta.owner_references.iter().flatten().any(|r| r.uid == uid)
            && !wanted.contains(meta.name.as_deref().unwrap_or_default())
    };
    let pipelines = context.stores.pipelines.state();
    for pipeline in pipelines
        .iter()
        .filter_map(|p| p.0.as_ref().ok())
        .filter(|p| ours(*p) && owned(&p.metadata))
    {
        disown(context, pipeline, &uid).await?;
    }
    let streams = context.stores.streams.state();
    for stream in streams
        .iter()
        .filter_map(|s| s.0.as_ref().ok())
        .filter(|s| ours(*s) && owned(&s.metadata))
    {
        disown(context, stream, &uid).await?;
    }
    Ok(())
}

/// Takes a grant from a child's owners, and the child away with the last of them.
async fn disown<K>(context: &Context, child: &K, uid: &str) -> Result<(), Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Serialize
        + DeserializeOwned
        + Clone
        + std::fmt::Debug,
{
    if child.meta().deletion_timestamp.is_some() {
        return Ok(());
    }
    let namespace = child.namespace().unwrap_or_default();
    let wanting = owners(context, &namespace, &child.name_any());
    let left = others(wanting, child.owner_references(), uid);
    if left.is_empty() {
        context.metrics.wrote(&K::kind(&()));
        return apply::remove(&context.client, child).await;
    }
    let mut kept = child.clone();
    kept.meta_mut().owner_references = Some(left);
    kept.meta_mut().managed_fields = None;
    kept.meta_mut().resource_version = None;
    put(context, &kept, Some(child.clone())).await
}

/// Of the grants whose specs want a derived stream those that own it still, without one that has no need of it: its spec
/// says so as before when the labels are gone, or nothing would be left.
fn others(wanting: Vec<OwnerReference>, own: &[OwnerReference], uid: &str) -> Vec<OwnerReference> {
    let owns = |wanting: &OwnerReference| own.iter().any(|one| one.uid == wanting.uid);
    wanting
        .into_iter()
        .filter(|wanting| wanting.uid != uid && owns(wanting))
        .collect()
}

#[cfg(test)]
mod tests {
    use headworks_crds::DataStream;
    use serde_json::json;

    use super::*;

    #[test]
    fn labels_and_the_uid_of_a_grant_that_is_not_here_make_no_derived_stream_of_ours() {
        let by = |kind: &str, group: &str| -> DataStream {
            serde_json::from_value(json!({"metadata": {"name": "d", "namespace": "shop",
                "labels": {PART_LABEL: DERIVED_PART, MANAGED_BY: MANAGED_BY_VALUE},
                "ownerReferences": [{"apiVersion": group, "kind": kind, "name": "g", "uid": "1"}]},
                "spec": {"owner": "x", "schema": [{"name": "id", "type": "string"}]}}))
            .unwrap()
        };
        let derived = by("AccessGrant", "headworks.dev/v1alpha1");
        assert!(ours(&derived) && owned_by_one_of(&derived, &["1".to_owned()].into()));
        assert!(!owned_by_one_of(&derived, &["2".to_owned()].into()));
        assert!(!ours(&by("AccessGrant", "example.com/v1")));
        assert!(!ours(&by("Deployment", "apps/v1")));
        let mut labelled = derived;
        labelled.metadata.owner_references = None;
        assert!(!ours(&labelled));
    }

    #[test]
    fn the_last_that_has_no_need_of_a_derived_stream_takes_it_away() {
        let of = |uids: &[&str]| -> Vec<OwnerReference> {
            let one = |uid: &&str| OwnerReference {
                uid: (*uid).to_owned(),
                ..OwnerReference::default()
            };
            uids.iter().map(one).collect()
        };
        let both = of(&["a", "b"]);
        assert_eq!(others(both.clone(), &both, "a"), of(&["b"]));
        assert_eq!(others(both.clone(), &of(&["b"]), "b"), []);
        // An owner that is over is no owner any more.
        assert_eq!(others(of(&["a"]), &both, "a"), []);
    }

    #[test]
    fn a_grant_that_is_over_wants_nothing() {
        let grant = |expires: serde_json::Value| -> AccessGrant {
            serde_json::from_value(json!({"metadata": {"name": "g", "namespace": "shop"}, "spec": {
                "to": {"namespace": "bi", "name": "app"}, "read": ["orders"], "exceptLabels": ["pii"],
                "expires": expires}}))
            .unwrap()
        };
        let now: Timestamp = "2027-01-01T00:00:00Z".parse().unwrap();
        let wants = |grant: &AccessGrant| super::wants(grant, "orders-without-pii", now);
        assert!(wants(&grant(json!(null))));
        assert!(wants(&grant(json!("2027-01-01T00:00:01Z"))));
        assert!(!wants(&grant(json!("2027-01-01T00:00:00Z"))));
        assert!(!super::wants(
            &grant(json!(null)),
            "orders-without-secret",
            now
        ));
        let mut going = grant(json!(null));
        going.metadata.deletion_timestamp =
            serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
        assert!(!wants(&going));
    }
}
