//! A profile over time: one of each interval, in the memory of one.

use std::time::{Duration, Instant};

use headworks_plan::{PeekFrom, PeekLine, PeekPlan, PeekSelection, ProfileRequest, StreamProfile};

use super::super::Failure;
use super::super::render::Rows;
use super::super::select::{Sent, Topic};
use super::sampled;

/// Reads a sample of each interval, the first one first, and has each told as soon as it is made. Gives the last line, or none where
/// nobody listens any more. What there is no time or no room for isn't told, and a note says so.
///
/// # Errors
/// A time span that is none, or has too many intervals; those of [`super::profile`].
pub(in crate::peek) fn over_time(
    topic: &mut impl Topic,
    plan: &PeekPlan,
    (asked, every_ms): (ProfileRequest, u64),
    rows: impl Fn() -> Result<Rows, Failure>,
    mut tell: impl FnMut(PeekLine) -> Sent,
) -> Result<Option<PeekLine>, Failure> {
    let deadline = Instant::now() + Duration::from_secs(plan.select.seconds);
    let (Some(PeekFrom::Time(since)), Some(until)) = (plan.select.from, plan.select.until_ms)
    else {
        return Err(refused("a profile over time is from a time to a time"));
    };
    let intervals = ProfileRequest::intervals(since, until, every_ms).map_err(refused)?;
    let (mut records, mut read) = (0, 0);
    let mut left = None;
    for (at, (begin, end)) in intervals.iter().copied().enumerate() {
        if Instant::now() >= deadline {
            left = Some(out_of_time(at, intervals.len()));
            break;
        }
        let of_interval = PeekPlan {
            select: PeekSelection {
                from: Some(PeekFrom::Time(begin)),
                until_ms: Some(end),
                ..plan.select.clone()
            },
            ..plan.clone()
        };
        let profile = sampled(topic, &of_interval, asked, rows()?, deadline)?;
        if !profile.complete {
            left = Some(out_of_time(at, intervals.len()));
            break;
        }
        records += profile.rows;
        read += profile.read;
        let told = StreamProfile {
            interval: Some((begin, end)),
            ..profile
        };
        match tell(PeekLine::Profile(Box::new(told))) {
            Sent::Shown => {}
            Sent::Full => {
                left = Some(format!(
                    "{at} of {} intervals are shown, since a pod's log would be cut: choose longer ones, or go on from there with --since",
                    intervals.len()
                ));
                break;
            }
            Sent::Unheard => return Ok(None),
        }
    }
    let more = left.is_some();
    if let Some(message) = left {
        tell(PeekLine::Note { message });
    }
    Ok(Some(PeekLine::End {
        records,
        read,
        more,
        positions: Vec::new(),
    }))
}

fn out_of_time(told: usize, of: usize) -> String {
    format!(
        "time was over after {told} of {of} intervals: --timeout gives it longer, --records takes fewer of each"
    )
}

fn refused(message: impl Into<String>) -> Failure {
    Failure::new("PlanRefused", message)
}
