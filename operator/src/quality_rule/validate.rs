//! Whether a rule is right by its stream's contract, and whether all who judge have taken it up. Pure.

use headworks_crds::{QualityRule, fault_text};
use kube::ResourceExt;

use super::dereference::Judge;
use crate::{
    admission::listed, planning::rules::StreamRules, reason::ConditionReason, retry::Error,
    status::ReconcileOutcome,
};

/// How it stands with a rule.
///
/// # Errors
/// `InvalidRule`, with each fault and its place: then nothing is judged by it.
pub fn outcome(
    rule: &QualityRule,
    found: &StreamRules,
    judges: &[Judge],
) -> Result<ReconcileOutcome, Error> {
    let (name, stream) = (rule.name_any(), &rule.spec.stream);
    if let Some(faults) = found.faults.get(&name) {
        let text = fault_text(faults).unwrap_or_default();
        return Err(Error::stalled(
            ConditionReason::InvalidRule,
            format!("{text} (nothing is judged by this rule until that is right)"),
        ));
    }
    let of_records = rule
        .spec
        .checks
        .iter()
        .any(headworks_crds::QualityCheck::is_of_record);
    if !of_records && !rule.spec.suspend {
        let of_sets = rule
            .spec
            .checks
            .iter()
            .any(headworks_crds::QualityCheck::is_of_set);
        let message = if of_sets {
            "windows are judged by the rule's monitors"
        } else {
            "the contract in force is compared with the rule"
        };
        return Ok(ReconcileOutcome::ready(ConditionReason::Judging, message));
    }
    let titles = |judges: Vec<&Judge>| {
        let all: Vec<String> = judges
            .into_iter()
            .map(|j| format!("{} {}", j.key.kind, j.key.name))
            .collect();
        listed(&all)
    };
    if rule.spec.suspend {
        let still: Vec<&Judge> = judges
            .iter()
            .filter(|j| !j.is_free_of(stream, &name))
            .collect();
        if still.is_empty() {
            let message = "spec.suspend is true: nothing is judged by this rule";
            return Ok(ReconcileOutcome::ready(ConditionReason::Suspended, message));
        }
        let message = format!(
            "pods of {} go on without this rule in a moment",
            titles(still)
        );
        return Ok(ReconcileOutcome::progressing(
            ConditionReason::RuleRollingOut,
            message,
        ));
    }
    if judges.is_empty() {
        return Ok(ReconcileOutcome::ready(
            ConditionReason::NobodyJudges,
            format!(
                "no Source writes DataStream {stream} and no Pipeline reads it: its records are judged once one does"
            ),
        ));
    }
    let generation = rule.metadata.generation.unwrap_or_default();
    let late: Vec<&Judge> = judges
        .iter()
        .filter(|j| !j.is_of(stream, &name, generation))
        .collect();
    if late.is_empty() {
        let message = format!("{} judge by it", titles(judges.iter().collect()));
        return Ok(ReconcileOutcome::ready(ConditionReason::Judging, message));
    }
    let message = format!("pods of {} are to take this version up", titles(late));
    Ok(ReconcileOutcome::progressing(
        ConditionReason::RuleRollingOut,
        message,
    ))
}

#[cfg(test)]
mod tests {
    use headworks_crds::SpecFault;
    use headworks_plan::RuleFigures;
    use serde_json::json;

    use super::*;
    use crate::names::Key;

    fn rule(suspend: bool) -> QualityRule {
        serde_json::from_value(json!({"metadata": {"name": "sane", "namespace": "shop", "generation": 3},
            "spec": {"stream": "orders", "suspend": suspend, "checks": [{"notNull": {"field": "id"}}]}}))
        .unwrap()
    }

    fn judge(kind: &str, generations: &[Option<i64>]) -> Judge {
        let pods = generations.iter().enumerate().map(|(pod, generation)| {
            let said = generation.map(|generation| RuleFigures {
                stream: "orders".into(),
                name: "sane".into(),
                generation,
                ..RuleFigures::default()
            });
            (format!("pod-{pod}"), said.into_iter().collect())
        });
        Judge {
            key: Key::new(kind, "shop", "x"),
            pods: pods.collect(),
            silent: false,
        }
    }

    fn said(suspend: bool, judges: &[Judge]) -> (bool, String, String) {
        let outcome = outcome(&rule(suspend), &StreamRules::default(), judges).unwrap();
        (outcome.ready, outcome.reason.to_string(), outcome.message)
    }

    #[test]
    fn a_rule_is_ready_once_every_pod_judges_by_this_version() {
        assert_eq!(said(false, &[]).1, "NobodyJudges");
        let (ready, reason, message) = said(
            false,
            &[
                judge("Source", &[Some(3)]),
                judge("Pipeline", &[Some(3), Some(2)]),
            ],
        );
        assert_eq!((ready, reason.as_str()), (false, "RuleRollingOut"));
        assert_eq!(message, "pods of Pipeline x are to take this version up");
        assert!(
            !said(false, &[judge("Source", &[None])]).0,
            "a pod without the rule"
        );
        let (ready, reason, message) = said(
            false,
            &[judge("Source", &[Some(3)]), judge("Pipeline", &[])],
        );
        assert_eq!(
            (ready, reason.as_str()),
            (true, "Judging"),
            "no pod, nothing to wait for"
        );
        assert_eq!(message, "Source x, Pipeline x judge by it");
    }

    #[test]
    fn a_suspended_rule_is_ready_once_no_pod_judges_by_it() {
        assert_eq!(
            said(true, &[judge("Source", &[Some(3)])]).1,
            "RuleRollingOut"
        );
        assert_eq!(said(true, &[judge("Source", &[None])]).1, "Suspended");
    }

    #[test]
    fn a_rule_with_faults_says_that_nothing_is_judged() {
        let faults = vec![SpecFault::at("checks[0].notNull.field", "unknown")];
        let found = StreamRules {
            faults: [("sane".to_owned(), faults)].into(),
            ..StreamRules::default()
        };
        let error = outcome(&rule(false), &found, &[]).unwrap_err();
        assert_eq!(error.reason(), "InvalidRule");
        assert_eq!(
            error.message(),
            "spec.checks[0].notNull.field: unknown (nothing is judged by this rule until that is right)"
        );
    }
}
