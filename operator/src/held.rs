//! What is held in memory of children: those that are ours by their controller, and of them what somebody reads.

use k8s_openapi::api::{
    apps::v1::ReplicaSet,
    core::v1::{ConfigMap, Pod, PodSpec, PodStatus, Volume},
    policy::v1::PodDisruptionBudget,
};
use kube::{Resource, core::PartialObjectMeta};

use crate::{bounds::Bound, owned, watch::Rules};

/// Names, labels and references of an object, about.
const META_BYTES: usize = 1_024;

/// Services, Deployments, StatefulSets: whole, because a reconcile compares them with what it wants.
pub fn children<K: Resource<DynamicType = ()>>() -> Rules<K> {
    Rules {
        ours: |child| owned::claims(child.meta()).is_some(),
        trim: |_| {},
        size: |_| 4 * META_BYTES,
        bound: Bound::CHILDREN,
    }
}

/// PodDisruptionBudgets: ours whole, and of users' which pods they cover.
pub fn budgets() -> Rules<PodDisruptionBudget> {
    Rules {
        ours: |_| true,
        trim: |budget| {
            if owned::claims(&budget.metadata).is_none() {
                budget.metadata.annotations = None;
                budget.metadata.labels = None;
                budget.status = None;
            }
        },
        size: |budget| {
            let selector = budget.spec.as_ref().and_then(|spec| spec.selector.as_ref());
            let texts = selector.map_or(0, |selector| format!("{selector:?}").len());
            META_BYTES + texts
        },
        bound: Bound::CHILDREN,
    }
}

/// Plans, CAs and contracts.
pub fn config_maps() -> Rules<ConfigMap> {
    Rules {
        ours: |map| owned::claims(&map.metadata).is_some() || owned::is_contract(map).is_some(),
        trim: |_| {},
        size: |map| {
            let texts = map.data.iter().flatten().map(|(_, text)| text.len());
            let bytes = map.binary_data.iter().flatten().map(|(_, b)| b.0.len());
            texts.chain(bytes).sum::<usize>() + META_BYTES
        },
        bound: Bound::CHILDREN,
    }
}

/// ReplicaSets, of which only whose they are is known.
pub fn replica_sets() -> Rules<PartialObjectMeta<ReplicaSet>> {
    Rules {
        ours: |set| {
            owned::workload_of(&set.metadata).is_some_and(|(kind, ..)| kind == "Deployment")
        },
        trim: |set| set.metadata.annotations = None,
        size: |_| META_BYTES,
        bound: Bound::CHILDREN,
    }
}

/// Pods of StatefulSets and Deployments.
pub fn pods() -> Rules<Pod> {
    Rules {
        ours: |pod| owned::workload_of(&pod.metadata).is_some(),
        trim: trimmed,
        size: |_| 2 * META_BYTES,
        bound: Bound::CHILDREN,
    }
}

/// A pod without what nobody reads: which ConfigMaps it mounts stays, and how it is.
fn trimmed(pod: &mut Pod) {
    pod.metadata.annotations = None;
    if let Some(spec) = &mut pod.spec {
        let volumes = spec.volumes.take().unwrap_or_default();
        let mounted = volumes.into_iter().filter(|v| v.config_map.is_some());
        *spec = PodSpec {
            volumes: Some(
                mounted
                    .map(|volume| Volume {
                        name: volume.name,
                        config_map: volume.config_map,
                        ..Volume::default()
                    })
                    .collect(),
            ),
            ..PodSpec::default()
        };
    }
    if let Some(status) = &mut pod.status {
        *status = PodStatus {
            phase: status.phase.take(),
            pod_ip: status.pod_ip.take(),
            conditions: status.conditions.take(),
            container_statuses: status.container_statuses.take(),
            ..PodStatus::default()
        };
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_keeps_what_is_read_of_it() {
        let mut pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "p-0", "annotations": {"a": "b"}, "labels": {"l": "m"}},
            "spec": {"containers": [{"name": "c", "env": [{"name": "E", "value": "secret"}]}], "nodeName": "n",
                "volumes": [{"name": "plan", "configMap": {"name": "p-plan-1"}}, {"name": "s", "secret": {"secretName": "x"}}]},
            "status": {"phase": "Running", "podIP": "10.0.0.1", "hostIP": "10.1.1.1", "conditions": [{"type": "Ready", "status": "True"}],
                "containerStatuses": [{"name": "c", "image": "i", "imageID": "", "ready": true, "restartCount": 0}]},
        }))
        .unwrap();
        trimmed(&mut pod);
        let left = serde_json::to_value(&pod).unwrap();
        let expected = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "p-0", "labels": {"l": "m"}},
            "spec": {"containers": [], "volumes": [{"name": "plan", "configMap": {"name": "p-plan-1"}}]},
            "status": {"phase": "Running", "podIP": "10.0.0.1", "conditions": [{"type": "Ready", "status": "True"}],
                "containerStatuses": [{"name": "c", "image": "i", "imageID": "", "ready": true, "restartCount": 0}]},
        });
        assert_eq!(left, expected);
    }

    #[test]
    fn a_foreign_pod_or_map_with_our_labels_is_not_held() {
        let labels = crate::names::Key::new("Pipeline", "shop", "p").labels();
        let meta =
            json!({"metadata": {"name": "p-2147483646", "namespace": "shop", "labels": labels}});
        let pod: Pod = serde_json::from_value(meta.clone()).unwrap();
        assert!(!(pods().ours)(&pod));
        let map: ConfigMap = serde_json::from_value(meta.clone()).unwrap();
        assert!(!(config_maps().ours)(&map));
        let set: PartialObjectMeta<ReplicaSet> = serde_json::from_value(meta).unwrap();
        assert!(!(replica_sets().ours)(&set));
        let large: ConfigMap =
            serde_json::from_value(json!({"metadata": {}, "data": {"a": "x".repeat(5_000)}}))
                .unwrap();
        assert_eq!((config_maps().size)(&large), 6_024);
    }
}
