//! What an HTTP client of a Source is told, for good records and for every kind of bad request.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::time::Duration;

use headworks_e2e::{Cluster, Kafka, cluster, source, until};
use serde_json::Value;

const JSON: &str = "application/json";

struct Client<'a> {
    url: String,
    token: Option<&'a str>,
}

impl Client<'_> {
    fn post(&self, content_type: &str, body: impl Into<reqwest::Body>) -> (u16, Value) {
        headworks_e2e_block(async {
            let mut request = reqwest::Client::new()
                .post(&self.url)
                .header("content-type", content_type)
                .timeout(Duration::from_secs(30))
                .body(body);
            if let Some(token) = self.token {
                request = request.bearer_auth(token);
            }
            let answer = request.send().await.expect("an answer");
            let status = answer.status().as_u16();
            let text = answer.text().await.expect("a body");
            (
                status,
                serde_json::from_str(&text).unwrap_or(Value::String(text)),
            )
        })
    }
}

fn headworks_e2e_block<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

fn count(kafka: &Kafka, topic: &str) -> usize {
    kafka.read(topic).len()
}

fn ready_source<'a>(c: &Cluster, extra: &str, more: &str) -> Client<'a> {
    c.stream("a");
    c.kubectl.run(&[
        "create",
        "secret",
        "generic",
        "ingest",
        "-n",
        &c.namespace,
        "--from-literal=token=s3cret",
    ]);
    c.apply(&format!(
        "{}{more}",
        source(
            "in",
            "a",
            &format!(", auth: {{bearer: {{secret: {{name: ingest}}}}}}{extra}")
        )
    ));
    c.ready("sources.headworks.dev", "in");
    let client = Client {
        url: format!("{}/in", c.address("in")),
        token: Some("s3cret"),
    };
    // The Service's rules on this machine come a moment after the pod is ready.
    until("the endpoint answers", Duration::from_secs(30), || {
        headworks_e2e_block(async {
            reqwest::Client::new()
                .get(&client.url)
                .timeout(Duration::from_secs(1))
                .send()
                .await
                .ok()
        })
    })
    .expect("an address that answers");
    client
}

/// What it is, content type, body, the answer's code, words in the answer.
type Case = (
    &'static str,
    &'static str,
    Vec<u8>,
    u16,
    &'static [&'static str],
);

/// Requests that are refused.
fn bad_requests() -> [Case; 8] {
    [
        (
            "malformed",
            JSON,
            b"{\"id\":".to_vec(),
            400,
            &["line", "column"],
        ),
        (
            "wrong type",
            JSON,
            br#"[{"id":"x","n":1},{"id":"y","n":"many"}]"#.to_vec(),
            400,
            &["n", "bigint"],
        ),
        ("missing field", JSON, br#"{"n":1}"#.to_vec(), 400, &["id"]),
        (
            "too big a number",
            JSON,
            br#"{"id":"x","n":9223372036854775808}"#.to_vec(),
            400,
            &["n"],
        ),
        (
            "a key twice",
            JSON,
            br#"{"id":"x","id":"y","n":1}"#.to_vec(),
            400,
            &["id"],
        ),
        (
            "invalid UTF-8",
            JSON,
            b"{\"id\":\"\xff\",\"n\":1}".to_vec(),
            400,
            &[],
        ),
        ("oversized", JSON, vec![b' '; 70_000], 413, &["65536"]),
        ("content type", "text/csv", b"id,n".to_vec(), 415, &[JSON]),
    ]
}

#[test]
fn good_records_are_answered_202_after_kafka_has_them_and_bad_requests_say_what_is_wrong() {
    let Some(c) = cluster("e2e-http") else { return };
    let client = ready_source(&c, ", maxBodyBytes: 64Ki", "");
    let topic = c.topic("a");

    let (status, body) = client.post(JSON, r#"{"id":"one","n":1,"unknown":true}"#);
    assert_eq!(
        (status, &body["accepted"]),
        (202, &Value::from(1)),
        "{body}"
    );
    assert_eq!(count(&c.kafka, &topic), 1, "202 means Kafka has it");
    let (status, _) = client.post(JSON, r#"[{"id":"two","n":2},{"id":"three","n":3}]"#);
    assert_eq!(status, 202);
    let (status, _) = client.post(
        "application/x-ndjson",
        "{\"id\":\"four\",\"n\":4}\n{\"id\":\"five\",\"n\":5}\n",
    );
    assert_eq!(status, 202);
    assert_eq!(count(&c.kafka, &topic), 5);
    assert!(
        c.kafka
            .read(&topic)
            .iter()
            .all(|r| r.json().get("unknown").is_none() && r.key.is_some())
    );

    for (what, content_type, body, expected, words) in bad_requests() {
        let (status, answer) = client.post(content_type, body);
        assert_eq!(status, expected, "{what}: {answer}");
        for word in words {
            assert!(
                answer.to_string().contains(word),
                "{what}: {word:?} in {answer}"
            );
        }
    }
    let (_, answer) = client.post(JSON, r#"[{"id":"x","n":1},{"id":"y","n":"many"}]"#);
    assert_eq!(answer["records"][0]["index"], 1, "{answer}");
    assert_eq!(answer["records"][0]["field"], "n", "{answer}");

    assert_eq!(
        Client {
            url: client.url.clone(),
            token: None
        }
        .post(JSON, "{}")
        .0,
        401
    );
    assert_eq!(
        Client {
            url: client.url.clone(),
            token: Some("wrong")
        }
        .post(JSON, "{}")
        .0,
        401
    );
    assert_eq!(
        Client {
            url: client.url.replace("/in", "/elsewhere"),
            token: Some("s3cret")
        }
        .post(JSON, "{}")
        .0,
        404
    );
    assert_eq!(
        count(&c.kafka, &topic),
        5,
        "nothing of a refused request gets in"
    );
}

#[test]
fn with_dead_letter_the_good_go_in_and_the_bad_keep_their_bytes_and_reason() {
    let Some(c) = cluster("e2e-http-dlq") else {
        return;
    };
    let client = ready_source(
        &c,
        ", itemsPath: items",
        "  onInvalid: DeadLetter\n  unknownFields: Reject\n",
    );
    let (status, body) = client.post(JSON, r#"{"kind":"List","items":[{"id":"one","n":1},{"id":"two","n":"x"},{"id":"three","n":3,"odd":1}]}"#);
    assert_eq!(status, 202, "{body}");
    assert_eq!(
        (&body["accepted"], &body["deadLettered"]),
        (&Value::from(1), &Value::from(2)),
        "{body}"
    );
    assert_eq!(count(&c.kafka, &c.topic("a")), 1);
    let dead = c.kafka.read(&format!("{}.dlq", c.topic("a")));
    assert_eq!(dead.len(), 2);
    assert!(
        dead.iter().any(|r| r.value == br#"{"id":"two","n":"x"}"#),
        "the original bytes"
    );
    assert!(
        dead.iter()
            .all(|r| r.headers["headworks.source"] == "e2e-http-dlq/in")
    );
}
