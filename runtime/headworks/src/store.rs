//! The role `store`: asks a store at intervals whether it answers, and says so.

use std::time::Duration;

use headworks_connectors::stores::probe;
use headworks_engine::status::StatusHandle;
use headworks_plan::{Phase, Problem, Role, StorePlan};

use crate::role::{End, RunError, Start, Work, told_to_stop};

/// How often the store is asked.
const EVERY: Duration = Duration::from_secs(10);

/// The watch hangs if a look isn't over for so long; it gives up by itself long before.
const HANGS: Duration = Duration::from_secs(2 * 60);

/// The watch by the plan.
pub fn begin(start: &mut Start<'_>) -> Option<Result<Work, RunError>> {
    let Role::Store(watched) = &start.plan.role else {
        return None;
    };
    let (watched, status) = (watched.clone(), start.status.clone());
    Some(Ok(Box::pin(async move { run(&watched, &status).await })))
}

/// Watches until a signal. The pod is ready while the store answers.
async fn run(plan: &StorePlan, status: &StatusHandle) -> Result<End, RunError> {
    let told = told_to_stop();
    tokio::pin!(told);
    let mut probe = probe(&plan.store);
    tracing::info!(store = plan.store.name, "watching");
    let pulse = status.pulse("store-watch", HANGS);
    let watching = async {
        loop {
            pulse.beat();
            match probe.check().await {
                Ok(version) => {
                    if let Some(version) = version {
                        status.set_server_version(version);
                    }
                    status.heal_all();
                    status.set_phase(Phase::Running);
                }
                Err(trouble) => {
                    tracing::warn!(
                        reason = trouble.reason.as_str(),
                        message = trouble.message,
                        "the store doesn't answer"
                    );
                    let fatal = trouble.reason.needs_person();
                    status.hold_up(Problem::new(trouble.reason, trouble.message, fatal));
                }
            }
            tokio::time::sleep(EVERY).await;
        }
    };
    tokio::select! {
        signal = &mut told => signal?,
        () = watching => {}
    }
    status.set_phase(Phase::Draining);
    Ok(End::Drained)
}
