//! The figures of a rule in its status: counts in steps, so that a busy stream doesn't write it all the time, and an idle one never.
//! Pure.

use std::collections::{BTreeMap, BTreeSet};

use headworks_crds::{CheckStatus, QualityRuleSpec, QualityRuleStatus};
use headworks_plan::RuleAction;
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};

use super::dereference::LastFailure;
use crate::{
    planning::rules::action,
    reports::shown,
    rule_counts::{Judged, Tally},
};

/// How often figures are written that move all the time, and the least step of a last failure, in milliseconds.
const STEP_MS: i64 = 60_000;
/// Up to so many failures each is shown at once.
const EXACT: i64 = 1_000;
/// Longest place that is shown, in characters.
const PLACE: usize = 320;

/// The names of a rule's checks of each record.
pub fn names(spec: &QualityRuleSpec) -> BTreeSet<String> {
    let checks = spec.checks.iter().enumerate();
    let of_records = checks.filter(|(_, check)| check.is_of_record());
    of_records
        .map(|(index, check)| check.called(index))
        .collect()
}

/// True: a record that fails the check of that name goes no further.
pub fn refuses(spec: &QualityRuleSpec, name: &str) -> bool {
    let mut checks = spec.checks.iter().enumerate();
    let check = checks.find(|(index, check)| check.called(*index) == name);
    check.is_some_and(|(_, check)| action(spec.on_error, check.severity) != RuleAction::Alert)
}

/// Puts the figures into a status, as they would be shown.
pub fn show(
    status: &mut QualityRuleStatus,
    spec: &QualityRuleSpec,
    total: &Tally,
    last: &BTreeMap<String, LastFailure>,
) {
    let whole = |count: u64| i64::try_from(shown(count)).unwrap_or(i64::MAX);
    status.checked = Some(whole(total.checked));
    status.failed = Some(whole(total.failed));
    status.pass = Judged {
        checked: total.checked,
        failed: total.failed,
    }
    .pass();
    let before = std::mem::take(&mut status.checks);
    let check = |name: String, of_set: bool| {
        let known = before.iter().find(|check| check.name == name).cloned();
        let mut check = known.unwrap_or_default();
        // Whatever a check of that name was before.
        if of_set {
            return CheckStatus {
                name,
                last_failure_place: None,
                ..check
            };
        }
        (check.window_end, check.observed, check.passed) = (None, None, None);
        check.failed = whole(total.checks.get(&name).copied().unwrap_or(0));
        if let Some(last) = last.get(&name)
            && moves(check.last_failure_time.as_ref(), last.at_ms)
        {
            check.last_failure_time = instant(last.at_ms);
            check.last_failure_place = place(last);
        }
        CheckStatus { name, ..check }
    };
    let names = spec.checks.iter().enumerate();
    status.checks = names
        .map(|(index, one)| check(one.called(index), !one.is_of_record()))
        .collect();
    if let Some(newest) = last.values().max_by_key(|last| last.at_ms)
        && moves(status.last_failure_time.as_ref(), newest.at_ms)
    {
        status.last_failure_time = instant(newest.at_ms);
        status.last_failure_place = place(newest);
    }
}

/// True: a last failure is newer than the one that is shown by so much that it is worth a write.
fn moves(shown: Option<&Time>, at_ms: i64) -> bool {
    shown.is_none_or(|shown| at_ms.saturating_sub(shown.0.as_millisecond()) >= STEP_MS)
}

fn instant(ms: i64) -> Option<Time> {
    Timestamp::from_second(ms.div_euclid(1000)).ok().map(Time)
}

fn place(last: &LastFailure) -> Option<String> {
    let place = last.place.as_ref()?;
    Some(place.chars().take(PLACE).collect())
}

/// True: what would be shown differs by enough from what is. Failures are told at once while they are few; what moves all the time is
/// at most once a minute.
pub fn worth_writing(
    status: &QualityRuleStatus,
    shown: &QualityRuleStatus,
    since_write_ms: i64,
) -> bool {
    let figures = |one: &QualityRuleStatus| {
        (
            one.checked,
            one.failed,
            one.pass.clone(),
            one.checks.clone(),
            (
                one.last_failure_time.clone(),
                one.last_failure_place.clone(),
            ),
        )
    };
    if figures(status) == figures(shown) {
        return false;
    }
    let few = shown.failed.unwrap_or(0) < EXACT && status.failed != shown.failed;
    let first = status.checked.unwrap_or(0) == 0;
    let other_checks = status.checks.len() != shown.checks.len();
    since_write_ms >= STEP_MS || few || first || other_checks
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec() -> QualityRuleSpec {
        let checks = json!([
            {"name": "hard", "notNull": {"field": "id"}},
            {"name": "soft", "notNull": {"field": "at"}, "severity": "Warn"},
        ]);
        QualityRuleSpec::new("orders", serde_json::from_value(checks).unwrap())
    }

    fn tally(checked: u64, hard: u64) -> Tally {
        Tally {
            checked,
            failed: hard,
            stopped: hard,
            checks: [("hard".to_owned(), hard)].into(),
        }
    }

    fn failure(at_ms: i64, place: &str) -> BTreeMap<String, LastFailure> {
        let last = LastFailure {
            at_ms,
            place: Some(place.to_owned()),
        };
        [("hard".to_owned(), last)].into()
    }

    #[test]
    fn figures_are_shown_in_steps() {
        let mut status = QualityRuleStatus::default();
        show(
            &mut status,
            &spec(),
            &tally(12_345, 7),
            &failure(120_500, "t[0]@9"),
        );
        let text = serde_json::to_value(&status).unwrap();
        assert_eq!(
            text,
            json!({"checked": 12_300, "failed": 7, "pass": "99.94",
                "lastFailureTime": "1970-01-01T00:02:00Z", "lastFailurePlace": "t[0]@9",
                "checks": [
                    {"name": "hard", "failed": 7, "lastFailureTime": "1970-01-01T00:02:00Z", "lastFailurePlace": "t[0]@9"},
                    {"name": "soft", "failed": 0}]})
        );
        // The next failure comes within the minute.
        show(
            &mut status,
            &spec(),
            &tally(12_345, 8),
            &failure(130_000, "t[0]@10"),
        );
        assert_eq!(status.last_failure_place.as_deref(), Some("t[0]@9"));
        show(
            &mut status,
            &spec(),
            &tally(12_345, 9),
            &failure(190_000, "t[0]@11"),
        );
        assert_eq!(status.last_failure_place.as_deref(), Some("t[0]@11"));
        assert_eq!(status.checks[0].failed, 9);
    }

    #[test]
    fn an_idle_rule_is_never_written_and_a_busy_one_once_a_minute() {
        let none = BTreeMap::new();
        let mut first = QualityRuleStatus::default();
        show(&mut first, &spec(), &tally(0, 0), &none);
        assert!(
            worth_writing(&QualityRuleStatus::default(), &first, 0),
            "its checks are told"
        );
        assert!(!worth_writing(&first, &first.clone(), i64::MAX));
        let mut busy = first.clone();
        show(&mut busy, &spec(), &tally(5_000, 0), &none);
        assert!(worth_writing(&first, &busy, 0), "that it judges at all");
        let mut busier = busy.clone();
        show(&mut busier, &spec(), &tally(500_000, 0), &none);
        assert!(!worth_writing(&busy, &busier, 59_000));
        assert!(worth_writing(&busy, &busier, 60_000));
        let mut failing = busy.clone();
        show(&mut failing, &spec(), &tally(5_001, 1), &none);
        assert!(worth_writing(&busy, &failing, 0));
        let mut broken = busy.clone();
        show(&mut broken, &spec(), &tally(9_000, 2_000), &none);
        assert!(!worth_writing(&busy, &broken, 59_000));
    }

    #[test]
    fn a_warning_lets_pass_and_so_does_alert() {
        let mut spec = spec();
        assert!(refuses(&spec, "hard") && !refuses(&spec, "soft") && !refuses(&spec, "nobody"));
        spec.on_error = headworks_crds::OnError::Alert;
        assert!(!refuses(&spec, "hard"));
    }
}
