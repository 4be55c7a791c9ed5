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

/// A contract that ConfigMaps ask for and that isn't in force.
#[derive(Debug)]
struct Seen {
    fingerprint: String,
    since: Instant,
    /// It was first seen with a spec that is new, too.
    of_spec: bool,
}

/// Contracts that ConfigMaps ask for and that aren't in force, by stream, with when they were first seen.
#[derive(Debug, Default)]
pub struct SettlingTexts(Mutex<HashMap<Key, Seen>>);

impl SettlingTexts {
    /// How long yet until a contract is to be taken, by its fingerprint; none: it was seen [`QUIET`] ago, and no other one since. And
    /// whether it was first seen with a new spec, as `new_spec` says of this look.
    pub fn left(
        &self,
        stream: &Key,
        fingerprint: &str,
        new_spec: bool,
        now: Instant,
    ) -> (Option<Duration>, bool) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, seen| now.saturating_duration_since(seen.since) < KEPT);
        let (since, of_spec) = match all.get(stream) {
            Some(seen) if seen.fingerprint == fingerprint => (seen.since, seen.of_spec),
            _ => {
                let first = Seen {
                    fingerprint: fingerprint.to_owned(),
                    since: now,
                    of_spec: new_spec,
                };
                all.insert(stream.clone(), first);
                (now, new_spec)
            }
        };
        let left = QUIET
            .checked_sub(now.saturating_duration_since(since))
            .filter(|left| !left.is_zero());
        (left, of_spec)
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
            let (left, _) = seen.left(&stream, print, false, now);
            left.map(|left| left.as_secs())
        };
        assert_eq!(left("one of two maps", 0), Some(5));
        assert_eq!(left("one of two maps", 2), Some(3));
        assert_eq!(left("both", 3), Some(5));
        assert_eq!(left("both", 8), None);
        assert_eq!(left("both", 60), None, "its turn may come later");
        seen.settled(&stream);
        assert_eq!(left("both", 61), Some(5));
        let other = Key::new("DataStream", "shop", "other");
        let first = seen.left(&other, "both", true, start);
        assert_eq!(first, (Some(QUIET), true));
        let later = seen.left(&other, "both", false, start + QUIET);
        assert_eq!(later, (None, true), "the spec asked for it");
        let (_, of_spec) = seen.left(&other, "one of two maps", false, start + QUIET);
        assert!(!of_spec);
    }
}
