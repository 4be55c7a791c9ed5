//! The binary as a pod runs it: what it answers, logs and returns. No Kafka is needed: what happens
//! without one is what is asked here.

// All of this is test: a helper may fail it as well.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(20);

struct Pod {
    child: Child,
    logs: Receiver<String>,
    seen: Vec<String>,
    plan: PathBuf,
}

impl Drop for Pod {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.plan);
    }
}

impl Pod {
    fn run(name: &str, plan: &Value) -> Pod {
        // As a StatefulSet and a Deployment name them.
        let pipeline = plan["role"].get("pipeline").is_some();
        let pod_name = if pipeline {
            "orders-to-revenue-0"
        } else {
            "orders-http-6d5f9c7b8d-x7k2p"
        };
        let path =
            std::env::temp_dir().join(format!("headworks-{}-{name}.json", std::process::id()));
        std::fs::write(&path, plan.to_string()).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_headworks-runtime"))
            .args(["run-plan", "--status-port", "0", "--http-port", "0"])
            .arg(&path)
            .env("HEADWORKS_POD_NAME", pod_name)
            .env("HEADWORKS_LOG", "info")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (lines, logs) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let _ = lines.send(line);
            }
        });
        Pod {
            child,
            logs,
            seen: Vec::new(),
            plan: path,
        }
    }

    /// The port in the first log line that has `message`.
    fn port(&mut self, message: &str) -> u16 {
        loop {
            let found = self.seen.iter().find_map(|line| {
                let line: Value = serde_json::from_str(line).expect("every log line is JSON");
                (line["message"] == message).then(|| {
                    line["address"]
                        .as_str()
                        .unwrap()
                        .rsplit_once(':')
                        .unwrap()
                        .1
                        .parse()
                        .unwrap()
                })
            });
            match found {
                Some(port) => return port,
                None => self.seen.push(
                    self.logs
                        .recv_timeout(LIMIT)
                        .expect("a log line within 20 s"),
                ),
            }
        }
    }

    fn terminate(&self) {
        let done = Command::new("kill")
            .arg("-TERM")
            .arg(self.child.id().to_string())
            .status()
            .unwrap();
        assert!(done.success());
    }

    /// The exit code and all that was logged.
    fn end(mut self) -> (Option<i32>, String) {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                let mut logged = std::mem::take(&mut self.seen);
                logged.extend(self.logs.iter());
                return (status.code(), logged.join("\n"));
            }
            assert!(
                begun.elapsed() < LIMIT + Duration::from_secs(5),
                "it didn't end"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Code, head and body of one HTTP answer.
fn http(port: u16, method: &str, path: &str, body: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    stream.write_all((head + body).as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (
        head.split(' ').nth(1).unwrap().parse().unwrap(),
        head.to_lowercase(),
        body.to_owned(),
    )
}

fn source_plan() -> Value {
    json!({
        "version": 2, "installation": "test", "namespace": "shop", "name": "orders-http",
        // Nothing listens on the discard port.
        "kafka": {"bootstrapServers": "127.0.0.1:9"},
        "role": {"source": {
            "into": {
                "name": "orders", "topic": "shop.orders", "deadLetterTopic": "shop.orders.dlq", "maxMessageBytes": 1_000_000,
                "contract": {"fields": [{"name": "id", "type": "string"}], "format": "Json"},
            },
            "http": {"path": "/v1/orders", "bearer": false, "tls": false, "maxBodyBytes": 1000},
            "onInvalid": "Reject", "unknownFields": "Ignore",
        }},
    })
}

/// Waits until the status has a problem of that reason which names all of `words`.
fn until_problem(status: u16, reason: &str, words: &[&str]) {
    let begun = Instant::now();
    loop {
        let (code, _, body) = http(status, "GET", "/status", "");
        assert_eq!(code, 200);
        let report: headworks_plan::Report = serde_json::from_str(&body).unwrap();
        let named = |message: &str| words.iter().all(|word| message.contains(word));
        if report
            .problems
            .iter()
            .any(|p| p.reason == reason && named(&p.message))
        {
            return;
        }
        assert!(
            begun.elapsed() < LIMIT,
            "no {reason} that names {words:?} within 20 s: {body}"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_source_without_kafka_says_so_and_drains_on_sigterm() {
    let mut pod = Pod::run("no-kafka", &source_plan());
    let (status, source) = (
        pod.port("status, metrics, health"),
        pod.port("taking records"),
    );
    until_problem(status, "KafkaUnavailable", &["127.0.0.1:9"]);
    assert_eq!(http(status, "GET", "/healthz", "").0, 200);
    assert_eq!(http(status, "GET", "/readyz", "").0, 503);
    let (code, head, body) = http(source, "POST", "/v1/orders", r#"{"id":"a"}"#);
    assert_eq!(code, 503);
    assert!(
        head.contains("retry-after: 5") && body.contains("nothing was written"),
        "{head}\n{body}"
    );
    let (code, _, metrics) = http(status, "GET", "/metrics", "");
    assert_eq!(code, 200);
    assert!(
        metrics.contains(r#"headworks_name="orders-http",code="503"} 1"#),
        "{metrics}"
    );
    pod.terminate();
    // It still answers for a while, and says that it is leaving.
    std::thread::sleep(Duration::from_millis(500));
    assert!(
        http(status, "GET", "/status", "")
            .2
            .contains(r#""phase":"Draining""#)
    );
    assert!(
        http(source, "POST", "/v1/orders", "{}")
            .1
            .contains("connection: close")
    );
    let (code, logged) = pod.end();
    assert_eq!(code, Some(0), "{logged}");
    assert!(logged.contains("drained"));
}

#[test]
fn a_store_that_does_not_answer_makes_its_pod_unready_and_needs_no_kafka() {
    let file = |name: &str| {
        let path = std::env::temp_dir().join(format!("headworks-{}-{name}", std::process::id()));
        std::fs::write(&path, "x").unwrap();
        path
    };
    let (user, password) = (file("store-user"), file("store-password"));
    let mut pod = Pod::run(
        "store",
        &json!({
            "version": 2, "installation": "test", "namespace": "shop", "name": "warehouse",
            "kafka": {"bootstrapServers": ""},
            "role": {"store": {"store": {"name": "warehouse", "connection": {"postgres": {
                "host": "127.0.0.1", "port": 9, "database": "shop", "usernameFile": user, "passwordFile": password,
            }}}}},
        }),
    );
    let status = pod.port("status, metrics, health");
    until_problem(
        status,
        "StoreUnavailable",
        &["DataStore warehouse", "127.0.0.1:9", "refused"],
    );
    assert_eq!(http(status, "GET", "/healthz", "").0, 200);
    assert_eq!(http(status, "GET", "/readyz", "").0, 503);
    pod.terminate();
    assert_eq!(pod.end().0, Some(0));
    std::fs::remove_file(user).unwrap();
    std::fs::remove_file(password).unwrap();
}

#[test]
fn a_volume_that_takes_no_files_makes_its_pod_unready_until_it_does() {
    let place = std::env::temp_dir().join(format!("headworks-{}-volume", std::process::id()));
    // Where the folder should be is a file: no user can write there, not even root.
    std::fs::write(&place, "in the way").unwrap();
    let folder = place.join("orders");
    let mut pod = Pod::run(
        "files",
        &json!({
            "version": 2, "installation": "test", "namespace": "shop", "name": "dump",
            "kafka": {"bootstrapServers": ""},
            "role": {"store": {"store": {"name": "dump", "connection": {"file": {"folder": folder}}}}},
        }),
    );
    let status = pod.port("status, metrics, health");
    let place_said = place.display().to_string();
    until_problem(
        status,
        "StoreUnavailable",
        &["DataStore dump", place_said.as_str(), "is the volume well?"],
    );
    assert_eq!(http(status, "GET", "/readyz", "").0, 503);
    std::fs::remove_file(&place).unwrap();
    let begun = Instant::now();
    while http(status, "GET", "/readyz", "").0 != 200 {
        assert!(begun.elapsed() < Duration::from_secs(30), "it isn't ready");
        std::thread::sleep(Duration::from_millis(200));
    }
    pod.terminate();
    assert_eq!(pod.end().0, Some(0));
    let left: Vec<_> = std::fs::read_dir(&folder).unwrap().collect();
    assert!(left.is_empty(), "the probe leaves nothing: {left:?}");
    std::fs::remove_dir_all(&place).unwrap();
}

#[test]
fn a_source_without_its_secret_is_shut_and_not_ready() {
    let mut plan = source_plan();
    plan["role"]["source"]["http"]["bearer"] = json!(true);
    plan["kafka"]["scram"] =
        json!({"usernameFile": "/nonexistent/username", "passwordFile": "/nonexistent/password"});
    let mut pod = Pod::run("no-secret", &plan);
    let (status, source) = (
        pod.port("status, metrics, health"),
        pod.port("taking records"),
    );
    until_problem(
        status,
        "SecretMissing",
        &[headworks_plan::BEARER_DIR, "/nonexistent/username"],
    );
    let (code, _, body) = http(status, "GET", "/readyz", "");
    assert!(code == 503 && body.contains("SecretMissing"), "{body}");
    assert_eq!(http(source, "POST", "/v1/orders", r#"{"id":"a"}"#).0, 503);
}

fn generate_plan() -> Value {
    let mut plan = source_plan();
    plan["role"]["source"]["generate"] =
        json!({"recordsPerSecond": 100, "seed": 7, "limit": 5, "group": "test.shop.orders-http"});
    plan["role"]["source"]
        .as_object_mut()
        .unwrap()
        .remove("http");
    plan
}

#[test]
fn a_generate_source_without_kafka_says_so_and_ends_at_once_on_sigterm() {
    let mut pod = Pod::run("generate-no-kafka", &generate_plan());
    let status = pod.port("status, metrics, health");
    until_problem(status, "KafkaUnavailable", &["127.0.0.1:9"]);
    assert_eq!(http(status, "GET", "/healthz", "").0, 200);
    assert_eq!(http(status, "GET", "/readyz", "").0, 503);
    let begun = Instant::now();
    pod.terminate();
    let (code, logged) = pod.end();
    assert_eq!(code, Some(0), "{logged}");
    assert!(begun.elapsed() < Duration::from_secs(6), "{logged}");
}

#[test]
fn a_websocket_source_says_what_is_away_and_ends_at_once_on_sigterm() {
    let mut plan = source_plan();
    plan["role"]["source"]["websocket"] =
        json!({"url": "ws://127.0.0.1:9/feed", "maxMessageBytes": 4096, "idleTimeoutMs": 60_000});
    plan["role"]["source"]
        .as_object_mut()
        .unwrap()
        .remove("http");
    let mut pod = Pod::run("websocket", &plan);
    let status = pod.port("status, metrics, health");
    until_problem(status, "KafkaUnavailable", &["127.0.0.1:9"]);
    until_problem(
        status,
        "FeedUnavailable",
        &["ws://127.0.0.1:9/feed", "refused"],
    );
    assert_eq!(http(status, "GET", "/healthz", "").0, 200);
    assert_eq!(http(status, "GET", "/readyz", "").0, 503);
    let begun = Instant::now();
    pod.terminate();
    let (code, logged) = pod.end();
    assert_eq!(code, Some(0), "{logged}");
    assert!(begun.elapsed() < Duration::from_secs(6), "{logged}");
}

#[test]
fn a_template_that_does_not_fit_its_stream_stalls_the_source() {
    let mut plan = generate_plan();
    plan["role"]["source"]["generate"]["template"] = json!({"shop": "Orders"});
    let mut pod = Pod::run("generate-mismatch", &plan);
    let status = pod.port("status, metrics, health");
    until_problem(
        status,
        "TemplateMismatch",
        &["stream orders", "the template has no field id"],
    );
    let (_, _, body) = http(status, "GET", "/status", "");
    assert!(body.contains(r#""phase":"Stalled""#), "{body}");
    pod.terminate();
    assert_eq!(pod.end().0, Some(0));
}

#[test]
fn a_pipeline_without_its_secret_waits_for_it() {
    let mut plan = source_plan();
    let stream = plan["role"]["source"]["into"].clone();
    plan["kafka"]["scram"] =
        json!({"usernameFile": "/nonexistent/username", "passwordFile": "/nonexistent/password"});
    plan["role"] = json!({"pipeline": {
        "sql": "SELECT id FROM orders", "inputs": [stream], "outputs": [stream], "delivery": "ExactlyOnce", "commitIntervalMs": 100,
        "startFrom": "earliest", "onBadRecord": "DeadLetter", "stages": [{"id": "streams", "runs": 0,
            "group": "headworks.test.shop.orders", "reads": [{"stream": stream["name"]}], "ends": {"streams": {}}}],
    }});
    let mut pod = Pod::run("pipeline", &plan);
    let status = pod.port("status, metrics, health");
    until_problem(status, "SecretMissing", &["/nonexistent/username"]);
    assert_eq!(http(status, "GET", "/readyz", "").0, 503);
    pod.terminate();
    assert_eq!(pod.end().0, Some(0));
}

#[test]
fn a_plan_of_another_version_ends_with_code_3() {
    let mut plan = source_plan();
    plan["version"] = json!(99);
    let (code, logged) = Pod::run("version", &plan).end();
    assert_eq!(code, Some(3));
    assert!(logged.contains("is of version 99"), "{logged}");
}

#[test]
fn the_version_is_told() {
    let output = Command::new(env!("CARGO_BIN_EXE_headworks-runtime"))
        .arg("version")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        text,
        format!(
            "headworks-runtime {} (plan version {})\n",
            env!("CARGO_PKG_VERSION"),
            headworks_plan::VERSION
        )
    );
}
