//! Whether enough records pass: the condition `Healthy`. Pure.

use headworks_crds::{
    Condition, QualityCheck, QualityRuleSpec,
    conditions::{HEALTHY, find},
};
use k8s_openapi::jiff::Timestamp;

use super::verdicts::Found;
use crate::{
    admission::listed,
    reason::ConditionReason,
    retry::Error,
    rule_counts::Judged,
    status::{ReconcileOutcome, mark, set},
};

/// Says it by what was judged over the window, and by what monitors found. Where nothing was, it stays as it was; without a threshold and
/// checks of many records there is nothing to say. The words have no figures, which move all the time: those stand beside.
pub fn settle(
    spec: &QualityRuleSpec,
    judged: Option<Judged>,
    found: &Found,
    conditions: &mut Vec<Condition>,
    (generation, now): (Option<i64>, Timestamp),
) {
    let of_sets = !spec.checks.iter().all(QualityCheck::is_of_record);
    if spec.suspend || (spec.threshold.is_none() && !of_sets) {
        return forget(conditions, generation);
    }
    if let Found::Mismatch(checks) = found {
        let message = format!(
            "the stream's contract isn't as {} asks: status.checks says in what",
            listed(checks)
        );
        let mismatch = Error::stalled(ConditionReason::SchemaMismatch, message);
        return broken(&mismatch, conditions, generation, now);
    }
    if let Found::Failed(checks) = found {
        let message = format!(
            "the newest window of records didn't pass {}: status.checks says what was observed",
            listed(checks)
        );
        let failed = Error::stalled(ConditionReason::WindowFailed, message);
        return broken(&failed, conditions, generation, now);
    }
    let Some(threshold) = &spec.threshold else {
        match found {
            Found::Passed => {
                let passed = if spec.checks.iter().any(QualityCheck::is_of_set) {
                    let message = "the newest windows of records passed every check";
                    Ok((ConditionReason::WindowsPass, message))
                } else {
                    let message = "the stream's contract is as every check asks";
                    Ok((ConditionReason::SchemaMatches, message))
                };
                set(conditions, HEALTHY, passed, generation, now);
            }
            // What was said is about checks of each record, which ask for nothing any more.
            _ if !of_windows(conditions) => forget(conditions, generation),
            _ => {}
        }
        return;
    };
    let Some(judged) = judged else {
        // That a window failed isn't so any more, and how records do isn't known.
        if of_windows(conditions) {
            forget(conditions, generation);
        }
        return;
    };
    let window = &spec.window;
    if judged.meets(threshold) {
        let message =
            format!("at least {threshold} per cent of the records of the last {window} passed");
        let enough = Ok((ConditionReason::EnoughPass, message.as_str()));
        set(conditions, HEALTHY, enough, generation, now);
        return;
    }
    let message = format!(
        "fewer than {threshold} per cent of the records of the last {window} passed: status.checks says which checks fail, and where one last did"
    );
    let too_few = Error::stalled(ConditionReason::TooFewPass, message);
    broken(&too_few, conditions, generation, now);
}

fn broken(error: &Error, conditions: &mut Vec<Condition>, generation: Option<i64>, now: Timestamp) {
    let broken = Err::<(ConditionReason, _), _>(error);
    set(conditions, HEALTHY, broken, generation, now);
}

/// True: what is said of health is said of windows, or of the contract.
fn of_windows(conditions: &[Condition]) -> bool {
    let said = find(conditions, HEALTHY);
    said.is_some_and(|said| {
        [
            ConditionReason::WindowFailed,
            ConditionReason::WindowsPass,
            ConditionReason::SchemaMismatch,
            ConditionReason::SchemaMatches,
        ]
        .iter()
        .any(|reason| said.reason == reason.as_str())
    })
}

fn forget(conditions: &mut Vec<Condition>, generation: Option<i64>) {
    mark(
        conditions,
        HEALTHY,
        None::<&(ConditionReason, String)>,
        generation,
    );
}

/// A rule that is wrong isn't applied, and says nothing of health: what it said is about other records than those of now.
pub fn only_while_applied(
    outcome: &Result<ReconcileOutcome, Error>,
    conditions: &mut Vec<Condition>,
) {
    if matches!(outcome, Err(Error::Stalled { .. })) {
        conditions.retain(|condition| condition.type_ != HEALTHY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_that_is_not_applied_says_nothing_of_health() {
        let mut spec = QualityRuleSpec::new("orders", Vec::new());
        spec.threshold = Some("99".into());
        let mut conditions = Vec::new();
        assert!(healthy(&spec, Some((100, 2)), &mut conditions).is_some());
        let applied = Ok(ReconcileOutcome::ready(ConditionReason::Judging, "by all"));
        only_while_applied(&applied, &mut conditions);
        let transient = Err(Error::transient(ConditionReason::Internal, "for a moment"));
        only_while_applied(&transient, &mut conditions);
        assert_eq!(conditions.len(), 1);
        let invalid = Err(Error::stalled(
            ConditionReason::InvalidRule,
            "no such field",
        ));
        only_while_applied(&invalid, &mut conditions);
        assert!(conditions.is_empty());
    }

    fn healthy(
        spec: &QualityRuleSpec,
        judged: Option<(u64, u64)>,
        before: &mut Vec<Condition>,
    ) -> Option<(String, String)> {
        said(spec, judged, &Found::Nothing, before)
    }

    fn said(
        spec: &QualityRuleSpec,
        judged: Option<(u64, u64)>,
        found: &Found,
        before: &mut Vec<Condition>,
    ) -> Option<(String, String)> {
        let judged = judged.map(|(checked, failed)| Judged { checked, failed });
        settle(
            spec,
            judged,
            found,
            before,
            (Some(1), Timestamp::UNIX_EPOCH),
        );
        let found = before.iter().find(|c| c.type_ == HEALTHY)?;
        Some((found.status.clone(), found.reason.clone()))
    }

    #[test]
    fn a_threshold_is_kept_broken_and_kept_again() {
        let mut spec = QualityRuleSpec::new("orders", Vec::new());
        let mut conditions = Vec::new();
        assert_eq!(
            healthy(&spec, Some((10, 10)), &mut conditions),
            None,
            "nothing is asked for"
        );
        spec.threshold = Some("99".into());
        assert_eq!(
            healthy(&spec, None, &mut conditions),
            None,
            "nothing was judged yet"
        );
        let said = |status: &str, reason: &str| Some((status.to_owned(), reason.to_owned()));
        assert_eq!(
            healthy(&spec, Some((100, 1)), &mut conditions),
            said("True", "EnoughPass")
        );
        assert_eq!(
            healthy(&spec, Some((100, 2)), &mut conditions),
            said("False", "TooFewPass")
        );
        assert_eq!(
            healthy(&spec, None, &mut conditions),
            said("False", "TooFewPass"),
            "silence mends nothing"
        );
        assert_eq!(
            healthy(&spec, Some((200, 2)), &mut conditions),
            said("True", "EnoughPass")
        );
        spec.suspend = true;
        assert_eq!(healthy(&spec, Some((100, 2)), &mut conditions), None);
    }

    #[test]
    fn a_window_that_fails_is_unhealthy_whatever_the_records_do() {
        let checks = serde_json::json!([{"rowCount": {"min": 1}}]);
        let mut spec = QualityRuleSpec::new("orders", serde_json::from_value(checks).unwrap());
        let mut conditions = Vec::new();
        let is = |status: &str, reason: &str| Some((status.to_owned(), reason.to_owned()));
        let failed = Found::Failed(vec!["rowCount-1".into()]);
        assert_eq!(said(&spec, None, &Found::Nothing, &mut conditions), None);
        assert_eq!(
            said(&spec, None, &failed, &mut conditions),
            is("False", "WindowFailed")
        );
        assert!(conditions[0].message.contains("rowCount-1"));
        assert_eq!(
            said(&spec, None, &Found::Nothing, &mut conditions),
            is("False", "WindowFailed"),
            "silence mends nothing"
        );
        assert_eq!(
            said(&spec, None, &Found::Passed, &mut conditions),
            is("True", "WindowsPass")
        );
        spec.threshold = Some("99".into());
        assert_eq!(
            said(&spec, Some((100, 2)), &Found::Passed, &mut conditions),
            is("False", "TooFewPass")
        );
        assert_eq!(
            said(&spec, Some((100, 0)), &failed, &mut conditions),
            is("False", "WindowFailed")
        );
        assert_eq!(said(&spec, None, &Found::Passed, &mut conditions), None);
        assert_eq!(
            said(&spec, Some((100, 0)), &Found::Passed, &mut conditions),
            is("True", "EnoughPass")
        );
    }
}
