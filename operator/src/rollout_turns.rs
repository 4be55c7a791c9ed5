//! Whose turn it is to roll: of a change that reaches many objects at once, a few are rolled at a time.
//!
//! Turns are kept in memory: an operator that starts anew gives them out anew. What waits for its turn, `workload::turns` says.

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::names::Key;

/// So many objects are rolled at once.
pub const AT_ONCE: usize = 3;

/// Whose turn it is, and who waits.
#[derive(Default)]
pub struct RolloutTurns(Mutex<Turns>);

#[derive(Default)]
struct Turns {
    rolling: BTreeSet<Key>,
    waiting: BTreeSet<Key>,
}

impl RolloutTurns {
    /// True: the object may roll now. `exists` tells whether one that has a turn is still there.
    pub fn begin(&self, key: &Key, exists: impl Fn(&Key) -> bool) -> bool {
        let mut turns = self.lock();
        turns.rolling.retain(&exists);
        if turns.rolling.contains(key) || turns.rolling.len() < AT_ONCE {
            turns.waiting.remove(key);
            turns.rolling.insert(key.clone());
            return true;
        }
        turns.waiting.insert(key.clone());
        false
    }

    /// The object has rolled, or has nothing to roll any more. Gives those whose turn may have come.
    pub fn end(&self, key: &Key) -> Vec<Key> {
        let mut turns = self.lock();
        turns.waiting.remove(key);
        if !turns.rolling.remove(key) {
            return Vec::new();
        }
        turns.waiting.iter().take(AT_ONCE).cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Turns> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        Key::new("Pipeline", "shop", name)
    }

    #[test]
    fn a_few_roll_at_once_and_the_next_come_when_one_is_done() {
        let rollouts = RolloutTurns::default();
        let there = |_: &Key| true;
        for name in ["a", "b", "c"] {
            assert!(rollouts.begin(&key(name), there));
        }
        assert!(!rollouts.begin(&key("d"), there) && !rollouts.begin(&key("e"), there));
        // Who rolls goes on rolling.
        assert!(rollouts.begin(&key("b"), there));
        assert_eq!(rollouts.end(&key("x")), []);
        assert_eq!(rollouts.end(&key("b")), [key("d"), key("e")]);
        assert!(rollouts.begin(&key("d"), there));
        assert!(!rollouts.begin(&key("e"), there));
        // One that doesn't become ready keeps its turn; one that is gone doesn't.
        assert!(rollouts.begin(&key("e"), |k| *k != key("a")));
        assert_eq!(rollouts.end(&key("e")), []);
    }
}
