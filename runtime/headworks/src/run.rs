//! From the plan to the end of the process: the status server, the role, the signal, the drain.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use headworks_engine::status::StatusHandle;
use headworks_plan::{Plan, Role};
use prometheus_client::registry::Registry;
use snafu::{ResultExt, Snafu};
use tokio::signal::unix::{SignalKind, signal};

use crate::plan_file::{self, PlanError};
use crate::{pipeline, source, status, store};

/// From SIGTERM to the end, at most. Below Kubernetes' default grace of 30 s.
pub const DRAIN: Duration = Duration::from_secs(20);
/// Kubernetes shows what is written here as the reason of a container's end.
const TERMINATION_LOG: &str = "/dev/termination-log";

/// What the command line says.
#[derive(Debug)]
pub struct Settings {
    /// The plan's file.
    pub path: PathBuf,
    /// Port of the status server.
    pub status_port: u16,
    /// Port of an HTTP source.
    pub http_port: u16,
    /// The pod's name.
    pub pod_name: String,
}

/// How the work ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Everything begun was finished.
    Drained,
    /// Time ran out first.
    CutShort,
}

/// Why the process can't go on.
#[derive(Debug, Snafu)]
#[snafu(visibility(pub))]
pub enum RunError {
    /// No plan.
    #[snafu(transparent)]
    Plan {
        /// Why.
        source: PlanError,
    },
    /// The pod's name has no number.
    #[snafu(display(
        "the pod name {name} must end in a number, as in orders-to-revenue-0 (HEADWORKS_POD_NAME)"
    ))]
    PodName {
        /// The name.
        name: String,
    },
    /// The status port can't be had.
    #[snafu(display("cannot listen on status port {port}: {source}"))]
    StatusPort {
        /// The port.
        port: u16,
        /// What the system said.
        source: std::io::Error,
    },
    /// The source can't begin.
    #[snafu(display("cannot begin: {message}"))]
    Begin {
        /// Why.
        message: String,
    },
    /// A thread ended that should have gone on.
    #[snafu(display("the {thread} thread ended unasked; the log above says more"))]
    Died {
        /// Which.
        thread: &'static str,
    },
    /// The system gives no threads or signals.
    #[snafu(display("cannot start: {source}"))]
    System {
        /// What it said.
        source: std::io::Error,
    },
}

/// Runs the plan to its end.
pub fn run(settings: &Settings) -> ExitCode {
    match start(settings) {
        Ok(End::Drained) => {
            tracing::info!("drained");
            ExitCode::SUCCESS
        }
        Ok(End::CutShort) => {
            tracing::warn!("the drain was cut short; nothing is lost, some of it is done again");
            ExitCode::from(4)
        }
        Err(error) => {
            tracing::error!("{error}");
            // Only where Kubernetes made the file.
            if std::path::Path::new(TERMINATION_LOG).exists() {
                let _ = std::fs::write(TERMINATION_LOG, error.to_string());
            }
            ExitCode::from(match error {
                RunError::Plan { .. } => 3,
                RunError::PodName { .. } => 2,
                _ => 1,
            })
        }
    }
}

fn start(settings: &Settings) -> Result<End, RunError> {
    let plan = plan_file::read(&settings.path)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(16)
        .thread_name("headworks-async")
        .enable_all()
        .build()
        .context(SystemSnafu)?;
    let end = runtime.block_on(work(settings, plan));
    runtime.shutdown_timeout(Duration::from_millis(500));
    end
}

async fn work(settings: &Settings, plan: Plan) -> Result<End, RunError> {
    let handle = StatusHandle::new();
    let mut registry = status::registry(&plan, &handle);
    match &plan.role {
        Role::Pipeline(_) => {
            // Only a StatefulSet numbers its pods; a source's pods are a Deployment's.
            let ordinal = ordinal(&settings.pod_name)?;
            serve_status(settings, &handle, registry)?;
            pipeline::run(&plan, ordinal, &handle).await
        }
        Role::Source(_) => {
            let source = source::Source::new(&plan, settings.http_port, &handle, &mut registry)?;
            serve_status(settings, &handle, registry)?;
            source.run().await
        }
        Role::Store(watched) => {
            serve_status(settings, &handle, registry)?;
            store::run(watched, &handle).await
        }
    }
}

fn serve_status(
    settings: &Settings,
    handle: &StatusHandle,
    registry: Registry,
) -> Result<(), RunError> {
    let port = settings.status_port;
    let address =
        status::serve(port, handle.clone(), registry).context(StatusPortSnafu { port })?;
    tracing::info!(%address, "status, metrics, health");
    Ok(())
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

/// Returns at SIGTERM or SIGINT.
pub async fn told_to_stop() -> Result<(), RunError> {
    let mut terminate = signal(SignalKind::terminate()).context(SystemSnafu)?;
    let mut interrupt = signal(SignalKind::interrupt()).context(SystemSnafu)?;
    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM: draining"),
        _ = interrupt.recv() => tracing::info!("SIGINT: draining"),
    }
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
