//! The role `pipeline`: one engine thread for the streams it writes, one for the state if its query needs
//! some, and one for each table, since the engine blocks and a part that is held up must not hold up the
//! others.

use std::sync::Arc;
use std::time::Instant;

use headworks_connectors::{formats, stores};
use headworks_engine::status::StatusHandle;
use headworks_engine::{Engine, Identity, Outcome, Part, StopFlag, Work};
use headworks_plan::{Phase, Plan, Role};
use snafu::ResultExt;
use tokio::sync::mpsc;

use crate::run::{DRAIN, DiedSnafu, End, RunError, SystemSnafu, told_to_stop};

/// Runs the parts until a signal, then until each has committed what it has.
pub async fn run(plan: &Plan, ordinal: u32, status: &StatusHandle) -> Result<End, RunError> {
    let Role::Pipeline(pipeline) = &plan.role else {
        return Ok(End::Drained);
    };
    let stop = StopFlag::new();
    let parts = Part::of(pipeline);
    let (tell, mut told) = mpsc::channel(parts.len());
    let plan = Arc::new(plan.clone());
    for part in &parts {
        spawn(&plan, *part, ordinal, status.part(), &stop, tell.clone())?;
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
    for _ in &parts {
        let left = deadline.saturating_duration_since(Instant::now());
        match tokio::time::timeout(left, told.recv()).await {
            Ok(Some(Some(Outcome::Drained))) => {}
            Ok(Some(Some(Outcome::Interrupted))) | Err(_) => end = End::CutShort,
            Ok(Some(None) | None) => return died(),
        }
    }
    Ok(end)
}

/// Tells how a part ended, even if that was by a panic.
struct Teller {
    tell: mpsc::Sender<Option<Outcome>>,
    outcome: Option<Outcome>,
}

impl Drop for Teller {
    fn drop(&mut self) {
        // There is room for each part's word.
        let _ = self.tell.try_send(self.outcome);
    }
}

fn spawn(
    plan: &Arc<Plan>,
    part: Part,
    ordinal: u32,
    status: StatusHandle,
    stop: &StopFlag,
    tell: mpsc::Sender<Option<Outcome>>,
) -> Result<(), RunError> {
    let (plan, stop) = (Arc::clone(plan), stop.clone());
    let name = match part {
        Part::Streams => "engine".to_owned(),
        Part::Keyed => "engine-state".to_owned(),
        Part::Table(index) => format!("engine-table-{index}"),
    };
    let work = move || {
        let mut teller = Teller {
            tell,
            outcome: None,
        };
        let Role::Pipeline(pipeline) = &plan.role else {
            return;
        };
        let identity = Identity {
            namespace: plan.namespace.clone(),
            name: plan.name.clone(),
            ordinal,
        };
        tracing::info!(
            pipeline = format!("{}/{}", plan.namespace, plan.name),
            ?part,
            ordinal,
            "starting"
        );
        let work = Work {
            plan: pipeline,
            part,
            kafka: &plan.kafka,
            identity: &identity,
            formats: &formats::Known::with(plan.registry.as_ref()),
            stores: &stores::Known,
        };
        teller.outcome = Some(Engine::run(&work, &status, &stop));
    };
    std::thread::Builder::new()
        .name(name)
        .spawn(work)
        .context(SystemSnafu)?;
    Ok(())
}
