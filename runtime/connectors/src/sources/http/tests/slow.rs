//! Slow, broken and greedy clients, on real sockets.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{JSON, LINES, Source, config, error, source};
use crate::server::Bounds;

const RECORD: &str = r#"{"id":"a","amount":1}"#;

async fn connect(source: &Source) -> TcpStream {
    TcpStream::connect(("127.0.0.1", source.listening.address.port()))
        .await
        .unwrap()
}

/// The head of a request whose body is said to be of `length` bytes.
fn head(length: usize) -> String {
    format!(
        "POST /v1/orders HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    )
}

/// The same, of the last request on its connection.
fn last(length: usize) -> String {
    head(length).replace("host: x", "host: x\r\nconnection: close")
}

/// All that comes until the other side closes.
async fn heard(stream: &mut TcpStream) -> String {
    let mut heard = String::new();
    let reading = stream.read_to_string(&mut heard);
    let read = tokio::time::timeout(Duration::from_secs(5), reading).await;
    // A connection that is reset was closed as well.
    let _ = read.expect("it isn't closed");
    heard
}

#[tokio::test]
async fn a_body_that_comes_too_slowly_is_given_up() {
    let source = source(config());
    let mut stream = TcpStream::connect(("127.0.0.1", source.listening.address.port()))
        .await
        .unwrap();
    stream.write_all(b"POST /v1/orders HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{\"id\"").await.unwrap();
    let mut heard = String::new();
    tokio::time::timeout(Duration::from_secs(5), stream.read_to_string(&mut heard))
        .await
        .unwrap()
        .unwrap();
    assert!(
        heard.starts_with("HTTP/1.1 408") && heard.contains("didn't come within 0.3 s"),
        "{heard}"
    );
}

#[tokio::test]
async fn a_body_that_breaks_off_writes_nothing() {
    let source = source(config());
    let mut stream = TcpStream::connect(("127.0.0.1", source.listening.address.port()))
        .await
        .unwrap();
    stream.write_all(b"POST /v1/orders HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-ndjson\r\ncontent-length: 100\r\n\r\n{\"id\":\"a\",\"amount\":1}\n").await.unwrap();
    stream.shutdown().await.unwrap();
    let _ = stream.read_to_end(&mut Vec::new()).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(source.kafka.calls.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn what_is_announced_takes_no_room_before_it_comes() {
    let mut config = config();
    // Room for four of the largest bodies.
    config.in_flight_bytes = 40_000;
    config.readers = 100;
    config.body_timeout = Duration::from_secs(5);
    config.body_grace = Duration::from_secs(5);
    let source = source(config);
    let mut slow = Vec::new();
    for _ in 0..20 {
        let mut stream = connect(&source).await;
        stream
            .write_all((head(10_000) + "{").as_bytes())
            .await
            .unwrap();
        slow.push(stream);
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    let answered = source.post(JSON, RECORD).await;
    assert_eq!(answered.code, 202, "{}", answered.body);
}

#[tokio::test]
async fn a_body_that_trickles_is_given_up_long_before_the_longest_time() {
    let mut config = config();
    config.body_timeout = Duration::from_secs(20);
    config.body_grace = Duration::from_millis(200);
    config.body_rate = 500;
    let source = source(config);
    let begun = Instant::now();
    let mut stream = connect(&source).await;
    stream
        .write_all((head(5_000) + "{").as_bytes())
        .await
        .unwrap();
    let (mut reading, mut writing) = stream.into_split();
    let trickle = tokio::spawn(async move {
        while writing.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let mut heard = [0; 400];
    let read = reading.read(&mut heard).await.unwrap();
    let heard = String::from_utf8_lossy(&heard[..read]).into_owned();
    assert!(
        heard.starts_with("HTTP/1.1 408") && heard.contains("too slowly"),
        "{heard}"
    );
    assert!(begun.elapsed() < Duration::from_secs(2));
    drop(reading);
    trickle.await.unwrap();
    // One that keeps the rate may take its time.
    let mut stream = connect(&source).await;
    let body = format!("{RECORD}{}", " ".repeat(600 - RECORD.len()));
    stream.write_all(last(600).as_bytes()).await.unwrap();
    for piece in body.as_bytes().chunks(100) {
        stream.write_all(piece).await.unwrap();
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    let answered = self::heard(&mut stream).await;
    assert!(answered.starts_with("HTTP/1.1 202"), "{answered}");
}

#[tokio::test]
async fn a_connection_that_asks_nothing_is_closed_whatever_it_says() {
    let mut config = config();
    config.bounds = Bounds {
        head: Duration::from_millis(200),
        ..Bounds::default()
    };
    let source = source(config);
    // Nothing, the beginning of either HTTP, half a head, and HTTP/2 without a request.
    for said in [
        &b""[..],
        b"P",
        b"PRI * HTTP/2.0\r\n",
        b"POST /v1/orders HTTP/1.1\r\nhost: x\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
    ] {
        let mut stream = connect(&source).await;
        stream.write_all(said).await.unwrap();
        let begun = Instant::now();
        let mut heard = Vec::new();
        let closed = tokio::time::timeout(Duration::from_secs(3), stream.read_to_end(&mut heard));
        assert!(closed.await.is_ok(), "{:?}", String::from_utf8_lossy(said));
        assert!(begun.elapsed() < Duration::from_secs(2));
    }
}

#[tokio::test]
async fn who_holds_connections_keeps_nobody_out() {
    let mut config = config();
    config.bounds.connections = 4;
    let source = source(config);
    let mut idle = Vec::new();
    for _ in 0..12 {
        let mut stream = connect(&source).await;
        stream.write_all(b"POST / HT").await.unwrap();
        idle.push(stream);
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    for _ in 0..3 {
        let mut stream = connect(&source).await;
        let request = head(RECORD.len()) + RECORD;
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut heard = [0; 12];
        stream.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"HTTP/1.1 202");
    }
}

#[tokio::test]
async fn where_all_connections_are_at_work_one_more_hears_so() {
    let mut config = config();
    config.bounds.connections = 2;
    let source = source(config);
    source.kafka.holds.store(true, Ordering::SeqCst);
    let mut at_work = Vec::new();
    for _ in 0..2 {
        let mut stream = connect(&source).await;
        let request = head(RECORD.len()) + RECORD;
        stream.write_all(request.as_bytes()).await.unwrap();
        at_work.push(stream);
    }
    super::until(|| source.kafka.calls.load(Ordering::SeqCst) == 2).await;
    let mut third = connect(&source).await;
    third
        .write_all((head(RECORD.len()) + RECORD).as_bytes())
        .await
        .unwrap();
    let answered = heard(&mut third).await;
    assert!(
        answered.starts_with("HTTP/1.1 503") && answered.contains("too many connections"),
        "{answered}"
    );
    source.kafka.holds.store(false, Ordering::SeqCst);
    for mut stream in at_work {
        let mut heard = [0; 12];
        stream.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"HTTP/1.1 202");
    }
}

#[tokio::test]
async fn one_connection_has_its_share_of_what_comes_in() {
    let mut config = config();
    config.in_flight_bytes = 88_000;
    config.body_timeout = Duration::from_secs(5);
    config.body_grace = Duration::from_secs(5);
    let source = source(config);
    let share = source.service.share();
    let room = crate::server::Room::new(9, 9, 88_000);
    let (mut one, mut two) = (
        room.enter(Some(share.clone())).unwrap(),
        room.enter(Some(share)).unwrap(),
    );
    // An eighth, or one body where that is more.
    one.hold(10_000).unwrap();
    two.hold(1_000).unwrap();
    assert!(two.hold(2_000).is_err());
}

#[tokio::test]
async fn requests_on_one_connection_are_answered_in_their_order() {
    let source = source(config());
    let mut stream = connect(&source).await;
    let one = |body: &str| head(body.len()) + body;
    let requests = one(RECORD) + &one("{") + &one("[]") + &last(RECORD.len()) + RECORD;
    stream.write_all(requests.as_bytes()).await.unwrap();
    let answers = heard(&mut stream).await;
    let codes: Vec<&str> = answers
        .split("HTTP/1.1 ")
        .skip(1)
        .map(|answer| &answer[..3])
        .collect();
    assert_eq!(codes, ["202", "400", "202", "202"]);
    assert_eq!(source.kept().len(), 2);
}

#[tokio::test]
async fn heads_are_bounded() {
    let source = source(config());
    let many = format!("POST /v1/orders HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(200));
    let long = format!(
        "POST /v1/orders HTTP/1.1\r\na: {}\r\n\r\n",
        "b".repeat(200_000)
    );
    for request in [many, long] {
        let mut stream = connect(&source).await;
        // It may be closed before all is said.
        let _ = stream.write_all(request.as_bytes()).await;
        let answered = heard(&mut stream).await;
        assert!(
            answered.is_empty() || answered.starts_with("HTTP/1.1 431"),
            "{answered}"
        );
    }
    assert_eq!(source.post(JSON, RECORD).await.code, 202);
    assert_eq!(source.kept().len(), 1);
}

#[tokio::test]
async fn chunks_without_a_length_are_bounded_as_any_body() {
    let source = source(config());
    let mut stream = connect(&source).await;
    let request = "POST /v1/orders HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let chunk = format!("3e8\r\n{}\r\n", " ".repeat(1_000));
    for _ in 0..30 {
        if stream.write_all(chunk.as_bytes()).await.is_err() {
            break;
        }
    }
    let mut heard = [0; 12];
    stream.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"HTTP/1.1 413");
    // A line that is longer than a body may be is no way round.
    let line = format!("{{\"id\":\"{}", "x".repeat(20_000));
    let pieces = line
        .as_bytes()
        .chunks(500)
        .map(|piece| Ok::<_, std::io::Error>(piece.to_vec()));
    let pieces: Vec<_> = pieces.collect();
    let stream = reqwest::Body::wrap_stream(futures::stream::iter(pieces));
    let refused = source.post(LINES, stream).await;
    assert!(refused.code == 413 && error(&refused).contains("above 10000 bytes"));
}

/// An HTTP/2 frame (RFC 9113 §4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

#[tokio::test]
async fn requests_that_are_reset_as_soon_as_they_are_made_hold_up_nobody() {
    let source = source(config());
    let stream = connect(&source).await;
    let mut said = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    said.extend(frame(4, 0, 0, b""));
    // :method POST, :scheme http, :path / as indexed fields (RFC 7541 appendix A); END_HEADERS without END_STREAM.
    let headers = [0x83, 0x86, 0x84, 0x01, 1, b'x'];
    for request in 0..20_000_u32 {
        said.extend(frame(1, 4, 2 * request + 1, &headers));
        said.extend(frame(3, 0, 2 * request + 1, &8_u32.to_be_bytes()));
    }
    let (mut reading, mut writing) = stream.into_split();
    let writing = tokio::spawn(async move {
        let _ = writing.write_all(&said).await;
        // It stays open as far as the client is concerned.
        writing
    });
    let mut heard = Vec::new();
    let end = reading.read_to_end(&mut heard);
    let closed = tokio::time::timeout(Duration::from_secs(10), end).await;
    assert!(closed.is_ok(), "the server goes on with it");
    drop(writing.await);
    assert_eq!(source.post(JSON, RECORD).await.code, 202);
}
