//! The pod's life against an API server that holds one pod: whatever comes of it, the pod is gone afterwards.

use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use kube::core::Status;
use serde_json::{Value, json};

use super::super::Shown;
use super::*;
use crate::output::Form;

/// One namespace with at most one pod.
#[derive(Default)]
struct Server {
    pod: Mutex<Option<Value>>,
    /// What becomes of a pod that is made.
    status: Value,
    log: &'static str,
    /// The log says nothing and doesn't end.
    is_quiet: bool,
    /// Why none is made.
    refuses: Option<&'static str>,
    made: Mutex<usize>,
    /// A making takes so long, whether or not its asker has gone.
    slow: Option<Duration>,
    /// A making is answered by an error, and comes to pass nevertheless.
    times_out: bool,
    /// So many deletions fail.
    fails: Mutex<usize>,
}

type Shared = State<Arc<Server>>;

fn failure(code: u16, reason: &str, message: &str) -> Response {
    let body = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": message, "code": code});
    (StatusCode::from_u16(code).unwrap(), Json(body)).into_response()
}

async fn list() -> Response {
    Json(json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": []}))
        .into_response()
}

async fn make(State(server): Shared, Json(mut pod): Json<Value>) -> Response {
    if let Some(message) = server.refuses {
        return failure(403, "Forbidden", message);
    }
    pod["status"] = server.status.clone();
    let made = pod.clone();
    let (slow, times_out) = (server.slow, server.times_out);
    let work = tokio::spawn(async move {
        sleep(slow.unwrap_or_default()).await;
        *server.pod.lock().unwrap() = Some(made);
        *server.made.lock().unwrap() += 1;
    });
    if times_out {
        return failure(504, "Timeout", "request did not complete in time");
    }
    work.await.unwrap();
    (StatusCode::CREATED, Json(pod)).into_response()
}

async fn read(State(server): Shared) -> Response {
    match server.pod.lock().unwrap().clone() {
        Some(pod) => Json(pod).into_response(),
        None => failure(404, "NotFound", "no pod"),
    }
}

async fn remove(State(server): Shared) -> Response {
    let fails = &mut *server.fails.lock().unwrap();
    if *fails > 0 {
        *fails -= 1;
        return failure(500, "InternalError", "etcd leader changed");
    }
    match server.pod.lock().unwrap().take() {
        Some(pod) => Json(pod).into_response(),
        None => failure(404, "NotFound", "no pod"),
    }
}

async fn log(State(server): Shared) -> Response {
    if server.is_quiet {
        return std::future::pending().await;
    }
    server.log.into_response()
}

fn pod() -> Pod {
    serde_json::from_value(json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "headworks-peek-1", "namespace": "shop"}, "spec": {"containers": []}}))
    .unwrap()
}

/// How it ended, whether the pod is there still, and how many were made.
async fn outcome(server: Server) -> (Result<Option<End>, End>, bool, usize) {
    let ends = Ends {
        stop: std::future::pending(),
        abandoned: std::future::pending(),
    };
    ended(server, ends).await
}

/// The same, of one that is ended from outside.
async fn ended(
    server: Server,
    ends: Ends<impl Future<Output = ()>, impl Future<Output = ()>>,
) -> (Result<Option<End>, End>, bool, usize) {
    let server = Arc::new(server);
    let pods = "/api/v1/namespaces/shop/pods";
    let one = format!("{pods}/headworks-peek-1");
    let router = Router::new()
        .route(pods, get(list).post(make))
        .route(&one, get(read).delete(remove))
        .route(&format!("{one}/log"), get(log))
        .with_state(Arc::clone(&server));
    let client = Client::new(router, "shop");
    let mut shown = Shown {
        form: Form::Text,
        follow: false,
        records: 0,
        end: None,
    };
    let done = attend(&client, client.clone(), &pod(), &mut shown, ends).await;
    let there = server.pod.lock().unwrap().is_some();
    let made = *server.made.lock().unwrap();
    (done.map(|()| shown.end), there, made)
}

fn state(state: Value) -> Value {
    json!({"phase": "Running", "containerStatuses": [{"name": "headworks", "image": "i", "imageID": "", "ready": false,
        "restartCount": 0, "state": state}]})
}

fn running() -> Value {
    state(json!({"running": {"startedAt": "2026-01-01T00:00:00Z"}}))
}

const RECORD: &str = r#"{"partition":0,"offset":1,"timestamp":null,"key":null,"value":{}}"#;

#[tokio::test]
async fn records_are_shown_to_the_end_and_the_pod_is_gone() {
    let log = [
        RECORD,
        r#"{"level":"WARN","message":"a log line"}"#,
        r#"{"peek":"end","records":1,"read":1,"more":false}"#,
        "",
    ];
    let server = Server {
        status: running(),
        log: Box::leak(log.join("\n").into_boxed_str()),
        ..Server::default()
    };
    assert_eq!(outcome(server).await, (Ok(Some(End::Fine)), false, 1));
}

#[tokio::test]
async fn what_the_pod_cannot_do_is_a_problem_and_the_pod_is_gone() {
    let log = r#"{"peek":"failed","reason":"NotAuthorized","message":"no"}"#;
    let server = Server {
        status: running(),
        log,
        ..Server::default()
    };
    assert_eq!(outcome(server).await, (Ok(Some(End::Problems)), false, 1));
    // A log that ends before it was said that all was printed.
    let server = Server {
        status: state(json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}})),
        log: RECORD,
        ..Server::default()
    };
    assert_eq!(outcome(server).await, (Err(End::Problems), false, 1));
}

#[tokio::test]
async fn a_record_that_the_log_has_lost_is_a_problem() {
    let log = [
        RECORD,
        // Another line got into this one.
        r#"{"partition":0,"offset":2,"timesta{"level":"WARN","message":"x"}"#,
        r#"mp":null,"key":null,"value":{}}"#,
        r#"{"peek":"end","records":2,"read":2,"more":false}"#,
        "",
    ];
    let server = Server {
        status: running(),
        log: Box::leak(log.join("\n").into_boxed_str()),
        ..Server::default()
    };
    assert_eq!(outcome(server).await, (Ok(Some(End::Problems)), false, 1));
}

#[tokio::test]
async fn a_pod_that_cannot_start_is_gone_at_once() {
    let server = Server {
        status: state(
            json!({"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}),
        ),
        ..Server::default()
    };
    assert_eq!(outcome(server).await, (Err(End::Problems), false, 1));
}

#[tokio::test]
async fn a_pod_that_is_refused_was_never_made() {
    let server = Server {
        refuses: Some("pods \"headworks-peek-1\" is forbidden: exceeded quota: small"),
        ..Server::default()
    };
    assert_eq!(outcome(server).await, (Err(End::Problems), false, 0));
}

#[tokio::test]
async fn a_pod_that_is_made_after_a_stop_is_gone_all_the_same() {
    let server = Server {
        status: running(),
        slow: Some(Duration::from_millis(1_500)),
        ..Server::default()
    };
    let ends = Ends {
        stop: sleep(Duration::from_millis(100)),
        abandoned: std::future::pending(),
    };
    assert_eq!(ended(server, ends).await, (Err(End::Problems), false, 1));
}

#[tokio::test]
async fn a_pod_that_says_nothing_is_gone_when_nobody_reads_any_more() {
    let server = Server {
        status: running(),
        is_quiet: true,
        ..Server::default()
    };
    let ends = Ends {
        stop: std::future::pending(),
        abandoned: sleep(Duration::from_millis(300)),
    };
    assert_eq!(ended(server, ends).await, (Err(End::Fine), false, 1));
}

#[tokio::test]
async fn a_pod_whose_making_timed_out_and_came_to_pass_is_gone() {
    let server = Server {
        status: running(),
        slow: Some(Duration::from_millis(1_500)),
        times_out: true,
        ..Server::default()
    };
    assert_eq!(outcome(server).await, (Err(End::Problems), false, 1));
}

#[tokio::test]
async fn a_deletion_that_fails_is_tried_again() {
    let server = Server {
        status: running(),
        log: r#"{"peek":"end","records":0,"read":0,"more":false}"#,
        fails: Mutex::new(2),
        ..Server::default()
    };
    assert_eq!(outcome(server).await, (Ok(Some(End::Fine)), false, 1));
}

#[test]
fn a_right_that_is_missing_is_told_with_the_role_and_a_quota_without() {
    let refused = |message: &str| {
        let status = Status::failure(message, "Forbidden").with_code(403);
        refusal(&pod(), &kube::Error::Api(Box::new(status)))
    };
    let no_right = refused(
        r#"pods is forbidden: User "ann" cannot create resource "pods" in API group "" in the namespace "shop""#,
    );
    assert!(
        no_right.contains(r#"User "ann" cannot create"#)
            && no_right.ends_with("role edit has them"),
        "{no_right}"
    );
    let quota = refused(r#"pods "headworks-peek-1" is forbidden: exceeded quota: small"#);
    assert!(
        quota.contains("exceeded quota: small") && !quota.contains("role edit"),
        "{quota}"
    );
}

#[test]
fn a_pod_that_does_not_start_in_time_is_told_with_its_image() {
    let pod: Pod = serde_json::from_value(json!({
        "spec": {"containers": [{"name": "runtime", "image": "nowhere.invalid/runtime:none"}]},
    }))
    .unwrap();
    let said = late("Pod shop/headworks-peek-1", &pod, "ContainerCreating");
    assert!(
        said.contains("120 s: ContainerCreating") && said.contains("nowhere.invalid/runtime:none"),
        "{said}"
    );
}
