//! What each kind with pods did in its own way before, and now does like the others.

use headworks_crds::{DataStore, DataStoreStatus, Source, SourceStatus};
use serde_json::{Value, json};

use super::*;
use crate::{
    connectors::stores,
    context::testing::{calls, context, store, stores},
    data_store::build,
    reason::ConditionReason,
    stores::Stores,
};

fn object<K: serde::de::DeserializeOwned>(kind: &str, spec: &Value) -> K {
    serde_json::from_value(
        json!({"apiVersion": "headworks.dev/v1alpha1", "kind": kind, "spec": spec,
        "metadata": {"name": "a", "namespace": "shop", "uid": "1", "generation": 2}}),
    )
    .unwrap()
}

/// Pods that run, of an object of that kind.
fn deployment(kind: &str, name: &str) -> Deployment {
    let status =
        json!({"replicas": 2, "readyReplicas": 1, "availableReplicas": 1, "updatedReplicas": 2});
    serde_json::from_value(json!({"metadata": {"name": name, "namespace": "shop", "uid": "d",
        "labels": Key::new(kind, "shop", "a").labels(),
        "ownerReferences": [{"apiVersion": "headworks.dev/v1alpha1", "kind": kind, "name": "a", "uid": "1", "controller": true}]},
        "spec": {"replicas": 2, "selector": {}, "template": {}}, "status": status}))
    .unwrap()
}

fn data_store(spec: &Value) -> DataStore {
    object("DataStore", &json!({"postgres": spec}))
}

#[tokio::test]
async fn what_can_not_be_resolved_any_more_gives_its_turn_to_the_next() {
    let (context, _) = context(stores());
    let key = Key::new("DataStore", "shop", "a");
    let turn = |key: &Key| context.rollouts.begin(key, |_| true);
    let others = ["b", "c"].map(|name| Key::new("DataStore", "shop", name));
    assert!(turn(&key) && others.iter().all(turn));
    let next = Key::new("Source", "shop", "next");
    assert!(!turn(&next), "three are rolled at a time");
    let wrong = data_store(&json!({"url": "no address", "secret": "s"}));
    let mut status = DataStoreStatus::default();
    wrong.reconcile(&mut status, &context).await.unwrap_err();
    assert!(turn(&next));
}

#[tokio::test]
async fn the_status_counts_the_pods_of_a_source_that_is_held_back() {
    let stores = Stores {
        deployments: store(vec![deployment("Source", "a")]),
        ..stores()
    };
    let (context, _) = context(stores);
    let source: Source = object("Source", &json!({"into": "gone", "http": {}}));
    let mut status = SourceStatus::default();
    let error = source.reconcile(&mut status, &context).await.unwrap_err();
    assert_eq!(error.reason(), "StreamNotFound");
    let pods = &status.workload;
    assert_eq!((pods.replicas, pods.ready_replicas), (Some(2), Some(1)));
    let selector = pods.selector.as_deref().unwrap();
    assert!(selector.contains("headworks.dev/name=a"), "{selector}");
}

#[tokio::test]
async fn the_pods_of_a_suspended_object_go_whatever_its_kind_calls_them() {
    let stores = Stores {
        deployments: store(vec![deployment("DataStore", "a-datastore")]),
        ..stores()
    };
    let (context, asked) = context(stores);
    let store = data_store(&json!({"url": "postgres://db/shop", "secret": "s"}));
    let roll_out = RollOut::of(&store, &context);
    assert!(roll_out.rests(true, 1) && !roll_out.rests(false, 0));
    // The server of these tests answers a merge with another version of the API.
    roll_out.suspend().await.ok();
    let path = "/apis/apps/v1/namespaces/shop/deployments/a-datastore";
    assert_eq!(calls(&asked, "PATCH"), [path]);
}

#[tokio::test]
async fn what_only_an_older_plan_needed_goes_from_a_suspended_object_too() {
    let (context, _) = context(stores());
    let mut store = data_store(&json!({"url": "postgres://db/shop", "secret": "s"}));
    store.spec.suspend = true;
    let roll_out = RollOut::of(&store, &context);
    let binding = stores::bind("a", &store.spec).unwrap();
    let workload = build::build(&roll_out.key, &store.spec, &binding);
    let (applied, ()) = roll_out
        .apply(Ok((workload, ())), Some(2), None)
        .await
        .unwrap();
    let outcome = roll_out.observe(&applied).await.unwrap();
    assert_eq!(
        (outcome.ready, outcome.reason.as_str()),
        (true, "Suspended")
    );
    assert!(roll_out.has_settled(&applied, &outcome));
}

#[tokio::test]
async fn a_turn_is_asked_for_again_soon_however_seldom_the_user_is_looked_at() {
    let turn = turns::Turn {
        counts: Counts::default(),
        waits: true,
        plan: None,
    };
    let ready = ReconcileOutcome::ready(ConditionReason::Running, "1 pod ready");
    let outcome = turn.told(ready.recheck(access::workload::VERIFIED_FOR));
    assert_eq!(outcome.recheck, Some(turns::RECHECK));
    assert!(outcome.message.contains("waits for its turn"));
}
