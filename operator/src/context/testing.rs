//! A context over stores that a test fills, and an API server that writes down what it is asked.

use std::sync::{Mutex, PoisonError};

use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::{Method, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use kube::runtime::{
    reflector::{Lookup, store::Writer},
    watcher::Event,
};
use serde_json::{Value, json};

use super::*;
use crate::strimzi::strimzi;

/// Each request as `METHOD path`.
pub type Calls = Arc<Mutex<Vec<String>>>;

/// The requests of a method, by path.
pub fn calls(calls: &Calls, method: &str) -> Vec<String> {
    let all = calls.lock().unwrap_or_else(PoisonError::into_inner);
    let of = all.iter().filter_map(|call| call.strip_prefix(method));
    of.map(|path| path.trim().to_owned()).collect()
}

async fn answer(State(calls): State<Calls>, method: Method, uri: Uri, body: Bytes) -> Response {
    let call = format!("{method} {}", uri.path());
    calls
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(call);
    let status = |code: u16, status: &str| {
        let body = json!({"kind": "Status", "apiVersion": "v1", "status": status, "reason": "NotFound", "code": code});
        (StatusCode::from_u16(code).unwrap(), Json(body)).into_response()
    };
    match method {
        Method::DELETE => status(200, "Success"),
        Method::PATCH | Method::POST => {
            let mut object: Value = serde_json::from_slice(&body).unwrap_or_default();
            object["metadata"]["resourceVersion"] = json!("2");
            if object["apiVersion"].is_null() {
                object["apiVersion"] = json!("v1");
                object["kind"] = json!("Any");
            }
            Json(object).into_response()
        }
        _ => status(404, "Failure"),
    }
}

/// A store with these objects.
pub fn store<K: Lookup + Clone + 'static>(objects: Vec<K>) -> Store<K>
where
    K::DynamicType: Default + Eq + std::hash::Hash + Clone,
{
    let mut writer = Writer::<K>::new(K::DynamicType::default());
    let store = writer.as_reader();
    writer.apply_watcher_event(&Event::Init);
    for object in objects {
        writer.apply_watcher_event(&Event::InitApply(object));
    }
    writer.apply_watcher_event(&Event::InitDone);
    store
}

macro_rules! empty {
    ($($field:ident: $kind:ident,)*) => {
        /// Empty stores.
        pub fn stores() -> Stores {
            Stores {
                $($field: store(vec![]),)*
                namespaces: store(vec![]),
                config_maps: store(vec![]),
                services: store(vec![]),
                deployments: store(vec![]),
                stateful_sets: store(vec![]),
                replica_sets: store(vec![]),
                pods: store(vec![]),
                budgets: store(vec![]),
                network_policies: store(vec![]),
                lineage: Arc::default(),
            }
        }
    };
}
for_each_kind!(empty);

/// A context over these stores. Needs a tokio runtime.
pub fn context(stores: Stores) -> (Arc<Context>, Calls) {
    let calls = Calls::default();
    let router = Router::new().fallback(answer).with_state(calls.clone());
    let client = Client::new(router, "default");
    let (indexes, metrics) = (Arc::<Indexes>::default(), Arc::<Metrics>::default());
    let (strimzi, _) = strimzi(&client, &Scope::default(), &indexes, &metrics);
    let context = Context {
        events: Events::new(client.clone(), "test".into()),
        client,
        settings: Settings {
            runtime_image: "runtime".into(),
            namespace: "headworks-system".into(),
            recheck: Duration::from_secs(60),
            scope: Scope::default(),
            network: None,
        },
        stores,
        indexes,
        flows: Arc::default(),
        memory: Arc::default(),
        backoff: Backoff::default(),
        metrics,
        health: Arc::default(),
        reports: Arc::default(),
        kafka: Arc::default(),
        strimzi,
        verified_passwords: VerifiedPasswords::default(),
        verified_users: VerifiedUsers::default(),
        user_operators: UserOperatorCache::default(),
        settling: SettlingTexts::default(),
        registries: Arc::default(),
        rollouts: RolloutTurns::default(),
        rules: Arc::default(),
        crds: CrdVersions::default(),
    };
    (Arc::new(context), calls)
}
