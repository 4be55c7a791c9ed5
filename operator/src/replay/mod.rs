//! Replay: one pod that writes records once more, and is gone when all of it is done.
//!
//! What was done is kept in Kafka, in the transactions that hold the records: the status only shows it. So a Replay that is
//! deleted and made again goes on where it was, and one that is complete writes nothing.

mod admission;
pub mod build;
mod dereference;
mod figures;
pub mod into_pipeline;
pub mod misspelt;
mod status;
pub mod validate;
mod watched;

use headworks_crds::{Approval, Replay, ReplayStatus, SpecFault};
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};

use crate::{
    access, connection,
    context::Context,
    controller::{OnPlatform, PodRequest, Reconciler, ShownFigures, SpecCheck, checked},
    names::Key,
    platform::policy,
    reason::ConditionReason,
    retry::Error,
    security::Open,
    status::ReconcileOutcome,
    workload::{
        OnKafka, RollOut, Workload,
        figures::{ShowsFigures, settle},
    },
};

impl Reconciler for Replay {
    type Status = ReplayStatus;

    const SPEC_CHECK: SpecCheck = SpecCheck::InReconcile;

    fn status(&self) -> Option<&ReplayStatus> {
        self.status.as_ref()
    }

    fn spec_faults(&self) -> Vec<SpecFault> {
        headworks_crds::faults(&self.spec)
            .into_iter()
            .chain(validate::spec_faults(&self.spec))
            .collect()
    }

    fn open(&self) -> Option<Open> {
        None
    }

    fn pods(&self) -> Option<PodRequest<'_>> {
        let done = self.status.as_ref().is_some_and(status::is_complete);
        Some(PodRequest {
            platform: OnPlatform::OfStream(self.spec.source().to_owned()),
            template: self.spec.pod_template.as_ref(),
            secrets: Vec::new(),
            replicas: i32::from(!self.spec.suspend && !done),
        })
    }

    fn shown_figures(&self) -> Option<ShownFigures> {
        self.status.as_ref().map(ShowsFigures::shown)
    }

    fn needs_finalizer(&self) -> bool {
        false
    }

    async fn reconcile(
        &self,
        status: &mut ReplayStatus,
        context: &Context,
    ) -> Result<ReconcileOutcome, Error> {
        let result = Box::pin(run(self, status, context)).await;
        status.phase = Some(status::phase(&self.spec, status, &result));
        result
    }

    /// Only a Replay that has, or had, a user of its own is held. Its group stays: it says what was replayed.
    async fn finalize(&self, status: &ReplayStatus, context: &Context) -> Result<(), Error> {
        let (key, about) = (Key::of(self), access::workload::about(self));
        let stream = context.stores.stream(&key.namespace, self.spec.source());
        let name = status.platform.clone();
        let Some(name) = name.or(stream.map(|stream| stream.spec.platform)) else {
            let note = format!(
                "DataStream {} is gone, and with it the word which Kafka has {key}'s user; delete the user and its ACLs by hand",
                self.spec.source()
            );
            let left = ConditionReason::UsersLeft;
            context.events.warning(&about, left, &note).await;
            return Ok(());
        };
        let platform = context.stores.platform(&name);
        let deleted = access::workload::deleted(self);
        let revoked =
            access::workload::revoke(&key, deleted, &about, platform.as_ref(), context).await;
        let generated = platform
            .as_ref()
            .is_none_or(|platform| connection::generated(&platform.spec.kafka));
        // One that was never meant to have a user of its own mustn't be held up by looking for it.
        if generated || status.platform.is_some() {
            revoked
        } else {
            Ok(())
        }
    }
}

async fn run(
    replay: &Replay,
    status: &mut ReplayStatus,
    context: &Context,
) -> Result<ReconcileOutcome, Error> {
    let roll_out = RollOut::of(replay, context);
    let key = &roll_out.key;
    let figures = context.reports.figures(key);
    let figures = figures.and_then(|figures| figures.replay);
    // A pod of an earlier Replay of this name may still be ending.
    let figures = figures.filter(|figures| figures.id == build::id(&replay.spec));
    if let Some(figures) = &figures {
        figures::show(status, figures);
        if figures.complete && status.completion_time.is_none() {
            status.completion_time = Some(Time(now()));
        }
    }
    let done = status::is_complete(status);
    let rests = roll_out.rests(replay.spec.suspend || done, 1);
    settle(status, rests, key, context);
    if done || replay.spec.suspend {
        roll_out.suspend().await?;
    }
    if done {
        status::without_pods(&mut status.workload);
        return Ok(status::complete(&replay.spec, status));
    }
    let runs = !roll_out.rests(false, 0);
    let begun = build::has_begun(status, runs, &roll_out.plans());
    let resolved = resolve(replay, key, status, begun, context).await;
    // An older pod writes by what isn't right any more. What it did is in its group: the next one goes on there.
    if let Err(error) = &resolved
        && status::stops(error)
    {
        roll_out.suspend().await?;
    }
    let observed = status.observed_generation;
    let pods = Some(&mut status.workload);
    let (applied, group) = roll_out.apply(resolved, observed, pods).await?;
    status.group = Some(group);
    let outcome = roll_out.observe(&applied).await?;
    roll_out.finish(&applied, outcome).await
}

/// To the second, as a status has it.
fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

/// From the spec to what runs, and the consumer group. `begun`: see [`build::has_begun`].
async fn resolve(
    replay: &Replay,
    key: &Key,
    status: &mut ReplayStatus,
    begun: bool,
    context: &Context,
) -> Result<(Workload, String), Error> {
    checked(replay)?;
    let found = dereference::dereference(replay, key, context).await?;
    let (platform, template) = (&found.platform.platform, replay.spec.pod_template.as_ref());
    policy::check(platform, template, &[])?;
    let (source, target) = (&found.source.stream.contract, &found.target.stream.contract);
    let sql = validate::check(&replay.spec, source, target)?;
    if status.of.is_none() {
        validate::check_window(&replay.spec, found.retention_ms, Timestamp::now())?;
    }
    let policy = platform.spec.replays.as_ref();
    let needed = policy.is_some_and(|policy| policy.approval == Approval::Required);
    if needed && !replay.spec.approved {
        return Err(Error::waiting(
            ConditionReason::ApprovalMissing,
            format!(
                "spec.approved: Platform {} lets no Replay write that nobody has approved; set approved: true once somebody who may has looked at it (headworks dlq count shows how many dead letters there are)",
                found.source.platform
            ),
        ));
    }
    let (workload, group) = build::build(replay, &found, sql, begun)?;
    if workload.kafka.as_ref().is_some_and(OnKafka::has_own_user) && status.platform.is_none() {
        status.platform = Some(found.source.platform.clone());
    }
    Ok((workload, group))
}

#[cfg(test)]
mod tests;
