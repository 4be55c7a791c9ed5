//! Dead letters by reason, as metrics: a family of its own, since a counter that has been without labels stays so.

use std::fmt;

use headworks_plan::Report;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;

/// A counter for each reason that there was.
pub(super) fn encode(
    report: &Report,
    encoder: &mut DescriptorEncoder<'_>,
) -> Result<(), fmt::Error> {
    let mut reasons = encoder.encode_descriptor(
        "headworks_dead_letters_by_reason",
        "Records sent to dead-letter topics, by why they were",
        None,
        MetricType::Counter,
    )?;
    for one in &report.figures.dead_letters_by_reason {
        let labels = [("reason", one.reason.clone())];
        ConstCounter::new(one.count).encode(reasons.encode_family(&labels)?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use headworks_engine::status::{Progress, StatusHandle};
    use headworks_plan::DeadLetterReason;
    use prometheus_client::registry::Registry;

    #[test]
    fn each_reason_is_counted_by_itself() {
        let status = StatusHandle::new();
        let mut progress = Progress::default();
        for reason in [
            DeadLetterReason::Decode,
            DeadLetterReason::Late,
            DeadLetterReason::Decode,
        ] {
            progress.reasons.add(reason, 1, None);
        }
        status.committed(&progress, 1);
        let mut registry = Registry::default();
        registry.register_collector(Box::new(super::super::Figures(status)));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            r#"headworks_dead_letters_by_reason_total{reason="Decode"} 2"#,
            r#"headworks_dead_letters_by_reason_total{reason="Late"} 1"#,
        ] {
            assert!(text.contains(&format!("{line}\n")), "{line}\n\n{text}");
        }
    }
}
