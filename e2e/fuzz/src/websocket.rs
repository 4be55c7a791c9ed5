//! A feed on loopback, and a WebSocket Source that listens to it: once it is connected, bytes come as a stranger's would.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use headworks_connectors::sources::kafka::{Outgoing, Sink, Target, Undelivered};
use headworks_connectors::sources::websocket::Websocket;
use headworks_engine::status::StatusHandle;
use headworks_plan::{
    Contract, OnInvalid, Problem, SourceConnection, SourcePlan, Stream, WebsocketSource,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use crate::targets::fields;

/// Longest for any step; each takes a millisecond or two.
const LIMIT: Duration = Duration::from_secs(20);

/// Keeps everything.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<Outgoing>>>);

impl Sink for Kept {
    fn problem(&self) -> Option<Problem> {
        None
    }

    async fn write(&self, records: Vec<Outgoing>) -> Result<(), Undelivered> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend(records);
        Ok(())
    }
}

fn runtime() -> Option<&'static Runtime> {
    static RUNTIME: OnceLock<Option<Runtime>> = OnceLock::new();
    let made = || {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(1).enable_all().build().ok()
    };
    RUNTIME.get_or_init(made).as_ref()
}

fn source(feed: WebsocketSource, kept: Kept) -> Option<Websocket<Kept>> {
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
    let plan = SourcePlan {
        on_invalid: OnInvalid::DeadLetter,
        ..SourcePlan::new(into, SourceConnection::Websocket(feed.clone()))
    };
    Websocket::new("shop/orders", &plan, feed, kept, StatusHandle::new()).ok()
}

/// What a Source writes that hears these bytes, and then the end of the connection. Why, if it doesn't end well.
async fn heard(bytes: &[u8]) -> Result<Vec<Outgoing>, String> {
    let said = |error: &dyn std::fmt::Display| error.to_string();
    let listener = TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.map_err(|error| said(&error))?;
    let address = listener.local_addr().map_err(|error| said(&error))?;
    let feed = WebsocketSource {
        url: format!("ws://{address}/"),
        subscribe: None,
        headers: Vec::new(),
        ca_file: None,
        items_path: Some("items".into()),
        max_message_bytes: 10_000,
        idle_timeout_ms: 60_000,
    };
    let kept = Kept::default();
    let source = source(feed, kept.clone()).ok_or("no source")?;
    let (tell, told) = oneshot::channel::<()>();
    let work = tokio::spawn(source.run(Box::pin(async {
        let _ = told.await;
        Ok(())
    })));
    let talking = async {
        let (socket, _) = listener.accept().await.map_err(|error| said(&error))?;
        let socket = tokio_tungstenite::accept_async(socket).await;
        let mut socket = socket.map_err(|error| said(&error))?.into_inner();
        // It may be closed while it is written to.
        let _ = socket.write_all(bytes).await;
        let _ = socket.shutdown().await;
        // Until the Source has read all, and goes.
        let mut rest = [0; 4096];
        while socket.read(&mut rest).await.is_ok_and(|read| read > 0) {}
        Ok::<_, String>(())
    };
    tokio::time::timeout(LIMIT, talking)
        .await
        .map_err(|_| "it goes on listening after the end of the connection".to_owned())??;
    let _ = tell.send(());
    match tokio::time::timeout(LIMIT, work).await {
        Ok(Ok(Ok(true))) => {}
        Ok(Ok(Ok(false))) => return Err("what it heard isn't written".to_owned()),
        Ok(Ok(Err(error))) => return Err(error.to_string()),
        Ok(Err(error)) => return Err(error.to_string()),
        Err(_) => return Err("it doesn't end".to_owned()),
    }
    let kept = kept.0.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(kept.clone())
}

/// Whatever a feed says, the Source goes on to its end; what it writes to the stream is JSON within bounds.
pub(crate) fn messages(bytes: &[u8]) {
    let Some(runtime) = runtime() else {
        unreachable!("there is a runtime")
    };
    let written = runtime.block_on(heard(bytes));
    assert!(written.is_ok(), "{written:?}");
    for record in written.unwrap_or_default() {
        if record.target == Target::Stream {
            let json = serde_json::from_slice::<serde_json::Value>(&record.value);
            assert!(json.is_ok_and(|json| json.is_object()), "{record:?}");
            assert!(record.value.len() <= 2_000, "{record:?}");
        }
    }
}

/// A message with one good record. A server's frames aren't masked (RFC 6455 §5.1).
const GOOD: &[u8] =
    b"\x81\x3f{\"items\":[{\"s\":\"a\",\"tz\":\"2026-01-01T00:00:00Z\",\"i\":1,\"f\":1.5}]}";
/// Frames that are good, or nearly.
pub(crate) const EXAMPLES: &[&[u8]] = &[
    GOOD,
    b"\x82\x3f{\"items\":[{\"s\":\"a\",\"tz\":\"2026-01-01T00:00:00Z\",\"i\":1,\"f\":1.5}]}\x88\x02\x03\xe8",
    b"\x01\x0a{\"items\":[\x89\x00\x80\x02]}",
    b"\x81\x16{\"type\":\"subscribed\"}\x20\x81\x08nonsense",
    b"\x81\x7e\x00\x80{\"items\":[{\"s\":\"a\"},{\"s\":null}]}",
    b"\x8a\x00\x81\x7f\x00\x00\x00\x00\x00\x00\x00\x02[]",
];
/// What is put into them.
pub(crate) const WORDS: &[&str] = &[
    "\u{0}",
    "\u{1}",
    "\u{8}\u{0}",
    "{",
    "[",
    "[[[[[[[[",
    "\"items\":",
    "]}",
    "\u{feff}",
    "\u{7f}",
    "~",
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_good_message_is_a_record_and_a_broken_frame_ends_the_connection_alone() {
        let hear = |bytes: &[u8]| runtime().unwrap().block_on(heard(bytes)).unwrap();
        let targets = |bytes: &[u8]| -> Vec<Target> {
            hear(bytes).iter().map(|record| record.target).collect()
        };
        assert_eq!(targets(GOOD), [Target::Stream]);
        // A reserved bit, and a mask, that no server sends.
        let broken = [GOOD, b"\xf1\x01x"].concat();
        assert_eq!(targets(&broken), [Target::Stream]);
        assert_eq!(targets(b"\x81\x08nonsense"), [Target::DeadLetters]);
    }
}
