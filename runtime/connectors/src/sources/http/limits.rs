//! How much is let in: records a second, requests at once, bytes at once.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use axum::http::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::answer::Refusal;

/// A token bucket that holds one second's records. A request is let in while there is any token, and
/// may take more than there are: a batch above the rate passes, and those after it wait.
pub(super) struct Rate {
    per_second: f64,
    bucket: Mutex<Bucket>,
}

struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Rate {
    pub(super) fn new(per_second: u64, now: Instant) -> Rate {
        let per_second = per_second.max(1) as f64;
        Rate {
            per_second,
            bucket: Mutex::new(Bucket {
                tokens: per_second,
                at: now,
            }),
        }
    }

    /// Takes `records` tokens, or says in how many seconds there are some. Zero records only ask.
    pub(super) fn take(&self, records: usize, now: Instant) -> Result<(), Refusal> {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let refill = now.saturating_duration_since(bucket.at).as_secs_f64() * self.per_second;
        bucket.tokens = (bucket.tokens + refill).min(self.per_second);
        bucket.at = now;
        if bucket.tokens < 1.0 {
            let wait = ((1.0 - bucket.tokens) / self.per_second).ceil().max(1.0) as u64;
            let error = format!(
                "above {} records a second, the limit of this source (spec.http.recordsPerSecond, a pod)",
                self.per_second
            );
            return Err(Refusal::new(StatusCode::TOO_MANY_REQUESTS, error).with_retry_after(wait));
        }
        bucket.tokens -= records as f64;
        Ok(())
    }
}

/// Room for requests and their bodies.
pub(super) struct Room {
    requests: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
}

/// A request's place; given back on drop.
pub(super) struct Place {
    _request: OwnedSemaphorePermit,
    bytes: Arc<Semaphore>,
    held: Option<OwnedSemaphorePermit>,
}

impl Room {
    pub(super) fn new(requests: usize, bytes: usize) -> Room {
        Room {
            requests: Arc::new(Semaphore::new(requests)),
            bytes: Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS))),
        }
    }

    pub(super) fn enter(&self) -> Result<Place, Refusal> {
        let Ok(request) = self.requests.clone().try_acquire_owned() else {
            return Err(Refusal::unavailable("too many requests at once", 1));
        };
        Ok(Place {
            _request: request,
            bytes: self.bytes.clone(),
            held: None,
        })
    }
}

impl Place {
    /// Holds room for `bytes` in all.
    pub(super) fn hold(&mut self, bytes: usize) -> Result<(), Refusal> {
        let more = bytes.saturating_sub(
            self.held
                .as_ref()
                .map_or(0, OwnedSemaphorePermit::num_permits),
        );
        let permit = u32::try_from(more)
            .ok()
            .and_then(|more| self.bytes.clone().try_acquire_many_owned(more).ok());
        let Some(permit) = permit else {
            return Err(Refusal::unavailable("too many bytes at once", 1));
        };
        match &mut self.held {
            Some(held) => held.merge(permit),
            None => self.held = Some(permit),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_batch_above_the_rate_passes_and_the_next_waits_its_share() {
        let start = Instant::now();
        let rate = Rate::new(100, start);
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
        let rate = Rate::new(100, start);
        let taken = (0..100_000)
            .filter(|i| rate.take(1, start + Duration::from_micros(i * 100)).is_ok())
            .count();
        assert!((1090..=1101).contains(&taken), "{taken}");
    }

    #[test]
    fn room_that_is_given_back_can_be_taken_again() {
        let room = Room::new(2, 100);
        let mut first = room.enter().unwrap();
        let mut second = room.enter().unwrap();
        assert!(room.enter().is_err());
        first.hold(60).unwrap();
        first.hold(60).unwrap();
        assert!(second.hold(41).is_err());
        second.hold(40).unwrap();
        drop(first);
        second.hold(100).unwrap();
        assert!(room.enter().is_ok());
    }
}
