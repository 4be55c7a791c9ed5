//! HTTPS for the API server: a review comes in, a decision goes out, in time.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, Query, Request, State},
    http::StatusCode,
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::post,
};
use axum_server::tls_rustls::RustlsConfig;
use kube::{
    Client,
    core::{
        DynamicObject,
        admission::{AdmissionRequest, AdmissionResponse, AdmissionReview},
    },
};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use snafu::Snafu;
use tokio::sync::{Semaphore, watch};

use super::{PATH_PREFIX, review};
use crate::{
    admission::{AdmissionDecision, Reads},
    listen::{Limits, shielded, tls},
    names::digest,
    stores::Stores,
    supervise::ended,
    telemetry::Metrics,
};

/// Largest review: the API server takes objects of 3 MiB, and a review has two.
const BODY_MAX: usize = 8 << 20;
/// Reviews that are judged at once; more wait, and pass when they have waited too long.
const AT_ONCE: usize = 8;
/// Reviews that wait for ConfigMaps at once.
const READS: usize = 4;
/// What the API server waits where it doesn't say: its own default.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// Why the server ended.
#[derive(Debug, Snafu)]
pub enum Failure {
    /// The port is taken.
    #[snafu(display(
        "can't serve admission on {listen}: {source}; choose another with --webhook-listen"
    ))]
    Listen {
        /// The address.
        listen: SocketAddr,
        /// The cause.
        source: std::io::Error,
    },
}

/// The certificate in use and the path that is answered, once there are any.
#[derive(Clone, Default)]
pub struct Certificate(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    config: Option<RustlsConfig>,
    pem: String,
    /// Digests of the paths, newest last. The one before is answered, too: the API server may not have heard yet.
    paths: Vec<String>,
    came: Option<watch::Sender<bool>>,
}

impl Certificate {
    /// Takes a certificate, its key (PEM) and a path into use. What can't be read is refused, and the one before stays.
    pub fn load(&self, certificate: &str, key: &str, path: &str) -> Result<(), String> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let path = digest(path.as_bytes());
        if inner.paths.last() != Some(&path) {
            inner.paths.push(path);
            let more = inner.paths.len().saturating_sub(2);
            inner.paths.drain(..more);
        }
        if inner.pem == certificate {
            return Ok(());
        }
        let config = Arc::new(server_config(certificate, key)?);
        match &inner.config {
            Some(there) => there.reload_from_config(config),
            None => inner.config = Some(RustlsConfig::from_config(config)),
        }
        certificate.clone_into(&mut inner.pem);
        if let Some(came) = &inner.came {
            // Nobody waits any more: fine.
            let _ = came.send(true);
        }
        Ok(())
    }

    /// True if reviews are taken there. Digests are compared, so the time it takes says nothing.
    fn answers(&self, path: &str) -> bool {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        path.starts_with(PATH_PREFIX) && inner.paths.contains(&digest(path.as_bytes()))
    }

    /// Waits for the first one.
    async fn first(&self) -> RustlsConfig {
        let mut coming = {
            let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let (came, coming) = watch::channel(inner.config.is_some());
            inner.came = Some(came);
            coming
        };
        loop {
            let found = {
                let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                inner.config.clone()
            };
            if let Some(config) = found {
                return config;
            }
            if coming.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }
}

fn server_config(certificate: &str, key: &str) -> Result<ServerConfig, String> {
    let chain: Result<Vec<CertificateDer<'static>>, _> =
        CertificateDer::pem_slice_iter(certificate.as_bytes()).collect();
    let chain = chain.map_err(|e| format!("tls.crt: {e}"))?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|e| format!("tls.key: {e}"))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|e| e.to_string())?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

struct Shared {
    client: Client,
    stores: Arc<Stores>,
    at_once: Arc<Semaphore>,
    reads: Arc<Semaphore>,
}

/// Serves until the process ends.
pub async fn serve(
    client: Client,
    listen: SocketAddr,
    certificate: Certificate,
    stores: Arc<Stores>,
    metrics: Arc<Metrics>,
    serving: watch::Sender<bool>,
) -> Result<(), Failure> {
    let answered = certificate.clone();
    let config = certificate.first().await;
    let router = shielded(router(client, stores, answered), Limits::WEBHOOK);
    let server = std::net::TcpListener::bind(listen)
        .and_then(|listener| tls(listener, config, Limits::WEBHOOK, &metrics))
        .map_err(|source| Failure::Listen { listen, source })?;
    tracing::info!(%listen, "admission is served");
    // Nobody listens any more: the process is ending.
    let _ = serving.send(true);
    server
        .serve(router.into_make_service())
        .await
        .map_err(|source| Failure::Listen { listen, source })
}

fn router(client: Client, stores: Arc<Stores>, answered: Certificate) -> Router {
    Router::new()
        .route(&format!("{PATH_PREFIX}{{secret}}"), post(answer))
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(from_fn_with_state(answered, only_answered))
        .with_state(Arc::new(Shared {
            client,
            stores,
            at_once: Arc::new(Semaphore::new(AT_ONCE)),
            reads: Arc::new(Semaphore::new(READS)),
        }))
}

/// Whoever doesn't know the path is turned away before a byte of the body is read.
async fn only_answered(State(at): State<Certificate>, request: Request, next: Next) -> Response {
    if at.answers(request.uri().path()) {
        next.run(request).await
    } else {
        StatusCode::NOT_FOUND.into_response()
    }
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<HashMap<String, String>>,
    Json(review): Json<AdmissionReview<DynamicObject>>,
) -> Json<AdmissionReview<DynamicObject>> {
    let request: AdmissionRequest<DynamicObject> = match review.try_into() {
        Ok(request) => request,
        Err(_) => {
            return Json(AdmissionResponse::invalid("no request in the review").into_review());
        }
    };
    let response = AdmissionResponse::from(&request);
    let limit = patience(query.get("timeout").map(String::as_str));
    let decision = in_time(&shared, request, limit).await.bounded();
    let mut response = match decision.denied {
        Some(message) => response.deny(message),
        None => response,
    };
    response.warnings = (!decision.warnings.is_empty()).then_some(decision.warnings);
    Json(response.into_review())
}

/// How long we may take: a little less than the API server waits, as it says itself (`?timeout=5s`).
fn patience(said: Option<&str>) -> Duration {
    let seconds = said.and_then(|text| text.trim_end_matches('s').parse::<u64>().ok());
    let whole = seconds.map_or(DEFAULT_TIMEOUT, Duration::from_secs);
    (whole.mul_f64(0.7)).clamp(Duration::from_millis(500), Duration::from_secs(20))
}

/// Judges on a thread of its own. What is too slow, or fails by our own mistake, passes: the reconcile asks again.
async fn in_time(
    shared: &Shared,
    request: AdmissionRequest<DynamicObject>,
    limit: Duration,
) -> AdmissionDecision {
    let title = format!(
        "{} {}/{}",
        request.kind.kind,
        request.namespace.clone().unwrap_or_default(),
        request.name
    );
    let (client, stores) = (shared.client.clone(), shared.stores.clone());
    let (at_once, reads) = (shared.at_once.clone(), shared.reads.clone());
    let judged = async move {
        let reads = Reads {
            client: &client,
            at_once: &reads,
        };
        let texts = review::texts(&request, &reads).await;
        let permit = at_once.acquire_owned().await;
        tokio::task::spawn_blocking(move || {
            let decision = review::decide(&request, &stores, texts);
            drop(permit);
            decision
        })
        .await
    };
    let judged = tokio::time::timeout(limit, judged).await;
    match judged.map(|judged| ended("admission", judged)) {
        Ok(Ok(decision)) => decision,
        Ok(Err(_)) => {
            tracing::error!(object = %title, "a check failed by our own mistake; the object passes");
            unchecked("failed by a mistake of its own")
        }
        Err(_) => {
            tracing::warn!(object = %title, "a check took too long; the object passes");
            unchecked("took too long")
        }
    }
}

fn unchecked(why: &str) -> AdmissionDecision {
    let mut decision = AdmissionDecision::pass();
    decision.warn(format!(
        "Headworks' check {why}; the object is looked at when it is stored: see its conditions"
    ));
    decision
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn we_answer_before_the_api_server_loses_patience() {
        assert_eq!(patience(Some("5s")), Duration::from_millis(3_500));
        assert_eq!(patience(Some("1s")), Duration::from_millis(700));
        assert_eq!(patience(None), Duration::from_secs(7));
        assert_eq!(patience(Some("soon")), Duration::from_secs(7));
    }
}
