//! What a role is: how it begins, by the plan, and how its work ends.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use headworks_connectors::sources::SourceError;
use headworks_engine::status::StatusHandle;
use headworks_plan::Plan;
use prometheus_client::registry::Registry;
use snafu::{ResultExt, Snafu};
use tokio::signal::unix::{SignalKind, signal};

use crate::plan_file::PlanError;

/// From SIGTERM to the end, at most. Below Kubernetes' default grace of 30 s.
pub const DRAIN: Duration = Duration::from_secs(20);

/// What a role begins with.
pub struct Start<'a> {
    /// What is to be done.
    pub plan: &'a Arc<Plan>,
    /// Port of an HTTP source.
    pub http_port: u16,
    /// The pod's name.
    pub pod_name: &'a str,
    /// What the pod says of itself.
    pub status: &'a StatusHandle,
    /// The pod's metrics; a role adds its own.
    pub registry: &'a mut Registry,
}

/// The work of a role, from the moment the status server listens to the end.
pub type Work = Pin<Box<dyn Future<Output = Result<End, RunError>>>>;

/// Begins a role: checks what can be checked, and touches nothing outside the process. `None`: the plan has another role.
pub type Begin = fn(&mut Start<'_>) -> Option<Result<Work, RunError>>;

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
    /// The source can't begin, or go on.
    #[snafu(transparent)]
    Source {
        /// Why.
        source: SourceError,
    },
    /// The plan asks for what isn't there.
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

/// Returns at SIGTERM or SIGINT.
pub async fn told_to_stop() -> Result<(), RunError> {
    signals().await.context(SystemSnafu)
}

/// Returns at SIGTERM or SIGINT, or because the system tells none.
pub async fn signals() -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM: draining"),
        _ = interrupt.recv() => tracing::info!("SIGINT: draining"),
    }
    Ok(())
}
