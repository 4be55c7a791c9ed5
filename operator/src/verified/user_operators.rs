//! Whether a Kafka has a User Operator that would delete our users.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// An answer holds for so long.
const VERIFIED_FOR: Duration = Duration::from_secs(30);

/// Who is at work in a Kafka.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserOperator {
    /// Nobody who would delete our users.
    Absent,
    /// Somebody, in words.
    Present(String),
}

/// The last answers, by Platform.
#[derive(Debug, Default)]
pub struct UserOperatorCache(Mutex<HashMap<String, (Instant, UserOperator)>>);

impl UserOperatorCache {
    /// The last answer, if it still holds.
    pub fn get(&self, platform: &str) -> Option<UserOperator> {
        let all = self.lock();
        let (at, found) = all.get(platform)?;
        (at.elapsed() < VERIFIED_FOR).then(|| found.clone())
    }

    /// What was found now.
    pub fn put(&self, platform: &str, found: UserOperator) {
        self.lock()
            .insert(platform.to_owned(), (Instant::now(), found));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, (Instant, UserOperator)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
