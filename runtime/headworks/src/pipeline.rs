//! The role `pipeline`: the engine on a thread of its own, since it blocks.

use std::sync::Arc;

use headworks_connectors::formats::Known;
use headworks_engine::format::Formats;
use headworks_engine::status::StatusHandle;
use headworks_engine::{Engine, Identity, Outcome, StopFlag};
use headworks_plan::{Phase, Plan, Role};
use snafu::ResultExt;
use tokio::sync::oneshot;

use crate::run::{DRAIN, DiedSnafu, End, RunError, SystemSnafu, told_to_stop};

/// Runs the engine until a signal, then until it has committed what it has.
pub async fn run(plan: &Plan, ordinal: u32, status: &StatusHandle) -> Result<End, RunError> {
    let stop = StopFlag::new();
    let mut engine = spawn(plan.clone(), ordinal, status.clone(), stop.clone())?;
    let died = || DiedSnafu { thread: "engine" }.fail();
    tokio::select! {
        told = told_to_stop() => told?,
        _ = &mut engine => return died(),
    }
    status.set_phase(Phase::Draining);
    stop.stop();
    match tokio::time::timeout(DRAIN, engine).await {
        Ok(Ok(Outcome::Drained)) => Ok(End::Drained),
        Ok(Ok(Outcome::Interrupted)) | Err(_) => Ok(End::CutShort),
        Ok(Err(_)) => died(),
    }
}

/// The receiver fails if the thread panics.
fn spawn(
    plan: Plan,
    ordinal: u32,
    status: StatusHandle,
    stop: StopFlag,
) -> Result<oneshot::Receiver<Outcome>, RunError> {
    let (tell, told) = oneshot::channel();
    let work = move || {
        let Role::Pipeline(pipeline) = &plan.role else {
            return;
        };
        let identity = Identity {
            namespace: plan.namespace.clone(),
            name: plan.name.clone(),
            ordinal,
        };
        let formats: Arc<dyn Formats> = Arc::new(Known);
        tracing::info!(
            pipeline = format!("{}/{}", plan.namespace, plan.name),
            group = pipeline.group,
            ordinal,
            "starting"
        );
        let _ = tell.send(Engine::run(
            pipeline,
            &plan.kafka,
            &identity,
            &formats,
            &status,
            &stop,
        ));
    };
    std::thread::Builder::new()
        .name("engine".to_owned())
        .spawn(work)
        .context(SystemSnafu)?;
    Ok(told)
}
