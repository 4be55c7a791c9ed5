//! Figures of a Pipeline at rest, and of one that stands still.
//!
//! The delay is taken at a commit, and an idle pipeline commits nothing: what it showed last would stand there for ever. Where
//! nothing is left to be read, nothing is late, and no delay is shown. Where records wait and none is committed, the delay grows.

use headworks_plan::Report;

use super::figures::{Coarse, round_delay};

/// Without a commit for so long a pipeline that has read everything is idle.
const REST_MS: i64 = 120_000;
/// Without a commit for so long one that hasn't stands still.
const STILL_MS: i64 = 60_000;
/// From an hour on, a delay that grows by itself moves in steps of ten minutes.
const HOUR_MS: u64 = 3_600_000;
const STEP_MS: u64 = 600_000;

/// The figures as they are to be shown at `now_ms`, milliseconds since 1970 UTC.
pub fn at(mut figures: Coarse, reports: &[&Report], now_ms: i64) -> Coarse {
    let all = || reports.iter().map(|report| &report.figures);
    let lag = all().filter_map(|f| f.lag).reduce(u64::saturating_add);
    let committed = all().filter_map(|f| f.last_commit_ms).max();
    let since = committed.map(|ms| now_ms.saturating_sub(ms));
    match (lag, since) {
        (Some(0), None) => figures.delay_ms = None,
        (Some(0), Some(ms)) if ms >= REST_MS => figures.delay_ms = None,
        (Some(lag), Some(ms)) if lag > 0 && ms >= STILL_MS => {
            let newest = all().filter_map(|f| f.max_event_time_ms).max();
            let behind = newest.and_then(|ms| u64::try_from(now_ms.saturating_sub(ms)).ok());
            figures.delay_ms = behind.map(steps);
        }
        _ => {}
    }
    figures
}

fn steps(ms: u64) -> u64 {
    if ms < HOUR_MS {
        round_delay(ms)
    } else {
        ms / STEP_MS * STEP_MS
    }
}

#[cfg(test)]
mod tests {
    use headworks_plan::Figures;

    use super::*;

    const NOW: i64 = 1_000_000_000;

    fn delay(lag: Option<u64>, committed_ago: Option<i64>, event_ago: i64) -> Option<u64> {
        let report = Report {
            figures: Figures {
                lag,
                last_commit_ms: committed_ago.map(|ago| NOW - ago),
                max_event_time_ms: Some(NOW - event_ago),
                ..Figures::default()
            },
            ..Report::default()
        };
        let shown = Coarse {
            delay_ms: Some(3_000),
            ..Coarse::default()
        };
        at(shown, &[&report], NOW).delay_ms
    }

    #[test]
    fn nothing_is_late_where_nothing_comes() {
        assert_eq!(delay(Some(0), Some(5_000), 8_000), Some(3_000));
        assert_eq!(delay(Some(0), Some(120_000), 123_000), None);
        // It began anew, has read everything, and nothing has come since.
        assert_eq!(delay(Some(0), None, 0), None);
        // Nobody knows yet.
        assert_eq!(delay(None, None, 0), Some(3_000));
    }

    #[test]
    fn the_delay_of_one_that_stands_still_grows() {
        assert_eq!(delay(Some(7), Some(5_000), 8_000), Some(3_000));
        assert_eq!(delay(Some(7), Some(60_000), 63_000), Some(60_000));
        assert_eq!(delay(Some(7), Some(600_000), 609_000), Some(600_000));
        assert_eq!(delay(Some(7), Some(7_000_000), 7_900_000), Some(7_800_000));
    }
}
