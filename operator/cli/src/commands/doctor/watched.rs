//! Which namespaces the operator looks at, and what that means for an object that is being deleted: its finalizer goes only where
//! somebody looks.

use std::collections::BTreeSet;
use std::time::Duration;

use headworks_crds::{FINALIZER, GROUP, kinds};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::api::{Api, DynamicObject, ListParams};

use super::Item;
use super::checks::OPERATOR;
use crate::cluster::Cluster;

/// The argument that names one namespace to the operator.
const ARGUMENT: &str = "--watch-namespace=";
/// A deletion that takes longer isn't going by itself: Kafka is asked for a minute or two, not more.
const LONG: Duration = Duration::from_secs(600);

/// The namespaces that an operator of the cluster looks at.
#[derive(Clone, Debug, Default)]
pub enum Watched {
    /// All; or nobody could say.
    #[default]
    All,
    /// These.
    Some(BTreeSet<String>),
}

impl Watched {
    /// As the operators' Deployments say.
    pub async fn of(cluster: &Cluster) -> Watched {
        let api: Api<Deployment> = Api::all(cluster.client.clone());
        let list = api.list(&ListParams::default().labels(OPERATOR)).await;
        list.map_or(Watched::All, |list| Watched::by(&list.items))
    }

    /// By all of them: where one looks everywhere, or there is none, nothing is left out.
    fn by(deployments: &[Deployment]) -> Watched {
        let mut all = BTreeSet::new();
        for deployment in deployments {
            let pod = deployment
                .spec
                .as_ref()
                .and_then(|s| s.template.spec.as_ref());
            let containers = pod.map(|pod| pod.containers.as_slice()).unwrap_or_default();
            let arguments = containers.iter().flat_map(|c| c.args.iter().flatten());
            let named: BTreeSet<String> = arguments
                .filter_map(|argument| argument.strip_prefix(ARGUMENT))
                .map(str::to_owned)
                .collect();
            if named.is_empty() {
                return Watched::All;
            }
            all.extend(named);
        }
        if all.is_empty() {
            Watched::All
        } else {
            Watched::Some(all)
        }
    }

    /// What is to be said of an object because of where it is, or because it is being deleted; nothing of any other.
    pub fn look(
        &self,
        kind: &str,
        title: &str,
        object: &DynamicObject,
        now: Timestamp,
    ) -> Option<Item> {
        let namespace = object.namespace();
        let unseen = match (self, &namespace) {
            (Watched::Some(all), Some(namespace)) => !all.contains(namespace),
            _ => false,
        };
        let ours = object.finalizers().iter().any(|f| f == FINALIZER);
        let Some(since) = &object.metadata.deletion_timestamp else {
            return unseen.then(|| {
                let said = "nobody looks at it: its namespace isn't in the operator's watchNamespaces";
                let remedy = if ours {
                    "add the namespace; or delete the object while it is in there: its finalizer goes only where the operator looks"
                } else {
                    "add the namespace, or delete the object"
                };
                Item::warning(title, said, remedy)
            });
        };
        let waits = object.finalizers().join(", ");
        if unseen && ours {
            return Some(Item::problem(
                title,
                "is being deleted, and nobody sees to it: its namespace isn't in the operator's watchNamespaces",
                format!(
                    "add the namespace until the object is gone; or {}",
                    let_go(kind, object)
                ),
            ));
        }
        let minutes = Duration::try_from(now.duration_since(since.0))
            .unwrap_or_default()
            .as_secs()
            / 60;
        if ours && minutes * 60 >= LONG.as_secs() {
            return Some(Item::problem(
                title,
                format!("is being deleted for {minutes} minutes, and waits for {waits}"),
                format!(
                    "its event DeletionDelayed says why; where its namespace is being deleted, too, the operator's rights in it may have gone first: {}",
                    let_go(kind, object)
                ),
            ));
        }
        Some(Item::warning(
            title,
            format!("is being deleted and waits for {waits}"),
            "it goes by itself while the operator runs; read its events",
        ))
    }
}

/// How an object is let go by hand, and what that leaves.
fn let_go(kind: &str, object: &DynamicObject) -> String {
    let plural = kinds::named(kind).map_or(kind, |kind| kind.plural);
    let within = object.namespace();
    let within = within.map_or_else(String::new, |namespace| format!(" -n {namespace}"));
    format!(
        "let it go, and what it has in Kafka stays (headworks leftovers): kubectl patch {plural}.{GROUP} {}{within} --type merge -p '{{\"metadata\":{{\"finalizers\":null}}}}'",
        object.name_any()
    )
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::Health;
    use super::*;

    fn operator(arguments: &[&str]) -> Deployment {
        let container = json!({"name": "operator", "args": arguments});
        let template = json!({"spec": {"containers": [container]}});
        let deployment = json!({"spec": {"selector": {}, "template": template}});
        serde_json::from_value(deployment).unwrap_or_else(|e| panic!("{e}"))
    }

    fn said(watched: &Watched, more: &Value) -> Option<(Health, String, String)> {
        let mut body = json!({"apiVersion": "headworks.dev/v1alpha1", "kind": "Pipeline",
            "metadata": {"name": "p", "namespace": "shop", "finalizers": [FINALIZER]}});
        for (name, value) in more.as_object().into_iter().flatten() {
            body["metadata"][name] = value.clone();
        }
        let object = serde_json::from_value(body).unwrap_or_else(|e| panic!("{e}"));
        let now = "2026-11-30T10:00:00Z"
            .parse()
            .unwrap_or_else(|e| panic!("{e}"));
        let item = watched.look("Pipeline", "Pipeline shop/p", &object, now)?;
        Some((item.health, item.said, item.remedy))
    }

    #[test]
    fn one_that_looks_everywhere_leaves_nothing_out() {
        let some = operator(&["--watch-namespace=shop", "--strimzi-namespace=kafka"]);
        let other = operator(&["--watch-namespace=audit"]);
        let all = operator(&["--network-policies"]);
        let by = |all: &[Deployment]| match Watched::by(all) {
            Watched::All => "all".to_owned(),
            Watched::Some(names) => names.into_iter().collect::<Vec<_>>().join(" "),
        };
        assert_eq!(by(std::slice::from_ref(&some)), "shop");
        assert_eq!(by(&[some.clone(), other]), "audit shop");
        assert_eq!(by(&[some, all]), "all");
        assert_eq!(by(&[]), "all");
    }

    #[test]
    fn an_object_that_would_hang_for_ever_is_a_problem_with_the_way_out() {
        let here = Watched::by(&[operator(&["--watch-namespace=shop"])]);
        let elsewhere = Watched::by(&[operator(&["--watch-namespace=audit"])]);
        let deleted = |at: &str| json!({"deletionTimestamp": at, "deletionGracePeriodSeconds": 0});
        // Off the list.
        assert_eq!(said(&here, &json!({})), None);
        let (health, told, _) = said(&elsewhere, &json!({})).unwrap_or_else(|| panic!("nothing"));
        assert_eq!(health, Health::Warning);
        assert!(told.contains("watchNamespaces"), "{told}");
        let just = deleted("2026-11-30T09:59:00Z");
        let (health, told, remedy) = said(&elsewhere, &just).unwrap_or_else(|| panic!("nothing"));
        assert_eq!(health, Health::Problem);
        assert!(told.contains("nobody sees to it"), "{told}");
        let patch = "kubectl patch pipelines.headworks.dev p -n shop --type merge -p '{\"metadata\":{\"finalizers\":null}}'";
        assert!(remedy.ends_with(patch), "{remedy}");
        // The operator is at it; and then it takes too long.
        let (health, ..) = said(&here, &just).unwrap_or_else(|| panic!("nothing"));
        assert_eq!(health, Health::Warning);
        let long = deleted("2026-11-30T09:48:00Z");
        let (health, told, remedy) = said(&here, &long).unwrap_or_else(|| panic!("nothing"));
        assert_eq!(health, Health::Problem);
        assert!(told.contains("for 12 minutes"), "{told}");
        assert!(
            remedy.contains("DeletionDelayed") && remedy.ends_with(patch),
            "{remedy}"
        );
        // What waits for somebody else isn't ours to let go.
        let foreign =
            json!({"finalizers": ["other/one"], "deletionTimestamp": "2026-11-30T09:00:00Z"});
        let (health, _, remedy) = said(&here, &foreign).unwrap_or_else(|| panic!("nothing"));
        assert!(
            health == Health::Warning && !remedy.contains("patch"),
            "{remedy}"
        );
    }
}
