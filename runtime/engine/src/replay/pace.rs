//! How many records may be read now: a token bucket that holds a second's worth.

use std::time::Duration;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    per_second: f64,
    tokens: f64,
    at: Duration,
}

impl Pace {
    pub(super) fn new(records_per_second: u64, now: Duration) -> Pace {
        Pace {
            per_second: records_per_second.max(1) as f64,
            tokens: 0.0,
            at: now,
        }
    }

    /// How many may be read at `now`.
    pub(super) fn at(&mut self, now: Duration) -> usize {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        self.at = now;
        self.tokens = (self.tokens + passed * self.per_second).min(self.per_second);
        self.tokens as usize
    }

    /// So many were read: more than were allowed, where a batch can't be that small.
    pub(super) fn read(&mut self, records: usize) {
        self.tokens -= records as f64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_read_than_the_rate_allows_and_no_more_than_a_second_is_made_up_for() {
        let mut pace = Pace::new(100, Duration::ZERO);
        let mut read = 0;
        for tenth in 1..=100 {
            let allowed = pace.at(Duration::from_millis(tenth * 100));
            pace.read(allowed);
            read += allowed;
        }
        assert!((995..=1_000).contains(&read), "{read}");
        assert_eq!(pace.at(Duration::from_secs(3_600)), 100);
        pace.read(150);
        assert_eq!(pace.at(Duration::from_millis(3_600_400)), 0);
        assert_eq!(pace.at(Duration::from_millis(3_600_600)), 10);
    }
}
