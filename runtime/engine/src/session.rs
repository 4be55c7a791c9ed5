//! Session after session: how whatever works on Kafka goes on over failures until it is told to stop.
//!
//! A session has clients of its own and ends with the first error that its own rewinding doesn't mend. What hindered it is
//! reported, and after a pause a new one finds out from the broker what was committed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use headworks_plan::Problem;

use crate::log::{LogError, Reason};
use crate::status::{StatusHandle, alive};

/// The reason under which a broker that can't be reached is reported.
pub const UNAVAILABLE: Reason = Reason::KafkaUnavailable;

/// A session that lasted so long was well; the pauses begin anew after it.
const WELL_AFTER: Duration = Duration::from_secs(60);

/// Asks whoever works to finish what it has, commit and return. Clones share the flag.
#[derive(Clone, Debug, Default)]
pub struct StopFlag(Arc<AtomicBool>);

impl StopFlag {
    /// A flag that isn't raised.
    pub fn new() -> StopFlag {
        StopFlag::default()
    }

    /// Raises the flag; it can't be lowered.
    pub fn stop(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// True once [`StopFlag::stop`] was called.
    pub fn is_stopped(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// Waits; true if the flag was raised meanwhile.
    pub fn wait(&self, time: Duration) -> bool {
        let end = Instant::now() + time;
        while !self.is_stopped() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            alive();
            std::thread::sleep(left.min(Duration::from_millis(50)));
        }
        true
    }
}

/// How a run ended. While a run is hindered (broker down, credentials refused, data lost, a bad
/// record under `onBadRecord: Stop`) it doesn't end: it reports the problem and waits for the cause to
/// go, or for the stop flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The stop flag was raised, and all that had been begun is committed.
    Drained,
    /// The stop flag was raised, and the last transaction could not be committed. Nothing is lost:
    /// its records are read, or made, again by the next start.
    Interrupted,
}

/// Why a session ended before it was told to.
#[derive(Debug)]
pub struct Failed {
    /// What went wrong.
    pub error: LogError,
    /// True: something that was begun isn't committed, as far as is known.
    pub uncommitted: bool,
}

impl From<LogError> for Failed {
    /// Of a session that had begun nothing.
    fn from(error: LogError) -> Failed {
        Failed {
            error,
            uncommitted: false,
        }
    }
}

/// How those who work tell of what hinders them.
#[derive(Clone, Copy, Debug)]
pub struct Wording {
    /// What is held up, for the log.
    pub who: &'static str,
    /// Before what was said of a broker that can't be reached.
    pub unavailable: &'static str,
    /// How it goes on once a broker answers.
    pub resumes: &'static str,
    /// Who else may run under the same ids.
    pub rival: &'static str,
    /// How it goes on after any other failure.
    pub again: &'static str,
}

/// Runs session after session until the stop flag is raised. `session` opens one and works until the flag is raised;
/// [`pause`] is how long to wait after a failure, which is the so-manieth in a row.
///
/// Blocking: give it a thread of its own.
pub fn keep_going(
    wording: &Wording,
    pause: impl Fn(&LogError, u32) -> Duration,
    status: &StatusHandle,
    stop: &StopFlag,
    mut session: impl FnMut() -> Result<(), Failed>,
) -> Outcome {
    let mut failures = 0;
    while !stop.is_stopped() {
        let begun = Instant::now();
        let Err(Failed { error, uncommitted }) = session() else {
            return Outcome::Drained;
        };
        if stop.is_stopped() && uncommitted {
            tracing::warn!(%error, "the last transaction could not be committed");
            return Outcome::Interrupted;
        }
        if begun.elapsed() > WELL_AFTER {
            failures = 0;
        }
        report(wording, status, &error);
        if is_final(&error) {
            return park(stop);
        }
        if stop.wait(pause(&error, failures)) {
            break;
        }
        failures += 1;
    }
    Outcome::Drained
}

/// True for what would be met again at once: another plan, and so another pod, is what helps.
fn is_final(error: &LogError) -> bool {
    matches!(
        error,
        LogError::NeedsPerson {
            reason: Reason::BadRecord | Reason::RuleBroken,
            ..
        }
    )
}

/// Waits for the stop flag.
pub fn park(stop: &StopFlag) -> Outcome {
    while !stop.wait(Duration::from_secs(3600)) {}
    Outcome::Drained
}

/// How long to wait before the next session: doubling, with a ceiling that depends on what is wrong.
pub fn pause(error: &LogError, failures: u32) -> Duration {
    let (first, longest) = match error {
        // Two processes under one name must not fence each other at full speed.
        LogError::Fenced { .. } => (2_000, 60_000),
        LogError::NeedsPerson { .. } => (2_000, 20_000),
        _ => (500, 5_000),
    };
    Duration::from_millis((first << failures.min(10)).min(longest))
}

/// Tells what is wrong in the status and in the log.
pub fn report(wording: &Wording, status: &StatusHandle, error: &LogError) {
    let said = error.to_string();
    let (reason, message, fatal) = match error {
        LogError::NeedsPerson { reason, .. } => (*reason, said, true),
        LogError::Held { reason, .. } => (*reason, said, reason.needs_person()),
        // What the broker would take if it were asked again is its trouble, and passes.
        LogError::Unavailable { .. } | LogError::Retriable { .. } => (
            UNAVAILABLE,
            format!("{}: {said}; {}", wording.unavailable, wording.resumes),
            false,
        ),
        LogError::Fenced { .. } => (
            Reason::Fenced,
            format!(
                "{said}; {}, or did until now; trying again at intervals",
                wording.rival
            ),
            false,
        ),
        _ => (
            Reason::KafkaError,
            format!("{said}; nothing is lost, {}", wording.again),
            false,
        ),
    };
    tracing::warn!(
        reason = reason.as_str(),
        message,
        "{} is held up",
        wording.who
    );
    status.hold_up(Problem::new(reason, message, fatal));
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDING: Wording = Wording {
        who: "the pipeline",
        unavailable: "no broker can be reached",
        resumes: "nothing is lost, the work goes on when one answers",
        rival: "another process runs under this pod's ids",
        again: "the work is taken up again by itself",
    };

    fn broken() -> LogError {
        LogError::Broken {
            message: "the connection broke".into(),
        }
    }

    #[test]
    fn pauses_double_up_to_a_ceiling_and_are_long_between_two_that_fence_each_other() {
        assert_eq!(pause(&broken(), 0), Duration::from_millis(500));
        assert_eq!(pause(&broken(), 2), Duration::from_secs(2));
        assert_eq!(pause(&broken(), 500), Duration::from_secs(5));
        let fenced = LogError::Fenced {
            message: String::new(),
        };
        assert_eq!(pause(&fenced, 9), Duration::from_secs(60));
    }

    #[test]
    fn a_stop_ends_a_pause_at_once() {
        let stop = StopFlag::new();
        let raiser = stop.clone();
        let thread = std::thread::spawn(move || raiser.stop());
        let begun = Instant::now();
        assert!(stop.wait(Duration::from_secs(60)));
        assert!(begun.elapsed() < Duration::from_secs(5));
        thread.join().unwrap();
    }

    #[test]
    fn a_session_that_fails_while_it_is_stopped_is_interrupted_only_if_it_had_begun_something() {
        for (uncommitted, outcome) in [(true, Outcome::Interrupted), (false, Outcome::Drained)] {
            let (status, stop) = (StatusHandle::new(), StopFlag::new());
            let ended = keep_going(&WORDING, pause, &status, &stop, || {
                stop.stop();
                Err(Failed {
                    error: broken(),
                    uncommitted,
                })
            });
            assert_eq!(ended, outcome);
        }
    }

    #[test]
    fn failures_are_reported_and_followed_by_another_session() {
        let (status, stop) = (StatusHandle::new(), StopFlag::new());
        let mut sessions = 0;
        let ended = keep_going(
            &WORDING,
            |_, _| Duration::ZERO,
            &status,
            &stop,
            || {
                sessions += 1;
                match sessions {
                    1 => Err(LogError::Unavailable {
                        message: "kafka:9092: Connection refused".into(),
                    }
                    .into()),
                    2 => {
                        let problem = &status.report().problems[0];
                        assert_eq!(problem.reason, UNAVAILABLE);
                        assert_eq!(
                            problem.message,
                            "no broker can be reached: kafka:9092: Connection refused; nothing is lost, the work goes on when one answers"
                        );
                        Err(broken().into())
                    }
                    _ => {
                        let problem = &status.report().problems[0];
                        assert_eq!(
                            problem.message,
                            "the connection broke; nothing is lost, the work is taken up again by itself"
                        );
                        Ok(())
                    }
                }
            },
        );
        assert_eq!((ended, sessions), (Outcome::Drained, 3));
    }
}
