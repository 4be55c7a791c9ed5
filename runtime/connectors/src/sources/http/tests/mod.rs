//! Every answer of the service, heard by a real HTTP client, with a fake in Kafka's place.

mod memory;
mod packed;
mod pressure;
mod records;
mod refusals;
mod rules;
mod slow;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use headworks_engine::status::StatusHandle;
use headworks_plan::{
    Contract, Field, HttpSource, OnInvalid, Problem, SourceConnection, SourcePlan, Stream,
};
use prometheus_client::registry::Registry;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use reqwest::{Method, RequestBuilder};

use crate::server::{Bounds, Listening};

use super::{Config, Metrics, Service, listen};
use crate::sources::kafka::{Cause, Outgoing, Sink, Target, Undelivered};

const JSON: &str = "application/json";
const LINES: &str = "application/x-ndjson";

/// Keeps what it is given, and fails as it is told.
#[derive(Default)]
struct Fake {
    kept: Mutex<Vec<Outgoing>>,
    problem: Mutex<Option<Problem>>,
    /// Acknowledges so many records of a request, then fails with the cause.
    fails: Mutex<Option<(usize, Cause)>>,
    /// Acknowledges nothing while set.
    holds: AtomicBool,
    calls: AtomicUsize,
}

impl Sink for Fake {
    fn problem(&self) -> Option<Problem> {
        self.problem.lock().unwrap().clone()
    }

    async fn write(&self, records: Vec<Outgoing>) -> Result<(), Undelivered> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        while self.holds.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let failure = self.fails.lock().unwrap().clone();
        let acknowledged = failure.as_ref().map_or(records.len(), |(n, _)| *n);
        let failed = records.len() - acknowledged;
        self.kept
            .lock()
            .unwrap()
            .extend(records.into_iter().take(acknowledged));
        failure.map_or(Ok(()), |(_, cause)| {
            Err(Undelivered {
                acknowledged,
                failed,
                cause,
            })
        })
    }
}

struct Source {
    kafka: Arc<Fake>,
    service: Arc<Service<Arc<Fake>>>,
    listening: Listening,
    status: StatusHandle,
    registry: Registry,
    client: reqwest::Client,
}

struct Answer {
    code: u16,
    body: serde_json::Value,
    retry_after: Option<String>,
    challenge: Option<String>,
}

fn config() -> Config {
    let field = |name: &str, type_: &str, nullable| Field {
        name: name.into(),
        type_: type_.into(),
        nullable,
        labels: vec![],
    };
    let contract = Contract {
        fields: vec![
            field("id", "string", false),
            field("amount", "decimal(12,2)", false),
            field("note", "string", true),
        ],
        key: vec!["id".into()],
        ..Contract::default()
    };
    let into = Stream {
        name: "orders".into(),
        topic: "shop.orders".into(),
        dead_letter_topic: "shop.orders.dlq".into(),
        contract,
        max_message_bytes: 2_000,
        rules: Vec::new(),
    };
    let http = HttpSource {
        path: "/v1/orders".into(),
        bearer: false,
        tls: false,
        max_body_bytes: 10_000,
        records_per_second: None,
        items_path: None,
    };
    Config {
        source: "shop/orders-http".into(),
        plan: SourcePlan::new(into, SourceConnection::Http(http.clone())),
        http,
        port: 0,
        bearer_dir: None,
        tls_dir: None,
        bounds: Bounds::default(),
        readers: 8,
        concurrency: 4,
        in_flight_bytes: 1_000_000,
        max_records: 1_000,
        body_timeout: Duration::from_millis(300),
        body_grace: Duration::from_millis(300),
        body_rate: 1_024,
        retry_after: 5,
    }
}

fn dead_letters() -> Config {
    let mut config = config();
    config.plan.on_invalid = OnInvalid::DeadLetter;
    config
}

fn source(config: Config) -> Source {
    let kafka = Arc::new(Fake::default());
    let status = StatusHandle::new();
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    let service = Service::new(config, kafka.clone(), status.clone(), metrics).unwrap();
    let listening = listen(&service).unwrap();
    Source {
        kafka,
        service,
        listening,
        status,
        registry,
        client: reqwest::Client::new(),
    }
}

impl Source {
    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(
            method,
            format!("http://127.0.0.1:{}{path}", self.listening.address.port()),
        )
    }

    async fn post(&self, content_type: &str, body: impl Into<reqwest::Body>) -> Answer {
        answer(
            self.request(Method::POST, "/v1/orders")
                .header(CONTENT_TYPE, content_type)
                .body(body),
        )
        .await
    }

    fn kept(&self) -> Vec<String> {
        let kept = self.kafka.kept.lock().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        kept.iter()
            .map(|r| match r.target {
                Target::Stream => format!(
                    "{} = {}",
                    r.key.as_ref().map(|k| text(k)).unwrap_or_default(),
                    text(&r.value)
                ),
                Target::DeadLetters => format!("dead: {}", text(&r.value)),
            })
            .collect()
    }
}

async fn answer(request: RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let header = |name| {
        response
            .headers()
            .get(name)
            .map(|v| v.to_str().unwrap().to_owned())
    };
    let (retry_after, challenge) = (header(RETRY_AFTER), header(WWW_AUTHENTICATE));
    Answer {
        code: response.status().as_u16(),
        retry_after,
        challenge,
        body: response.json().await.unwrap(),
    }
}

fn error(answer: &Answer) -> &str {
    answer.body["error"].as_str().unwrap()
}

async fn until(condition: impl Fn() -> bool) {
    for _ in 0..1_000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it didn't come to pass within 5 s");
}
