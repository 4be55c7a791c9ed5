//! What deletes, with forged objects beside our own: only our own go.

use headworks_crds::Platform;
use headworks_plan::Contract;
use k8s_openapi::api::{
    apps::v1::{Deployment, StatefulSet},
    core::v1::{ConfigMap, ObjectReference, Pod, Service},
};
use serde_json::{Value, json};

use crate::{
    access::workload::revoke,
    context::testing::{calls, context, store, stores},
    contract::revision::{Revision, config_map},
    data_stream::contract_revisions,
    names::Key,
    stores::Stores,
};

const UID: &str = "1111";

fn owner() -> Key {
    Key::new("Pipeline", "shop", "p")
}

/// An object with all our labels; by our Pipeline, or nobody.
fn object<K: serde::de::DeserializeOwned>(name: &str, uid: Option<&str>, spec: &Value) -> K {
    let references: Vec<Value> = uid
        .iter()
        .map(|uid| json!({"apiVersion": "headworks.dev/v1alpha1", "kind": "Pipeline", "name": "p", "uid": uid, "controller": true}))
        .collect();
    serde_json::from_value(
        json!({"metadata": {"name": name, "namespace": "shop", "uid": format!("uid-{name}"),
        "labels": owner().labels(), "ownerReferences": references}, "spec": spec}),
    )
    .unwrap()
}

fn forged() -> Stores {
    let set = json!({"replicas": 3, "selector": {}, "serviceName": "p", "template": {}});
    let deployment = json!({"selector": {}, "template": {}});
    let ours: StatefulSet = object("p", Some(UID), &set);
    let stores = Stores {
        stateful_sets: store(vec![
            ours.clone(),
            object("labelled", None, &set),
            object("earlier", Some("2222"), &set),
        ]),
        deployments: store(vec![object::<Deployment>("labelled", None, &deployment)]),
        services: store(vec![object::<Service>("labelled", None, &json!({}))]),
        pods: store(vec![
            serde_json::from_value::<Pod>(json!({"metadata": {"name": "p-0", "namespace": "shop", "labels": owner().labels(),
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "p", "uid": "uid-p", "controller": true}]}}))
            .unwrap(),
            object("p-2147483646", None, &json!({"containers": []})),
        ]),
        ..stores()
    };
    let now = std::time::Instant::now();
    stores.lineage.seen(&ours.metadata, true, now);
    stores
}

#[tokio::test]
async fn a_users_withdrawal_takes_our_workloads_and_nobody_elses() {
    let (context, asked) = context(forged());
    let about = ObjectReference {
        uid: Some(UID.into()),
        ..ObjectReference::default()
    };
    let platform: Platform = serde_json::from_value(json!({"metadata": {"name": "default"},
        "spec": {"kafka": {"bootstrapServers": "k:9092", "management": {"admin": {}}}}, "status": {"installation": "i"}}))
    .unwrap();
    let ends = revoke(&owner(), None, &about, Some(&platform), &context).await;
    assert_eq!(ends.unwrap_err().reason(), "PodsEnding", "p-0 is there");
    assert_eq!(
        calls(&asked, "DELETE"),
        ["/apis/apps/v1/namespaces/shop/statefulsets/p"]
    );
    assert!(crate::stores::children(&context.stores.services, &owner(), UID).is_empty());
    let pods = context.stores.pods_left(&owner(), UID);
    assert_eq!(crate::workload::ordinal_count(&pods, &owner(), 1), 1);
}

fn contract(stream: &Key, version: i32) -> ConfigMap {
    let accepted = Revision {
        version,
        contract: Contract::default(),
        topic: "shop.orders".into(),
        platform: "default".into(),
        kept: vec![],
        schema_ids: vec![],
        compatibility: None,
        used: vec![],
    };
    config_map(stream, &accepted).unwrap()
}

#[tokio::test]
async fn contracts_go_with_their_stream_and_what_is_labelled_like_one_stays() {
    let stream = Key::new("DataStream", "shop", "orders");
    let labelled = |name: &str| -> ConfigMap {
        let mut map = contract(&stream, 3);
        map.metadata.name = Some(name.into());
        map
    };
    let mut held = labelled("orders-contract-2");
    held.metadata.owner_references = Some(vec![
        serde_json::from_value(json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "d", "uid": "d", "controller": true})).unwrap(),
    ]);
    let stores = Stores {
        config_maps: store(vec![
            contract(&stream, 1),
            labelled("settings"),
            labelled("clicks-contract-3"),
            held,
        ]),
        ..stores()
    };
    let (context, asked) = context(stores);
    contract_revisions::sweep(&context, &stream, true)
        .await
        .unwrap();
    assert_eq!(
        calls(&asked, "DELETE"),
        ["/api/v1/namespaces/shop/configmaps/orders-contract-1"]
    );
}
