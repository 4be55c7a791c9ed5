//! Whose word is taken for the image, against an API server that holds what it is given.

use axum::Json;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::*;

const SETS: &str = "/apis/apps/v1/namespaces/shop/statefulsets";
const HOOK: &str =
    "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/headworks-operator";
const BOUND: &str = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/headworks-operator";

/// A client of a server with these answers; what else is asked for is forbidden.
fn client(answers: &[(&'static str, Value)]) -> Client {
    let answers: BTreeMap<&str, Value> = answers.iter().cloned().collect();
    let answer = move |uri: Uri| {
        let body = answers.get(uri.path()).cloned();
        async move { respond(body) }
    };
    Client::new(axum::Router::new().fallback(answer), "shop")
}

fn respond(body: Option<Value>) -> Response {
    let forbidden = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden", "message": "no", "code": 403});
    match body {
        Some(body) => Json(body).into_response(),
        None => (StatusCode::FORBIDDEN, Json(forbidden)).into_response(),
    }
}

fn list(kind: &str, items: Value) -> Value {
    json!({"apiVersion": "apps/v1", "kind": format!("{kind}List"), "metadata": {}, "items": items})
}

fn operator(image: &str) -> Value {
    json!({"metadata": {"name": "headworks-operator"}, "spec": {"selector": {}, "template": {"spec": {"containers": [
        {"name": "operator", "image": "operator:1", "env": [{"name": SETTING, "value": image}]}]}}}})
}

fn hook() -> Value {
    json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "headworks-operator"}, "webhooks": [{"name": "validate.headworks.dev", "sideEffects": "None",
        "admissionReviewVersions": ["v1"], "clientConfig": {"service": {"name": "s", "namespace": "headworks-system"}}}]})
}

fn workload(image: &str, owner: &Value, kind: &str) -> Value {
    json!({"metadata": {"name": "revenue", "labels": {MANAGED_BY: MANAGED_BY_VALUE, LABEL_KIND: kind, LABEL_NAME: "revenue"},
        "ownerReferences": owner}, "spec": {"selector": {}, "serviceName": "s", "template": {"spec": {"containers": [
        {"name": "mesh", "image": "mesh:1"}, {"name": "headworks", "image": image}]}}}})
}

fn owner(api_version: &str, controller: bool) -> Value {
    json!([{"apiVersion": api_version, "kind": "Pipeline", "name": "revenue", "uid": "1", "controller": controller}])
}

#[tokio::test]
async fn a_deployment_of_another_namespace_is_no_operator_by_its_labels() {
    // Everything in the cluster, as a list over all namespaces would have it: a tenant's Deployment stands first.
    let all = list(
        "Deployment",
        json!([operator("evil:1"), operator("runtime:1")]),
    );
    let tenant = list("Deployment", json!([operator("evil:1")]));
    let server = client(&[
        ("/apis/apps/v1/deployments", all.clone()),
        (
            "/apis/apps/v1/namespaces/tenant/deployments",
            tenant.clone(),
        ),
        (
            "/apis/apps/v1/namespaces/shop/deployments",
            list("Deployment", json!([])),
        ),
        (
            "/apis/apps/v1/namespaces/headworks-system/deployments",
            list("Deployment", json!([operator("runtime:1")])),
        ),
        (HOOK, hook()),
    ]);
    assert_eq!(image(&server, "shop").await, Ok("runtime:1".to_owned()));
    // Where nobody says where the operator is, none is taken.
    let server = client(&[
        ("/apis/apps/v1/deployments", all),
        ("/apis/apps/v1/namespaces/tenant/deployments", tenant),
    ]);
    assert_eq!(image(&server, "shop").await, Err(End::Problems));
}

#[tokio::test]
async fn the_operator_is_found_by_its_binding_too_and_two_that_differ_are_no_answer() {
    let bound = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": BINDING},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": BINDING},
        "subjects": [{"kind": "ServiceAccount", "name": BINDING, "namespace": "second"}]});
    let second = list("Deployment", json!([operator("runtime:2")]));
    let mut answers = vec![
        (BOUND, bound),
        ("/apis/apps/v1/namespaces/second/deployments", second),
    ];
    assert_eq!(
        image(&client(&answers), "shop").await,
        Ok("runtime:2".to_owned())
    );
    let first = list("Deployment", json!([operator("runtime:1")]));
    answers.push((
        "/apis/apps/v1/namespaces/headworks-system/deployments",
        first,
    ));
    answers.push((HOOK, hook()));
    assert_eq!(image(&client(&answers), "shop").await, Err(End::Problems));
}

#[tokio::test]
async fn what_runs_in_the_namespace_comes_first_if_an_object_of_ours_controls_it() {
    let ours = owner("headworks.dev/v1alpha1", true);
    let sets = |items: Value| {
        client(&[
            (SETS, list("StatefulSet", items)),
            (
                "/apis/apps/v1/namespaces/headworks-system/deployments",
                list("Deployment", json!([operator("runtime:1")])),
            ),
            (HOOK, hook()),
        ])
    };
    let mine = workload("runtime:3", &ours, "Pipeline");
    let server = sets(json!([workload("old:1", &ours, "Pipeline"), mine, mine]));
    assert_eq!(image(&server, "shop").await, Ok("runtime:3".to_owned()));
    for not_ours in [
        workload("evil:1", &json!([]), "Pipeline"),
        workload("evil:1", &owner("apps/v1", true), "Pipeline"),
        workload(
            "evil:1",
            &owner("headworks.dev/v1alpha1", false),
            "Pipeline",
        ),
        workload("evil:1", &ours, "Source"),
    ] {
        let server = sets(json!([not_ours]));
        assert_eq!(image(&server, "shop").await, Ok("runtime:1".to_owned()));
    }
}
