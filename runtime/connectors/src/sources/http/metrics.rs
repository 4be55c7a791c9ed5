//! What an HTTP source counts beyond the report: its listener's requests, and Kafka's delay.

use std::time::Duration;

use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::server::{HttpMetrics, seconds};

/// Handles on the metrics; clones share them.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// What the listener counts.
    pub(super) requests: HttpMetrics,
    acknowledgement: Histogram,
}

impl Metrics {
    /// Metrics that `registry` shows.
    pub fn register(registry: &mut Registry) -> Metrics {
        let metrics = Metrics {
            requests: HttpMetrics::register(registry),
            acknowledgement: seconds(),
        };
        registry.register_with_unit(
            "headworks_kafka_acknowledgement",
            "From the first record of a request handed to Kafka to the last acknowledged",
            Unit::Seconds,
            metrics.acknowledgement.clone(),
        );
        metrics
    }

    pub(super) fn acknowledged(&self, took: Duration) {
        self.acknowledgement.observe(took.as_secs_f64());
    }
}
