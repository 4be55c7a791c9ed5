//! How fast the HTTP source is: requests over loopback against a sink that forgets what it is given.
//!
//! `cargo run --release -p headworks-connectors --example http_bench`

// A measurement, not a part of the product: it may fail with a stack trace.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use headworks_connectors::sources::http::{Config, Metrics, Service, listen};
use headworks_connectors::sources::kafka::{Outgoing, Sink, Undelivered};
use headworks_engine::status::StatusHandle;
use headworks_plan::{Plan, Problem};
use prometheus_client::registry::Registry;

struct Forgets;

impl Sink for Forgets {
    fn problem(&self) -> Option<Problem> {
        None
    }

    async fn write(&self, _: Vec<Outgoing>) -> Result<(), Undelivered> {
        Ok(())
    }
}

const FIELDS: [(&str, &str); 8] = [
    ("id", "string"),
    ("customer", "bigint"),
    ("amount", "decimal(12,2)"),
    ("note", "string"),
    ("at", "timestamp_ltz(3)"),
    ("tags", "array<string>"),
    ("paid", "boolean"),
    ("weight", "double"),
];

fn plan() -> Plan {
    let mut fields = String::new();
    for (name, type_) in FIELDS {
        let _ = write!(
            fields,
            r#"{{"name":"{name}","type":"{type_}","nullable":true}},"#
        );
    }
    let text = format!(
        r#"{{"version":1,"installation":"x","namespace":"shop","name":"orders","kafka":{{"bootstrapServers":"k:9092"}},
        "role":{{"source":{{"into":{{"name":"orders","topic":"t","deadLetterTopic":"d","maxMessageBytes":1000000,
        "contract":{{"fields":[{}],"format":"Json"}}}},"http":{{"path":"/","bearer":false,"tls":false,"maxBodyBytes":4194304}},
        "onInvalid":"Reject","unknownFields":"Ignore"}}}}}}"#,
        fields.trim_end_matches(',')
    );
    serde_json::from_str(&text).unwrap()
}

/// Requests by so many connections for `time`; how many were answered 202.
fn load(port: u16, content_type: &str, body: &str, connections: usize, time: Duration) -> usize {
    let request = format!(
        "POST / HTTP/1.1\r\nhost: x\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..connections)
            .map(|_| {
                scope.spawn(|| {
                    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
                    stream.set_nodelay(true).unwrap();
                    let (begun, mut done, mut heard) = (Instant::now(), 0, [0; 1024]);
                    while begun.elapsed() < time {
                        stream.write_all(request.as_bytes()).unwrap();
                        let read = stream.read(&mut heard).unwrap();
                        let answer = String::from_utf8_lossy(&heard[..read]);
                        assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
                        done += 1;
                    }
                    done
                })
            })
            .collect();
        clients.into_iter().map(|c| c.join().unwrap()).sum()
    })
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let config = Config {
        port: 0,
        ..Config::from_plan(&plan()).unwrap()
    };
    let metrics = Metrics::register(&mut Registry::default());
    let port = runtime.block_on(async {
        let service = Service::new(config, Forgets, StatusHandle::new(), metrics).unwrap();
        let listening = listen(&service).unwrap();
        let port = listening.address.port();
        // Served to the end of the process.
        std::mem::forget(Arc::new(listening));
        port
    });
    let record = r#"{"id":"01J9ZK3Q7W","customer":918273,"amount":"129.90","note":"leave it at the door","at":"2026-01-01T12:00:00.123Z","tags":["a","bc"],"paid":true,"weight":1.25}"#;
    let lines = format!("{record}\n").repeat(5_000);
    let time = Duration::from_secs(3);
    for round in 0..3 {
        let small = load(port, "application/json", record, 8, time);
        let large = load(port, "application/x-ndjson", &lines, 2, time);
        let seconds = time.as_secs_f64();
        println!(
            "round {round}: {:.0} requests of one record a second; {:.0} records a second, {:.0} kB a request",
            small as f64 / seconds,
            (large * 5_000) as f64 / seconds,
            lines.len() as f64 / 1e3,
        );
    }
}
