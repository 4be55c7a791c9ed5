//! TLS and the end of a server, and a listener that isn't the HTTP source's; what else concerns requests is tested with that.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use axum::extract::Request;
use axum::routing::{any, get};
use prometheus_client::registry::Registry;
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

/// What a kind of its own writes: its answer, here the length of what was posted.
struct Lengths {
    tokens: BearerTokens,
    rate: Rate,
    room: Room,
    bounds: BodyBounds,
    front: Front,
}

impl Lengths {
    async fn respond(&self, request: Request) -> axum::response::Response {
        let begun = Instant::now();
        let (head, mut body) = request.into_parts();
        let answer = async {
            self.tokens.check(&head.headers)?;
            let announced = Announced::read(&head.headers, &self.bounds)?;
            announced.fits(&self.bounds)?;
            let mut place = self.room.enter(None)?;
            let mut reading = Reading::new(announced, self.bounds);
            let read = reading.whole(&mut body, &mut place).await?;
            self.rate.take(read.len(), Instant::now())?;
            Ok::<_, Refusal>(read.len().to_string())
        };
        let answer = answer.await;
        self.front.respond((&head, body), answer, begun)
    }
}

#[tokio::test]
async fn a_listener_of_another_kind_writes_only_its_answers() {
    let dir = folder("lengths");
    std::fs::write(dir.join("token"), "open").unwrap();
    let mut registry = Registry::default();
    let metrics = HttpMetrics::register(&mut registry);
    let second = Duration::from_secs(1);
    let lengths = Arc::new(Lengths {
        tokens: BearerTokens::new(dir.clone(), Called::TEST, 5, metrics.clone()),
        rate: Rate::new(1, Called::TEST, Instant::now()),
        room: Room::new(4, 4, 10_000),
        bounds: BodyBounds {
            called: Called::TEST,
            most: 100,
            timeout: second,
            grace: second,
            rate: 1,
        },
        front: Front::new(metrics),
    });
    let app = lengths.clone();
    let app = any(move |request: Request| async move { app.respond(request).await });
    let status = StatusHandle::new();
    let listening = listen(Listen {
        called: Called::TEST,
        port: 0,
        app: Router::new().fallback_service(app),
        bounds: Bounds::default(),
        tls_dir: None,
        mark: Box::new(Extensions::new),
        pulse: status.pulse("lengths", HANGS),
    })
    .unwrap();
    let address = format!("http://127.0.0.1:{}/", listening.address.port());
    let client = reqwest::Client::new();
    let post = async |token: &str, length: usize| {
        let request = client.post(&address).bearer_auth(token);
        let response = request.body("x".repeat(length)).send().await.unwrap();
        let code = response.status().as_u16();
        (code, response.text().await.unwrap())
    };
    assert_eq!(post("shut", 7).await.0, 401);
    let (code, said) = post("open", 101).await;
    assert_eq!(code, 413);
    assert!(
        said.contains("the limit of this test (spec.test.maxBodyBytes)"),
        "{said}"
    );
    // Of one a second, a hundred at once: the next waits.
    assert_eq!(post("open", 100).await, (200, "100".to_owned()));
    let (code, said) = post("open", 1).await;
    assert_eq!(code, 429);
    assert!(said.contains("spec.test.recordsPerSecond"), "{said}");
    let mut shown = String::new();
    prometheus_client::encoding::text::encode(&mut shown, &registry).unwrap();
    for line in [
        "headworks_http_answers_total{code=\"200\"} 1\n",
        "headworks_http_answers_total{code=\"429\"} 1\n",
        "headworks_http_let_in_total{token=\"1\"} 3\n",
    ] {
        assert!(shown.contains(line), "{shown}");
    }
    lengths.front.drain();
    let closing = client.post(&address).bearer_auth("open").send().await;
    assert_eq!(closing.unwrap().headers()["connection"], "close");
    assert!(listening.drain(second).await);
    std::fs::remove_dir_all(&dir).unwrap();
}
