//! Pods that Headworks made, and that restart often.

use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, ResourceExt};

use super::Item;
use crate::cluster::{Cluster, said};

/// Pods that Headworks made.
const OURS: &str = "app.kubernetes.io/managed-by=headworks";
/// From so many restarts on a pod is worth a look.
const OFTEN: i32 = 3;

/// Pods that restart often.
pub async fn examine(cluster: &Cluster, namespace: Option<&str>) -> Vec<Item> {
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
