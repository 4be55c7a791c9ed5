//! The children of a DataStore: a plan, and a Deployment of the one pod that watches the store. Pure.

use headworks_crds::DataStoreSpec;
use headworks_plan::{KafkaConnection, Plan, Role, StorePlan, VERSION};
use k8s_openapi::{
    api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy},
    apimachinery::pkg::apis::meta::v1::{LabelSelector, OwnerReference},
};

use super::binding::StoreBinding;
use crate::{
    apply::child_meta,
    names::Key,
    retry::Error,
    workload::{
        plan_map::{PlanMap, plan_map},
        pod::{PodInputs, pod_template},
        resources::Needs,
    },
};

/// Everything that a DataStore consists of.
#[derive(Clone, Debug)]
pub struct Built {
    /// The plan.
    pub plan: PlanMap,
    /// The pod.
    pub deployment: Deployment,
}

/// Name of the Deployment. The database itself is mostly called as the DataStore is, and in its namespace.
pub fn deployment_name(key: &Key) -> String {
    format!("{}-datastore", key.name)
}

/// Builds all of it. No Kafka and no Platform: the image and the rest are the operator's, where the spec says
/// nothing else.
pub fn build(
    key: &Key,
    reference: &OwnerReference,
    spec: &DataStoreSpec,
    binding: &StoreBinding,
    image: &str,
) -> Result<Built, Error> {
    let plan = Plan {
        registry: None,
        version: VERSION,
        installation: String::new(),
        namespace: key.namespace.clone(),
        name: key.name.clone(),
        kafka: KafkaConnection::default(),
        role: Role::Store(StorePlan {
            store: binding.store.clone(),
        }),
    };
    let plan = plan_map(&plan, key, reference.clone())?;
    let template = spec.pod_template.clone().unwrap_or_default();
    let inputs = PodInputs {
        owner: key,
        plan: &plan,
        image,
        template: &template,
        volumes: vec![binding.volume.clone()],
        ca: None,
        http: false,
        spread: false,
        needs: Needs::default(),
    };
    let deployment = Deployment {
        metadata: child_meta(deployment_name(key), key, reference.clone()),
        spec: Some(DeploymentSpec {
            replicas: Some(i32::from(!spec.suspend)),
            revision_history_limit: Some(2),
            selector: LabelSelector {
                match_labels: Some(key.selector()),
                match_expressions: None,
            },
            // An old pod beside the new one would go on to say of the old store that it answers.
            strategy: Some(DeploymentStrategy {
                type_: Some("Recreate".into()),
                rolling_update: None,
            }),
            template: pod_template(&inputs),
            ..DeploymentSpec::default()
        }),
        ..Deployment::default()
    };
    Ok(Built { plan, deployment })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::data_store::binding;

    fn built(spec: &Value) -> Built {
        let spec: DataStoreSpec = serde_json::from_value(spec.clone()).unwrap();
        let binding = binding::bind("warehouse", &spec).unwrap();
        build(
            &Key::new("DataStore", "shop", "warehouse"),
            &OwnerReference::default(),
            &spec,
            &binding,
            "runtime:1",
        )
        .unwrap()
    }

    #[test]
    fn a_plain_store_is_a_plan_and_a_deployment() {
        let built = built(
            &json!({"postgres": {"url": "postgres://db.shop.svc/shop", "secret": "warehouse-app"}}),
        );
        insta::assert_yaml_snapshot!("plain_deployment", built.deployment);
        insta::assert_yaml_snapshot!("plain_plan", built.plan.config_map);
    }

    #[test]
    fn a_store_with_a_ca_of_its_own_has_it_beside_the_credentials() {
        let built = built(
            &json!({"suspend": true, "podTemplate": {"image": "mirror/runtime:2"}, "postgres": {
                "url": "postgres://db.shop.svc:6432/shop", "secret": "warehouse-app",
                "tls": {"caSecret": {"name": "warehouse-ca", "key": "ca.crt"}}}}),
        );
        insta::assert_yaml_snapshot!("tls_deployment", built.deployment);
        insta::assert_yaml_snapshot!("tls_plan", built.plan.config_map);
    }

    #[test]
    fn tls_without_a_ca_trusts_those_the_system_knows() {
        let built = built(
            &json!({"postgres": {"url": "postgres://db.shop.svc/shop", "secret": "s", "tls": {}}}),
        );
        let plan = &built.plan.config_map.data.unwrap()["plan.json"];
        assert!(plan.contains(r#""tlsCaFile":"""#), "{plan}");
    }
}
