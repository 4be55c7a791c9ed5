//! What runs for a DataStore: one pod that watches the store. Pure.

use headworks_crds::DataStoreSpec;
use headworks_plan::{KafkaConnection, Plan, Role, StorePlan, VERSION};

use crate::{
    connectors::stores::StoreBinding,
    names::Key,
    workload::{Shape, Workload, resources::Needs},
};

/// Name of the Deployment. The database itself is mostly called as the DataStore is, and in its namespace.
fn deployment_name(key: &Key) -> String {
    format!("{}-datastore", key.name)
}

/// Builds it. No Kafka and no Platform: the image and the rest are the operator's, where the spec says nothing else.
pub fn build(key: &Key, spec: &DataStoreSpec, binding: &StoreBinding) -> Workload {
    Workload {
        name: deployment_name(key),
        // An old pod beside the new one would go on to say of the old store that it answers.
        shape: Shape::Single,
        replicas: 1,
        suspended: (spec.suspend)
            .then_some("spec.suspend is true: nothing watches the store; Pipelines go on"),
        plan: Plan {
            registry: None,
            version: VERSION,
            installation: String::new(),
            namespace: key.namespace.clone(),
            name: key.name.clone(),
            kafka: KafkaConnection::default(),
            role: Role::Store(StorePlan {
                store: binding.store.clone(),
            }),
        },
        kafka: None,
        template: spec.pod_template.clone().unwrap_or_default(),
        volumes: vec![binding.volume.clone()],
        secrets: binding.secrets.clone(),
        stores: vec![key.name.clone()],
        needs: Needs::default(),
        http: None,
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::{
        api::apps::v1::Deployment, apimachinery::pkg::apis::meta::v1::OwnerReference,
    };
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        connectors::stores,
        workload::{
            children::{self, PodController},
            plan_map::PlanMap,
        },
    };

    struct Built {
        plan: PlanMap,
        deployment: Deployment,
    }

    fn built(spec: &Value) -> Built {
        let spec: DataStoreSpec = serde_json::from_value(spec.clone()).unwrap();
        let binding = stores::bind("warehouse", &spec).unwrap();
        let key = Key::new("DataStore", "shop", "warehouse");
        let workload = build(&key, &spec, &binding);
        let reference = OwnerReference::default();
        let built = children::build(&workload, &key, &reference, "runtime:1").unwrap();
        let PodController::Deployment(deployment) = built.pods else {
            panic!("a Deployment")
        };
        assert!(built.ca.is_none() && built.service.is_none());
        Built {
            plan: built.plan,
            deployment: *deployment,
        }
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

    #[test]
    fn files_are_a_claim_that_the_pod_mounts() {
        let built = built(&json!({"file": {"volumeClaim": "debug", "path": "orders"}}));
        let plan = &built.plan.config_map.data.unwrap()["plan.json"];
        let plan: Value = serde_json::from_str(plan).unwrap();
        assert_eq!(
            plan["role"]["store"]["store"]["connection"],
            json!({"file": {"folder": "/etc/headworks/stores/warehouse/orders"}})
        );
        let deployment = serde_json::to_value(&built.deployment).unwrap();
        let pod = &deployment["spec"]["template"]["spec"];
        let claim =
            json!({"name": "store-warehouse", "persistentVolumeClaim": {"claimName": "debug"}});
        let volumes = pod["volumes"].as_array().unwrap();
        assert!(volumes.contains(&claim), "{pod}");
        let mount =
            json!({"name": "store-warehouse", "mountPath": "/etc/headworks/stores/warehouse"});
        let mounts = pod["containers"][0]["volumeMounts"].as_array().unwrap();
        assert!(mounts.contains(&mount), "{pod}");
    }
}
