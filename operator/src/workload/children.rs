//! The children of any object with pods: the plan, a StatefulSet or Deployment, a Service if the pods take requests and, with a private
//! CA, a copy of the CA. Pure.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        apps::v1::{
            Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment, StatefulSet,
            StatefulSetSpec, StatefulSetUpdateStrategy,
        },
        core::v1::{ConfigMap, PodTemplateSpec, Service},
    },
    apimachinery::pkg::{
        apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference},
        util::intstr::IntOrString,
    },
};

use super::{
    definition::{Shape, Workload},
    plan_map::{PlanMap, plan_map},
    pod::{PodInputs, pod_template},
    service::service,
};
use crate::{apply::child_meta, connection, names::Key, retry::Error};

/// Everything that an object with pods consists of.
#[derive(Clone, Debug)]
pub struct Children {
    /// The plan.
    pub plan: PlanMap,
    /// Kafka's CA.
    pub ca: Option<ConfigMap>,
    /// The pods.
    pub pods: PodController,
    /// The address in front of them, if they take requests.
    pub service: Option<Service>,
}

/// What keeps the pods.
#[derive(Clone, Debug)]
pub enum PodController {
    /// Pods with numbers.
    StatefulSet(Box<StatefulSet>),
    /// Pods without.
    Deployment(Box<Deployment>),
}

impl PodController {
    /// The labels of its pods.
    pub fn labels(&self) -> BTreeMap<String, String> {
        let template = match self {
            Self::StatefulSet(set) => set.spec.as_ref().map(|spec| &spec.template),
            Self::Deployment(deployment) => deployment.spec.as_ref().map(|spec| &spec.template),
        };
        let meta = template.and_then(|template| template.metadata.as_ref());
        meta.and_then(|meta| meta.labels.clone())
            .unwrap_or_default()
    }
}

/// Builds all of it. `image` is the runtime's, where the template names none.
///
/// # Errors
/// `PlanTooLarge`.
pub fn build(
    workload: &Workload,
    owner: &Key,
    reference: &OwnerReference,
    image: &str,
) -> Result<Children, Error> {
    let meta = |name: String| child_meta(name, owner, reference.clone());
    let plan = plan_map(&workload.plan, owner, reference.clone())?;
    let kafka = workload.kafka.as_ref();
    let pem = kafka.and_then(|kafka| kafka.ca.as_deref());
    let mut volumes = kafka.map_or_else(Vec::new, |kafka| {
        connection::volumes(&kafka.platform.platform.spec.kafka, owner)
    });
    volumes.extend(workload.volumes.iter().cloned());
    let template = pod_template(&PodInputs {
        owner,
        plan: &plan,
        image,
        template: &workload.template,
        volumes,
        ca: pem,
        http: workload.http.is_some(),
        spread: workload.shape != Shape::Single,
        needs: workload.needs.clone(),
    });
    let (replicas, of_pods) = (workload.pods(), meta(workload.name.clone()));
    let pods = match workload.shape {
        Shape::StatefulSet => {
            PodController::StatefulSet(Box::new(stateful_set(of_pods, owner, replicas, template)))
        }
        Shape::Deployment | Shape::Single => {
            let strategy = strategy(workload.shape);
            let deployment = deployment(of_pods, owner, replicas, strategy, template);
            PodController::Deployment(Box::new(deployment))
        }
    };
    Ok(Children {
        ca: pem.map(|pem| connection::ca_config_map(meta(connection::ca_name(owner)), pem)),
        service: (workload.http.as_ref()).map(|http| service(owner, reference, http)),
        plan,
        pods,
    })
}

fn selector(owner: &Key) -> LabelSelector {
    LabelSelector {
        match_labels: Some(owner.selector()),
        match_expressions: None,
    }
}

fn stateful_set(
    metadata: ObjectMeta,
    owner: &Key,
    replicas: i32,
    template: PodTemplateSpec,
) -> StatefulSet {
    StatefulSet {
        spec: Some(StatefulSetSpec {
            replicas: Some(replicas),
            service_name: metadata.name.clone(),
            pod_management_policy: Some("Parallel".into()),
            revision_history_limit: Some(2),
            selector: selector(owner),
            update_strategy: Some(StatefulSetUpdateStrategy {
                type_: Some("RollingUpdate".into()),
                rolling_update: None,
            }),
            template,
            ..StatefulSetSpec::default()
        }),
        metadata,
        ..StatefulSet::default()
    }
}

fn deployment(
    metadata: ObjectMeta,
    owner: &Key,
    replicas: i32,
    strategy: DeploymentStrategy,
    template: PodTemplateSpec,
) -> Deployment {
    Deployment {
        metadata,
        spec: Some(DeploymentSpec {
            replicas: Some(replicas),
            revision_history_limit: Some(2),
            selector: selector(owner),
            strategy: Some(strategy),
            template,
            ..DeploymentSpec::default()
        }),
        ..Deployment::default()
    }
}

fn strategy(shape: Shape) -> DeploymentStrategy {
    if shape == Shape::Single {
        return DeploymentStrategy {
            type_: Some("Recreate".into()),
            rolling_update: None,
        };
    }
    DeploymentStrategy {
        type_: Some("RollingUpdate".into()),
        rolling_update: Some(RollingUpdateDeployment {
            max_surge: Some(IntOrString::Int(1)),
            max_unavailable: Some(IntOrString::Int(0)),
        }),
    }
}
