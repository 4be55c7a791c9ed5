//! Secrets with credentials: read by name, written where they differ, never listed and never taken over.
//!
//! The operator has these rights only in namespaces that its chart was told; elsewhere the condition names the chart's value.

use k8s_openapi::{
    ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry,
};
use kube::{
    Api, Resource, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, Preconditions},
};
use serde_json::json;

use crate::{
    context::Context,
    names::{FIELD_MANAGER, Key, MANAGED_BY},
    owned,
    reason::ConditionReason,
    retry::Error,
};

/// A Secret, if there is one. `chart` is the chart's value that lists the namespaces.
///
/// # Errors
/// `SecretForbidden`; what the API server says.
pub async fn get(
    context: &Context,
    namespace: &str,
    name: &str,
    chart: &str,
) -> Result<Option<Secret>, Error> {
    let api: Api<Secret> = Api::namespaced(context.client.clone(), namespace);
    let found = api.get_opt(name).await;
    found.map_err(|error| explained(&error, "reading", namespace, name, chart))
}

/// A Secret that is a child of this object, in its own namespace: the labels, and the controller's UID.
///
/// # Errors
/// `OwnedByAnother`; `ChildTerminating` while that of an earlier object of the name is still there.
pub fn child(live: Option<Secret>, owner: &Key, uid: &str) -> Result<Option<Secret>, Error> {
    let Some(live) = owned(live, owner)? else {
        return Ok(None);
    };
    if owned::is_child(&live.metadata, owner, uid) {
        return Ok(Some(live));
    }
    let place = format!(
        "Secret {}/{}",
        live.namespace().unwrap_or_default(),
        live.name_any()
    );
    let earlier = owned::claims(&live.metadata).is_some_and(|(key, _)| key == *owner);
    if earlier {
        return Err(Error::waiting(
            ConditionReason::ChildTerminating,
            format!(
                "{place} belongs to a deleted object of this name; it is made again when it is gone"
            ),
        )
        .after(std::time::Duration::from_secs(5)));
    }
    Err(foreign(&place))
}

/// A Secret that is this object's, where it can have no owner reference because it lives in another namespace; any other of the
/// name stays who it is.
///
/// # Errors
/// `OwnedByAnother`.
pub fn owned(live: Option<Secret>, owner: &Key) -> Result<Option<Secret>, Error> {
    let Some(live) = live else { return Ok(None) };
    let labels = live.labels();
    let mut ours = owner
        .labels()
        .into_iter()
        .filter(|(key, _)| key == MANAGED_BY || headworks_crds_label(key));
    if ours.all(|(key, value)| labels.get(&key) == Some(&value)) {
        return Ok(Some(live));
    }
    Err(foreign(&format!(
        "Secret {}/{}",
        live.namespace().unwrap_or_default(),
        live.name_any()
    )))
}

fn foreign(place: &str) -> Error {
    Error::stalled(
        ConditionReason::OwnedByAnother,
        format!(
            "{place} exists and isn't this object's; Headworks doesn't take it over: delete or rename it"
        ),
    )
    .after(std::time::Duration::from_secs(60))
}

fn headworks_crds_label(key: &str) -> bool {
    [
        headworks_crds::LABEL_KIND,
        headworks_crds::LABEL_NAMESPACE,
        headworks_crds::LABEL_NAME,
    ]
    .contains(&key)
}

/// Makes a Secret so; gives it as it is then. `live` is it as it was read, and ours.
///
/// # Errors
/// `SecretForbidden`; `OwnedByAnother` if somebody made one of the name at this moment; what the API server says.
pub async fn put(
    context: &Context,
    desired: &Secret,
    live: Option<Secret>,
    chart: &str,
) -> Result<Secret, Error> {
    let (namespace, name) = (desired.namespace().unwrap_or_default(), desired.name_any());
    if let Some(live) = &live
        && is_so(desired, live)
    {
        return Ok(live.clone());
    }
    let mut body = serde_json::to_value(desired).map_err(|e| {
        Error::transient(
            ConditionReason::Internal,
            format!("a Secret can't be written: {e}"),
        )
    })?;
    body["apiVersion"] = json!("v1");
    body["kind"] = json!("Secret");
    // What was read must still be so: two that write at once must not both win.
    if let Some(version) = live
        .as_ref()
        .and_then(|l| l.metadata.resource_version.clone())
    {
        body["metadata"]["resourceVersion"] = json!(version);
    }
    let params = PatchParams {
        field_manager: Some(FIELD_MANAGER.into()),
        force: live.is_some(),
        ..PatchParams::default()
    };
    tracing::info!(namespace, name, created = live.is_none(), "apply a Secret");
    context.metrics.wrote(&Secret::kind(&()));
    let api: Api<Secret> = Api::namespaced(context.client.clone(), &namespace);
    api.patch(&name, &params, &Patch::Apply(&body))
        .await
        .map_err(|error| explained(&error, "writing", &namespace, &name, chart))
}

/// Deletes exactly the Secret that was read.
///
/// # Errors
/// `SecretForbidden`; what the API server says.
pub async fn delete(context: &Context, live: &Secret, chart: &str) -> Result<(), Error> {
    let (namespace, name) = (live.namespace().unwrap_or_default(), live.name_any());
    let params = DeleteParams {
        preconditions: Some(Preconditions {
            uid: live.uid(),
            ..Preconditions::default()
        }),
        ..DeleteParams::default()
    };
    tracing::info!(namespace, name, "delete a Secret");
    context.metrics.wrote(&Secret::kind(&()));
    let api: Api<Secret> = Api::namespaced(context.client.clone(), &namespace);
    match api.delete(&name, &params).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => Ok(()),
        Err(error) => Err(explained(&error, "deleting", &namespace, &name, chart)),
    }
}

/// One key of a Secret as text.
pub fn text(secret: &Secret, key: &str) -> Option<String> {
    let bytes = secret.data.as_ref()?.get(key)?;
    String::from_utf8(bytes.0.clone())
        .ok()
        .filter(|text| !text.is_empty())
}

/// Texts as a Secret's data.
pub fn data(
    texts: impl IntoIterator<Item = (String, String)>,
) -> std::collections::BTreeMap<String, ByteString> {
    texts
        .into_iter()
        .map(|(key, text)| (key, ByteString(text.into_bytes())))
        .collect()
}

fn is_so(desired: &Secret, live: &Secret) -> bool {
    let within = |desired: &std::collections::BTreeMap<String, String>,
                  live: &std::collections::BTreeMap<String, String>| {
        desired.iter().all(|(k, v)| live.get(k) == Some(v))
    };
    let owners = |secret: &Secret| secret.metadata.owner_references.clone().unwrap_or_default();
    same_data(desired, live)
        && within(desired.labels(), live.labels())
        && within(desired.annotations(), live.annotations())
        && within(&of_ours(live.annotations()), desired.annotations())
        && owners(desired)
            .iter()
            .all(|o| owners(live).iter().any(|l| l.uid == o.uid))
}

/// Our keys are as they should be, and none is left that we wrote once. What others have added is theirs.
fn same_data(desired: &Secret, live: &Secret) -> bool {
    let (wanted, there) = (desired.data.iter().flatten(), live.data.as_ref());
    let mut managed = live.metadata.managed_fields.iter().flatten();
    let stale = |entry: &ManagedFieldsEntry| {
        entry.manager.as_deref() == Some(FIELD_MANAGER)
            && entry
                .fields_v1
                .as_ref()
                .and_then(|fields| fields.0["f:data"].as_object())
                .into_iter()
                .flat_map(|keys| keys.keys().filter_map(|key| key.strip_prefix("f:")))
                .any(|key| !desired.data.as_ref().is_some_and(|d| d.contains_key(key)))
    };
    wanted
        .into_iter()
        .all(|(key, value)| there.is_some_and(|t| t.get(key) == Some(value)))
        && !managed.any(stale)
}

/// Annotations that only Headworks writes: one that is no longer wanted is a difference.
fn of_ours(
    annotations: &std::collections::BTreeMap<String, String>,
) -> std::collections::BTreeMap<String, String> {
    annotations
        .iter()
        .filter(|(key, _)| key.starts_with("headworks.dev/"))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

fn explained(error: &kube::Error, doing: &str, namespace: &str, name: &str, chart: &str) -> Error {
    match error {
        kube::Error::Api(status) if status.code == 403 => Error::stalled(
            ConditionReason::SecretForbidden,
            format!(
                "{doing} Secret {namespace}/{name}: the operator has no right on Secrets in namespace {namespace}; add it to {chart} of the Helm chart"
            ),
        )
        .after(std::time::Duration::from_secs(60)),
        kube::Error::Api(status) if status.code == 409 => Error::transient(
            ConditionReason::Conflict,
            format!("{doing} Secret {namespace}/{name}: somebody else wrote it just now"),
        ),
        // The API server's own words may repeat what was sent.
        kube::Error::Api(status) => Error::transient(
            ConditionReason::RefusedByKubernetes,
            format!("{doing} Secret {namespace}/{name}: {} ({})", status.reason, status.code),
        ),
        _ => Error::transient(
            ConditionReason::KubernetesUnavailable,
            format!("{doing} Secret {namespace}/{name}: the API server didn't answer"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(owner: Option<&Key>) -> Secret {
        let mut secret: Secret =
            serde_json::from_value(json!({"metadata": {"name": "s", "namespace": "team"}}))
                .unwrap();
        secret.metadata.labels = owner.map(Key::labels);
        secret
    }

    #[test]
    fn a_foreign_secret_is_never_taken_over() {
        let key = Key::new("AccessGrant", "shop", "g");
        assert_eq!(owned(None, &key).unwrap(), None);
        assert!(owned(Some(secret(Some(&key))), &key).unwrap().is_some());
        for foreign in [
            secret(None),
            secret(Some(&Key::new("AccessGrant", "shop", "h"))),
        ] {
            assert_eq!(
                owned(Some(foreign), &key).unwrap_err().reason(),
                "OwnedByAnother"
            );
        }
    }

    #[test]
    fn a_child_s_secret_is_its_own_by_uid_and_not_by_labels() {
        let key = Key::new("Pipeline", "team", "p");
        let by = |uid: &str| {
            let mut secret = secret(Some(&key));
            let reference = json!({"apiVersion": "headworks.dev/v1alpha1", "kind": "Pipeline", "name": "p", "uid": uid, "controller": true});
            secret.metadata.owner_references =
                Some(vec![serde_json::from_value(reference).unwrap()]);
            secret
        };
        assert_eq!(child(None, &key, "1").unwrap(), None);
        assert!(child(Some(by("1")), &key, "1").unwrap().is_some());
        let reason = |secret| {
            child(Some(secret), &key, "1")
                .unwrap_err()
                .reason()
                .to_owned()
        };
        assert_eq!(
            reason(secret(Some(&key))),
            "OwnedByAnother",
            "forged labels"
        );
        assert_eq!(reason(by("2")), "ChildTerminating", "an earlier object's");
    }

    #[test]
    fn what_others_add_to_labels_is_no_difference_and_a_changed_value_is_one() {
        let key = Key::new("AccessGrant", "shop", "g");
        let mut desired = secret(Some(&key));
        desired.data = Some(data([("password".to_owned(), "a".to_owned())]));
        let mut live = desired.clone();
        live.labels_mut().insert("team".into(), "x".into());
        assert!(is_so(&desired, &live));
        live.data = Some(data([("password".to_owned(), "b".to_owned())]));
        assert!(!is_so(&desired, &live));
        assert_eq!(text(&live, "password").as_deref(), Some("b"));
        assert_eq!(text(&live, "username"), None);
    }

    #[test]
    fn a_key_of_the_client_is_no_difference_and_one_that_is_ours_no_more_is() {
        let key = Key::new("AccessGrant", "shop", "g");
        let all = |keys: &[&str]| Some(data(keys.iter().map(|k| ((*k).to_owned(), "a".into()))));
        let mut desired = secret(Some(&key));
        desired.data = all(&["password"]);
        let mut live = desired.clone();
        live.data = all(&["password", "ca.crt", "theirs"]);
        let written = |manager: &str, keys: serde_json::Value| {
            serde_json::from_value::<ManagedFieldsEntry>(
                json!({"manager": manager, "operation": "Apply", "fieldsV1": {"f:data": keys}}),
            )
            .unwrap()
        };
        let theirs = written("kubectl", json!({"f:theirs": {}, "f:ca.crt": {}}));
        live.metadata.managed_fields = Some(vec![
            theirs,
            written(FIELD_MANAGER, json!({"f:password": {}})),
        ]);
        assert!(is_so(&desired, &live));
        let before = written(FIELD_MANAGER, json!({"f:password": {}, "f:ca.crt": {}}));
        live.metadata.managed_fields = Some(vec![before]);
        assert!(!is_so(&desired, &live));
        live.data = all(&["theirs"]);
        live.metadata.managed_fields = None;
        assert!(!is_so(&desired, &live));
    }
}
