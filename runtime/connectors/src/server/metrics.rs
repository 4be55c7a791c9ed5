//! What a listener counts of its requests.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Handles on the metrics; clones share them.
#[derive(Clone, Debug)]
pub struct HttpMetrics {
    answers: Family<Answer, Counter>,
    duration: Histogram,
    bytes: Counter,
    let_in: Family<Token, Counter>,
}

#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Token {
    token: u32,
}

#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Answer {
    code: u16,
}

impl HttpMetrics {
    /// Metrics that `registry` shows. Once a process: a second listener shares them.
    pub fn register(registry: &mut Registry) -> HttpMetrics {
        let metrics = HttpMetrics {
            answers: Family::default(),
            duration: seconds(),
            bytes: Counter::default(),
            let_in: Family::default(),
        };
        registry.register(
            "headworks_http_answers",
            "Requests answered, by status code",
            metrics.answers.clone(),
        );
        registry.register_with_unit(
            "headworks_http_request_duration",
            "From the request's head to the answer",
            Unit::Seconds,
            metrics.duration.clone(),
        );
        registry.register_with_unit(
            "headworks_http_received",
            "Body bytes received",
            Unit::Bytes,
            metrics.bytes.clone(),
        );
        registry.register(
            "headworks_http_let_in",
            "Requests with a known bearer token, by the token's number in the Secret",
            metrics.let_in.clone(),
        );
        metrics
    }

    /// A request was answered.
    pub fn answered(&self, code: u16, took: Duration) {
        self.answers.get_or_create(&Answer { code }).inc();
        self.duration.observe(took.as_secs_f64());
    }

    /// A request had the token of that number, from 1.
    pub fn let_in(&self, token: u32) {
        self.let_in.get_or_create(&Token { token }).inc();
    }

    /// So many bytes of a body came.
    pub fn received(&self, bytes: usize) {
        self.bytes.inc_by(bytes as u64);
    }
}

/// A histogram of what requests take, from a millisecond to half a minute.
pub fn seconds() -> Histogram {
    Histogram::new([
        0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
    ])
}
