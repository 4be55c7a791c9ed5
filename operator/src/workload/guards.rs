//! What stands around a workload's pods: a PodDisruptionBudget, so that a drain takes one of several at a time, and a NetworkPolicy
//! where the chart asks for it. Pure, but for [`protect`], which writes them.

use std::collections::BTreeMap;

use headworks_plan::{HTTP_PORT, STATUS_PORT};
use k8s_openapi::{
    api::{
        networking::v1::{
            NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort,
            NetworkPolicySpec,
        },
        policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec},
    },
    apimachinery::pkg::{
        apis::meta::v1::{LabelSelector, OwnerReference},
        util::intstr::IntOrString,
    },
};
use kube::{
    ResourceExt,
    core::{Selector, SelectorExt},
    runtime::reflector::Store,
};

use crate::{
    apply::child_meta,
    context::{Context, Network},
    names::Key,
    owned,
    retry::Error,
    stores,
};

/// The label of a namespace that Kubernetes sets to its name.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// Name of an object's PodDisruptionBudget and NetworkPolicy. Two kinds may have objects of one name.
fn name(owner: &Key) -> String {
    format!("{}-{}", owner.name, owner.kind.to_lowercase())
}

fn own(owner: &Key) -> LabelSelector {
    LabelSelector {
        match_labels: Some(owner.selector()),
        match_expressions: None,
    }
}

/// The budget of an object with several pods; one that has a single pod has none, because it would keep its node from being
/// drained.
pub fn disruption_budget(
    owner: &Key,
    reference: &OwnerReference,
    pods: i32,
) -> Option<PodDisruptionBudget> {
    (pods >= 2).then(|| PodDisruptionBudget {
        metadata: child_meta(name(owner), owner, reference.clone()),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            // Pods that can't become ready must not keep a node either.
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".into()),
            selector: Some(own(owner)),
            ..PodDisruptionBudgetSpec::default()
        }),
        ..PodDisruptionBudget::default()
    })
}

/// Who may connect to an object's pods: everybody to the port that takes records, the operator and those that scrape metrics to
/// the status port, and nobody to any other. What the pods connect to is left open: brokers, databases and registries are wherever
/// their addresses say, also outside the cluster, and a policy knows no names.
pub fn network_policy(
    owner: &Key,
    reference: &OwnerReference,
    http: bool,
    network: &Network,
) -> NetworkPolicy {
    let port = |number: u16| {
        Some(vec![NetworkPolicyPort {
            port: Some(IntOrString::Int(i32::from(number))),
            protocol: Some("TCP".into()),
            end_port: None,
        }])
    };
    let namespace = |name: &str| LabelSelector {
        match_labels: Some([(NAMESPACE_NAME.to_owned(), name.to_owned())].into()),
        match_expressions: None,
    };
    let operator = NetworkPolicyPeer {
        namespace_selector: Some(namespace(&network.operator)),
        pod_selector: Some(LabelSelector {
            match_labels: Some(
                [(
                    "app.kubernetes.io/name".to_owned(),
                    "headworks-operator".to_owned(),
                )]
                .into(),
            ),
            match_expressions: None,
        }),
        ip_block: None,
    };
    let scrapers = network.metrics.iter().map(|name| NetworkPolicyPeer {
        namespace_selector: Some(namespace(name)),
        ..NetworkPolicyPeer::default()
    });
    let mut ingress = vec![NetworkPolicyIngressRule {
        from: Some([operator].into_iter().chain(scrapers).collect()),
        ports: port(STATUS_PORT),
    }];
    if http {
        ingress.push(NetworkPolicyIngressRule {
            from: None,
            ports: port(HTTP_PORT),
        });
    }
    NetworkPolicy {
        metadata: child_meta(name(owner), owner, reference.clone()),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(own(owner)),
            policy_types: Some(vec!["Ingress".into()]),
            ingress: Some(ingress),
            egress: None,
        }),
    }
}

/// Name of a budget of the user's own that covers these pods, if there is one. Kubernetes evicts no pod that two budgets cover, so
/// ours would keep its node from being drained.
fn covered(
    budgets: &Store<PodDisruptionBudget>,
    namespace: &str,
    labels: &BTreeMap<String, String>,
) -> Option<String> {
    let others = budgets.state_filter(|budget| {
        budget.metadata.namespace.as_deref() == Some(namespace)
            && owned::claims(&budget.metadata).is_none()
            && selects(budget, labels)
    });
    others.iter().map(|budget| budget.name_any()).min()
}

/// True if a budget covers pods with these labels: an empty selector covers all, an absent one none (policy/v1).
fn selects(budget: &PodDisruptionBudget, labels: &BTreeMap<String, String>) -> bool {
    let selector = budget.spec.as_ref().and_then(|spec| spec.selector.clone());
    let selector = selector.and_then(|selector| Selector::try_from(selector).ok());
    selector.is_some_and(|selector| selector.matches(labels))
}

/// Makes both so, and takes away what is no longer wanted. Gives the name of a budget of the user's own that stands in the place of
/// ours. `labels` are the pods'.
///
/// # Errors
/// What the API server says.
pub async fn protect(
    context: &Context,
    owner: &Key,
    reference: &OwnerReference,
    (pods, labels): (i32, &BTreeMap<String, String>),
    http: bool,
) -> Result<Option<String>, Error> {
    let uid = &reference.uid;
    let budgets = &context.stores.budgets;
    let ours = disruption_budget(owner, reference, pods);
    let theirs = (ours.as_ref()).and_then(|_| covered(budgets, &owner.namespace, labels));
    match ours.filter(|_| theirs.is_none()) {
        Some(budget) => {
            context.apply(budgets, &budget, uid).await?;
        }
        None => {
            for budget in stores::children(budgets, owner, uid) {
                context.remove(budget.as_ref()).await?;
            }
        }
    }
    if let Some(network) = &context.settings.network {
        let policy = network_policy(owner, reference, http, network);
        context
            .apply(&context.stores.network_policies, &policy, uid)
            .await?;
    }
    Ok(theirs)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::context::testing::{calls, context, store, stores};

    fn owner() -> Key {
        Key::new("Pipeline", "shop", "revenue")
    }

    #[test]
    fn several_pods_have_a_budget_and_a_single_one_never_holds_up_a_drain() {
        let budget = |pods| disruption_budget(&owner(), &OwnerReference::default(), pods);
        assert_eq!(budget(0), None);
        assert_eq!(budget(1), None);
        insta::assert_yaml_snapshot!("budget", budget(2).unwrap());
        // It says nothing of their number, so scaling writes nothing.
        assert_eq!(budget(2), budget(9));
    }

    #[test]
    fn only_the_ports_that_are_served_can_be_reached() {
        let network = Network {
            operator: "headworks-system".into(),
            metrics: vec!["monitoring".into()],
        };
        let policy = |http| network_policy(&owner(), &OwnerReference::default(), http, &network);
        insta::assert_yaml_snapshot!("network_policy", policy(false));
        insta::assert_yaml_snapshot!("network_policy_http", policy(true));
    }

    fn theirs(namespace: &str, selector: &Value) -> PodDisruptionBudget {
        serde_json::from_value(
            json!({"metadata": {"name": "theirs", "namespace": namespace, "uid": "t"},
            "spec": {"minAvailable": 1, "selector": selector}}),
        )
        .unwrap()
    }

    #[test]
    fn a_users_budget_covers_what_its_selector_says() {
        let labels = owner().labels();
        let name = json!({"matchLabels": {"headworks.dev/name": "revenue"}});
        let covers = |namespace: &str, selector: &Value| {
            let budgets = store(vec![theirs(namespace, selector)]);
            covered(&budgets, "shop", &labels).is_some()
        };
        assert!(covers("shop", &name));
        assert!(!covers("other", &name), "another namespace");
        assert!(covers("shop", &json!({})), "all pods");
        assert!(!covers("shop", &Value::Null), "none");
        let kinds = |operator: &str, values: &Value| {
            let by = json!({"key": "headworks.dev/kind", "operator": operator, "values": values});
            json!({"matchExpressions": [by]})
        };
        assert!(covers("shop", &kinds("In", &json!(["Pipeline"]))));
        assert!(!covers("shop", &kinds("NotIn", &json!(["Pipeline"]))));
        assert!(covers("shop", &kinds("Exists", &Value::Null)));
        let other = json!({"matchLabels": {"headworks.dev/name": "other"}});
        assert!(!covers("shop", &other));
    }

    #[tokio::test]
    async fn ours_goes_where_a_user_has_one_since_two_keep_every_pod_from_being_evicted() {
        let reference = OwnerReference {
            api_version: "headworks.dev/v1alpha1".into(),
            kind: "Pipeline".into(),
            name: "revenue".into(),
            uid: "1".into(),
            controller: Some(true),
            ..OwnerReference::default()
        };
        let all = theirs("shop", &json!({}));
        let ours = disruption_budget(&owner(), &reference, 2).unwrap();
        let protected = async |budgets: Vec<PodDisruptionBudget>| {
            let (context, asked) = context(crate::stores::Stores {
                budgets: store(budgets),
                ..stores()
            });
            let labels = owner().labels();
            let pods = (2, &labels);
            let named = protect(&context, &owner(), &reference, pods, false).await;
            (
                named.unwrap(),
                calls(&asked, "DELETE"),
                calls(&asked, "PATCH"),
            )
        };
        let (named, gone, written) = protected(vec![all.clone(), ours]).await;
        assert_eq!(named.as_deref(), Some("theirs"));
        let path = "/apis/policy/v1/namespaces/shop/poddisruptionbudgets/revenue-pipeline";
        assert_eq!(
            (gone.as_slice(), written.len()),
            (&[path.to_owned()][..], 0)
        );
        let (named, gone, written) = protected(vec![all]).await;
        assert_eq!((named.is_some(), gone.len(), written.len()), (true, 0, 0));
    }
}
