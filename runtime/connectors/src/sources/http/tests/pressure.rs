//! Rates, slow and broken clients, drains, protocols.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Cause, JSON, LINES, Source, config, error, source, until};

#[tokio::test]
async fn above_the_rate_the_client_hears_when_to_come_back() {
    let mut config = config();
    config.http.records_per_second = Some(10);
    let source = source(config);
    assert_eq!(
        source
            .post(LINES, "{\"id\":\"a\",\"amount\":1}\n".repeat(25))
            .await
            .code,
        202
    );
    let refused = source.post(JSON, r#"{"id":"a","amount":1}"#).await;
    assert_eq!(
        (refused.code, refused.retry_after.as_deref()),
        (429, Some("2"))
    );
    assert!(error(&refused).contains("recordsPerSecond"));
    assert_eq!(source.kept().len(), 25);
}

#[tokio::test]
async fn a_refused_request_costs_nobody_anything() {
    let mut config = config();
    config.http.records_per_second = Some(20);
    config.http.max_body_bytes = 100_000;
    let source = source(config);
    // Were it charged, nobody would get in for half a minute.
    let refused = source.post(LINES, "{\"id\":1}\n".repeat(600)).await;
    assert_eq!(refused.code, 400);
    let record = r#"{"id":"a","amount":1}"#;
    assert_eq!(source.post(JSON, record).await.code, 202);
    // What Kafka didn't take isn't charged either.
    let cause = Cause::Unavailable {
        message: "timed out".into(),
    };
    *source.kafka.fails.lock().unwrap() = Some((5, cause));
    let lines = "{\"id\":\"a\",\"amount\":1}\n";
    assert_eq!(source.post(LINES, lines.repeat(400)).await.code, 503);
    *source.kafka.fails.lock().unwrap() = None;
    assert_eq!(source.post(JSON, record).await.code, 202);
    // A minute's records is the most that one request may have, and so the longest wait of those after it.
    let many = source.post(LINES, lines.repeat(1_201)).await;
    assert_eq!(many.code, 413);
    assert!(error(&many).contains("more than 1000 records"));
    let mut slower = super::config();
    slower.http.records_per_second = Some(2);
    let slower = super::source(slower);
    let many = slower.post(LINES, lines.repeat(121)).await;
    assert_eq!((many.code, slower.kept().len()), (413, 0));
    assert!(error(&many).contains("more than 120 records"));
    assert_eq!(slower.post(LINES, lines.repeat(120)).await.code, 202);
    let waits = slower.post(JSON, record).await;
    let seconds: u64 = waits.retry_after.unwrap().parse().unwrap();
    assert!(
        waits.code == 429 && (58..=60).contains(&seconds),
        "{seconds}"
    );
}

#[tokio::test]
async fn too_many_requests_or_bytes_at_once_are_sent_away() {
    let mut config = config();
    config.in_flight_bytes = 58_000;
    let source = Arc::new(source(config));
    source.kafka.holds.store(true, Ordering::SeqCst);
    let begin = |padding: usize| {
        let source = source.clone();
        tokio::spawn(async move {
            source
                .post(
                    JSON,
                    format!(r#"{{"id":"a","amount":1}}{}"#, " ".repeat(padding)),
                )
                .await
                .code
        })
    };
    let mut held = vec![begin(9_900), begin(9_900), begin(9_900)];
    until(|| source.kafka.calls.load(Ordering::SeqCst) == 3).await;
    // Three of 10 kB wait for Kafka; a fourth has no room to be parsed in.
    let bytes = source
        .post(
            JSON,
            format!(r#"{{"id":"a","amount":1}}{}"#, " ".repeat(9_900)),
        )
        .await;
    assert_eq!(
        (bytes.code, bytes.retry_after.as_deref(), error(&bytes)),
        (503, Some("1"), "too many bytes at once")
    );
    held.push(begin(0));
    until(|| source.kafka.calls.load(Ordering::SeqCst) == 4).await;
    let requests = source.post(JSON, "[]").await;
    assert_eq!(
        (requests.code, error(&requests)),
        (503, "too many requests at once")
    );
    source.kafka.holds.store(false, Ordering::SeqCst);
    for held in held {
        assert_eq!(held.await.unwrap(), 202);
    }
    assert_eq!(source.post(JSON, "[]").await.code, 202);
}

#[tokio::test]
async fn a_drain_finishes_what_is_under_way_and_takes_nothing_new() {
    let Source {
        kafka,
        service,
        listening,
        client,
        ..
    } = source(config());
    kafka.holds.store(true, Ordering::SeqCst);
    let url = format!("http://127.0.0.1:{}/v1/orders", listening.address.port());
    let post = |client: reqwest::Client| {
        client
            .post(&url)
            .header(CONTENT_TYPE, JSON)
            .body(r#"{"id":"a","amount":1}"#)
            .send()
    };
    let under_way = tokio::spawn(post(client));
    until(|| kafka.calls.load(Ordering::SeqCst) == 1).await;
    service.drain();
    let drain = tokio::spawn(listening.drain(Duration::from_secs(5)));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(post(reqwest::Client::new()).await.is_err());
    assert!(!drain.is_finished());
    kafka.holds.store(false, Ordering::SeqCst);
    let answer = under_way.await.unwrap().unwrap();
    assert_eq!(
        (
            answer.status().as_u16(),
            answer.headers()["connection"].to_str().unwrap()
        ),
        (202, "close")
    );
    tokio::time::timeout(Duration::from_secs(2), drain)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn http_2_without_tls_is_spoken() {
    let source = source(config());
    let mut stream = TcpStream::connect(("127.0.0.1", source.listening.address.port()))
        .await
        .unwrap();
    // The client's preface and an empty SETTINGS frame; the server answers with its own (RFC 9113 §3.4).
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await
        .unwrap();
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!((head[3], &head[5..]), (4, [0; 4].as_slice()));
}

#[tokio::test]
async fn answers_are_counted_by_code() {
    let source = source(config());
    source.post(JSON, r#"{"id":"a","amount":1}"#).await;
    source.post(JSON, "{").await;
    source.post(JSON, "}").await;
    let mut shown = String::new();
    prometheus_client::encoding::text::encode(&mut shown, &source.registry).unwrap();
    assert!(
        shown.contains("headworks_http_answers_total{code=\"202\"} 1\n"),
        "{shown}"
    );
    assert!(
        shown.contains("headworks_http_answers_total{code=\"400\"} 2\n"),
        "{shown}"
    );
    assert!(
        shown.contains("headworks_http_received_bytes_total 23\n"),
        "{shown}"
    );
}
