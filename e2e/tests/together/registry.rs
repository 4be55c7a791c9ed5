//! The schema registry goes away: what runs goes on from what its plan holds, also after a restart, and what is new waits.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::time::Duration;

use headworks_e2e::{Cluster, Gate, block_on, cluster, kill_container, source, until};

const STREAM: &str = "datastreams.headworks.dev";
const PIPELINE: &str = "pipelines.headworks.dev";
const PLATFORM: &str = "e2e-registry";
const LIMIT: Duration = Duration::from_secs(90);

fn stream(name: &str, more: &str) -> String {
    in_format(name, "Avro", more)
}

fn in_format(name: &str, format: &str, more: &str) -> String {
    format!(
        "apiVersion: headworks.dev/v1alpha1\nkind: DataStream\nmetadata: {{name: {name}}}\nspec:\n  platform: {PLATFORM}\n  partitions: 1\n  format: {format}\n  schema:\n    - {{name: id, type: string}}\n{more}  key: [id]\n"
    )
}

const NOTE: &str = "    - {name: note, type: string, nullable: true}\n";

fn post(url: &str, id: usize) {
    until(url, Duration::from_secs(60), || {
        block_on(async {
            let answer = reqwest::Client::new()
                .post(url)
                .header("content-type", "application/json")
                .timeout(Duration::from_secs(5))
                .body(format!("{{\"id\":\"{id}\"}}"))
                .send()
                .await
                .ok()?;
            (answer.status().as_u16() == 202).then_some(())
        })
    })
    .expect("the record is taken");
}

/// Another party's schema, registered by itself; gives its id.
fn foreign() -> u32 {
    let url = std::env::var("REGISTRY_URL").expect("REGISTRY_URL, from `pocket endpoints`");
    let schema = r#"{"type":"record","name":"Theirs","fields":[{"name":"id","type":"string"},{"name":"x","type":"long"}]}"#;
    let body = serde_json::json!({"schema": schema}).to_string();
    let text = block_on(async {
        let request = reqwest::Client::new()
            .post(format!("{url}/subjects/e2e-theirs-value/versions"))
            .header("content-type", "application/vnd.schemaregistry.v1+json")
            .body(body);
        let answer = request.send().await.expect("the registry answers");
        answer.text().await.expect("text")
    });
    let answer: serde_json::Value = serde_json::from_str(&text).unwrap();
    u32::try_from(answer["id"].as_u64().expect("an id")).unwrap()
}

/// Distinct Kafka keys of a topic: a client that sends again makes doubles.
fn keys(c: &Cluster, stream: &str) -> usize {
    let records = c.kafka.read(&c.topic(stream));
    let keys: std::collections::BTreeSet<_> = records.into_iter().filter_map(|r| r.key).collect();
    keys.len()
}

#[test]
fn while_the_registry_is_away_what_runs_goes_on_and_what_is_new_waits() {
    let Some(c) = cluster("e2e-registry") else {
        return;
    };
    // The way there is this test's own: the others go on with the registry.
    let registry = std::env::var("REGISTRY_URL").expect("REGISTRY_URL, from `pocket endpoints`");
    let (server, path) = registry
        .trim_start_matches("http://")
        .split_once('/')
        .expect("http://host:port/path");
    let gate = Gate::to(server);
    let url = format!("http://{}/{path}", gate.address);
    let platform = headworks_e2e::platform(PLATFORM, &headworks_e2e::bootstrap(), "");
    c.apply(&format!("{platform}  schemaRegistry: {{url: \"{url}\"}}\n"));
    c.ready("platforms.headworks.dev", PLATFORM);
    c.apply(&stream("a", ""));
    c.apply(&in_format("b", "Protobuf", ""));
    c.apply(&in_format("c", "Json", ""));
    c.apply(&source("in", "a", ""));
    let p = headworks_e2e::pipeline("p", "SELECT id FROM a", "b");
    c.apply(&p.replace("platform: e2e\n", &format!("platform: {PLATFORM}\n")));
    let q = headworks_e2e::pipeline("q", "SELECT id FROM b", "c");
    c.apply(&q.replace("platform: e2e\n", &format!("platform: {PLATFORM}\n")));
    c.ready("sources.headworks.dev", "in");
    c.ready(PIPELINE, "p");
    c.ready(PIPELINE, "q");
    let url = format!("{}/in", c.address("in"));
    post(&url, 1);
    // Two versions of records, so that a restarted pod needs more than the contract in force.
    c.apply(&stream("a", NOTE));
    c.ready(STREAM, "a");
    c.ready("sources.headworks.dev", "in");
    c.ready(PIPELINE, "p");
    post(&url, 2);

    let theirs = foreign();
    gate.shut();
    post(&url, 3);
    assert!(kill_container(&c.kubectl, &c.namespace, "p-0"), "p-0 runs");
    assert!(kill_container(&c.kubectl, &c.namespace, "q-0"), "q-0 runs");
    post(&url, 4);
    until("what runs goes on", LIMIT, || {
        (keys(&c, "c") == 4).then_some(())
    })
    .unwrap_or_else(|| panic!("b has {} and c {} of 4", keys(&c, "b"), keys(&c, "c")));
    c.condition(
        "platforms.headworks.dev",
        PLATFORM,
        "SchemaRegistryReady",
        "False",
        Some("RegistryUnavailable"),
    );
    c.ready("platforms.headworks.dev", PLATFORM);
    c.ready(STREAM, "b");
    c.apply(&stream("late", ""));
    c.condition(
        STREAM,
        "late",
        "Ready",
        "False",
        Some("RegistryUnavailable"),
    );
    let more = format!("{NOTE}    - {{name: more, type: int, nullable: true}}\n");
    c.apply(&stream("a", &more));
    c.condition(STREAM, "a", "Ready", "False", Some("RegistryUnavailable"));
    let version = |c: &Cluster| {
        c.kubectl.get(STREAM, "a", &c.namespace).unwrap()["status"]["contract"]["version"].clone()
    };
    assert_eq!(version(&c), 2, "the contract before stays in force");
    // A record of a schema that nobody has seen yet waits for it, and those behind it wait, too.
    let record = [&[0][..], &theirs.to_be_bytes(), &[4], b"5x", &[2]].concat();
    c.kafka.produce(&c.topic("a"), &[&record]);
    post(&url, 6);
    c.condition(PIPELINE, "p", "Ready", "False", Some("RegistryUnavailable"));
    assert_eq!(keys(&c, "b"), 4);

    gate.open();
    c.ready(STREAM, "late");
    c.ready(STREAM, "a");
    assert_eq!(version(&c), 3);
    c.ready(PIPELINE, "p");
    c.ready(PIPELINE, "q");
    post(&url, 7);
    until("nothing is lost", LIMIT, || {
        (keys(&c, "c") == 7).then_some(())
    })
    .unwrap_or_else(|| panic!("b has {} and c {} of 7", keys(&c, "b"), keys(&c, "c")));
    let mut ids: Vec<String> = c
        .kafka
        .read(&c.topic("c"))
        .iter()
        .map(|record| record.json()["id"].as_str().unwrap().to_owned())
        .collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids, ["1", "2", "3", "4", "5x", "6", "7"]);
    assert!(c.kafka.read(&format!("{}.dlq", c.topic("a"))).is_empty());
}
