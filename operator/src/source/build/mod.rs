//! The children of a Source: plan, Deployment, for HTTP a Service and, with a private CA, a copy of the CA. Pure.

mod deployment;
mod service;

use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        core::v1::{ConfigMap, Service},
    },
    apimachinery::pkg::apis::meta::v1::OwnerReference,
};

use super::validate::Valid;
use crate::{
    apply::child_meta,
    names::Key,
    retry::Error,
    workload::{
        connection,
        plan_map::{PlanMap, plan_map},
    },
};

/// Everything that a Source consists of.
#[derive(Clone, Debug)]
pub struct Built {
    /// The plan.
    pub plan: PlanMap,
    /// Kafka's CA.
    pub ca: Option<ConfigMap>,
    /// The pods.
    pub deployment: Deployment,
    /// The address in front of them, if records are sent to them.
    pub service: Option<Service>,
    /// Where to send records, if they are sent.
    pub address: Option<String>,
}

/// Builds all of it.
pub fn build(
    key: &Key,
    reference: &OwnerReference,
    valid: &Valid,
    image: &str,
) -> Result<Built, Error> {
    let plan = plan_map(&valid.plan, key, reference.clone())?;
    let ca = valid.ca.as_ref().map(|pem| {
        connection::ca_config_map(
            child_meta(connection::ca_name(key), key, reference.clone()),
            pem,
        )
    });
    let deployment = deployment::deployment(key, reference, valid, &plan, image);
    let service = valid
        .http
        .as_ref()
        .map(|http| service::service(key, reference, http));
    let address = valid.http.as_ref().map(|http| {
        let scheme = if http.tls.is_some() { "https" } else { "http" };
        format!(
            "{scheme}://{}.{}.svc:{}{}",
            key.name,
            key.namespace,
            headworks_plan::HTTP_PORT,
            http.path
        )
    });
    Ok(Built {
        plan,
        ca,
        deployment,
        service,
        address,
    })
}

#[cfg(test)]
mod tests {
    use headworks_crds::{Platform, Source};
    use headworks_plan::{Contract, Field, Stream};
    use serde_json::json;

    use super::*;
    use crate::{
        data_stream::reading,
        platform::facts::Usable,
        source::{dereference::Found, validate::validate},
    };

    fn stream() -> reading::Usable {
        let field = Field::new("id", "string", false);
        reading::Usable {
            stream: Stream {
                name: "orders".into(),
                topic: "shop.orders".into(),
                dead_letter_topic: "shop.orders.dlq".into(),
                contract: Contract {
                    fields: vec![field],
                    ..Contract::default()
                },
                max_message_bytes: 1_048_588,
            },
            platform: "default".into(),
            partitions: Some(6),
            registry: None,
        }
    }

    fn built(kafka: &serde_json::Value, spec: &serde_json::Value, ca: Option<&str>) -> Built {
        let platform: Platform = serde_json::from_value(json!({"metadata": {"name": "default"}, "spec": {"kafka": kafka,
            "podTemplate": {"nodeSelector": {"disk": "ssd"}, "imagePullSecrets": [{"name": "pull"}]}}}))
        .unwrap();
        let source: Source = serde_json::from_value(
            json!({"metadata": {"name": "orders-http", "namespace": "shop"}, "spec": spec}),
        )
        .unwrap();
        let found = Found {
            stream: stream(),
            platform: Usable {
                platform,
                installation: "prod".into(),
            },
            ca: ca.map(str::to_owned),
        };
        let valid = validate(&source, &found).unwrap();
        build(
            &Key::new("Source", "shop", "orders-http"),
            &OwnerReference::default(),
            &valid,
            "runtime:1",
        )
        .unwrap()
    }

    #[test]
    fn a_plain_source_is_a_deployment_and_a_service() {
        let built = built(
            &json!({"bootstrapServers": "k:9092", "management": {"admin": {}}}),
            &json!({"into": "orders", "http": {"path": "/v1/orders"}}),
            None,
        );
        assert_eq!(
            built.address.as_deref(),
            Some("http://orders-http.shop.svc:8080/v1/orders")
        );
        insta::assert_yaml_snapshot!("plain_deployment", built.deployment);
        insta::assert_yaml_snapshot!("plain_service", built.service.unwrap());
        insta::assert_yaml_snapshot!("plain_plan", built.plan.config_map);
    }

    #[test]
    fn a_source_that_makes_records_up_has_one_pod_and_no_address() {
        let spec = json!({"into": "orders", "onInvalid": "DeadLetter", "generate": {"recordsPerSecond": "1k", "seed": 7,
            "template": "shop", "disorder": {"percent": 10, "by": "30s"}, "faultyPercent": 2, "limit": "5k"}});
        let built = built(
            &json!({"bootstrapServers": "k:9092", "management": {"admin": {}}}),
            &spec,
            None,
        );
        assert!(built.service.is_none() && built.address.is_none());
        insta::assert_yaml_snapshot!("generate_deployment", built.deployment);
        insta::assert_yaml_snapshot!("generate_plan", built.plan.config_map);
    }

    #[test]
    fn a_source_with_tls_scram_and_a_token_mounts_each_secret_as_optional_files() {
        let kafka = json!({"bootstrapServers": "k:9093", "management": {"admin": {}},
            "tls": {"caSecret": {"namespace": "kafka", "name": "ca"}},
            "workloadAuthentication": {"scramSha512": {"secretName": "kafka-credentials"}}});
        let spec = json!({"into": "orders", "replicas": 2, "podTemplate": {"nodeSelector": {"zone": "1"}},
            "http": {"path": "/", "auth": {"bearer": {"secret": {"name": "ingest"}}}, "tls": {"secretName": "cert"},
                     "service": {"type": "LoadBalancer", "clusterIP": "10.96.0.9", "annotations": {"cloud/x": "y"}}}});
        let built = built(&kafka, &spec, Some("PEM"));
        insta::assert_yaml_snapshot!("secured_deployment", built.deployment);
        insta::assert_yaml_snapshot!("secured_service", built.service.unwrap());
        insta::assert_yaml_snapshot!("secured_ca", built.ca);
    }

    #[test]
    fn every_field_of_a_pod_template_reaches_the_pods_and_none_breaks_what_they_are_found_by() {
        let template = json!({
            "image": "mirror/runtime:2", "imagePullPolicy": "Always", "imagePullSecrets": [{"name": "pull"}],
            "resources": {"limits": {"memory": "1Gi"}}, "labels": {"team": "core", "headworks.dev/name": "another"},
            "annotations": {"sidecar.istio.io/inject": "false"}, "env": [{"name": "TZ", "value": "UTC"}],
            "nodeSelector": {"node-role.kubernetes.io/worker": ""},
            "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": 1, "preference": {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]}}]}},
            "tolerations": [{"key": "spot", "operator": "Exists"}],
            "topologySpreadConstraints": [
                {"maxSkew": 1, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule"},
                {"maxSkew": 2, "topologyKey": "room", "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {"matchLabels": {"a": "b"}}}],
            "priorityClassName": "high", "runtimeClassName": "gvisor", "schedulerName": "other",
            "securityContext": {"runAsUser": 1000, "supplementalGroups": [7]}, "terminationGracePeriodSeconds": 90,
            "serviceAccountName": "data"});
        let built = built(
            &json!({"bootstrapServers": "k:9092", "management": {"admin": {}}}),
            &json!({"into": "orders", "http": {}, "podTemplate": template}),
            None,
        );
        let spec = built.deployment.spec.unwrap();
        insta::assert_yaml_snapshot!("template_pod", spec.template);
        let labels = spec.template.metadata.unwrap().labels.unwrap();
        let selector = spec.selector.match_labels.unwrap();
        assert!(
            selector
                .iter()
                .all(|(key, value)| labels.get(key) == Some(value))
        );
    }
}
