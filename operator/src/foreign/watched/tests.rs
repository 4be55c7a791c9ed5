//! A kind that isn't Strimzi's: it is found, followed and missed as any other.

use std::sync::{Mutex, PoisonError};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract,
    http::{StatusCode, Uri},
    response::{IntoResponse, Response},
};
use futures::stream;
use kube::Api;
use serde_json::{Value, json};

use super::*;
use crate::{names::Key, reason::ConditionReason};

const DEPLOYMENTS: ForeignKind = ForeignKind {
    operator: "Flink",
    group: "flink.apache.org",
    versions: &["v1", "v1beta1"],
    kind: "FlinkDeployment",
    plural: "flinkdeployments",
    not_installed: ConditionReason::StrimziNotInstalled,
    unreadable: ConditionReason::StrimziUnreadable,
    install: "install Flink's operator",
    permit: "a ClusterRole allows it",
    places: |_, client, resource| vec![Api::all_with(client.clone(), resource)],
};

/// What the API server has: the version of the kind, its objects, and the watches that it holds open.
#[derive(Default)]
struct Cluster {
    version: Option<&'static str>,
    forbidden: bool,
    objects: Vec<Value>,
    watches: Vec<tokio::sync::mpsc::UnboundedSender<Value>>,
    asked: Vec<String>,
}

type Shared = Arc<Mutex<Cluster>>;

fn object(name: &str, ours: bool) -> Value {
    json!({"apiVersion": "flink.apache.org/v1beta1", "kind": "FlinkDeployment",
        "metadata": {"name": name, "namespace": "shop", "uid": name, "resourceVersion": "1", "labels": {"ours": ours.to_string()}}})
}

fn failure(code: u16) -> Response {
    let body = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "no", "code": code});
    (StatusCode::from_u16(code).unwrap(), Json(body)).into_response()
}

async fn answer(extract::State(cluster): extract::State<Shared>, uri: Uri) -> Response {
    let mut cluster = cluster.lock().unwrap_or_else(PoisonError::into_inner);
    let path = uri.path().to_owned();
    cluster.asked.push(path.clone());
    let Some(version) = cluster.version else {
        return failure(404);
    };
    let group = format!("/apis/flink.apache.org/{version}");
    if path == group {
        let kind = json!({"name": "flinkdeployments", "singularName": "", "namespaced": true, "kind": "FlinkDeployment", "verbs": ["list"]});
        return Json(
            json!({"kind": "APIResourceList", "groupVersion": version, "resources": [kind]}),
        )
        .into_response();
    }
    if path != format!("{group}/flinkdeployments") {
        return failure(404);
    }
    if cluster.forbidden {
        return failure(403);
    }
    if uri
        .query()
        .is_some_and(|query| query.contains("watch=true"))
    {
        let (sender, receiver) = tokio::sync::mpsc::unbounded_channel::<Value>();
        cluster.watches.push(sender);
        let lines = stream::unfold(receiver, |mut receiver| async move {
            let event = receiver.recv().await?;
            Some((
                Ok::<_, std::convert::Infallible>(Bytes::from(format!("{event}\n"))),
                receiver,
            ))
        });
        return Body::from_stream(lines).into_response();
    }
    Json(
        json!({"kind": "FlinkDeploymentList", "apiVersion": "flink.apache.org/v1beta1",
        "metadata": {"resourceVersion": "5"}, "items": cluster.objects}),
    )
    .into_response()
}

struct Followed {
    cluster: Shared,
    watched: Watched,
    /// Readers that were woken.
    woken: futures::channel::mpsc::UnboundedReceiver<Key>,
    told: Arc<Mutex<Vec<String>>>,
}

impl Followed {
    /// A kind in that cluster, which the Pipeline `p` waits for.
    fn new(cluster: Cluster) -> Self {
        let cluster = Arc::new(Mutex::new(cluster));
        let router = Router::new().fallback(answer).with_state(cluster.clone());
        let client = Client::new(router, "default");
        let indexes = Arc::<Indexes>::default();
        let woken = indexes.queue("Pipeline");
        indexes.set_references(
            &Key::new("Pipeline", "shop", "p"),
            [DEPLOYMENTS.reference()],
        );
        let told = Arc::<Mutex<Vec<String>>>::default();
        let at = (&client, &Scope::default(), &indexes, &Arc::default());
        let ours = |object: &DynamicObject| {
            object
                .metadata
                .labels
                .as_ref()
                .is_some_and(|l| l["ours"] == "true")
        };
        let (watched, task) = Watched::new(at, DEPLOYMENTS, ours, {
            let told = told.clone();
            move |object, here| {
                let sign = if here { '+' } else { '-' };
                let name = object.metadata.name.clone().unwrap_or_default();
                told.lock().unwrap().push(format!("{sign}{name}"));
            }
        });
        tokio::spawn(task);
        Self {
            cluster,
            watched,
            woken,
            told,
        }
    }

    /// What was told since the last time: so many, at least.
    async fn told(&self, least: usize) -> Vec<String> {
        for _ in 0..1_000 {
            if self.told.lock().unwrap().len() >= least {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let mut told = std::mem::take(&mut *self.told.lock().unwrap());
        told.sort();
        told
    }

    /// Waits until the Pipeline is woken.
    async fn wakes(&mut self) {
        let woken = tokio::time::timeout(Duration::from_secs(60), self.woken.next()).await;
        assert_eq!(woken.unwrap(), Some(Key::new("Pipeline", "shop", "p")));
    }

    /// Has the API server say something in the watch that is open.
    async fn says(&self, type_: &str, object: Value) {
        for _ in 0..1_000 {
            let open = self.cluster.lock().unwrap().watches.last().cloned();
            let event = json!({"type": type_, "object": object});
            if open.is_some_and(|watch| watch.send(event).is_ok()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("no watch is open");
    }
}

#[tokio::test]
async fn a_kind_that_comes_later_is_noticed_followed_and_missed_when_it_goes() {
    let mut kind = Followed::new(Cluster::default());
    tokio::time::sleep(POLL_INTERVAL * 4).await;
    let asked = kind.cluster.lock().unwrap().asked.len();
    assert_eq!(asked, 0, "nobody needs it");
    let error = kind.watched.resource().await.unwrap_err();
    assert!(matches!(error, Error::Waiting { .. }), "{error}");
    assert_eq!(
        error.message(),
        "the cluster has no kind FlinkDeployment of flink.apache.org (v1 or v1beta1): install Flink's operator. It is noticed when they come"
    );
    kind.wakes().await;

    {
        let mut cluster = kind.cluster.lock().unwrap();
        cluster.version = Some("v1beta1");
        cluster.objects = vec![object("a", true), object("theirs", false)];
    }
    kind.wakes().await;
    let resource = kind.watched.resource().await.unwrap();
    assert_eq!(resource.api_version, "flink.apache.org/v1beta1");
    assert_eq!(kind.told(1).await, ["+a"]);
    assert!(kind.watched.get("shop", "a").is_some());
    assert!(kind.watched.get("shop", "theirs").is_none());

    let mut stable = object("a", true);
    stable["status"] = json!({"lifecycleState": "STABLE"});
    stable["metadata"]["resourceVersion"] = json!("6");
    kind.says("MODIFIED", stable).await;
    kind.says("ADDED", object("b", true)).await;
    assert_eq!(kind.told(2).await, ["+a", "+b"]);
    let seen = kind.watched.get("shop", "a").unwrap();
    assert_eq!(seen.data["status"]["lifecycleState"], "STABLE");
    let all = kind.watched.filter(|_| true);
    assert_eq!(all.len(), 2);

    {
        // The CRD is deleted: the API server ends the watches, and doesn't know the kind any more.
        let mut cluster = kind.cluster.lock().unwrap();
        cluster.version = None;
        cluster.watches.clear();
    }
    kind.wakes().await;
    assert_eq!(kind.told(2).await, ["-a", "-b"]);
    assert_eq!(kind.watched.looked().await, State::Absent);
    assert!(kind.watched.get("shop", "a").is_none());
}

#[tokio::test]
async fn a_kind_that_may_not_be_read_says_what_to_allow() {
    let kind = Followed::new(Cluster {
        version: Some("v1"),
        forbidden: true,
        ..Cluster::default()
    });
    let error = kind.watched.resource().await.unwrap_err();
    assert!(matches!(error, Error::Transient { .. }), "{error}");
    assert!(
        error
            .message()
            .starts_with("Flink's FlinkDeployment objects can't be read: "),
        "{error}"
    );
    assert!(
        error.message().ends_with("; a ClusterRole allows it"),
        "{error}"
    );
}
