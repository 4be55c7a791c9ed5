//! Avro and Protobuf with a real schema registry: ids in status and in records, contracts that evolve, records of every
//! version read by one pipeline, ids that nobody gave.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::time::Duration;

use headworks_e2e::{Cluster, block_on, cluster, source, until};
use serde_json::Value;

const STREAM: &str = "datastreams.headworks.dev";
const PIPELINE: &str = "pipelines.headworks.dev";
const PLATFORM: &str = "e2e-formats";
const LIMIT: Duration = Duration::from_secs(90);

/// Kafka of the other tests, and pocket's registry.
fn platform(c: &Cluster) {
    let url = std::env::var("REGISTRY_URL_IN_CLUSTER")
        .unwrap_or_else(|_| "http://registry.kafka.svc:8080/apis/ccompat/v7".into());
    let yaml = headworks_e2e::platform(PLATFORM, &headworks_e2e::bootstrap(), "");
    c.apply(&format!("{yaml}  schemaRegistry: {{url: \"{url}\"}}\n"));
    c.condition(
        "platforms.headworks.dev",
        PLATFORM,
        "SchemaRegistryReady",
        "True",
        None,
    );
}

fn stream(name: &str, format: &str, rest: &str) -> String {
    format!(
        "apiVersion: headworks.dev/v1alpha1\nkind: DataStream\nmetadata: {{name: {name}}}\nspec:\n  platform: {PLATFORM}\n  partitions: 1\n  format: {format}\n  deletionPolicy: Delete\n{rest}"
    )
}

const OLD: &str =
    "  schema:\n    - {name: id, type: string}\n    - {name: \"n\", type: bigint}\n  key: [id]\n";
const NEW: &str = "  schema:\n    - {name: id, type: string}\n    - {name: \"n\", type: bigint}\n    - {name: note, type: string, nullable: true}\n  key: [id]\n";

fn pipeline(name: &str, sql: &str, to: &str) -> String {
    headworks_e2e::pipeline(name, sql, to)
        .replace("platform: e2e\n", &format!("platform: {PLATFORM}\n"))
}

fn post(url: &str, body: &str) {
    let body = body.to_owned();
    let sent = until(url, Duration::from_secs(60), || {
        block_on(async {
            let answer = reqwest::Client::new()
                .post(url)
                .header("content-type", "application/json")
                .timeout(Duration::from_secs(5))
                .body(body.clone())
                .send()
                .await
                .ok()?;
            (answer.status().as_u16() == 202).then_some(())
        })
    });
    sent.expect("the record is taken");
}

/// What the registry says at a path.
fn registry(path: &str) -> Value {
    let url = std::env::var("REGISTRY_URL").expect("REGISTRY_URL, from `pocket endpoints`");
    let text = block_on(async {
        let answer = reqwest::get(format!("{url}{path}"))
            .await
            .expect("the registry answers");
        answer.text().await.expect("text")
    });
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

/// `status.registered` once it is of this contract.
fn registered(c: &Cluster, stream: &str, contract: i64) -> Value {
    until("registered", LIMIT, || {
        let object = c.kubectl.get(STREAM, stream, &c.namespace)?;
        let registered = object["status"]["registered"].clone();
        (registered["contract"] == contract).then_some(registered)
    })
    .unwrap_or_else(|| panic!("{stream} is never registered as contract {contract}"))
}

fn id_of(registered: &Value) -> u32 {
    u32::try_from(registered["id"].as_u64().expect("an id")).expect("an id")
}

/// Confluent's wire format: a zero, the id, the record.
fn framed(id: u32, record: &[u8]) -> Vec<u8> {
    [&[0_u8][..], &id.to_be_bytes(), record].concat()
}

/// The id that a record carries.
fn id_in(value: &[u8]) -> u32 {
    assert_eq!(
        value.first(),
        Some(&0),
        "Confluent's wire format: {value:?}"
    );
    u32::from_be_bytes(value[1..5].try_into().expect("four bytes"))
}

/// An Avro record `{id: string, n: long}`; both are short.
fn avro(id: &str, n: u8) -> Vec<u8> {
    let zigzag = |n: usize| u8::try_from(n * 2).expect("short");
    [&[zigzag(id.len())][..], id.as_bytes(), &[zigzag(n.into())]].concat()
}

/// A Protobuf message `{id = 1, n = 2}`; both are short. The first 0 is the index of the message in its file.
fn protobuf(id: &str, n: u8) -> Vec<u8> {
    let length = u8::try_from(id.len()).expect("short");
    [&[0, 0x0a, length][..], id.as_bytes(), &[0x10, n]].concat()
}

/// Rows of a JSON topic by id: `n`, and `note` where there is one.
fn rows(c: &Cluster, stream: &str, count: usize) -> Vec<(String, i64, Option<String>)> {
    let records = c.kafka.read_at_least(&c.topic(stream), count, LIMIT);
    let mut rows: Vec<_> = records
        .iter()
        .map(|record| {
            let json = record.json();
            (
                json["id"].as_str().expect("id").to_owned(),
                json["n"].as_i64().expect("n"),
                json["note"].as_str().map(str::to_owned),
            )
        })
        .collect();
    rows.sort();
    rows
}

fn evolves(namespace: &str, format: &str, raw: fn(&str, u8) -> Vec<u8>) {
    let Some(c) = cluster(namespace) else {
        return;
    };
    platform(&c);
    c.apply(&stream("a", format, OLD));
    for out in ["b", "notes"] {
        c.apply(&stream(out, "Json", NEW));
    }
    c.apply(&source("in", "a", ""));
    c.apply(
        &pipeline("p", "SELECT id, n FROM a", "b")
            .replace("SELECT id, n", "SELECT id, n, CAST(NULL AS STRING) AS note"),
    );
    c.ready(STREAM, "a");
    c.ready("sources.headworks.dev", "in");
    c.ready(PIPELINE, "p");
    let first = registered(&c, "a", 1);
    let subject = format!("{namespace}.a-value");
    assert_eq!(first["subject"], subject);
    let latest = registry(&format!("/subjects/{subject}/versions/latest"));
    assert_eq!(
        latest["id"], first["id"],
        "the id in status is the registry's"
    );
    assert_eq!(latest["version"], first["version"]);
    let url = format!("{}/in", c.address("in"));
    post(&url, r#"{"id":"old","n":1}"#);
    let records = c.kafka.read_at_least(&c.topic("a"), 1, LIMIT);
    assert_eq!(id_in(&records[0].value), id_of(&first));

    c.apply(&stream("a", format, NEW));
    let second = registered(&c, "a", 2);
    assert_ne!(second["id"], first["id"]);
    let known = registry(&format!("/subjects/{subject}/versions"));
    assert_eq!(known.as_array().map(Vec::len), Some(2), "{known}");
    // The Source has taken the new contract up when its record has the new id.
    until("the new contract is written", LIMIT, || {
        post(&url, r#"{"id":"new","n":2,"note":"x"}"#);
        let records = c.kafka.read(&c.topic("a"));
        (id_in(&records.last()?.value) == id_of(&second)).then_some(())
    })
    .expect("records with the new id");
    // A producer that still writes what it always wrote, and one with an id that nobody gave.
    c.kafka
        .produce(&c.topic("a"), &[&framed(id_of(&first), &raw("raw", 3))]);
    c.kafka
        .produce(&c.topic("a"), &[&framed(1_999_999_999, &raw("bad", 4))]);
    c.apply(&pipeline("q", "SELECT id, n, note FROM a", "notes"));
    c.ready(PIPELINE, "q");

    let notes = until("all versions are read", LIMIT, || {
        let notes = rows(&c, "notes", 3);
        notes.iter().any(|(id, ..)| id == "raw").then_some(notes)
    })
    .expect("the record of the old producer");
    assert!(notes.contains(&("old".into(), 1, None)), "{notes:?}");
    assert!(notes.contains(&("raw".into(), 3, None)), "{notes:?}");
    assert!(
        notes.contains(&("new".into(), 2, Some("x".into()))),
        "{notes:?}"
    );
    assert!(!notes.iter().any(|(id, ..)| id == "bad"), "{notes:?}");
    let both = until("p reads all versions, too", LIMIT, || {
        let both = rows(&c, "b", 3);
        both.iter().any(|(id, ..)| id == "raw").then_some(both)
    })
    .expect("the record of the old producer");
    assert!(both.contains(&("old".into(), 1, None)), "{both:?}");
    let dead = c
        .kafka
        .read_at_least(&format!("{}.dlq", c.topic("a")), 1, LIMIT);
    for letter in &dead {
        assert_eq!(letter.headers["headworks.reason"], "Decode");
        assert!(
            letter.headers["headworks.error"].contains("1999999999"),
            "{:?}",
            letter.headers
        );
        assert_eq!(
            letter.value,
            framed(1_999_999_999, &raw("bad", 4)),
            "the original bytes"
        );
    }

    // What is deleted with its topic is deleted in the registry; its ids can still be looked up.
    c.kubectl
        .must(&["delete", PIPELINE, "p", "q", "-n", &c.namespace]);
    c.kubectl
        .must(&["delete", "sources.headworks.dev", "in", "-n", &c.namespace]);
    c.kubectl
        .must(&["delete", STREAM, "a", "-n", &c.namespace, "--timeout=60s"]);
    let left = registry("/subjects");
    assert!(
        !left
            .as_array()
            .expect("a list")
            .contains(&Value::from(subject)),
        "{left}"
    );
    assert!(registry(&format!("/schemas/ids/{}", id_of(&first)))["schema"].is_string());
}

#[test]
fn old_and_new_avro_records_are_read_by_one_pipeline() {
    evolves("e2e-formats-avro", "Avro", avro);
}

#[test]
fn old_and_new_protobuf_records_are_read_by_one_pipeline() {
    evolves("e2e-formats-protobuf", "Protobuf", protobuf);
}

#[test]
fn subjects_are_named_as_the_stream_says_and_docs_make_no_new_contract() {
    let Some(c) = cluster("e2e-formats-subjects") else {
        return;
    };
    platform(&c);
    let inline = |doc: &str| {
        format!(
            "  avro: '{{\"type\": \"record\", \"name\": \"Order\", \"namespace\": \"e2e_formats_subjects\", \"doc\": \"{doc}\", \"fields\": [{{\"name\": \"id\", \"type\": \"string\"}}]}}'\n  fieldLabels: [{{field: id, labels: [pii]}}]\n"
        )
    };
    let topic = |name: &str| c.topic(name);
    for (name, naming, subject) in [
        (
            "by-topic",
            "TopicName",
            format!("{}-value", topic("by-topic")),
        ),
        (
            "by-record",
            "RecordName",
            "e2e_formats_subjects.Order".to_owned(),
        ),
        (
            "by-both",
            "TopicRecordName",
            format!("{}-e2e_formats_subjects.Order", topic("by-both")),
        ),
    ] {
        c.apply(&stream(
            name,
            "Avro",
            &format!("  subject: {naming}\n{}", inline("An order.")),
        ));
        c.ready(STREAM, name);
        let said = registered(&c, name, 1);
        assert_eq!(said["subject"], subject, "{name}");
        let latest = registry(&format!("/subjects/{subject}/versions/latest"));
        assert_eq!(latest["id"], said["id"], "{name}: {latest}");
    }
    // A record of another namespace's name isn't registered, nor is anything set at its subject.
    let foreign = inline("An order.").replace("e2e_formats_subjects", "e2e_formats_others");
    c.apply(&stream(
        "foreign",
        "Avro",
        &format!("  subject: RecordName\n{foreign}"),
    ));
    let message = c.condition(
        STREAM,
        "foreign",
        "Stalled",
        "True",
        Some("SubjectNotAllowed"),
    );
    assert!(message.contains("e2e_formats_others.Order"), "{message}");
    let subjects = registry("/subjects").to_string();
    assert!(!subjects.contains("e2e_formats_others"), "{subjects}");
    let before = registered(&c, "by-topic", 1);
    c.apply(&stream(
        "by-topic",
        "Avro",
        &format!("  subject: TopicName\n{}", inline("One order.")),
    ));
    c.ready(STREAM, "by-topic");
    assert_eq!(registered(&c, "by-topic", 1), before);
    // What can't be read is refused by line, and the contract stays.
    let message = c.refused(&stream("by-topic", "Avro", "  avro: |\n    {\"type\": \"record\", \"name\": \"Order\",\n     \"fields\": [{\"name\": \"id\", \"type\": \"strng\"}]}\n"));
    assert!(message.contains("spec.avro line 2"), "{message}");
}

/// A stream that takes a file from a ConfigMap, before and after that ConfigMap is there; registered with the file.
#[test]
fn a_protobuf_stream_imports_a_file_from_a_config_map() {
    let Some(c) = cluster("e2e-formats-imports") else {
        return;
    };
    platform(&c);
    let proto = "  key: [id]\n  protobuf:\n    schema: |\n      syntax = \"proto3\";\n      package shop;\n      import \"common/money.proto\";\n      message Paid { string id = 1; common.Money total = 2; }\n    imports:\n      - {name: common/money.proto, configMap: {name: protos, key: money.proto}}\n";
    c.apply(&stream("paid", "Protobuf", proto));
    let message = c.condition(STREAM, "paid", "Ready", "False", Some("SchemaTextNotFound"));
    assert!(
        message.contains("spec.protobuf.imports[0].configMap: ConfigMap protos doesn't exist"),
        "{message}"
    );
    let money = |more: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: protos}}\ndata:\n  money.proto: |\n    syntax = \"proto3\";\n    package common;\n    message Money {{ string currency = 1; int64 units = 2;{more} }}\n"
        )
    };
    c.apply(&money(""));
    c.ready(STREAM, "paid");
    let first = registered(&c, "paid", 1);
    let said = registry(&format!("/schemas/ids/{}", id_of(&first)));
    let file = &said["references"][0];
    assert_eq!(file["name"], "common/money.proto", "{said}");
    let subject = format!("{}-reference-common.money.proto", c.topic("paid"));
    assert_eq!(file["subject"], subject, "{said}");

    c.apply(&stream(
        "sums",
        "Json",
        "  schema:\n    - {name: id, type: string}\n    - {name: \"n\", type: bigint, nullable: true}\n  key: [id]\n",
    ));
    c.apply(&source("in", "paid", ""));
    c.apply(&pipeline(
        "p",
        "SELECT id, total.units AS n FROM paid",
        "sums",
    ));
    c.ready("sources.headworks.dev", "in");
    c.ready(PIPELINE, "p");
    let url = format!("{}/in", c.address("in"));
    post(&url, r#"{"id":"a","total":{"currency":"EUR","units":7}}"#);
    assert_eq!(rows(&c, "sums", 1), [("a".to_owned(), 7, None)]);

    // Another text is another contract: one that fits comes into force within a minute, one that doesn't is refused.
    c.apply(&money(" optional string note = 3;"));
    let second = registered(&c, "paid", 2);
    assert_ne!(id_of(&second), id_of(&first));
    c.apply(&money("").replace("int64 units = 2", "string units = 2"));
    c.condition(
        STREAM,
        "paid",
        "Stalled",
        "True",
        Some("IncompatibleContract"),
    );
    assert_eq!(registered(&c, "paid", 2), second);
}
