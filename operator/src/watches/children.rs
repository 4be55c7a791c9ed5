//! Watches of what we make for an object: each change wakes its owner.

use std::time::Instant;

use k8s_openapi::api::{
    apps::v1::{Deployment, ReplicaSet, StatefulSet},
    core::v1::{ConfigMap, Pod, Service},
    networking::v1::NetworkPolicy,
};
use kube::{
    Resource,
    core::{NamespaceResourceScope, PartialObjectMeta},
    runtime::{reflector::Store, watcher},
};
use serde::de::DeserializeOwned;

use super::Watching;
use crate::{
    indexes::Indexes,
    names::{Key, MANAGED_BY, MANAGED_BY_VALUE},
    owned::{self, Lineage},
    supervise::Task,
    watch::{Rules, WatchEvent, watch},
};

/// Objects that carry our label and are ours by their controller: each change wakes the owner.
pub(super) fn children<K>(at: &Watching<'_>, rules: Rules<K>, tasks: &mut Vec<Task>) -> Store<K>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + DeserializeOwned
        + Clone
        + std::fmt::Debug
        + Send
        + Sync
        + Contract
        + 'static,
{
    let (indexes, lineage) = (at.indexes.clone(), at.lineage.clone());
    // The label spares us what is surely foreign, and proves nothing.
    let config = watcher::Config::default().labels(&format!("{MANAGED_BY}={MANAGED_BY_VALUE}"));
    let watches = at.scope.watches(at.client, &config);
    let (store, task) = watch(watches, rules, at.metrics.clone(), move |change| {
        changed(&change, &lineage, &indexes);
    });
    tasks.push(Box::pin(task));
    store
}

/// Wakes whose child it is.
fn changed<K: Resource<DynamicType = ()> + Contract>(
    change: &WatchEvent<K>,
    lineage: &Lineage,
    indexes: &Indexes,
) {
    let (child, here) = match change {
        WatchEvent::Applied(child) => (child, true),
        WatchEvent::Removed(child) => (child, false),
    };
    if matches!(
        K::kind(&()).as_ref(),
        "StatefulSet" | "Deployment" | "ReplicaSet"
    ) {
        lineage.seen(child.meta(), here, Instant::now());
    }
    if let Some((owner, uid)) = lineage.owner(child.meta()) {
        indexes.enqueue_owner(&owner, &uid);
    } else if let Some(stream) = child.contract() {
        indexes.enqueue(&stream);
    }
}

/// A child that may hold a contract, which has no controller.
pub(super) trait Contract {
    /// The stream whose contract it holds.
    fn contract(&self) -> Option<Key> {
        None
    }
}

impl Contract for ConfigMap {
    fn contract(&self) -> Option<Key> {
        owned::is_contract(self)
    }
}

impl Contract for Service {}
impl Contract for Deployment {}
impl Contract for StatefulSet {}
impl Contract for PartialObjectMeta<ReplicaSet> {}
impl Contract for Pod {}
impl Contract for NetworkPolicy {}

/// Whose pod it is: by its controllers' UIDs, and only where that object is here. A foreign pod is nobody's, whatever its labels say.
pub fn owner_of_pod(pod: &Pod, lineage: &Lineage, indexes: &Indexes) -> Option<Key> {
    lineage
        .owner(&pod.metadata)
        .filter(|(key, uid)| indexes.is(key, uid))
        .map(|(key, _)| key)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;

    fn meta<K: DeserializeOwned>(namespace: &str, name: &str, uid: &str, by: &Value) -> K {
        let labels = Key::new("Pipeline", "shop", "p").labels();
        serde_json::from_value(
            json!({"metadata": {"name": name, "namespace": namespace, "uid": uid, "labels": labels,
            "ownerReferences": [by]}}),
        )
        .unwrap()
    }

    fn reference(kind: &str, name: &str, uid: &str) -> Value {
        let group = if kind == "Pipeline" {
            "headworks.dev/v1alpha1"
        } else {
            "apps/v1"
        };
        json!({"apiVersion": group, "kind": kind, "name": name, "uid": uid, "controller": true})
    }

    fn woken(queue: &mut futures::channel::mpsc::UnboundedReceiver<Key>) -> usize {
        std::iter::from_fn(|| queue.try_recv().ok()).count()
    }

    #[test]
    fn a_child_wakes_its_owner_and_a_forged_one_nobody() {
        let (indexes, lineage) = (Indexes::default(), Lineage::default());
        let mut queue = indexes.queue("Pipeline");
        indexes.here(&Key::new("Pipeline", "shop", "p"), "1");
        let set = |by: &Value| -> WatchEvent<StatefulSet> {
            WatchEvent::Applied(Arc::new(meta("shop", "p", "set", by)))
        };
        changed(&set(&reference("Pipeline", "p", "1")), &lineage, &indexes);
        assert_eq!(woken(&mut queue), 1);
        let pod = |namespace: &str, by: &Value| -> WatchEvent<Pod> {
            WatchEvent::Applied(Arc::new(meta(namespace, "p-0", "pod", by)))
        };
        let ours = reference("StatefulSet", "p", "set");
        changed(&pod("shop", &ours), &lineage, &indexes);
        assert_eq!(woken(&mut queue), 1);
        changed(&pod("other", &ours), &lineage, &indexes);
        changed(
            &pod("shop", &reference("StatefulSet", "p", "other")),
            &lineage,
            &indexes,
        );
        changed(
            &pod("shop", &reference("Pipeline", "p", "2")),
            &lineage,
            &indexes,
        );
        changed(&set(&reference("Pipeline", "p", "2")), &lineage, &indexes);
        let map = Arc::new(meta::<ConfigMap>(
            "shop",
            "labelled",
            "m",
            &reference("Pod", "x", "3"),
        ));
        changed(&WatchEvent::Applied(map), &lineage, &indexes);
        assert_eq!(woken(&mut queue), 0);
    }

    #[test]
    fn a_contract_wakes_its_stream() {
        let (indexes, lineage) = (Indexes::default(), Lineage::default());
        let mut queue = indexes.queue("DataStream");
        let stream = Key::new("DataStream", "shop", "orders");
        let mut labels = stream.labels();
        labels.insert("headworks.dev/part".into(), "contract".into());
        let map = |name: &str| -> WatchEvent<ConfigMap> {
            let body = json!({"immutable": true, "metadata": {"name": name, "namespace": "shop", "labels": labels}});
            WatchEvent::Removed(Arc::new(serde_json::from_value(body).unwrap()))
        };
        changed(&map("orders-contract-1"), &lineage, &indexes);
        assert_eq!(woken(&mut queue), 1);
        changed(&map("anything"), &lineage, &indexes);
        assert_eq!(woken(&mut queue), 0);
    }

    #[test]
    fn figures_are_taken_from_a_pods_owner_in_its_own_namespace_only() {
        let (indexes, lineage) = (Indexes::default(), Lineage::default());
        let key = Key::new("Pipeline", "shop", "p");
        let set: StatefulSet = meta("shop", "p", "set", &reference("Pipeline", "p", "1"));
        lineage.seen(&set.metadata, true, Instant::now());
        let pod = |namespace: &str, by: &Value| -> Pod { meta(namespace, "p-0", "pod", by) };
        let ours = reference("StatefulSet", "p", "set");
        let owner = |pod: &Pod| owner_of_pod(pod, &lineage, &indexes);
        assert_eq!(owner(&pod("shop", &ours)), None, "the Pipeline isn't here");
        indexes.here(&key, "1");
        assert_eq!(owner(&pod("shop", &ours)), Some(key.clone()));
        assert_eq!(owner(&pod("other", &ours)), None);
        assert_eq!(
            owner(&pod("shop", &reference("StatefulSet", "p", "forged"))),
            None
        );
        let mut labelled = pod("other", &ours);
        labelled.metadata.owner_references = None;
        assert_eq!(owner(&labelled), None, "labels alone");
        // A new object of the name isn't told by the old one's pods.
        indexes.here(&key, "2");
        assert_eq!(owner(&pod("shop", &ours)), None);
    }
}
