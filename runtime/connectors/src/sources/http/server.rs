//! The source's listener: the bounded server with the source's service, certificate and drain.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::Extensions;
use headworks_plan::{Problem, Reason};
use snafu::{ResultExt, Snafu};

use super::service::Service;
use crate::server::{self, Certificate, HANGS, Served, Server};
use crate::sources::kafka::Sink;

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
    server: Server,
    certificate: Option<Arc<Certificate>>,
}

/// Binds the port and begins to serve. With TLS, connections are taken once the certificate is there.
///
/// # Errors
/// The port can't be had.
pub fn listen<S: Sink>(service: &Arc<Service<S>>) -> Result<Listening, ServerError> {
    let port = service.config().port;
    let listener = server::bind(port).context(ListenSnafu { port })?;
    let certificate = service.config().tls_dir.clone().map(Certificate::watch);
    let marked = service.clone();
    let what = Served {
        app: service.router(),
        bounds: service.config().bounds,
        tls: certificate.clone(),
        mark: Box::new(move || {
            let mut extensions = Extensions::new();
            extensions.insert(marked.share());
            extensions
        }),
        pulse: service.status().pulse("http-listener", HANGS),
    };
    let server = server::serve(listener, what).context(ListenSnafu { port })?;
    Ok(Listening {
        address: server.address,
        server,
        certificate,
    })
}

impl Listening {
    /// What is wrong with the certificate, if anything.
    pub fn problem(&self) -> Option<Problem> {
        let certificate = self.certificate.as_ref().filter(|c| c.is_wrong())?;
        let message = format!(
            "no usable tls.crt and tls.key in {}; does the Secret of spec.http.tls exist, and do both belong together?",
            certificate.dir().display()
        );
        Some(Problem::new(Reason::SecretMissing, message, true))
    }

    /// Takes no new connection, lets requests under way finish for at most `limit`, and returns when the
    /// last connection is closed. False: the limit came first.
    pub async fn drain(self, limit: Duration) -> bool {
        self.server.drain(limit).await
    }
}
