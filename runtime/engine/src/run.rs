//! The engine's front door: start one pipeline, keep it going, hear how it ended.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use headworks_plan::{
    Delivery, InternalTopic, KafkaConnection, KeyedPlan, OnBadRecord, Phase, PipelinePlan, Problem,
    STATE_DIR, StartFrom, TableOutput,
};
use headworks_sql::schema::Schema;
use headworks_state::Pool;

use crate::format::Formats;
use crate::kafka::{self, KafkaLog, Setup};
use crate::keyed::shards::Shards;
use crate::log::{Log, LogError, Reason};
use crate::pipeline::{self, CompileError, Half, InputTopic, Pipeline, Second, Settings, Stage};
use crate::status::StatusHandle;
use crate::store::{StoreLog, Stores};

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

/// A part of a pipeline that runs by itself, with a consumer group and transactions of its own, so that a
/// store that is down holds up nothing but its own part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Reads the inputs and writes every output stream, in one Kafka transaction. Where the query needs state:
    /// reads the inputs and brings rows with equal keys together.
    Streams,
    /// Keeps the state of a query that needs some, and writes its output streams.
    Keyed,
    /// The table of this index in the plan.
    Table(usize),
}

impl Part {
    /// The parts of a plan. The first one tells of bad input records; the others meet the same ones.
    pub fn of(plan: &PipelinePlan) -> Vec<Part> {
        let keyed = plan.keyed.is_some();
        let streams =
            (keyed || !plan.outputs.is_empty() || plan.tables.is_empty()).then_some(Part::Streams);
        let second = keyed.then_some(Part::Keyed);
        let tables = (0..plan.tables.len()).map(Part::Table);
        streams.into_iter().chain(second).chain(tables).collect()
    }
}

/// What the engine is to run, and with what.
#[derive(Clone)]
pub struct Work<'a> {
    /// The pipeline.
    pub plan: &'a PipelinePlan,
    /// Which part of it.
    pub part: Part,
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
    /// Runs a part of a pipeline on the calling thread until `stop` is raised.
    ///
    /// Blocking: give it an OS thread of its own. Everything a user should know meanwhile is in
    /// `status`.
    pub fn run(work: &Work<'_>, status: &StatusHandle, stop: &StopFlag) -> Outcome {
        status.set_phase(Phase::Starting);
        let running = match (&work.plan.keyed, work.part) {
            (None, Part::Streams) => streams(work, status, stop),
            (None, Part::Keyed) => pipeline::parts_differ(),
            (None, Part::Table(index)) => table(work, index, status, stop),
            (Some(keyed), Part::Streams) => first(work, keyed, status, stop),
            (Some(keyed), Part::Keyed) => second(work, keyed, status, stop),
            (Some(_), Part::Table(index)) => match pipeline::table_plan(work.plan) {
                Some(plan) => {
                    let work = Work {
                        plan: &plan,
                        ..work.clone()
                    };
                    table(&work, index, status, stop)
                }
                None => pipeline::parts_differ(),
            },
        };
        running.unwrap_or_else(|error| {
            let refused = LogError::NeedsPerson {
                reason: Reason::PlanRefused,
                message: error.to_string(),
            };
            report(status, &refused);
            park(stop)
        })
    }
}

fn open(work: &Work<'_>, setup: Setup) -> Result<KafkaLog, LogError> {
    let base = kafka::config(work.kafka).map_err(|error| LogError::NeedsPerson {
        reason: Reason::SecretMissing,
        message: error.to_string(),
    })?;
    KafkaLog::open(&base, setup)
}

fn streams(
    work: &Work<'_>,
    status: &StatusHandle,
    stop: &StopFlag,
) -> Result<Outcome, CompileError> {
    let stage = pipeline::compile(work.plan, work.formats)?;
    let exactly_once = work.plan.delivery == Delivery::ExactlyOnce;
    let outputs: Vec<Written<'_>> = work.plan.outputs.iter().map(Written::from).collect();
    let open = || open(work, setup(work, &work.plan.group, &outputs, exactly_once));
    let settings = Arc::new(settings(work.plan, work.identity));
    Ok(keep_going(
        open,
        (stage, Half::None),
        &settings,
        status,
        stop,
    ))
}

fn table(
    work: &Work<'_>,
    index: usize,
    status: &StatusHandle,
    stop: &StopFlag,
) -> Result<Outcome, CompileError> {
    let plan = work.plan;
    let (stage, (table, columns)) = table_stage(work, index)?;
    let topics: Vec<String> = plan
        .inputs
        .iter()
        .map(|stream| stream.topic.clone())
        .collect();
    let open = || {
        // Rows don't go through Kafka. Their offsets are in their transaction whatever is promised, so their
        // letters may as well be.
        let log = open(work, setup(work, &table.group, &[], true))?;
        let store = work.stores.open(table, &columns);
        Ok(StoreLog::new(log, store, topics.clone()))
    };
    let settings = Arc::new(settings(plan, work.identity));
    Ok(keep_going(
        open,
        (stage, Half::None),
        &settings,
        status,
        stop,
    ))
}

/// The first part of a pipeline with state.
fn first(
    work: &Work<'_>,
    keyed: &KeyedPlan,
    status: &StatusHandle,
    stop: &StopFlag,
) -> Result<Outcome, CompileError> {
    let (stage, first) = pipeline::compile_first(work.plan, keyed, work.formats)?;
    let outputs = [Written::from(&keyed.repartition)];
    let open = || open(work, setup(work, &work.plan.group, &outputs, true));
    let settings = Arc::new(settings(work.plan, work.identity));
    let half = Half::First(Box::new(first));
    Ok(keep_going(open, (stage, half), &settings, status, stop))
}

/// The second part of a pipeline with state.
fn second(
    work: &Work<'_>,
    keyed: &KeyedPlan,
    status: &StatusHandle,
    stop: &StopFlag,
) -> Result<Outcome, CompileError> {
    let plan = work.plan;
    let compiled = pipeline::compile_second(plan, keyed, work.formats)?;
    let Some(pool) = pool(keyed, status, stop) else {
        return Ok(Outcome::Drained);
    };
    let shards = Shards::new(compiled.spec, pool, plan.inputs.len());
    let inputs = settings(plan, work.identity).inputs;
    let second = Second::new(
        shards,
        compiled.results,
        &keyed.changelog.topic,
        &keyed.group,
        inputs,
        compiled.labelled,
    );
    let streams = plan.outputs.iter().chain(&keyed.results);
    let outputs: Vec<Written<'_>> = streams
        .map(Written::from)
        .chain([Written::from(&keyed.changelog)])
        .collect();
    let open = || {
        let mut setup = setup(work, &keyed.group, &outputs, true);
        setup.topics = vec![keyed.repartition.topic.clone()];
        open(work, setup)
    };
    let settings = Settings {
        inputs: vec![InputTopic {
            topic: keyed.repartition.topic.clone(),
            dead_letter_topic: String::new(),
            max_message_bytes: keyed.repartition.max_message_bytes,
        }],
        // Its input is the pipeline's own, and nothing of it is left out.
        start_from: StartFrom::Earliest,
        ..settings(plan, work.identity)
    };
    let half = Half::Second(Box::new(second));
    Ok(keep_going(
        open,
        (Stage::default(), half),
        &Arc::new(settings),
        status,
        stop,
    ))
}

/// Memory and disk for the state; none, where the stop flag was raised before they could be had.
fn pool(keyed: &KeyedPlan, status: &StatusHandle, stop: &StopFlag) -> Option<Pool> {
    let folder = Path::new(STATE_DIR);
    let folder = folder.is_dir().then(|| folder.to_owned());
    if folder.is_none() {
        tracing::warn!("there is no folder {STATE_DIR}: all state stays in memory");
    }
    loop {
        match Pool::open(keyed.memory_bytes, folder.clone()) {
            Ok(pool) => return Some(pool),
            Err(error) => report(
                status,
                &LogError::NeedsPerson {
                    reason: Reason::StateDisk,
                    message: error.to_string(),
                },
            ),
        }
        if stop.wait(Duration::from_secs(10)) {
            return None;
        }
    }
}

/// The stage of a table, with the table and the columns of its rows.
fn table_stage<'a>(
    work: &Work<'a>,
    index: usize,
) -> Result<(Stage, (&'a TableOutput, Schema)), CompileError> {
    let table = work
        .plan
        .tables
        .get(index)
        .ok_or(CompileError::NoTable { index })?;
    let tells = Part::of(work.plan).first() == Some(&work.part);
    let (stage, columns) =
        pipeline::compile_table(work.plan, table, work.formats, work.stores, tells)?;
    Ok((stage, (table, columns)))
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

/// A topic that is written to.
struct Written<'a> {
    topic: &'a str,
    max_message_bytes: u64,
}

impl<'a> From<&'a headworks_plan::Stream> for Written<'a> {
    fn from(stream: &'a headworks_plan::Stream) -> Written<'a> {
        Written {
            topic: &stream.topic,
            max_message_bytes: stream.max_message_bytes,
        }
    }
}

impl<'a> From<&'a InternalTopic> for Written<'a> {
    fn from(topic: &'a InternalTopic) -> Written<'a> {
        Written {
            topic: &topic.topic,
            max_message_bytes: topic.max_message_bytes,
        }
    }
}

/// The clients of a part that reads the plan's inputs.
fn setup(work: &Work<'_>, group: &str, outputs: &[Written<'_>], exactly_once: bool) -> Setup {
    let plan = work.plan;
    let dead_letters = plan
        .inputs
        .iter()
        .filter(|_| plan.on_bad_record == OnBadRecord::DeadLetter)
        .map(|stream| stream.dead_letter_topic.clone());
    let limits = outputs.iter().map(|output| output.max_message_bytes);
    Setup {
        topics: plan
            .inputs
            .iter()
            .map(|stream| stream.topic.clone())
            .collect(),
        other_topics: outputs
            .iter()
            .map(|output| output.topic.to_owned())
            .chain(dead_letters)
            .collect(),
        group: group.to_owned(),
        member: work.identity.member(group),
        commit_interval_ms: plan.commit_interval_ms,
        exactly_once,
        max_message_bytes: plan
            .inputs
            .iter()
            .map(|stream| stream.max_message_bytes)
            .chain(limits)
            .collect(),
    }
}

/// Session after session, until the stop flag is raised.
fn keep_going<L: Log>(
    mut open: impl FnMut() -> Result<L, LogError>,
    (mut stage, mut half): (Stage, Half),
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
                let mut session =
                    Pipeline::with_half(log, stage, half, Arc::clone(settings), status.clone());
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
                (stage, half) = session.into_stage();
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
        LogError::Held { reason, .. } => (reason.as_str(), said, reason.needs_person()),
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
    status.hold_up(Problem {
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
                    part: Part::Streams,
                    kafka: &KafkaConnection::default(),
                    identity: &identity,
                    formats: &crate::words::WordFormats,
                    stores: &crate::words::NoStores,
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
