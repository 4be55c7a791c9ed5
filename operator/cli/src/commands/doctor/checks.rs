//! The installation: API server, CRDs, operator, Lease, and what the user may do.

use headworks_crds::{GROUP, VERSION, kinds, manifest};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ListParams, PostParams};
use kube::{Api, ResourceExt};

use super::Item;
use crate::cluster::{Cluster, said};
use crate::{End, output};

/// The operator's pods and Deployment carry it.
pub const OPERATOR: &str = "app.kubernetes.io/name=headworks-operator";
/// Name of the operator's Lease.
const LEASE: &str = "headworks-operator";
/// A Lease is renewed every few seconds.
const STALE_SECONDS: i64 = 60;

/// Does it answer?
pub async fn cluster(cluster: &Cluster) -> Result<Item, End> {
    match cluster.client.apiserver_version().await {
        Ok(version) => Ok(Item::ok(
            "cluster",
            format!("Kubernetes {}", version.git_version),
        )),
        Err(error) => {
            output::note(&format!(
                "headworks: the cluster at {} can't be reached: {}; check KUBECONFIG and --context",
                cluster.server,
                said(&error)
            ));
            Err(End::Unreadable)
        }
    }
}

/// Are the CRDs there, and of this version?
pub async fn crds(cluster: &Cluster) -> Vec<Item> {
    let api: Api<CustomResourceDefinition> = Api::all(cluster.client.clone());
    let (mut items, mut same) = (Vec::new(), 0);
    for ours in manifest::all() {
        let name = ours.name_any();
        let what = format!("kind {}", ours.spec.names.kind);
        match api.get_opt(&name).await {
            Ok(None) => items.push(Item::problem(
                what,
                format!("CustomResourceDefinition {name} isn't there"),
                "install it: helm upgrade --install headworks-crds charts/headworks-crds",
            )),
            Ok(Some(theirs)) if !serves(&theirs) => items.push(Item::problem(
                what,
                format!("CustomResourceDefinition {name} doesn't serve {GROUP}/{VERSION}"),
                "upgrade the CRDs: helm upgrade headworks-crds charts/headworks-crds",
            )),
            Ok(Some(theirs)) if schema(&theirs) != schema(&ours) => items.push(Item::warning(
                what,
                format!(
                    "CustomResourceDefinition {name} isn't of this command's version ({})",
                    env!("CARGO_PKG_VERSION")
                ),
                "use the headworks command and the charts of one version",
            )),
            Ok(Some(_)) => same += 1,
            Err(error) => items.push(Item::warning(
                what,
                format!(
                    "CustomResourceDefinition {name} can't be read: {}",
                    said(&error)
                ),
                "ask for the right to get customresourcedefinitions, or go on without",
            )),
        }
    }
    if same > 0 {
        items.insert(
            0,
            Item::ok("kinds", format!("{same} are there, of this version")),
        );
    }
    items
}

fn serves(crd: &CustomResourceDefinition) -> bool {
    crd.spec
        .versions
        .iter()
        .any(|version| version.name == VERSION && version.served)
}

fn schema(crd: &CustomResourceDefinition) -> Option<serde_json::Value> {
    let version = crd.spec.versions.iter().find(|v| v.name == VERSION)?;
    serde_json::to_value(version.schema.as_ref()?).ok()
}

/// Does the operator run, and who leads?
pub async fn operator(cluster: &Cluster) -> Vec<Item> {
    let api: Api<Deployment> = Api::all(cluster.client.clone());
    let list = match api.list(&ListParams::default().labels(OPERATOR)).await {
        Ok(list) => list,
        Err(error) => {
            return vec![Item::warning(
                "operator",
                format!("can't be looked at: {}", said(&error)),
                "ask for the right to list deployments, or go on without",
            )];
        }
    };
    if list.items.is_empty() {
        return vec![Item::problem(
            "operator",
            "isn't installed: no Deployment is labelled as Headworks'",
            "install it: helm install headworks charts/headworks -n headworks-system --create-namespace …",
        )];
    }
    let mut items = Vec::new();
    for deployment in &list.items {
        let (namespace, name) = (
            deployment.namespace().unwrap_or_default(),
            deployment.name_any(),
        );
        let status = deployment.status.clone().unwrap_or_default();
        let wanted = deployment
            .spec
            .as_ref()
            .and_then(|s| s.replicas)
            .unwrap_or(1);
        let ready = status.ready_replicas.unwrap_or(0);
        let said = format!("{ready} of {wanted} replicas are ready ({namespace}/{name})");
        items.push(if ready == 0 {
            Item::problem(
                "operator",
                said,
                format!("kubectl -n {namespace} describe pods -l {OPERATOR}; kubectl -n {namespace} logs deploy/{name}"),
            )
        } else if ready < wanted {
            Item::warning(
                "operator",
                said,
                format!("kubectl -n {namespace} describe pods -l {OPERATOR}"),
            )
        } else {
            Item::ok("operator", said)
        });
        items.push(lease(cluster, &namespace).await);
    }
    items
}

async fn lease(cluster: &Cluster, namespace: &str) -> Item {
    let api: Api<Lease> = Api::namespaced(cluster.client.clone(), namespace);
    let lease = match api.get_opt(LEASE).await {
        Ok(Some(lease)) => lease,
        Ok(None) => {
            return Item::problem(
                "leader",
                format!("there is no Lease {namespace}/{LEASE}: no operator has ever led"),
                "look at the operator's log",
            );
        }
        Err(error) => {
            return Item::warning(
                "leader",
                format!("can't be looked at: {}", said(&error)),
                "",
            );
        }
    };
    let spec = lease.spec.unwrap_or_default();
    let holder = spec.holder_identity.unwrap_or_default();
    let age = spec
        .renew_time
        .map(|time| Timestamp::now().as_second() - time.0.as_second());
    match age {
        Some(age) if !holder.is_empty() && age <= STALE_SECONDS => Item::ok(
            "leader",
            format!("{holder}, who renewed the Lease {age} s ago"),
        ),
        Some(age) if !holder.is_empty() => Item::problem(
            "leader",
            format!("{holder} renewed the Lease {age} s ago, which is too long: nobody reconciles"),
            "look at the operator's pods and log",
        ),
        _ => Item::problem(
            "leader",
            "nobody holds the Lease: nobody reconciles",
            "look at the operator's pods and log",
        ),
    }
}

async fn may(
    cluster: &Cluster,
    namespace: Option<&str>,
    group: &str,
    resource: &str,
    verb: &str,
) -> Option<bool> {
    let api: Api<SelfSubjectAccessReview> = Api::all(cluster.client.clone());
    let (resource, subresource) = match resource.split_once('/') {
        Some((resource, sub)) => (resource, Some(sub.to_owned())),
        None => (resource, None),
    };
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                group: Some(group.to_owned()),
                resource: Some(resource.to_owned()),
                subresource,
                verb: Some(verb.to_owned()),
                namespace: namespace.map(str::to_owned),
                ..ResourceAttributes::default()
            }),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    let answer = api.create(&PostParams::default(), &review).await.ok()?;
    answer.status.map(|status| status.allowed)
}

/// May the user list streams of all namespaces?
pub async fn may_list_everywhere(cluster: &Cluster) -> bool {
    may(cluster, None, GROUP, "datastreams", "list")
        .await
        .unwrap_or(false)
}

/// What the user may do with Headworks' kinds.
pub async fn rights(cluster: &Cluster, namespace: Option<&str>) -> Item {
    let mut missing = Vec::new();
    let mut unknown = false;
    for kind in kinds::KINDS.iter().filter(|kind| kind.namespaced) {
        let resource = kind.plural;
        for verb in ["get", "list", "watch", "create", "patch", "delete"] {
            match may(cluster, namespace, GROUP, resource, verb).await {
                Some(true) => {}
                Some(false) => missing.push(format!("{verb} {resource}.{GROUP}")),
                None => unknown = true,
            }
        }
    }
    for (resource, verb) in [("pods", "list"), ("pods/log", "get"), ("events", "list")] {
        if may(cluster, namespace, "", resource, verb).await == Some(false) {
            missing.push(format!("{verb} {resource}"));
        }
    }
    let place = namespace.map_or_else(|| "all namespaces".to_owned(), |n| format!("namespace {n}"));
    if unknown {
        return Item::warning("your rights", "can't be asked for", "");
    }
    if missing.is_empty() {
        return Item::ok(
            "your rights",
            format!("you may read and write every kind in {place}"),
        );
    }
    Item::warning(
        "your rights",
        format!("in {place} you may not: {}", missing.join(", ")),
        "ask for a role with these verbs if you need them",
    )
}
