//! Since when the ConfigMaps of a stream's definition say what they say.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::names::Key;

/// A contract out of ConfigMaps is taken when they have said the same for so long: who applies two of them, or one and its stream,
/// writes one after the other.
pub const QUIET: Duration = Duration::from_secs(5);
/// What nobody has asked about for so long is forgotten: the stream is gone.
const KEPT: Duration = Duration::from_secs(3_600);

/// Contracts that ConfigMaps ask for and that aren't in force, by stream, with when they were first seen.
#[derive(Debug, Default)]
pub struct SettlingTexts(Mutex<HashMap<Key, (String, Instant)>>);

impl SettlingTexts {
    /// How long yet until a contract is to be taken, by its fingerprint; none: it was seen [`QUIET`] ago, and no other one since.
    pub fn left(&self, stream: &Key, fingerprint: &str, now: Instant) -> Option<Duration> {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.retain(|_, (_, since)| now.saturating_duration_since(*since) < KEPT);
        let first = match seen.get(stream) {
            Some((same, since)) if same == fingerprint => *since,
            _ => {
                let first = (fingerprint.to_owned(), now);
                seen.insert(stream.clone(), first);
                now
            }
        };
        QUIET
            .checked_sub(now.saturating_duration_since(first))
            .filter(|left| !left.is_zero())
    }

    /// The contract in force is the one that is asked for.
    pub fn settled(&self, stream: &Key) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.remove(stream);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_again_within_a_few_seconds_is_not_taken_in_between() {
        let (seen, start) = (SettlingTexts::default(), Instant::now());
        let stream = Key::new("DataStream", "shop", "orders");
        let left = |print: &str, after: u64| {
            let now = start + Duration::from_secs(after);
            seen.left(&stream, print, now).map(|left| left.as_secs())
        };
        assert_eq!(left("one of two maps", 0), Some(5));
        assert_eq!(left("one of two maps", 2), Some(3));
        assert_eq!(left("both", 3), Some(5));
        assert_eq!(left("both", 8), None);
        assert_eq!(left("both", 60), None, "its turn may come later");
        seen.settled(&stream);
        assert_eq!(left("both", 61), Some(5));
        let other = Key::new("DataStream", "shop", "other");
        assert!(seen.left(&other, "both", start).is_some());
    }
}
