//! How much is let in at once: bodies, requests, bytes.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::refusal::Refusal;

/// Room for requests, those whose body still comes and those at work, and for the memory of both.
#[derive(Debug)]
pub struct Room {
    readers: Arc<Semaphore>,
    requests: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
}

/// What one connection may hold of bodies that are still coming, so that none takes the room of all.
#[derive(Clone, Debug)]
pub struct Share(Arc<Semaphore>);

impl Share {
    /// So many bytes at once.
    pub fn new(bytes: usize) -> Share {
        Share(Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS))))
    }
}

/// A request's place; given back on drop.
#[derive(Debug)]
pub struct Place {
    reader: Option<OwnedSemaphorePermit>,
    request: Option<OwnedSemaphorePermit>,
    bytes: Arc<Semaphore>,
    held: Option<OwnedSemaphorePermit>,
    share: Option<Share>,
    shared: Option<OwnedSemaphorePermit>,
}

impl Room {
    /// Room for `readers` bodies that come in at once, `requests` at work at once, and so many bytes.
    pub fn new(readers: usize, requests: usize, bytes: usize) -> Room {
        let room = |of: usize| Arc::new(Semaphore::new(of.min(Semaphore::MAX_PERMITS)));
        Room {
            readers: room(readers),
            requests: room(requests),
            bytes: room(bytes),
        }
    }

    /// A place for a request whose body comes in now; of its connection's `share`, where there is one.
    ///
    /// # Errors
    /// 503: there is none now.
    pub fn enter(&self, share: Option<Share>) -> Result<Place, Refusal> {
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
    ///
    /// # Errors
    /// 503: too many are at work.
    pub fn work(&self, place: &mut Place) -> Result<(), Refusal> {
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
    ///
    /// # Errors
    /// 503: there is no room for so many now. What was held is still held.
    pub fn hold(&mut self, bytes: usize) -> Result<(), Refusal> {
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
    pub fn keep(&mut self, bytes: usize) {
        if let Some(held) = &mut self.held {
            drop(held.split(held.num_permits().saturating_sub(bytes)));
        }
    }

    /// Bytes held.
    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
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
    use super::*;

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
