//! How far a Replay is, in words. Pure.

use std::fmt::Write;

use headworks_crds::{ReplayPhase, ReplaySpec, ReplayStatus, WorkloadStatus, conditions::COMPLETE};

use crate::{
    reason::ConditionReason,
    retry::Error,
    status::{ExtraCondition, ReconcileOutcome},
};

/// True: all of it is done, and no pod is to run any more.
pub fn is_complete(status: &ReplayStatus) -> bool {
    status.completion_time.is_some()
}

/// True: what a Replay was resolved to lets no pod run, not even an earlier one, until a person has acted.
pub fn stops(error: &Error) -> bool {
    matches!(error, Error::Stalled { .. }) || error.is(ConditionReason::ApprovalMissing)
}

/// The phase after a reconcile.
pub fn phase(
    spec: &ReplaySpec,
    status: &ReplayStatus,
    result: &Result<ReconcileOutcome, Error>,
) -> ReplayPhase {
    match result {
        _ if is_complete(status) => ReplayPhase::Complete,
        Err(error) if error.is(ConditionReason::ApprovalMissing) => ReplayPhase::WaitingForApproval,
        Err(Error::Stalled { .. }) => ReplayPhase::Failed,
        _ if spec.suspend => ReplayPhase::Suspended,
        Ok(_) => ReplayPhase::Running,
        Err(_) if status.of.is_some() => ReplayPhase::Running,
        Err(_) => ReplayPhase::Pending,
    }
}

/// No pod is left, or is to be.
pub fn without_pods(status: &mut WorkloadStatus) {
    status.replicas = Some(0);
    status.ready_replicas = Some(0);
}

/// What is said of one that is done. One that selected nothing says by what: a misspelt name selects nothing, too.
pub fn complete(spec: &ReplaySpec, status: &ReplayStatus) -> ReconcileOutcome {
    let count = |number: Option<i64>| number.unwrap_or_default();
    let mut message = if count(status.selected) > 0 {
        format!(
            "{} of {} selected records are replayed",
            count(status.replayed),
            count(status.selected)
        )
    } else {
        nothing_selected(spec)
    };
    if count(status.refused) > 0 {
        let _ = write!(
            message,
            "; {} became dead letters again (their header headworks.error says why): another Replay takes them",
            count(status.refused)
        );
    }
    if count(status.truncated) > 0 {
        let _ = write!(
            message,
            "; {} stay dead letters, because their end was cut off (header headworks.truncated): the whole record is at its origin, which their headers name",
            count(status.truncated)
        );
    }
    ReconcileOutcome::ready(ConditionReason::Complete, message.clone()).and(Some(ExtraCondition {
        type_: COMPLETE,
        reason: ConditionReason::Complete.into(),
        message,
    }))
}

/// Nothing was there, or nothing that the filters take.
fn nothing_selected(spec: &ReplaySpec) -> String {
    let what = if spec.from.dead_letter_of.is_some() {
        "dead letter"
    } else {
        "record"
    };
    let filters = spec.from.filters();
    let mut message = format!("nothing is replayed: {} had no {what}", spec.source());
    if !filters.is_empty() {
        let by = filters.join("; ");
        let _ = write!(
            message,
            " with {by}. If that isn't what you meant, create another Replay with other filters (headworks replay plan -f shows what it would select)"
        );
    }
    message
}

#[cfg(test)]
mod tests {
    use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
    use serde_json::json;

    use super::*;

    #[test]
    fn the_phase_is_what_a_person_would_call_it() {
        let spec = |suspend: bool| -> ReplaySpec {
            serde_json::from_value(json!({"from": {"deadLetterOf": "orders"}, "suspend": suspend}))
                .unwrap()
        };
        let begun = ReplayStatus {
            of: Some(7),
            ..ReplayStatus::default()
        };
        let done = ReplayStatus {
            completion_time: Some(Time(Timestamp::UNIX_EPOCH)),
            ..begun.clone()
        };
        let new = ReplayStatus::default();
        let well = || Ok(ReconcileOutcome::ready(ConditionReason::Running, ""));
        let waits = |reason| Err(Error::waiting(reason, ""));
        let stalled = || Err(Error::stalled(ConditionReason::InvalidSql, ""));
        let of = |suspend, status, result| phase(&spec(suspend), status, &result);
        assert_eq!(of(false, &done, stalled()), ReplayPhase::Complete);
        assert_eq!(of(false, &begun, well()), ReplayPhase::Running);
        assert_eq!(of(true, &begun, well()), ReplayPhase::Suspended);
        assert_eq!(of(true, &begun, stalled()), ReplayPhase::Failed);
        let missing = || waits(ConditionReason::StreamNotFound);
        assert_eq!(of(false, &new, missing()), ReplayPhase::Pending);
        assert_eq!(of(false, &begun, missing()), ReplayPhase::Running);
        let unapproved = waits(ConditionReason::ApprovalMissing);
        assert_eq!(of(false, &new, unapproved), ReplayPhase::WaitingForApproval);
    }

    #[test]
    fn what_a_person_must_mend_stops_the_pod_and_what_passes_does_not() {
        for reason in [
            ConditionReason::OutputMismatch,
            ConditionReason::InvalidSql,
            ConditionReason::PlatformMismatch,
        ] {
            assert!(stops(&Error::stalled(reason, "")));
        }
        assert!(stops(&Error::waiting(ConditionReason::ApprovalMissing, "")));
        assert!(!stops(&Error::missing(ConditionReason::StreamNotFound, "")));
        assert!(!stops(&Error::transient(
            ConditionReason::KubernetesUnavailable,
            ""
        )));
    }

    #[test]
    fn what_stays_behind_is_told_with_where_it_is() {
        let status = ReplayStatus {
            selected: Some(10),
            replayed: Some(8),
            refused: Some(2),
            truncated: Some(1),
            ..ReplayStatus::default()
        };
        let spec = |from| -> ReplaySpec { serde_json::from_value(json!({"from": from})).unwrap() };
        let outcome = complete(&spec(json!({"deadLetterOf": "orders"})), &status);
        assert!(outcome.ready && outcome.also.len() == 1);
        assert!(
            outcome
                .message
                .starts_with("8 of 10 selected records are replayed; 2 became dead letters again")
        );
        assert!(outcome.message.contains("1 stay dead letters"));
        let none = |from| complete(&spec(from), &ReplayStatus::default()).message;
        assert_eq!(
            none(json!({"deadLetterOf": "orders"})),
            "nothing is replayed: orders had no dead letter"
        );
        let by = none(
            json!({"deadLetterOf": "orders", "reasons": ["Quality", "Late"], "rules": ["ordrs-sane"], "where": "amount > 0"}),
        );
        assert!(
            by.starts_with("nothing is replayed: orders had no dead letter with reasons: Quality, Late; rules: ordrs-sane; where: amount > 0. If"),
            "{by}"
        );
    }
}
