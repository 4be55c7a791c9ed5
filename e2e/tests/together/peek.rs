//! `headworks peek` against a real cluster: which records it shows, what it masks, with whose Secret it reads, and that it leaves
//! nothing behind.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use headworks_e2e::clients::{accept, grant, secured};
use headworks_e2e::{Cluster, cluster, until};
use serde_json::Value;

use crate::cli::{Said, headworks};

/// A stream of people, with a labelled field, on a Platform.
fn people(platform: &str) -> String {
    format!(
        "apiVersion: headworks.dev/v1alpha1\nkind: DataStream\nmetadata: {{name: people}}\nspec:\n  platform: {platform}\n  partitions: 2\n  key: [id]\n  schema:\n    - {{name: id, type: string}}\n    - {{name: email, type: string, labels: [pii]}}\n    - {{name: \"n\", type: bigint}}\n"
    )
}

/// The records among what `peek -o json` printed.
fn records(said: &Said) -> Vec<Value> {
    let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
    said.out.lines().map(parse).collect()
}

/// No pod of a peek is left in the namespace.
fn no_pod_is_left(c: &Cluster) {
    until("the pods of peeks", Duration::from_secs(60), || {
        let list = c.kubectl.must(&[
            "get",
            "pods",
            "-n",
            &c.namespace,
            "-l",
            "app.kubernetes.io/name=headworks-peek",
            "-o",
            "name",
        ]);
        (!list.contains("pod/headworks-peek-")).then_some(())
    })
    .expect("every peek takes its pod away");
}

#[test]
fn peek_shows_records_by_partition_key_and_time_and_masks_labelled_fields() {
    let Some(c) = cluster("e2e-cli-peek") else {
        return;
    };
    let ns = c.namespace.as_str();
    c.apply(&people("e2e"));
    c.ready("datastreams.headworks.dev", "people");
    let topic = c.topic("people");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let ago = |minutes: i64| i64::try_from(now.as_millis()).unwrap() - minutes * 60_000;
    for (partition, key, minutes, value) in [
        (0, "a", 120, r#"{"id":"a","email":"a@example.com","n":1}"#),
        (1, "b", 110, r#"{"id":"b","email":"b@example.com","n":2}"#),
        (
            0,
            "a",
            10,
            r#"{"id":"a","email":"a@example.com","n":9007199254740993}"#,
        ),
        (1, "c", 5, r#"{"id":"c","email":["c@example.com"],"n":4}"#),
    ] {
        c.kafka
            .produce_at(&topic, partition, key, ago(minutes), Some(value.as_bytes()));
    }
    let peek = |more: &[&str]| {
        headworks(&[&["peek", "stream", "people", "-n", ns, "-o", "json"], more].concat())
    };
    let places = |said: &Said| -> Vec<(i64, i64)> {
        let place = |r: &Value| Some((r["partition"].as_i64()?, r["offset"].as_i64()?));
        records(said).iter().map(|r| place(r).unwrap()).collect()
    };

    let said = peek(&[]);
    assert_eq!(said.code, Some(0), "{}", said.all);
    assert_eq!(
        places(&said),
        [(0, 0), (1, 0), (0, 1), (1, 1)],
        "{}",
        said.all
    );
    assert!(!said.all.contains("example.com"), "{}", said.all);
    assert!(said.all.contains("masked: email (pii)"), "{}", said.all);
    let all = records(&said);
    assert_eq!(all[0]["value"]["email"], "***");
    assert_eq!(all[2]["value"]["n"], 9_007_199_254_740_993_i64);
    assert_eq!(all[3]["error"]["reason"], "Contract", "{}", said.all);
    assert!(all[3]["raw"].is_null() && all[3]["bytes"].as_i64() > Some(0));

    let said = peek(&["--partition", "0"]);
    assert_eq!(places(&said), [(0, 0), (0, 1)], "{}", said.all);
    let said = peek(&["--key", "a", "--since", "1h"]);
    assert_eq!(places(&said), [(0, 1)], "{}", said.all);
    let said = peek(&["--until", "1h", "--limit", "1"]);
    assert_eq!(places(&said), [(1, 0)], "{}", said.all);
    let said = peek(&["--offset", "1", "--unmask"]);
    assert_eq!(places(&said), [(0, 1), (1, 1)], "{}", said.all);
    let all = records(&said);
    assert_eq!(all[0]["value"]["email"], "a@example.com");
    assert!(all[1]["raw"].is_string(), "{}", said.all);

    // For people.
    let name = format!("{ns}/people");
    let said = headworks(&["peek", "stream", &name, "--key", "b"]);
    assert_eq!(said.code, Some(0), "{}", said.all);
    for word in ["TIME", "PARTITION", r#"{"id":"b","email":"***","n":2}"#] {
        assert!(said.out.contains(word), "{word}: {}", said.all);
    }

    // What can't be is said.
    let said = headworks(&["peek", "stream", "peopel", "-n", ns]);
    assert_eq!(said.code, Some(1), "{}", said.all);
    assert!(said.all.contains("did you mean \"people\""), "{}", said.all);
    let said = peek(&["--partition", "9"]);
    assert_eq!(said.code, Some(1), "{}", said.all);
    assert!(said.all.contains("no partition 9"), "{}", said.all);
    let said = peek(&["--image", "nowhere.invalid/runtime:none"]);
    assert_eq!(said.code, Some(1), "{}", said.all);
    assert!(said.all.contains("nowhere.invalid"), "{}", said.all);

    followed(&c);
    no_pod_is_left(&c);
    let (_, groups) = c.kafka.names();
    let of_peek = groups.iter().find(|group| group.ends_with(".people.peek"));
    assert_eq!(of_peek, None, "nobody joins a group");
}

/// `--follow` shows what comes, and Ctrl-C ends it well.
fn followed(c: &Cluster) {
    let program = std::env::var("HEADWORKS_CLI").unwrap();
    let mut child = Command::new(program)
        .args(["peek", "stream", "people", "-n", &c.namespace])
        .args(["-o", "json", "--limit", "1", "--follow", "--timeout", "5m"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || -> Value {
        let line = lines.next().expect("a record comes").unwrap();
        serde_json::from_str(&line).unwrap()
    };
    assert_eq!(next()["key"], "c", "the newest");
    c.kafka.produce_to(
        &c.topic("people"),
        0,
        br#"{"id":"d","email":"d@example.com","n":5}"#,
    );
    assert_eq!(next()["value"]["id"], "d");
    let pid = child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &pid])
            .status()
            .unwrap()
            .success()
    );
    let mut rest = String::new();
    let status = child.wait().unwrap();
    let _ = child.stderr.take().unwrap().read_to_string(&mut rest);
    assert_eq!(status.code(), Some(0), "{rest}");
}

#[test]
fn peek_reads_with_the_secret_of_a_grant_where_kafka_asks_for_a_user() {
    let Some(c) = cluster("e2e-cli-peek-grant") else {
        return;
    };
    let ns = c.namespace.as_str();
    let platform = secured(&c, "    workloadAuthentication: {generated: {}}\n");
    accept(&c);
    c.apply(&people(&platform));
    c.apply(&people(&platform).replace("name: people", "name: others"));
    c.apply(&grant(&c, "look", "  read: [people]\n"));
    c.ready("accessgrants.headworks.dev", "look");
    c.ready("datastreams.headworks.dev", "others");
    c.kafka.produce(
        &c.topic("people"),
        &[br#"{"id":"a","email":"a@example.com","n":1}"#],
    );
    let peek = |stream: &str, more: &[&str]| {
        headworks(&[&["peek", "stream", stream, "-n", ns, "-o", "json"], more].concat())
    };
    let said = peek("people", &[]);
    assert_eq!(said.code, Some(1), "{}", said.all);
    assert!(
        said.all.contains("name an AccessGrant with --grant: look"),
        "{}",
        said.all
    );
    let said = peek("others", &["--grant", "look"]);
    assert_eq!(said.code, Some(1), "{}", said.all);
    assert!(said.all.contains("doesn't read others"), "{}", said.all);
    let said = peek("people", &["--grant", "look"]);
    assert_eq!(said.code, Some(0), "{}", said.all);
    assert_eq!(records(&said)[0]["value"]["id"], "a", "{}", said.all);
    no_pod_is_left(&c);
    c.kubectl.must(&[
        "delete",
        "accessgrants.headworks.dev",
        "look",
        "-n",
        ns,
        "--timeout=60s",
    ]);
    c.kubectl.must(&[
        "delete",
        "platforms.headworks.dev",
        &platform,
        "--timeout=60s",
    ]);
}
