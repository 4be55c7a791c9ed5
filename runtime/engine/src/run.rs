//! The engine's front door: start one pipeline, keep it going, hear how it ended.

use std::sync::Arc;
use std::time::Duration;

use headworks_plan::{KafkaConnection, Phase, PipelinePlan, ReplayPlan, StagePlan, names};

use crate::format::Formats;
use crate::log::{Log, LogError};
use crate::pipeline::{self, Pipeline, Settings, StageOperator};
use crate::session::{self, Failed, Outcome, StopFlag, Wording};
use crate::stateless::StatelessOperator;
use crate::status::{StatusHandle, alive};
use crate::store::Stores;

mod stages;

/// A stage that doesn't end a round for so long hangs. The longest that one rightly takes is a commit whose outcome
/// isn't known: as long as a transaction may be open (10 min).
const HANGS: Duration = Duration::from_secs(15 * 60);

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
    /// Both `transactional.id` and `group.instance.id` in that group.
    pub fn member(&self, group: &str) -> String {
        names::member(group, self.ordinal)
    }
}

/// What the engine is to run, and with what.
#[derive(Clone)]
pub struct Work<'a> {
    /// The pipeline.
    pub plan: &'a PipelinePlan,
    /// Which stage of it: one of the plan's.
    pub stage: &'a StagePlan,
    /// Present: `plan` is its query, and what is read ends.
    pub replay: Option<&'a ReplayPlan>,
    /// How to reach Kafka.
    pub kafka: &'a KafkaConnection,
    /// Who runs it.
    pub identity: &'a Identity,
    /// Wire formats.
    pub formats: &'a dyn Formats,
    /// Stores.
    pub stores: &'a dyn Stores,
}

/// What a stage's thread is called.
pub fn thread_name(stage: &StagePlan) -> String {
    format!("engine-{}", stage.id)
}

/// The native engine.
#[derive(Debug)]
pub struct Engine;

impl Engine {
    /// Runs a stage of a pipeline on the calling thread until `stop` is raised.
    ///
    /// Blocking: give it an OS thread of its own. Everything a user should know meanwhile is in
    /// `status`.
    pub fn run(work: &Work<'_>, status: &StatusHandle, stop: &StopFlag) -> Outcome {
        let _pulse = status
            .pulse(&thread_name(work.stage), HANGS)
            .of_this_thread();
        status.set_phase(Phase::Starting);
        status.of_stage(&work.stage.id, &work.stage.group);
        let running = match pipeline::copies(work.plan, work.stage) {
            Ok(None) => stages::run(work, status, stop),
            Ok(Some((plan, stage))) => {
                let work = Work {
                    plan: &plan,
                    stage: &stage,
                    ..work.clone()
                };
                stages::run(&work, status, stop)
            }
            Err(error) => Err(error),
        };
        running.unwrap_or_else(|error| {
            let refused = LogError::NeedsPerson {
                reason: error.reason(),
                message: error.to_string(),
            };
            session::report(&WORDING, status, &refused);
            session::park(stop)
        })
    }
}

/// How a pipeline tells of what hinders it.
const WORDING: Wording = Wording {
    who: "the pipeline",
    unavailable: "no broker can be reached",
    resumes: "nothing is lost, the work goes on when one answers",
    rival: "another process runs under this pod's ids",
    again: "the work is taken up again by itself",
};

/// Session after session, until the stop flag is raised.
fn keep_going<L: Log>(
    mut open: impl FnMut() -> Result<L, LogError>,
    (stateless, operator): (StatelessOperator, StageOperator),
    settings: &Arc<Settings>,
    status: &StatusHandle,
    stop: &StopFlag,
) -> Outcome {
    // From one session to the next.
    let mut kept = (stateless, operator);
    session::keep_going(&WORDING, session::pause, status, stop, || {
        let log = open()?;
        let (stateless, operator) = std::mem::take(&mut kept);
        let mut session = Pipeline::with_operator(
            log,
            stateless,
            operator,
            Arc::clone(settings),
            status.clone(),
        );
        let ended = work(&mut session, stop);
        kept = session.into_operators();
        ended
    })
}

/// Round after round, until the stop flag is raised or something fails.
fn work<L: Log>(session: &mut Pipeline<L>, stop: &StopFlag) -> Result<(), Failed> {
    while !stop.is_stopped() {
        alive();
        if let Err(error) = session.step() {
            let uncommitted = session.has_uncommitted();
            return Err(Failed { error, uncommitted });
        }
    }
    // It commits only what there is to be committed.
    let drained = session.drain();
    drained.map_err(|error| Failed {
        error,
        uncommitted: true,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_plan_that_cannot_run_is_reported_until_the_pod_is_stopped() {
        let plan = PipelinePlan {
            sql: "SELEC".into(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            delivery: headworks_plan::Delivery::ExactlyOnce,
            commit_interval_ms: 10,
            start_from: headworks_plan::StartFrom::Earliest,
            on_bad_record: headworks_plan::OnBadRecord::DeadLetter,
            on_overflow: headworks_plan::OnOverflow::SetNull,
            stages: vec![crate::testing::streams_stage("g", &[])],
            accept_data_loss: None,
            verdicts: None,
        };
        let identity = Identity {
            namespace: "shop".into(),
            name: "p".into(),
            ordinal: 0,
        };
        let (status, stop) = (StatusHandle::new(), StopFlag::new());
        std::thread::scope(|scope| {
            let running = scope.spawn(|| {
                let work = Work {
                    plan: &plan,
                    stage: &plan.stages[0],
                    replay: None,
                    kafka: &KafkaConnection::default(),
                    identity: &identity,
                    formats: &crate::testing::fixture_format::WordFormats,
                    stores: &crate::testing::fixture_format::NoStores,
                };
                Engine::run(&work, &status, &stop)
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
}
