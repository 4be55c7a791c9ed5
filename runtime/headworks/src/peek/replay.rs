//! What a Replay would do with its part of the topic, as that is now: read from where the Replay would begin to where it would end, by the
//! code of its pod, and nothing is written.

use std::time::{Duration, Instant};

use headworks_connectors::formats::{DeadLetterFormats, FormatRegistry};
use headworks_engine::format::FormatError;
use headworks_engine::{Preview, PreviewRecord};
use headworks_plan::{PeekFrom, PeekLine, PeekPlan, PeekSelection, Reason, ReplayPlan, StartFrom};

use super::Failure;
use super::select::{Reading, Topic, Wanted, scan, spans};

/// Counts.
///
/// # Errors
/// What Kafka refuses, a Kafka that is silent, a schema that isn't known, and a plan that can't be run.
pub(super) fn preview(
    topic: &mut impl Topic,
    plan: &PeekPlan,
    replay: &ReplayPlan,
) -> Result<PeekLine, Failure> {
    let deadline = Instant::now() + Duration::from_secs(plan.select.seconds);
    let formats = FormatRegistry::with(plan.registry.as_ref());
    let masks = !plan.masked.is_empty();
    let preview = if replay.dead_letters.is_some() {
        Preview::new(replay, &DeadLetterFormats(formats), masks)
    } else {
        Preview::new(replay, &formats, masks)
    };
    let mut preview = preview.map_err(|error| Failure::new("PlanRefused", error))?;
    // A Replay takes all between two offsets, whatever the records' own timestamps are.
    let bounds = PeekSelection {
        from: match replay.query.start_from {
            StartFrom::Time(ms) => Some(PeekFrom::Time(ms)),
            StartFrom::Earliest | StartFrom::Latest => Some(PeekFrom::Offset(0)),
        },
        until_ms: replay.end_ms,
        ..plan.select.clone()
    };
    let spans = spans(topic, &bounds)?;
    let all = PeekSelection::default();
    let reading = Reading {
        wanted: Wanted::all(&all),
        spans: &spans,
        of_each: None,
        deadline,
    };
    let mut failed = None;
    let scanned = scan(topic, reading, |found| {
        let added = preview.add(&PreviewRecord {
            partition: found.partition,
            offset: found.offset,
            time_ms: found.time(),
            key: found.key.as_deref(),
            value: found.value.as_deref(),
            headers: &found.headers,
        });
        failed = added.err();
        failed.is_none()
    })?;
    if let Some(error) = failed {
        return Err(failure(&error));
    }
    let told = preview.end(scanned.read, !scanned.out_of_time);
    let told = told.map_err(|error| failure(&error))?;
    Ok(PeekLine::Replay(Box::new(told)))
}

fn failure(error: &FormatError) -> Failure {
    let reason = match error {
        FormatError::Waits { .. } => Reason::RegistryUnavailable.as_str(),
        _ => "Internal",
    };
    Failure::new(reason, error.to_string())
}

#[cfg(test)]
mod tests;
