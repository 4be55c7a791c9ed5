//! The engine's front door: start one pipeline, keep it going, hear how it ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use headworks_plan::{Delivery, KafkaConnection, Phase, PipelinePlan, Problem};

use crate::format::Formats;
use crate::kafka::{self, KafkaLog, Setup};
use crate::log::{Log, LogError, Reason};
use crate::pipeline::{self, InputTopic, Pipeline, Settings, Stage};
use crate::status::StatusHandle;

/// Which member of which pipeline this process is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Namespace of the Pipeline; goes into dead-letter headers.
    pub namespace: String,
    /// Name of the Pipeline; goes into dead-letter headers.
    pub name: String,
    /// The pod's number in its StatefulSet. With the group it makes the transactional id and the
    /// static member id, so a replacement fences what it replaces.
    pub ordinal: u32,
}

impl Identity {
    /// `<group>-<ordinal>`: both `transactional.id` and `group.instance.id`.
    pub fn member(&self, group: &str) -> String {
        format!("{group}-{}", self.ordinal)
    }
}

/// Asks the engine to finish what it has, commit and return. Clones share the flag.
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
    /// The stop flag was raised, and all that had been read is committed.
    Drained,
    /// The stop flag was raised, and the last transaction could not be committed. Nothing is lost:
    /// its records are read again by the next start.
    Interrupted,
}

/// The native engine.
#[derive(Debug)]
pub struct Engine;

impl Engine {
    /// Runs a pipeline on the calling thread until `stop` is raised.
    ///
    /// Blocking: give it an OS thread of its own. Everything a user should know meanwhile is in
    /// `status`.
    pub fn run(
        plan: &PipelinePlan,
        kafka: &KafkaConnection,
        identity: &Identity,
        formats: &Arc<dyn Formats>,
        status: &StatusHandle,
        stop: &StopFlag,
    ) -> Outcome {
        status.set_phase(Phase::Starting);
        let stage = match pipeline::compile(plan, formats.as_ref()) {
            Ok(stage) => stage,
            Err(error) => {
                report(
                    status,
                    &LogError::NeedsPerson {
                        reason: Reason::PlanRefused,
                        message: error.to_string(),
                    },
                );
                return park(stop);
            }
        };
        let settings = Arc::new(settings(plan, identity));
        let open = || {
            let base = kafka::config(kafka).map_err(|error| LogError::NeedsPerson {
                reason: Reason::SecretMissing,
                message: error.to_string(),
            })?;
            KafkaLog::open(&base, setup(plan, identity))
        };
        keep_going(open, stage, &settings, status, stop)
    }
}

fn settings(plan: &PipelinePlan, identity: &Identity) -> Settings {
    let input = |stream: &headworks_plan::Stream| InputTopic {
        topic: stream.topic.clone(),
        dead_letter_topic: stream.dead_letter_topic.clone(),
        max_message_bytes: stream.max_message_bytes,
    };
    Settings {
        pipeline: format!("{}/{}", identity.namespace, identity.name),
        inputs: plan.inputs.iter().map(input).collect(),
        on_bad_record: plan.on_bad_record,
        start_from: plan.start_from,
        commit_interval: Duration::from_millis(plan.commit_interval_ms),
        accept_data_loss: plan.accept_data_loss.clone(),
    }
}

fn setup(plan: &PipelinePlan, identity: &Identity) -> Setup {
    let dead_letters = plan
        .inputs
        .iter()
        .map(|stream| stream.dead_letter_topic.clone());
    let written = if plan.on_bad_record == headworks_plan::OnBadRecord::DeadLetter {
        dead_letters.collect()
    } else {
        Vec::new()
    };
    Setup {
        topics: plan
            .inputs
            .iter()
            .map(|stream| stream.topic.clone())
            .collect(),
        other_topics: plan
            .outputs
            .iter()
            .map(|stream| stream.topic.clone())
            .chain(written)
            .collect(),
        group: plan.group.clone(),
        member: identity.member(&plan.group),
        commit_interval_ms: plan.commit_interval_ms,
        exactly_once: plan.delivery == Delivery::ExactlyOnce,
        max_message_bytes: plan
            .inputs
            .iter()
            .chain(&plan.outputs)
            .map(|stream| stream.max_message_bytes)
            .collect(),
    }
}

/// Session after session, until the stop flag is raised.
fn keep_going<L: Log>(
    mut open: impl FnMut() -> Result<L, LogError>,
    mut stage: Stage,
    settings: &Arc<Settings>,
    status: &StatusHandle,
    stop: &StopFlag,
) -> Outcome {
    let mut failures = 0;
    loop {
        if stop.is_stopped() {
            return Outcome::Drained;
        }
        let begun = Instant::now();
        let error = match open() {
            Ok(log) => {
                let mut session = Pipeline::new(log, stage, Arc::clone(settings), status.clone());
                let error = loop {
                    if stop.is_stopped() {
                        return match session.drain() {
                            Ok(()) => Outcome::Drained,
                            Err(error) => {
                                tracing::warn!(%error, "the last transaction could not be committed; its records are read again");
                                Outcome::Interrupted
                            }
                        };
                    }
                    if let Err(error) = session.step() {
                        break error;
                    }
                };
                stage = session.into_stage();
                error
            }
            Err(error) => error,
        };
        if begun.elapsed() > Duration::from_secs(60) {
            failures = 0;
        }
        report(status, &error);
        if matches!(
            error,
            LogError::NeedsPerson {
                reason: Reason::BadRecord,
                ..
            }
        ) {
            // It would be met again at once; another plan, and so another pod, is what helps.
            return park(stop);
        }
        if stop.wait(pause(&error, failures)) {
            return Outcome::Drained;
        }
        failures += 1;
    }
}

fn park(stop: &StopFlag) -> Outcome {
    while !stop.wait(Duration::from_secs(3600)) {}
    Outcome::Drained
}

/// How long to wait before the next session: doubling, with a ceiling that depends on what is wrong.
fn pause(error: &LogError, failures: u32) -> Duration {
    let (first, longest) = match error {
        // Two processes under one name must not fence each other at full speed.
        LogError::Fenced { .. } => (2_000, 60_000),
        LogError::NeedsPerson { .. } => (2_000, 20_000),
        _ => (500, 10_000),
    };
    Duration::from_millis((first << failures.min(10)).min(longest))
}

fn report(status: &StatusHandle, error: &LogError) {
    let said = error.to_string();
    let (reason, message, fatal) = match error {
        LogError::NeedsPerson { reason, .. } => (reason.as_str(), said, true),
        LogError::Unavailable { .. } => (
            pipeline::UNAVAILABLE,
            format!(
                "no broker can be reached: {said}; nothing is lost, the work goes on when one answers"
            ),
            false,
        ),
        LogError::Fenced { .. } => (
            "Fenced",
            format!(
                "{said}; another process runs under this pod's ids, or did until now; trying again at intervals"
            ),
            false,
        ),
        _ => (
            "KafkaError",
            format!("{said}; nothing is lost, the work is taken up again by itself"),
            false,
        ),
    };
    tracing::warn!(reason, message, "the pipeline is held up");
    status.set_phase(if fatal {
        Phase::Stalled
    } else {
        Phase::Starting
    });
    status.heal_all();
    status.raise(Problem {
        reason: reason.to_owned(),
        message,
        fatal,
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_that_cannot_run_is_reported_until_the_pod_is_stopped() {
        let plan = PipelinePlan {
            sql: "SELEC".into(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            tables: Vec::new(),
            delivery: Delivery::ExactlyOnce,
            commit_interval_ms: 10,
            start_from: headworks_plan::StartFrom::Earliest,
            on_bad_record: headworks_plan::OnBadRecord::DeadLetter,
            group: "g".into(),
            accept_data_loss: None,
        };
        let identity = Identity {
            namespace: "shop".into(),
            name: "p".into(),
            ordinal: 0,
        };
        let (status, stop) = (StatusHandle::new(), StopFlag::new());
        let formats: Arc<dyn Formats> = Arc::new(crate::words::WordFormats);
        std::thread::scope(|scope| {
            let running = scope.spawn(|| {
                Engine::run(
                    &plan,
                    &KafkaConnection::default(),
                    &identity,
                    &formats,
                    &status,
                    &stop,
                )
            });
            let deadline = Instant::now() + Duration::from_secs(10);
            while status.phase() != Phase::Stalled && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(5));
            }
            let report = status.report();
            assert!(
                report.problems[0].fatal && report.problems[0].reason == "PlanRefused",
                "{report:?}"
            );
            assert!(!status.is_ready());
            stop.stop();
            assert_eq!(running.join().unwrap(), Outcome::Drained);
        });
    }

    #[test]
    fn pauses_double_up_to_a_ceiling() {
        let broken = LogError::Broken {
            message: String::new(),
        };
        assert_eq!(pause(&broken, 0), Duration::from_millis(500));
        assert_eq!(pause(&broken, 2), Duration::from_secs(2));
        assert_eq!(pause(&broken, 500), Duration::from_secs(10));
        assert_eq!(
            pause(
                &LogError::Fenced {
                    message: String::new()
                },
                9
            ),
            Duration::from_secs(60)
        );
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
}
