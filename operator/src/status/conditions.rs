//! Conditions, by the rules of kstatus: `Ready` always; `Reconciling` and `Stalled` only while they are true.
//!
//! Pure: what was, what happened and the time go in; what is comes out. A condition keeps its
//! `lastTransitionTime` until its status changes.

use std::time::Duration;

use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
    jiff::Timestamp,
};

use crate::reason::{AnyReason, ConditionReason};
use crate::retry::Error;

/// A missing reference is said as such after this long: GitOps applies one commit in any order.
const MISSING_PATIENCE: Duration = Duration::from_secs(600);

/// Longest message of a condition, in bytes (the API allows 32 KiB; people read a screen).
pub const MAX_MESSAGE: usize = 2048;

/// How a reconcile that came to its end left the object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReconcileOutcome {
    /// True: it does what its spec says.
    pub ready: bool,
    /// CamelCase reason.
    pub reason: AnyReason,
    /// What is going on.
    pub message: String,
    /// Look again after this long, although no watch wakes the object.
    pub recheck: Option<Duration>,
    /// Conditions of the kind's own that are true beside Ready.
    pub also: Vec<ExtraCondition>,
}

/// A condition beside Ready, Reconciling and Stalled. It is there only while it is true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtraCondition {
    /// What it is about, such as `TopicOperatorCapacity`.
    pub type_: &'static str,
    /// CamelCase reason.
    pub reason: AnyReason,
    /// What is so, and what to do.
    pub message: String,
}

impl ReconcileOutcome {
    /// It does what its spec says.
    pub fn ready(reason: impl Into<AnyReason>, message: impl Into<String>) -> Self {
        Self {
            ready: true,
            reason: reason.into(),
            message: message.into(),
            recheck: None,
            also: Vec::new(),
        }
    }

    /// On its way; a watch tells when it is there.
    pub fn progressing(reason: impl Into<AnyReason>, message: impl Into<String>) -> Self {
        Self {
            ready: false,
            reason: reason.into(),
            message: message.into(),
            recheck: None,
            also: Vec::new(),
        }
    }

    /// The same verdict with one more condition.
    #[must_use]
    pub fn and(mut self, also: Option<ExtraCondition>) -> Self {
        self.also.extend(also);
        self
    }

    /// The same verdict, looked at again after `delay`.
    #[must_use]
    pub fn recheck(mut self, delay: Duration) -> Self {
        self.recheck = Some(delay);
        self
    }
}

/// The conditions after a reconcile.
pub fn conditions(
    old: &[Condition],
    outcome: &Result<ReconcileOutcome, Error>,
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    let make = |type_: &str, status: &str, reason: &str, message: &str| {
        let since = old
            .iter()
            .find(|c| c.type_ == type_ && c.status == status)
            .map_or(Time(whole_seconds(now)), |c| c.last_transition_time.clone());
        Condition {
            type_: type_.into(),
            status: status.into(),
            reason: reason.into(),
            message: shorten(message),
            observed_generation: generation,
            last_transition_time: since,
        }
    };
    let mut conditions = match outcome {
        Ok(verdict) if verdict.ready => {
            vec![make(
                "Ready",
                "True",
                verdict.reason.as_str(),
                &verdict.message,
            )]
        }
        Ok(verdict) => vec![
            make("Ready", "False", verdict.reason.as_str(), &verdict.message),
            make(
                "Reconciling",
                "True",
                verdict.reason.as_str(),
                &verdict.message,
            ),
        ],
        Err(Error::Stalled {
            reason, message, ..
        }) => {
            vec![
                make("Ready", "False", reason.as_str(), message),
                make("Stalled", "True", reason.as_str(), message),
            ]
        }
        Err(Error::Waiting {
            reason,
            message,
            missing,
            ..
        }) => {
            let reconciling = make("Reconciling", "True", reason.as_str(), message);
            let patient = now
                .duration_since(reconciling.last_transition_time.0)
                .unsigned_abs()
                < MISSING_PATIENCE;
            let said = if *missing && !patient {
                ConditionReason::ReferenceNotFound.as_str()
            } else {
                reason.as_str()
            };
            vec![make("Ready", "False", said, message), reconciling]
        }
        Err(Error::Transient { reason, message }) => {
            vec![
                make("Ready", "False", reason.as_str(), message),
                make("Reconciling", "True", reason.as_str(), message),
            ]
        }
    };
    if let Ok(verdict) = outcome {
        for also in &verdict.also {
            conditions.push(make(
                also.type_,
                "True",
                also.reason.as_str(),
                &also.message,
            ));
        }
    }
    conditions
}

/// When a waiting object's words change by time alone; absent: they don't.
pub fn patience_left(
    conditions: &[Condition],
    outcome: &Result<ReconcileOutcome, Error>,
    now: Timestamp,
) -> Option<Duration> {
    let Err(Error::Waiting { missing: true, .. }) = outcome else {
        return None;
    };
    let since = conditions
        .iter()
        .find(|c| c.type_ == "Reconciling")?
        .last_transition_time
        .0;
    MISSING_PATIENCE
        .checked_sub(now.duration_since(since).unsigned_abs())
        .map(|left| left + Duration::from_secs(1))
}

/// True if the list says Ready=True.
pub fn is_ready(conditions: &[Condition]) -> bool {
    conditions
        .iter()
        .any(|c| c.type_ == "Ready" && c.status == "True")
}

/// Conditions are written with whole seconds, so that what we compare is what was stored.
pub(super) fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

pub(super) fn shorten(message: &str) -> String {
    if message.len() <= MAX_MESSAGE {
        return message.to_owned();
    }
    let mut end = MAX_MESSAGE;
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    format!("{} …", &message[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn find<'a>(list: &'a [Condition], type_: &str) -> Option<&'a Condition> {
        list.iter().find(|c| c.type_ == type_)
    }

    #[test]
    fn a_ready_object_has_no_other_condition() {
        let list = conditions(
            &[],
            &Ok(ReconcileOutcome::ready(
                ConditionReason::Running,
                "2 of 2 pods",
            )),
            Some(3),
            at(10),
        );
        assert_eq!(list.len(), 1);
        assert!(is_ready(&list));
        assert_eq!(list[0].observed_generation, Some(3));
    }

    #[test]
    fn the_transition_time_stays_until_the_status_changes() {
        let first = conditions(
            &[],
            &Ok(ReconcileOutcome::ready(ConditionReason::Running, "a")),
            Some(1),
            at(10),
        );
        let second = conditions(
            &first,
            &Ok(ReconcileOutcome::ready(ConditionReason::Running, "b")),
            Some(2),
            at(99),
        );
        assert_eq!(second[0].last_transition_time.0, at(10));
        assert_eq!(second[0].message, "b");
        let third = conditions(
            &second,
            &Err(Error::stalled(ConditionReason::InvalidSql, "line 1")),
            Some(3),
            at(100),
        );
        assert_eq!(
            find(&third, "Ready").unwrap().last_transition_time.0,
            at(100)
        );
    }

    #[test]
    fn the_user_must_act_is_said_as_stalled_and_heals_to_ready_alone() {
        let stalled = conditions(
            &[],
            &Err(Error::stalled(ConditionReason::InvalidSql, "line 1")),
            Some(1),
            at(1),
        );
        assert_eq!(find(&stalled, "Stalled").unwrap().status, "True");
        assert!(find(&stalled, "Reconciling").is_none());
        let healed = conditions(
            &stalled,
            &Ok(ReconcileOutcome::ready(ConditionReason::Running, "")),
            Some(2),
            at(2),
        );
        assert!(find(&healed, "Stalled").is_none());
    }

    #[test]
    fn a_missing_reference_is_waited_for_ten_minutes_and_then_said() {
        let missing = Err(Error::missing(
            ConditionReason::StreamNotFound,
            "DataStream shop/orders doesn't exist",
        ));
        let first = conditions(&[], &missing, Some(1), at(0));
        assert_eq!(find(&first, "Ready").unwrap().reason, "StreamNotFound");
        assert_eq!(find(&first, "Reconciling").unwrap().status, "True");
        assert_eq!(
            patience_left(&first, &missing, at(100)),
            Some(Duration::from_secs(501))
        );
        let later = conditions(&first, &missing, Some(1), at(601));
        assert_eq!(find(&later, "Ready").unwrap().reason, "ReferenceNotFound");
        assert!(find(&later, "Stalled").is_none());
        assert_eq!(patience_left(&later, &missing, at(601)), None);
    }

    #[test]
    fn a_condition_of_the_kind_s_own_is_there_while_it_is_true() {
        let also = ExtraCondition {
            type_: "TopicOperatorCapacity",
            reason: ConditionReason::QueueNearlyFull.into(),
            message: "m".into(),
        };
        let with = Ok(ReconcileOutcome::ready(ConditionReason::Connected, "").and(Some(also)));
        let list = conditions(&[], &with, Some(1), at(1));
        assert_eq!(find(&list, "TopicOperatorCapacity").unwrap().status, "True");
        assert!(is_ready(&list));
        let without = conditions(
            &list,
            &Ok(ReconcileOutcome::ready(ConditionReason::Connected, "").and(None)),
            Some(1),
            at(2),
        );
        assert!(find(&without, "TopicOperatorCapacity").is_none());
    }

    #[test]
    fn a_very_long_message_is_cut_between_characters() {
        let list = conditions(
            &[],
            &Err(Error::stalled(AnyReason::read("X"), "é".repeat(5000))),
            None,
            at(0),
        );
        assert!(list[0].message.len() < 2060);
    }
}
