//! The source in its pod: its loop on a thread of its own, since it blocks.

use std::time::Duration;

use headworks_engine::StopFlag;
use headworks_plan::SourceConnection;

use super::{Config, run};
use crate::sources::running::{Running, SourceError, Start, on_thread};

/// From SIGTERM to the end of the transaction under way, at most.
const DRAIN: Duration = Duration::from_secs(5);

/// The generate source by the plan.
pub fn begin(start: &mut Start<'_>) -> Option<Result<Running, SourceError>> {
    let SourceConnection::Generate(_) = &start.source.connection else {
        return None;
    };
    let config = match Config::from_plan(start.plan) {
        Ok(config) => config,
        Err(error) => return Some(Err(SourceError::begin(&error))),
    };
    let (kafka, status) = (start.plan.kafka.clone(), start.status.clone());
    Some(Ok(Box::new(move |stop| {
        Box::pin(async move {
            let (source, group) = (&config.source, &config.generate.group);
            tracing::info!(source, group, "starting");
            let of_loop = status.clone();
            let work = move |flag: &StopFlag| run(&config, &kafka, &of_loop, flag);
            on_thread("generate", work, &status, (stop, DRAIN)).await
        })
    })))
}
