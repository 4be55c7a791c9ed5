//! The Deployment of a Source. One that takes records in never has fewer ready pods than before in a roll-out; one
//! that makes them up never has two, because its records are one sequence.

use headworks_plan::{BEARER_DIR, HTTP_TLS_DIR};
use k8s_openapi::{
    api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment},
    apimachinery::pkg::{
        apis::meta::v1::{LabelSelector, OwnerReference},
        util::intstr::IntOrString,
    },
};

use crate::{
    apply::child_meta,
    names::Key,
    source::validate::Valid,
    workload::{
        connection,
        plan_map::PlanMap,
        pod::{PodInputs, pod_template},
        resources::Needs,
    },
};

/// The Deployment.
pub fn deployment(
    key: &Key,
    reference: &OwnerReference,
    valid: &Valid,
    plan: &PlanMap,
    image: &str,
) -> Deployment {
    let mut volumes = connection::volumes(&valid.kafka, key);
    if let Some(bearer) = valid
        .http
        .as_ref()
        .and_then(|h| h.auth.as_ref()?.bearer.as_ref())
    {
        volumes.push(connection::secret_key(
            "bearer",
            BEARER_DIR,
            &bearer.secret,
            "token",
        ));
    }
    if let Some(tls) = valid.http.as_ref().and_then(|h| h.tls.as_ref()) {
        volumes.push(connection::secret(
            "http-tls",
            HTTP_TLS_DIR,
            &tls.secret_name,
            &[("tls.crt", "tls.crt"), ("tls.key", "tls.key")],
        ));
    }
    let inputs = PodInputs {
        owner: key,
        plan,
        image,
        template: &valid.template,
        volumes,
        ca: valid.ca.as_deref(),
        http: valid.http.is_some(),
        spread: valid.http.is_some(),
        needs: Needs {
            body: valid
                .http
                .as_ref()
                .map_or(0, |http| http.max_body_bytes.value()),
            ..Needs::default()
        },
    };
    Deployment {
        metadata: child_meta(&key.name, key, reference.clone()),
        spec: Some(DeploymentSpec {
            replicas: Some(valid.replicas),
            revision_history_limit: Some(2),
            selector: LabelSelector {
                match_labels: Some(key.selector()),
                match_expressions: None,
            },
            strategy: Some(strategy(valid.http.is_some())),
            template: pod_template(&inputs),
            ..DeploymentSpec::default()
        }),
        ..Deployment::default()
    }
}

fn strategy(http: bool) -> DeploymentStrategy {
    if !http {
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
