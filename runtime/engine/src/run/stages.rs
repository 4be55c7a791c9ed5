//! What each stage of a pipeline runs: its operators, its clients, its settings.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use headworks_plan::{
    Delivery, InternalTopic, KeyedPlan, OnBadRecord, PipelinePlan, STATE_DIR, StartFrom,
    TableOutput,
};
use headworks_state::Pool;

use super::{Identity, Stage, WORDING, Work, keep_going};
use crate::kafka::{self, CommitTracker, KafkaLog, Setup};
use crate::keyed::shards::Shards;
use crate::log::{LogError, Reason};
use crate::pipeline::{self, CompileError, InputTopic, KeyedOperator, Settings, StageOperator};
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

pub(super) fn streams(
    work: &Work<'_>,
    status: &StatusHandle,
    stop: &StopFlag,
) -> Result<Outcome, CompileError> {
    let stateless = pipeline::compile(work.plan, work.formats)?;
    let exactly_once = work.plan.delivery == Delivery::ExactlyOnce;
    let outputs: Vec<Written<'_>> = work.plan.outputs.iter().map(Written::from).collect();
    let setup = setup(work, &work.plan.group, &outputs, exactly_once);
    let open = || open(work, setup.clone());
    let settings = Arc::new(settings(work.plan, work.identity));
    Ok(keep_going(
        open,
        (stateless, StageOperator::Stateless),
        &settings,
        status,
        stop,
    ))
}

pub(super) fn table(
    work: &Work<'_>,
    index: usize,
    status: &StatusHandle,
    stop: &StopFlag,
) -> Result<Outcome, CompileError> {
    let plan = work.plan;
    let (stateless, (table, schema)) = table_operator(work, index)?;
    let topics: Vec<String> = plan
        .inputs
        .iter()
        .map(|stream| stream.topic.clone())
        .collect();
    // Rows don't go through Kafka. Their offsets are in their transaction whatever is promised, so their
    // dead letters may as well be.
    let setup = setup(work, &table.group, &[], true);
    let settings = Arc::new(settings(plan, work.identity));
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

/// The first stage of a pipeline with state.
pub(super) fn exchange(
    work: &Work<'_>,
    keyed: &KeyedPlan,
    status: &StatusHandle,
    stop: &StopFlag,
) -> Result<Outcome, CompileError> {
    let (stateless, exchange) = pipeline::compile_exchange(work.plan, keyed, work.formats)?;
    let outputs = [Written::from(&keyed.repartition)];
    let setup = setup(work, &work.plan.group, &outputs, true);
    let open = || open(work, setup.clone());
    let settings = Arc::new(settings(work.plan, work.identity));
    let operator = StageOperator::Exchange(Box::new(exchange));
    Ok(keep_going(
        open,
        (stateless, operator),
        &settings,
        status,
        stop,
    ))
}

/// The second stage of a pipeline with state.
pub(super) fn keyed(
    work: &Work<'_>,
    keyed: &KeyedPlan,
    status: &StatusHandle,
    stop: &StopFlag,
) -> Result<Outcome, CompileError> {
    let plan = work.plan;
    let compiled = pipeline::compile_keyed(plan, keyed, work.formats)?;
    let Some(pool) = pool(keyed, status, stop) else {
        return Ok(Outcome::Drained);
    };
    let shards = Shards::new(compiled.spec, pool, plan.inputs.len());
    let inputs = settings(plan, work.identity).inputs;
    let operator = KeyedOperator::new(
        shards,
        compiled.results,
        &keyed.changelog,
        &keyed.group,
        inputs,
        compiled.labelled,
    );
    let streams = plan.outputs.iter().chain(&keyed.results);
    let outputs: Vec<Written<'_>> = streams
        .map(Written::from)
        .chain([Written::from(&keyed.changelog)])
        .collect();
    let mut setup = setup(work, &keyed.group, &outputs, true);
    setup.topics = vec![keyed.repartition.topic.clone()];
    let open = || open(work, setup.clone());
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
    let operator = StageOperator::Keyed(Box::new(operator));
    Ok(keep_going(
        open,
        (StatelessOperator::default(), operator),
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

/// The stage of a table, with the table and what its rows' columns mean.
fn table_operator<'a>(
    work: &Work<'a>,
    index: usize,
) -> Result<(StatelessOperator, (&'a TableOutput, TableSchema)), CompileError> {
    let table = work
        .plan
        .tables
        .get(index)
        .ok_or(CompileError::NoTable { index })?;
    let tells = Stage::of(work.plan).first() == Some(&work.stage);
    let (stateless, columns) = pipeline::compile_table(work.plan, work.formats, tells)?;
    let schema = TableSchema::new(columns, &table.key);
    Ok((stateless, (table, schema)))
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

/// The clients of a stage that reads the plan's inputs.
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
        tracker: CommitTracker::default(),
    }
}
