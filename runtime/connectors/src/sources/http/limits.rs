//! How much is let in: records a second, requests at once, bytes at once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use axum::http::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::answer::Refusal;

/// Most records of one request, as seconds of the rate: so long at most a request that was let in keeps
/// others waiting.
pub(super) const LONGEST_DEBT: u64 = 60;

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
        let mut bucket = self.at(now);
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

    /// Gives back the tokens of records that weren't written after all.
    pub(super) fn give_back(&self, records: usize, now: Instant) {
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

/// Room for requests, those whose body still comes and those at work, and for the memory of both.
pub(super) struct Room {
    readers: Arc<Semaphore>,
    requests: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
}

/// What one connection may hold of bodies that are still coming, so that none takes the room of all.
#[derive(Clone, Debug)]
pub(super) struct Share(Arc<Semaphore>);

impl Share {
    pub(super) fn new(bytes: usize) -> Share {
        Share(Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS))))
    }
}

/// A request's place; given back on drop.
pub(super) struct Place {
    reader: Option<OwnedSemaphorePermit>,
    request: Option<OwnedSemaphorePermit>,
    bytes: Arc<Semaphore>,
    held: Option<OwnedSemaphorePermit>,
    share: Option<Share>,
    shared: Option<OwnedSemaphorePermit>,
}

impl Room {
    /// Room for `readers` bodies that come in at once, `requests` at work at once, and so many bytes.
    pub(super) fn new(readers: usize, requests: usize, bytes: usize) -> Room {
        let room = |of: usize| Arc::new(Semaphore::new(of.min(Semaphore::MAX_PERMITS)));
        Room {
            readers: room(readers),
            requests: room(requests),
            bytes: room(bytes),
        }
    }

    /// A place for a request whose body comes in now.
    pub(super) fn enter(&self, share: Option<Share>) -> Result<Place, Refusal> {
        let Ok(reader) = self.readers.clone().try_acquire_owned() else {
            return Err(Refusal::unavailable(
                "too many bodies are coming in at once",
                1,
            ));
        };
        Ok(Place {
            reader: Some(reader),
            request: None,
            bytes: self.bytes.clone(),
            held: None,
            share,
            shared: None,
        })
    }

    /// The body has come, and the work on it begins. Slow senders hold no place among those at work.
    pub(super) fn work(&self, place: &mut Place) -> Result<(), Refusal> {
        let Ok(request) = self.requests.clone().try_acquire_owned() else {
            return Err(Refusal::unavailable("too many requests at once", 1));
        };
        place.request = Some(request);
        place.reader = None;
        place.share = None;
        place.shared = None;
        Ok(())
    }
}

impl Place {
    /// Holds room for `bytes` in all; while the body comes, also of its connection's share.
    pub(super) fn hold(&mut self, bytes: usize) -> Result<(), Refusal> {
        if let Some(Share(share)) = &self.share
            && !more(share, &mut self.shared, bytes)
        {
            return Err(Refusal::unavailable(
                "too many bytes at once on this connection",
                1,
            ));
        }
        if more(&self.bytes, &mut self.held, bytes) {
            Ok(())
        } else {
            Err(Refusal::unavailable("too many bytes at once", 1))
        }
    }

    /// Gives back what is held above `bytes`.
    pub(super) fn keep(&mut self, bytes: usize) {
        if let Some(held) = &mut self.held {
            drop(held.split(held.num_permits().saturating_sub(bytes)));
        }
    }

    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.held
            .as_ref()
            .map_or(0, OwnedSemaphorePermit::num_permits)
    }
}

/// Makes `held` at least `bytes`. False: there aren't so many.
fn more(of: &Arc<Semaphore>, held: &mut Option<OwnedSemaphorePermit>, bytes: usize) -> bool {
    let now = held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
    let more = bytes.saturating_sub(now);
    if more == 0 {
        return true;
    }
    let permit = u32::try_from(more)
        .ok()
        .and_then(|more| of.clone().try_acquire_many_owned(more).ok());
    let Some(permit) = permit else { return false };
    match held {
        Some(held) => held.merge(permit),
        None => *held = Some(permit),
    }
    true
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
    fn tokens_that_are_given_back_are_there_again_and_no_more() {
        let start = Instant::now();
        let rate = Rate::new(100, start);
        rate.take(250, start).unwrap();
        rate.give_back(150, start);
        assert!(rate.take(0, start).is_err());
        rate.give_back(1_000, start);
        rate.take(100, start).unwrap();
        assert!(rate.take(0, start).is_err());
    }

    #[test]
    fn who_is_slow_takes_no_place_among_those_at_work() {
        let room = Room::new(3, 1, 100);
        let (mut slow, mut quick) = (room.enter(None).unwrap(), room.enter(None).unwrap());
        room.work(&mut quick).unwrap();
        assert!(room.work(&mut slow).is_err());
        let third = room.enter(None).unwrap();
        assert!(room.enter(None).is_ok() && third.held() == 0);
        drop(quick);
        room.work(&mut slow).unwrap();
    }

    #[test]
    fn a_connection_has_its_share_of_what_comes_in() {
        let room = Room::new(9, 9, 100);
        let share = Share::new(40);
        let (mut one, mut two) = (
            room.enter(Some(share.clone())).unwrap(),
            room.enter(Some(share.clone())).unwrap(),
        );
        one.hold(30).unwrap();
        let refused = two.hold(11).unwrap_err();
        assert_eq!(
            refused.message(),
            "too many bytes at once on this connection"
        );
        // What is at work counts for all only.
        room.work(&mut one).unwrap();
        one.hold(60).unwrap();
        two.hold(40).unwrap();
        one.keep(10);
        assert_eq!((one.held(), two.held()), (10, 40));
        room.enter(None).unwrap().hold(50).unwrap();
    }

    #[test]
    fn room_that_is_given_back_can_be_taken_again() {
        let room = Room::new(2, 2, 100);
        let mut first = room.enter(None).unwrap();
        let mut second = room.enter(None).unwrap();
        assert!(room.enter(None).is_err());
        first.hold(60).unwrap();
        first.hold(60).unwrap();
        assert!(second.hold(41).is_err());
        second.hold(40).unwrap();
        drop(first);
        second.hold(100).unwrap();
        assert!(room.enter(None).is_ok());
    }
}
