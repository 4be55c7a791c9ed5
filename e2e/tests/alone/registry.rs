//! The schema registry goes away: what runs goes on from what its plan holds, also after a restart, and what is new waits.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::time::Duration;

use headworks_e2e::{Cluster, block_on, cluster, kill_container, pocket, source, until};

const STREAM: &str = "datastreams.headworks.dev";
const PIPELINE: &str = "pipelines.headworks.dev";
const PLATFORM: &str = "e2e-registry";
const LIMIT: Duration = Duration::from_secs(90);

fn stream(name: &str, more: &str) -> String {
    format!(
        "apiVersion: headworks.dev/v1alpha1\nkind: DataStream\nmetadata: {{name: {name}}}\nspec:\n  platform: {PLATFORM}\n  partitions: 1\n  format: Avro\n  schema:\n    - {{name: id, type: string}}\n{more}  key: [id]\n"
    )
}

const NOTE: &str = "    - {name: note, type: string, nullable: true}\n";

/// However the test ends, the registry runs afterwards.
struct Stopped;

impl Drop for Stopped {
    fn drop(&mut self) {
        pocket(&["start", "registry"]);
    }
}

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
    let url = std::env::var("REGISTRY_URL_IN_CLUSTER")
        .unwrap_or_else(|_| "http://registry.kafka.svc:8080/apis/ccompat/v7".into());
    let platform = headworks_e2e::platform(PLATFORM, &headworks_e2e::bootstrap(), "");
    c.apply(&format!("{platform}  schemaRegistry: {{url: \"{url}\"}}\n"));
    c.ready("platforms.headworks.dev", PLATFORM);
    c.apply(&stream("a", ""));
    c.apply(&stream("b", ""));
    c.apply(&source("in", "a", ""));
    let p = headworks_e2e::pipeline("p", "SELECT id FROM a", "b");
    c.apply(&p.replace("platform: e2e\n", &format!("platform: {PLATFORM}\n")));
    c.ready("sources.headworks.dev", "in");
    c.ready(PIPELINE, "p");
    let url = format!("{}/in", c.address("in"));
    post(&url, 1);
    // Two versions of records, so that a restarted pod needs more than the contract in force.
    c.apply(&stream("a", NOTE));
    c.ready(STREAM, "a");
    c.ready("sources.headworks.dev", "in");
    c.ready(PIPELINE, "p");
    post(&url, 2);

    let stopped = Stopped;
    let (ok, text) = pocket(&["stop", "registry"]);
    assert!(ok, "{text}");
    post(&url, 3);
    assert!(kill_container(&c.kubectl, &c.namespace, "p-0"), "p-0 runs");
    post(&url, 4);
    until("what runs goes on", LIMIT, || {
        (keys(&c, "b") == 4).then_some(())
    })
    .unwrap_or_else(|| panic!("b has {} of 4 records", keys(&c, "b")));
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
    post(&url, 5);

    drop(stopped);
    c.ready(STREAM, "late");
    c.ready(STREAM, "a");
    assert_eq!(version(&c), 3);
    c.ready(PIPELINE, "p");
    post(&url, 6);
    until("nothing is lost", LIMIT, || {
        (keys(&c, "b") == 6).then_some(())
    })
    .unwrap_or_else(|| panic!("b has {} of 6 records", keys(&c, "b")));
    assert!(c.kafka.read(&format!("{}.dlq", c.topic("a"))).is_empty());
}
