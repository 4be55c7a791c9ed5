//! PodDisruptionBudgets: ours, and those that users make. Kubernetes evicts no pod that two of them cover, so ours steps aside where
//! a user has one for the same pods (`workload::guards`). A user's that comes, goes or covers other pods wakes the objects with pods
//! in its namespace.

use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::{
    ResourceExt,
    runtime::{reflector::Store, watcher},
};

use super::Watching;
use crate::{
    held,
    indexes::{Indexes, WatchedFields},
    names::Key,
    owned::Lineage,
    supervise::Task,
    watch::{WatchEvent, watch},
};

/// Watches all of them: those of users carry no label of ours.
pub(super) fn budgets(at: &Watching<'_>, tasks: &mut Vec<Task>) -> Store<PodDisruptionBudget> {
    let (indexes, lineage) = (at.indexes.clone(), at.lineage.clone());
    let watches = at.scope.watches(at.client, &watcher::Config::default());
    let (store, task) = watch(
        watches,
        held::budgets(),
        at.metrics.clone(),
        move |change| {
            changed(&change, &lineage, &indexes);
        },
    );
    tasks.push(Box::pin(task));
    store
}

fn changed(change: &WatchEvent<PodDisruptionBudget>, lineage: &Lineage, indexes: &Indexes) {
    let (budget, here) = match change {
        WatchEvent::Applied(budget) => (budget, true),
        WatchEvent::Removed(budget) => (budget, false),
    };
    if let Some((owner, uid)) = lineage.owner(&budget.metadata) {
        indexes.enqueue_owner(&owner, &uid);
        return;
    }
    let namespace = budget.namespace().unwrap_or_default();
    let key = Key::new("PodDisruptionBudget", &namespace, &budget.name_any());
    let covers_others = if here {
        let selector = budget.spec.as_ref().map(|spec| &spec.selector);
        let facts = WatchedFields {
            uid: budget.uid().unwrap_or_default(),
            detail: format!("{selector:?}"),
            ..WatchedFields::default()
        };
        indexes.observe(&key, &facts)
    } else {
        indexes.removed(&key);
        true
    };
    if covers_others {
        for (owner, uid) in lineage.owners_in(&namespace) {
            indexes.enqueue_owner(&owner, &uid);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Instant};

    use k8s_openapi::api::apps::v1::StatefulSet;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_users_budget_wakes_what_has_pods_beside_it_and_its_figures_wake_nobody() {
        let (indexes, lineage) = (Indexes::default(), Lineage::default());
        let mut queue = indexes.queue("Pipeline");
        let mut woken = || std::iter::from_fn(|| queue.try_recv().ok()).count();
        indexes.here(&Key::new("Pipeline", "shop", "p"), "1");
        let set: StatefulSet = serde_json::from_value(json!({"metadata": {"name": "p", "namespace": "shop", "uid": "s",
            "ownerReferences": [{"apiVersion": "headworks.dev/v1alpha1", "kind": "Pipeline", "name": "p", "uid": "1", "controller": true}]}}))
        .unwrap();
        lineage.seen(&set.metadata, true, Instant::now());
        let theirs = |namespace: &str, app: &str, healthy: i32| -> Arc<PodDisruptionBudget> {
            let body = json!({"metadata": {"name": "theirs", "namespace": namespace, "uid": "b"},
                "spec": {"selector": {"matchLabels": {"app": app}}},
                "status": {"currentHealthy": healthy, "desiredHealthy": 1, "disruptionsAllowed": 0, "expectedPods": 2}});
            Arc::new(serde_json::from_value(body).unwrap())
        };
        let mut told = |change: WatchEvent<PodDisruptionBudget>| {
            changed(&change, &lineage, &indexes);
            woken()
        };
        assert_eq!(told(WatchEvent::Applied(theirs("shop", "a", 1))), 1);
        assert_eq!(told(WatchEvent::Applied(theirs("shop", "a", 2))), 0);
        assert_eq!(told(WatchEvent::Applied(theirs("shop", "b", 2))), 1);
        assert_eq!(told(WatchEvent::Applied(theirs("other", "a", 1))), 0);
        assert_eq!(told(WatchEvent::Removed(theirs("shop", "b", 2))), 1);
    }
}
