//! What the pods of a canary are told: to do as a Pipeline does, without troubling others; and when its time is over, to compare.

use headworks_crds::{Pipeline, PipelineSpec, PipelineStatus, RolloutPhase};
use headworks_plan::{self as plan, ComparePlan, Role, Rule, RuleAction};
use headworks_sql::{Catalog, Dataflow};
use kube::ResourceExt;

use super::{
    progress,
    shadow::{self, FAMILY, own_columns},
};
use crate::{
    context::Context,
    data_stream::resolve::stream_rules,
    names::Key,
    pipeline::{
        dereference::{References, dereference},
        native::build,
    },
    planning::{self, canary::judged_stream, versions},
    reason::ConditionReason,
    retry::Error,
    workload::Workload,
};

/// What the pods of a canary are told besides.
pub enum Beside {
    /// To do as a Pipeline does, and to trouble nobody.
    Quiet,
    /// To compare; and how to reach the schema registry, if one of the streams has ids of it.
    Compare(Box<ComparePlan>, Option<plan::RegistryConnection>),
}

/// What the pods of a Pipeline are told besides, if it is a canary.
///
/// # Errors
/// What the old version's query refers to isn't there any more.
pub async fn of_canary(
    pipeline: &Pipeline,
    key: &Key,
    (found, dataflow): (&References, &Dataflow),
    context: &Context,
) -> Result<Option<Beside>, Error> {
    let Some(parent) = shadow::parent(pipeline, context) else {
        // One whose Pipeline went before it goes, too, and troubles nobody until then.
        return Ok(FAMILY.claims(pipeline).then_some(Beside::Quiet));
    };
    let status = parent.status.clone().unwrap_or_default();
    let beside = if is_comparing(pipeline, &status) {
        compare(pipeline, &parent, key, (found, dataflow), context).await?
    } else {
        Beside::Quiet
    };
    Ok(Some(beside))
}

/// The workload as a canary's pods are told it.
pub fn told(beside: Beside, workload: Workload) -> Workload {
    match beside {
        Beside::Quiet => quiet(workload),
        Beside::Compare(plan, registry) => Workload {
            plan: plan::Plan {
                registry,
                role: Role::Compare(plan),
                ..workload.plan
            },
            replicas: 1,
            ..workload
        },
    }
}

/// True: the time of this version is over, by the status of the Pipeline whose it is.
fn is_comparing(shadow: &Pipeline, status: &PipelineStatus) -> bool {
    status.rollout.as_ref().is_some_and(|rollout| {
        rollout.phase == Some(RolloutPhase::Comparing)
            && rollout.id.as_ref() == shadow.annotations().get(FAMILY.content)
    })
}

/// A record that a rule makes a dead letter is one already: by the old version.
fn quiet(mut workload: Workload) -> Workload {
    if let Role::Pipeline(query) = &mut workload.plan.role {
        let rules = query.inputs.iter_mut().flat_map(|input| &mut input.rules);
        for check in rules.flat_map(|rule: &mut Rule| &mut rule.checks) {
            if check.action == RuleAction::DeadLetter {
                check.action = RuleAction::Drop;
            }
        }
    }
    workload
}

async fn compare(
    shadow: &Pipeline,
    parent: &Pipeline,
    key: &Key,
    (found, dataflow): (&References, &Dataflow),
    context: &Context,
) -> Result<Beside, Error> {
    let rollout = parent.status.clone().unwrap_or_default().rollout;
    let rollout = rollout.unwrap_or_default();
    let id = progress::comparison_id(&rollout);
    let (Some(old), Some(began), Some(until), Some(id)) =
        (&rollout.in_force, &rollout.began, &rollout.until, id)
    else {
        return Ok(Beside::Quiet);
    };
    let canary = parent.spec.canary().cloned().unwrap_or_default();
    let compare = canary.compare.unwrap_or_default();
    let mut before = shadow.clone();
    before.spec = versions::with(&parent.spec, old);
    before.spec.to.clone_from(&shadow.spec.to);
    let of_old = dereference(&before, key, context).await?;
    let old_dataflow = planned(&before.spec, &of_old)?;
    let both = [
        in_memory(&before, &of_old, &old_dataflow),
        in_memory(shadow, found, dataflow),
    ];
    let [Some((old, registry)), Some((new, other))] = both else {
        return Ok(Beside::Quiet);
    };
    let judged = judged_stream(&parent.spec).zip(found.outputs.first());
    let judged = judged
        .filter(|_| !canary.rules.is_empty())
        .map(|(target, output)| {
            let rules = stream_rules(context, &key.namespace, target, &output.stream.contract);
            let mut rules = rules.planned;
            rules.retain(|rule| canary.rules.contains(&rule.name));
            plan::Stream {
                rules,
                ..output.written()
            }
        });
    let plan = ComparePlan {
        id,
        old,
        new,
        from_ms: began.0.as_millisecond(),
        until_ms: until.0.as_millisecond(),
        keys: compare.keys,
        sums: compare.sums,
        shadow: judged,
    };
    Ok(Beside::Compare(Box::new(plan), registry.or(other)))
}

/// The dataflow of a query that ran before: whether its columns fit the canary's stream is no matter.
///
/// # Errors
/// `InvalidSql`.
pub fn planned(spec: &PipelineSpec, found: &References) -> Result<Dataflow, Error> {
    let inputs = found.inputs.iter();
    let catalog = inputs.fold(Catalog::new(), |catalog, input| {
        catalog.with(input.stream.name.clone(), input.stream.contract.clone())
    });
    let catalog = catalog.on_overflow(planning::query::overflow(spec));
    headworks_sql::plan(&spec.sql, &catalog).map_err(|errors| {
        Error::stalled(
            ConditionReason::InvalidSql,
            format!(
                "the version in force can't be compared: {}",
                planning::query::places(&errors)
            ),
        )
    })
}

/// A version as it is run in memory: its one output is the query's own columns. Gives the schema registry of its streams, too.
fn in_memory(
    pipeline: &Pipeline,
    found: &References,
    dataflow: &Dataflow,
) -> Option<(plan::PipelinePlan, Option<plan::RegistryConnection>)> {
    let workload = build::build(pipeline, found, dataflow, None).workload;
    let Role::Pipeline(query) = workload.plan.role else {
        return None;
    };
    let output = plan::Stream {
        name: "output".into(),
        topic: String::new(),
        dead_letter_topic: String::new(),
        contract: own_columns(dataflow),
        max_message_bytes: u64::MAX,
        rules: Vec::new(),
    };
    let query = plan::PipelinePlan {
        outputs: vec![output],
        ..query
    };
    Some((query, workload.plan.registry))
}
