//! Dead letters on their way out: printed as they are read, with their whole values, until the pod's log is full. The last line
//! says how far each partition was read, so that another pod goes on there, to the ends of the first.

use std::time::{Duration, Instant};

use headworks_plan::PeekLine;

use super::Failure;
use super::select::{Out, Reading, Sent, Topic, Wanted, scan, spans};

/// Prints; none where nobody listens any more.
///
/// # Errors
/// What Kafka refuses, and a Kafka that is silent.
pub(super) fn export(
    topic: &mut impl Topic,
    wanted: Wanted<'_>,
    out: &mut impl Out,
) -> Result<Option<PeekLine>, Failure> {
    let selection = wanted.selection();
    let deadline = Instant::now() + Duration::from_secs(selection.seconds);
    let mut spans = spans(topic, selection)?;
    for (partition, span) in &mut spans {
        let mut positions = selection.positions.iter();
        let known = positions.find(|position| position.partition == *partition);
        let end = known.and_then(|position| position.end);
        span.end = end.unwrap_or(span.end).clamp(span.low, span.high);
        let start = known.map_or(span.low, |position| position.offset);
        if start < span.low {
            out.note(format!(
                "partition {partition} begins at offset {}: what was before isn't kept any more",
                span.low
            ));
        }
        span.start = start.clamp(span.low, span.end);
    }
    let reading = Reading {
        wanted,
        spans: &spans,
        of_each: None,
        deadline,
    };
    let (mut records, mut is_heard, mut is_full) = (0, true, false);
    let scanned = scan(topic, reading, |found| {
        if records >= selection.limit {
            is_full = true;
            return false;
        }
        match out.record(&found) {
            Sent::Shown => records += 1,
            Sent::Full => is_full = true,
            Sent::Unheard => is_heard = false,
        }
        is_heard && !is_full
    })?;
    if !is_heard {
        return Ok(None);
    }
    Ok(Some(PeekLine::End {
        records,
        read: scanned.read,
        more: is_full || scanned.out_of_time,
        positions: scanned.positions,
    }))
}

#[cfg(test)]
mod tests;
