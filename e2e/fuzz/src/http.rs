//! An HTTP Source on loopback, with nothing behind it: bytes go to its socket as a stranger's would.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::OnceLock;
use std::time::Duration;

use headworks_connectors::sources::http::{Config, Metrics, Service, listen};
use headworks_connectors::sources::kafka::{Outgoing, Sink, Undelivered};
use headworks_engine::status::StatusHandle;
use headworks_plan::{
    Contract, HttpSource, KafkaConnection, OnInvalid, Plan, Problem, Role, SourceConnection,
    SourcePlan, Stream, VERSION,
};

use prometheus_client::registry::Registry;

use crate::targets::fields;

/// Takes everything.
struct Nowhere;

impl Sink for Nowhere {
    fn problem(&self) -> Option<Problem> {
        None
    }

    async fn write(&self, _records: Vec<Outgoing>) -> Result<(), Undelivered> {
        Ok(())
    }
}

/// Where the source of this process listens.
fn source() -> SocketAddr {
    static ADDRESS: OnceLock<SocketAddr> = OnceLock::new();
    *ADDRESS.get_or_init(|| {
        let (tell, told) = std::sync::mpsc::channel();
        // It serves until the process ends.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build();
            let Ok(runtime) = runtime else { return };
            runtime.block_on(async {
                let metrics = Metrics::register(&mut Registry::default());
                let service = config().and_then(|config| {
                    Service::new(config, Nowhere, StatusHandle::new(), metrics).ok()
                });
                let listening = service.as_ref().and_then(|service| listen(service).ok());
                let _ = tell.send(listening.as_ref().map(|listening| listening.address.port()));
                std::future::pending::<()>().await;
            });
        });
        let port = told.recv().ok().flatten();
        assert!(port.is_some(), "a source listens");
        SocketAddr::from(([127, 0, 0, 1], port.unwrap_or_default()))
    })
}

fn config() -> Option<Config> {
    let into = Stream {
        name: "orders".into(),
        topic: "shop.orders".into(),
        dead_letter_topic: "shop.orders.dlq".into(),
        contract: Contract {
            fields: fields(),
            ..Contract::default()
        },
        max_message_bytes: 2_000,
        rules: Vec::new(),
    };
    let http = HttpSource {
        path: "/orders".into(),
        bearer: false,
        tls: false,
        max_body_bytes: 10_000,
        records_per_second: None,
        items_path: Some("items".into()),
    };
    let plan = Plan {
        version: VERSION,
        installation: "fuzz".into(),
        namespace: "shop".into(),
        name: "orders".into(),
        kafka: KafkaConnection::default(),
        registry: None,
        role: Role::Source(SourcePlan {
            on_invalid: OnInvalid::DeadLetter,
            ..SourcePlan::new(into, SourceConnection::Http(http))
        }),
    };
    Config::from_plan(&plan)
        .ok()
        .map(|config| Config { port: 0, ..config })
}

/// What is answered to these bytes, until the other side closes, or says nothing for so long.
fn answer(bytes: &[u8], wait: Duration) -> Vec<u8> {
    let mut answer = Vec::new();
    let Ok(mut socket) = TcpStream::connect(source()) else {
        unreachable!("the source listens no more")
    };
    let _ = socket.set_read_timeout(Some(wait));
    // It may be closed while it is written to: that is an answer, too.
    let _ = socket.write_all(bytes);
    let mut part = [0; 4096];
    loop {
        match socket.read(&mut part) {
            Ok(read) if read > 0 => answer.extend_from_slice(&part[..read]),
            // Closed, at its end or in the midst of it, or nothing more is coming.
            _ => break,
        }
    }
    answer
}

/// A good request, which is answered with 202 whatever came before.
const GOOD: &[u8] = b"POST /orders HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: 63\r\n\r\n{\"items\":[{\"s\":\"a\",\"tz\":\"2026-01-01T00:00:00Z\",\"i\":1,\"f\":1.5}]}";

/// Whatever is sent is answered in HTTP or not at all, is never a fault of ours, and keeps nobody else out.
pub(crate) fn request(bytes: &[u8]) {
    // Where more bytes are awaited no answer comes, and none need come.
    let said = answer(bytes, Duration::from_millis(30));
    let text = String::from_utf8_lossy(&said);
    // HTTP/2 answers its preface with a frame of settings, whose type is 4 (RFC 9113 §3.4).
    let settings = said.get(3) == Some(&4);
    assert!(
        said.is_empty() || text.starts_with("HTTP/1.") || settings,
        "not HTTP: {text}"
    );
    assert!(!text.contains(" 500 "), "a fault of ours: {text}");
    // It may take long on a busy machine, and ends the connection.
    let said = answer(GOOD, Duration::from_secs(10));
    let text = String::from_utf8_lossy(&said);
    assert!(
        text.starts_with("HTTP/1.1 202 "),
        "after it a good request gets: {text}"
    );
}

/// Requests that are good, or nearly.
pub(crate) const EXAMPLES: &[&[u8]] = &[
    GOOD,
    b"POST /orders HTTP/1.1\r\nhost: a\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n1c\r\n{\"s\":\"a\",\"tz\":\"2026-01-01\"}\n\r\n0\r\n\r\n",
    b"POST /orders HTTP/1.1\r\nhost: a\r\ncontent-type: application/json; charset=utf-8\r\ncontent-encoding: gzip\r\ncontent-length: 22\r\n\r\n\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x8b\x8e\x05\x00\x29\xbb\x4c\x0d\x02\x00",
    b"GET /orders HTTP/1.1\r\nhost: a\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
];
/// What is put into them.
pub(crate) const WORDS: &[&str] = &[
    "\r\n",
    "content-length: 5\r\n",
    "content-length: 99999999999999999999\r\n",
    "transfer-encoding: chunked\r\n",
    "expect: 100-continue\r\n",
    "content-encoding: gzip\r\n",
    "ffffffff\r\n",
    "0\r\n\r\n",
    "POST /orders HTTP/1.1\r\n",
    "HTTP/1.0",
    "{",
    "[",
    "[[[[[[[[",
    "\"items\":",
    "\u{feff}",
    "authorization: Bearer x\r\n",
    "\u{0}",
    "connection: upgrade\r\nupgrade: h2c\r\n",
];
