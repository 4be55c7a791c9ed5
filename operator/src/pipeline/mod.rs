//! Pipeline: a query in a StatefulSet.
//!
//! A running Pipeline whose spec becomes wrong is left running: nothing is applied until the whole of the new
//! spec is known to be right, and the condition says that the last good plan goes on.

pub mod build;
mod deletion;
mod dereference;
pub mod memory;
mod shared_condition;
pub mod state;
mod validate;

use std::{fmt::Write, sync::Arc};

use headworks_crds::{DeletionPolicy, Pipeline, PipelineStatus};
use k8s_openapi::api::{apps::v1::StatefulSet, core::v1::Pod};
use kube::{
    Api, Resource, ResourceExt,
    api::{DeleteParams, Preconditions},
};
pub use validate::{group, table_group};

use crate::{
    access,
    context::Context,
    controller::Reconciler,
    names::Key,
    planning::{store_writers::stores_of, targets},
    platform::{policy, resolve::ResolvedPlatform},
    retry::Error,
    status::ReconcileOutcome,
    stores,
    workload::{
        self,
        connection::NeededSecret,
        figures, guards,
        health::{self, Pods},
        rollouts,
    },
};

/// Label that Kubernetes puts on a StatefulSet's pods.
const REVISION: &str = "controller-revision-hash";

impl Reconciler for Pipeline {
    type Status = PipelineStatus;

    fn status(&self) -> Option<&PipelineStatus> {
        self.status.as_ref()
    }

    fn check(&self) -> Result<(), String> {
        headworks_crds::check(&self.spec)
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
        let key = Key::of(self);
        let uid = self.uid().unwrap_or_default();
        let live = stores::child(&context.stores.stateful_sets, &key, &uid, &key.name);
        // A spec that is held back leaves the pods as they are, whatever number it asks for.
        let none = live
            .as_ref()
            .is_none_or(|l| l.spec.as_ref().and_then(|s| s.replicas) == Some(0));
        let rests = self.spec.suspend || (self.spec.replicas == 0 && none);
        figures::pipeline(status, rests, &key, context);
        if let (true, Some(live)) = (self.spec.suspend, &live) {
            workload::scale_to_zero(
                context,
                live.as_ref(),
                live.spec.as_ref().and_then(|s| s.replicas),
            )
            .await?;
        }
        let applied = Box::pin(plan_and_apply(self, &key, status, context))
            .await
            .inspect_err(|_| rollouts::give_up(context, &key));
        let live = stores::child(&context.stores.stateful_sets, &key, &uid, &key.name);
        let seen = live
            .as_ref()
            .and_then(|s| s.status.clone())
            .unwrap_or_default();
        status.workload.replicas = Some(seen.replicas);
        status.workload.ready_replicas = Some(seen.ready_replicas.unwrap_or(0));
        status.workload.selector = Some(workload::selector_text(&key));
        match applied {
            Ok(applied) => {
                let shared = shared_condition::shared_condition(&context.flows.shared(&key));
                let verdict = observe(self, &key, &applied, context)
                    .await
                    .map_err(|error| {
                        access::workload::heard(error, &applied.platform, &key, context)
                    })?
                    .and(shared);
                let verdict = applied.stateful_set.told(verdict);
                let pods = context.stores.pods_left(&key, &uid);
                if verdict.ready
                    && workload::connection::generated(&applied.platform.platform.spec.kafka)
                    && !health::superseded(&pods, &applied.digest)
                {
                    // Every pod runs by the new plan: what the old one needed beyond it goes.
                    let reference = self.controller_owner_ref(&()).unwrap_or_default();
                    let (platform, plan) = (&applied.platform, &applied.plan);
                    let pods = workload::ordinal_count(&pods, &key, self.spec.replicas);
                    access::workload::ensure(self, platform, plan, &reference, pods, true, context)
                        .await?;
                    return Ok(verdict.recheck(access::workload::VERIFIED_FOR));
                }
                Ok(verdict)
            }
            Err(Error::Stalled {
                reason,
                message,
                recheck,
            }) if seen.replicas > 0 => Err(Error::Stalled {
                reason,
                message: format!("{message} (the pods go on with the last good plan)"),
                recheck,
            }),
            Err(error) => Err(error),
        }
    }

    async fn finalize(&self, status: &PipelineStatus, context: &Context) -> Result<(), Error> {
        deletion::finalize(self, status, context).await?;
        let platform = context.stores.platform(&self.spec.platform);
        let generated = platform
            .as_ref()
            .is_none_or(|p| workload::connection::generated(&p.spec.kafka));
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

/// What was applied.
struct Applied {
    stateful_set: rollouts::Applied<StatefulSet>,
    platform: ResolvedPlatform,
    plan: headworks_plan::Plan,
    digest: String,
    secrets: Vec<NeededSecret>,
    stores: Vec<String>,
    /// Partitions that the pods share; absent: not known.
    partitions: Option<i32>,
}

/// From the spec to the children. Nothing is applied before all of it is known to be right.
async fn plan_and_apply(
    pipeline: &Pipeline,
    key: &Key,
    status: &mut PipelineStatus,
    context: &Context,
) -> Result<Applied, Error> {
    if let Some(found) = context.flows.refused(key) {
        return Err(Error::stalled(
            "StreamLoop",
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
    let keyed = wanted.as_ref().zip(kept.as_ref()).map(|(wanted, kept)| {
        let plan = state::plan(pipeline, wanted, kept, &dataflow);
        (wanted, plan)
    });
    let valid = validate::resolve(pipeline, &found, keyed);
    let of_inputs = found.inputs.iter().filter_map(|i| i.partitions).max();
    let uid = pipeline.uid().unwrap_or_default();
    let reference = pipeline.controller_owner_ref(&()).unwrap_or_default();
    let built = build::build(key, &reference, &valid, &context.settings.runtime_image)?;
    let pods = context.stores.pods_left(key, &uid);
    access::workload::ensure(
        pipeline,
        &found.platform,
        &valid.plan,
        &reference,
        workload::ordinal_count(&pods, key, pipeline.spec.replicas),
        false,
        context,
    )
    .await?;
    if let Some(ca) = &built.ca {
        context.apply(&context.stores.config_maps, ca, &uid).await?;
    }
    context
        .apply(&context.stores.config_maps, &built.plan.config_map, &uid)
        .await?;
    guards::protect(context, key, &reference, valid.replicas, false).await?;
    let own = status.observed_generation != pipeline.metadata.generation;
    let stateful_set = rollouts::apply(
        context,
        key,
        &context.stores.stateful_sets,
        &built.stateful_set,
        (&uid, own),
    )
    .await?;
    if status.group.is_some() {
        targets::moves(&pipeline.spec, status);
    }
    status.inputs = found.inputs.iter().map(|i| i.stream.name.clone()).collect();
    status.outputs = found
        .outputs
        .iter()
        .map(|o| o.stream.name.clone())
        .collect();
    status.tables = found
        .tables
        .iter()
        .map(|(table, _)| format!("{}/{}", table.store, table.name))
        .collect();
    status.group = Some(valid.group);
    Ok(Applied {
        partitions: kept.map(|k| k.partitions).max(of_inputs),
        stateful_set,
        platform: found.platform,
        plan: valid.plan,
        digest: built.plan.digest,
        secrets: valid.secrets,
        stores: stores_of(pipeline).into_iter().collect(),
    })
}

/// From the children to the verdict, and what a roll-out needs on its way.
async fn observe(
    pipeline: &Pipeline,
    key: &Key,
    applied: &Applied,
    context: &Context,
) -> Result<ReconcileOutcome, Error> {
    let uid = pipeline.uid().unwrap_or_default();
    let pods = context.stores.pods(key, &uid);
    let live = applied.stateful_set.live.as_ref();
    unblock_rollout(live, &pods, context).await?;
    workload::collect_unused_plans(context, key, &uid, &applied.digest).await?;
    if pipeline.spec.suspend {
        return Ok(ReconcileOutcome::ready(
            "Suspended",
            "spec.suspend is true: no pods run, progress is kept",
        ));
    }
    let seen = live.status.clone().unwrap_or_default();
    let generation = live.metadata.generation;
    // A StatefulSet counts as updated only pods of a roll-out that isn't complete; afterwards all are.
    let updated = if seen.current_revision == seen.update_revision {
        seen.replicas
    } else {
        seen.updated_replicas.unwrap_or(0)
    };
    health::verdict(
        &Pods {
            pods: &pods,
            plan: &applied.digest,
            wanted: pipeline.spec.replicas,
            updated,
            ready: seen.ready_replicas.unwrap_or(0),
            observed: generation.is_some() && seen.observed_generation >= generation,
            secrets: &applied.secrets,
            stores: &applied.stores,
            namespace: &key.namespace,
        },
        |uid| context.reports.of_pod(uid),
    )
    .map(|verdict| with_idle_pods(verdict, pipeline.spec.replicas, applied.partitions))
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

/// A StatefulSet waits for an unready pod of an older revision before it goes on, perhaps for ever: it is deleted.
async fn unblock_rollout(
    live: &StatefulSet,
    pods: &[Arc<Pod>],
    context: &Context,
) -> Result<(), Error> {
    let status = live.status.clone().unwrap_or_default();
    let Some(revision) = status
        .update_revision
        .filter(|_| status.observed_generation >= live.metadata.generation)
    else {
        return Ok(());
    };
    for pod in health::stuck(pods, REVISION, &revision) {
        let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
        tracing::info!(
            namespace,
            name,
            "delete: an unready pod of a superseded revision"
        );
        let api: Api<Pod> = Api::namespaced(context.client.clone(), &namespace);
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                uid: pod.uid(),
                ..Preconditions::default()
            }),
            ..DeleteParams::default()
        };
        context.metrics.wrote("Pod");
        match api.delete(&name, &params).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => {}
            Err(error) => {
                return Err(Error::api(
                    &format!("deleting pod {namespace}/{name}"),
                    &error,
                ));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_that_have_nothing_to_do_are_said() {
        let ready = || ReconcileOutcome::ready("Running", "6 pods ready");
        let said = |replicas, partitions| with_idle_pods(ready(), replicas, partitions).message;
        assert_eq!(said(6, Some(6)), "6 pods ready");
        assert_eq!(said(6, None), "6 pods ready");
        assert_eq!(
            said(6, Some(4)),
            "6 pods ready; 2 of them idle, because there are 4 partitions"
        );
    }
}
