//! What runs for a Source: one that may have several pods never has fewer ready ones than before in a roll-out; one that may have
//! one never has two. Pure.

use headworks_crds::Source;
use headworks_plan::{self as plan, SourceConnection};

use super::dereference::References;
use crate::{
    connection,
    connectors::sources::{Pods, SourceConnector},
    names::Key,
    workload::{OnKafka, Shape, Workload, resources::Needs},
};

/// Builds it of a Source that is right: `connector` is its spec's, and `connection` what the plan says of it.
pub fn build(
    source: &Source,
    found: &References,
    connector: &dyn SourceConnector,
    connection: SourceConnection,
) -> Workload {
    let spec = &source.spec;
    let platform = &found.platform.platform.spec;
    let key = Key::of(source);
    let own = spec.pod_template.clone().unwrap_or_default();
    let (shape, replicas) = match connector.pods() {
        Pods::Several => (Shape::Deployment, spec.replicas),
        Pods::One => (Shape::Single, spec.replicas.min(1)),
    };
    Workload {
        name: key.name.clone(),
        shape,
        replicas,
        suspended: spec.suspend.then(|| connector.suspended()),
        plan: plan::Plan {
            registry: found.stream.registry.clone(),
            version: plan::VERSION,
            installation: found.platform.installation.clone(),
            namespace: key.namespace,
            name: key.name,
            kafka: connection::connection(&platform.kafka),
            role: plan::Role::Source(plan::SourcePlan {
                on_invalid: spec.on_invalid.into(),
                unknown_fields: spec.unknown_fields.into(),
                ..plan::SourcePlan::new(found.stream.untimed(), connection)
            }),
        },
        kafka: Some(OnKafka {
            platform: found.platform.clone(),
            ca: found.ca.clone(),
        }),
        template: own.over(&platform.pod_template.clone().unwrap_or_default()),
        volumes: connector.volumes(),
        secrets: connector.secrets(),
        stores: Vec::new(),
        needs: Needs {
            body: connector.body(),
            ..Needs::default()
        },
        http: connector.service(),
    }
}

#[cfg(test)]
mod tests {
    use headworks_crds::{Platform, Source};
    use headworks_plan::{Contract, Field, Stream};
    use k8s_openapi::{
        api::{
            apps::v1::Deployment,
            core::v1::{ConfigMap, Service},
        },
        apimachinery::pkg::apis::meta::v1::OwnerReference,
    };
    use serde_json::json;

    use super::*;
    use crate::{
        connectors::sources,
        data_stream::resolve::ResolvedStream,
        platform::resolve::ResolvedPlatform,
        source::validate::validate,
        workload::{
            children::{self, PodController},
            plan_map::PlanMap,
        },
    };

    struct Built {
        plan: PlanMap,
        ca: Option<ConfigMap>,
        deployment: Deployment,
        service: Option<Service>,
        address: Option<String>,
    }

    fn stream() -> ResolvedStream {
        let field = Field {
            name: "id".into(),
            type_: "string".into(),
            nullable: false,
            labels: vec![],
        };
        ResolvedStream {
            stream: Stream {
                name: "orders".into(),
                topic: "shop.orders".into(),
                dead_letter_topic: "shop.orders.dlq".into(),
                contract: Contract {
                    fields: vec![field],
                    ..Contract::default()
                },
                max_message_bytes: 1_048_588,
                rules: Vec::new(),
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
        let found = References {
            stream: stream(),
            platform: ResolvedPlatform {
                platform,
                installation: "prod".into(),
            },
            ca: ca.map(str::to_owned),
        };
        let connector = sources::connector(&source.spec).unwrap();
        let connection = validate(&source, &found).unwrap();
        let workload = build(&source, &found, connector, connection);
        let reference = OwnerReference::default();
        let built = children::build(&workload, &Key::of(&source), &reference, "runtime:1").unwrap();
        let PodController::Deployment(deployment) = built.pods else {
            panic!("a Deployment")
        };
        Built {
            plan: built.plan,
            ca: built.ca,
            deployment: *deployment,
            service: built.service,
            address: connector.address(&Key::of(&source)),
        }
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
    fn a_feed_has_one_pod_with_its_secrets_and_no_address() {
        let spec = json!({"into": "orders", "onInvalid": "DeadLetter", "websocket": {
            "url": "wss://feed.example.com/v1", "subscribe": "all", "itemsPath": "data.trades",
            "headers": [{"name": "Authorization", "secret": {"name": "feed"}}], "caSecret": {"name": "feed-ca"}}});
        let built = built(
            &json!({"bootstrapServers": "k:9092", "management": {"admin": {}}}),
            &spec,
            None,
        );
        assert!(built.service.is_none() && built.address.is_none());
        let plan = &built.plan.config_map.data.unwrap()["plan.json"];
        let plan: serde_json::Value = serde_json::from_str(plan).unwrap();
        assert_eq!(
            plan["role"]["source"]["websocket"],
            json!({"url": "wss://feed.example.com/v1", "subscribe": "all", "itemsPath": "data.trades",
                "headers": [{"name": "Authorization", "file": "/etc/headworks/websocket/header-0"}],
                "caFile": "/etc/headworks/websocket/ca.crt", "maxMessageBytes": 1_048_576, "idleTimeoutMs": 60_000})
        );
        let deployment = serde_json::to_value(&built.deployment).unwrap();
        assert_eq!(deployment["spec"]["replicas"], 1);
        assert_eq!(deployment["spec"]["strategy"]["type"], "Recreate");
        let pod = &deployment["spec"]["template"]["spec"];
        let named = |list: &serde_json::Value| {
            let list = list.as_array().unwrap().iter();
            list.filter(|one| one["name"] == "websocket").count()
        };
        assert_eq!(named(&pod["volumes"]), 1, "{pod}");
        assert_eq!(named(&pod["containers"][0]["volumeMounts"]), 1, "{pod}");
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
