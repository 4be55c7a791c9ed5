//! The native engine: pods of our own, each with a number, that read a plan. What they have done is kept in Kafka.

pub mod build;
mod memory;
mod progress;
mod requirements;
mod reset;
mod topics;

use std::fmt::Write;

use headworks_crds::{
    DeletionPolicy, Pipeline, PipelineSpec, PipelineStatus, PodTemplate, QueryInForce, StateStatus,
};
use headworks_plan::names::version;
use headworks_sql::Dataflow;

use self::{build::Built, requirements::StateRequirements, topics::StateTopics};
use super::{
    canary::comparison::{self, Beside},
    engine::{Checked, Engine, EngineFault},
};
use crate::{
    access, connection,
    context::Context,
    names::Key,
    planning::versions,
    reason::ConditionReason,
    retry::Error,
    status::ReconcileOutcome,
    workload::{RollOut, figures::settle, plan_of_set, roll_out},
};

/// It, at one Pipeline.
pub struct Native<'a> {
    pipeline: &'a Pipeline,
    context: &'a Context,
    roll_out: RollOut<'a, Pipeline>,
}

/// Pods as they were applied.
pub struct Applied {
    pods: roll_out::Applied,
    group: String,
    /// Partitions that the pods share; absent: not known.
    partitions: Option<i32>,
}

impl<'a> Native<'a> {
    /// At that Pipeline.
    pub fn of(pipeline: &'a Pipeline, context: &'a Context) -> Self {
        Self {
            pipeline,
            context,
            roll_out: RollOut::of(pipeline, context),
        }
    }
}

impl Engine for Native<'_> {
    /// The topics of the state, if the query keeps any; and what the pods are told besides where it is a canary.
    type Prepared = (Option<StateTopics>, Option<Beside>);
    type Built = Built;
    type Applied = Applied;

    fn supports(
        spec: &PipelineSpec,
        template: &PodTemplate,
        dataflow: &Dataflow,
    ) -> Vec<EngineFault> {
        let fault = dataflow
            .keeps_state()
            .then(|| memory::memory_fault(spec, template));
        let reason = ConditionReason::MemoryTooLow;
        let faults = fault.flatten().into_iter();
        faults.map(|fault| EngineFault { reason, fault }).collect()
    }

    /// Under `Retain` progress stays in Kafka, so there is nothing to wait for.
    fn needs_finalizer(spec: &PipelineSpec) -> bool {
        spec.deletion_policy == DeletionPolicy::Delete
    }

    fn show_figures(&self, status: &mut PipelineStatus) {
        let spec = &self.pipeline.spec;
        let rests = self.roll_out.rests(spec.suspend, spec.replicas);
        settle(status, rests, &self.roll_out.key, self.context);
    }

    fn running(&self, wanted: &QueryInForce) -> Option<QueryInForce> {
        let uid = self.pipeline.metadata.uid.as_deref().unwrap_or_default();
        let plan = plan_of_set(self.context, &self.roll_out.key, uid);
        versions::of_plan(wanted, &plan?)
    }

    async fn suspend(&self) -> Result<(), Error> {
        self.roll_out.suspend().await
    }

    async fn forget(&self, checked: Checked<'_>, status: &PipelineStatus) -> Result<(), Error> {
        let (pipeline, key) = (self.pipeline, &self.roll_out.key);
        reset::reset(pipeline, key, checked.found, status, self.context).await
    }

    async fn prepare(
        &self,
        checked: Checked<'_>,
        status: &mut PipelineStatus,
    ) -> Result<Self::Prepared, Error> {
        let Checked {
            pipeline,
            found,
            dataflow,
        } = checked;
        let (key, context) = (&self.roll_out.key, self.context);
        let beside = comparison::of_canary(pipeline, key, (found, dataflow), context);
        let beside = Box::pin(beside).await?;
        let Some(wanted) = StateRequirements::of(pipeline, found, dataflow) else {
            status.state = None;
            return Ok((None, beside));
        };
        let before = status.state.take().unwrap_or_else(|| StateStatus {
            fingerprint: wanted.fingerprint.clone(),
            version: version(&wanted.fingerprint),
            ..StateStatus::default()
        });
        let kept = topics::ensure(&wanted, &before, found, self.context).await;
        status.state = Some(match &kept {
            Ok(kept) => kept.status(&before),
            Err(_) => before,
        });
        Ok((Some(kept?), beside))
    }

    fn build(&self, checked: Checked<'_>, (kept, beside): Self::Prepared) -> Built {
        let Checked {
            pipeline,
            found,
            dataflow,
        } = checked;
        let built = build::build(pipeline, found, dataflow, kept.as_ref());
        match beside {
            Some(beside) => Built {
                workload: comparison::told(beside, built.workload),
                ..built
            },
            None => built,
        }
    }

    async fn apply<T: Send>(
        &self,
        resolved: Result<(Built, T), Error>,
        status: &mut PipelineStatus,
    ) -> Result<(Applied, T), Error> {
        let observed = status.observed_generation;
        let resolved = resolved
            .map(|(built, besides)| (built.workload, (built.group, built.partitions, besides)));
        let pods = Some(&mut status.workload);
        let (pods, (group, partitions, besides)) =
            self.roll_out.apply(resolved, observed, pods).await?;
        let applied = Applied {
            pods,
            group,
            partitions,
        };
        Ok((applied, besides))
    }

    fn progress<'b>(&self, applied: &'b Applied) -> &'b str {
        &applied.group
    }

    async fn observe(&self, applied: &Applied) -> Result<ReconcileOutcome, Error> {
        let outcome = self.roll_out.observe(&applied.pods).await?;
        let pods = applied.pods.workload.pods();
        let outcome = with_idle_pods(outcome, pods, applied.partitions);
        self.roll_out.finish(&applied.pods, outcome).await
    }

    async fn finalize(&self, status: &PipelineStatus) -> Result<(), Error> {
        let (pipeline, context) = (self.pipeline, self.context);
        progress::finalize(pipeline, status, context).await?;
        let platform = context.stores.platform(&pipeline.spec.platform);
        let generated = platform
            .as_ref()
            .is_none_or(|p| connection::generated(&p.spec.kafka));
        let revoked = access::workload::revoke(
            &Key::of(pipeline),
            access::workload::deleted(pipeline),
            &access::workload::about(pipeline),
            platform.as_ref(),
            context,
        )
        .await;
        // One that was never meant to have a user of its own mustn't be held up by looking for it.
        if generated { revoked } else { Ok(()) }
    }
}

/// A partition is one pod's: of more pods than partitions, some have nothing to do.
fn with_idle_pods(
    mut outcome: ReconcileOutcome,
    replicas: i32,
    partitions: Option<i32>,
) -> ReconcileOutcome {
    if let Some(partitions) = partitions.filter(|p| outcome.ready && *p < replicas) {
        let idle = replicas - partitions;
        let _ = write!(
            outcome.message,
            "; {idle} of them idle, because there are {partitions} partitions"
        );
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_that_have_nothing_to_do_are_said() {
        let ready = || ReconcileOutcome::ready(ConditionReason::Running, "6 pods ready");
        let said = |replicas, partitions| with_idle_pods(ready(), replicas, partitions).message;
        assert_eq!(said(6, Some(6)), "6 pods ready");
        assert_eq!(said(6, None), "6 pods ready");
        assert_eq!(
            said(6, Some(4)),
            "6 pods ready; 2 of them idle, because there are 4 partitions"
        );
    }
}
