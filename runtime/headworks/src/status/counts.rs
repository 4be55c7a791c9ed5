//! What the stages counted of all that they read, as metrics: the continuous audit.

use std::fmt;

use headworks_plan::StageCounts;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

/// What is counted of a stage.
type Of = fn(&StageCounts) -> Option<u64>;

/// The counts go on over the lives of pods, and move with partitions from one pod to another: so they are gauges, of which the sum
/// over a Pipeline's pods is what was done.
pub(super) fn encode(
    stages: &[StageCounts],
    encoder: &mut DescriptorEncoder<'_>,
) -> Result<(), fmt::Error> {
    let figures: [(&str, &str, Of); 8] = [
        (
            "headworks_audit_read_records",
            "Records read of the pod's partitions since they are counted",
            |stage| Some(stage.read),
        ),
        (
            "headworks_audit_written_records",
            "Records or rows that came of them and were written",
            |stage| Some(stage.written),
        ),
        (
            "headworks_audit_dead_letter_records",
            "Records of them that became dead letters",
            |stage| Some(stage.dead_letters),
        ),
        (
            "headworks_audit_dropped_records",
            "Records of them that went no further",
            |stage| Some(stage.dropped),
        ),
        (
            "headworks_audit_missing_records",
            "Records that were passed over unread, and results that weren't written",
            |stage| Some(stage.missing),
        ),
        (
            "headworks_audit_extra_records",
            "Records that were read again though they had been counted, and results that were written twice",
            |stage| Some(stage.extra),
        ),
        (
            "headworks_audit_table_rows",
            "Rows that the stage's table held when they were last counted",
            |stage| stage.table.as_ref().map(|table| table.rows),
        ),
        (
            "headworks_audit_table_expected_rows",
            "Rows that it should have held then",
            |stage| stage.table.as_ref().map(|table| table.expected),
        ),
    ];
    for (name, help, of) in figures {
        if stages.iter().all(|stage| of(stage).is_none()) {
            continue;
        }
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for stage in stages {
            if let Some(value) = of(stage) {
                let labels = [("stage", stage.stage.clone())];
                ConstGauge::new(value as f64).encode(family.encode_family(&labels)?)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use headworks_engine::status::StatusHandle;
    use headworks_plan::TableCounts;
    use prometheus_client::collector::Collector;
    use prometheus_client::registry::Registry;

    use super::*;

    #[derive(Debug)]
    struct Counts(StatusHandle);

    impl Collector for Counts {
        fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
            encode(&self.0.report().figures.counts, &mut encoder)
        }
    }

    #[test]
    fn the_counts_of_each_stage_are_shown_beside_each_other() {
        let status = StatusHandle::new();
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Counts(status.clone())));
        let text = || {
            let mut text = String::new();
            prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
            text
        };
        assert!(!text().contains("headworks_audit"));
        let (streams, table) = (status.part(), status.part());
        streams.of_stage("streams", "g");
        table.of_stage("table-0", "g.table");
        streams.set_counts(StageCounts {
            read: 7,
            missing: 2,
            ..StageCounts::default()
        });
        table.set_counts(StageCounts {
            read: 5,
            table: Some(TableCounts {
                rows: 4,
                expected: 5,
            }),
            ..StageCounts::default()
        });
        let text = text();
        for line in [
            r#"headworks_audit_read_records{stage="streams"} 7.0"#,
            r#"headworks_audit_read_records{stage="table-0"} 5.0"#,
            r#"headworks_audit_missing_records{stage="streams"} 2.0"#,
            r#"headworks_audit_table_rows{stage="table-0"} 4.0"#,
            r#"headworks_audit_table_expected_rows{stage="table-0"} 5.0"#,
        ] {
            assert!(text.contains(&format!("{line}\n")), "{line}\n\n{text}");
        }
        assert!(!text.contains(r#"table_rows{stage="streams"}"#), "{text}");
    }
}
