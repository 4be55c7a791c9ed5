//! From the plan to the end of the process: the status server, the role, the signal, the drain.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use headworks_engine::status::StatusHandle;
use headworks_plan::Plan;
use prometheus_client::registry::Registry;
use snafu::ResultExt;

use crate::role::{Begin, BeginSnafu, End, RunError, Start, StatusPortSnafu, SystemSnafu};
use crate::{compare, pipeline, plan_file, source, status, store};

/// Every role that this binary has.
const ROLES: [Begin; 4] = [pipeline::begin, source::begin, store::begin, compare::begin];
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
    let plan = Arc::new(plan);
    let mut start = Start {
        plan: &plan,
        http_port: settings.http_port,
        pod_name: &settings.pod_name,
        status: &handle,
        registry: &mut registry,
    };
    let Some(work) = ROLES.iter().find_map(|begin| begin(&mut start)) else {
        let message = "this version has no role for the plan";
        return BeginSnafu { message }.fail();
    };
    let work = work?;
    serve_status(settings, &handle, registry)?;
    work.await
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
