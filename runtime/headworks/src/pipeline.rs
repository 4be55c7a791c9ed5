//! The roles `pipeline` and `replay`: one engine thread for each stage of the plan, since the engine blocks and a stage that is
//! held up must not hold up the others. A Replay has one stage.

use std::sync::Arc;
use std::time::Instant;

use headworks_connectors::{formats, stores};
use headworks_engine::status::StatusHandle;
use headworks_engine::{Engine, Identity, Outcome, StopFlag, Work as StageWork, thread_name};
use headworks_plan::{Phase, PipelinePlan, Plan, ReplayPlan, Role};
use snafu::ResultExt;
use tokio::sync::mpsc;

use crate::role::{DRAIN, DiedSnafu, End, RunError, Start, SystemSnafu, Work, told_to_stop};

/// The pipeline by the plan.
pub fn begin(start: &mut Start<'_>) -> Option<Result<Work, RunError>> {
    query(start.plan)?;
    let (plan, status) = (Arc::clone(start.plan), start.status.clone());
    // Only a StatefulSet numbers its pods; a source's pods are a Deployment's.
    Some(ordinal(start.pod_name).map(|ordinal| -> Work { Box::pin(run(plan, ordinal, status)) }))
}

/// The query that a plan has run, and the Replay that it is of, if it is of one; none for a plan of another role.
fn query(plan: &Plan) -> Option<(&PipelinePlan, Option<&ReplayPlan>)> {
    match &plan.role {
        Role::Pipeline(pipeline) => Some((pipeline, None)),
        Role::Replay(replay) | Role::ReplayIntoPipeline(replay) => {
            Some((&replay.query, Some(replay)))
        }
        Role::Source(_) | Role::Store(_) | Role::Compare(_) => None,
    }
}

/// The number at the end of a StatefulSet pod's name.
fn ordinal(pod_name: &str) -> Result<u32, RunError> {
    let number = pod_name
        .rsplit_once('-')
        .and_then(|(_, number)| number.parse().ok());
    number.ok_or_else(|| RunError::PodName {
        name: pod_name.to_owned(),
    })
}

/// Runs the stages until a signal, then until each has committed what it has.
async fn run(plan: Arc<Plan>, ordinal: u32, status: StatusHandle) -> Result<End, RunError> {
    let Some((pipeline, _)) = query(&plan) else {
        return Ok(End::Drained);
    };
    let stop = StopFlag::new();
    let stages = pipeline.stages.len();
    let (tell, mut told) = mpsc::channel(stages.max(1));
    for stage in 0..stages {
        spawn(&plan, stage, ordinal, status.part(), &stop, tell.clone())?;
    }
    // The channel ends when the last thread does.
    drop(tell);
    let died = || DiedSnafu { thread: "engine" }.fail();
    tokio::select! {
        signal = told_to_stop() => signal?,
        _ = told.recv() => return died(),
    }
    status.set_phase(Phase::Draining);
    stop.stop();
    let deadline = Instant::now() + DRAIN;
    let mut end = End::Drained;
    for _ in 0..stages {
        let left = deadline.saturating_duration_since(Instant::now());
        match tokio::time::timeout(left, told.recv()).await {
            Ok(Some(Some(Outcome::Drained))) => {}
            Ok(Some(Some(Outcome::Interrupted))) | Err(_) => end = End::CutShort,
            Ok(Some(None) | None) => return died(),
        }
    }
    Ok(end)
}

/// Tells how a stage ended, even if that was by a panic.
struct Teller {
    tell: mpsc::Sender<Option<Outcome>>,
    outcome: Option<Outcome>,
}

impl Drop for Teller {
    fn drop(&mut self) {
        // There is room for each stage's word.
        let _ = self.tell.try_send(self.outcome);
    }
}

fn spawn(
    plan: &Arc<Plan>,
    stage: usize,
    ordinal: u32,
    status: StatusHandle,
    stop: &StopFlag,
    tell: mpsc::Sender<Option<Outcome>>,
) -> Result<(), RunError> {
    let (plan, stop) = (Arc::clone(plan), stop.clone());
    let name = query(&plan).and_then(|(pipeline, _)| pipeline.stages.get(stage).map(thread_name));
    let work = move || {
        let mut teller = Teller {
            tell,
            outcome: None,
        };
        let Some((pipeline, replay)) = query(&plan) else {
            return;
        };
        let Some(stage) = pipeline.stages.get(stage) else {
            return;
        };
        let identity = Identity {
            namespace: plan.namespace.clone(),
            name: plan.name.clone(),
            ordinal,
        };
        tracing::info!(
            pipeline = format!("{}/{}", plan.namespace, plan.name),
            stage = stage.id,
            group = stage.group,
            ordinal,
            "starting"
        );
        let formats = formats::FormatRegistry::with(plan.registry.as_ref());
        let letters = formats::DeadLetterFormats(formats.clone());
        let of_letters = replay.is_some_and(|replay| replay.dead_letters.is_some());
        let work = StageWork {
            plan: pipeline,
            stage,
            replay,
            kafka: &plan.kafka,
            identity: &identity,
            formats: if of_letters { &letters } else { &formats },
            stores: &stores::StoreRegistry::of_pod(format!("{}-{ordinal}", plan.name)),
        };
        teller.outcome = Some(Engine::run(&work, &status, &stop));
    };
    std::thread::Builder::new()
        .name(name.unwrap_or_default())
        .spawn(work)
        .context(SystemSnafu)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ordinal_is_the_number_at_the_end_of_the_pods_name() {
        assert_eq!(ordinal("orders-to-revenue-0").unwrap(), 0);
        assert_eq!(ordinal("a-12").unwrap(), 12);
        for name in ["", "orders", "orders-", "orders-x", "orders--"] {
            assert!(
                ordinal(name)
                    .unwrap_err()
                    .to_string()
                    .contains("must end in a number"),
                "{name}"
            );
        }
    }
}
