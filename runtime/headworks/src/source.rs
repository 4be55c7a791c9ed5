//! The role `source`: whichever kind of source the plan has.

use headworks_connectors::sources::{KINDS, Running, Start as SourceStart};
use headworks_engine::Outcome;
use headworks_plan::Role;

use crate::role::{End, RunError, Start, Work, signals};

/// The source by the plan.
pub fn begin(start: &mut Start<'_>) -> Option<Result<Work, RunError>> {
    let Role::Source(source) = &start.plan.role else {
        return None;
    };
    let mut start = SourceStart {
        plan: start.plan,
        source,
        http_port: start.http_port,
        status: start.status,
        registry: start.registry,
    };
    let running = KINDS.iter().find_map(|begin| begin(&mut start))?;
    let work = |running: Running| -> Work {
        Box::pin(async {
            Ok(match running(Box::pin(signals())).await? {
                Outcome::Drained => End::Drained,
                Outcome::Interrupted => End::CutShort,
            })
        })
    };
    Some(running.map(work).map_err(RunError::from))
}
