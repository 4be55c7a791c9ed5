use k8s_openapi::api::apps::v1::StatefulSet;
use serde_json::{Value, json};

use super::*;
use crate::{
    context::testing::{calls, context, store, stores},
    stores::Stores,
};

/// What a reconcile of a Replay of which a pod runs asks the API server to change.
async fn changed(spec: &Value) -> (Vec<String>, ReplayStatus) {
    let of = json!({"apiVersion": "headworks.dev/v1alpha1", "kind": "Replay", "name": "a", "uid": "1", "controller": true});
    let set: StatefulSet = serde_json::from_value(
        json!({"metadata": {"name": "a", "namespace": "shop", "uid": "s",
        "labels": Key::new("Replay", "shop", "a").labels(), "ownerReferences": [of]},
        "spec": {"replicas": 1, "selector": {}, "template": {}}}),
    )
    .unwrap();
    let (context, asked) = context(Stores {
        stateful_sets: store(vec![set]),
        ..stores()
    });
    let replay: Replay = serde_json::from_value(
        json!({"metadata": {"name": "a", "namespace": "shop", "uid": "1"}, "spec": spec}),
    )
    .unwrap();
    let mut status = ReplayStatus {
        of: Some(7),
        ..ReplayStatus::default()
    };
    replay.reconcile(&mut status, &context).await.unwrap_err();
    (calls(&asked, "PATCH"), status)
}

#[tokio::test]
async fn no_pod_goes_on_writing_for_a_replay_that_is_not_right_any_more() {
    let round = json!({"from": {"stream": "orders"}, "into": {"stream": "orders"}});
    let (patched, _) = changed(&round).await;
    assert_eq!(patched, ["/apis/apps/v1/namespaces/shop/statefulsets/a"]);
    // A stream that is gone for a while is no reason to stop.
    let (patched, status) = changed(&json!({"from": {"deadLetterOf": "orders"}})).await;
    assert!(patched.is_empty(), "{patched:?}");
    assert_eq!(status.phase, Some(headworks_crds::ReplayPhase::Running));
}
