//! What a StatefulSet or Deployment says of its pods, in the same words.

use k8s_openapi::{
    api::apps::v1::{Deployment, StatefulSet},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

/// How many pods there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Pods that exist.
    pub replicas: i32,
    /// Pods that are ready.
    pub ready: i32,
    /// Pods of the present template, as far as they count for a roll-out.
    pub updated: i32,
    /// True: the counts are about the present generation.
    pub observed: bool,
    /// A StatefulSet's: the revision that its pods are to be of.
    pub update_revision: Option<String>,
}

impl From<&StatefulSet> for Counts {
    fn from(set: &StatefulSet) -> Self {
        let status = set.status.clone().unwrap_or_default();
        // A StatefulSet counts as updated only pods of a roll-out that isn't complete; afterwards all are.
        let updated = if status.current_revision == status.update_revision {
            status.replicas
        } else {
            status.updated_replicas.unwrap_or(0)
        };
        Self {
            replicas: status.replicas,
            ready: status.ready_replicas.unwrap_or(0),
            updated,
            observed: observed(&set.metadata, status.observed_generation),
            update_revision: status.update_revision,
        }
    }
}

impl From<&Deployment> for Counts {
    fn from(deployment: &Deployment) -> Self {
        let status = deployment.status.clone().unwrap_or_default();
        Self {
            replicas: status.replicas.unwrap_or(0),
            ready: (status.ready_replicas.unwrap_or(0)).min(status.available_replicas.unwrap_or(0)),
            updated: rolled_out(status.replicas, status.updated_replicas),
            observed: observed(&deployment.metadata, status.observed_generation),
            update_revision: None,
        }
    }
}

/// True: a status of that generation is about the object as it is.
pub fn observed(meta: &ObjectMeta, generation: Option<i64>) -> bool {
    meta.generation.is_some() && generation >= meta.generation
}

/// How many pods of a Deployment's present template count: while pods of an older one serve beside them, the ready
/// ones may all be old, so each old pod takes one away.
pub fn rolled_out(replicas: Option<i32>, updated: Option<i32>) -> i32 {
    let updated = updated.unwrap_or(0);
    updated - (replicas.unwrap_or(0) - updated).max(0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_new_pod_that_never_becomes_ready_beside_an_old_one_that_serves_is_no_success() {
        assert_eq!(rolled_out(Some(2), Some(1)), 0, "one old, one new");
        assert_eq!(rolled_out(Some(1), Some(1)), 1);
        assert_eq!(rolled_out(None, None), 0);
    }

    #[test]
    fn all_pods_of_a_stateful_set_are_updated_once_its_roll_out_is_complete() {
        let updated = |update: &str| {
            let set: StatefulSet = serde_json::from_value(json!({"metadata": {"generation": 2},
                "status": {"replicas": 3, "updatedReplicas": 1, "observedGeneration": 2,
                           "currentRevision": "r1", "updateRevision": update}}))
            .unwrap();
            Counts::from(&set).updated
        };
        assert_eq!((updated("r1"), updated("r2")), (3, 1));
    }
}
