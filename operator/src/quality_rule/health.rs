//! Whether enough records pass: the condition `Healthy`. Pure.

use headworks_crds::{Condition, QualityRuleSpec, conditions::HEALTHY};
use k8s_openapi::jiff::Timestamp;

use crate::{
    reason::ConditionReason,
    retry::Error,
    rule_counts::Judged,
    status::{ReconcileOutcome, mark, set},
};

/// Says it by what was judged over the window. Where nothing was, it stays as it was; without a threshold there is nothing to say. The
/// words have no figures, which move all the time: those stand beside.
pub fn settle(
    spec: &QualityRuleSpec,
    judged: Option<Judged>,
    conditions: &mut Vec<Condition>,
    generation: Option<i64>,
    now: Timestamp,
) {
    let (Some(threshold), false) = (&spec.threshold, spec.suspend) else {
        mark(
            conditions,
            HEALTHY,
            None::<&(ConditionReason, String)>,
            generation,
        );
        return;
    };
    let Some(judged) = judged else { return };
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
    set(
        conditions,
        HEALTHY,
        Err::<(ConditionReason, _), _>(&too_few),
        generation,
        now,
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
        let judged = judged.map(|(checked, failed)| Judged { checked, failed });
        settle(spec, judged, before, Some(1), Timestamp::UNIX_EPOCH);
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
}
