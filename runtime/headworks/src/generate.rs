//! The role `source` whose records are generated: its loop on a thread of its own, since it blocks.

use std::time::Duration;

use headworks_connectors::sources::generate::{Config, run};
use headworks_engine::status::StatusHandle;
use headworks_engine::{Outcome, StopFlag};
use headworks_plan::{KafkaConnection, Phase, Plan, Role};
use snafu::ResultExt;
use tokio::sync::oneshot;

use crate::role::{BeginSnafu, DiedSnafu, End, RunError, Start, SystemSnafu, Work, told_to_stop};

/// From SIGTERM to the end of the transaction under way, at most.
const DRAIN: Duration = Duration::from_secs(5);

/// The generate source by the plan.
pub fn begin(start: &mut Start<'_>) -> Option<Result<Work, RunError>> {
    match &start.plan.role {
        Role::Source(source) if source.generate.is_some() => {}
        _ => return None,
    }
    let generate = Generate::new(start.plan, start.status);
    Some(generate.map(|generate| -> Work { Box::pin(generate.run()) }))
}

/// A generate source that is ready to run.
struct Generate {
    config: Config,
    kafka: KafkaConnection,
    status: StatusHandle,
}

impl Generate {
    /// A source by the plan.
    fn new(plan: &Plan, status: &StatusHandle) -> Result<Generate, RunError> {
        let config = Config::from_plan(plan).map_err(|error| {
            BeginSnafu {
                message: error.to_string(),
            }
            .build()
        })?;
        Ok(Generate {
            config,
            kafka: plan.kafka.clone(),
            status: status.clone(),
        })
    }

    /// Makes records until a signal, then until the transaction under way is committed.
    async fn run(self) -> Result<End, RunError> {
        let status = self.status.clone();
        let stop = StopFlag::new();
        let mut loop_ = self.spawn(stop.clone())?;
        let died = || DiedSnafu { thread: "generate" }.fail();
        tokio::select! {
            told = told_to_stop() => told?,
            _ = &mut loop_ => return died(),
        }
        status.set_phase(Phase::Draining);
        stop.stop();
        match tokio::time::timeout(DRAIN, loop_).await {
            Ok(Ok(Outcome::Drained)) => Ok(End::Drained),
            Ok(Ok(Outcome::Interrupted)) | Err(_) => Ok(End::CutShort),
            Ok(Err(_)) => died(),
        }
    }

    /// The receiver fails if the thread panics.
    fn spawn(self, stop: StopFlag) -> Result<oneshot::Receiver<Outcome>, RunError> {
        let (tell, told) = oneshot::channel();
        tracing::info!(
            source = self.config.source,
            group = self.config.generate.group,
            "starting"
        );
        std::thread::Builder::new()
            .name("generate".to_owned())
            .spawn(move || {
                let _ = tell.send(run(&self.config, &self.kafka, &self.status, &stop));
            })
            .context(SystemSnafu)?;
        Ok(told)
    }
}
