//! Forged objects of every sort, none of which is ours.

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, StatefulSet};
use kube::{
    core::NamespaceResourceScope,
    runtime::{reflector::store::Writer, watcher::Event},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::*;

/// UID of the Pipeline.
const UID: &str = "1111";

fn owner() -> Key {
    Key::new("Pipeline", "shop", "p")
}

fn object<K: DeserializeOwned>(namespace: &str, name: &str, uid: &str, by: &Value) -> K {
    serde_json::from_value(json!({"metadata": {
        "name": name, "namespace": namespace, "uid": uid, "labels": owner().labels(), "ownerReferences": [by],
    }}))
    .unwrap()
}

fn by_pipeline(uid: &str) -> Value {
    json!({"apiVersion": "headworks.dev/v1alpha1", "kind": "Pipeline", "name": "p", "uid": uid, "controller": true})
}

fn by(kind: &str, name: &str, uid: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": uid, "controller": true})
}

fn of<K: Resource<Scope = NamespaceResourceScope>>(object: &K) -> bool {
    is_child(object.meta(), &owner(), UID)
}

#[test]
fn a_child_is_its_controllers_by_uid_and_namespace_and_never_by_labels() {
    let map = |namespace: &str, by: &Value| object::<ConfigMap>(namespace, "a", "2", by);
    assert!(of(&map("shop", &by_pipeline(UID))));
    let mut no_reference = map("shop", &by_pipeline(UID));
    no_reference.metadata.owner_references = None;
    assert!(!of(&no_reference), "labels alone");
    assert!(!of(&map("other", &by_pipeline(UID))), "another namespace");
    assert!(
        !of(&map("shop", &by_pipeline("9999"))),
        "an earlier object of the name"
    );
    let forged = |change: fn(&mut Value)| {
        let mut reference = by_pipeline(UID);
        change(&mut reference);
        of(&map("shop", &reference))
    };
    assert!(
        !forged(|r| r["controller"] = json!(false)),
        "an owner, no controller"
    );
    assert!(
        !forged(|r| r["apiVersion"] = json!("example.com/v1")),
        "another group"
    );
    assert!(!forged(|r| r["apiVersion"] = json!("v1")));
    assert!(!forged(|r| r["kind"] = json!("Source")));
    assert!(!forged(|r| r["name"] = json!("q")));
    assert!(!forged(|r| r["uid"] = json!("")));
    // An empty UID of our own would match nothing either.
    assert!(!is_child(
        &map("shop", &by_pipeline("")).metadata,
        &owner(),
        ""
    ));
}

fn lineage() -> Lineage {
    let lineage = Lineage::default();
    let now = Instant::now();
    let set: StatefulSet = object("shop", "p", "set", &by_pipeline(UID));
    let deployment: Deployment = object("shop", "p", "deployment", &by_pipeline(UID));
    let replicas: ReplicaSet = object(
        "shop",
        "p-5f",
        "replicas",
        &by("Deployment", "p", "deployment"),
    );
    let foreign: StatefulSet = object("shop", "p", "foreign", &by("StatefulSet", "q", "elsewhere"));
    for meta in [
        &set.metadata,
        &deployment.metadata,
        &replicas.metadata,
        &foreign.metadata,
    ] {
        lineage.seen(meta, true, now);
    }
    lineage
}

fn store(pods: Vec<Pod>) -> Store<Pod> {
    let mut writer = Writer::<Pod>::new(());
    let store = writer.as_reader();
    for pod in pods {
        writer.apply_watcher_event(&Event::Apply(pod));
    }
    store
}

fn names(pods: &[Arc<Pod>]) -> Vec<String> {
    pods.iter()
        .map(|pod| format!("{}/{}", pod.namespace().unwrap(), pod.name_any()))
        .collect()
}

#[test]
fn a_pod_is_ours_by_the_chain_of_controllers_alone() {
    let pod = |namespace: &str, name: &str, by: Value| object::<Pod>(namespace, name, name, &by);
    let mut bare = pod("shop", "p-2147483646", by("StatefulSet", "p", "set"));
    bare.metadata.owner_references = None;
    let store = store(vec![
        pod("shop", "p-0", by("StatefulSet", "p", "set")),
        pod("shop", "p-5f-x", by("ReplicaSet", "p-5f", "replicas")),
        bare,
        pod("other", "p-1", by("StatefulSet", "p", "set")),
        pod("shop", "p-2", by("StatefulSet", "p", "foreign")),
        pod("shop", "p-3", by("Job", "p", "set")),
        pod("shop", "p-4", by_pipeline("9999")),
    ]);
    let lineage = lineage();
    assert_eq!(
        names(&pods(&store, &lineage, &owner(), UID)),
        ["shop/p-0", "shop/p-5f-x"]
    );
    // Neither those of a new object of the name.
    assert!(
        pods(&store, &lineage, &owner(), "9999")
            .iter()
            .all(|pod| pod.name_any() == "p-4")
    );
}

#[test]
fn pods_outlive_their_workload_and_are_still_known() {
    let pod: Pod = object("shop", "p-0", "pod", &by("StatefulSet", "p", "set"));
    let store = store(vec![pod]);
    let lineage = lineage();
    let now = Instant::now();
    let set: StatefulSet = object("shop", "p", "set", &by_pipeline(UID));
    lineage.seen(&set.metadata, false, now);
    assert_eq!(pods(&store, &lineage, &owner(), UID).len(), 1);
    // Much later nobody remembers.
    let other: StatefulSet = object("shop", "q", "q", &by_pipeline(UID));
    lineage.seen(&other.metadata, false, now + REMEMBERED);
    assert!(pods(&store, &lineage, &owner(), UID).is_empty());
    // As after a start of the operator: waited for, and no more.
    assert_eq!(pods_left(&store, &lineage, &owner(), UID).len(), 1);
    let elsewhere = Key::new("Pipeline", "other", "p");
    assert!(pods_left(&store, &lineage, &elsewhere, UID).is_empty());
    let fresh = Lineage::default();
    assert_eq!(pods_left(&store, &fresh, &owner(), UID).len(), 1);
    assert!(pods_left(&store, &fresh, &Key::new("Pipeline", "shop", "q"), UID).is_empty());
}

#[test]
fn a_contract_is_known_by_its_reserved_name_and_form() {
    let stream = Key::new("DataStream", "shop", "orders");
    let map = |change: fn(&mut Value)| -> Option<Key> {
        let mut labels = stream.labels();
        labels.insert(PART_LABEL.into(), CONTRACT_PART.into());
        let mut body = json!({"immutable": true, "data": {},
            "metadata": {"name": "orders-contract-3", "namespace": "shop", "labels": labels}});
        change(&mut body);
        is_contract(&serde_json::from_value(body).unwrap())
    };
    assert_eq!(map(|_| {}), Some(stream.clone()));
    assert_eq!(map(|m| m["immutable"] = json!(false)), None);
    assert_eq!(
        map(|m| m["metadata"]["name"] = json!("settings")),
        None,
        "labels alone"
    );
    assert_eq!(
        map(|m| m["metadata"]["name"] = json!("orders-contract-03")),
        None
    );
    assert_eq!(
        map(|m| m["metadata"]["name"] = json!("clicks-contract-3")),
        None
    );
    assert_eq!(map(|m| m["metadata"]["namespace"] = json!("other")), None);
    assert_eq!(
        map(|m| m["metadata"]["ownerReferences"] = json!([by("Deployment", "d", "1")])),
        None,
        "somebody else's"
    );
}
