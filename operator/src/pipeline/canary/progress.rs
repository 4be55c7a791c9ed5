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
    decide::{Decision, decide},
    words,
};

/// What came before a canary's end may be committed, and have its time, so much later.
const SETTLES: SignedDuration = SignedDuration::from_secs(3);
/// A new version that isn't ready when its time is over is given so much longer.
const PATIENCE: SignedDuration = SignedDuration::from_secs(120);
/// A comparison takes so long at most.
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
    let decision = match rollout.phase {
        Some(RolloutPhase::Running) => match word {
            Word::Stalled(why) => Some(Decision::RollBack(format!("it can't run: {why}"))),
            _ if seen.now < after(until, SETTLES) => None,
            Word::Ready => {
                begin_comparison(seen, &mut rollout);
                None
            }
            Word::Waits(why) => (seen.now > after(until, PATIENCE)).then(|| {
                Decision::RollBack(format!("it isn't ready when its time is over: {why}"))
            }),
        },
        Some(RolloutPhase::Comparing) => {
            let is_late = seen.now > after(until, COMPARISON);
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

fn begin_comparison(seen: &Seen<'_>, rollout: &mut RolloutStatus) {
    rollout.phase = Some(RolloutPhase::Comparing);
    rollout.message =
        Some("its time is over: what both versions make of the same records is compared".into());
    let beside = seen.beside.and_then(|beside| beside.status.as_ref());
    rollout.lag = Some(BothCounts {
        old: seen.old_lag.unwrap_or_default(),
        new: beside.and_then(|status| status.lag).unwrap_or_default(),
    });
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

fn decided(seen: &Seen<'_>, rollout: RolloutStatus, decision: Decision) -> RolloutStatus {
    let (phase, message) = match decision {
        Decision::Wait(message) => {
            return RolloutStatus {
                phase: Some(RolloutPhase::Running),
                until: Some(Time(end(seen.now, seen.canary))),
                message: Some(message),
                lag: None,
                figures: None,
                ..rollout
            };
        }
        Decision::Promote(message) => (
            RolloutPhase::Promoted,
            format!(
                "the new version takes the old one's place: {}",
                cut(&message)
            ),
        ),
        Decision::RollBack(message) => {
            let message = cut(&message);
            let and = format!(
                "the old version goes on, because of the new one: {message}. Change the query, or annotate {ANNOTATION_RETRY_CANARY} with a new word to have it tried once more"
            );
            (RolloutPhase::RolledBack, and)
        }
    };
    RolloutStatus {
        phase: Some(phase),
        decided: Some(Time(seen.now)),
        message: Some(message),
        ..rollout
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
            "status": {"conditions": conditions, "lag": 7}}))
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
        assert_eq!(phase(100, Some(&waits)), Some(RolloutPhase::Running));
        assert_eq!(phase(181, Some(&waits)), Some(RolloutPhase::RolledBack));
        assert_eq!(phase(181, None), Some(RolloutPhase::RolledBack));
        // What is said of an earlier spec counts for nothing.
        let earlier = beside(&json!([says("Stalled", "True", 0)]));
        assert_eq!(phase(5, Some(&earlier)), Some(RolloutPhase::Running));
    }

    #[test]
    fn a_comparison_that_never_ends_is_no_proof() {
        let phase = |second| at(second, Some(&ready()), None, comparing()).phase;
        assert_eq!(phase(900), Some(RolloutPhase::Comparing));
        assert_eq!(phase(961), Some(RolloutPhase::RolledBack));
    }
}
