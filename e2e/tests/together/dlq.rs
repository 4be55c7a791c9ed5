//! `headworks dlq` and `headworks profile` against a real cluster: dead letters of a Source and of a Pipeline, of three reasons; what is
//! listed, counted, shown and exported agrees with the topic and with the statuses, and no labelled value is shown.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::path::PathBuf;
use std::time::Duration;

use headworks_e2e::clients::{accept, grant, secured};
use headworks_e2e::{Cluster, Record, block_on, cluster, pipeline, source, stream, until};
use serde_json::Value;

use crate::cli::{Said, headworks};

/// A stream of people, with a labelled field, on a Platform.
fn people(platform: &str) -> String {
    format!(
        "apiVersion: headworks.dev/v1alpha1\nkind: DataStream\nmetadata: {{name: people}}\nspec:\n  platform: {platform}\n  partitions: 2\n  key: [id]\n  schema:\n    - {{name: id, type: string}}\n    - {{name: email, type: string, labels: [pii]}}\n    - {{name: \"n\", type: bigint}}\n"
    )
}

fn post(url: &str, body: &str) -> u16 {
    block_on(async {
        let request = reqwest::Client::new()
            .post(url)
            .header("content-type", "application/json")
            .timeout(Duration::from_secs(30))
            .body(body.to_owned());
        request.send().await.expect("an answer").status().as_u16()
    })
}

/// JSON lines.
fn lines(text: &str) -> Vec<Value> {
    let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
    text.lines().map(parse).collect()
}

/// A file that isn't there yet.
fn file(c: &Cluster) -> PathBuf {
    let path = std::env::temp_dir().join(format!("{}.ndjson", c.namespace));
    let _ = std::fs::remove_file(&path);
    path
}

/// A Source and a Pipeline that make dead letters of `people`: two that break the contract, one that is no JSON, and three of
/// which the query makes nothing.
fn dead_letters(c: &Cluster) -> Vec<Record> {
    c.apply(&people("e2e"));
    c.apply(&stream("shares", "partitions: 1"));
    c.apply(&source("in", "people", "").replace("  http:", "  onInvalid: DeadLetter\n  http:"));
    c.apply(&pipeline(
        "p",
        "SELECT id, 100 / n AS n FROM people",
        "shares",
    ));
    c.ready("sources.headworks.dev", "in");
    c.ready("pipelines.headworks.dev", "p");
    let url = format!("{}/in", c.address("in"));
    let body = r#"[{"id":"a","email":"a@example.com","n":"many"},{"id":"b","email":5,"n":1},
        {"id":"c","email":"c@example.com","n":0},{"id":"d","email":"d@example.com","n":0},
        {"id":"e","email":"e@example.com","n":0},{"id":"f","email":"f@example.com","n":50}]"#;
    assert_eq!(post(&url, body), 202);
    c.kafka
        .produce_to(&c.topic("people"), 0, b"broken g@example.com");
    let topic = format!("{}.dlq", c.topic("people"));
    let all = c.kafka.read_at_least(&topic, 6, Duration::from_secs(90));
    assert_eq!(all.len(), 6, "{topic}");
    all
}

fn reasons(counts: &Value) -> Vec<(String, u64)> {
    let mut all: Vec<(String, u64)> = counts["counts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            (
                one["reason"].as_str().unwrap().to_owned(),
                one["count"].as_u64().unwrap(),
            )
        })
        .collect();
    all.sort();
    all
}

#[test]
fn dead_letters_are_listed_counted_shown_and_exported_as_they_are_in_the_topic() {
    let Some(c) = cluster("e2e-cli-dlq") else {
        return;
    };
    let ns = c.namespace.clone();
    let dlq = |verb: &str, more: &[&str]| {
        headworks(&[&["dlq", verb, "people", "-n", &ns], more].concat())
    };
    c.apply(&stream("quiet", "partitions: 1"));
    c.ready("datastreams.headworks.dev", "quiet");
    let said = headworks(&["dlq", "ls", "quiet", "-n", &ns]);
    assert_eq!(said.code, Some(0), "{}", said.all);
    assert!(
        said.all.contains("quiet has no dead letters"),
        "{}",
        said.all
    );
    let said = headworks(&["dlq", "count", "peopel", "-n", &ns]);
    assert_eq!(said.code, Some(1), "{}", said.all);

    let there = dead_letters(&c);
    counted(&dlq);
    listed(&dlq, &there);
    shown(&dlq, &there);
    exported(&c, &dlq, &there);
    in_statuses(&c);

    let said = headworks(&["profile", "stream", "people", "-n", &ns, "-o", "json"]);
    assert_eq!(said.code, Some(0), "{}", said.all);
    let profile: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(
        (&profile["rows"], &profile["undecoded"]),
        (&4.into(), &1.into()),
        "{}",
        said.all
    );
    assert!(!said.all.contains("example.com"), "{}", said.all);
    let email = &profile["columns"][1];
    assert_eq!(
        (&email["distinct"], &email["masked"]),
        (&4.into(), &true.into()),
        "{}",
        said.all
    );
    assert_eq!(profile["columns"][2]["max"], "50", "{}", said.all);

    // Over time: what came within the last hours is in one of the intervals, once.
    let over = ["--since", "2h", "--every", "1h", "-o", "json"];
    let said = headworks(&[&["profile", "stream", "people", "-n", &ns][..], &over].concat());
    assert_eq!(said.code, Some(0), "{}", said.all);
    let told: Value = serde_json::from_str(&said.out).unwrap();
    let intervals = told["intervals"].as_array().expect("intervals");
    let rows: u64 = intervals.iter().filter_map(|i| i["rows"].as_u64()).sum();
    assert_eq!((intervals.len(), rows), (2, 4), "{}", said.all);
    assert!(!said.all.contains("example.com"), "{}", said.all);
}

fn counted(dlq: &impl Fn(&str, &[&str]) -> Said) {
    let said = dlq("count", &["-o", "json"]);
    assert_eq!(said.code, Some(0), "{}", said.all);
    let counts: Value = serde_json::from_str(&said.out).unwrap();
    let of = |reason: &str, count| (reason.to_owned(), count);
    assert_eq!(
        reasons(&counts),
        [of("Contract", 2), of("Decode", 1), of("Evaluation", 3)],
        "{}",
        said.all
    );
    assert_eq!(
        (&counts["total"], &counts["complete"]),
        (&6.into(), &true.into())
    );
    let said = dlq("count", &["--reason", "evaluation", "-o", "json"]);
    let counts: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(reasons(&counts), [of("Evaluation", 3)], "{}", said.all);
    let said = dlq("count", &["--reason", "Evaluatoin"]);
    assert_eq!(said.code, Some(2), "{}", said.all);
    assert!(
        said.all.contains("did you mean \"Evaluation\""),
        "{}",
        said.all
    );
    // For people.
    let said = dlq("count", &[]);
    for word in ["REASON", "Evaluation", "6 dead letters"] {
        assert!(said.all.contains(word), "{word}: {}", said.all);
    }
}

fn listed(dlq: &impl Fn(&str, &[&str]) -> Said, there: &[Record]) {
    let said = dlq("ls", &["-o", "json"]);
    assert_eq!(said.code, Some(0), "{}", said.all);
    assert!(!said.all.contains("example.com"), "{}", said.all);
    let mut places: Vec<(i64, i64)> = lines(&said.out)
        .iter()
        .map(|letter| {
            (
                letter["partition"].as_i64().unwrap(),
                letter["offset"].as_i64().unwrap(),
            )
        })
        .collect();
    places.sort_unstable();
    let mut in_topic: Vec<(i64, i64)> = there
        .iter()
        .map(|record| (record.partition.into(), record.offset))
        .collect();
    in_topic.sort_unstable();
    assert_eq!(places, in_topic, "{}", said.all);
    let said = dlq("ls", &["--reason", "Contract,Decode", "-o", "json"]);
    assert_eq!(lines(&said.out).len(), 3, "{}", said.all);
    let said = dlq("ls", &["--since", "1h", "--limit", "2", "-o", "json"]);
    assert_eq!(lines(&said.out).len(), 2, "{}", said.all);
    let said = dlq("ls", &["--until", "1h"]);
    assert!(
        said.all.contains("no dead letter of people"),
        "{}",
        said.all
    );
    let said = dlq("ls", &[]);
    for word in ["AT", "REASON", "Source e2e-cli-dlq/in", "people[0]@"] {
        assert!(said.out.contains(word), "{word}: {}", said.all);
    }
}

fn shown(dlq: &impl Fn(&str, &[&str]) -> Said, there: &[Record]) {
    let of = |reason: &str| {
        let mut all = there.iter();
        let found = all
            .find(|record| record.headers["headworks.reason"] == reason)
            .unwrap();
        (found, format!("{}:{}", found.partition, found.offset))
    };
    // One that can be decoded: its labelled field is masked.
    let (record, at) = of("Evaluation");
    let said = dlq("show", &["--at", &at, "-o", "json"]);
    assert_eq!(said.code, Some(0), "{}", said.all);
    let letter = &lines(&said.out)[0];
    assert_eq!(letter["value"]["email"], "***", "{}", said.all);
    assert_eq!(letter["value"]["n"], 0, "{}", said.all);
    let origin = &letter["deadLetter"]["origin"];
    assert_eq!(
        origin["offset"], record.headers["headworks.origin.offset"],
        "{}",
        said.all
    );
    // One that can't: its bytes are shown to whom nothing is masked.
    let (_, at) = of("Decode");
    let said = dlq("show", &["--at", &at]);
    assert_eq!(said.code, Some(0), "{}", said.all);
    assert!(!said.all.contains("example.com"), "{}", said.all);
    assert!(said.out.contains("--unmask shows it"), "{}", said.all);
    let said = dlq("show", &["--at", &at, "--unmask"]);
    assert!(said.out.contains("broken g@example.com"), "{}", said.all);
    let said = dlq("show", &["--at", "0:999999"]);
    assert_eq!(said.code, Some(1), "{}", said.all);
    assert!(
        said.all.contains("no dead letter at 0:999999"),
        "{}",
        said.all
    );
}

fn exported(c: &Cluster, dlq: &impl Fn(&str, &[&str]) -> Said, there: &[Record]) {
    let path = file(c);
    let to = path.to_str().unwrap();
    let said = dlq("export", &["--to", to, "--limit", "4", "--unmask"]);
    assert_eq!(said.code, Some(0), "{}", said.all);
    assert!(said.all.contains("4 dead letters"), "{}", said.all);
    let said_again = dlq("export", &["--to", to, "--unmask"]);
    assert_eq!(said_again.code, Some(2), "{}", said_again.all);
    let (_, from) = said.all.rsplit_once("--from ").unwrap();
    let said = dlq("export", &["--to", to, "--from", from.trim(), "--unmask"]);
    assert_eq!(said.code, Some(0), "{}", said.all);
    let text = std::fs::read_to_string(&path).unwrap();
    let mut exported: Vec<(i64, i64, Vec<u8>)> = lines(&text)
        .iter()
        .map(|letter| {
            let raw = base64(letter["raw"].as_str().unwrap());
            (
                letter["partition"].as_i64().unwrap(),
                letter["offset"].as_i64().unwrap(),
                raw,
            )
        })
        .collect();
    exported.sort();
    let mut in_topic: Vec<(i64, i64, Vec<u8>)> = there
        .iter()
        .map(|record| (record.partition.into(), record.offset, record.value.clone()))
        .collect();
    in_topic.sort();
    assert_eq!(exported, in_topic, "{text}");
    std::fs::remove_file(path).unwrap();
}

/// Base64 as RFC 4648 has it.
fn base64(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0_u32, 0);
    for c in text.bytes().filter(|c| *c != b'=') {
        let six = ALPHABET.iter().position(|known| *known == c).unwrap();
        bits = (bits << 6) | u32::try_from(six).unwrap();
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from((bits >> held) & 0xff).unwrap());
        }
    }
    bytes
}

/// What `kubectl describe` shows: counts by reason, and the last one's reason and place.
fn in_statuses(c: &Cluster) {
    let status = |kind: &str, name: &str| {
        let object = c.kubectl.get(kind, name, &c.namespace);
        object
            .map(|object| object["status"].clone())
            .unwrap_or_default()
    };
    until("the counts of the Source", Duration::from_secs(90), || {
        let status = status("sources.headworks.dev", "in");
        (status["deadLettersByReason"]["Contract"] == 2).then_some(())
    })
    .expect("two dead letters of the Source");
    let status = until(
        "the counts of the Pipeline",
        Duration::from_secs(90),
        || {
            let status = status("pipelines.headworks.dev", "p");
            let counts = &status["deadLettersByReason"];
            (counts["Evaluation"] == 3 && counts["Decode"] == 1).then_some(status)
        },
    )
    .expect("four dead letters of the Pipeline");
    let place = status["lastDeadLetterPlace"].as_str().unwrap_or_default();
    assert!(
        place.starts_with(&format!("{}[", c.topic("people"))),
        "{status}"
    );
    let reason = status["lastDeadLetterReason"].as_str().unwrap_or_default();
    assert!(["Evaluation", "Decode"].contains(&reason), "{status}");
}

#[test]
fn dead_letters_are_read_with_a_grant_that_says_so_where_kafka_asks_for_a_user() {
    let Some(c) = cluster("e2e-cli-dlq-grant") else {
        return;
    };
    let ns = c.namespace.clone();
    let platform = secured(&c, "    workloadAuthentication: {generated: {}}\n");
    accept(&c);
    c.apply(&people(&platform));
    c.apply(&grant(&c, "look", "  read: [people]\n"));
    c.ready("accessgrants.headworks.dev", "look");
    let count = || {
        headworks(&[
            "dlq", "count", "people", "-n", &ns, "--grant", "look", "-o", "json",
        ])
    };
    let said = count();
    assert_eq!(said.code, Some(1), "{}", said.all);
    assert!(said.all.contains("deadLetters: true"), "{}", said.all);
    c.apply(&grant(
        &c,
        "look",
        "  read: [people]\n  deadLetters: true\n",
    ));
    let said = until(
        "the right to read dead letters",
        Duration::from_secs(60),
        || {
            let said = count();
            (said.code == Some(0)).then_some(said)
        },
    )
    .unwrap_or_else(|| panic!("{}", count().all));
    let counts: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(counts["total"], 0, "{}", said.all);
    c.kubectl.must(&[
        "delete",
        "accessgrants.headworks.dev",
        "look",
        "-n",
        &ns,
        "--timeout=60s",
    ]);
    c.kubectl.must(&[
        "delete",
        "platforms.headworks.dev",
        &platform,
        "--timeout=60s",
    ]);
}
