//! The operator's own small HTTP server: `/metrics`, `/healthz` and `/readyz` on one port.

use std::{io, net::SocketAddr, sync::Arc, time::Instant};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};

use crate::{
    listen::{Limits, plain, shielded},
    telemetry::{Health, Metrics},
};

/// Serves `/healthz`, `/readyz` and `/metrics` until the process ends.
///
/// # Errors
/// The port is taken.
pub async fn serve(
    address: SocketAddr,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
) -> io::Result<()> {
    let listener = std::net::TcpListener::bind(address)?;
    serve_on(listener, metrics, health, Limits::HTTP).await
}

async fn serve_on(
    listener: std::net::TcpListener,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    limits: Limits,
) -> io::Result<()> {
    let router = Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(text))
        .with_state((metrics.clone(), health));
    let router = shielded(router, limits);
    plain(listener, limits, &metrics)?
        .serve(router.into_make_service())
        .await
}

type Shared = (Arc<Metrics>, Arc<Health>);

async fn healthz(State((_, health)): State<Shared>) -> impl IntoResponse {
    match health.stands_still(Instant::now()) {
        None => (StatusCode::OK, "ok\n".to_owned()),
        Some(what) => (StatusCode::SERVICE_UNAVAILABLE, format!("{what}\n")),
    }
}

async fn readyz(State((_, health)): State<Shared>) -> impl IntoResponse {
    if health.is_ready() {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "reading the cluster\n")
    }
}

async fn text(State((metrics, _)): State<Shared>) -> impl IntoResponse {
    (
        [(
            header::CONTENT_TYPE,
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
        )],
        metrics.text(),
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
    };

    use super::*;

    const SHORT: Limits = Limits {
        connections: 8,
        per_peer: 4,
        header: Duration::from_millis(300),
        idle: Duration::from_millis(600),
        request: Duration::from_secs(5),
        ..Limits::HTTP
    };

    fn start(health: Arc<Health>) -> (SocketAddr, Arc<Metrics>) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let metrics = Arc::new(Metrics::default());
        tokio::spawn(serve_on(listener, metrics.clone(), health, SHORT));
        (at, metrics)
    }

    async fn get(at: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(at).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        // One that is turned away may be reset.
        let _ = stream.read_to_string(&mut answer).await;
        answer
    }

    #[tokio::test]
    async fn health_is_answered_from_progress() {
        let health = Arc::new(Health::default());
        let (at, _) = start(health.clone());
        assert!(get(at, "/healthz").await.starts_with("HTTP/1.1 200"));
        assert!(get(at, "/readyz").await.starts_with("HTTP/1.1 503"));
        health.ready();
        assert!(get(at, "/readyz").await.starts_with("HTTP/1.1 200"));
        health.beat("figures", Duration::ZERO);
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        let answer = get(at, "/healthz").await;
        assert!(
            answer.starts_with("HTTP/1.1 503") && answer.contains("figures: no progress"),
            "{answer}"
        );
    }

    #[tokio::test]
    async fn slow_and_many_connections_keep_nobody_out() {
        let (at, metrics) = start(Arc::default());
        // All that one peer may have, each sending a header that never ends.
        let mut slow = Vec::new();
        for _ in 0..4 {
            let mut stream = TcpStream::connect(at).await.unwrap();
            stream
                .write_all(b"GET /metrics HTTP/1.1\r\nx-slow: ")
                .await
                .unwrap();
            slow.push(stream);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(
            get(at, "/metrics").await,
            "",
            "one more is turned away at once"
        );
        assert!(
            metrics
                .text()
                .contains(r#"refused_connections_total{listener="http"} 1"#),
            "{}",
            metrics.text()
        );
        // They are closed, however often a byte comes.
        for stream in &mut slow {
            let mut closed = false;
            for _ in 0..20 {
                tokio::time::sleep(Duration::from_millis(50)).await;
                let mut byte = [0_u8; 256];
                let gone = |read: io::Result<usize>| match read {
                    Ok(0) => true,
                    Ok(_) => false,
                    Err(error) => error.kind() != io::ErrorKind::WouldBlock,
                };
                if stream.write_all(b"x").await.is_err() || gone(stream.try_read(&mut byte)) {
                    closed = true;
                    break;
                }
            }
            assert!(closed, "a header may take 300 ms");
        }
        assert!(
            get(at, "/metrics")
                .await
                .contains(r#"connections{listener="http"} 1"#)
        );
        // One that says nothing at all.
        let mut silent = TcpStream::connect(at).await.unwrap();
        let mut byte = [0_u8; 1];
        let read = tokio::time::timeout(Duration::from_secs(3), silent.read(&mut byte)).await;
        assert!(!matches!(read, Err(_) | Ok(Ok(1..))), "{read:?}");
    }
}
