//! Connections: the listening socket, TLS with a certificate that is read again when it changes, bounds
//! against slow clients, and the drain.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use headworks_plan::Problem;
use hyper_util::rt::TokioTimer;
use snafu::{ResultExt, Snafu};

use super::service::Service;
use super::sink::Sink;

/// Longest time for a request's head to come in.
const HEAD: Duration = Duration::from_secs(10);
/// HTTP/2 requests at once on a connection.
const STREAMS: u32 = 64;
/// How often a missing or changed certificate is looked for.
const CERTIFICATE: Duration = Duration::from_secs(5);

/// Why the source can't listen.
#[derive(Debug, Snafu)]
pub enum ServerError {
    /// The port is taken or forbidden.
    #[snafu(display("cannot listen on port {port}: {source}"))]
    Listen {
        /// The port.
        port: u16,
        /// What the system said.
        source: io::Error,
    },
}

/// A source that is listening.
pub struct Listening {
    /// Where.
    pub address: SocketAddr,
    handle: Handle<SocketAddr>,
    serving: tokio::task::JoinHandle<()>,
    certificate: Arc<Certificate>,
}

/// Binds the port and begins to serve. With TLS, connections are taken once the certificate is there.
///
/// # Errors
/// The port can't be had.
pub fn listen<S: Sink>(service: &Arc<Service<S>>) -> Result<Listening, ServerError> {
    let port = service.config().port;
    let listener = bind(port).context(ListenSnafu { port })?;
    let address = listener.local_addr().context(ListenSnafu { port })?;
    let handle = Handle::new();
    let certificate = Arc::new(Certificate {
        dir: service.config().tls_dir.clone(),
        missing: AtomicBool::new(false),
    });
    let serving = tokio::spawn(serve(
        service.clone(),
        listener,
        handle.clone(),
        certificate.clone(),
    ));
    Ok(Listening {
        address,
        handle,
        serving,
        certificate,
    })
}

impl Listening {
    /// What is wrong with the certificate, if anything.
    pub fn problem(&self) -> Option<Problem> {
        let dir = self
            .certificate
            .dir
            .as_ref()
            .filter(|_| self.certificate.missing.load(Ordering::Acquire))?;
        let message = format!(
            "no usable tls.crt and tls.key in {}; does the Secret of spec.http.tls exist, and do both belong together?",
            dir.display()
        );
        Some(Problem {
            reason: "SecretMissing".to_owned(),
            message,
            fatal: true,
        })
    }

    /// Takes no new connection, lets requests under way finish for at most `limit`, and returns when the
    /// last connection is closed. False: the limit came first.
    pub async fn drain(mut self, limit: Duration) -> bool {
        self.handle.graceful_shutdown(Some(limit));
        if self.certificate.missing.load(Ordering::Acquire) && self.handle.connection_count() == 0 {
            // Perhaps it never began to serve.
            self.serving.abort();
        }
        let begun = Instant::now();
        // The server's own limit comes first; this one is for what doesn't keep it.
        let ended = tokio::time::timeout(limit + Duration::from_secs(1), &mut self.serving)
            .await
            .is_ok();
        let in_time = ended && begun.elapsed() < limit;
        if !in_time {
            tracing::warn!("requests were still under way at the end of the drain");
        }
        in_time
    }
}

/// Both families where there are two.
fn bind(port: u16) -> io::Result<TcpListener> {
    let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port))
        .or_else(|_| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

async fn serve<S: Sink>(
    service: Arc<Service<S>>,
    listener: TcpListener,
    handle: Handle<SocketAddr>,
    certificate: Arc<Certificate>,
) {
    let app = service.router().into_make_service();
    let served = match &certificate.dir {
        None => match axum_server::from_tcp(listener) {
            Ok(mut server) => {
                bound(server.http_builder());
                server.handle(handle).serve(app).await
            }
            Err(error) => Err(error),
        },
        Some(dir) => {
            let _ = rustls::crypto::ring::default_provider().install_default();
            let (config, seen) = certificate.first(dir).await;
            let watch = tokio::spawn(watch(
                certificate.clone(),
                dir.clone(),
                config.clone(),
                seen,
            ));
            let served = match axum_server::from_tcp_rustls(listener, config) {
                Ok(mut server) => {
                    bound(server.http_builder());
                    server.handle(handle).serve(app).await
                }
                Err(error) => Err(error),
            };
            watch.abort();
            served
        }
    };
    if let Err(error) = served {
        tracing::error!("the HTTP server ended: {error}");
    }
}

fn bound(builder: &mut hyper_util::server::conn::auto::Builder<hyper_util::rt::TokioExecutor>) {
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(10));
}

/// A mounted certificate, which may come late and change.
struct Certificate {
    dir: Option<PathBuf>,
    missing: AtomicBool,
}

impl Certificate {
    async fn first(&self, dir: &Path) -> (RustlsConfig, Seen) {
        loop {
            let seen = changed(dir);
            match RustlsConfig::from_pem_file(dir.join("tls.crt"), dir.join("tls.key")).await {
                Ok(config) => {
                    self.missing.store(false, Ordering::Release);
                    return (config, seen);
                }
                Err(error) => {
                    if !self.missing.swap(true, Ordering::AcqRel) {
                        tracing::warn!(
                            reason = "SecretMissing",
                            "no certificate in {}: {error}",
                            dir.display()
                        );
                    }
                    tokio::time::sleep(CERTIFICATE).await;
                }
            }
        }
    }
}

/// A broken new certificate leaves the old one in force and is a problem until it is mended.
async fn watch(certificate: Arc<Certificate>, dir: PathBuf, config: RustlsConfig, mut seen: Seen) {
    loop {
        tokio::time::sleep(CERTIFICATE).await;
        let now = changed(&dir);
        if now == seen {
            continue;
        }
        seen = now;
        match config
            .reload_from_pem_file(dir.join("tls.crt"), dir.join("tls.key"))
            .await
        {
            Ok(()) => {
                certificate.missing.store(false, Ordering::Release);
                tracing::info!("the certificate in {} was read again", dir.display());
            }
            Err(error) => {
                certificate.missing.store(true, Ordering::Release);
                tracing::warn!(
                    reason = "SecretMissing",
                    "the new certificate in {} can't be used, the old one stays: {error}",
                    dir.display()
                );
            }
        }
    }
}

/// When the two files were last written; `None` for one that isn't there.
type Seen = [Option<SystemTime>; 2];

fn changed(dir: &Path) -> Seen {
    ["tls.crt", "tls.key"].map(|name| {
        std::fs::metadata(dir.join(name))
            .and_then(|file| file.modified())
            .ok()
    })
}
