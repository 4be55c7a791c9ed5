//! Conditions of a kind's own, which a reconcile sets itself, whatever it comes to. Pure, but for the clock of [`mark`].

use headworks_crds::conditions::{
    BALANCED, CRD_VERSION_MISMATCH, HEALTHY, INPUTS_HEALTHY, INSECURE, SCHEMA_REGISTRY_READY,
};
use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
    jiff::Timestamp,
};

use super::conditions::{shorten, whole_seconds};
use crate::reason::AnyReason;
use crate::retry::Error;

/// The conditions that a reconcile sets itself ([`set`], [`mark`]), whatever it comes to; they stay as it left them.
pub fn own(list: &[Condition]) -> impl Iterator<Item = &Condition> {
    const OWN: [&str; 6] = [
        BALANCED,
        CRD_VERSION_MISMATCH,
        HEALTHY,
        INPUTS_HEALTHY,
        INSECURE,
        SCHEMA_REGISTRY_READY,
    ];
    list.iter().filter(|c| OWN.contains(&c.type_.as_str()))
}

/// Sets a condition that is there only while it is true: `what` is a reason and a message.
pub fn mark(
    list: &mut Vec<Condition>,
    type_: &str,
    what: Option<&(impl Into<AnyReason> + Clone, String)>,
    generation: Option<i64>,
) {
    match what {
        Some((reason, message)) => {
            let what = Ok((reason.clone(), message.as_str()));
            set(list, type_, what, generation, Timestamp::now());
        }
        None => list.retain(|c| c.type_ != type_),
    }
}

/// Sets a condition of a kind's own: `outcome` is a reason and a message, good or bad.
pub fn set(
    list: &mut Vec<Condition>,
    type_: &str,
    outcome: Result<(impl Into<AnyReason>, &str), &Error>,
    generation: Option<i64>,
    now: Timestamp,
) {
    let (status, reason, message) = match outcome {
        Ok((reason, message)) => ("True", reason.into().to_string(), message),
        Err(error) => ("False", error.reason().to_owned(), error.message()),
    };
    put(list, (type_, status), (reason, message), generation, now);
}

/// Sets a condition of which nothing is known yet: `why` is a reason and a message.
pub fn unknown(
    list: &mut Vec<Condition>,
    type_: &str,
    (reason, message): (impl Into<AnyReason>, &str),
    generation: Option<i64>,
    now: Timestamp,
) {
    let why = (reason.into().to_string(), message);
    put(list, (type_, "Unknown"), why, generation, now);
}

fn put(
    list: &mut Vec<Condition>,
    (type_, status): (&str, &str),
    (reason, message): (String, &str),
    generation: Option<i64>,
    now: Timestamp,
) {
    let since = list
        .iter()
        .find(|c| c.type_ == type_ && c.status == status)
        .map_or(Time(whole_seconds(now)), |c| c.last_transition_time.clone());
    list.retain(|c| c.type_ != type_);
    list.push(Condition {
        type_: type_.into(),
        status: status.into(),
        reason,
        message: shorten(message),
        observed_generation: generation,
        last_transition_time: since,
    });
}

#[cfg(test)]
mod tests {
    use headworks_crds::conditions::find;

    use super::super::{ReconcileOutcome, conditions, is_ready};
    use super::*;
    use crate::reason::ConditionReason;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_kind_s_own_condition_keeps_its_time_while_its_status_stays() {
        let mut list = conditions(
            &[],
            &Ok(ReconcileOutcome::ready(ConditionReason::Connected, "")),
            Some(1),
            at(1),
        );
        assert_eq!(own(&list).count(), 0);
        set(
            &mut list,
            SCHEMA_REGISTRY_READY,
            Ok((ConditionReason::Answers, "a")),
            Some(1),
            at(2),
        );
        set(
            &mut list,
            SCHEMA_REGISTRY_READY,
            Ok((ConditionReason::Answers, "b")),
            Some(1),
            at(3),
        );
        let said: Vec<_> = own(&list).collect();
        assert_eq!(said.len(), 1);
        assert_eq!(
            (said[0].message.as_str(), said[0].last_transition_time.0),
            ("b", at(2))
        );
        let error = Error::waiting(AnyReason::read("Silent"), "c");
        set(
            &mut list,
            SCHEMA_REGISTRY_READY,
            Err::<(AnyReason, _), _>(&error),
            Some(1),
            at(4),
        );
        let said = find(&list, SCHEMA_REGISTRY_READY).unwrap();
        assert_eq!(
            (said.status.as_str(), said.reason.as_str()),
            ("False", "Silent")
        );
        assert_eq!(said.last_transition_time.0, at(4));
        assert!(is_ready(&list));
        let nobody = (ConditionReason::NotCounted, "d");
        unknown(&mut list, BALANCED, nobody, Some(1), at(5));
        let said = find(&list, BALANCED).unwrap();
        assert_eq!(
            (said.status.as_str(), said.reason.as_str()),
            ("Unknown", "NotCounted")
        );
        assert_eq!(own(&list).count(), 2);
    }
}
