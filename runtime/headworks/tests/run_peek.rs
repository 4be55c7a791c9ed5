//! `headworks-runtime peek` as a pod runs it, against librdkafka's mock broker: what it prints, and how it ends.

// All of this is test: a helper may fail it as well.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use serde_json::{Value, json};

struct Plan(PathBuf);

impl Drop for Plan {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Plan {
    fn new(name: &str, plan: &Value) -> Plan {
        let name = format!("headworks-peek-{}-{name}.json", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, plan.to_string()).unwrap();
        Plan(path)
    }

    fn begin(&self) -> Child {
        Command::new(env!("CARGO_BIN_EXE_headworks-runtime"))
            .arg("peek")
            .arg(&self.0)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// The exit code, and the lines of standard output.
    fn run(&self) -> (Option<i32>, Vec<Value>) {
        let output = self.begin().wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let lines = text.lines().map(|l| serde_json::from_str(l).unwrap());
        (output.status.code(), lines.collect())
    }
}

fn plan(bootstrap: &str, select: &Value) -> Value {
    json!({"version": 2, "kafka": {"bootstrapServers": bootstrap}, "group": "peek", "masked": ["email"], "select": select,
        "stream": {"name": "people", "topic": "people", "deadLetterTopic": "people.dlq", "maxMessageBytes": 1_048_588,
            "contract": {"format": "Json", "key": ["id"], "fields": [
                {"name": "id", "type": "string"}, {"name": "email", "type": "string", "labels": ["pii"]}]}}})
}

fn write<C: ProducerContext<DeliveryOpaque = ()>>(
    producer: &BaseProducer<C>,
    at: i64,
    value: &str,
) {
    let record = BaseRecord::to("people").key("k").payload(value);
    producer
        .send(record.timestamp(at))
        .map_err(|(error, _)| error)
        .unwrap();
    producer.flush(Duration::from_secs(20)).unwrap();
}

#[test]
fn records_are_printed_as_json_lines_and_the_last_line_says_the_end() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("people", 1, 1).unwrap();
    let bootstrap = cluster.bootstrap_servers();
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &bootstrap)
        .create()
        .unwrap();
    write(&producer, 1_000, r#"{"id":"a","email":"a@example.com"}"#);
    write(&producer, 2_000, r#"{"id":"b"}"#);

    let newest = json!({"limit": 20, "seconds": 60});
    let (code, lines) = Plan::new("newest", &plan(&bootstrap, &newest)).run();
    assert_eq!(
        (code, lines),
        (
            Some(0),
            vec![
                json!({"partition": 0, "offset": 0, "timestamp": "1970-01-01T00:00:01.000Z", "key": "k",
                    "value": {"id": "a", "email": "***"}}),
                json!({"partition": 0, "offset": 1, "timestamp": "1970-01-01T00:00:02.000Z", "key": "k", "bytes": 10,
                    "error": {"reason": "Contract", "message": "field email: the message may quote a masked field; --unmask shows it"}}),
                json!({"peek": "end", "records": 2, "read": 2, "more": false}),
            ]
        )
    );

    let follow = json!({"limit": 1, "seconds": 600, "follow": true});
    let plan = Plan::new("follow", &plan(&bootstrap, &follow));
    let mut child = plan.begin();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(next()["offset"], 1);
    write(&producer, 3_000, r#"{"id":"c","email":"c@example.com"}"#);
    assert_eq!(next()["value"]["id"], "c");
    // As the kubelet ends it; process 1 of a container has no signal's default.
    let told = Command::new("kill").arg(child.id().to_string()).status();
    assert!(told.unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// A dead letter in the topic of those of `people`.
fn write_dead_letter<C: ProducerContext<DeliveryOpaque = ()>>(
    producer: &BaseProducer<C>,
    value: &str,
    headers: &[(&str, &str)],
) {
    let headers = headers
        .iter()
        .fold(OwnedHeaders::new(), |all, (key, value)| {
            let key = &format!("headworks.{key}");
            all.insert(Header {
                key,
                value: Some(*value),
            })
        });
    let record = BaseRecord::<str, str>::to("people.dlq").payload(value);
    producer
        .send(record.timestamp(1_000).headers(headers))
        .map_err(|(error, _)| error)
        .unwrap();
    producer.flush(Duration::from_secs(20)).unwrap();
}

#[test]
fn dead_letters_are_listed_counted_and_exported_and_a_stream_is_profiled() {
    let cluster = MockCluster::new(1).unwrap();
    for topic in ["people", "people.dlq"] {
        cluster.create_topic(topic, 1, 1).unwrap();
    }
    let bootstrap = cluster.bootstrap_servers();
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &bootstrap)
        .create()
        .unwrap();
    write(&producer, 1_000, r#"{"id":"a","email":"a@example.com"}"#);
    let (at, later) = ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z");
    let decode = [
        ("reason", "Decode"),
        ("error", "no a@example.com"),
        ("time", at),
    ];
    write_dead_letter(&producer, "a@example.com", &decode);
    let quality = [
        ("reason", "Quality"),
        ("error", "rule sane, check known: id IN ('x') is false"),
        ("rule", "sane"),
        ("rule.generation", "2"),
        ("check", "known"),
        ("time", later),
    ];
    write_dead_letter(&producer, r#"{"id":"b","email":"b@example.com"}"#, &quality);
    let run = |name: &str, task: &Value| {
        let mut plan = plan(&bootstrap, &json!({"limit": 20, "seconds": 60}));
        plan["task"] = task.clone();
        Plan::new(name, &plan).run()
    };

    let (code, lines) = run("list", &json!({"list": {"sinceMs": 1_767_300_000_000_i64}}));
    let dead_letter = json!({"time": later, "reason": "Quality", "error": quality[1].1, "rule": "sane", "ruleGeneration": "2",
        "check": "known"});
    let found = json!({"partition": 0, "offset": 1, "timestamp": "1970-01-01T00:00:01.000Z", "deadLetter": dead_letter});
    let end = json!({"peek": "end", "records": 1, "read": 2, "more": false});
    assert_eq!((code, lines), (Some(0), vec![found, end]));

    let (_, lines) = run("count", &json!({"count": {}}));
    let counts = json!([
        {"reason": "Decode", "count": 1, "firstMs": 1_767_225_600_000_i64, "lastMs": 1_767_225_600_000_i64},
        {"reason": "Quality", "rule": "sane", "check": "known", "count": 1, "firstMs": 1_767_312_000_000_i64,
            "lastMs": 1_767_312_000_000_i64}]);
    assert_eq!(
        lines,
        [json!({"peek": "counts", "counts": counts, "others": 0, "read": 2, "complete": true})]
    );

    let (_, lines) = run("export", &json!({"export": {}}));
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[1]["value"], json!({"id": "b", "email": "***"}));
    assert_eq!(
        lines[2]["positions"],
        json!([{"partition": 0, "offset": 2, "end": 2}])
    );
    let text = serde_json::to_string(&lines).unwrap();
    assert!(!text.contains("example.com"), "{text}");

    let (_, lines) = run("profile", &json!({"profile": {"records": 10}}));
    assert_eq!(lines[0]["columns"][0]["min"], "a");
    assert_eq!(lines[0]["columns"][1]["distinct"], 1);
    let text = serde_json::to_string(&lines).unwrap();
    assert!(!text.contains("example.com"), "{text}");
}

#[test]
fn a_plan_that_is_none_is_told_in_the_last_line() {
    let (code, lines) = Plan::new("none", &json!({"version": 99})).run();
    assert_eq!(code, Some(3));
    assert_eq!(lines[0]["peek"], "failed");
    assert_eq!(lines[0]["reason"], "PlanRefused");
}
