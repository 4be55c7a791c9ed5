//! What the pods of a canary are told: to do as a Pipeline does, without troubling others; and when its time is over, to compare.

use headworks_crds::{Pipeline, PipelineStatus, RolloutPhase};
use headworks_plan::{self as plan, ComparePlan, Role, Rule, RuleAction};
use headworks_sql::{Catalog, Dataflow};
use kube::ResourceExt;

use super::{
    progress, query,
    shadow::{self, FAMILY, own_columns},
};
use crate::{
    context::Context,
    data_stream::resolve::stream_rules,
    names::Key,
    pipeline::{
        build,
        dereference::{References, dereference},
    },
    planning::{self, canary::judged_stream},
    reason::ConditionReason,
    retry::Error,
    workload::Workload,
};

/// The workload of a Pipeline: as it was built, unless it is a canary.
///
/// # Errors
/// What the old version's query refers to isn't there any more.
pub async fn of_canary(
    pipeline: &Pipeline,
    key: &Key,
    (found, dataflow): (&References, &Dataflow),
    workload: Workload,
    context: &Context,
) -> Result<Workload, Error> {
    let Some(parent) = shadow::parent(pipeline, context) else {
        return Ok(workload);
    };
    let status = parent.status.clone().unwrap_or_default();
    let workload = quiet(workload);
    if is_comparing(pipeline, &status) {
        return compare(pipeline, &parent, key, (found, dataflow), workload, context).await;
    }
    Ok(workload)
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
    mut workload: Workload,
    context: &Context,
) -> Result<Workload, Error> {
    let rollout = parent.status.clone().unwrap_or_default().rollout;
    let rollout = rollout.unwrap_or_default();
    let id = progress::comparison_id(&rollout);
    let (Some(old), Some(began), Some(until), Some(id)) =
        (&rollout.in_force, &rollout.began, &rollout.until, id)
    else {
        return Ok(workload);
    };
    let canary = parent.spec.canary().cloned().unwrap_or_default();
    let compare = canary.compare.unwrap_or_default();
    let mut before = shadow.clone();
    before.spec = query::with(&parent.spec, old);
    before.spec.to.clone_from(&shadow.spec.to);
    let of_old = dereference(&before, key, context).await?;
    let old_dataflow = planned(&before, &of_old)?;
    let both = [
        in_memory(&before, &of_old, &old_dataflow),
        in_memory(shadow, found, dataflow),
    ];
    let [Some((old, registry)), Some((new, other))] = both else {
        return Ok(workload);
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
    workload.plan.registry = registry.or(other);
    workload.plan.role = Role::Compare(Box::new(ComparePlan {
        id,
        old,
        new,
        from_ms: began.0.as_millisecond(),
        until_ms: until.0.as_millisecond(),
        keys: compare.keys,
        sums: compare.sums,
        shadow: judged,
    }));
    workload.replicas = 1;
    Ok(workload)
}

/// The dataflow of a query that ran before: whether its columns fit the canary's stream is no matter.
fn planned(pipeline: &Pipeline, found: &References) -> Result<Dataflow, Error> {
    let inputs = found.inputs.iter();
    let catalog = inputs.fold(Catalog::new(), |catalog, input| {
        catalog.with(input.stream.name.clone(), input.stream.contract.clone())
    });
    let catalog = catalog.on_overflow(planning::query::overflow(&pipeline.spec));
    headworks_sql::plan(&pipeline.spec.sql, &catalog).map_err(|errors| {
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
    let (workload, _) = build::build(pipeline, found, dataflow, None);
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
