//! Whose derived streams and their Pipelines are: written for the grants that want them, and taken away with the last of these.

use std::collections::BTreeSet;

use headworks_crds::{AccessGrant, DataStream, Pipeline};
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::OwnerReference, jiff::Timestamp};
use kube::{Resource, ResourceExt};

use super::{Derived, FAMILY, name};
use crate::{
    access_grant::{dereference, rotation, validate},
    context::Context,
    owned_objects::{OwnedKind, Owners},
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
        .filter(|grant| wants(grant, derived, now) && accepted(grant, context))
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

fn accepted(grant: &AccessGrant, context: &Context) -> bool {
    validate::accepted(grant, dereference::word(grant, context)).is_ok()
}

/// Applies both where they differ.
///
/// # Errors
/// `OwnedByAnother`; what the API server says.
pub async fn apply(context: &Context, namespace: &str, derived: &Derived) -> Result<(), Error> {
    let here = grants_here(context, namespace);
    let owners = Owners::Shared(&here);
    FAMILY.put(context, &derived.stream, owners).await?;
    FAMILY.put(context, &derived.pipeline, owners).await
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
    disown::<Pipeline>(context, grant, wanted).await?;
    disown::<DataStream>(context, grant, wanted).await
}

/// Takes a grant from the owners of what it has no need of, and that away with the last of them.
async fn disown<K: OwnedKind>(
    context: &Context,
    grant: &AccessGrant,
    wanted: &BTreeSet<String>,
) -> Result<(), Error> {
    let (namespace, uid) = (
        grant.namespace().unwrap_or_default(),
        grant.uid().unwrap_or_default(),
    );
    let here = grants_here(context, &namespace);
    for child in FAMILY.owned_by::<K>(context, &namespace, &uid) {
        let name = child.name_any();
        if wanted.contains(&name) {
            continue;
        }
        let wanting = owners(context, &namespace, &name);
        let left = others(wanting, child.owner_references(), &uid);
        FAMILY
            .leave_to(context, &child, left, Owners::Shared(&here))
            .await?;
    }
    Ok(())
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
    use serde_json::json;

    use super::*;

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
