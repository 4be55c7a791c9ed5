//! Headworks' objects and pods: those that aren't well, with the runbook's word on it.

use std::collections::BTreeMap;

use super::{Item, runbook};
use crate::cluster::{Cluster, said};
use headworks_crds::{GROUP, VERSION, conditions::SCHEMA_REGISTRY_READY, manifest};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::core::GroupVersionKind;
use kube::{Api, ResourceExt};

/// Pods that Headworks made.
const OURS: &str = "app.kubernetes.io/managed-by=headworks";
/// From so many restarts on a pod is worth a look.
const OFTEN: i32 = 3;
/// Objects in one answer of the API server.
const PAGE: u32 = 500;

/// A kind as the dynamic client wants it, and whether it is in namespaces.
pub fn resources() -> Vec<(ApiResource, bool)> {
    manifest::all()
        .into_iter()
        .map(|crd| {
            let kind = GroupVersionKind::gvk(GROUP, VERSION, &crd.spec.names.kind);
            let resource = ApiResource::from_gvk_with_plural(&kind, &crd.spec.names.plural);
            (resource, crd.spec.scope == "Namespaced")
        })
        .collect()
}

/// Every object of a kind, page by page.
pub async fn list(
    cluster: &Cluster,
    resource: &ApiResource,
    namespace: Option<&str>,
) -> Result<Vec<DynamicObject>, kube::Error> {
    let client = cluster.client.clone();
    let api: Api<DynamicObject> = match namespace {
        Some(namespace) => Api::namespaced_with(client, namespace, resource),
        None => Api::all_with(client, resource),
    };
    let mut all = Vec::new();
    let mut params = ListParams::default().limit(PAGE);
    loop {
        let page = api.list(&params).await?;
        let next = page.metadata.continue_.filter(|token| !token.is_empty());
        all.extend(page.items);
        match next {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(all),
        }
    }
}

/// Objects that aren't Ready, and a line a kind for those that are.
pub async fn examine(cluster: &Cluster, namespace: Option<&str>) -> Vec<Item> {
    let mut items = Vec::new();
    for (resource, namespaced) in resources() {
        let namespace = if namespaced { namespace } else { None };
        match list(cluster, &resource, namespace).await {
            Ok(objects) => items.extend(of_kind(&resource.kind, &objects)),
            // The kind isn't there, which was said already.
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => items.push(Item::warning(
                format!("{}s", resource.kind),
                format!("can't be listed: {}", said(&error)),
                "",
            )),
        }
    }
    items
}

fn of_kind(kind: &str, objects: &[DynamicObject]) -> Vec<Item> {
    let mut items: Vec<Item> = objects.iter().filter_map(|o| unwell(kind, o)).collect();
    let ready = objects.len() - items.len();
    if ready > 0 {
        items.insert(
            0,
            Item::ok(
                format!("{kind}s"),
                format!("{ready} of {} are Ready", objects.len()),
            ),
        );
    }
    items
}

fn unwell(kind: &str, object: &DynamicObject) -> Option<Item> {
    let title = match object.namespace() {
        Some(namespace) => format!("{kind} {namespace}/{}", object.name_any()),
        None => format!("{kind} {}", object.name_any()),
    };
    if object.metadata.deletion_timestamp.is_some() {
        let waits = object.finalizers().join(", ");
        return Some(Item::warning(
            title,
            format!("is being deleted and waits for {waits}"),
            "it goes by itself while the operator runs; read its events",
        ));
    }
    let conditions = object.data["status"]["conditions"].as_array();
    let condition = |type_: &str| {
        let found = conditions?.iter().find(|c| c["type"] == type_)?;
        Some((
            found["status"] == "True",
            found["reason"].as_str().unwrap_or_default(),
            found["message"].as_str().unwrap_or_default(),
        ))
    };
    let behind = object.data["status"]["observedGeneration"].as_i64();
    let Some((ready, reason, message)) = condition("Ready") else {
        return Some(Item::problem(
            title,
            "nobody has looked at it yet",
            "does the operator run?",
        ));
    };
    let stalled = condition("Stalled").filter(|(is, ..)| *is);
    let (reason, message) = match stalled {
        Some((_, reason, message)) => (reason, message),
        None if !ready => (reason, message),
        None if behind.is_some() && behind < object.metadata.generation => {
            return Some(Item::warning(
                title,
                "its newest spec hasn't been looked at yet",
                "wait a moment; if it stays so: does the operator run?",
            ));
        }
        None => {
            // Kafka is well without it, and so is what runs; new contracts are not.
            let (_, reason, message) =
                condition(SCHEMA_REGISTRY_READY).filter(|(answers, ..)| !answers)?;
            let said = format!("{reason}: {message}");
            return Some(Item::warning(title, said, remedy(reason)));
        }
    };
    let said = format!("{reason}: {message}");
    Some(Item::problem(title, said, remedy(reason)))
}

/// What the runbook says of a reason.
fn remedy(reason: &str) -> String {
    runbook::row(reason).map_or_else(
        || "docs/runbooks/conditions.md".to_owned(),
        |row| format!("{} {}", row.meaning, row.remedy),
    )
}

/// Pods that restart often.
pub async fn pods(cluster: &Cluster, namespace: Option<&str>) -> Vec<Item> {
    let client = cluster.client.clone();
    let api: Api<Pod> = match namespace {
        Some(namespace) => Api::namespaced(client, namespace),
        None => Api::all(client),
    };
    let list = match api.list(&ListParams::default().labels(OURS)).await {
        Ok(list) => list,
        Err(error) => {
            return vec![Item::warning(
                "pods",
                format!("can't be listed: {}", said(&error)),
                "",
            )];
        }
    };
    let mut items: Vec<Item> = list.items.iter().filter_map(restarts).collect();
    if items.is_empty() {
        items.push(Item::ok(
            "pods",
            format!("{}, none of which restarts often", list.items.len()),
        ));
    }
    items
}

fn restarts(pod: &Pod) -> Option<Item> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    let worst = statuses.iter().max_by_key(|s| s.restart_count)?;
    if worst.restart_count < OFTEN {
        return None;
    }
    let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
    let last = worst
        .last_state
        .as_ref()
        .and_then(|state| state.terminated.as_ref())
        .map(|end| {
            let reason = end.reason.as_deref().unwrap_or("it ended");
            format!(", the last time: {reason}, exit code {}", end.exit_code)
        });
    Some(Item::warning(
        format!("Pod {namespace}/{name}"),
        format!(
            "has restarted {} times{}",
            worst.restart_count,
            last.unwrap_or_default()
        ),
        format!("kubectl -n {namespace} logs {name} --previous"),
    ))
}

/// How many objects of each kind have a finalizer of ours.
pub fn held(objects: &BTreeMap<String, Vec<DynamicObject>>) -> usize {
    let ours = |object: &&DynamicObject| {
        object
            .finalizers()
            .iter()
            .any(|f| f == headworks_crds::FINALIZER)
    };
    objects.values().flatten().filter(ours).count()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn object(status: Value) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "headworks.dev/v1alpha1", "kind": "Pipeline",
            "metadata": {"name": "p", "namespace": "shop", "generation": 2}, "status": status,
        }))
        .unwrap_or_else(|e| panic!("{e}"))
    }

    #[test]
    fn what_is_not_ready_is_told_with_the_runbooks_remedy() {
        let conditions = json!([
            {"type": "Ready", "status": "False", "reason": "StreamLoop", "message": "a → a"},
            {"type": "Stalled", "status": "True", "reason": "StreamLoop", "message": "a → a"}]);
        let items = of_kind(
            "Pipeline",
            &[
                object(json!({"conditions": conditions})),
                object(
                    json!({"observedGeneration": 2, "conditions": [{"type": "Ready", "status": "True", "reason": "Running", "message": ""}]}),
                ),
            ],
        );
        assert_eq!(items[0].said, "1 of 2 are Ready");
        assert_eq!(items[1].what, "Pipeline shop/p");
        assert_eq!(items[1].said, "StreamLoop: a → a");
        assert!(items[1].remedy.ends_with("Break the ring."), "{items:?}");
    }

    #[test]
    fn an_object_that_nobody_looked_at_is_a_problem() {
        assert_eq!(
            of_kind("Pipeline", &[object(Value::Null)])[0].said,
            "nobody has looked at it yet"
        );
    }
}
