//! The status port: `/status` for the operator, `/metrics` for Prometheus, `/healthz` and `/readyz` for
//! the kubelet.

mod by_reason;
mod counts;
mod rules;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use headworks_connectors::server::{self, Bounds, Served};
use headworks_engine::status::StatusHandle;
use headworks_plan::{Phase, Plan, Report, Role, StateFigures};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Registry;

use crate::health::healthz;

/// What the operator, the kubelet and Prometheus need, and a few more.
const BOUNDS: Bounds = Bounds {
    connections: 64,
    handshake: Duration::from_secs(5),
    head: Duration::from_secs(5),
    idle: Duration::from_secs(30),
    streams: 16,
};

/// The registry with what every role shows: the report's figures as of each scrape.
pub fn registry(plan: &Plan, status: &StatusHandle) -> Registry {
    let kind = match plan.role {
        Role::Pipeline(_) | Role::Compare(_) => "Pipeline",
        Role::Source(_) => "Source",
        Role::Store(_) => "DataStore",
        Role::Replay(_) | Role::ReplayIntoPipeline(_) => "Replay",
    };
    let labels = [
        ("headworks_kind", kind),
        ("headworks_namespace", &plan.namespace),
        ("headworks_name", &plan.name),
    ];
    let mut registry = Registry::with_labels(
        labels
            .into_iter()
            .map(|(name, value)| (name.into(), value.to_owned().into())),
    );
    let build = Family::<[(&str, &str); 1], Gauge>::default();
    build
        .get_or_create(&[("version", env!("CARGO_PKG_VERSION"))])
        .set(1);
    registry.register("headworks_build_info", "The runtime's version", build);
    registry.register_collector(Box::new(Figures(status.clone())));
    registry
}

/// Serves in the background, on both address families where there are two.
pub fn serve(port: u16, status: StatusHandle, registry: Registry) -> std::io::Result<SocketAddr> {
    let served = Served::plain(
        router(status.clone(), registry),
        BOUNDS,
        "status-listener",
        &status,
    );
    Ok(server::serve(server::bind(port)?, served)?.address)
}

fn router(status: StatusHandle, registry: Registry) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .with_state(Arc::new(registry))
        .route("/status", get(report))
        .route("/readyz", get(ready))
        .route("/healthz", get(healthz))
        .with_state(status)
}

async fn report(State(status): State<StatusHandle>) -> Response {
    let mut report = status.report();
    rules::shorten(&mut report.figures.rules);
    json(StatusCode::OK, &report)
}

async fn ready(State(status): State<StatusHandle>) -> Response {
    if status.is_ready() {
        return (StatusCode::OK, "ok\n").into_response();
    }
    let Report {
        phase, problems, ..
    } = status.report();
    json(
        StatusCode::SERVICE_UNAVAILABLE,
        &Report {
            phase,
            problems,
            ..Report::default()
        },
    )
}

fn json(status: StatusCode, report: &Report) -> Response {
    let text = serde_json::to_vec(report).unwrap_or_default();
    (status, [(header::CONTENT_TYPE, "application/json")], text).into_response()
}

async fn metrics(State(registry): State<Arc<Registry>>) -> Response {
    let mut text = String::new();
    if let Err(error) = prometheus_client::encoding::text::encode(&mut text, &registry) {
        return (
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("cannot write metrics: {error}\n"),
        )
            .into_response();
    }
    (
        [(
            header::CONTENT_TYPE,
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
        )],
        text,
    )
        .into_response()
}

/// The report as metrics.
#[derive(Debug)]
struct Figures(StatusHandle);

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let report = self.0.report();
        let figures = &report.figures;
        let mut counter = |name: &str, help: &str, value: u64| {
            let counter = ConstCounter::new(value);
            counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)
        };
        counter(
            "headworks_records_in",
            "Records read or received",
            figures.records_in,
        )?;
        counter(
            "headworks_records_out",
            "Records written and committed or acknowledged",
            figures.records_out,
        )?;
        counter(
            "headworks_dead_letters",
            "Records sent to dead-letter topics",
            figures.dead_letters,
        )?;
        counter(
            "headworks_records_dropped",
            "Records counted and dropped",
            figures.dropped,
        )?;
        let mut gauge = |name: &str, help: &str, value: f64| {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)
        };
        gauge(
            "headworks_records_per_second",
            "Records read or received in a second, over about 10 s",
            figures.rate,
        )?;
        gauge(
            "headworks_ready",
            "1 if the pod is at work and nothing stops it",
            f64::from(u8::from(self.0.is_ready())),
        )?;
        gauge(
            "headworks_draining",
            "1 if the pod is finishing what it has",
            f64::from(u8::from(report.phase == Phase::Draining)),
        )?;
        if let Some(lag) = figures.lag {
            gauge(
                "headworks_lag_records",
                "Records not read yet, over the pod's partitions",
                lag as f64,
            )?;
        }
        if let Some(at) = figures.max_event_time_ms {
            gauge(
                "headworks_event_time_max_timestamp_seconds",
                "The largest event time read",
                at as f64 / 1e3,
            )?;
        }
        if let Some(at) = figures.since_ms {
            gauge(
                "headworks_start_timestamp_seconds",
                "Since when the pod counts",
                at as f64 / 1e3,
            )?;
        }
        if let Some(at) = figures.last_commit_ms {
            gauge(
                "headworks_last_commit_timestamp_seconds",
                "When records were last committed or acknowledged",
                at as f64 / 1e3,
            )?;
        }
        if let Some(state) = &figures.state {
            of_state(state, self.0.repartition_records(), &mut encoder)?;
        }
        rules::encode(&report.figures.rules, &mut encoder)?;
        counts::encode(&report.figures.counts, &mut encoder)?;
        by_reason::encode(&report, &mut encoder)?;
        partition_lags(&report, &mut encoder)?;
        problems(&report, &mut encoder)
    }
}

fn of_state(
    state: &StateFigures,
    repartition_records: u64,
    encoder: &mut DescriptorEncoder<'_>,
) -> Result<(), fmt::Error> {
    let mut counter = |name: &str, help: &str, value: u64| {
        let counter = ConstCounter::new(value);
        counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)
    };
    counter(
        "headworks_late_rows",
        "Rows that came too late for every window",
        state.late,
    )?;
    counter(
        "headworks_repartition_records",
        "Records of rows written to the topic between the parts of a query with state",
        repartition_records,
    )?;
    let mut gauge = |name: &str, help: &str, value: f64| {
        let gauge = ConstGauge::new(value);
        gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)
    };
    gauge(
        "headworks_state_memory_bytes",
        "State in memory",
        state.memory_bytes as f64,
    )?;
    gauge(
        "headworks_state_disk_bytes",
        "State on the pod's disk",
        state.disk_bytes as f64,
    )?;
    gauge(
        "headworks_state_keys",
        "Keys of the state, each counted in every window",
        state.keys as f64,
    )?;
    if let Some(ms) = state.restore_ms {
        gauge(
            "headworks_state_restore_seconds",
            "How long the state was last read back from its changelog",
            ms as f64 / 1e3,
        )?;
    }
    if let Some(at) = state.watermark_ms {
        gauge(
            "headworks_watermark_timestamp_seconds",
            "The least event time that rows may still have without being late",
            at as f64 / 1e3,
        )?;
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        gauge(
            "headworks_watermark_lag_seconds",
            "How far the watermark is behind the clock",
            now.as_secs_f64() - at as f64 / 1e3,
        )?;
    }
    Ok(())
}

fn partition_lags(report: &Report, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
    let mut lags = encoder.encode_descriptor(
        "headworks_partition_lag_records",
        "Records of a partition not read yet",
        None,
        MetricType::Gauge,
    )?;
    for partition in &report.figures.partitions {
        if let Some(lag) = partition.lag {
            let labels = [
                ("topic", partition.topic.clone()),
                ("partition", partition.partition.to_string()),
            ];
            ConstGauge::new(lag).encode(lags.encode_family(&labels)?)?;
        }
    }
    Ok(())
}

fn problems(report: &Report, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
    let mut problems = encoder.encode_descriptor(
        "headworks_problem",
        "1 for each problem there is",
        None,
        MetricType::Gauge,
    )?;
    for problem in &report.problems {
        let labels = [
            ("reason", problem.reason.to_string()),
            ("fatal", problem.fatal.to_string()),
        ];
        ConstGauge::new(1_i64).encode(problems.encode_family(&labels)?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use headworks_engine::status::Progress;
    use headworks_plan::{KafkaConnection, PartitionFigure, Problem, Reason};

    use super::*;

    fn plan() -> Plan {
        let text = r#"{"version":1,"installation":"x","namespace":"shop","name":"orders-http","kafka":{"bootstrapServers":"k:9092"},
            "role":{"source":{"into":{"name":"orders","topic":"shop.orders","deadLetterTopic":"shop.orders.dlq","maxMessageBytes":1000,
            "contract":{"fields":[{"name":"id","type":"string"}],"format":"Json"}},"http":{"path":"/","bearer":false,"tls":false,"maxBodyBytes":1},"onInvalid":"Reject","unknownFields":"Ignore"}}}"#;
        let plan: Plan = serde_json::from_str(text).unwrap();
        assert_eq!(
            plan.kafka,
            KafkaConnection {
                bootstrap_servers: "k:9092".into(),
                ..KafkaConnection::default()
            }
        );
        plan
    }

    #[test]
    fn state_is_shown_as_metrics_where_there_is_some() {
        let status = StatusHandle::new();
        let registry = registry(&plan(), &status);
        let text = |registry: &Registry| {
            let mut text = String::new();
            prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
            text
        };
        assert!(!text(&registry).contains("headworks_state"));
        let (first, second) = (status.part(), status.part());
        let progress = Progress {
            late: 2,
            repartition_records: 7,
            ..Progress::default()
        };
        first.committed(&progress, 1);
        second.committed(&progress, 1);
        second.set_state(&StateFigures {
            memory_bytes: 10,
            keys: 3,
            restore_ms: Some(1_500),
            watermark_ms: Some(2_000),
            ..StateFigures::default()
        });
        let text = text(&registry);
        let labels =
            r#"headworks_kind="Source",headworks_namespace="shop",headworks_name="orders-http""#;
        for line in [
            format!("headworks_late_rows_total{{{labels}}} 2"),
            format!("headworks_repartition_records_total{{{labels}}} 14"),
            format!("headworks_state_memory_bytes{{{labels}}} 10.0"),
            format!("headworks_state_keys{{{labels}}} 3.0"),
            format!("headworks_state_restore_seconds{{{labels}}} 1.5"),
            format!("headworks_watermark_timestamp_seconds{{{labels}}} 2.0"),
        ] {
            assert!(text.contains(&format!("{line}\n")), "{line}\n\n{text}");
        }
        assert!(text.contains("headworks_watermark_lag_seconds"));
    }

    #[test]
    fn the_figures_are_shown_as_metrics() {
        let status = StatusHandle::new();
        let mut registry = registry(&plan(), &status);
        headworks_connectors::sources::http::Metrics::register(&mut registry);
        status.set_phase(Phase::Running);
        status.committed(
            &Progress {
                records_in: 5,
                records_out: 3,
                dead_letters: 2,
                ..Progress::default()
            },
            1_767_225_600_000,
        );
        status.set_partitions(vec![PartitionFigure {
            topic: "shop.orders".into(),
            partition: 3,
            position: 8,
            lag: Some(9),
        }]);
        status.raise(Problem::new(Reason::KafkaUnavailable, "no broker", false));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let labels =
            r#"headworks_kind="Source",headworks_namespace="shop",headworks_name="orders-http""#;
        for line in [
            format!("headworks_records_in_total{{{labels}}} 5"),
            format!("headworks_records_out_total{{{labels}}} 3"),
            format!("headworks_dead_letters_total{{{labels}}} 2"),
            format!("headworks_lag_records{{{labels}}} 9.0"),
            format!("headworks_ready{{{labels}}} 1.0"),
            format!("headworks_last_commit_timestamp_seconds{{{labels}}} 1767225600.0"),
            format!(
                r#"headworks_partition_lag_records{{{labels},topic="shop.orders",partition="3"}} 9"#
            ),
            format!(r#"headworks_problem{{{labels},reason="KafkaUnavailable",fatal="false"}} 1"#),
            format!(
                r#"headworks_build_info{{{labels},version="{}"}} 1"#,
                env!("CARGO_PKG_VERSION")
            ),
        ] {
            assert!(text.contains(&format!("{line}\n")), "{line}\n\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }
}
