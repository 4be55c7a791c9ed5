//! How the feed is reached: TLS verified in full, headers read anew at each connection, and a bound on every wait.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use headworks_plan::{Problem, Reason, SourceReason, WebsocketSource};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::tls;

/// Longest wait for each step of a connection.
const STEP: Duration = Duration::from_secs(10);
/// Longest value of a header, in bytes.
const MAX_HEADER: u64 = 8 * 1024;
/// What is read from the connection at once, in bytes.
const READ_BUFFER: usize = 16 * 1024;

/// Bytes to and from the feed.
pub(super) trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

/// A connection to the feed.
pub(super) type Socket = WebSocketStream<Box<dyn Transport>>;

/// Connects, and subscribes.
///
/// # Errors
/// Why it can't; a fatal one needs a person.
pub(super) async fn connect(feed: &WebsocketSource) -> Result<Socket, Problem> {
    let request = request(feed)?;
    let uri = request.uri();
    let tls = uri.scheme_str() == Some("wss");
    let host = uri.host().unwrap_or_default().to_owned();
    let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
    let unavailable = |what: String| unavailable(feed, &what);
    let plain = within("connecting", TcpStream::connect((host.as_str(), port)))
        .await
        .map_err(unavailable)?;
    // Messages are answered one by one.
    let _ = plain.set_nodelay(true);
    let transport: Box<dyn Transport> = if tls {
        let config =
            tls::client(feed.ca_file.as_deref().unwrap_or_default()).map_err(unavailable)?;
        let name = ServerName::try_from(host)
            .map_err(|_| unavailable("the host is no name that a certificate could have".into()))?;
        let connecting = TlsConnector::from(Arc::new(config)).connect(name, plain);
        Box::new(within("TLS", connecting).await.map_err(unavailable)?)
    } else {
        Box::new(plain)
    };
    let most = usize::try_from(feed.max_message_bytes).unwrap_or(usize::MAX);
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .max_message_size(Some(most))
        .max_frame_size(Some(most));
    let opening = client_async_with_config(request, transport, Some(config));
    let mut socket = match tokio::time::timeout(STEP, opening).await {
        Ok(Ok((socket, _))) => socket,
        Ok(Err(Error::Http(answer))) => return Err(refused(feed, answer.status().as_u16())),
        Ok(Err(error)) => return Err(unavailable(error.to_string())),
        Err(_) => return Err(unavailable(slow("opening the WebSocket"))),
    };
    if let Some(text) = &feed.subscribe {
        use futures::SinkExt as _;
        let sending = socket.send(Message::text(text.clone()));
        within("subscribing", sending).await.map_err(unavailable)?;
    }
    Ok(socket)
}

/// The request that opens the WebSocket.
fn request(feed: &WebsocketSource) -> Result<Request, Problem> {
    let wrong = |what: String| Problem::new(SourceReason::FeedRefused, what, true);
    let mut request = (feed.url.as_str())
        .into_client_request()
        .map_err(|error| wrong(format!("spec.websocket.url can't be used: {error}")))?;
    for header in &feed.headers {
        let missing = |why: String| {
            Problem::new(
                Reason::SecretMissing,
                format!("no value for the header {}: {why}", header.name),
                true,
            )
        };
        let value = value(&header.file).map_err(missing)?;
        let name: HeaderName = (header.name.parse())
            .map_err(|_| wrong(format!("{} is no name of a header", header.name)))?;
        let mut value = HeaderValue::try_from(value)
            .map_err(|_| missing(format!("{} holds no text of one line", header.file)))?;
        value.set_sensitive(true);
        request.headers_mut().append(name, value);
    }
    Ok(request)
}

/// A header's value, without the line's end that editors put there.
fn value(path: &str) -> Result<String, String> {
    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_HEADER + 1).read_to_string(&mut text))
        .map_err(|error| format!("cannot read {path}: {error}"))?;
    if text.len() as u64 > MAX_HEADER {
        return Err(format!("{path} has more than {MAX_HEADER} bytes"));
    }
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err(format!("{path} is empty"));
    }
    Ok(text.to_owned())
}

async fn within<T, E: std::fmt::Display>(
    step: &str,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, String> {
    match tokio::time::timeout(STEP, work).await {
        Ok(done) => done.map_err(|error| format!("{step}: {error}")),
        Err(_) => Err(slow(step)),
    }
}

fn slow(step: &str) -> String {
    format!("{step}: no answer within {} s", STEP.as_secs())
}

/// The feed can't be reached just now.
pub(super) fn unavailable(feed: &WebsocketSource, what: &str) -> Problem {
    Problem::new(
        SourceReason::FeedUnavailable,
        format!("{}: {what}; it is tried again by itself", feed.url),
        false,
    )
}

/// The server has answered in HTTP.
fn refused(feed: &WebsocketSource, status: u16) -> Problem {
    let said = format!("it answers {status} instead of opening a WebSocket");
    match status {
        // Time may mend these.
        408 | 425 | 429 | 500.. => unavailable(feed, &said),
        _ => {
            let what = match status {
                401 | 403 => "check the Secrets of spec.websocket.headers",
                300..=399 => {
                    "it wants the client elsewhere, which isn't followed: set spec.websocket.url to where it is"
                }
                _ => "check spec.websocket.url",
            };
            Problem::new(
                SourceReason::FeedRefused,
                format!("{}: {said}; {what}", feed.url),
                true,
            )
        }
    }
}
