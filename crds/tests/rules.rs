//! The CEL rules of the kinds, evaluated here as an API server evaluates them; and the checks (garde) that
//! need our own parsing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use headworks_crds::{AccessGrant, DataStream, Pipeline, Platform, Replay, Source, Validate};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

fn object<K: DeserializeOwned>(kind: &str, spec: &Value) -> K {
    named(kind, "shop", spec)
}

fn named<K: DeserializeOwned>(kind: &str, name: &str, spec: &Value) -> K {
    serde_json::from_value(json!({
        "apiVersion": "headworks.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec,
    }))
    .unwrap()
}

/// The spec with some members replaced; a null takes one away.
fn with(mut spec: Value, changes: &Value) -> Value {
    for (key, value) in changes.as_object().unwrap() {
        if value.is_null() {
            spec.as_object_mut().unwrap().remove(key);
        } else {
            spec[key] = value.clone();
        }
    }
    spec
}

fn stream(changes: Value) -> DataStream {
    object(
        "DataStream",
        &with(
            json!({"schema": [{"name": "id", "type": "string"}, {"name": "user", "type": "struct<id bigint>"},
                              {"name": "at", "type": "timestamp_ltz(3)"}, {"name": "local", "type": "timestamp(3)"}]}),
            &changes,
        ),
    )
}

fn pipeline(changes: Value) -> Pipeline {
    object(
        "Pipeline",
        &with(
            json!({"sql": "SELECT id FROM orders", "to": [{"stream": "ids"}]}),
            &changes,
        ),
    )
}

fn source(changes: Value) -> Source {
    object(
        "Source",
        &with(
            json!({"into": "orders", "http": {"path": "/v1/orders"}}),
            &changes,
        ),
    )
}

fn replay(changes: Value) -> Replay {
    object(
        "Replay",
        &with(json!({"from": {"deadLetterOf": "orders"}}), &changes),
    )
}

fn platform(changes: Value) -> Platform {
    let kafka = with(
        json!({"bootstrapServers": "kafka:9092", "management": {"admin": {}}}),
        &changes,
    );
    object("Platform", &json!({"kafka": kafka}))
}

fn refusal(result: Result<(), kube::core::cel::ValidationErrors>) -> String {
    result.err().map(|e| e.to_string()).unwrap_or_default()
}

macro_rules! refused {
    ($new:expr, $words:expr) => {{
        let text = refusal($new.validate_cel());
        assert!(text.contains($words), "{text:?}");
    }};
    ($old:expr => $new:expr, $words:expr) => {{
        let text = refusal($new.validate_cel_update(&$old));
        assert!(text.contains($words), "{text:?}");
    }};
}

macro_rules! accepted {
    ($new:expr) => {
        assert_eq!(refusal($new.validate_cel()), "")
    };
    ($old:expr => $new:expr) => {
        assert_eq!(refusal($new.validate_cel_update(&$old)), "")
    };
}

// Behind the macros that it uses.
#[path = "rules/replays.rs"]
mod replays;

#[test]
fn the_smallest_objects_are_accepted() {
    accepted!(stream(json!({})));
    accepted!(pipeline(json!({})));
    accepted!(source(json!({})));
    accepted!(platform(json!({})));
    accepted!(replay(json!({})));
}

#[test]
fn a_streams_identity_cant_change_even_where_it_is_a_default() {
    for (field, value) in [
        ("platform", json!("other")),
        ("topic", json!("shop.x")),
        ("key", json!(["id"])),
    ] {
        let words = format!("{field} can't change");
        refused!(stream(json!({})) => stream(json!({field: value})), &words);
        refused!(stream(json!({field: value})) => stream(json!({})), &words);
        accepted!(stream(json!({field: value})) => stream(json!({field: value})));
    }
    refused!(stream(json!({"key": ["id"]})) => stream(json!({"key": ["id"], "compacted": true})), "compacted can't change");
    accepted!(stream(json!({})) => stream(json!({"platform": "default", "key": []})));
}

#[test]
fn partitions_only_grow() {
    refused!(stream(json!({"partitions": 6})) => stream(json!({"partitions": 5})), "partitions can't shrink");
    accepted!(stream(json!({"partitions": 6})) => stream(json!({"partitions": 7})));
    accepted!(stream(json!({})) => stream(json!({"partitions": 2})));
}

#[test]
fn key_and_event_time_name_fields_of_the_contract() {
    refused!(stream(json!({"key": ["nobody"]})), "every field in key");
    refused!(stream(json!({"key": ["i"]})), "every field in key");
    accepted!(stream(json!({"key": ["id", "user.id"]})));
    refused!(
        stream(json!({"eventTime": {"field": "local"}})),
        "timestamp_ltz"
    );
    refused!(
        stream(json!({"eventTime": {"field": "nobody"}})),
        "timestamp_ltz"
    );
    accepted!(stream(json!({"eventTime": {"field": "at"}})));
    refused!(
        stream(json!({"compacted": true})),
        "a compacted stream needs a key"
    );
}

#[test]
fn names_and_settings_that_belong_to_others_are_refused() {
    refused!(
        stream(json!({"topic": "__consumer_offsets"})),
        "belong to Kafka"
    );
    refused!(stream(json!({"topic": "shop.orders.dlq"})), "dead letters");
    accepted!(stream(json!({"topic": "shop.orders"})));
    for key in ["cleanup.policy", "retention.ms", "retention.bytes"] {
        refused!(stream(json!({"config": {key: "1"}})), "is set by spec.");
    }
    accepted!(stream(
        json!({"config": {"compression.type": "zstd", "min.insync.replicas": 2}})
    ));
}

#[test]
fn a_text_that_a_definition_needs_is_here_or_in_a_config_map() {
    let of = |reference: Value| {
        let schema = "{}";
        stream(
            json!({"schema": null, "format": "Avro", "avro": schema, "avroReferences": [reference]}),
        )
    };
    let key = json!({"name": "schemas", "key": "a"});
    let words = "exactly one of text and configMap";
    refused!(of(json!({"name": "a.B"})), words);
    refused!(
        of(json!({"name": "a.B", "text": "x", "configMap": key})),
        words
    );
    accepted!(of(json!({"name": "a.B", "text": "x"})));
    accepted!(of(json!({"name": "a.B", "configMap": key})));
    refused!(
        stream(json!({"avroReferences": [{"name": "a.B", "text": "x"}]})),
        "avroReferences are of a schema in avro"
    );
    let of = |import: Value| {
        let protobuf = json!({"schema": "x", "imports": [import]});
        stream(json!({"schema": null, "format": "Protobuf", "protobuf": protobuf}))
    };
    refused!(of(json!({"name": "a/b.proto"})), words);
    accepted!(of(json!({"name": "a/b.proto", "configMap": key})));
}

#[test]
fn a_one_of_takes_exactly_one() {
    refused!(
        platform(json!({"management": {}})),
        "exactly one of admin and strimzi"
    );
    let both = json!({"admin": {}, "strimzi": {"cluster": "events", "namespace": "kafka"}});
    refused!(
        platform(json!({"management": both})),
        "exactly one of admin and strimzi"
    );
    accepted!(platform(
        json!({"management": {"strimzi": {"cluster": "events", "namespace": "kafka"}}})
    ));
    refused!(
        platform(json!({"authentication": {}})),
        "authentication needs scramSha512"
    );
    refused!(
        platform(json!({"workloadAuthentication": {}})),
        "workloadAuthentication needs exactly one of scramSha512 and generated"
    );
    refused!(source(json!({"http": null})), "exactly one way in");
    refused!(
        source(json!({"http": {"auth": {}}})),
        "auth needs exactly one of"
    );
    refused!(
        pipeline(json!({"to": [{}]})),
        "a target needs exactly one of"
    );
    refused!(
        pipeline(json!({"startFrom": {}})),
        "exactly one of position and time"
    );
    refused!(
        pipeline(json!({"startFrom": {"position": "Latest", "time": "2026-01-01T00:00:00Z"}})),
        "exactly one of position"
    );
    accepted!(pipeline(
        json!({"startFrom": {"time": "2026-01-01T00:00:00Z"}})
    ));
}

#[test]
fn dead_letters_are_not_given_to_who_may_not_see_labelled_fields() {
    let grant = |changes: Value| -> AccessGrant {
        let spec = json!({"to": {"namespace": "bi", "name": "report"}, "read": ["orders"]});
        object("AccessGrant", &with(spec, &changes))
    };
    accepted!(grant(json!({"deadLetters": true})));
    accepted!(grant(json!({"exceptLabels": ["pii"]})));
    refused!(
        grant(json!({"deadLetters": true, "exceptLabels": ["pii"]})),
        "can't be together with exceptLabels"
    );
}

#[test]
fn a_stream_is_named_once_in_to() {
    refused!(
        pipeline(json!({"to": [{"stream": "a"}, {"stream": "b"}, {"stream": "a"}]})),
        "named once"
    );
    accepted!(pipeline(json!({"to": [{"stream": "a"}, {"stream": "b"}]})));
}

#[test]
fn what_a_pod_or_its_progress_is_named_after_cant_change() {
    refused!(pipeline(json!({})) => pipeline(json!({"platform": "other"})), "platform can't change");
    refused!(source(json!({})) => source(json!({"into": "other"})), "into can't change");
    refused!(platform(json!({})) => platform(json!({"installation": "eu"})), "installation can't change");
    refused!(platform(json!({"installation": "eu"})) => platform(json!({})), "installation can't change");
    let address = |ip: Value| {
        source(json!({"http": {"service": with(json!({}), &json!({"clusterIP": ip}))}}))
    };
    refused!(address(json!("10.96.0.80")) => address(json!("10.96.0.81")), "clusterIP can't change");
    accepted!(address(json!("10.96.0.80")) => address(json!("10.96.0.80")));
    refused!(source(json!({})) => address(json!("10.96.0.80")), "clusterIP can't change");
    refused!(address(json!("10.96.0.80")) => source(json!({})), "clusterIP can't change");
    accepted!(source(json!({})) => source(json!({"http": {"service": {"type": "NodePort"}}})));
}

#[test]
fn a_canary_tries_what_goes_on_and_compares_for_a_time() {
    let canary = |canary: Value| pipeline(json!({"rollout": {"canary": canary}}));
    accepted!(canary(json!({})));
    accepted!(canary(
        json!({"for": "10s", "rules": ["sane"], "compare": {"keys": ["id"], "sums": ["n"], "tolerance": "0.5"}})
    ));
    let mut reset = json!({"rollout": {"canary": {}}, "onStateChange": "Reset"});
    refused!(pipeline(reset.clone()), "onStateChange Reset begins anew");
    reset["rollout"] = json!({});
    accepted!(pipeline(reset));
    let time = |text: &str| headworks_crds::check(&canary(json!({"for": text})).spec);
    for text in ["10s", "10m", "1d"] {
        assert_eq!(time(text), Ok(()), "{text}");
    }
    for text in ["9s", "25h"] {
        let fault = time(text).unwrap_err();
        assert!(fault.starts_with("spec.rollout.canary.for: "), "{fault}");
    }
}

#[test]
fn names_leave_room_for_pods_and_services() {
    let spec = json!({"sql": "SELECT 1", "to": [{"stream": "a"}]});
    accepted!(named::<Pipeline>("Pipeline", &"p".repeat(48), &spec));
    refused!(
        named::<Pipeline>("Pipeline", &"p".repeat(49), &spec),
        "48 characters"
    );
    refused!(named::<Pipeline>("Pipeline", "a.b", &spec), "no dots");
    // What runs beside it is called by it, too.
    let mut canary = spec.clone();
    canary["rollout"] = json!({"canary": {"for": "1m"}});
    accepted!(named::<Pipeline>("Pipeline", &"p".repeat(41), &canary));
    refused!(
        named::<Pipeline>("Pipeline", &"p".repeat(42), &canary),
        "41 characters"
    );
    canary["rollout"] = json!({});
    accepted!(named::<Pipeline>("Pipeline", &"p".repeat(48), &canary));
    refused!(
        named::<Source>("Source", "1a", &json!({"into": "a", "http": {}})),
        "begins with a letter"
    );
    refused!(
        named::<DataStream>("DataStream", "a.b", &json!({"schema": []})),
        "no dots"
    );
}

#[test]
fn durations_and_amounts_out_of_range_are_named_as_users_write_them() {
    fn fault<S: Validate<Context = ()>>(spec: &S) -> String {
        headworks_crds::check(spec).err().unwrap_or_default()
    }
    let commit = |interval| fault(&pipeline(json!({"commitInterval": interval})).spec);
    assert_eq!(
        commit("5ms"),
        "spec.commitInterval: 5ms is out of range: choose between 10ms and 1m"
    );
    assert_eq!(commit("1s"), "");
    let body = |size: &str| fault(&source(json!({"http": {"maxBodyBytes": size}})).spec);
    assert_eq!(
        body("2Gi"),
        "spec.http.maxBodyBytes: 2Gi is out of range: choose between 1 and 1073741824 bytes"
    );
    assert!(body("0").starts_with("spec.http.maxBodyBytes: 0 "));
    assert_eq!(body("16Mi"), "");
    for (field, spec) in [
        ("allowedLateness", json!({"allowedLateness": "31d"})),
        ("maxDrift", json!({"maxDrift": "999ms"})),
        ("state.memory", json!({"state": {"memory": "1Mi"}})),
        ("state.disk", json!({"state": {"disk": "1Mi"}})),
        ("state.ttl", json!({"state": {"ttl": "1s"}})),
    ] {
        let fault = fault(&pipeline(spec).spec);
        assert!(fault.starts_with(&format!("spec.{field}: ")), "{fault}");
    }
    let state = json!({"memory": "1Gi", "disk": "50Gi", "ttl": "30d"});
    let all = json!({"allowedLateness": "1m", "maxDrift": "1h", "state": state});
    assert_eq!(fault(&pipeline(all).spec), "");
    for time in ["maxOutOfOrderness", "idleTimeout"] {
        let fault =
            |value: &str| fault(&stream(json!({"eventTime": {"field": "at", time: value}})).spec);
        assert_eq!(
            fault("25h"),
            format!("spec.eventTime.{time}: 25h is out of range: choose between 0ms and 1d")
        );
        assert_eq!(fault("0s"), "");
    }
    assert!(fault(&stream(json!({"retention": "1ms"})).spec).starts_with("spec.retention"));
    assert!(
        fault(&stream(json!({"deadLetter": {"retention": "1ms"}})).spec)
            .starts_with("spec.deadLetter.retention")
    );
    assert_eq!(
        fault(&stream(json!({"retention": "7d", "retentionBytes": "1Gi"})).spec),
        ""
    );
}

#[test]
fn an_unknown_word_doesnt_become_a_known_one() {
    let reset = json!({"metadata": {"name": "a"}, "spec": {"sql": "x", "to": [], "onStateChange": "Backfill"}});
    assert!(serde_json::from_value::<Pipeline>(reset).is_err());
    let with_word = json!({"metadata": {"name": "a"}, "spec": {"sql": "x", "to": [], "onBadRecord": "Explode"}});
    let error = serde_json::from_value::<Pipeline>(with_word)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("Explode") && error.contains("DeadLetter"),
        "{error}"
    );
}

#[test]
fn what_is_left_out_has_the_schemas_default() {
    let pipeline = pipeline(json!({}));
    assert_eq!(pipeline.spec.platform, "default");
    assert_eq!(pipeline.spec.replicas, 1);
    assert_eq!(pipeline.spec.commit_interval.millis(), 100);
    assert_eq!(pipeline.spec.allowed_lateness.as_str(), "0s");
    assert_eq!(pipeline.spec.max_drift.as_str(), "10m");
    let bounds = self::pipeline(json!({"state": {"ttl": "1d"}}))
        .spec
        .state
        .unwrap();
    assert_eq!(
        (bounds.memory.as_str(), bounds.most_disk().as_str()),
        ("256Mi", "10Gi")
    );
    let time = stream(json!({"eventTime": {"field": "at"}}))
        .spec
        .event_time
        .unwrap();
    let times = (
        time.max_out_of_orderness.as_str(),
        time.idle_timeout.as_str(),
    );
    assert_eq!(times, ("5s", "30s"));
    let source = source(json!({"http": {}}));
    assert_eq!(source.spec.http.unwrap().max_body_bytes.value(), 4 << 20);
}
