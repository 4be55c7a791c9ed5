//! What runs for a Replay: one pod with a number, because its transactions are named by it. Pure.

use headworks_crds::{ANNOTATION_ACCEPT_DATA_LOSS, Quantity, Replay, ReplaySpec, ReplayStatus};
use headworks_plan::{self as plan, names, stage_id};
use kube::ResourceExt;

use super::{dereference::References, into_pipeline, validate};
use crate::{
    connection,
    data_stream::resolve::ResolvedStream,
    names::{Key, digest},
    retry::Error,
    workload::{OnKafka, Shape, Workload, resources::Needs},
};

/// Longest time between two commits: how late a reader may see a record, and how much a kill has done again.
const COMMIT_INTERVAL_MS: u64 = 500;
/// Digits of the digest that is kept in Kafka.
const ID_DIGITS: usize = 16;

/// What is replayed, how, and into what, as a digest: what the API server lets nobody change. A Replay of the same name that does
/// something else mustn't go on where this one was.
pub fn id(spec: &ReplaySpec) -> String {
    // A struct's fields stand in the order of its declaration, whatever else is built with it.
    let into = match spec.into_pipeline() {
        // No stream is called so.
        Some(pipeline) => format!("Pipeline/{pipeline}"),
        None => spec.target().to_owned(),
    };
    let what = serde_json::to_string(&(&spec.from, &spec.fix, into)).unwrap_or_default();
    let mut id = digest(what.as_bytes());
    id.truncate(ID_DIGITS);
    id
}

/// What the plan says of whether it has begun. `runs`: pods run, or are to, by one of the plans `live`; what these say stays, so that
/// a pod that works isn't rolled for it. The next pod is told what the status knows: bounds of more than nothing are shown only once
/// they are committed.
pub fn has_begun(status: &ReplayStatus, runs: bool, live: &[plan::Plan]) -> bool {
    if !runs {
        return status.of.is_some_and(|of| of > 0);
    }
    let mut replays = live.iter().filter_map(|plan| plan.role.replay());
    replays.any(|replay| replay.begun)
}

/// Builds it of a Replay that is right. `begun`: see [`has_begun`]. Gives the consumer group, too.
///
/// # Errors
/// `NotSupported`: a Pipeline that no Replay can go into.
pub fn build(
    replay: &Replay,
    found: &References,
    sql: String,
    begun: bool,
) -> Result<(Workload, String), Error> {
    let spec = &replay.spec;
    let platform = &found.platform.platform.spec;
    let key = Key::of(replay);
    let installation = &found.platform.installation;
    let group = names::replay_group(installation, &key.namespace, &key.name);
    let own = spec.pod_template.clone().unwrap_or_default();
    let registries = [&found.source, &found.target];
    let registry = registries.iter().find_map(|one| one.registry.clone());
    let of_pipeline = found.pipeline.as_ref().and_then(|p| p.registry.clone());
    let between = Between {
        source: &found.source,
        target: &found.target,
        pipeline: found.pipeline.as_ref(),
    };
    let role = plan::ReplayPlan {
        begun,
        ..role(replay, between, sql, &group)?
    };
    let workload = Workload {
        name: key.name.clone(),
        shape: Shape::StatefulSet,
        replicas: 1,
        suspended: spec
            .suspend
            .then_some("spec.suspend is true: no pod runs, what was replayed is kept"),
        plan: plan::Plan {
            registry: registry.or(of_pipeline),
            version: plan::VERSION,
            installation: installation.clone(),
            namespace: key.namespace.clone(),
            name: key.name.clone(),
            kafka: connection::connection(&platform.kafka),
            role: if role.into_pipeline.is_some() {
                plan::Role::ReplayIntoPipeline(role)
            } else {
                plan::Role::Replay(role)
            },
        },
        kafka: Some(OnKafka {
            platform: found.platform.clone(),
            ca: found.ca.clone(),
        }),
        template: own.over(&platform.pod_template.clone().unwrap_or_default()),
        volumes: Vec::new(),
        secrets: Vec::new(),
        stores: Vec::new(),
        needs: Needs::default(),
        http: None,
    };
    Ok((workload, group))
}

/// What a Replay reads and writes.
#[derive(Clone, Copy, Debug)]
pub struct Between<'a> {
    /// The stream that is replayed.
    pub source: &'a ResolvedStream,
    /// The stream that is written, or read by the Pipeline.
    pub target: &'a ResolvedStream,
    /// The plan of the Pipeline that the records go into, if they go into one.
    pub pipeline: Option<&'a plan::Plan>,
}

/// What its pod is told, and what `headworks replay plan` has judged. `sql` is what [`validate::check`] gives.
///
/// # Errors
/// `NotSupported`: a Pipeline that no Replay can go into.
pub fn role(
    replay: &Replay,
    found: Between<'_>,
    sql: String,
    group: &str,
) -> Result<plan::ReplayPlan, Error> {
    let spec = &replay.spec;
    let from = &spec.from;
    let letters = from.dead_letter_of.is_some();
    let mut input = found.source.untimed();
    input.rules = into_pipeline::applied(&input.rules);
    if letters {
        // Its dead letters are read as its records, and what is refused again is put there again.
        input.topic.clone_from(&input.dead_letter_topic);
    }
    let of_pipeline = found.pipeline.and_then(|plan| match &plan.role {
        plan::Role::Pipeline(pipeline) => Some(pipeline),
        _ => None,
    });
    if letters && of_pipeline.is_none() {
        // They are judged as what becomes of them.
        input.rules.clear();
    }
    let mut output = found.target.untimed();
    output.rules = into_pipeline::applied(&output.rules);
    let name = input.name.clone();
    let namespace = replay.namespace().unwrap_or_default();
    // The Pipeline has used what others couldn't.
    let own = spec.into_pipeline().filter(|_| from.by.is_empty());
    let by = from.by.iter().map(String::as_str).chain(own);
    let selection = plan::DeadLetterSelection {
        reasons: from.reasons.iter().map(|r| r.as_str().into()).collect(),
        rules: from.rules.clone(),
        by: by.map(|name| format!("{namespace}/{name}")).collect(),
    };
    let start_from = match &from.start {
        Some(start) => plan::StartFrom::Time(start.0.as_millisecond()),
        None => plan::StartFrom::Earliest,
    };
    let fix = validate::fix(spec, sql.clone());
    let query = plan::PipelinePlan {
        sql,
        inputs: vec![input.clone()],
        outputs: vec![output],
        delivery: plan::Delivery::ExactlyOnce,
        commit_interval_ms: COMMIT_INTERVAL_MS,
        start_from,
        on_bad_record: plan::OnBadRecord::DeadLetter,
        on_overflow: plan::OnOverflow::DeadLetter,
        stages: vec![plan::StagePlan {
            id: stage_id::STREAMS.into(),
            runs: Some(0),
            group: group.to_owned(),
            reads: vec![plan::Edge::Stream(name)],
            ends: plan::Ends::Streams { results: None },
            state: None,
            max_drift_ms: None,
        }],
        accept_data_loss: replay
            .annotations()
            .get(ANNOTATION_ACCEPT_DATA_LOSS)
            .cloned(),
        verdicts: None,
    };
    let query = match of_pipeline {
        None => query,
        Some(pipeline) => {
            let stage = into_pipeline::stage(spec, pipeline)?;
            into_pipeline::query(pipeline, stage, &input, query, group)
        }
    };
    Ok(plan::ReplayPlan {
        query,
        into_pipeline: of_pipeline.map(|_| plan::IntoPipeline { fix }),
        id: id(spec),
        end_ms: from.end.as_ref().map(|end| end.0.as_millisecond()),
        dead_letters: letters.then_some(selection),
        records_per_second: spec.records_per_second.as_ref().map(Quantity::value),
        begun: false,
    })
}

#[cfg(test)]
mod tests;
