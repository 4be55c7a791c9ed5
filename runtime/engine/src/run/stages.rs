//! What each stage of a pipeline runs: its operators, its clients, its settings.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use headworks_plan::{
    Delivery, Edge, Ends, InternalTopic, IntoPipeline, OnBadRecord, STATE_DIR, StartFrom,
    StatePlan, Stream, TableOutput,
};
use headworks_state::Pool;

use super::{WORDING, Work, keep_going};
use crate::kafka::{self, CommitTracker, KafkaLog, Setup};
use crate::keyed::shards::Shards;
use crate::log::{LogError, Reason};
use crate::pipeline::{
    self, CompileError, InputTopic, KeyedOperator, Reads, ReplayedInput, Settings, StageOperator,
};
use crate::replay::{self, ReplayLog};
use crate::session::{self, Outcome, StopFlag};
use crate::stateless::StatelessOperator;
use crate::status::StatusHandle;
use crate::store::{Guarantee, StoreLog, TableSchema, TableSink, WriterLog};

fn open(work: &Work<'_>, setup: Setup) -> Result<KafkaLog, LogError> {
    let base = kafka::config(work.kafka).map_err(|error| LogError::NeedsPerson {
        reason: Reason::SecretMissing,
        message: error.to_string(),
    })?;
    KafkaLog::open(&base, setup)
}

/// Runs a stage whose rows come from the plan's inputs or from an exchange, by what its entry in the plan says.
pub(super) fn run(
    work: &Work<'_>,
    status: &StatusHandle,
    stop: &StopFlag,
) -> Result<Outcome, CompileError> {
    match (&work.stage.ends, &work.stage.state) {
        (Ends::Streams { .. }, None) => streams(work, status, stop),
        (Ends::Streams { results }, Some(state)) => {
            keyed(work, state, results.as_deref(), status, stop)
        }
        (Ends::Exchange(topic), None) => exchange(work, topic, status, stop),
        (Ends::Table(table), None) => self::table(work, table, status, stop),
        (Ends::Exchange(_) | Ends::Table(_), Some(_)) => pipeline::parts_differ(),
    }
}

fn streams(
    work: &Work<'_>,
    status: &StatusHandle,
    stop: &StopFlag,
) -> Result<Outcome, CompileError> {
    let mut stateless = pipeline::compile(work.plan, work.formats)?;
    if let Some(into) = into_pipeline(work) {
        stateless = pipeline::replayed(stateless, work.plan, work.stage, into, work.formats)?;
    }
    over_kafka(work, (stateless, StageOperator::Stateless), status, stop)
}

/// What a Replay does before the stage, where it runs the stage of another Pipeline.
fn into_pipeline<'a>(work: &Work<'a>) -> Option<&'a IntoPipeline> {
    work.replay.and_then(|replay| replay.into_pipeline.as_ref())
}

/// A stage that ends in Kafka.
fn over_kafka(
    work: &Work<'_>,
    operators: (StatelessOperator, StageOperator),
    status: &StatusHandle,
    stop: &StopFlag,
) -> Result<Outcome, CompileError> {
    let setup = setup(work)?;
    let open = || open(work, setup.clone());
    let settings = Arc::new(settings(work)?);
    let Some(replay) = work.replay else {
        return Ok(keep_going(open, operators, &settings, status, stop));
    };
    let bounds = replay::Settings::of(replay);
    let open = || Ok(ReplayLog::new(open()?, bounds.clone(), status.clone()));
    Ok(keep_going(open, operators, &settings, status, stop))
}

fn table(
    work: &Work<'_>,
    table: &TableOutput,
    status: &StatusHandle,
    stop: &StopFlag,
) -> Result<Outcome, CompileError> {
    let tells = pipeline::tells(work.plan, work.stage);
    let (stateless, columns) = pipeline::compile_table(work.plan, work.formats, tells)?;
    let schema = TableSchema::new(columns, &table.key);
    let setup = setup(work)?;
    let topics = setup.topics.clone();
    let settings = Arc::new(settings(work)?);
    let operators = (stateless, StageOperator::Stateless);
    let member = || open(work, setup.clone());
    let sink = work.stores.sink(table, &schema);
    if sink.guarantee() == Guarantee::IdempotentUpsert && table.key.is_empty() {
        let table = table.table.clone();
        return Err(CompileError::Keyless { table });
    }
    Ok(match sink {
        TableSink::Transactional(session) => {
            let open = || Ok(StoreLog::new(member()?, session(), topics.clone()));
            keep_going(open, operators, &settings, status, stop)
        }
        TableSink::IdempotentUpsert(session) | TableSink::AtLeastOnce(session) => {
            let open = || Ok(WriterLog::new(member()?, session()));
            keep_going(open, operators, &settings, status, stop)
        }
    })
}

/// A stage that brings rows with equal keys together.
fn exchange(
    work: &Work<'_>,
    topic: &InternalTopic,
    status: &StatusHandle,
    stop: &StopFlag,
) -> Result<Outcome, CompileError> {
    let (mut stateless, mut exchange) =
        pipeline::compile_exchange(work.plan, work.stage, topic, work.formats)?;
    if let Some(into) = into_pipeline(work) {
        stateless = pipeline::replayed(stateless, work.plan, work.stage, into, work.formats)?;
        exchange = exchange.replaying(replayed_input(work)?);
    }
    let operator = StageOperator::Exchange(Box::new(exchange));
    over_kafka(work, (stateless, operator), status, stop)
}

/// Which of the Pipeline's inputs a Replay stands in for.
fn replayed_input(work: &Work<'_>) -> Result<ReplayedInput, CompileError> {
    let [Edge::Stream(name)] = work.stage.reads.as_slice() else {
        return pipeline::parts_differ();
    };
    let mut inputs = work.plan.inputs.iter();
    let input = inputs.position(|input| input.name == *name);
    let Some(input) = input.and_then(|input| u16::try_from(input).ok()) else {
        return pipeline::parts_differ();
    };
    let letters = work
        .replay
        .is_some_and(|replay| replay.dead_letters.is_some());
    Ok(ReplayedInput { input, letters })
}

/// A stage that keeps state.
fn keyed(
    work: &Work<'_>,
    state: &StatePlan,
    results: Option<&Stream>,
    status: &StatusHandle,
    stop: &StopFlag,
) -> Result<Outcome, CompileError> {
    let Some(runs) = work.stage.runs else {
        return pipeline::parts_differ();
    };
    let compiled = pipeline::compile_keyed(work.plan, runs, state, results, work.formats)?;
    let Some(pool) = pool(state, status, stop) else {
        return Ok(Outcome::Drained);
    };
    let origins = pipeline::origins(work.plan, work.stage)?;
    let shards = Shards::new(compiled.spec, pool, origins.len());
    let operator = KeyedOperator::new(
        shards,
        compiled.results,
        &state.changelog,
        &work.stage.group,
        origins.into_iter().map(InputTopic::from).collect(),
        compiled.labelled,
    );
    let operator = StageOperator::Keyed(Box::new(operator));
    over_kafka(work, (StatelessOperator::default(), operator), status, stop)
}

/// Memory and disk for the state; none, where the stop flag was raised before they could be had.
fn pool(state: &StatePlan, status: &StatusHandle, stop: &StopFlag) -> Option<Pool> {
    let folder = Path::new(STATE_DIR);
    let folder = folder.is_dir().then(|| folder.to_owned());
    if folder.is_none() {
        tracing::warn!("there is no folder {STATE_DIR}: all state stays in memory");
    }
    loop {
        match Pool::open(state.memory_bytes, folder.clone()) {
            Ok(pool) => return Some(pool),
            Err(error) => session::report(
                &WORDING,
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

fn settings(work: &Work<'_>) -> Result<Settings, CompileError> {
    let (plan, identity) = (work.plan, work.identity);
    let (inputs, start_from) = match pipeline::reads(plan, work.stage)? {
        Reads::Streams(streams) => {
            let inputs = streams.into_iter().map(InputTopic::from).collect();
            (inputs, plan.start_from)
        }
        // It is the pipeline's own: nothing of it is left out, and nothing in it is bad.
        Reads::Exchange(topic) => {
            let input = InputTopic {
                topic: topic.topic.clone(),
                dead_letter_topic: String::new(),
                max_message_bytes: topic.max_message_bytes,
            };
            (vec![input], StartFrom::Earliest)
        }
    };
    Ok(Settings {
        pipeline: format!("{}/{}", identity.namespace, identity.name),
        inputs,
        on_bad_record: plan.on_bad_record,
        start_from,
        commit_interval: Duration::from_millis(plan.commit_interval_ms),
        accept_data_loss: plan.accept_data_loss.clone(),
    })
}

impl From<&Stream> for InputTopic {
    fn from(stream: &Stream) -> InputTopic {
        InputTopic {
            topic: stream.topic.clone(),
            dead_letter_topic: stream.dead_letter_topic.clone(),
            max_message_bytes: stream.max_message_bytes,
        }
    }
}

/// The clients of a stage.
fn setup(work: &Work<'_>) -> Result<Setup, CompileError> {
    let (plan, stage) = (work.plan, work.stage);
    let origins = pipeline::origins(plan, stage)?;
    let written = pipeline::writes(plan, stage);
    let dead_letters = origins
        .iter()
        .filter(|stream| plan.on_bad_record == OnBadRecord::DeadLetter || stream.quarantines())
        .map(|stream| stream.dead_letter_topic.clone());
    // What goes through an exchange or is state has one transaction with its positions, whatever is promised. Rows of a
    // table don't go through Kafka: their offsets are in the store's transaction, so their dead letters may as well be.
    let promised = matches!(stage.ends, Ends::Streams { .. }) && stage.state.is_none();
    Ok(Setup {
        topics: match pipeline::reads(plan, stage)? {
            Reads::Streams(streams) => streams.iter().map(|s| s.topic.clone()).collect(),
            Reads::Exchange(topic) => vec![topic.topic.clone()],
        },
        other_topics: written
            .iter()
            .map(|(topic, _)| (*topic).to_owned())
            .chain(dead_letters)
            .collect(),
        group: stage.group.clone(),
        member: work.identity.member(&stage.group),
        commit_interval_ms: plan.commit_interval_ms,
        exactly_once: !promised || plan.delivery == Delivery::ExactlyOnce,
        max_message_bytes: origins
            .iter()
            .map(|stream| stream.max_message_bytes)
            .chain(written.iter().map(|(_, most)| *most))
            .collect(),
        tracker: CommitTracker::default(),
    })
}
