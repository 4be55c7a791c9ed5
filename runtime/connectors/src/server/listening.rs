//! A listener of the plan: the bounded server with a mounted certificate, which may be missing.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::Extensions;
use headworks_engine::status::Pulse;
use headworks_plan::{Problem, Reason};
use snafu::{ResultExt, Snafu};

use super::certificate::Certificate;
use super::{Bounds, Called, Served, Server, bind, serve};

/// Why there is no listener.
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

/// What is to listen.
pub struct Listen {
    /// Whose listener it is.
    pub called: Called,
    /// The port; 0: any.
    pub port: u16,
    /// Answers requests.
    pub app: Router,
    /// Bounds.
    pub bounds: Bounds,
    /// The folder with `tls.crt` and `tls.key`; absent: no TLS.
    pub tls_dir: Option<PathBuf>,
    /// Makes what every request of a new connection carries as extensions.
    pub mark: Box<dyn Fn() -> Extensions + Send + Sync>,
    /// Beats while the accepting loop turns.
    pub pulse: Pulse,
}

/// A listener at work.
pub struct Listening {
    /// Where.
    pub address: SocketAddr,
    server: Server,
    certificate: Option<Arc<Certificate>>,
    called: Called,
}

/// Binds the port and begins to serve. With TLS, connections are taken once the certificate is there.
///
/// # Errors
/// The port can't be had.
pub fn listen(what: Listen) -> Result<Listening, ServerError> {
    let (port, called) = (what.port, what.called);
    let listener = bind(port).context(ListenSnafu { port })?;
    let certificate = what.tls_dir.map(Certificate::watch);
    let what = Served {
        app: what.app,
        bounds: what.bounds,
        tls: certificate.clone(),
        mark: what.mark,
        pulse: what.pulse,
    };
    let server = serve(listener, what).context(ListenSnafu { port })?;
    Ok(Listening {
        address: server.address,
        server,
        certificate,
        called,
    })
}

impl Listening {
    /// What is wrong with the certificate, if anything.
    pub fn problem(&self) -> Option<Problem> {
        let certificate = self.certificate.as_ref().filter(|c| c.is_wrong())?;
        let (dir, field) = (certificate.dir().display(), self.called.field);
        let message = format!(
            "no usable tls.crt and tls.key in {dir}; does the Secret of {field}.tls exist, and do both belong together?"
        );
        Some(Problem::new(Reason::SecretMissing, message, true))
    }

    /// Takes no new connection, lets requests under way finish for at most `limit`, and returns when the
    /// last connection is closed. False: the limit came first.
    pub async fn drain(self, limit: Duration) -> bool {
        self.server.drain(limit).await
    }
}
