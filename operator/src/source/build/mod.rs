//! What runs for a Source: one that takes records in never has fewer ready pods than before in a roll-out; one that makes them up
//! never has two, because its records are one sequence. Pure.

use headworks_crds::{GenerateSource, HttpSource, Source};
use headworks_plan::{self as plan, BEARER_DIR, HTTP_TLS_DIR};

use super::{check, dereference::References};
use crate::{
    connection::{self, Mounted},
    names::Key,
    workload::{OnKafka, Shape, Workload, resources::Needs},
};

/// Builds it of a Source that is right. `template` is that of records that are made up.
pub fn build(source: &Source, found: &References, template: Option<plan::Template>) -> Workload {
    let spec = &source.spec;
    let http = spec.http.as_ref();
    let platform = &found.platform.platform.spec;
    let key = Key::of(source);
    let bearer = http.and_then(|h| h.auth.as_ref()?.bearer.as_ref());
    let generate = spec.generate.as_ref();
    let installation = &found.platform.installation;
    let role = plan::SourcePlan {
        into: found.stream.untimed(),
        http: http.map(|http| plan::HttpSource {
            path: http.path.clone(),
            bearer: bearer.is_some(),
            tls: http.tls.is_some(),
            max_body_bytes: http.max_body_bytes.value(),
            records_per_second: http
                .records_per_second
                .as_ref()
                .map(headworks_crds::Quantity::value),
            items_path: http.items_path.clone(),
        }),
        generate: generate.map(|generate| generated(source, generate, installation, template)),
        on_invalid: spec.on_invalid.into(),
        unknown_fields: spec.unknown_fields.into(),
    };
    let own = spec.pod_template.clone().unwrap_or_default();
    Workload {
        name: key.name.clone(),
        shape: if http.is_some() {
            Shape::Deployment
        } else {
            Shape::Single
        },
        replicas: if http.is_some() {
            spec.replicas
        } else {
            spec.replicas.min(1)
        },
        suspended: spec.suspend.then_some(if http.is_some() {
            "spec.suspend is true: no pods run, and the address answers nobody"
        } else {
            "spec.suspend is true: no records are made"
        }),
        plan: plan::Plan {
            registry: found.stream.registry.clone(),
            version: plan::VERSION,
            installation: installation.clone(),
            namespace: key.namespace,
            name: key.name,
            kafka: connection::connection(&platform.kafka),
            role: plan::Role::Source(role),
        },
        kafka: Some(OnKafka {
            platform: found.platform.clone(),
            ca: found.ca.clone(),
        }),
        template: own.over(&platform.pod_template.clone().unwrap_or_default()),
        volumes: volumes(http),
        secrets: check::secrets(spec),
        stores: Vec::new(),
        needs: Needs {
            body: http.map_or(0, |http| http.max_body_bytes.value()),
            ..Needs::default()
        },
        http: http.map(|http| http.service.clone().unwrap_or_default()),
    }
}

/// Where to send records, if they are sent.
pub fn address(source: &Source) -> Option<String> {
    let key = Key::of(source);
    source.spec.http.as_ref().map(|http| {
        let scheme = if http.tls.is_some() { "https" } else { "http" };
        format!(
            "{scheme}://{}.{}.svc:{}{}",
            key.name,
            key.namespace,
            plan::HTTP_PORT,
            http.path
        )
    })
}

/// The files of tokens and certificates.
fn volumes(http: Option<&HttpSource>) -> Vec<Mounted> {
    let bearer = http.and_then(|h| h.auth.as_ref()?.bearer.as_ref());
    let bearer =
        bearer.map(|bearer| connection::secret_key("bearer", BEARER_DIR, &bearer.secret, "token"));
    let tls = http.and_then(|h| h.tls.as_ref()).map(|tls| {
        connection::secret(
            "http-tls",
            HTTP_TLS_DIR,
            &tls.secret_name,
            &[("tls.crt", "tls.crt"), ("tls.key", "tls.key")],
        )
    });
    bearer.into_iter().chain(tls).collect()
}

/// The making-up side of the plan. Its group belongs to the name, so that the sequence goes on after a delete and
/// re-create.
fn generated(
    source: &Source,
    generate: &GenerateSource,
    installation: &str,
    template: Option<plan::Template>,
) -> plan::GenerateSource {
    let small = |percent: i32| u8::try_from(percent.clamp(0, 100)).unwrap_or(0);
    let disorder = generate.disorder.as_ref();
    plan::GenerateSource {
        records_per_second: generate.records_per_second.value(),
        seed: u64::try_from(generate.seed).unwrap_or(0),
        template,
        disorder_percent: disorder.map_or(0, |d| small(d.percent)),
        disorder_by_ms: disorder.map_or(0, |d| d.by.millis()),
        faulty_percent: small(generate.faulty_percent),
        limit: generate.limit.as_ref().map(headworks_crds::Quantity::value),
        group: format!(
            "headworks.{installation}.{}.{}.generate",
            source.metadata.namespace.as_deref().unwrap_or_default(),
            source.metadata.name.as_deref().unwrap_or_default()
        ),
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
        let workload = build(&source, &found, validate(&source).unwrap());
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
            address: address(&source),
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
