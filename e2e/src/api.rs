//! Reads and applies objects over one connection to the API server, and makes and deletes tests' namespaces. Tests ask for an object several times a
//! second until it is as it should be; a `kubectl` for each of these questions takes more of the processor than all that is tested. What
//! a user types stays kubectl.

use std::sync::{OnceLock, mpsc};
use std::time::Duration;

use kube::api::{
    DeleteParams, GetParams, ListParams, Patch, PatchParams, PostParams, Request,
    ValidationDirective,
};
use kube::config::KubeConfigOptions;
use kube::{Client, Config};
use serde_json::Value;
use tokio::runtime::Runtime;

/// How long one answer may take; who asks asks again.
const LIMIT: Duration = Duration::from_secs(30);

/// Who has the fields that `kubectl apply` writes.
const APPLIED_BY: &str = "kubectl-client-side-apply";

/// Kinds whose objects have no namespace.
const CLUSTER_WIDE: [&str; 5] = [
    "customresourcedefinitions",
    "namespaces",
    "nodes",
    "platforms",
    "validatingwebhookconfigurations",
];

/// The path of a kind's objects in a namespace, the kind as kubectl takes it; nothing where kubectl has to find it.
fn path(kind: &str, namespace: &str) -> Option<String> {
    let (plural, api) = match kind.split_once('.') {
        Some((plural, "headworks.dev")) => (plural, "apis/headworks.dev/v1alpha1"),
        Some((plural, "kafka.strimzi.io")) => (plural, "apis/kafka.strimzi.io/v1"),
        Some((plural, "events.k8s.io")) => (plural, "apis/events.k8s.io/v1"),
        Some((plural, "admissionregistration.k8s.io")) => {
            (plural, "apis/admissionregistration.k8s.io/v1")
        }
        Some(_) => return None,
        None => match kind {
            "configmaps" | "namespaces" | "nodes" | "pods" | "secrets" | "services" => {
                (kind, "api/v1")
            }
            "secret" => ("secrets", "api/v1"),
            "deployments" | "statefulsets" => (kind, "apis/apps/v1"),
            "leases" => (kind, "apis/coordination.k8s.io/v1"),
            "poddisruptionbudgets" => (kind, "apis/policy/v1"),
            "crd" => ("customresourcedefinitions", "apis/apiextensions.k8s.io/v1"),
            _ => return None,
        },
    };
    Some(match namespace {
        _ if CLUSTER_WIDE.contains(&plural) => format!("/{api}/{plural}"),
        // As kubectl takes `-n ""`.
        "" => format!("/{api}/namespaces/default/{plural}"),
        _ => format!("/{api}/namespaces/{namespace}/{plural}"),
    })
}

/// The cluster of the environment's KUBECONFIG.
struct Api {
    runtime: Runtime,
    client: Client,
}

static API: OnceLock<Option<Api>> = OnceLock::new();

fn api() -> Option<&'static Api> {
    API.get_or_init(Api::connect).as_ref()
}

impl Api {
    fn connect() -> Option<Api> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .ok()?;
        let client = runtime.block_on(async {
            let context = KubeConfigOptions::default();
            let mut config = Config::from_kubeconfig(&context).await.ok()?;
            config.read_timeout = Some(LIMIT);
            Client::try_from(config).ok()
        })?;
        Some(Api { runtime, client })
    }

    /// Runs on the client's own thread, so that it may be called from within another runtime.
    fn ask(&self, request: &Request, what: What<'_>) -> Result<Value, kube::Error> {
        let request = match what {
            What::Object(name) => request.get(name, &GetParams::default()),
            What::Objects(selector) => request.list(&ListParams::default().labels(selector)),
            What::Made(object) => {
                request.create(&PostParams::default(), object.to_string().into_bytes())
            }
            What::New(object) => {
                let by = PostParams {
                    field_manager: Some(APPLIED_BY.to_owned()),
                    ..PostParams::default()
                };
                let made = request.create(&by, object.to_string().into_bytes());
                made.map(|mut made| {
                    let strict = format!("{}&fieldValidation=Strict", made.uri());
                    *made.uri_mut() = strict.parse().expect("a path and its query");
                    made
                })
            }
            What::Changed(name, patch) => {
                let by = PatchParams {
                    field_validation: Some(ValidationDirective::Strict),
                    ..PatchParams::apply(APPLIED_BY)
                };
                request.patch(name, &by, &Patch::Merge(patch))
            }
            What::Gone(name) => request.delete(name, &DeleteParams::default()),
            What::AllGone => {
                request.delete_collection(&DeleteParams::default(), &ListParams::default())
            }
        };
        let request = request.map_err(kube::Error::BuildRequest)?;
        let (client, (give, answer)) = (self.client.clone(), mpsc::channel());
        self.runtime.spawn(async move {
            let _ = give.send(client.request::<Value>(request).await);
        });
        answer.recv().unwrap_or(Ok(Value::Null))
    }
}

#[derive(Clone, Copy)]
enum What<'a> {
    /// One by its name.
    Object(&'a str),
    /// Those that a label selector takes; empty: all.
    Objects(&'a str),
    /// This is made.
    Made(&'a Value),
    /// This is applied for the first time.
    New(&'a Value),
    /// One is changed by a merge patch (RFC 7386), as apply changes it.
    Changed(&'a str, &'a Value),
    /// One is deleted, by its name; nobody waits for its end.
    Gone(&'a str),
    /// All are deleted.
    AllGone,
}

/// Makes a namespace; one that is there stays as it is.
pub(crate) fn make_namespace(object: &Value) {
    let api = api().expect("the cluster of KUBECONFIG");
    match api.ask(&Request::new("/api/v1/namespaces"), What::Made(object)) {
        Err(kube::Error::Api(status)) if status.code == 409 => {}
        made => drop(made.expect("a namespace is made")),
    }
}

/// Deletes a namespace with all objects of these kinds in it, and waits for none of them.
pub(crate) fn forget_namespace(name: &str, kinds: &str) {
    let Some(api) = api() else { return };
    for path in kinds.split(',').filter_map(|kind| path(kind, name)) {
        let _ = api.ask(&Request::new(path), What::AllGone);
    }
    let _ = api.ask(&Request::new("/api/v1/namespaces"), What::Gone(name));
}

/// One object, or why there is none; nothing where kubectl has to be asked.
pub(crate) fn get(kind: &str, name: &str, namespace: &str) -> Option<Result<Value, kube::Error>> {
    let request = Request::new(path(kind, namespace)?);
    Some(api()?.ask(&request, What::Object(name)))
}

/// Makes an object that isn't there, as apply does.
pub(crate) fn create(kind: &str, namespace: &str, object: &Value) -> Result<(), kube::Error> {
    change(kind, namespace, What::New(object))
}

/// Changes an object by a merge patch, as apply does.
pub(crate) fn patch(
    kind: &str,
    name: &str,
    namespace: &str,
    patch: &Value,
) -> Result<(), kube::Error> {
    change(kind, namespace, What::Changed(name, patch))
}

fn change(kind: &str, namespace: &str, what: What<'_>) -> Result<(), kube::Error> {
    let api = api().expect("the cluster of KUBECONFIG");
    let request = Request::new(path(kind, namespace).expect("a kind with a path"));
    api.ask(&request, what).map(drop)
}

/// Objects of a kind by label selector (empty: all), or why there is no answer; nothing where kubectl has to be asked.
pub(crate) fn list(
    kind: &str,
    namespace: &str,
    selector: &str,
) -> Option<Result<Vec<Value>, kube::Error>> {
    let request = Request::new(path(kind, namespace)?);
    let answer = api()?.ask(&request, What::Objects(selector));
    Some(answer.map(|list| list["items"].as_array().cloned().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::path;

    #[test]
    fn objects_are_where_kubectl_finds_them() {
        let found = |kind, namespace| path(kind, namespace).unwrap_or_default();
        assert_eq!(found("pods", "a"), "/api/v1/namespaces/a/pods");
        assert_eq!(found("secret", "a"), "/api/v1/namespaces/a/secrets");
        assert_eq!(found("namespaces", ""), "/api/v1/namespaces");
        assert_eq!(
            found("leases", ""),
            "/apis/coordination.k8s.io/v1/namespaces/default/leases"
        );
        let platforms = "/apis/headworks.dev/v1alpha1/platforms";
        assert_eq!(found("platforms.headworks.dev", "a"), platforms);
        let topics = "/apis/kafka.strimzi.io/v1/namespaces/a/kafkatopics";
        assert_eq!(found("kafkatopics.kafka.strimzi.io", "a"), topics);
        assert_eq!(path("ingresses.networking.k8s.io", "a"), None);
    }
}
