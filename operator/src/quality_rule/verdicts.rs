//! What a rule's monitors found, in its status: of each check of many records the newest window, and whether it passed. Pure.
//!
//! Pods tell of the newest windows that they have judged and committed; whole histories are in the stream of verdicts. A check that is
//! judged by key has a row for each key that comes again: a window that event time has passed without one passed.
//!
//! A window ends when a later record comes. So a stream that falls silent closes none, and what is asked of it by the clock is judged
//! here: freshness, and that there are records at all.
//!
//! A check that compares a window with earlier ones is judged here, too, by its history: its row says only what was observed.

use std::collections::BTreeMap;

use headworks_crds::{CheckSeverity, CheckStatus, QualityCheck, QualityRule, QualityRuleSpec};
use headworks_plan::{Figures, VerdictFigures, WindowVerdict};
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};

use crate::{
    planning::rules::{
        monitor::{Judges, Monitor, Monitors},
        schema_match::Matched,
    },
    rule_history::{Compared, History, compared},
};

/// The least step of a time that moves with every record.
const STEP_MS: i64 = 60_000;
/// Longest text of what was observed, in characters.
const OBSERVED: usize = 64;

/// What the newest verdicts say of health.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// No check of many records asks for health, or none was judged yet.
    Nothing,
    /// The newest window of each that was judged passed.
    Passed,
    /// These checks failed in their newest windows.
    Failed(Vec<String>),
    /// The contract isn't as these checks ask.
    Mismatch(Vec<String>),
}

/// What is found by the checks of severity Error.
pub fn found(spec: &QualityRuleSpec, status: &[CheckStatus]) -> Found {
    let (mut judged, mut failed, mut mismatch) = (false, Vec::new(), Vec::new());
    for (index, check) in spec.checks.iter().enumerate() {
        if check.is_of_record() || check.severity != CheckSeverity::Error {
            continue;
        }
        let name = check.called(index);
        let known = status.iter().find(|one| one.name == name);
        match known.and_then(|one| one.passed) {
            Some(true) => judged = true,
            Some(false) if check.is_of_contract() => mismatch.push(name),
            Some(false) => failed.push(name),
            None => {}
        }
    }
    match (mismatch.is_empty(), failed.is_empty(), judged) {
        (false, ..) => Found::Mismatch(mismatch),
        (true, false, _) => Found::Failed(failed),
        (true, true, true) => Found::Passed,
        (true, true, false) => Found::Nothing,
    }
}

/// Says of each check of the contract whether that is as it asks. `matched`: none where that isn't known, which changes nothing.
pub fn of_contract(
    rule: &QualityRule,
    matched: Option<&BTreeMap<String, Matched>>,
    checks: &mut [CheckStatus],
    now: Timestamp,
) {
    let (Some(matched), false) = (matched, rule.spec.suspend) else {
        return;
    };
    for (name, found) in matched {
        let Some(check) = checks.iter_mut().find(|one| one.name == *name) else {
            continue;
        };
        let passed = found.lacks.is_none();
        if !passed && check.passed != Some(false) {
            check.failed = check.failed.saturating_add(1);
            check.last_failure_time = instant(now.as_millisecond());
        }
        check.observed = found.lacks.as_deref().map(shortened);
        check.passed = Some(passed);
        check.window_end = None;
    }
}

/// Brings what pods say into the checks of a status. `heard`: what the pods of each monitor say, by the Pipeline's name.
pub fn settle(
    rule: &QualityRule,
    monitors: Option<&Monitors>,
    heard: &BTreeMap<String, Vec<Figures>>,
    checks: &mut [CheckStatus],
    history: &mut History,
    now: Timestamp,
) {
    let (Some(monitors), false) = (monitors, rule.spec.suspend) else {
        return;
    };
    let now_ms = now.as_millisecond();
    let spec = |name: &str| {
        let mut all = rule.spec.checks.iter().enumerate();
        let found = all.find(|(index, check)| check.called(*index) == name);
        found.map(|(_, check)| check)
    };
    history.keep(|name| spec(name).is_some_and(|check| compared(check, &rule.spec).is_some()));
    for monitor in &monitors.queries {
        let pods = heard.get(&monitor.name).map_or(&[][..], Vec::as_slice);
        let verdicts = together(monitor, pods);
        match &monitor.judges {
            Judges::Windows(names) => {
                for check in checks.iter_mut().filter(|one| names.contains(&one.name)) {
                    match spec(&check.name).and_then(|of| compared(of, &rule.spec)) {
                        Some(of) => past(check, &verdicts.windows, &of, history, now_ms),
                        None => window(check, &verdicts.windows),
                    }
                }
                let since = rule.metadata.creation_timestamp.as_ref();
                let silence = Silence {
                    pods,
                    window_ms: signed(monitor.window_ms),
                    since_ms: since.map_or(now_ms, |since| since.0.as_millisecond()),
                    now_ms,
                };
                for (index, spec) in rule.spec.checks.iter().enumerate() {
                    let name = spec.called(index);
                    if let Some(check) = checks.iter_mut().find(|one| one.name == name) {
                        silence.judge(spec, check);
                        if let Some(of) = compared(spec, &rule.spec)
                            && let Some(start_ms) = known_end(check)
                            && let Some(told) = history.silent((&name, &of), start_ms)
                            && told.passed == Some(false)
                        {
                            silence.no_records(check);
                        }
                    }
                }
            }
            Judges::Keys(name) => {
                if let Some(check) = checks.iter_mut().find(|one| one.name == *name) {
                    let closed = closed(pods, signed(monitor.window_ms));
                    keys(check, &verdicts.windows, closed);
                }
            }
        }
    }
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX).max(1)
}

/// What all pods of a monitor say of windows, in this version of the rule.
fn together(monitor: &Monitor, pods: &[Figures]) -> VerdictFigures {
    let mut all = VerdictFigures {
        of: monitor.of.clone(),
        windows: Vec::new(),
    };
    let said = pods.iter().filter_map(|pod| pod.verdicts.as_ref());
    for verdicts in said.filter(|verdicts| verdicts.of == monitor.of) {
        all.add(verdicts);
    }
    all
}

/// The end of the newest window that every partition's event time has passed.
fn closed(pods: &[Figures], window_ms: i64) -> Option<i64> {
    let states = pods.iter().filter_map(|pod| pod.state.as_ref());
    let watermark = states.filter_map(|state| state.watermark_ms).min()?;
    watermark.div_euclid(window_ms).checked_mul(window_ms)
}

/// Takes in windows that have a row for each check.
fn window(check: &mut CheckStatus, windows: &[WindowVerdict]) {
    for window in windows {
        if known_end(check).is_some_and(|known| known >= window.end_ms) {
            continue;
        }
        let Some(found) = window.checks.iter().find(|one| one.name == check.name) else {
            continue;
        };
        let observed = found.observed.as_deref().map(shortened);
        note(check, window.end_ms, observed, Some(found.failed == 0));
    }
}

/// Takes in windows that are compared with those before them.
fn past(
    check: &mut CheckStatus,
    windows: &[WindowVerdict],
    of: &Compared,
    history: &mut History,
    now_ms: i64,
) {
    for window in windows {
        if known_end(check).is_some_and(|known| known >= window.end_ms) {
            continue;
        }
        let found = window.checks.iter().find(|one| one.name == check.name);
        let Some(observed) = found.and_then(|found| found.observed.as_deref()) else {
            continue;
        };
        let end = (window.end_ms, now_ms);
        if let Some(told) = history.judge((&check.name, of), end, observed) {
            let observed = Some(shortened(&told.observed));
            note(check, window.end_ms, observed, told.passed);
        }
    }
}

/// Takes in windows that have a row for each key that comes again.
fn keys(check: &mut CheckStatus, windows: &[WindowVerdict], closed: Option<i64>) {
    for window in windows {
        let found = window.checks.iter().find(|one| one.name == check.name);
        let Some(found) = found.filter(|found| found.failed > 0) else {
            continue;
        };
        let known = known_end(check);
        let observed = Some(found.failed.to_string());
        if known.is_none_or(|known| known < window.end_ms) {
            note(check, window.end_ms, observed, Some(false));
        } else if known == Some(window.end_ms) && check.observed != observed {
            // Another partition has told, too; one that was said to have passed didn't.
            let before = check.failed;
            let again = check.passed == Some(false);
            note(check, window.end_ms, observed, Some(false));
            if again {
                check.failed = before;
            }
        }
    }
    if let Some(closed) = closed
        && known_end(check).is_none_or(|known| known < closed)
    {
        note(check, closed, Some("0".to_owned()), Some(true));
    }
}

fn note(check: &mut CheckStatus, end_ms: i64, observed: Option<String>, passed: Option<bool>) {
    let Some(end) = instant(end_ms) else { return };
    check.window_end = Some(end.clone());
    check.observed = observed;
    check.passed = passed;
    if passed == Some(false) {
        check.failed = check.failed.saturating_add(1);
        check.last_failure_time = Some(end);
    }
}

/// What is judged by the clock.
struct Silence<'a> {
    pods: &'a [Figures],
    window_ms: i64,
    since_ms: i64,
    now_ms: i64,
}

impl Silence<'_> {
    /// True: the monitor has read all that there is.
    fn caught_up(&self) -> bool {
        !self.pods.is_empty() && self.pods.iter().all(|pod| pod.lag == Some(0))
    }

    fn newest(&self) -> Option<i64> {
        self.pods
            .iter()
            .filter_map(|pod| pod.max_event_time_ms)
            .max()
    }

    fn judge(&self, spec: &QualityCheck, check: &mut CheckStatus) {
        if let Some(of) = &spec.freshness {
            self.freshness(signed(of.max_age.millis()), check);
        }
        if let Some(of) = &spec.row_count
            && of.min.is_some_and(|min| min > 0)
        {
            self.no_records(check);
        }
    }

    /// Two windows after the newest one was closed there should be records of a later one, or there are none.
    fn no_records(&self, check: &mut CheckStatus) {
        let Some(known) = known_end(check) else {
            return;
        };
        let silent = self.newest().is_none_or(|newest| newest < known);
        let due = known
            .saturating_add(self.window_ms.saturating_mul(2))
            .saturating_add(STEP_MS);
        let told = check.passed == Some(false) && check.observed.as_deref() == Some("0");
        if self.caught_up() && silent && self.now_ms >= due && !told {
            check.observed = Some("0".to_owned());
            check.passed = Some(false);
            check.failed = check.failed.saturating_add(1);
            check.last_failure_time = instant(self.now_ms);
        }
    }

    fn freshness(&self, max_age_ms: i64, check: &mut CheckStatus) {
        // What waits to be read may be newer.
        if !self.caught_up() {
            return;
        }
        let known = known_end(check);
        // A pod that has just begun knows of no record; the time that is shown may be a step behind.
        let newest = self.newest();
        let shown = known.map(|known| known.saturating_add(STEP_MS));
        let newest_ms = newest.or(shown).unwrap_or(self.since_ms);
        let age = self.now_ms.saturating_sub(newest_ms);
        let passed = age <= max_age_ms;
        if let Some(newest) = newest
            && known.is_none_or(|known| newest.saturating_sub(known) >= STEP_MS)
        {
            check.window_end = instant(newest);
        }
        if !passed && check.passed != Some(false) {
            check.failed = check.failed.saturating_add(1);
            check.last_failure_time = instant(self.now_ms);
        }
        check.observed = (!passed).then(|| age_text(age));
        check.passed = Some(passed);
    }
}

/// An age in steps, so that it isn't written all the time.
fn age_text(age_ms: i64) -> String {
    let unit = if age_ms < STEP_MS { 10_000 } else { STEP_MS };
    let whole = u64::try_from(age_ms.div_euclid(unit).saturating_mul(unit)).unwrap_or(0);
    headworks_crds::Duration::from_millis(whole).to_string()
}

fn known_end(check: &CheckStatus) -> Option<i64> {
    check.window_end.as_ref().map(|end| end.0.as_millisecond())
}

/// To the second, as a status writes it: windows are of whole seconds.
fn instant(ms: i64) -> Option<Time> {
    Timestamp::from_second(ms.div_euclid(1_000)).ok().map(Time)
}

fn shortened(text: &str) -> String {
    text.chars().take(OBSERVED).collect()
}

#[cfg(test)]
mod tests;
