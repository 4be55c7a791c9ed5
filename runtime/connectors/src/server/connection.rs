//! One connection, from its handshake to its end.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use axum::extract::Request;
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

use super::Bounds;
use super::accept::{ConnectionPlace, Shared, leaves};

/// Most bytes of an HTTP/1 head, and of what is read of a body at a time.
const BUFFER: usize = 64 * 1024;
/// Most bytes of an HTTP/2 request's header fields, as RFC 9113 §6.5.2 counts.
const HEADER_LIST: u32 = 32 * 1024;
/// Bytes that an HTTP/2 client may send ahead, on one stream and on the connection.
const STREAM_WINDOW: u32 = 128 * 1024;
const CONNECTION_WINDOW: u32 = 256 * 1024;
/// Streams that a client may reset before they are looked at, and that we may have to (CVE-2023-44487 and its kin).
const RESETS: usize = 32;
const OWN_RESETS: usize = 256;

/// What a connection does.
pub(super) struct Activity {
    born: Instant,
    /// Requests whose answer isn't made yet.
    active: AtomicUsize,
    /// There was a request.
    asked: AtomicBool,
    /// Milliseconds after `born` of the last answer.
    last: AtomicU64,
    ends: Notify,
    ending: AtomicBool,
}

impl Activity {
    pub(super) fn new() -> Activity {
        Activity {
            born: Instant::now(),
            active: AtomicUsize::new(0),
            asked: AtomicBool::new(false),
            last: AtomicU64::new(0),
            ends: Notify::new(),
            ending: AtomicBool::new(false),
        }
    }

    /// For how long it has been without a request; none: it has one.
    pub(super) fn idle(&self) -> Option<Duration> {
        if self.active.load(Ordering::Acquire) > 0 {
            return None;
        }
        let last = Duration::from_millis(self.last.load(Ordering::Acquire));
        Some(self.born.elapsed().saturating_sub(last))
    }

    /// Ends the connection, at its next turn.
    pub(super) fn end(&self) {
        self.ending.store(true, Ordering::Release);
        self.ends.notify_one();
    }

    /// True: it was told to end.
    pub(super) fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Acquire)
    }

    fn begin(self: &Arc<Self>) -> Asked {
        self.asked.store(true, Ordering::Release);
        self.active.fetch_add(1, Ordering::AcqRel);
        Asked(Arc::downgrade(self))
    }
}

/// A request under way.
struct Asked(Weak<Activity>);

impl Drop for Asked {
    fn drop(&mut self) {
        if let Some(activity) = self.0.upgrade() {
            let now = activity.born.elapsed().as_millis() as u64;
            activity.last.store(now, Ordering::Release);
            activity.active.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

/// Serves the connection to its end.
pub(super) async fn live(shared: Arc<Shared>, stream: TcpStream, place: ConnectionPlace) {
    let _ = stream.set_nodelay(true);
    let Some(certificate) = &shared.served.tls else {
        return http(&shared, stream, place).await;
    };
    let Some(config) = certificate.config() else {
        return;
    };
    let shaking = TlsAcceptor::from(config).accept(stream);
    let shaken = tokio::select! {
        shaken = tokio::time::timeout(shared.served.bounds.handshake, shaking) => shaken,
        () = place.activity.ends.notified() => return,
    };
    match shaken {
        Ok(Ok(stream)) => http(&shared, stream, place).await,
        Ok(Err(error)) => tracing::debug!("no TLS: {error}"),
        Err(_) => tracing::debug!("the TLS handshake took too long"),
    }
}

async fn http<I>(shared: &Shared, stream: I, place: ConnectionPlace)
where
    I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let bounds = &shared.served.bounds;
    let marks = (shared.served.mark)();
    let app = TowerToHyperService::new(shared.served.app.clone());
    let activity = place.activity.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        let asked = activity.begin();
        request.extensions_mut().extend(marks.clone());
        let answer = app.call(request);
        async move {
            let answer = answer.await;
            drop(asked);
            answer
        }
    });
    let builder = builder(bounds);
    let mut serving = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut leaving = shared.leaving.clone();
    let mut told = false;
    let look = (bounds.head.min(bounds.idle) / 4).max(Duration::from_millis(10));
    loop {
        tokio::select! {
            ended = serving.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!("a connection broke: {error}");
                }
                return;
            }
            () = place.activity.ends.notified() => match place.activity.idle() {
                Some(_) => return,
                // A request came meanwhile: it is answered, and the connection ends with that.
                None if !told => {
                    told = true;
                    serving.as_mut().graceful_shutdown();
                }
                None => {}
            },
            () = leaves(&mut leaving), if !told => {
                told = true;
                serving.as_mut().graceful_shutdown();
            }
            () = tokio::time::sleep(look) => match overdue(&place.activity, bounds) {
                // It may be that the client takes the last answer in; half the time more is enough for that.
                Overdue::Idle if !told => {
                    told = true;
                    serving.as_mut().graceful_shutdown();
                }
                Overdue::No | Overdue::Idle => {}
                Overdue::Over => return,
            }
        }
    }
}

enum Overdue {
    No,
    Idle,
    Over,
}

/// Hyper's own time for a head begins with the first bytes, once it knows which HTTP they are: who sends none could
/// stay for ever.
fn overdue(activity: &Activity, bounds: &Bounds) -> Overdue {
    match activity.idle() {
        Some(idle) if !activity.asked.load(Ordering::Acquire) && idle > bounds.head => {
            Overdue::Over
        }
        Some(idle) if idle > bounds.idle + bounds.idle / 2 => Overdue::Over,
        Some(idle) if idle > bounds.idle => Overdue::Idle,
        _ => Overdue::No,
    }
}

fn builder(bounds: &Bounds) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.head)
        // Of header fields 100 are the most by default; to say so would cost an allocation a request.
        .max_buf_size(BUFFER);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(bounds.streams)
        .max_header_list_size(HEADER_LIST)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_pending_accept_reset_streams(RESETS)
        .max_local_error_reset_streams(OWN_RESETS)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(10));
    builder
}
