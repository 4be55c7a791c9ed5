//! When a reconcile is tried again.
//!
//! An error is named by what must happen next, not by where it came from: the user must act
//! ([`Error::Stalled`]), something else must happen first ([`Error::Waiting`]), or nothing but time is
//! needed ([`Error::Transient`]). The status room turns each into conditions; this room into a delay.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hasher, RandomState},
    sync::Mutex,
    time::Duration,
};

use crate::names::Key;
use crate::reason::{AnyReason, ConditionReason};

/// Why a reconcile did not reach its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The user must act. Not tried again until the spec or something it refers to changes.
    Stalled {
        /// CamelCase reason of the condition.
        reason: AnyReason,
        /// What, where, and what to do.
        message: String,
        /// Present: the cause lies where no watch sees it, so look again after this long.
        recheck: Option<Duration>,
    },
    /// Something else must happen: a watch wakes the object, or `after` passes.
    Waiting {
        /// CamelCase reason of the condition.
        reason: AnyReason,
        /// What is waited for.
        message: String,
        /// Look again after this long even if no watch wakes the object.
        after: Duration,
        /// True: a name that the spec refers to doesn't exist. Said as `ReferenceNotFound` after ten minutes.
        missing: bool,
    },
    /// A call failed that is expected to succeed later.
    Transient {
        /// CamelCase reason of the condition.
        reason: AnyReason,
        /// What failed.
        message: String,
    },
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for Error {}

impl Error {
    /// The user must act.
    pub fn stalled(reason: impl Into<AnyReason>, message: impl Into<String>) -> Self {
        Self::Stalled {
            reason: reason.into(),
            message: message.into(),
            recheck: None,
        }
    }

    /// A neighbour isn't there or isn't ready yet; a watch will tell, so the delay is only a safety net.
    pub fn waiting(reason: impl Into<AnyReason>, message: impl Into<String>) -> Self {
        Self::Waiting {
            reason: reason.into(),
            message: message.into(),
            after: Duration::from_secs(60),
            missing: false,
        }
    }

    /// A name that the spec refers to doesn't exist.
    pub fn missing(reason: impl Into<AnyReason>, message: impl Into<String>) -> Self {
        Self::Waiting {
            reason: reason.into(),
            message: message.into(),
            after: Duration::from_secs(60),
            missing: true,
        }
    }

    /// Time will mend it.
    pub fn transient(reason: impl Into<AnyReason>, message: impl Into<String>) -> Self {
        Self::Transient {
            reason: reason.into(),
            message: message.into(),
        }
    }

    /// The same error, looked at again after `delay`.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        match &mut self {
            Self::Waiting { after, .. } => *after = delay,
            Self::Stalled { recheck, .. } => *recheck = Some(delay),
            Self::Transient { .. } => {}
        }
        self
    }

    /// Why.
    pub fn why(&self) -> &AnyReason {
        match self {
            Self::Stalled { reason, .. }
            | Self::Waiting { reason, .. }
            | Self::Transient { reason, .. } => reason,
        }
    }

    /// CamelCase reason of the condition.
    pub fn reason(&self) -> &str {
        self.why().as_str()
    }

    /// True if this is why.
    pub fn is(&self, why: impl Into<AnyReason>) -> bool {
        *self.why() == why.into()
    }

    /// Text of the condition.
    pub fn message(&self) -> &str {
        match self {
            Self::Stalled { message, .. }
            | Self::Waiting { message, .. }
            | Self::Transient { message, .. } => message,
        }
    }

    /// An API server's answer, by what it asks for: a conflict or an outage passes, a refusal doesn't
    /// pass by itself but is worth another look (permissions and quotas are changed by others).
    pub fn api(what: &str, error: &kube::Error) -> Self {
        let text = match error {
            kube::Error::Api(status) => status.message.clone(),
            other => other.to_string(),
        };
        let reason = match error {
            kube::Error::Api(status) if status.code == 403 => ConditionReason::Forbidden,
            kube::Error::Api(status) if status.code == 409 => ConditionReason::Conflict,
            kube::Error::Api(status) if status.code == 422 || status.code == 400 => {
                ConditionReason::RefusedByKubernetes
            }
            _ => ConditionReason::KubernetesUnavailable,
        };
        Self::transient(reason, format!("{what}: {text}"))
    }
}

/// First delay of the back-off.
const BASE: Duration = Duration::from_secs(1);
/// Longest delay of the back-off.
const CAP: Duration = Duration::from_secs(120);

/// Exponential back-off with jitter: 1 s, 2 s, 4 s … at most two minutes, each taken between half and all of it.
///
/// `jitter` is a number in 0..1.
pub fn delay(failures: u32, jitter: f64) -> Duration {
    let whole = CAP.min(
        BASE.saturating_mul(
            1u32.checked_shl(failures.saturating_sub(1))
                .unwrap_or(u32::MAX),
        ),
    );
    whole.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
}

/// Counts each object's consecutive transient failures.
#[derive(Debug, Default)]
pub struct Backoff(Mutex<HashMap<Key, u32>>);

impl Backoff {
    /// Notes one more failure and says when to try again.
    pub fn failed(&self, owner: &Key) -> Duration {
        let failures = {
            let mut failures = self.lock();
            let count = failures.entry(owner.clone()).or_default();
            *count = count.saturating_add(1);
            *count
        };
        delay(failures, chance())
    }

    /// Forgets an object's failures.
    pub fn succeeded(&self, owner: &Key) {
        self.lock().remove(owner);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Key, u32>> {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// A number in 0..1 that differs between calls and processes; std seeds its hashers from the system's randomness.
fn chance() -> f64 {
    let bits = RandomState::new().build_hasher().finish();
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_two_minutes_and_never_overflow() {
        assert_eq!(delay(1, 1.0), Duration::from_secs(1));
        assert_eq!(delay(2, 1.0), Duration::from_secs(2));
        assert_eq!(delay(5, 1.0), Duration::from_secs(16));
        assert_eq!(delay(5, 0.0), Duration::from_secs(8));
        assert_eq!(delay(200, 1.0), Duration::from_secs(120));
    }

    #[test]
    fn a_success_begins_the_count_again() {
        let backoff = Backoff::default();
        let owner = Key::new("Pipeline", "shop", "p");
        for _ in 0..8 {
            backoff.failed(&owner);
        }
        assert!(backoff.failed(&owner) >= Duration::from_secs(60));
        backoff.succeeded(&owner);
        assert!(backoff.failed(&owner) <= Duration::from_secs(1));
    }
}
