//! What holds for every port that the operator listens on: how many connections there may be, in all and from one peer, and how
//! long a peer may take.
//!
//! Anybody in the cluster can reach a pod's ports, where no NetworkPolicy says otherwise. So a connection too many is closed at
//! once, before it costs anything; of one peer before that of all, so that a pod with many connections doesn't keep the kubelet's
//! probes out. Headers, requests and silence have their time.

use std::{
    collections::HashMap,
    future::{Ready, ready},
    io,
    net::{IpAddr, SocketAddr, TcpListener},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Router,
    extract::Request,
    http::StatusCode,
    middleware::{Next, from_fn},
    response::IntoResponse,
};
use axum_server::{
    Server,
    accept::Accept,
    tls_rustls::{RustlsAcceptor, RustlsConfig},
};
use hyper_util::rt::TokioTimer;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep},
};

use crate::{supervise::contained, telemetry::Metrics};

/// The limits of one listener.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// What it is called in metrics.
    pub name: &'static str,
    /// Connections at once.
    pub connections: usize,
    /// Connections at once from one address.
    pub per_peer: usize,
    /// How long the header of a request may take.
    pub header: Duration,
    /// How long a peer may send nothing.
    pub idle: Duration,
    /// How long a request may take, body and answer.
    pub request: Duration,
}

impl Limits {
    /// Metrics and health.
    pub const HTTP: Self = Self {
        name: "http",
        connections: 128,
        per_peer: 16,
        header: Duration::from_secs(5),
        idle: Duration::from_secs(60),
        request: Duration::from_secs(10),
    };
    /// Admission. API servers are few, and may come from one address.
    pub const WEBHOOK: Self = Self {
        name: "webhook",
        connections: 256,
        per_peer: 64,
        header: Duration::from_secs(5),
        idle: Duration::from_secs(120),
        request: Duration::from_secs(30),
    };
    /// HTTP/2: an idle peer is asked so often whether it is there, and must answer in this time.
    const PING: Duration = Duration::from_secs(30);
    /// HTTP/2: requests at once of one connection.
    const STREAMS: u32 = 64;
}

/// A server of HTTP/1.1.
///
/// # Errors
/// The listener can't be used.
pub fn plain(
    listener: TcpListener,
    limits: Limits,
    metrics: &Arc<Metrics>,
) -> io::Result<Server<SocketAddr, Capped>> {
    listener.set_nonblocking(true)?;
    let mut server = axum_server::from_tcp(listener)?
        .acceptor(Capped::new(limits, metrics))
        .http1_only();
    server
        .http_builder()
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header);
    Ok(server)
}

/// A server of HTTP/1.1 and HTTP/2 by TLS.
///
/// # Errors
/// The listener can't be used.
pub fn tls(
    listener: TcpListener,
    config: RustlsConfig,
    limits: Limits,
    metrics: &Arc<Metrics>,
) -> io::Result<Server<SocketAddr, RustlsAcceptor<Capped>>> {
    listener.set_nonblocking(true)?;
    let capped = Capped::new(limits, metrics);
    let mut server = axum_server::from_tcp_rustls(listener, config)?
        .map(|tls| tls.handshake_timeout(limits.header).acceptor(capped));
    let builder = server.http_builder();
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Limits::PING)
        .keep_alive_timeout(Limits::PING)
        .max_concurrent_streams(Limits::STREAMS);
    Ok(server)
}

/// A router whose requests have their time, and whose mistakes are counted and end with an answer.
pub fn shielded(router: Router, limits: Limits) -> Router {
    router.layer(from_fn(move |request: Request, next: Next| async move {
        let task = format!("answer {}", limits.name);
        let answer = contained(&task, next.run(request));
        match tokio::time::timeout(limits.request, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            Err(_) => StatusCode::REQUEST_TIMEOUT.into_response(),
        }
    }))
}

/// Open connections by peer.
type Open = Arc<Mutex<HashMap<IpAddr, usize>>>;

/// Lets so many connections in.
#[derive(Clone)]
pub struct Capped {
    limits: Limits,
    open: Open,
    metrics: Arc<Metrics>,
}

impl Capped {
    fn new(limits: Limits, metrics: &Arc<Metrics>) -> Self {
        Self {
            limits,
            open: Open::default(),
            metrics: metrics.clone(),
        }
    }

    fn enter(&self, peer: IpAddr) -> Option<Entered> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = open.values().sum();
        let of_peer = open.get(&peer).copied().unwrap_or_default();
        if all >= self.limits.connections || of_peer >= self.limits.per_peer {
            return None;
        }
        open.insert(peer, of_peer + 1);
        self.metrics.connected(self.limits.name, all + 1);
        Some(Entered {
            peer,
            at: self.clone(),
        })
    }
}

impl<S> Accept<TcpStream, S> for Capped {
    type Stream = Timed;
    type Service = S;
    type Future = Ready<io::Result<(Timed, S)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let entered = stream.peer_addr().map(|peer| self.enter(peer.ip()));
        ready(match entered {
            Ok(Some(entered)) => Ok((Timed::new(stream, self.limits.idle, entered), service)),
            Ok(None) => {
                self.metrics.turned_away(self.limits.name);
                Err(io::ErrorKind::ConnectionRefused.into())
            }
            Err(error) => Err(error),
        })
    }
}

/// A connection's place.
struct Entered {
    peer: IpAddr,
    at: Capped,
}

impl Drop for Entered {
    fn drop(&mut self) {
        let mut open = self.at.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.peer) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                open.remove(&self.peer);
            }
        }
        let all: usize = open.values().sum();
        self.at.metrics.connected(self.at.limits.name, all);
    }
}

/// A connection that ends when its peer sends nothing for too long.
pub struct Timed {
    stream: TcpStream,
    idle: Duration,
    until: Pin<Box<Sleep>>,
    _entered: Entered,
}

impl Timed {
    fn new(stream: TcpStream, idle: Duration, entered: Entered) -> Self {
        Self {
            stream,
            idle,
            until: Box::pin(tokio::time::sleep(idle)),
            _entered: entered,
        }
    }

    fn stirred(&mut self) {
        self.until.as_mut().reset(Instant::now() + self.idle);
    }
}

impl AsyncRead for Timed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_read(cx, buffer) {
            Poll::Ready(read) => {
                self.stirred();
                Poll::Ready(read)
            }
            Poll::Pending => match self.until.as_mut().poll(cx) {
                Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
                Poll::Pending => Poll::Pending,
            },
        }
    }
}

impl AsyncWrite for Timed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_peer_takes_its_share_and_leaves_the_others() {
        let metrics = Arc::new(Metrics::default());
        let limits = Limits {
            connections: 5,
            per_peer: 3,
            ..Limits::HTTP
        };
        let capped = Capped::new(limits, &metrics);
        let (greedy, kubelet): (IpAddr, IpAddr) =
            ("10.0.0.9".parse().unwrap(), "10.0.0.1".parse().unwrap());
        let held: Vec<Entered> = (0..9).filter_map(|_| capped.enter(greedy)).collect();
        assert_eq!(held.len(), 3);
        let probe = capped.enter(kubelet);
        assert!(probe.is_some());
        assert!(metrics.text().contains(r#"connections{listener="http"} 4"#));
        drop(held);
        drop(probe);
        assert!(capped.open.lock().unwrap().is_empty());
        assert!(metrics.text().contains(r#"connections{listener="http"} 0"#));
    }
}
