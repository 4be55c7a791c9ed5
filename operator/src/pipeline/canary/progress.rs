//! How a canary goes on from where it is: by the time, its own conditions, and what was compared. Pure.

use headworks_crds::{
    ANNOTATION_RETRY_CANARY, BothCounts, Canary, Pipeline, RolloutPhase, RolloutStatus,
    conditions::{READY, STALLED, find},
};
use headworks_plan::ComparisonFigures;
use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::Time,
    jiff::{SignedDuration, Timestamp},
};

use super::{
    decide::{self, Decision, decide},
    words,
};

/// What came before a canary's end may be committed, and have its time, so much later.
const SETTLES: SignedDuration = SignedDuration::from_secs(3);
/// A new version that isn't ready when its time is over is given so much longer: its user, its topics and its turn to have pods may
/// take their time.
const PATIENCE: SignedDuration = SignedDuration::from_secs(300);
/// A comparison takes so long at most, from when it was begun: an operator that was away until long after a canary's end begins it then.
const COMPARISON: SignedDuration = SignedDuration::from_secs(900);
/// Longest message of a roll-out, in characters.
const MESSAGE: usize = 1_024;

/// What is seen of a canary.
pub struct Seen<'a> {
    /// What it is to do.
    pub canary: &'a Canary,
    /// The time.
    pub now: Timestamp,
    /// The Pipeline that runs beside.
    pub beside: Option<&'a Pipeline>,
    /// What its pod has found.
    pub found: Option<&'a ComparisonFigures>,
    /// Records that the old version hasn't read.
    pub old_lag: Option<i64>,
}

/// When a canary's time is over.
pub fn end(begin: Timestamp, canary: &Canary) -> Timestamp {
    let ms = i64::try_from(canary.for_.millis()).unwrap_or(i64::MAX);
    after(begin, SignedDuration::from_millis(ms))
}

fn after(time: Timestamp, duration: SignedDuration) -> Timestamp {
    time.checked_add(duration).unwrap_or(time)
}

/// Which comparison a canary's pod is to make: another one where it was given more time.
pub fn comparison_id(rollout: &RolloutStatus) -> Option<String> {
    let (id, until) = (rollout.id.as_ref()?, rollout.until.as_ref()?);
    Some(format!("{id}.{}", until.0.as_second()))
}

/// How it stands now.
pub fn next(
    seen: &Seen<'_>,
    mut rollout: RolloutStatus,
    threshold: impl Fn(&str) -> Option<String>,
) -> RolloutStatus {
    let Some(until) = rollout.until.as_ref().map(|until| until.0) else {
        return rollout;
    };
    let word = Word::of(seen.beside);
    let since = rollout.since.as_ref().map_or(until, |since| since.0);
    let decision = match rollout.phase {
        Some(RolloutPhase::Running) => match word {
            Word::Stalled(why) => Some(Decision::RollBack(format!("it can't run: {why}"))),
            _ if seen.now < after(until, SETTLES) => None,
            Word::Ready if has_read_nothing(seen.beside) => Some(decide::nothing_came(seen.canary)),
            Word::Ready => {
                begin_comparison(seen, &mut rollout);
                None
            }
            Word::Waits(why) => (seen.now > after(until, PATIENCE)).then(|| {
                Decision::RollBack(format!("it isn't ready when its time is over: {why}"))
            }),
        },
        Some(RolloutPhase::Comparing) => {
            let is_late = seen.now > after(since, COMPARISON);
            compared(seen, &mut rollout, threshold).or_else(|| {
                let why = match word {
                    Word::Waits(why) | Word::Stalled(why) => why,
                    Word::Ready => "its pod doesn't say what it found".to_owned(),
                };
                is_late.then(|| Decision::RollBack(format!("it couldn't be compared: {why}")))
            })
        }
        _ => None,
    };
    match decision {
        None => rollout,
        Some(decision) => decided(seen, rollout, decision),
    }
}

/// True: no record came to its inputs since it began, so there is nothing to compare. Asked of the pods beside, because a comparison
/// takes their place.
fn has_read_nothing(beside: Option<&Pipeline>) -> bool {
    let status = beside.and_then(|beside| beside.status.as_ref());
    status.is_some_and(|status| status.last_commit_time.is_none() && status.lag == Some(0))
}

fn begin_comparison(seen: &Seen<'_>, rollout: &mut RolloutStatus) {
    rollout.phase = Some(RolloutPhase::Comparing);
    rollout.since = Some(Time(seen.now));
    rollout.message =
        Some("its time is over: what both versions make of the same records is compared".into());
    rollout.lag = Some(BothCounts {
        old: seen.old_lag.unwrap_or_default(),
        new: seen.beside.and_then(lag_of).unwrap_or_default(),
    });
}

fn lag_of(beside: &Pipeline) -> Option<i64> {
    beside.status.as_ref()?.lag
}

/// What the comparison comes to, once it is done.
fn compared(
    seen: &Seen<'_>,
    rollout: &mut RolloutStatus,
    threshold: impl Fn(&str) -> Option<String>,
) -> Option<Decision> {
    let id = comparison_id(rollout);
    let found = seen
        .found
        .filter(|found| found.complete && Some(&found.id) == id.as_ref())?;
    let figures = words::figures_of(found);
    let lag = rollout.lag.unwrap_or_default();
    let decision = decide(seen.canary, &figures, lag, threshold);
    rollout.figures = Some(figures);
    Some(decision)
}

/// One that has begun and can't go on.
pub fn cant_go_on(now: Timestamp, rollout: RolloutStatus, why: &str) -> RolloutStatus {
    rolled_back(now, rollout, &format!("it can't go on: {why}"))
}

fn rolled_back(now: Timestamp, rollout: RolloutStatus, why: &str) -> RolloutStatus {
    let message = format!(
        "the old version goes on, because of the new one: {}. Change the query, or annotate {ANNOTATION_RETRY_CANARY} with a new word to have it tried once more",
        cut(why)
    );
    ended(now, rollout, RolloutPhase::RolledBack, message)
}

fn ended(
    now: Timestamp,
    rollout: RolloutStatus,
    phase: RolloutPhase,
    message: String,
) -> RolloutStatus {
    RolloutStatus {
        phase: Some(phase),
        since: Some(Time(now)),
        decided: Some(Time(now)),
        message: Some(message),
        ..rollout
    }
}

fn decided(seen: &Seen<'_>, rollout: RolloutStatus, decision: Decision) -> RolloutStatus {
    match decision {
        Decision::Wait(message) => RolloutStatus {
            phase: Some(RolloutPhase::Running),
            since: Some(Time(seen.now)),
            until: Some(Time(end(seen.now, seen.canary))),
            message: Some(message),
            lag: None,
            figures: None,
            ..rollout
        },
        Decision::Promote(message) => {
            let message = format!(
                "the new version takes the old one's place: {}",
                cut(&message)
            );
            ended(seen.now, rollout, RolloutPhase::Promoted, message)
        }
        Decision::RollBack(why) => rolled_back(seen.now, rollout, &why),
    }
}

fn cut(message: &str) -> String {
    message.chars().take(MESSAGE).collect()
}

/// What a canary's own conditions say.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Word {
    Ready,
    Waits(String),
    Stalled(String),
}

impl Word {
    fn of(beside: Option<&Pipeline>) -> Word {
        let nothing = || Word::Waits("nothing is known of it yet".into());
        let Some(beside) = beside else {
            return nothing();
        };
        let conditions = beside.status.iter().flat_map(|status| &status.conditions);
        let conditions: Vec<_> = conditions.cloned().collect();
        let fresh = |type_| {
            let condition = find(&conditions, type_);
            condition.filter(|c| c.observed_generation == beside.metadata.generation)
        };
        if let Some(stalled) = fresh(STALLED) {
            return Word::Stalled(format!("{}: {}", stalled.reason, stalled.message));
        }
        match fresh(READY) {
            Some(ready) if ready.status == "True" && lag_of(beside).is_none() => {
                Word::Waits("it hasn't said yet how far it has read".into())
            }
            Some(ready) if ready.status == "True" => Word::Ready,
            Some(ready) => Word::Waits(format!("{}: {}", ready.reason, ready.message)),
            None => nothing(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const BEGAN: i64 = 1_800_000_000;

    fn canary() -> Canary {
        serde_json::from_value(json!({"for": "1m", "compare": {"keys": ["id"]}})).unwrap()
    }

    fn running() -> RolloutStatus {
        let began = Timestamp::from_second(BEGAN).unwrap();
        RolloutStatus {
            phase: Some(RolloutPhase::Running),
            id: Some("v".into()),
            began: Some(Time(began)),
            until: Some(Time(end(began, &canary()))),
            ..RolloutStatus::default()
        }
    }

    fn beside(conditions: &Value) -> Pipeline {
        serde_json::from_value(json!({"metadata": {"name": "p-canary", "generation": 1},
            "spec": {"sql": "SELECT 1", "to": [{"stream": "s"}]},
            "status": {"conditions": conditions, "lag": 7, "lastCommitTime": "2027-01-01T00:00:00Z"}}))
        .unwrap()
    }

    fn says(type_: &str, status: &str, generation: i64) -> Value {
        json!({"type": type_, "status": status, "reason": "Because", "message": "so it is", "observedGeneration": generation,
            "lastTransitionTime": "2027-01-01T00:00:00Z"})
    }

    fn ready() -> Pipeline {
        beside(&json!([says("Ready", "True", 1)]))
    }

    fn at(
        second: i64,
        beside: Option<&Pipeline>,
        found: Option<&ComparisonFigures>,
        rollout: RolloutStatus,
    ) -> RolloutStatus {
        let canary = canary();
        let seen = Seen {
            canary: &canary,
            now: Timestamp::from_second(BEGAN + second).unwrap(),
            beside,
            found,
            old_lag: Some(3),
        };
        next(&seen, rollout, |_| None)
    }

    fn comparing() -> RolloutStatus {
        at(63, Some(&ready()), None, running())
    }

    fn found(records: u64, missing: u64) -> ComparisonFigures {
        ComparisonFigures {
            id: format!("v.{}", BEGAN + 60),
            complete: true,
            records,
            keys: Some(headworks_plan::KeysCompared {
                old: 10,
                missing,
                extra: 0,
                one_in: 1,
            }),
            ..ComparisonFigures::default()
        }
    }

    #[test]
    fn it_runs_until_its_time_is_over_and_is_compared_then() {
        assert_eq!(at(59, Some(&ready()), None, running()), running());
        assert_eq!(at(62, Some(&ready()), None, running()), running());
        let after = comparing();
        assert_eq!(after.phase, Some(RolloutPhase::Comparing));
        assert_eq!(after.lag, Some(BothCounts { old: 3, new: 7 }));
        // Nothing was found yet, or something of another time.
        assert_eq!(at(70, Some(&ready()), None, after.clone()), after);
        let mut other = found(5, 0);
        other.id = format!("v.{BEGAN}");
        assert_eq!(at(70, Some(&ready()), Some(&other), after.clone()), after);
    }

    #[test]
    fn what_was_found_decides() {
        let promoted = at(70, Some(&ready()), Some(&found(5, 0)), comparing());
        assert_eq!(promoted.phase, Some(RolloutPhase::Promoted));
        assert!(promoted.decided.is_some() && promoted.figures.is_some());
        let back = at(70, Some(&ready()), Some(&found(5, 2)), comparing());
        assert_eq!(back.phase, Some(RolloutPhase::RolledBack));
        let message = back.message.unwrap();
        assert!(
            message.contains("of 10 keys (id) 2 are missing")
                && message.contains(ANNOTATION_RETRY_CANARY),
            "{message}"
        );
    }

    #[test]
    fn where_nothing_came_it_is_given_as_long_again() {
        let again = at(70, Some(&ready()), Some(&found(0, 0)), comparing());
        assert_eq!(again.phase, Some(RolloutPhase::Running));
        assert_eq!(again.until.as_ref().unwrap().0.as_second(), BEGAN + 70 + 60);
        assert_eq!(again.began, running().began);
        assert_ne!(comparison_id(&again), comparison_id(&running()));
    }

    #[test]
    fn one_that_cant_run_goes_at_once_and_one_that_isnt_ready_when_it_should_be() {
        let stalled = beside(&json!([
            says("Ready", "False", 1),
            says("Stalled", "True", 1)
        ]));
        let back = at(5, Some(&stalled), None, running());
        assert_eq!(back.phase, Some(RolloutPhase::RolledBack));
        assert!(
            back.message
                .unwrap()
                .contains("it can't run: Because: so it is")
        );
        let waits = beside(&json!([says("Ready", "False", 1)]));
        let phase = |second, beside: Option<&Pipeline>| at(second, beside, None, running()).phase;
        assert_eq!(phase(359, Some(&waits)), Some(RolloutPhase::Running));
        assert_eq!(phase(361, Some(&waits)), Some(RolloutPhase::RolledBack));
        assert_eq!(phase(361, None), Some(RolloutPhase::RolledBack));
        // How far it is must be known, or it could be any far behind.
        let mut silent = ready();
        silent.status.as_mut().unwrap().lag = None;
        assert_eq!(phase(100, Some(&silent)), Some(RolloutPhase::Running));
        let back = at(361, Some(&silent), None, running());
        assert!(back.message.unwrap().contains("how far it has read"));
        // What is said of an earlier spec counts for nothing.
        let earlier = beside(&json!([says("Stalled", "True", 0)]));
        assert_eq!(phase(5, Some(&earlier)), Some(RolloutPhase::Running));
    }

    #[test]
    fn where_no_record_came_the_pods_beside_arent_sent_to_compare() {
        let mut idle = ready();
        let status = idle.status.as_mut().unwrap();
        (status.lag, status.last_commit_time) = (Some(0), None);
        let again = at(70, Some(&idle), None, running());
        assert_eq!(again.phase, Some(RolloutPhase::Running));
        assert_eq!(again.until.as_ref().unwrap().0.as_second(), BEGAN + 70 + 60);
        assert!(again.message.unwrap().contains("no record came"));
    }

    #[test]
    fn a_comparison_that_never_ends_is_no_proof() {
        let phase = |second| at(second, Some(&ready()), None, comparing()).phase;
        assert_eq!(phase(63 + 900), Some(RolloutPhase::Comparing));
        assert_eq!(phase(63 + 901), Some(RolloutPhase::RolledBack));
    }

    #[test]
    fn an_operator_that_was_away_at_the_end_still_has_it_compared() {
        let late = at(10_000, Some(&ready()), None, running());
        assert_eq!(late.phase, Some(RolloutPhase::Comparing));
        assert_eq!(at(10_005, Some(&ready()), None, late.clone()), late);
        let decided = at(10_060, Some(&ready()), Some(&found(5, 0)), late);
        assert_eq!(decided.phase, Some(RolloutPhase::Promoted));
    }

    #[test]
    fn one_that_has_begun_and_cant_go_on_is_rolled_back() {
        let now = Timestamp::from_second(BEGAN + 9).unwrap();
        let back = cant_go_on(now, running(), "spec.rollout.canary.rules[0]: it went");
        assert_eq!(back.phase, Some(RolloutPhase::RolledBack));
        assert_eq!(back.decided, Some(Time(now)));
        assert!(
            back.message.unwrap().contains(
                "it can't go on: spec.rollout.canary.rules[0]: it went. Change the query"
            )
        );
    }
}
