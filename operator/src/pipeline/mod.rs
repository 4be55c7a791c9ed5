//! Pipeline: a query in a StatefulSet.
//!
//! A running Pipeline whose spec becomes wrong is left running: nothing is applied until the whole of the new
//! spec is known to be right, and the condition says that the last good plan goes on.

mod admission;
mod balance;
pub mod build;
mod deletion;
mod dereference;
mod figures;
mod inputs_health;
pub mod memory;
mod shared_condition;
pub mod state;
mod validate;
mod watched;

use std::fmt::Write;

use headworks_crds::{DeletionPolicy, Delivery, Pipeline, PipelineStatus, SpecFault};

use crate::{
    access, connection,
    context::Context,
    controller::{OnPlatform, PodRequest, Reconciler, ShownFigures, SpecCheck, checked},
    data_stream::resolve::ResolvedStream,
    mounts::NeededSecret,
    names::Key,
    planning::{check, targets},
    platform::policy,
    reason::ConditionReason,
    retry::Error,
    security::Open,
    status::ReconcileOutcome,
    workload::{
        RollOut, Workload,
        figures::{ShowsFigures, settle},
    },
};

impl Reconciler for Pipeline {
    type Status = PipelineStatus;

    const SPEC_CHECK: SpecCheck = SpecCheck::InReconcile;

    fn status(&self) -> Option<&PipelineStatus> {
        self.status.as_ref()
    }

    fn spec_faults(&self) -> Vec<SpecFault> {
        headworks_crds::faults(&self.spec)
    }

    fn open(&self) -> Option<Open> {
        None
    }

    fn pods(&self) -> Option<PodRequest<'_>> {
        Some(PodRequest {
            platform: OnPlatform::Named(self.spec.platform.clone()),
            template: self.spec.pod_template.as_ref(),
            secrets: Vec::new(),
            replicas: if self.spec.suspend {
                0
            } else {
                self.spec.replicas
            },
        })
    }

    fn shown_figures(&self) -> Option<ShownFigures> {
        self.status.as_ref().map(ShowsFigures::shown)
    }

    /// Under `Retain` progress stays in Kafka, so there is nothing to wait for.
    fn needs_finalizer(&self) -> bool {
        self.spec.deletion_policy == DeletionPolicy::Delete
    }

    async fn reconcile(
        &self,
        status: &mut PipelineStatus,
        context: &Context,
    ) -> Result<ReconcileOutcome, Error> {
        let roll_out = RollOut::of(self, context);
        let key = &roll_out.key;
        let rests = roll_out.rests(self.spec.suspend, self.spec.replicas);
        settle(status, rests, key, context);
        balance::settle(self, key, status, context);
        if self.spec.suspend {
            roll_out.suspend().await?;
        }
        let resolved = Box::pin(resolve(self, key, status, context)).await;
        let observed = status.observed_generation;
        let pods = Some(&mut status.workload);
        let applied = roll_out.apply(resolved, observed, pods).await;
        let (applied, resolved) = applied.map_err(|error| keeps_running(error, status))?;
        in_force(self, &resolved, status);
        inputs_health::settle(self, key, status, context);
        let shared = shared_condition::shared_condition(&context.flows.shared(key));
        let outcome = roll_out.observe(&applied).await?;
        let outcome = with_idle_pods(outcome, applied.workload.pods(), resolved.partitions);
        roll_out.finish(&applied, outcome.and(shared)).await
    }

    async fn finalize(&self, status: &PipelineStatus, context: &Context) -> Result<(), Error> {
        deletion::finalize(self, status, context).await?;
        let platform = context.stores.platform(&self.spec.platform);
        let generated = platform
            .as_ref()
            .is_none_or(|p| connection::generated(&p.spec.kafka));
        let revoked = access::workload::revoke(
            &Key::of(self),
            access::workload::deleted(self),
            &access::workload::about(self),
            platform.as_ref(),
            context,
        )
        .await;
        // One that was never meant to have a user of its own mustn't be held up by looking for it.
        if generated { revoked } else { Ok(()) }
    }
}

/// What a Pipeline came to besides its workload, for its status.
struct Resolved {
    inputs: Vec<String>,
    outputs: Vec<String>,
    tables: Vec<String>,
    /// What the targets promise together.
    guarantee: Delivery,
    group: String,
    /// Partitions that the pods share; absent: not known.
    partitions: Option<i32>,
}

/// From the spec to what runs. What Kafka needs for the query's state is made on the way.
async fn resolve(
    pipeline: &Pipeline,
    key: &Key,
    status: &mut PipelineStatus,
    context: &Context,
) -> Result<(Workload, Resolved), Error> {
    checked(pipeline)?;
    if let Some(found) = context.flows.refused(key) {
        return Err(Error::stalled(
            ConditionReason::StreamLoop,
            format!(
                "spec.to: the streams feed themselves: {found}; write to another stream, or delete the other Pipeline"
            ),
        ));
    }
    let found = dereference::dereference(pipeline, key, context).await?;
    let dataflow = validate::check(pipeline, &found)?;
    let of_stores: Vec<NeededSecret> = found
        .tables
        .iter()
        .flat_map(|(_, binding)| binding.secrets.iter().cloned())
        .collect();
    let template = pipeline.spec.pod_template.as_ref();
    policy::check(&found.platform.platform, template, &of_stores)?;
    let wanted = state::StateRequirements::of(pipeline, &found, &dataflow);
    let kept =
        state::reconcile_state(pipeline, key, &found, wanted.as_ref(), status, context).await?;
    let (workload, group) = build::build(pipeline, &found, &dataflow, kept.as_ref());
    let of_inputs = found.inputs.iter().filter_map(|i| i.partitions).max();
    let names = |streams: &[ResolvedStream]| -> Vec<String> {
        streams.iter().map(|s| s.stream.name.clone()).collect()
    };
    let guarantees = found.tables.iter();
    let guarantees: Vec<_> = guarantees
        .map(|(_, binding)| binding.store.connection.guarantee())
        .collect();
    let resolved = Resolved {
        inputs: names(&found.inputs),
        outputs: names(&found.outputs),
        tables: found
            .tables
            .iter()
            .map(|(table, _)| format!("{}/{}", table.store, table.name))
            .collect(),
        guarantee: check::promise(&pipeline.spec, &guarantees),
        group,
        partitions: kept.map(|k| k.partitions).max(of_inputs),
    };
    Ok((workload, resolved))
}

/// What the pods run by from now on.
fn in_force(pipeline: &Pipeline, resolved: &Resolved, status: &mut PipelineStatus) {
    if status.group.is_some() {
        targets::moves(&pipeline.spec, status);
    }
    status.inputs.clone_from(&resolved.inputs);
    status.outputs.clone_from(&resolved.outputs);
    status.tables.clone_from(&resolved.tables);
    status.guarantee = Some(resolved.guarantee);
    status.group = Some(resolved.group.clone());
}

/// A spec that is held back leaves the pods as they are: that is said, if there are any.
fn keeps_running(error: Error, status: &PipelineStatus) -> Error {
    match error {
        Error::Stalled {
            reason,
            message,
            recheck,
        } if status.workload.replicas > Some(0) => Error::Stalled {
            reason,
            message: format!("{message} (the pods go on with the last good plan)"),
            recheck,
        },
        error => error,
    }
}

/// A partition is one pod's: of more pods than partitions, some have nothing to do.
fn with_idle_pods(
    mut verdict: ReconcileOutcome,
    replicas: i32,
    partitions: Option<i32>,
) -> ReconcileOutcome {
    if let Some(partitions) = partitions.filter(|p| verdict.ready && *p < replicas) {
        let idle = replicas - partitions;
        let _ = write!(
            verdict.message,
            "; {idle} of them idle, because there are {partitions} partitions"
        );
    }
    verdict
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
