//! Users that are as they should be.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Kafka is asked again after so long, although nothing changed.
pub const VERIFIED_FOR: Duration = Duration::from_secs(300);

/// What was last seen to be so in Kafka, by user; without a time, an attempt has begun since then to make it otherwise.
#[derive(Debug, Default)]
pub struct VerifiedUsers(Mutex<HashMap<String, (String, Option<Instant>)>>);

/// What is known of a user before Kafka is asked.
#[derive(Debug, PartialEq, Eq)]
pub struct Recalled {
    /// Rights beyond the wanted ones can go.
    pub prune: bool,
    /// As [`VerifiedUsers::get`].
    pub seen: Option<bool>,
}

impl VerifiedUsers {
    /// `state`: what must have been seen, where nothing but the wanted rights is to be there (true), and where more may be. That
    /// exactly these were there is good enough for who would suffer more; then others can go, as nobody's pods ever had them.
    pub fn recall(&self, user: &str, settled: bool, state: impl Fn(bool) -> String) -> Recalled {
        let exactly = self.get(user, &state(true));
        let prune = settled || exactly.is_some();
        let seen = if prune {
            exactly
        } else {
            self.get(user, &state(false))
        };
        Recalled { prune, seen }
    }

    /// What was seen may be so no longer.
    pub fn doubt(&self, user: &str) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, at)) = all.get_mut(user) {
            *at = None;
        }
    }

    /// Some: so it was seen; true if not long ago.
    pub fn get(&self, user: &str, state: &str) -> Option<bool> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (known, at) = all.get(user)?;
        (known == state).then(|| at.is_some_and(|at| at.elapsed() < VERIFIED_FOR))
    }

    /// What was seen now; or nothing is known.
    pub fn set(&self, user: &str, state: Option<String>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match state {
            Some(state) => all.insert(user.to_owned(), (state, Some(Instant::now()))),
            None => all.remove(user),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kafka_is_asked_for_neither_half_of_a_reconcile_of_what_is_as_it_should_be() {
        let settled = VerifiedUsers::default();
        let recall = |rights: &str, exactly| {
            settled.recall("u", exactly, |exactly| format!("{rights} {exactly}"))
        };
        let memory = |prune, seen| Recalled { prune, seen };
        assert_eq!(recall("a", false), memory(false, None));
        settled.set("u", Some("a false".into()));
        assert_eq!(recall("a", false), memory(false, Some(true)));
        // Others may be there beside them.
        assert_eq!(recall("a", true), memory(true, None));
        settled.set("u", Some("a true".into()));
        for exactly in [false, true] {
            assert_eq!(recall("a", exactly), memory(true, Some(true)));
        }
        // Other rights are added before any goes; and a half-done attempt at it makes Kafka be asked again.
        assert_eq!(recall("b", false), memory(false, None));
        settled.doubt("u");
        assert_eq!(recall("a", false), memory(true, Some(false)));
    }
}
