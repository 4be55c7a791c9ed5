//! A feed on loopback that says what a test wants, with a fake in Kafka's place.

mod content;
mod tls;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use headworks_engine::status::StatusHandle;
use headworks_plan::{
    Contract, Field, HeaderFile, OnInvalid, Phase, Problem, Rule, SourceConnection, SourcePlan,
    Stream, WebsocketSource,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::{WebSocketStream, accept_async};

use super::feed::pause;
use super::role::Websocket;
use crate::sources::kafka::{Cause, Outgoing, Sink, Target, Undelivered};
use crate::sources::record_validation::RecordValidation;

const LIMIT: Duration = Duration::from_secs(20);

/// Keeps what it is given; refuses while told to.
#[derive(Clone, Default)]
struct Fake(Arc<Kept>);

#[derive(Default)]
struct Kept {
    records: Mutex<Vec<Outgoing>>,
    away: AtomicBool,
    asked: AtomicUsize,
}

impl Sink for Fake {
    fn problem(&self) -> Option<Problem> {
        None
    }

    async fn write(&self, records: Vec<Outgoing>) -> Result<(), Undelivered> {
        self.0.asked.fetch_add(1, Ordering::SeqCst);
        if self.0.away.load(Ordering::SeqCst) {
            return Err(Undelivered {
                acknowledged: 0,
                failed: records.len(),
                cause: Cause::Unavailable {
                    message: "away".into(),
                },
            });
        }
        self.0.records.lock().unwrap().extend(records);
        Ok(())
    }
}

impl Fake {
    fn of(&self, target: Target) -> Vec<String> {
        let records = self.0.records.lock().unwrap();
        let of = records.iter().filter(|record| record.target == target);
        of.map(|record| String::from_utf8(record.value.to_vec()).unwrap())
            .collect()
    }
}

/// A source that runs until [`Running::stop`].
struct Running {
    kafka: Fake,
    status: StatusHandle,
    tell: oneshot::Sender<()>,
    work: JoinHandle<bool>,
}

fn feed(address: &str) -> WebsocketSource {
    WebsocketSource {
        url: format!("ws://{address}/v1"),
        subscribe: None,
        headers: vec![],
        ca_file: None,
        items_path: None,
        max_message_bytes: 4_096,
        idle_timeout_ms: 20_000,
    }
}

fn run(feed: WebsocketSource) -> Running {
    judged(feed, Vec::new())
}

/// One whose stream has these rules.
fn judged(feed: WebsocketSource, rules: Vec<Rule>) -> Running {
    let field = |name: &str, type_: &str| Field {
        name: name.into(),
        type_: type_.into(),
        nullable: false,
        labels: vec![],
    };
    let into = Stream {
        name: "trades".into(),
        topic: "shop.trades".into(),
        dead_letter_topic: "shop.trades.dlq".into(),
        contract: Contract {
            fields: vec![field("id", "bigint")],
            ..Contract::default()
        },
        max_message_bytes: 100_000,
        rules,
    };
    let plan = SourcePlan {
        on_invalid: OnInvalid::DeadLetter,
        ..SourcePlan::new(into, SourceConnection::Websocket(feed.clone()))
    };
    let (kafka, status) = (Fake::default(), StatusHandle::new());
    let source = Websocket {
        feed,
        validation: RecordValidation::new("shop/trades-feed", &plan).unwrap(),
        on_invalid: plan.on_invalid,
        sink: kafka.clone(),
        status: status.clone(),
    };
    let (tell, told) = oneshot::channel::<()>();
    let work = tokio::spawn(async move {
        let stop = Box::pin(async {
            let _ = told.await;
            Ok(())
        });
        source.run(stop).await.unwrap()
    });
    Running {
        kafka,
        status,
        tell,
        work,
    }
}

impl Running {
    /// True: what was heard is written.
    async fn stop(self) -> bool {
        self.tell.send(()).unwrap();
        tokio::time::timeout(LIMIT, self.work)
            .await
            .unwrap()
            .unwrap()
    }

    /// Waits for a problem of that reason that names `word`.
    async fn told(&self, reason: &str, word: &str) -> Problem {
        until(|| {
            let problems = self.status.report().problems;
            problems
                .into_iter()
                .find(|p| p.reason.as_str() == reason && p.message.contains(word))
        })
        .await
    }

    async fn has_written(&self, records: usize) {
        until(|| (self.kafka.0.records.lock().unwrap().len() >= records).then_some(())).await;
    }
}

async fn until<T>(mut found: impl FnMut() -> Option<T>) -> T {
    let begun = std::time::Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(begun.elapsed() < LIMIT, "it didn't come");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

async fn client(listener: &TcpListener) -> WebSocketStream<TcpStream> {
    let accepted = tokio::time::timeout(LIMIT, listener.accept());
    let (socket, _) = accepted.await.unwrap().unwrap();
    accept_async(socket).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_records_and_what_breaks_the_contract_is_a_dead_letter() {
    let (listener, address) = listener().await;
    let running = run(WebsocketSource {
        subscribe: Some(r#"{"type":"subscribe"}"#.into()),
        ..feed(&address)
    });
    let mut client = client(&listener).await;
    let first = client.next().await.unwrap().unwrap();
    assert_eq!(first.into_text().unwrap(), r#"{"type":"subscribe"}"#);
    until(|| (running.status.phase() == Phase::Running).then_some(())).await;
    for message in [
        Frame::text(r#"{"id":1,"more":true}"#),
        Frame::text(r#"[{"id":2},{"id":"no number"},{"id":3}]"#),
        Frame::binary(Bytes::from_static(br#"{"id":4}"#)),
        Frame::text("no JSON"),
        Frame::text("[]"),
        Frame::text(r#"{"id":5}"#),
    ] {
        client.send(message).await.unwrap();
    }
    running.has_written(7).await;
    let kafka = running.kafka.clone();
    assert!(running.stop().await);
    let ids: Vec<String> = (1..=5).map(|id| format!(r#"{{"id":{id}}}"#)).collect();
    assert_eq!(kafka.of(Target::Stream), ids);
    assert_eq!(
        kafka.of(Target::DeadLetters),
        [r#"{"id":"no number"}"#, "no JSON"]
    );
    // It says farewell, perhaps after it asked whether the feed is there.
    let mut farewell = client.next().await.unwrap().unwrap();
    while farewell.is_ping() {
        farewell = client.next().await.unwrap().unwrap();
    }
    assert!(farewell.is_close(), "{farewell:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_ends_is_made_again_with_the_headers_of_then() {
    let (listener, address) = listener().await;
    let file = std::env::temp_dir().join(format!("headworks-{}-header", std::process::id()));
    let running = run(WebsocketSource {
        headers: vec![HeaderFile {
            name: "Authorization".into(),
            file: file.display().to_string(),
        }],
        ..feed(&address)
    });
    let missing = running.told("SecretMissing", "Authorization").await;
    assert!(missing.fatal);
    std::fs::write(&file, "Bearer one\n").unwrap();
    for (at, token) in ["Bearer one", "Bearer two"].into_iter().enumerate() {
        let (mut socket, _) = tokio::time::timeout(LIMIT, listener.accept())
            .await
            .unwrap()
            .unwrap();
        let mut head = vec![0; 4096];
        let read = socket.peek(&mut head).await.unwrap();
        let head = String::from_utf8_lossy(&head[..read]).to_lowercase();
        let expected = format!("authorization: {}", token.to_lowercase());
        assert!(head.contains(&expected), "{head}");
        if at == 0 {
            std::fs::write(&file, "Bearer two").unwrap();
            // Cut off in the midst of the answer.
            socket.write_all(b"HTTP/1.1 101").await.unwrap();
            drop(socket);
        } else {
            let mut client = accept_async(socket).await.unwrap();
            client.send(Frame::text(r#"{"id":1}"#)).await.unwrap();
            running.has_written(1).await;
        }
    }
    assert!(running.stop().await);
    std::fs::remove_file(file).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_that_falls_silent_is_given_up() {
    let (listener, address) = listener().await;
    let running = run(WebsocketSource {
        idle_timeout_ms: 300,
        ..feed(&address)
    });
    // It answers pings, as whoever reads does: a quiet feed is kept.
    let mut quiet = client(&listener).await;
    let listening = tokio::spawn(async move {
        let reading = async { while quiet.next().await.is_some_and(|frame| frame.is_ok()) {} };
        let _ = tokio::time::timeout(Duration::from_millis(1_500), reading).await;
        quiet
    });
    let begun = std::time::Instant::now();
    // From then on it says nothing at all, and a new connection comes.
    let _again = client(&listener).await;
    assert!(begun.elapsed() > Duration::from_millis(1_500));
    drop(listening);
    assert!(running.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_too_large_is_named_and_ends_the_connection() {
    let (listener, address) = listener().await;
    let running = run(feed(&address));
    let mut first = client(&listener).await;
    first.send(Frame::text("x".repeat(5_000))).await.unwrap();
    let mut second = client(&listener).await;
    second.send(Frame::text(r#"{"id":1}"#)).await.unwrap();
    running.has_written(1).await;
    let kafka = running.kafka.clone();
    assert!(running.stop().await);
    assert_eq!(kafka.of(Target::DeadLetters), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_in_http_is_told_with_what_to_do() {
    for (status, reason, word) in [
        ("401 Unauthorized", "FeedRefused", "spec.websocket.headers"),
        ("404 Not Found", "FeedRefused", "spec.websocket.url"),
        ("302 Found", "FeedRefused", "isn't followed"),
        ("503 Service Unavailable", "FeedUnavailable", "503"),
    ] {
        let (listener, address) = listener().await;
        let running = run(feed(&address));
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nlocation: /x\r\n\r\n");
        let serving = tokio::spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                let _ = socket.read(&mut [0; 4096]).await;
                let _ = socket.write_all(answer.as_bytes()).await;
            }
        });
        let problem = running.told(reason, word).await;
        assert_eq!(problem.fatal, reason == "FeedRefused", "{problem:?}");
        assert!(!running.status.is_ready());
        assert!(running.stop().await);
        serving.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_heard_while_kafka_was_away_is_written_when_it_is_back() {
    let (listener, address) = listener().await;
    let running = run(feed(&address));
    running.kafka.0.away.store(true, Ordering::SeqCst);
    let mut client = client(&listener).await;
    for id in 0..100 {
        let message = format!(r#"{{"id":{id}}}"#);
        client.send(Frame::text(message)).await.unwrap();
    }
    until(|| (running.kafka.0.asked.load(Ordering::SeqCst) > 1).then_some(())).await;
    running.kafka.0.away.store(false, Ordering::SeqCst);
    running.has_written(100).await;
    let kafka = running.kafka.clone();
    assert!(running.stop().await);
    let all: Vec<String> = (0..100).map(|id| format!(r#"{{"id":{id}}}"#)).collect();
    assert_eq!(kafka.of(Target::Stream), all);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_keeps_no_more_than_it_may_while_kafka_is_away() {
    let (listener, address) = listener().await;
    let running = run(feed(&address));
    running.kafka.0.away.store(true, Ordering::SeqCst);
    let mut client = client(&listener).await;
    let message = format!(r#"{{"id":1,"pad":"{}"}}"#, "x".repeat(4_000));
    let mut sent = 0_usize;
    // 8 MiB are kept, and the system has some more between the two.
    while sent < 64 << 20 {
        let sending = client.send(Frame::text(message.clone()));
        if tokio::time::timeout(Duration::from_secs(2), sending)
            .await
            .is_err()
        {
            break;
        }
        sent += message.len();
    }
    assert!(sent < 48 << 20, "{sent} bytes were taken");
    running.kafka.0.away.store(false, Ordering::SeqCst);
    running.has_written(1_000).await;
    assert!(running.stop().await);
}

#[test]
fn pauses_double_up_to_a_ceiling_and_have_chance_in_them() {
    let ms = |failures, person, chance| pause(failures, person, chance).as_millis();
    assert_eq!(ms(0, false, 0.0), 500);
    assert_eq!(ms(0, false, 1.0), 250);
    assert_eq!(ms(2, false, 0.0), 2_000);
    assert_eq!(ms(900, false, 0.0), 30_000);
    assert_eq!(ms(0, true, 0.0), 5_000);
    assert_eq!(ms(900, true, 0.5), 22_500);
}
