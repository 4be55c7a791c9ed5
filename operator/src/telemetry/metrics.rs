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

use crate::supervise::PANICS;

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

/// Labels of what happened to objects of a kind for a reason.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Dropped {
    /// Kind of the object.
    pub kind: String,
    /// `foreign`: it isn't ours; `bound`: its namespace has as many as are held.
    pub reason: &'static str,
}

/// Labels of what belongs to a listener.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct OfListener {
    /// `http` (metrics and health) or `webhook`.
    pub listener: &'static str,
}

/// Labels of a count of reports that weren't taken.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Unread {
    /// Why: see `reports::ask::Silence`.
    pub reason: &'static str,
}

/// All metrics, and the registry that prints them.
pub struct Metrics {
    registry: Registry,
    reconciles: Family<Outcome, Counter>,
    seconds: Family<OfKind, Histogram>,
    writes: Family<OfKind, Counter>,
    leader: Gauge,
    pods: Gauge<f64, AtomicU64>,
    held: Family<OfKind, Gauge>,
    dropped: Family<Dropped, Counter>,
    unread: Family<Unread, Counter>,
    connections: Family<OfListener, Gauge>,
    refused: Family<OfListener, Counter>,
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
            "Pods that have answered when they were last asked for their report",
            pods.clone(),
        );
        let held = Family::<OfKind, Gauge>::default();
        registry.register(
            "held_objects",
            "Objects held in memory, by kind",
            held.clone(),
        );
        let dropped = Family::<Dropped, Counter>::default();
        registry.register(
            "dropped_objects",
            "Objects that a watch brought and that aren't held: foreign ones with our label (foreign), or more than a namespace's share (bound)",
            dropped.clone(),
        );
        let unread = Family::<Unread, Counter>::default();
        registry.register(
            "unread_reports",
            "Answers of pods that weren't taken as a report, by reason",
            unread.clone(),
        );
        let connections = Family::<OfListener, Gauge>::default();
        registry.register(
            "connections",
            "Open connections to the operator, by listener",
            connections.clone(),
        );
        let refused = Family::<OfListener, Counter>::default();
        registry.register(
            "refused_connections",
            "Connections closed at once because there were too many, by listener",
            refused.clone(),
        );
        registry.register(
            "panics",
            "Mistakes of the operator's own that were contained, by task",
            PANICS.clone(),
        );
        Self {
            registry,
            reconciles,
            seconds,
            writes,
            leader,
            pods,
            held,
            dropped,
            unread,
            connections,
            refused,
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

    /// So many objects of a kind are held in memory.
    pub fn holds(&self, kind: &str, objects: usize) {
        self.held
            .get_or_create(&OfKind { kind: kind.into() })
            .set(i64::try_from(objects).unwrap_or(i64::MAX));
    }

    /// An object that a watch brought isn't held.
    pub fn dropped(&self, kind: &str, reason: &'static str) {
        let of = Dropped {
            kind: kind.into(),
            reason,
        };
        self.dropped.get_or_create(&of).inc();
    }

    /// A pod's answer wasn't taken.
    pub fn unread(&self, reason: &'static str) {
        self.unread.get_or_create(&Unread { reason }).inc();
    }

    /// So many connections of a listener are open.
    pub fn connected(&self, listener: &'static str, open: usize) {
        self.connections
            .get_or_create(&OfListener { listener })
            .set(i64::try_from(open).unwrap_or(i64::MAX));
    }

    /// A connection was closed at once.
    pub fn turned_away(&self, listener: &'static str) {
        self.refused.get_or_create(&OfListener { listener }).inc();
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
