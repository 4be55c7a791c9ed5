//! The engine's front door: start one pipeline, keep it going, hear how it ended.

use std::sync::Arc;
use std::time::Duration;

use headworks_plan::{KafkaConnection, Phase, PipelinePlan};

use crate::format::Formats;
use crate::log::{Log, LogError, Reason};
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
    /// `<group>-<ordinal>`: both `transactional.id` and `group.instance.id`.
    pub fn member(&self, group: &str) -> String {
        format!("{group}-{}", self.ordinal)
    }
}

/// A part of a pipeline that runs by itself, with a consumer group and transactions of its own, so that a
/// store that is down holds up nothing but its own stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Reads the inputs and writes every output stream, in one Kafka transaction. Where the query needs state:
    /// reads the inputs and brings rows with equal keys together.
    Streams,
    /// Keeps the state of a query that needs some, and writes its output streams.
    Keyed,
    /// The table of this index in the plan.
    Table(usize),
}

impl Stage {
    /// The stages of a plan. The first one tells of bad input records; the others meet the same ones.
    pub fn of(plan: &PipelinePlan) -> Vec<Stage> {
        let keyed = plan.keyed.is_some();
        let streams =
            (keyed || !plan.outputs.is_empty() || plan.tables.is_empty()).then_some(Stage::Streams);
        let second = keyed.then_some(Stage::Keyed);
        let tables = (0..plan.tables.len()).map(Stage::Table);
        streams.into_iter().chain(second).chain(tables).collect()
    }
}

/// What the engine is to run, and with what.
#[derive(Clone)]
pub struct Work<'a> {
    /// The pipeline.
    pub plan: &'a PipelinePlan,
    /// Which stage of it.
    pub stage: Stage,
    /// How to reach Kafka.
    pub kafka: &'a KafkaConnection,
    /// Who runs it.
    pub identity: &'a Identity,
    /// Wire formats.
    pub formats: &'a dyn Formats,
    /// Stores.
    pub stores: &'a dyn Stores,
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
        let name = match work.stage {
            Stage::Streams => "engine".to_owned(),
            Stage::Keyed => "engine-state".to_owned(),
            Stage::Table(index) => format!("engine-table-{index}"),
        };
        let _pulse = status.pulse(&name, HANGS).of_this_thread();
        status.set_phase(Phase::Starting);
        let running = match (&work.plan.keyed, work.stage) {
            (None, Stage::Streams) => stages::streams(work, status, stop),
            (None, Stage::Keyed) => pipeline::parts_differ(),
            (None, Stage::Table(index)) => stages::table(work, index, status, stop),
            (Some(keyed), Stage::Streams) => stages::exchange(work, keyed, status, stop),
            (Some(keyed), Stage::Keyed) => stages::keyed(work, keyed, status, stop),
            (Some(_), Stage::Table(index)) => match pipeline::table_plan(work.plan) {
                Some(plan) => {
                    let work = Work {
                        plan: &plan,
                        ..work.clone()
                    };
                    stages::table(&work, index, status, stop)
                }
                None => pipeline::parts_differ(),
            },
        };
        running.unwrap_or_else(|error| {
            let refused = LogError::NeedsPerson {
                reason: Reason::PlanRefused,
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
            tables: Vec::new(),
            delivery: headworks_plan::Delivery::ExactlyOnce,
            commit_interval_ms: 10,
            start_from: headworks_plan::StartFrom::Earliest,
            on_bad_record: headworks_plan::OnBadRecord::DeadLetter,
            on_overflow: headworks_plan::OnOverflow::SetNull,
            group: "g".into(),
            keyed: None,
            accept_data_loss: None,
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
                    stage: Stage::Streams,
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

    #[test]
    fn a_plan_with_state_has_a_part_for_it_and_always_a_first_one() {
        let text = r#"{"sql":"","inputs":[],"outputs":[],"delivery":"ExactlyOnce","commitIntervalMs":1,"startFrom":"earliest",
            "onBadRecord":"Drop","group":"g","tables":[{"store":{"name":"s","connection":{"postgres":{"host":"h","port":1,
            "database":"d","usernameFile":"u","passwordFile":"p"}}},"table":"t","group":"g.t"}]}"#;
        let mut plan: PipelinePlan = serde_json::from_str(text).unwrap();
        assert_eq!(Stage::of(&plan), [Stage::Table(0)]);
        let keyed = r#"{"repartition":{"topic":"r","partitions":1,"maxMessageBytes":1},"changelog":{"topic":"c","partitions":1,
            "maxMessageBytes":1},"group":"k","allowedLatenessMs":0,"maxDriftMs":0,"memoryBytes":1}"#;
        plan.keyed = Some(serde_json::from_str(keyed).unwrap());
        assert_eq!(
            Stage::of(&plan),
            [Stage::Streams, Stage::Keyed, Stage::Table(0)]
        );
    }
}
