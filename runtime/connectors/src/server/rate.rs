//! How many records a second are let in.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use axum::http::StatusCode;

use super::Called;
use super::refusal::Refusal;

/// Most records of one request, as seconds of the rate: so long at most a request that was let in keeps
/// others waiting.
pub const LONGEST_DEBT: u64 = 60;

/// A token bucket that holds one second's records. A request is let in while there is any token, and
/// may take more than there are: a batch above the rate passes, and those after it wait.
#[derive(Debug)]
pub struct Rate {
    per_second: f64,
    called: Called,
    bucket: Mutex<Bucket>,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Rate {
    /// A full bucket of so many records a second.
    pub fn new(per_second: u64, called: Called, now: Instant) -> Rate {
        let per_second = per_second.max(1) as f64;
        Rate {
            per_second,
            called,
            bucket: Mutex::new(Bucket {
                tokens: per_second,
                at: now,
            }),
        }
    }

    /// Takes `records` tokens. Zero records only ask.
    ///
    /// # Errors
    /// 429: there are none; `Retry-After` says in how many seconds there are some.
    pub fn take(&self, records: usize, now: Instant) -> Result<(), Refusal> {
        let mut bucket = self.at(now);
        if bucket.tokens < 1.0 {
            let wait = ((1.0 - bucket.tokens) / self.per_second).ceil().max(1.0) as u64;
            let Called { this, field, .. } = self.called;
            let error = format!(
                "above {} records a second, the limit of {this} ({field}.recordsPerSecond, a pod)",
                self.per_second
            );
            return Err(Refusal::new(StatusCode::TOO_MANY_REQUESTS, error).with_retry_after(wait));
        }
        bucket.tokens -= records as f64;
        Ok(())
    }

    /// Gives back the tokens of records that weren't written after all.
    pub fn give_back(&self, records: usize, now: Instant) {
        let mut bucket = self.at(now);
        bucket.tokens = (bucket.tokens + records as f64).min(self.per_second);
    }

    fn at(&self, now: Instant) -> MutexGuard<'_, Bucket> {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let refill = now.saturating_duration_since(bucket.at).as_secs_f64() * self.per_second;
        bucket.tokens = (bucket.tokens + refill).min(self.per_second);
        bucket.at = now.max(bucket.at);
        bucket
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_batch_above_the_rate_passes_and_the_next_waits_its_share() {
        let start = Instant::now();
        let rate = Rate::new(100, Called::TEST, start);
        rate.take(250, start).unwrap();
        assert_eq!(rate.take(1, start).unwrap_err().retry_after(), Some(2));
        assert_eq!(
            rate.take(1, start + Duration::from_millis(1400))
                .unwrap_err()
                .retry_after(),
            Some(1)
        );
        rate.take(1, start + Duration::from_millis(1520)).unwrap();
    }

    #[test]
    fn over_ten_seconds_no_more_than_the_rate_and_one_bucket_get_in() {
        let start = Instant::now();
        let rate = Rate::new(100, Called::TEST, start);
        let taken = (0..100_000)
            .filter(|i| rate.take(1, start + Duration::from_micros(i * 100)).is_ok())
            .count();
        assert!((1090..=1101).contains(&taken), "{taken}");
    }

    #[test]
    fn tokens_that_are_given_back_are_there_again_and_no_more() {
        let start = Instant::now();
        let rate = Rate::new(100, Called::TEST, start);
        rate.take(250, start).unwrap();
        rate.give_back(150, start);
        assert!(rate.take(0, start).is_err());
        rate.give_back(1_000, start);
        rate.take(100, start).unwrap();
        assert!(rate.take(0, start).is_err());
    }
}
