//! What quality rules counted, as metrics.

use std::fmt;

use headworks_plan::RuleFigures;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;

/// What is counted of a rule.
type Of = fn(&RuleFigures) -> u64;

/// So many checks are told with the place of their last failure: a report of more would be longer than the operator reads.
const PLACED: usize = 1_024;

/// Leaves out of a report what says nothing: a check that isn't there has failed for nobody. (Metrics have all of them.)
pub(super) fn shorten(rules: &mut [RuleFigures]) {
    for rule in rules.iter_mut() {
        rule.checks
            .retain(|check| check.failed > 0 || check.last_failure_ms.is_some());
    }
    let checks = rules.iter_mut().flat_map(|rule| &mut rule.checks);
    for check in checks.skip(PLACED) {
        check.last_failure_place = None;
    }
}

/// What quality rules counted. A rule's version is no label: a series goes on over its changes.
pub(super) fn encode(
    rules: &[RuleFigures],
    encoder: &mut DescriptorEncoder<'_>,
) -> Result<(), fmt::Error> {
    if rules.is_empty() {
        return Ok(());
    }
    let counts: [(&str, &str, Of); 2] = [
        (
            "headworks_rule_checked_rows",
            "Rows that a quality rule judged",
            |rule| rule.checked,
        ),
        (
            "headworks_rule_failed_rows",
            "Rows that failed at least one check of a quality rule",
            |rule| rule.failed,
        ),
    ];
    for (name, help, of) in counts {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for rule in rules {
            let labels = [("stream", rule.stream.clone()), ("rule", rule.name.clone())];
            ConstCounter::new(of(rule)).encode(family.encode_family(&labels)?)?;
        }
    }
    let mut checks = encoder.encode_descriptor(
        "headworks_check_failed_rows",
        "Rows that failed a check of a quality rule",
        None,
        MetricType::Counter,
    )?;
    for rule in rules {
        for check in &rule.checks {
            let labels = [
                ("stream", rule.stream.clone()),
                ("rule", rule.name.clone()),
                ("check", check.name.clone()),
            ];
            ConstCounter::new(check.failed).encode(checks.encode_family(&labels)?)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use headworks_engine::status::StatusHandle;
    use headworks_plan::CheckFigures;
    use prometheus_client::registry::Registry;

    use super::*;

    /// What the operator reads of a report.
    const LONGEST: usize = 2 << 20;

    #[test]
    fn a_report_of_all_rules_that_two_streams_may_have_is_read_by_the_operator() {
        let check = |failed: u64| headworks_plan::CheckFigures {
            name: "n".repeat(253),
            failed,
            last_failure_ms: (failed > 0).then_some(1_767_225_600_000),
            last_failure_place: (failed > 0).then(|| "p".repeat(280)),
        };
        let rule = |failed| RuleFigures {
            stream: "s".repeat(63),
            name: "r".repeat(253),
            checks: vec![check(failed); 64],
            ..RuleFigures::default()
        };
        let mut report = headworks_plan::Report::default();
        report.figures.rules = vec![rule(u64::MAX); 2 * 32];
        shorten(&mut report.figures.rules);
        let text = serde_json::to_vec(&report).unwrap();
        assert!(text.len() < LONGEST, "{}", text.len());
        let mut quiet = vec![rule(0); 32];
        shorten(&mut quiet);
        assert!(quiet.iter().all(|rule| rule.checks.is_empty()));
    }

    #[test]
    fn what_rules_counted_is_shown_as_metrics() {
        let status = StatusHandle::new();
        let mut registry = Registry::default();
        registry.register_collector(Box::new(super::super::Figures(status.clone())));
        let text = || {
            let mut text = String::new();
            prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
            text
        };
        assert!(!text().contains("headworks_rule"));
        let check = |name: &str, failed| CheckFigures {
            name: name.into(),
            failed,
            ..CheckFigures::default()
        };
        status.judges_by(&[RuleFigures {
            stream: "orders".into(),
            name: "sane".into(),
            generation: 2,
            checked: 10,
            failed: 3,
            stopped: Some(3),
            checks: vec![check("positive", 2), check("known", 1)],
        }]);
        let of = r#"stream="orders",rule="sane""#;
        let text = text();
        for line in [
            format!("headworks_rule_checked_rows_total{{{of}}} 10"),
            format!("headworks_rule_failed_rows_total{{{of}}} 3"),
            format!(r#"headworks_check_failed_rows_total{{{of},check="positive"}} 2"#),
            format!(r#"headworks_check_failed_rows_total{{{of},check="known"}} 1"#),
        ] {
            assert!(text.contains(&format!("{line}\n")), "{line}\n\n{text}");
        }
    }
}
