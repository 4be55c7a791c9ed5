//! Who logs in, what is masked and what the pod is told, over objects as the API server gives them.

use headworks_crds::DataStreamSpec;
use headworks_operator::contract;
use headworks_operator::contract::revision::Revision;
use serde_json::{Value, json};

use super::*;

fn stream(status: &Value) -> DataStream {
    serde_json::from_value(json!({
        "apiVersion": "headworks.dev/v1alpha1", "kind": "DataStream",
        "metadata": {"name": "orders", "namespace": "shop"},
        "spec": {"schema": [
            {"name": "id", "type": "string"},
            {"name": "email", "type": "string", "labels": ["pii"]},
            {"name": "total", "type": "bigint"},
            {"name": "margin", "type": "bigint", "labels": ["finance"]}], "key": ["id"]},
        "status": status,
    }))
    .unwrap()
}

fn contract_of(spec: &DataStreamSpec, version: i32) -> Revision {
    Revision {
        version,
        contract: contract::contract(spec),
        topic: "shop.orders".into(),
        platform: "default".into(),
        kept: Vec::new(),
        schema_ids: Vec::new(),
        compatibility: None,
        used: Vec::new(),
    }
}

/// The stream with a contract in force, and the ConfigMaps of it and of one before.
fn ready() -> (DataStream, Vec<ConfigMap>) {
    let mut stream = stream(
        &json!({"topic": "shop.orders", "deadLetterTopic": "shop.orders.dlq",
            "labels": [{"label": "secret", "fields": ["total", "gone"]}]}),
    );
    let key = Key::of(&stream);
    let in_force = contract_of(&stream.spec, 2);
    let maps = [contract_of(&stream.spec, 1), in_force.clone()];
    let maps = maps
        .iter()
        .map(|a| headworks_operator::contract::revision::config_map(&key, a).unwrap());
    let maps = maps.collect();
    stream.status.as_mut().unwrap().contract = Some(in_force.reference("orders"));
    (stream, maps)
}

fn platform(kafka: &Value) -> Platform {
    let mut all = json!({"bootstrapServers": "k:9092", "management": {"admin": {}}});
    let more = kafka.as_object().unwrap().clone();
    all.as_object_mut().unwrap().extend(more);
    serde_json::from_value(
        json!({"metadata": {"name": "default"}, "spec": {"kafka": all},
        "status": {"installation": "prod"}}),
    )
    .unwrap()
}

fn grant(name: &str, status: &Value) -> AccessGrant {
    serde_json::from_value(json!({"metadata": {"name": name, "namespace": "shop"},
        "spec": {"to": {"namespace": "bi", "name": "report"}, "read": ["orders"]}, "status": status}))
    .unwrap()
}

fn reads(streams: &Value) -> Value {
    json!({"secret": "headworks-shop-report", "platform": "default", "streams": streams})
}

#[test]
fn the_pod_is_told_the_stream_as_pipelines_see_it() {
    let (stream, maps) = ready();
    let seen = super::stream(&stream, &maps).unwrap();
    assert_eq!(seen.topic, "shop.orders");
    assert_eq!(seen.contract.key, ["id"]);
    assert_eq!(seen.contract.fields.len(), 4);

    let error = super::stream(&stream, &maps[..1]).unwrap_err();
    assert!(
        error.contains("ConfigMap shop/orders-contract-2 isn't there"),
        "{error}"
    );
    let status = json!({"conditions": [{"type": "Ready", "status": "False", "reason": "TopicTaken",
        "message": "it is another's", "lastTransitionTime": "2026-01-01T00:00:00Z"}]});
    let error = super::stream(&self::stream(&status), &[]).unwrap_err();
    assert_eq!(
        error,
        "DataStream shop/orders has no topic yet: TopicTaken: it is another's"
    );
}

#[test]
fn who_logs_in_is_the_platform_s_to_say_or_a_grant_s() {
    let (stream, _) = ready();
    let of = |kafka: Value, grant: Option<&AccessGrant>, others: &[AccessGrant]| {
        login(Wanted::Records, &stream, &platform(&kafka), grant, others)
    };
    assert_eq!(of(json!({}), None, &[]), Ok(Login::Nobody));

    // The operator logs in, so Kafka asks for users; pods of this Platform have none.
    let operator =
        json!({"authentication": {"scramSha512": {"namespace": "kafka", "name": "admin"}}});
    let error = of(operator, None, &[]).unwrap_err();
    assert!(error.contains("asks for a user"), "{error}");

    let shared = json!({"workloadAuthentication": {"scramSha512": {"secretName": "kafka-user"}}});
    let Ok(Login::Secret(found)) = of(shared, None, &[]) else {
        panic!("a Secret")
    };
    assert_eq!(
        (
            found.namespace.as_str(),
            found.secret.as_str(),
            found.has_ca
        ),
        ("shop", "kafka-user", false)
    );

    let generated = || json!({"workloadAuthentication": {"generated": {}}});
    let good = grant(
        "report",
        &reads(&json!([{"stream": "orders", "topic": "shop.orders", "access": "Read"}])),
    );
    let error = of(generated(), None, &[]).unwrap_err();
    assert!(
        error.contains("make an AccessGrant") && error.contains("read: [orders]"),
        "{error}"
    );
    let error = of(generated(), None, std::slice::from_ref(&good)).unwrap_err();
    assert!(error.ends_with("with --grant: report"), "{error}");
    let found = of(generated(), Some(&good), &[]).unwrap();
    let Login::Secret(of_grant) = &found else {
        panic!("a Secret")
    };
    assert_eq!(
        (of_grant.namespace.as_str(), of_grant.secret.as_str()),
        ("bi", "headworks-shop-report")
    );
    assert_eq!(
        group(&stream, &platform(&json!({})), &found),
        "bi.report.peek"
    );
    assert_eq!(
        group(&stream, &platform(&json!({})), &Login::Nobody),
        "headworks.prod.shop.orders.peek"
    );
}

#[test]
fn a_grant_that_does_not_do_is_told_with_the_remedy() {
    let (stream, _) = ready();
    let said = |status: Value| {
        let grant = grant("report", &status);
        login(
            Wanted::Records,
            &stream,
            &platform(&json!({})),
            Some(&grant),
            &[],
        )
        .unwrap_err()
    };
    let error = said(
        json!({"conditions": [{"type": "Ready", "status": "False", "reason": "NotAccepted",
        "message": "bi says no", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}),
    );
    assert!(
        error.contains("no Secret yet: NotAccepted: bi says no"),
        "{error}"
    );
    let error = said(reads(
        &json!([{"stream": "orders", "topic": "t", "access": "Write"}]),
    ));
    assert!(error.contains("add it to its spec.read"), "{error}");
    let error = said(reads(
        &json!([{"stream": "orders", "topic": "t", "access": "Read", "derived": "orders-without-pii"}]),
    ));
    assert!(
        error.contains("headworks peek stream orders-without-pii --grant report"),
        "{error}"
    );
    let mut elsewhere = reads(&json!([]));
    elsewhere["platform"] = "other".into();
    assert!(said(elsewhere).contains("another Platform"));
}

#[test]
fn dead_letters_are_read_by_a_grant_that_says_so() {
    let (stream, _) = ready();
    let generated = || platform(&json!({"workloadAuthentication": {"generated": {}}}));
    let mut grant = grant(
        "report",
        &reads(&json!([{"stream": "orders", "topic": "shop.orders", "access": "Read"}])),
    );
    let of = |grant: Option<&AccessGrant>, others: &[AccessGrant]| {
        login(Wanted::DeadLetters, &stream, &generated(), grant, others)
    };
    let error = of(Some(&grant), &[]).unwrap_err();
    assert!(
        error.contains("set deadLetters: true in its spec"),
        "{error}"
    );
    let error = of(None, std::slice::from_ref(&grant)).unwrap_err();
    assert!(
        error.contains("with read: [orders] and deadLetters: true"),
        "{error}"
    );
    grant.spec.dead_letters = true;
    assert!(of(Some(&grant), &[]).is_ok());
}

#[test]
fn the_derived_stream_of_a_grant_is_read_by_it() {
    let (mut stream, _) = ready();
    stream.metadata.name = Some("orders-without-pii".into());
    let grant = grant(
        "report",
        &reads(
            &json!([{"stream": "orders", "topic": "t", "access": "Read", "derived": "orders-without-pii"}]),
        ),
    );
    assert!(
        login(
            Wanted::Records,
            &stream,
            &platform(&json!({})),
            Some(&grant),
            &[]
        )
        .is_ok()
    );
}

#[test]
fn the_ca_comes_with_the_credentials_or_with_the_plan() {
    let private = json!({"tls": {"caSecret": {"namespace": "kafka", "name": "ca"}}});
    let of = |kafka: &Value, has_ca: Option<bool>| {
        let login = has_ca.map_or(Login::Nobody, |has_ca| {
            Login::Secret(Credentials {
                namespace: "bi".into(),
                secret: "s".into(),
                username: "username".into(),
                password: "password".into(),
                has_ca,
                group: None,
            })
        });
        let found = super::kafka(&platform(kafka), &login);
        (found.tls_ca_file, found.scram.is_some())
    };
    assert_eq!(of(&json!({}), None), (None, false));
    assert_eq!(
        of(&json!({"tls": {}}), Some(true)),
        (Some(String::new()), true)
    );
    assert_eq!(of(&private, None), (Some(PEEK_CA_PATH.into()), false));
    assert_eq!(of(&private, Some(false)), (Some(PEEK_CA_PATH.into()), true));
    assert_eq!(
        of(&private, Some(true)),
        (Some("/etc/headworks/kafka/ca.crt".into()), true)
    );
}

#[test]
fn labels_of_the_contract_of_lineage_and_of_the_spec_mask() {
    let (mut stream, maps) = ready();
    let planned = super::stream(&stream, &maps).unwrap();
    let of = |stream: &DataStream, only: &[&str]| {
        let only: Vec<String> = only.iter().map(|l| (*l).to_owned()).collect();
        let masked = masked(&planned, stream, &lineage::Labels::new(), &only);
        masked.into_keys().collect::<Vec<_>>()
    };
    assert_eq!(of(&stream, &[]), ["email", "margin", "total"]);
    assert_eq!(of(&stream, &["pii"]), ["email"]);
    assert_eq!(of(&stream, &["pii", "secret"]), ["email", "total"]);
    let all = masked(&planned, &stream, &lineage::Labels::new(), &[]);
    let known = |label: &str| known_labels(&all, &[label.to_owned()]);
    assert_eq!(known("pii"), Ok(()));
    let error = known("pi").unwrap_err();
    assert!(
        error.ends_with("the label pi; did you mean \"pii\"?"),
        "{error}"
    );
    // Brought by a Pipeline whose labels the status doesn't show yet.
    let arrived = [("id".to_owned(), ["pii".to_owned()].into())].into();
    let now = masked(&planned, &stream, &arrived, &["pii".to_owned()]);
    assert_eq!(now.into_keys().collect::<Vec<_>>(), ["email", "id"]);
    // Asked for a moment ago, and not accepted yet.
    stream.spec.schema[0].labels = vec!["pii".into()];
    assert_eq!(of(&stream, &["pii"]), ["email", "id"]);
}
