//! What every request of a listener ends with: it is counted, the rest of a refused body is taken, and a pod that leaves closes
//! its connections.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, Version, header};
use axum::response::{IntoResponse, Response};

use super::body::Leftovers;
use super::metrics::HttpMetrics;
use super::refusal::Refusal;

/// One for each listener.
#[derive(Debug)]
pub struct Front {
    metrics: HttpMetrics,
    leftovers: Leftovers,
    draining: AtomicBool,
}

impl Front {
    /// A listener that counts into `metrics`.
    pub fn new(metrics: HttpMetrics) -> Front {
        Front {
            metrics,
            leftovers: Leftovers::default(),
            draining: AtomicBool::new(false),
        }
    }

    /// From now on a connection is closed after its answer, so that clients find another pod.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// The answer to a request that began then; what is left of `body` is of no use any more.
    pub fn respond(
        &self,
        (head, body): (&Parts, Body),
        answer: Result<impl IntoResponse, Refusal>,
        begun: Instant,
    ) -> Response {
        let mut response = match answer {
            Ok(answer) => answer.into_response(),
            Err(refusal) => {
                tracing::debug!(code = refusal.status().as_u16(), "{}", refusal.message());
                if refusal.status() != StatusCode::REQUEST_TIMEOUT
                    && !head.headers.contains_key(header::EXPECT)
                {
                    self.leftovers.swallow(body);
                }
                refusal.into_response()
            }
        };
        if self.draining.load(Ordering::Acquire) && head.version < Version::HTTP_2 {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
        }
        self.metrics
            .answered(response.status().as_u16(), begun.elapsed());
        response
    }
}
