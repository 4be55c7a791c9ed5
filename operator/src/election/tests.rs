//! The decision as a table of cases, and two electors against an API server that holds one Lease.

use std::{
    sync::{Arc, Mutex},
    time::Instant,
};

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use kube::Client;
use serde_json::{Value, json};

use super::*;

fn held(holder: &str, unchanged_for: u64) -> Seen {
    Seen {
        holder: holder.into(),
        duration: PACE.lease,
        unchanged_for: Duration::from_secs(unchanged_for),
    }
}

#[test]
fn a_live_leader_is_left_alone() {
    assert_eq!(decide("b", Some(&held("a", 14))), Decision::Wait);
}

#[test]
fn a_lease_that_did_not_change_for_its_duration_is_taken() {
    assert_eq!(decide("b", Some(&held("a", 16))), Decision::Take);
}

#[test]
fn a_released_lease_is_taken_at_once() {
    assert_eq!(decide("b", Some(&held("", 0))), Decision::Take);
}

#[test]
fn our_own_lease_is_renewed_even_after_a_restart_in_the_same_pod() {
    assert_eq!(decide("a", Some(&held("a", 100))), Decision::Renew);
    assert_eq!(decide("a", None), Decision::Create);
}

#[test]
fn a_leader_gives_up_before_anyone_may_take_over() {
    assert!(PACE.renew_deadline + PACE.renew < PACE.lease);
}

/// One Lease, with resource versions and conflicts as the API server has them.
#[derive(Default)]
struct Server {
    lease: Mutex<Option<Value>>,
    /// True: the server answers nothing but errors.
    down: Mutex<bool>,
}

type Shared = State<Arc<Server>>;

impl Server {
    fn holder(&self) -> String {
        let lease = self.lease.lock().unwrap();
        let holder = lease.as_ref().map(|l| l["spec"]["holderIdentity"].clone());
        holder
            .and_then(|h| h.as_str().map(str::to_owned))
            .unwrap_or_default()
    }

    fn client(self: &Arc<Self>) -> Client {
        let leases = "/apis/coordination.k8s.io/v1/namespaces/here/leases";
        let router = Router::new()
            .route(leases, post(write))
            .route(&format!("{leases}/operator"), get(read).put(write))
            .with_state(self.clone());
        Client::new(router, "here")
    }

    fn elector(self: &Arc<Self>, me: &str) -> Elector {
        let pace = Pace {
            lease: Duration::from_millis(2000),
            renew_deadline: Duration::from_millis(1200),
            renew: Duration::from_millis(300),
            look: Duration::from_millis(50),
        };
        Elector::new(self.client(), "here", "operator", me.into(), pace)
    }
}

fn failure(code: u16, reason: &str) -> Response {
    let body = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": reason, "code": code});
    (StatusCode::from_u16(code).unwrap(), Json(body)).into_response()
}

async fn read(State(server): Shared) -> Response {
    if *server.down.lock().unwrap() {
        return failure(500, "InternalError");
    }
    match server.lease.lock().unwrap().clone() {
        Some(lease) => Json(lease).into_response(),
        None => failure(404, "NotFound"),
    }
}

async fn write(State(server): Shared, Json(mut new): Json<Value>) -> Response {
    if *server.down.lock().unwrap() {
        return failure(500, "InternalError");
    }
    let mut lease = server.lease.lock().unwrap();
    let version = |lease: &Value| lease["metadata"]["resourceVersion"].clone();
    let before = lease.as_ref().map_or(Value::Null, version);
    if version(&new) != before {
        return failure(409, "Conflict");
    }
    let next = before.as_str().map_or(1, |v| v.parse::<u64>().unwrap() + 1);
    new["metadata"]["resourceVersion"] = json!(next.to_string());
    *lease = Some(new.clone());
    Json(new).into_response()
}

#[tokio::test]
async fn of_two_one_leads_and_the_other_follows_at_once_when_it_is_told_to_stop() {
    let server = Arc::new(Server::default());
    let (mut a, mut b) = (server.elector("a"), server.elector("b"));
    a.acquire().await;
    let follows = tokio::spawn(async move {
        b.acquire().await;
        b
    });
    // Longer than a Lease holds: only its renewal keeps the other away.
    tokio::select! {
        Lost(why) = a.hold() => panic!("{why}"),
        () = tokio::time::sleep(Duration::from_millis(2500)) => {}
    }
    assert!(!follows.is_finished());
    assert_eq!(server.holder(), "a");
    a.release().await;
    let _b = tokio::time::timeout(Duration::from_millis(1000), follows)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(server.holder(), "b");
    // One that no longer leads has nothing to give up.
    a.release().await;
    assert_eq!(server.holder(), "b");
}

#[tokio::test]
async fn a_leader_that_cannot_renew_gives_up_before_its_lease_ends() {
    let server = Arc::new(Server::default());
    let mut a = server.elector("a");
    a.acquire().await;
    *server.down.lock().unwrap() = true;
    let began = Instant::now();
    let Lost(why) = a.hold().await;
    assert!(why.contains("not renewed"), "{why}");
    assert!(
        began.elapsed() < Duration::from_millis(2000),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn a_leader_whose_lease_another_holds_gives_up() {
    let server = Arc::new(Server::default());
    let mut a = server.elector("a");
    a.acquire().await;
    server.lease.lock().unwrap().as_mut().unwrap()["spec"]["holderIdentity"] = json!("b");
    let Lost(why) = a.hold().await;
    assert!(why.contains("another"), "{why}");
}
