//! TLS and the end of a server; what concerns requests is tested with the HTTP source.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

fn served(bounds: Bounds, tls: Option<Arc<Certificate>>) -> (Server, StatusHandle) {
    let status = StatusHandle::new();
    let app = Router::new().route("/", get(|| async { "here" }));
    let served = Served {
        tls,
        ..Served::plain(app, bounds, "listener", &status)
    };
    (serve(bind(0).unwrap(), served).unwrap(), status)
}

async fn connect(server: &Server) -> TcpStream {
    TcpStream::connect(("127.0.0.1", server.address.port()))
        .await
        .unwrap()
}

fn folder(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("headworks-server-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

fn write_certificate(dir: &Path, name: &str) {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    std::fs::write(dir.join("tls.crt"), made.cert.pem()).unwrap();
    std::fs::write(dir.join("tls.key"), made.signing_key.serialize_pem()).unwrap();
}

#[tokio::test]
async fn a_handshake_that_never_ends_is_ended() {
    let dir = folder("handshake");
    write_certificate(&dir, "a");
    let bounds = Bounds {
        handshake: Duration::from_millis(150),
        ..Bounds::default()
    };
    let (server, _) = served(bounds, Some(Certificate::watch(dir.clone())));
    // Nothing, and the beginning of a ClientHello (RFC 8446 §5.1).
    for said in [&b""[..], b"\x16\x03\x01\x02\x00\x01"] {
        let mut stream = connect(&server).await;
        stream.write_all(said).await.unwrap();
        let begun = Instant::now();
        let mut heard = Vec::new();
        let closed = tokio::time::timeout(Duration::from_secs(3), stream.read_to_end(&mut heard));
        assert!(closed.await.is_ok());
        assert!(begun.elapsed() < Duration::from_secs(2));
    }
    std::fs::remove_dir_all(&dir).unwrap();
}

#[tokio::test]
async fn a_certificate_may_come_late_and_a_broken_one_leaves_the_old() {
    let dir = folder("late");
    let certificate = Certificate::watch(dir.clone());
    assert!(certificate.is_wrong() && !certificate.is_there());
    write_certificate(&dir, "a");
    certificate.read();
    assert!(!certificate.is_wrong() && certificate.is_there());
    std::fs::write(dir.join("tls.crt"), "no certificate").unwrap();
    certificate.read();
    assert!(certificate.is_wrong() && certificate.is_there());
    write_certificate(&dir, "b");
    // A key of another certificate.
    let other = rcgen::generate_simple_self_signed(["c".to_owned()]).unwrap();
    std::fs::write(dir.join("tls.key"), other.signing_key.serialize_pem()).unwrap();
    certificate.read();
    assert!(certificate.is_wrong() && certificate.is_there());
    std::fs::remove_dir_all(&dir).unwrap();
}

#[tokio::test]
async fn a_drain_closes_who_waits_and_nobody_gets_in_any_more() {
    let (server, status) = served(Bounds::default(), None);
    let port = server.address.port();
    let mut idle = connect(&server).await;
    idle.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let mut heard = [0; 15];
    idle.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"HTTP/1.1 200 OK");
    let silent = connect(&server).await;
    let begun = Instant::now();
    assert!(server.drain(Duration::from_secs(5)).await);
    assert!(begun.elapsed() < Duration::from_secs(2));
    assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err());
    drop(silent);
    assert_eq!(status.hangs(), None);
}

#[tokio::test]
async fn a_server_goes_on_when_its_handle_is_dropped() {
    let (server, _) = served(Bounds::default(), None);
    let port = server.address.port();
    drop(server);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let answer = reqwest::get(format!("http://127.0.0.1:{port}/")).await;
    assert_eq!(answer.unwrap().text().await.unwrap(), "here");
}

#[tokio::test]
async fn a_client_that_takes_no_answer_is_left_after_a_while() {
    let bounds = Bounds {
        idle: Duration::from_millis(200),
        ..Bounds::default()
    };
    let status = StatusHandle::new();
    let long = "x".repeat(32 << 20);
    let app = Router::new().route("/", get(move || async move { long.clone() }));
    let server = serve(
        bind(0).unwrap(),
        Served::plain(app, bounds, "listener", &status),
    )
    .unwrap();
    let mut stream = connect(&server).await;
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    // It was given up when all places are free again, though the client never read.
    tokio::time::timeout(Duration::from_secs(5), async {
        while server.places.available_permits() < server.connections {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .unwrap();
    drop(stream);
}
