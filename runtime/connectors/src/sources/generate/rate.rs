//! When how many records are due.

use std::time::Duration;

/// The time between two batches, unless the next record is due later.
pub(super) const TICK: Duration = Duration::from_millis(100);
/// Most records in a batch, and so in a transaction.
pub(super) const MOST: u64 = 20_000;

/// Keeps a rate over any length of time. Times are counted from an arbitrary beginning.
#[derive(Clone, Debug)]
pub(super) struct Rate {
    per_second: u64,
    /// Since when it is counted.
    since: Duration,
    /// Records made since then.
    made: u64,
    /// When the last batch was begun.
    last: Option<Duration>,
}

impl Rate {
    pub(super) fn new(per_second: u64, now: Duration) -> Rate {
        Rate {
            per_second: per_second.max(1),
            since: now,
            made: 0,
            last: None,
        }
    }

    /// Records that are due now. What wasn't made while it couldn't be is not made up for, beyond what a
    /// second brings.
    pub(super) fn due(&mut self, now: Duration) -> u64 {
        let passed = now.saturating_sub(self.since).as_nanos();
        let earned = passed * u128::from(self.per_second) / 1_000_000_000;
        let earned = u64::try_from(earned).unwrap_or(u64::MAX);
        let due = earned.saturating_sub(self.made);
        if due > self.per_second {
            self.made = earned - self.per_second;
        }
        due.min(self.per_second).min(MOST)
    }

    /// `records` were begun to be made at `now`.
    pub(super) fn made(&mut self, records: u64, now: Duration) {
        self.made = self.made.saturating_add(records);
        self.last = Some(now);
    }

    /// How long to wait at `now` until the next batch.
    pub(super) fn wait(&self, now: Duration) -> Duration {
        let nanos = (u128::from(self.made) + 1) * 1_000_000_000;
        let next = nanos.div_ceil(u128::from(self.per_second));
        let next = self.since + Duration::from_nanos(u64::try_from(next).unwrap_or(u64::MAX));
        let tick = self.last.map_or(self.since, |last| last) + TICK;
        next.max(tick).saturating_sub(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Batches as (begin, records) over `seconds`; each takes `cost` to commit.
    fn run(per_second: u64, seconds: u64, cost: Duration) -> Vec<(Duration, u64)> {
        let begin = Duration::from_secs(1_000);
        let end = begin + Duration::from_secs(seconds);
        let mut rate = Rate::new(per_second, begin);
        let (mut now, mut batches) = (begin, Vec::new());
        loop {
            now += rate.wait(now);
            if now >= end {
                return batches;
            }
            let due = rate.due(now);
            assert!(due > 0, "nothing is due after the wait");
            batches.push((now, due));
            rate.made(due, now);
            now += cost;
        }
    }

    #[test]
    fn the_rate_is_kept_from_one_to_a_hundred_thousand() {
        for per_second in [1, 3, 7, 10, 11, 99, 1_000, 12_345, 100_000] {
            let batches = run(per_second, 60, Duration::from_millis(30));
            let made: u64 = batches.iter().map(|(_, records)| records).sum();
            let wanted = (per_second * 60) as f64;
            // The last batch of the minute may still be to come.
            assert!(
                made as f64 >= wanted * 0.98 - 1.0 && made as f64 <= wanted,
                "{made} at {per_second}"
            );
            let gap = batches
                .windows(2)
                .map(|two| two[1].0.abs_diff(two[0].0))
                .min();
            assert!(gap >= Some(TICK), "{gap:?} at {per_second}");
        }
    }

    #[test]
    fn a_batch_that_takes_long_is_made_up_for_at_once_if_it_can_be() {
        let made: u64 = run(1_000, 60, Duration::from_millis(450))
            .iter()
            .map(|(_, records)| records)
            .sum();
        assert!((59_000..=60_000).contains(&made), "{made}");
    }

    #[test]
    fn after_an_outage_no_more_than_a_second_is_made_up_for() {
        let second = Duration::from_secs(1);
        let mut rate = Rate::new(500, second);
        assert_eq!(rate.due(second * 2), 500);
        rate.made(500, second * 2);
        let later = second * 3_600;
        assert_eq!(rate.due(later), 500);
        rate.made(500, later);
        assert_eq!(rate.due(later + TICK), 50);
        assert_eq!(rate.wait(later), TICK);
    }

    #[test]
    fn no_batch_is_larger_than_a_transaction_should_be() {
        let second = Duration::from_secs(1);
        let mut rate = Rate::new(1_000_000, second);
        assert_eq!(rate.due(second * 9), MOST);
        rate.made(MOST, second * 9);
        assert_eq!(rate.due(second * 9), MOST);
    }
}
