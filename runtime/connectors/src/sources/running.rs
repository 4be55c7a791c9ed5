//! What a kind of source is to the process that it runs in: it begins by the plan, works until it is told to stop, and drains.

use std::pin::Pin;
use std::time::Duration;

use headworks_engine::status::StatusHandle;
use headworks_engine::{Outcome, StopFlag};
use headworks_plan::{Phase, Plan, SourcePlan};
use prometheus_client::registry::Registry;
use snafu::{ResultExt, Snafu};
use tokio::sync::oneshot;

/// What a source begins with.
pub struct Start<'a> {
    /// The whole plan.
    pub plan: &'a Plan,
    /// The source's part of it.
    pub source: &'a SourcePlan,
    /// Port of a source that listens; 0: any.
    pub http_port: u16,
    /// What the pod says of itself.
    pub status: &'a StatusHandle,
    /// The pod's metrics; a source adds its own.
    pub registry: &'a mut Registry,
}

impl Start<'_> {
    /// Namespace and name of the Source, `ns/name`: goes into dead letters.
    pub fn name(&self) -> String {
        format!("{}/{}", self.plan.namespace, self.plan.name)
    }
}

/// Begins a source: checks what can be checked, and touches nothing outside the process. `None`: the plan's is of another kind.
pub type Begin = fn(&mut Start<'_>) -> Option<Result<Running, SourceError>>;

/// A source that is ready to run: it works until `Stop` is there, and then finishes what it has.
pub type Running =
    Box<dyn FnOnce(Stop) -> Pin<Box<dyn Future<Output = Result<Outcome, SourceError>>>>>;

/// Is ready when the source is to stop; fails where the system tells no signals.
pub type Stop = Pin<Box<dyn Future<Output = std::io::Result<()>> + Send>>;

/// Why a source can't go on.
#[derive(Debug, Snafu)]
#[snafu(visibility(pub(super)))]
pub enum SourceError {
    /// It can't begin.
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

impl SourceError {
    /// It can't begin.
    pub(super) fn begin(why: &impl ToString) -> SourceError {
        SourceError::Begin {
            message: why.to_string(),
        }
    }
}

/// Runs `work`, which blocks, on a thread of its own until `stop`, and then for at most `drain`.
pub(super) async fn on_thread(
    thread: &'static str,
    work: impl FnOnce(&StopFlag) -> Outcome + Send + 'static,
    status: &StatusHandle,
    (stop, drain): (Stop, Duration),
) -> Result<Outcome, SourceError> {
    let flag = StopFlag::new();
    let (tell, mut told) = oneshot::channel();
    let raised = flag.clone();
    // The receiver fails if the thread panics.
    std::thread::Builder::new()
        .name(thread.to_owned())
        .spawn(move || {
            let _ = tell.send(work(&raised));
        })
        .context(SystemSnafu)?;
    tokio::select! {
        stop = stop => stop.context(SystemSnafu)?,
        _ = &mut told => return DiedSnafu { thread }.fail(),
    }
    status.set_phase(Phase::Draining);
    flag.stop();
    match tokio::time::timeout(drain, told).await {
        Ok(Ok(outcome)) => Ok(outcome),
        Ok(Err(_)) => DiedSnafu { thread }.fail(),
        Err(_) => Ok(Outcome::Interrupted),
    }
}
