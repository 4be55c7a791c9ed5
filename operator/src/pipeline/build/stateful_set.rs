//! The StatefulSet of a Pipeline. Its pods have stable names, because a Kafka member and its transactions are
//! named by ordinal; they start and stop in parallel, because no pod needs another.

use k8s_openapi::{
    api::apps::v1::{StatefulSet, StatefulSetSpec, StatefulSetUpdateStrategy},
    apimachinery::pkg::apis::meta::v1::{LabelSelector, OwnerReference},
};

use crate::{
    apply::child_meta,
    names::Key,
    pipeline::validate::Valid,
    workload::{
        connection,
        plan_map::PlanMap,
        pod::{PodInputs, pod_template},
    },
};

/// The StatefulSet.
pub fn stateful_set(
    key: &Key,
    reference: &OwnerReference,
    valid: &Valid,
    plan: &PlanMap,
    image: &str,
) -> StatefulSet {
    let mut volumes = connection::volumes(&valid.kafka, key);
    volumes.extend(valid.volumes.iter().cloned());
    let inputs = PodInputs {
        owner: key,
        plan,
        image,
        template: &valid.template,
        volumes,
        ca: valid.ca.as_deref(),
        http: false,
        spread: true,
        needs: valid.needs.clone(),
    };
    StatefulSet {
        metadata: child_meta(&key.name, key, reference.clone()),
        spec: Some(StatefulSetSpec {
            replicas: Some(valid.replicas),
            service_name: Some(key.name.clone()),
            pod_management_policy: Some("Parallel".into()),
            revision_history_limit: Some(2),
            selector: LabelSelector {
                match_labels: Some(key.selector()),
                match_expressions: None,
            },
            update_strategy: Some(StatefulSetUpdateStrategy {
                type_: Some("RollingUpdate".into()),
                rolling_update: None,
            }),
            template: pod_template(&inputs),
            ..StatefulSetSpec::default()
        }),
        ..StatefulSet::default()
    }
}
