//! Pipeline: a query that runs.
//!
//! What a Pipeline is, is decided here; how its query runs is its engine's (`engine`). A running Pipeline whose spec becomes wrong is left
//! running: nothing is applied until the whole of the new spec is known to be right, and the condition says that the last good
//! plan goes on.

mod admission;
mod balance;
mod canary;
mod dereference;
pub mod engine;
mod figures;
mod inputs_health;
pub mod native;
mod shared_condition;
mod state;
mod validate;
mod watched;

use std::time::Duration;

use headworks_crds::{Delivery, Pipeline, PipelineStatus, QueryInForce, SpecFault};

use self::{
    engine::{Checked, Engine, supported},
    native::Native,
    state::QueryChange,
};
use crate::{
    context::Context,
    controller::{OnPlatform, PodRequest, Reconciler, ShownFigures, SpecCheck, checked},
    data_stream::resolve::ResolvedStream,
    mounts::NeededSecret,
    names::Key,
    owned_objects::monitors,
    planning::{check, flows::is_canary, shared, targets},
    platform::policy,
    reason::ConditionReason,
    retry::Error,
    security::Open,
    status::ReconcileOutcome,
    workload::figures::ShowsFigures,
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

    fn needs_finalizer(&self) -> bool {
        Native::needs_finalizer(&self.spec)
    }

    async fn reconcile(
        &self,
        status: &mut PipelineStatus,
        context: &Context,
    ) -> Result<ReconcileOutcome, Error> {
        run(&Native::of(self, context), self, status, context).await
    }

    async fn finalize(&self, status: &PipelineStatus, context: &Context) -> Result<(), Error> {
        Native::of(self, context).finalize(status).await
    }
}

/// The reconcile, whatever the engine.
async fn run<E: Engine + Sync>(
    engine: &E,
    pipeline: &Pipeline,
    status: &mut PipelineStatus,
    context: &Context,
) -> Result<ReconcileOutcome, Error> {
    let key = &Key::of(pipeline);
    engine.show_figures(status);
    balance::settle(pipeline, key, status, context);
    if pipeline.spec.suspend {
        engine.suspend().await?;
    }
    let running = |wanted: &QueryInForce| engine.running(wanted);
    let step = Box::pin(canary::step(pipeline, key, running, status, context)).await;
    let (step, held) = match step {
        Ok(step) => (step, None),
        Err(error) => (canary::Step::default(), Some(error)),
    };
    // What is to run, which the spec's version isn't while a canary tries that out.
    let version = step.in_force.as_deref().unwrap_or(pipeline);
    let resolved = match held {
        Some(error) => Err(error),
        None => Box::pin(resolve(engine, version, key, status, context)).await,
    };
    let applied = engine.apply(resolved, status).await;
    let (applied, resolved) = applied.map_err(|error| keeps_running(error, status))?;
    in_force(version, &resolved, engine.progress(&applied), status);
    canary::applied(&pipeline.spec, &version.spec, status);
    inputs_health::settle(pipeline, key, status, context);
    // Monitors of one rule write one stream of verdicts, on purpose.
    let siblings = monitors::of_one_rule(pipeline, context);
    let others = shared::without(context.flows.shared(key), siblings);
    let shared = shared_condition::shared_condition(&others);
    let outcome = engine.observe(&applied).await?;
    let looked_after = is_canary(pipeline).then_some(canary::LOOK);
    let outcome = outcome.and(shared).and(step.condition);
    Ok(soon(outcome, step.recheck.or(looked_after)))
}

/// What a Pipeline came to besides what runs, for its status.
struct Resolved {
    inputs: Vec<String>,
    outputs: Vec<String>,
    tables: Vec<String>,
    /// What the targets promise together.
    guarantee: Delivery,
}

/// From the spec to what is to run. What the query needs before it can is made on the way.
async fn resolve<E: Engine + Sync>(
    engine: &E,
    pipeline: &Pipeline,
    key: &Key,
    status: &mut PipelineStatus,
    context: &Context,
) -> Result<(E::Built, Resolved), Error> {
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
    let pod_template = validate::template(&pipeline.spec, &found);
    supported(&E::supports(&pipeline.spec, &pod_template, &dataflow))?;
    let of_stores: Vec<NeededSecret> = found
        .tables
        .iter()
        .flat_map(|(_, binding)| binding.secrets.iter().cloned())
        .collect();
    let template = pipeline.spec.pod_template.as_ref();
    policy::check(&found.platform.platform, template, &of_stores)?;
    let of = Checked {
        pipeline,
        found: &found,
        dataflow: &dataflow,
    };
    match state::decide(pipeline, dataflow.state_fingerprint(), status)? {
        QueryChange::Continues => targets::taken(&pipeline.spec, status),
        QueryChange::BeginsAnew => {
            engine.forget(of, status).await?;
            state::begin_anew(status);
        }
    }
    let prepared = engine.prepare(of, status).await?;
    let built = engine.build(of, prepared);
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
    };
    Ok((built, resolved))
}

/// What runs from now on. `progress`: what it is called.
fn in_force(pipeline: &Pipeline, resolved: &Resolved, progress: &str, status: &mut PipelineStatus) {
    if status.group.is_some() {
        targets::moves(&pipeline.spec, status);
    }
    status.inputs.clone_from(&resolved.inputs);
    status.outputs.clone_from(&resolved.outputs);
    status.tables.clone_from(&resolved.tables);
    status.guarantee = Some(resolved.guarantee);
    status.group = Some(progress.to_owned());
}

/// Looked at again after `recheck` at the latest.
fn soon(mut outcome: ReconcileOutcome, recheck: Option<Duration>) -> ReconcileOutcome {
    outcome.recheck = outcome.recheck.into_iter().chain(recheck).min();
    outcome
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
