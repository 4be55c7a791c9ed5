//! The operator's metrics, in OpenMetrics text.

use std::sync::atomic::AtomicU64;

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};

/// Labels of a count of reconciles.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Outcome {
    /// Kind of the object.
    pub kind: String,
    /// `ready`, `progressing`, `stalled`, `waiting`, `transient` or `invalid`.
    pub outcome: &'static str,
}

/// Labels of what belongs to a kind.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct OfKind {
    /// Kind of the object.
    pub kind: String,
}

/// All metrics, and the registry that prints them.
pub struct Metrics {
    registry: Registry,
    reconciles: Family<Outcome, Counter>,
    seconds: Family<OfKind, Histogram>,
    writes: Family<OfKind, Counter>,
    leader: Gauge,
    pods: Gauge<f64, AtomicU64>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("headworks_operator");
        let reconciles = Family::<Outcome, Counter>::default();
        registry.register(
            "reconciles",
            "Reconciles, by kind and outcome",
            reconciles.clone(),
        );
        let seconds = Family::<OfKind, Histogram>::new_with_constructor(|| {
            Histogram::new(exponential_buckets(0.001, 4.0, 8))
        });
        registry.register(
            "reconcile_seconds",
            "How long a reconcile takes",
            seconds.clone(),
        );
        let writes = Family::<OfKind, Counter>::default();
        registry.register(
            "writes",
            "Writes to the API server, by the kind that was written (Status for status)",
            writes.clone(),
        );
        let leader = Gauge::default();
        registry.register("leader", "1 while this replica leads", leader.clone());
        let pods = Gauge::<f64, AtomicU64>::default();
        registry.register(
            "reporting_pods",
            "Pods whose report was read in the last round",
            pods.clone(),
        );
        Self {
            registry,
            reconciles,
            seconds,
            writes,
            leader,
            pods,
        }
    }
}

impl Metrics {
    /// One reconcile ended.
    pub fn reconciled(&self, kind: &str, outcome: &'static str, seconds: f64) {
        self.reconciles
            .get_or_create(&Outcome {
                kind: kind.into(),
                outcome,
            })
            .inc();
        self.seconds
            .get_or_create(&OfKind { kind: kind.into() })
            .observe(seconds);
    }

    /// One write to the API server.
    pub fn wrote(&self, kind: &str) {
        self.writes
            .get_or_create(&OfKind { kind: kind.into() })
            .inc();
    }

    /// This replica leads or doesn't.
    pub fn leads(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// So many pods answered.
    pub fn reporting(&self, pods: usize) {
        self.pods.set(pods as f64);
    }

    /// The text of `/metrics`.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String can't fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_leads_says_so() {
        let metrics = Metrics::default();
        assert!(metrics.text().contains("headworks_operator_leader 0"));
        metrics.leads(true);
        assert!(metrics.text().contains("headworks_operator_leader 1"));
    }

    #[test]
    fn a_reconcile_is_counted_under_its_kind_and_outcome() {
        let metrics = Metrics::default();
        metrics.reconciled("Pipeline", "stalled", 0.01);
        assert!(
            metrics.text().contains(
                r#"headworks_operator_reconciles_total{kind="Pipeline",outcome="stalled"} 1"#
            ),
            "{}",
            metrics.text()
        );
    }
}
