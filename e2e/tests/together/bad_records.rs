//! Every kind of bad record, by HTTP and on a topic: the answer names the place, the dead letters hold the bytes, the rest flows.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::io::Write as _;
use std::time::Duration;

use headworks_e2e::{Cluster, block_on, cluster, pipeline, source, until};

const KIND: &str = "datastreams.headworks.dev";

fn stream(name: &str) -> String {
    format!(
        "
apiVersion: headworks.dev/v1alpha1
kind: DataStream
metadata: {{name: {name}}}
spec:
  platform: e2e
  partitions: 1
  schema:
    - {{name: id, type: string}}
    - {{name: amount, type: \"decimal(6,2)\", nullable: true}}
    - {{name: ratio, type: double, nullable: true}}
    - {{name: tags, type: \"array<string>\", nullable: true}}
  key: [id]
"
    )
}

/// What it is, the body, and what the answer (HTTP) or the headers (dead letter) must say.
fn bad() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let nested = format!(
        r#"{{"id":"x","tags":{}{}}}"#,
        "[".repeat(5_000),
        "]".repeat(5_000)
    );
    vec![
        ("invalid UTF-8", b"{\"id\":\"\xff\xfe\"}".to_vec(), "UTF-8"),
        (
            "duplicate JSON keys",
            br#"{"id":"x","id":"y"}"#.to_vec(),
            "id",
        ),
        (
            "a huge number",
            br#"{"id":"x","ratio":1e400}"#.to_vec(),
            "ratio",
        ),
        (
            "a number of 5,000 digits",
            format!(r#"{{"id":"x","amount":{}}}"#, "9".repeat(5_000)).into_bytes(),
            "amount",
        ),
        (
            "numeric overflow",
            br#"{"id":"x","amount":"12345.67"}"#.to_vec(),
            "amount",
        ),
        ("NaN", br#"{"id":"x","ratio":NaN}"#.to_vec(), "column"),
        ("deep nesting", nested.into_bytes(), "tags"),
        ("null in a required field", br#"{"id":null}"#.to_vec(), "id"),
        (
            "a key field is missing",
            br#"{"amount":"1.00"}"#.to_vec(),
            "id",
        ),
        ("a lone surrogate", br#"{"id":"\ud800"}"#.to_vec(), "id"),
    ]
}

struct Answer {
    status: u16,
    body: String,
}

fn post(url: &str, encoding: Option<&str>, body: Vec<u8>) -> Answer {
    block_on(async {
        let mut request = reqwest::Client::new()
            .post(url)
            .header("content-type", "application/json")
            .timeout(Duration::from_secs(60))
            .body(body);
        if let Some(encoding) = encoding {
            request = request.header("content-encoding", encoding);
        }
        let answer = request.send().await.expect("an answer");
        Answer {
            status: answer.status().as_u16(),
            body: answer.text().await.expect("a body"),
        }
    })
}

fn endpoint(c: &Cluster) -> String {
    c.apply(&source("in", "a", ""));
    c.ready("sources.headworks.dev", "in");
    let url = format!("{}/in", c.address("in"));
    until("the endpoint answers", Duration::from_secs(30), || {
        block_on(async {
            reqwest::Client::new()
                .get(&url)
                .timeout(Duration::from_secs(1))
                .send()
                .await
                .ok()
        })
    })
    .expect("an address that answers");
    url
}

fn zipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn by_http_each_is_answered_with_its_place_and_nothing_of_it_gets_in() {
    let Some(c) = cluster("e2e-bad-http") else {
        return;
    };
    c.apply(&stream("a"));
    c.ready(KIND, "a");
    let url = endpoint(&c);
    for (what, body, word) in bad() {
        let answer = post(&url, None, body);
        assert_eq!(answer.status, 400, "{what}: {}", answer.body);
        assert!(
            answer.body.contains(word),
            "{what}: {word:?} should be in {}",
            answer.body
        );
        assert!(
            answer.body.len() < 4_096,
            "{what}: the answer is bounded, not {} bytes",
            answer.body.len()
        );
    }
    for (what, body) in [
        ("an empty body", &b""[..]),
        ("blanks", b" \n "),
        ("a zipped empty body", &zipped(b"")),
    ] {
        let answer = post(
            &url,
            what.contains("zipped").then_some("gzip"),
            body.to_vec(),
        );
        assert_eq!(answer.status, 400, "{what}: {}", answer.body);
    }
    let big = |bytes: usize| format!(r#"{{"id":"{}"}}"#, "x".repeat(bytes)).into_bytes();
    let answer = post(&url, None, big(10 << 20));
    assert_eq!(answer.status, 413, "10 MB: {}", answer.body);
    assert!(answer.body.contains("maxBodyBytes"), "{}", answer.body);
    // Below maxBodyBytes, above what the topic takes.
    let answer = post(&url, None, big(2 << 20));
    assert!(
        matches!(answer.status, 400 | 413),
        "2 MB: {} {}",
        answer.status,
        answer.body
    );
    assert!(
        answer.body.contains("max.message.bytes"),
        "2 MB: {}",
        answer.body
    );
    // 1 GiB of zeros is 1 MB of gzip.
    let bomb = zipped(&vec![b' '; 256 * 1024 * 1024]);
    let answer = post(&url, Some("gzip"), bomb);
    assert_eq!(answer.status, 413, "{}", answer.body);
    let mut cut = zipped(br#"{"id":"x"}"#);
    cut.truncate(cut.len() - 5);
    assert_eq!(post(&url, Some("gzip"), cut).status, 400);
    let answer = post(&url, Some("br"), b"?".to_vec());
    assert_eq!(answer.status, 415, "{}", answer.body);
    assert!(answer.body.contains("gzip"), "{}", answer.body);
    assert_eq!(c.kafka.read(&c.topic("a")).len(), 0);

    let answer = post(&url, Some("gzip"), zipped(br#"{"id":"x","amount":"1.50"}"#));
    assert_eq!(answer.status, 202, "{}", answer.body);
    assert_eq!(c.kafka.read(&c.topic("a")).len(), 1);
}

#[test]
fn on_a_topic_each_goes_to_the_dead_letters_with_its_bytes_and_the_rest_flows() {
    let Some(c) = cluster("e2e-bad-topic") else {
        return;
    };
    for name in ["a", "b"] {
        c.apply(&stream(name));
        c.ready(KIND, name);
    }
    c.apply(&pipeline("p", "SELECT id, amount, ratio, tags FROM a", "b"));
    c.ready("pipelines.headworks.dev", "p");
    let bad = bad();
    for (_, body, _) in &bad {
        c.kafka.produce(&c.topic("a"), &[body, br#"{"id":"good"}"#]);
    }
    c.kafka.produce(&c.topic("a"), &[b"", b"\0\0\0\0\x01{}"]);
    c.kafka.produce(&c.topic("a"), &[br#"{"id":"last"}"#]);
    let good = c
        .kafka
        .read_at_least(&c.topic("b"), bad.len() + 1, Duration::from_secs(60));
    assert_eq!(good.len(), bad.len() + 1);
    let letters = c.kafka.read_at_least(
        &format!("{}.dlq", c.topic("a")),
        bad.len() + 2,
        Duration::from_secs(30),
    );
    assert_eq!(letters.len(), bad.len() + 2);
    for ((what, body, word), letter) in bad.iter().zip(&letters) {
        assert_eq!(&letter.value, body, "{what}: the bytes as they came");
        let headers = format!("{:?}", letter.headers);
        assert!(
            headers.contains(word),
            "{what}: {word:?} should be in {headers}"
        );
    }
}
