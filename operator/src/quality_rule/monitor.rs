//! The monitors of a rule: the Pipelines that judge windows, and the stream of their verdicts. What they are is said purely; they are
//! written as all that kinds of ours own is (`owned_objects`).

use std::collections::{BTreeMap, BTreeSet};

use headworks_crds::{
    Compatibility, DataStream, DataStreamSpec, DeletionPolicy, EventTime, Field, OnBadRecord,
    Pipeline, PipelineSpec, QualityRule, Quantity, StartFrom, StateBounds, Target,
    conditions::{READY, STALLED, find},
};
use headworks_plan::Figures;
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use kube::{Resource, ResourceExt};

use crate::{
    context::Context,
    names::Key,
    owned_objects::{OwnedKind, Owners, monitors::FAMILY},
    planning::rules::monitor::{self, Judges, Monitor, Monitors},
    reason::ConditionReason,
    reports::Coarse,
    retry::Error,
    status::ReconcileOutcome,
};

/// How long verdicts are kept.
const RETENTION_MS: u64 = 30 * 86_400_000;
/// Longest time between two commits of a monitor: nobody waits for a verdict by the tenth of a second, and each costs Kafka something.
const COMMIT_MS: u64 = 1_000;
/// A monitor is behind from this on, or from two windows on.
const BEHIND_MS: u64 = 60_000;

/// How a monitor is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MonitorState {
    /// It judges.
    Judges,
    /// It isn't ready yet, with what its Pipeline says.
    Starting(String),
    /// Somebody must act, with what its Pipeline says.
    Stalled(String),
    /// It doesn't keep up, with how far it is behind.
    Behind(String),
}

/// What the pods of each monitor say, by the Pipeline's name.
pub fn heard(
    key: &Key,
    monitors: Option<&Monitors>,
    context: &Context,
) -> BTreeMap<String, Vec<Figures>> {
    let queries = monitors.into_iter().flat_map(|all| &all.queries);
    let said = queries.map(|one| {
        let pipeline = Key::new("Pipeline", &key.namespace, &one.name);
        (one.name.clone(), context.reports.of_pods(&pipeline))
    });
    said.collect()
}

/// Makes the monitors that a rule should have, and takes the others away.
///
/// # Errors
/// `OwnedByAnother`; what the API server says.
pub async fn apply(
    rule: &QualityRule,
    key: &Key,
    monitors: Option<&Monitors>,
    platform: &str,
    context: &Context,
    now: Timestamp,
) -> Result<(), Error> {
    let uid = rule.uid().unwrap_or_default();
    let owners = Owners::Controller(&uid);
    let mut wanted = BTreeSet::new();
    if let Some(monitors) = monitors {
        wanted.insert(monitors.verdicts.clone());
        wanted.extend(monitors.queries.iter().map(|one| one.name.clone()));
        let stream = stream(rule, &monitors.verdicts, platform);
        FAMILY.put(context, &stream, owners).await?;
    }
    for one in monitors.into_iter().flat_map(|all| &all.queries) {
        let live = context.stores.pipeline(&key.namespace, &one.name);
        let ours = live.filter(|live| FAMILY.claims(live));
        if let Some(other) = ours.as_ref().filter(|live| needs_another_state(live)) {
            // It is made again, with the new checks, once it is gone.
            context.remove(other).await?;
            continue;
        }
        let start = ours.and_then(|live| live.spec.start_from);
        let start = start.unwrap_or_else(|| beginning(one.window_ms, now));
        let verdicts = monitors.map_or("", |all| all.verdicts.as_str());
        let pipeline = pipeline(rule, one, verdicts, platform, start);
        FAMILY.put(context, &pipeline, owners).await?;
    }
    sweep::<Pipeline>(context, key, &uid, &wanted).await?;
    sweep::<DataStream>(context, key, &uid, &wanted).await
}

/// Takes away what the rule owns and has no need of any more.
async fn sweep<K: OwnedKind>(
    context: &Context,
    key: &Key,
    uid: &str,
    wanted: &BTreeSet<String>,
) -> Result<(), Error> {
    for child in FAMILY.owned_by::<K>(context, &key.namespace, uid) {
        if !wanted.contains(&child.name_any()) {
            context.remove(&child).await?;
        }
    }
    Ok(())
}

/// The changed query can't go on with what the Pipeline keeps of the windows that are open.
fn needs_another_state(pipeline: &Pipeline) -> bool {
    let status = pipeline.status.as_ref();
    let conditions = status.map(|status| status.conditions.as_slice());
    let stalled = conditions.and_then(|all| find(all, STALLED));
    stalled.is_some_and(|stalled| {
        stalled.reason == ConditionReason::StateChange.as_str()
            && stalled.observed_generation == pipeline.metadata.generation
    })
}

/// Where a new monitor begins: with the window before the present one, which is there as a whole.
fn beginning(window_ms: u64, now: Timestamp) -> StartFrom {
    let window = i64::try_from(window_ms).unwrap_or(i64::MAX).max(1);
    let now = now.as_millisecond();
    let start = now
        .div_euclid(window)
        .saturating_sub(1)
        .saturating_mul(window);
    StartFrom {
        position: None,
        time: Timestamp::from_second(start.div_euclid(1_000))
            .ok()
            .map(Time),
    }
}

/// The stream of a rule's verdicts, by its name.
pub fn stream(rule: &QualityRule, verdicts: &str, platform: &str) -> DataStream {
    let fields = monitor::contract().map(|field| Field {
        name: field.name,
        type_: field.type_,
        nullable: field.nullable,
        description: None,
        labels: Vec::new(),
    });
    let spec = DataStreamSpec {
        platform: platform.to_owned(),
        description: Some(format!(
            "What QualityRule {} found of each window of {}.",
            rule.name_any(),
            rule.spec.stream
        )),
        partitions: Some(1),
        retention: Some(headworks_crds::Duration::from_millis(RETENTION_MS)),
        compatibility: Compatibility::None,
        event_time: Some(EventTime::of("window_time")),
        deletion_policy: DeletionPolicy::Delete,
        ..DataStreamSpec::new(fields.into())
    };
    let mut stream = DataStream::new(verdicts, spec);
    stream.metadata = metadata(rule, verdicts);
    stream
}

/// The Pipeline of a monitor.
pub fn pipeline(
    rule: &QualityRule,
    of: &Monitor,
    verdicts: &str,
    platform: &str,
    start: StartFrom,
) -> Pipeline {
    let target = Target {
        stream: Some(verdicts.to_owned()),
        ..Target::default()
    };
    // One row a window is little; keys are as many as there are.
    let state = matches!(of.judges, Judges::Windows(_)).then(|| StateBounds {
        memory: Quantity::mebibytes(16),
        disk: Some(Quantity::mebibytes(64)),
        ..StateBounds::default()
    });
    let spec = PipelineSpec {
        platform: platform.to_owned(),
        start_from: Some(start),
        commit_interval: headworks_crds::Duration::from_millis(COMMIT_MS),
        // What can't be read becomes a dead letter where the stream is used.
        on_bad_record: OnBadRecord::Drop,
        state,
        suspend: rule.spec.suspend,
        deletion_policy: DeletionPolicy::Delete,
        ..PipelineSpec::new(of.sql.clone(), vec![target])
    };
    let mut pipeline = Pipeline::new(&of.name, spec);
    pipeline.metadata = metadata(rule, &of.name);
    pipeline
}

fn metadata(
    rule: &QualityRule,
    name: &str,
) -> k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
    let owner = rule.controller_owner_ref(&()).into_iter().collect();
    let namespace = rule.namespace().unwrap_or_default();
    FAMILY.meta(&namespace, name, rule.spec.stream.clone(), owner)
}

/// How each monitor is, by the Pipeline's name.
pub fn states(
    key: &Key,
    monitors: Option<&Monitors>,
    context: &Context,
) -> Vec<(String, MonitorState)> {
    let queries = monitors.into_iter().flat_map(|all| &all.queries);
    let state = |one: &Monitor| {
        let pipeline = Key::new("Pipeline", &key.namespace, &one.name);
        let live = context.stores.pipeline(&key.namespace, &one.name);
        let figures = context.reports.figures(&pipeline);
        let state = state(live.as_ref(), figures.as_ref(), one.window_ms);
        (one.name.clone(), state)
    };
    queries.map(state).collect()
}

/// Pure.
fn state(live: Option<&Pipeline>, figures: Option<&Coarse>, window_ms: u64) -> MonitorState {
    let status = live.and_then(|live| live.status.as_ref());
    let conditions = status.map_or(&[][..], |status| status.conditions.as_slice());
    if let Some(stalled) = find(conditions, STALLED) {
        // Its own remedy is on its way.
        let text = format!("{}: {}", stalled.reason, stalled.message);
        return if live.is_some_and(needs_another_state) {
            MonitorState::Starting(text)
        } else {
            MonitorState::Stalled(text)
        };
    }
    let Some(ready) = find(conditions, READY) else {
        return MonitorState::Starting("it wasn't looked at yet".to_owned());
    };
    if ready.status != "True" {
        return MonitorState::Starting(format!("{}: {}", ready.reason, ready.message));
    }
    let late = figures.and_then(|figures| Some((figures.lag?, figures.delay_ms?)));
    match late {
        Some((lag, delay)) if lag > 0 && delay > BEHIND_MS.max(window_ms.saturating_mul(2)) => {
            MonitorState::Behind(format!(
                "{lag} records are not read yet, and it is {} behind",
                headworks_crds::Duration::from_millis(delay)
            ))
        }
        _ => MonitorState::Judges,
    }
}

/// What becomes of an outcome: the worst of the monitors is said, where all is well otherwise.
pub fn with(outcome: ReconcileOutcome, states: &[(String, MonitorState)]) -> ReconcileOutcome {
    if !outcome.ready {
        return outcome;
    }
    let said = |of: fn(&MonitorState) -> Option<&String>| {
        let mut all = states.iter();
        all.find_map(|(name, state)| of(state).map(|text| (name, text)))
    };
    let stalled = said(|state| match state {
        MonitorState::Stalled(text) => Some(text),
        _ => None,
    });
    let starting = said(|state| match state {
        MonitorState::Starting(text) => Some(text),
        _ => None,
    });
    let behind = said(|state| match state {
        MonitorState::Behind(text) => Some(text),
        _ => None,
    });
    let (reason, message) = if let Some((name, text)) = stalled {
        let message = format!("windows aren't judged: Pipeline {name} is Stalled: {text}");
        (ConditionReason::MonitorStalled, message)
    } else if let Some((name, text)) = starting {
        let message = format!("windows aren't judged yet: Pipeline {name}: {text}");
        (ConditionReason::MonitorStarting, message)
    } else if let Some((name, text)) = behind {
        let message = format!(
            "verdicts come late: Pipeline {name} doesn't keep up: {text}; give the Platform's podTemplate more cpu, or judge fewer records by spec.filter"
        );
        (ConditionReason::MonitorBehind, message)
    } else {
        return outcome;
    };
    ReconcileOutcome {
        ready: false,
        reason: reason.into(),
        message,
        ..outcome
    }
}

#[cfg(test)]
mod tests;
