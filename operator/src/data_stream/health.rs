//! Whether a stream is healthy: the condition `Healthy`, by the QualityRules of the stream. Absent where none has a threshold.

use headworks_crds::{
    Condition, DataStream, DataStreamStatus, QualityRule,
    conditions::{HEALTHY, STALLED, find},
};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

use crate::{
    admission::listed,
    context::Context,
    names::Key,
    reason::ConditionReason,
    retry::Error,
    status::{mark, set},
};

/// Says it, by what the rules' statuses say.
pub fn settle(stream: &DataStream, key: &Key, status: &mut DataStreamStatus, context: &Context) {
    let all = context.stores.quality_rules.state();
    let rules = all
        .iter()
        .filter_map(|guarded| guarded.0.as_ref().ok())
        .filter(|rule| rule.metadata.namespace.as_deref() == Some(key.namespace.as_str()))
        .filter(|rule| rule.spec.stream == key.name);
    let said = rules.filter_map(said).collect();
    let generation = stream.metadata.generation;
    say(said, &mut status.conditions, generation, Timestamp::now());
}

/// How a rule says that the stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Said {
    Healthy,
    TooFewPass,
    WindowFailed,
    SchemaMismatch,
}

/// What a rule says of the stream, with its name. One that isn't applied says nothing.
fn said(rule: &QualityRule) -> Option<(String, Said)> {
    if rule.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let conditions = &rule.status.as_ref()?.conditions;
    if find(conditions, STALLED).is_some() {
        return None;
    }
    let healthy = find(conditions, HEALTHY)?;
    let said = if healthy.status == "True" {
        Said::Healthy
    } else if healthy.reason == ConditionReason::WindowFailed.as_str() {
        Said::WindowFailed
    } else if healthy.reason == ConditionReason::SchemaMismatch.as_str() {
        Said::SchemaMismatch
    } else {
        Said::TooFewPass
    };
    Some((rule.name_any(), said))
}

fn say(
    mut rules: Vec<(String, Said)>,
    conditions: &mut Vec<Condition>,
    generation: Option<i64>,
    now: Timestamp,
) {
    rules.sort();
    let of = |said: Said| -> Vec<String> {
        let rules = rules.iter().filter(|rule| rule.1 == said);
        rules.map(|(name, _)| name.clone()).collect()
    };
    let (few, windows, schema, kept) = (
        of(Said::TooFewPass),
        of(Said::WindowFailed),
        of(Said::SchemaMismatch),
        of(Said::Healthy),
    );
    if !few.is_empty() || !windows.is_empty() || !schema.is_empty() {
        let mut parts = Vec::with_capacity(3);
        if !few.is_empty() {
            parts.push(format!(
                "fewer records pass than QualityRule {} asks for",
                listed(&few)
            ));
        }
        if !windows.is_empty() {
            parts.push(format!(
                "the newest window of records doesn't pass QualityRule {}",
                listed(&windows)
            ));
        }
        if !schema.is_empty() {
            parts.push(format!(
                "the contract isn't as QualityRule {} asks",
                listed(&schema)
            ));
        }
        let message = format!(
            "{}: kubectl describe qualityrule says which checks fail",
            parts.join("; ")
        );
        let reason = if !few.is_empty() {
            ConditionReason::TooFewPass
        } else if !windows.is_empty() {
            ConditionReason::WindowFailed
        } else {
            ConditionReason::SchemaMismatch
        };
        let error = Error::stalled(reason, message);
        let broken = Err::<(ConditionReason, _), _>(&error);
        set(conditions, HEALTHY, broken, generation, now);
    } else if kept.is_empty() {
        mark(
            conditions,
            HEALTHY,
            None::<&(ConditionReason, String)>,
            generation,
        );
    } else {
        let message = format!(
            "as many records pass as QualityRule {} asks for",
            listed(&kept)
        );
        let kept = Ok((ConditionReason::EnoughPass, message.as_str()));
        set(conditions, HEALTHY, kept, generation, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_that_is_not_applied_says_nothing_of_the_stream() {
        let rule = |stalled: bool| -> QualityRule {
            let condition = |type_: &str, status: &str| {
                serde_json::json!({"type": type_, "status": status, "reason": "TooFewPass", "message": "",
                    "lastTransitionTime": "2026-01-01T00:00:00Z"})
            };
            let mut conditions = vec![condition("Healthy", "False")];
            if stalled {
                conditions.push(condition("Stalled", "True"));
            }
            serde_json::from_value(serde_json::json!({"metadata": {"name": "sane"},
                "spec": {"stream": "orders", "checks": []}, "status": {"conditions": conditions}}))
            .unwrap()
        };
        assert_eq!(said(&rule(false)), Some(("sane".into(), Said::TooFewPass)));
        assert_eq!(said(&rule(true)), None);
    }

    #[test]
    fn a_stream_is_healthy_if_all_its_rules_say_so() {
        let mut conditions = Vec::new();
        let mut ask = |rules: &[(&str, Said)]| {
            let rules = rules.iter().map(|(name, said)| ((*name).to_owned(), *said));
            say(
                rules.collect(),
                &mut conditions,
                Some(1),
                Timestamp::UNIX_EPOCH,
            );
            let found = find(&conditions, HEALTHY)?;
            Some((found.status.clone(), found.message.clone()))
        };
        assert_eq!(ask(&[]), None);
        assert_eq!(
            ask(&[("b", Said::Healthy), ("a", Said::Healthy)]).unwrap(),
            (
                "True".into(),
                "as many records pass as QualityRule a, b asks for".into()
            )
        );
        let (status, message) = ask(&[("b", Said::TooFewPass), ("a", Said::Healthy)]).unwrap();
        assert_eq!(status, "False");
        assert!(
            message.starts_with("fewer records pass than QualityRule b asks for"),
            "{message}"
        );
        let (status, message) = ask(&[("b", Said::WindowFailed), ("a", Said::Healthy)]).unwrap();
        assert_eq!(status, "False");
        assert_eq!(
            message,
            "the newest window of records doesn't pass QualityRule b: kubectl describe qualityrule says which checks fail"
        );
        assert_eq!(ask(&[]), None);
    }
}
