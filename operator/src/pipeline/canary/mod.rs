//! A canary: a new version of a query runs beside the old one, over the same records and into a stream of its own, and takes the old
//! one's place only if it does well there.
//!
//! A reconcile asks [`step`] first, which gives what the pods are to run by. While a canary runs, and after one was rolled back, that is
//! the version in force (`status.rollout.inForce`) and not the spec's; everything behind goes on as for any other Pipeline. What runs
//! beside it are objects of our own kinds (`shadow`), and what is compared in the end, by the canary's own pods, is what both versions
//! make of the same records (`comparison`). All that is known of a canary stands in the status, so a new operator goes on with it.

pub mod comparison;
mod decide;
mod progress;
pub mod shadow;
mod words;

use std::time::Duration;

use headworks_crds::{
    Canary, Pipeline, PipelineSpec, PipelineStatus, QueryInForce, RolloutPhase, RolloutStatus,
    SpecFault,
};
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use kube::{Resource, ResourceExt};

use super::{
    dereference::{References, dereference},
    state, validate,
};
use crate::{
    context::Context,
    controller::checked,
    data_stream::resolve::stream_rules,
    names::Key,
    planning::{
        canary::{faults_of_old, judged_stream, rule_faults},
        targets, versions,
    },
    reason::ConditionReason,
    retry::Error,
    status::ExtraCondition,
};
use progress::Seen;

/// A canary is looked at so often.
pub const LOOK: Duration = Duration::from_secs(5);
/// What is decided is acted on so soon: once the status says it.
const ACTED_ON: Duration = Duration::from_secs(1);
/// Condition: a new version runs beside the one in force.
const RUNNING: &str = "CanaryRunning";
/// Condition: a new version was rolled back.
const FAILED: &str = "CanaryFailed";

/// What a reconcile goes on with.
#[derive(Debug, Default)]
pub struct Step {
    /// Present: the pods run by this, and not by the spec.
    pub in_force: Option<Box<Pipeline>>,
    /// What is said of it.
    pub condition: Option<ExtraCondition>,
    /// Look again so soon.
    pub recheck: Option<Duration>,
}

/// One step of a roll-out. `running`: the version that runs, where the status doesn't know it.
///
/// # Errors
/// What keeps a new version from being tried out; what the API server says.
pub async fn step(
    pipeline: &Pipeline,
    key: &Key,
    running: impl FnOnce(&QueryInForce) -> Option<QueryInForce>,
    status: &mut PipelineStatus,
    context: &Context,
) -> Result<Step, Error> {
    let Some(canary) = pipeline.spec.canary() else {
        status.rollout = None;
        shadow::sweep(context, pipeline).await?;
        return Ok(Step::default());
    };
    let wanted = versions::of(&pipeline.spec);
    let rollout = status.rollout.clone().unwrap_or_default();
    let before = rollout.in_force.clone();
    let before = before.or_else(|| running(&wanted));
    let id = versions::id(pipeline);
    let known = rollout.phase.filter(|_| rollout.id.as_ref() == Some(&id));
    let Some(before) = before.filter(|before| !versions::computes_same(before, &wanted)) else {
        // Nothing ran yet, or what runs computes this already: what was tried out besides is over.
        shadow::sweep(context, pipeline).await?;
        if rollout
            .phase
            .is_some_and(|phase| phase != RolloutPhase::Promoted)
        {
            status.rollout = Some(only(rollout.in_force));
        }
        return Ok(Step::default());
    };
    if rollout.in_force.is_none() {
        targets_known(&pipeline.spec, status)?;
    }
    if known == Some(RolloutPhase::Promoted) {
        // Decided, and not applied yet.
        shadow::sweep(context, pipeline).await?;
        return Ok(Step::default());
    }
    let held_back = |condition, recheck| Step {
        in_force: Some(Box::new(run_by(pipeline, &before))),
        condition,
        recheck,
    };
    if known == Some(RolloutPhase::RolledBack) {
        shadow::sweep(context, pipeline).await?;
        return Ok(held_back(condition(&rollout), None));
    }
    if pipeline.spec.suspend {
        shadow::sweep(context, pipeline).await?;
        status.rollout = Some(only(Some(before.clone())));
        return Ok(held_back(None, None));
    }
    let run = Run {
        pipeline,
        canary,
        key,
        context,
        now: now(),
    };
    let rollout = match known {
        Some(_) => rollout,
        None => run.begin(&id, before.clone()),
    };
    let rollout = match run.keep_up(&id, &rollout, known.is_none(), status).await {
        Ok(()) => run.look(rollout, status),
        // The old version needn't wait for it.
        Err(Error::Waiting { message, .. }) => {
            status.rollout = Some(match known {
                Some(_) => rollout,
                None => only(Some(before.clone())),
            });
            return Ok(held_back(Some(waits(&message)), Some(LOOK)));
        }
        // It was right when it began.
        Err(Error::Stalled { message, .. }) if known.is_some() => {
            progress::cant_go_on(run.now, rollout, &message)
        }
        Err(error) => return Err(error),
    };
    run.tell(&rollout).await;
    // What is decided is acted on when the status says it, so that an operator that comes after this one decides nothing anew.
    let soon = match rollout.phase {
        Some(RolloutPhase::Promoted | RolloutPhase::RolledBack) => ACTED_ON,
        _ => LOOK,
    };
    status.rollout = Some(rollout.clone());
    Ok(held_back(condition(&rollout), Some(soon)))
}

/// A first canary knows what its Pipeline writes from the status, which doesn't say how: the targets of both versions must be the same.
fn targets_known(spec: &PipelineSpec, status: &PipelineStatus) -> Result<(), Error> {
    if targets::are_as_in_force(spec, status) {
        return Ok(());
    }
    Err(Error::stalled(
        ConditionReason::CanaryInvalid,
        "spec.rollout.canary: it is new, and spec.sql and spec.to change with it, so nothing is known of how the version in force writes; apply rollout with sql and to as they were first, then the change",
    ))
}

/// The pods have what `applied` says: that is in force from now on.
pub fn applied(spec: &PipelineSpec, applied: &PipelineSpec, status: &mut PipelineStatus) {
    if spec.canary().is_some() {
        let rollout = status.rollout.get_or_insert_default();
        rollout.in_force = Some(versions::of(applied));
    }
}

fn only(in_force: Option<QueryInForce>) -> RolloutStatus {
    RolloutStatus {
        in_force,
        ..RolloutStatus::default()
    }
}

/// The Pipeline with the version in force.
fn run_by(pipeline: &Pipeline, query: &QueryInForce) -> Pipeline {
    Pipeline {
        spec: versions::with(&pipeline.spec, query),
        ..pipeline.clone()
    }
}

/// What is said of a roll-out beside Ready.
fn condition(rollout: &RolloutStatus) -> Option<ExtraCondition> {
    let (type_, reason) = match rollout.phase? {
        RolloutPhase::Running | RolloutPhase::Comparing => {
            (RUNNING, ConditionReason::CanaryRunning)
        }
        RolloutPhase::RolledBack => (FAILED, ConditionReason::CanaryFailed),
        RolloutPhase::Promoted => return None,
    };
    Some(ExtraCondition {
        type_,
        reason: reason.into(),
        message: rollout.message.clone().unwrap_or_default(),
    })
}

/// What is said while a canary can't begin, or go on, and somebody else must come first.
fn waits(message: &str) -> ExtraCondition {
    ExtraCondition {
        type_: RUNNING,
        reason: ConditionReason::CanaryRunning.into(),
        message: format!("the new version waits: {message}"),
    }
}

fn canary_invalid(faults: &[SpecFault]) -> Result<(), Error> {
    faults.first().map_or(Ok(()), |fault| {
        Err(Error::stalled(
            ConditionReason::CanaryInvalid,
            fault.to_string(),
        ))
    })
}

/// To the second, as a status has it.
fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

/// A canary at one moment.
struct Run<'a> {
    pipeline: &'a Pipeline,
    canary: &'a Canary,
    key: &'a Key,
    context: &'a Context,
    now: Timestamp,
}

impl Run<'_> {
    fn begin(&self, id: &str, before: QueryInForce) -> RolloutStatus {
        RolloutStatus {
            phase: Some(RolloutPhase::Running),
            id: Some(id.to_owned()),
            generation: self.pipeline.metadata.generation,
            began: Some(Time(self.now)),
            since: Some(Time(self.now)),
            until: Some(Time(progress::end(self.now, self.canary))),
            message: Some(format!(
                "the new version runs beside the one in force for {}, into DataStream {}",
                self.canary.for_,
                shadow::name(&self.key.name)
            )),
            ..only(Some(before))
        }
    }

    /// Checks the new version, and has it run beside the old one. `begins`: it is the first time.
    async fn keep_up(
        &self,
        id: &str,
        rollout: &RolloutStatus,
        begins: bool,
        status: &PipelineStatus,
    ) -> Result<(), Error> {
        let Some(began) = &rollout.began else {
            return Ok(());
        };
        let (pipeline, context) = (self.pipeline, self.context);
        checked(pipeline)?;
        let found = dereference(pipeline, self.key, context).await?;
        let dataflow = validate::check(pipeline, &found)?;
        state::decide(pipeline, dataflow.state_fingerprint(), status)?;
        self.check_rules(&found)?;
        if begins {
            self.check_old(rollout).await?;
        }
        let name = judged_stream(&pipeline.spec);
        let object = name.and_then(|name| context.stores.stream(&self.key.namespace, name));
        let target = found.outputs.first().map(|output| {
            let contract = &output.stream.contract;
            (contract, output.partitions, object.as_ref())
        });
        let desired = shadow::Desired {
            pipeline,
            id,
            began,
            target,
            dataflow: &dataflow,
        };
        shadow::put(context, pipeline, &desired).await
    }

    /// The version in force can be compared with it.
    async fn check_old(&self, rollout: &RolloutStatus) -> Result<(), Error> {
        let Some(old) = &rollout.in_force else {
            return Ok(());
        };
        if self.canary.compare.is_none() {
            return Ok(());
        }
        let before = run_by(self.pipeline, old);
        let found = dereference(&before, self.key, self.context).await?;
        let dataflow = comparison::planned(&before.spec, &found)?;
        canary_invalid(&faults_of_old(self.canary, &dataflow.output))
    }

    fn check_rules(&self, found: &References) -> Result<(), Error> {
        let Some(output) = found.outputs.first() else {
            return Ok(());
        };
        let (name, namespace) = (&output.stream.name, &self.key.namespace);
        let rules = self.context.stores.quality_rules.state();
        let find = |wanted: &str| {
            let mut all = rules.iter().filter_map(|guarded| guarded.0.as_ref().ok());
            let of = all.find(|rule| {
                rule.metadata.name.as_deref() == Some(wanted)
                    && rule.metadata.namespace.as_deref() == Some(namespace)
            });
            of.map(|rule| &rule.spec)
        };
        let planned = stream_rules(self.context, namespace, name, &output.stream.contract).planned;
        canary_invalid(&rule_faults(self.canary, name, find, &planned))
    }

    /// How it stands now.
    fn look(&self, rollout: RolloutStatus, status: &PipelineStatus) -> RolloutStatus {
        let (context, namespace) = (self.context, &self.key.namespace);
        let name = shadow::name(&self.key.name);
        let beside = context.stores.pipeline(namespace, &name);
        let key = Key::new("Pipeline", namespace, &name);
        let found =
            progress::comparison_id(&rollout).and_then(|id| context.reports.comparison(&key, &id));
        let seen = Seen {
            canary: self.canary,
            now: self.now,
            beside: beside.as_ref(),
            found: found.as_ref(),
            old_lag: status.lag,
        };
        let threshold = |name: &str| {
            let rules = context.stores.quality_rules.state();
            let mut rules = rules.iter().filter_map(|guarded| guarded.0.as_ref().ok());
            let rule = rules.find(|rule| {
                rule.name_any() == name && rule.namespace().as_ref() == Some(namespace)
            });
            rule.and_then(|rule| rule.spec.threshold.clone())
        };
        progress::next(&seen, rollout, threshold)
    }

    /// Says in an Event what was decided.
    async fn tell(&self, rollout: &RolloutStatus) {
        let about = self.pipeline.object_ref(&());
        let events = &self.context.events;
        let message = rollout.message.as_deref().unwrap_or_default();
        match rollout.phase {
            Some(RolloutPhase::Promoted) => {
                events
                    .normal(&about, ConditionReason::CanaryPassed, message)
                    .await;
            }
            Some(RolloutPhase::RolledBack) => {
                events
                    .warning(&about, ConditionReason::CanaryFailed, message)
                    .await;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
