//! An HTTP server within bounds, which every listener of a pod is: how many connections, how long for a TLS
//! handshake, for a request's head, between two requests; how much of a head and of a body is buffered.
//!
//! A connection more than there may be takes the place of the one that has been without a request for longest,
//! so that nobody keeps others out by holding connections. Only where all are at work, 503 is the answer.
//!
//! What a listener that takes bodies from strangers needs besides stands here, too, so that it writes only its answers: who may
//! ([`BearerTokens`]), how much ([`Rate`], [`Room`]), a body within bounds ([`Reading`], with gzip), how a refusal reads
//! ([`Refusal`]), what is counted ([`HttpMetrics`]), and how a request ends ([`Front`]). [`Called`] says whose listener it is, so that
//! each message names the field to change.
//!
//! Rooms: `accept` who gets a place; `connection` one connection's life; [`Certificate`] TLS; `listening` a listener of the plan.

mod accept;
mod announced;
mod bearer;
mod body;
mod certificate;
mod connection;
mod front;
mod gzip;
mod listening;
mod metrics;
mod rate;
mod reading;
mod refusal;
mod room;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::Extensions;
use headworks_engine::status::{Pulse, StatusHandle};
use tokio::sync::{Semaphore, watch};

pub use announced::{Announced, Encoding};
pub use bearer::BearerTokens;
pub use certificate::Certificate;
pub use front::Front;
pub use listening::{Listen, Listening, ServerError, listen};
pub use metrics::{HttpMetrics, seconds};
pub use rate::{LONGEST_DEBT, Rate};
pub use reading::{BodyBounds, Reading};
pub use refusal::{Refusal, json};
pub use room::{Place, Room, Share};

/// How long an accepting loop may be silent before it hangs; it turns every second.
pub const HANGS: Duration = Duration::from_secs(60);

/// Whose a listener is, in words for those that it refuses and for those that have to mend it.
#[derive(Clone, Copy, Debug)]
pub struct Called {
    /// What its clients know it as: `this source`.
    pub this: &'static str,
    /// The kind of object: `Source`.
    pub kind: &'static str,
    /// The field of that which the listener is set by: `spec.http`. Below it, in every kind, stand `auth.bearer`, `tls`,
    /// `maxBodyBytes` and `recordsPerSecond`.
    pub field: &'static str,
}

#[cfg(test)]
impl Called {
    /// In tests.
    pub(crate) const TEST: Called = Called {
        this: "this test",
        kind: "Test",
        field: "spec.test",
    };
}

/// What a server lets its clients have.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Connections at once.
    pub connections: usize,
    /// Longest for a TLS handshake.
    pub handshake: Duration,
    /// Longest for a request's head, also for the first byte of one. An HTTP/1 connection that waits for its
    /// next request is closed after this, too.
    pub head: Duration,
    /// Longest for an HTTP/2 connection without a request, and for a client that doesn't take its answer.
    pub idle: Duration,
    /// HTTP/2 requests at once on a connection.
    pub streams: u32,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds {
            connections: 1_024,
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            streams: 32,
        }
    }
}

/// What is served, and to whom.
pub struct Served {
    /// Answers requests.
    pub app: Router,
    /// Bounds.
    pub bounds: Bounds,
    /// The certificate; absent: no TLS.
    pub tls: Option<Arc<Certificate>>,
    /// Makes what every request of a new connection carries as extensions.
    pub mark: Box<dyn Fn() -> Extensions + Send + Sync>,
    /// Beats while the accepting loop turns.
    pub pulse: Pulse,
}

impl Served {
    /// Without TLS and without marks.
    pub fn plain(app: Router, bounds: Bounds, name: &str, status: &StatusHandle) -> Served {
        Served {
            app,
            bounds,
            tls: None,
            mark: Box::new(Extensions::new),
            pulse: status.pulse(name, HANGS),
        }
    }
}

/// A server at work. It goes on when this is dropped.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    leaving: watch::Sender<bool>,
    places: Arc<Semaphore>,
    connections: usize,
    accepting: tokio::task::JoinHandle<()>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// A listener on `port` of both families where there are two; 0: any port.
///
/// # Errors
/// The port is taken or forbidden.
pub fn bind(port: u16) -> io::Result<TcpListener> {
    let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port))
        .or_else(|_| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Serves in the background. With TLS, connections are taken once the certificate is there.
///
/// # Errors
/// The listener can't be used.
pub fn serve(listener: TcpListener, served: Served) -> io::Result<Server> {
    let address = listener.local_addr()?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let (leaving, left) = watch::channel(false);
    let connections = served.bounds.connections;
    let places = Arc::new(Semaphore::new(connections));
    let accepting = tokio::spawn(accept::accept(listener, served, places.clone(), left));
    Ok(Server {
        address,
        leaving,
        places,
        connections,
        accepting,
    })
}

impl Server {
    /// Takes no new connection, lets requests under way finish for at most `limit`, and returns when the
    /// last connection is closed. False: the limit came first.
    pub async fn drain(self, limit: Duration) -> bool {
        let begun = Instant::now();
        self.leaving.send_replace(true);
        let ended = async {
            let _ = self.accepting.await;
            let all = u32::try_from(self.connections).unwrap_or(u32::MAX);
            let _ = self.places.acquire_many(all).await;
        };
        let in_time = tokio::time::timeout(limit, ended).await.is_ok();
        if !in_time {
            tracing::warn!(
                seconds = begun.elapsed().as_secs(),
                "requests were still under way at the end of the drain"
            );
        }
        in_time
    }
}
