//! Leader election by a Lease (coordination.k8s.io/v1).
//!
//! [`decide`] is pure: given the Lease as read, who we are and when we last saw it change, it says what
//! to do. [`Elector`] does the reading and writing. As in client-go, the age of a Lease is measured by our
//! own clock from when we saw it change, never from the timestamps in it: clocks differ between nodes.

mod lease;

use std::time::Duration;

pub use lease::{Elector, Lost};

/// How long a Lease holds without renewal.
pub const LEASE: Duration = Duration::from_secs(15);
/// A leader that could not renew for this long gives up, before anyone else may take over.
pub const RENEW_DEADLINE: Duration = Duration::from_secs(10);
/// Time between two tries.
pub const PERIOD: Duration = Duration::from_secs(3);

/// What the Lease says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Who holds it; empty: nobody.
    pub holder: String,
    /// How long the holder asked for.
    pub duration: Duration,
    /// How long ago, by our clock, we saw it change.
    pub unchanged_for: Duration,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// There is no Lease: make it.
    Create,
    /// It is ours: renew it.
    Renew,
    /// It is free or expired: take it.
    Take,
    /// Someone else holds it: wait.
    Wait,
}

/// What to do, given the Lease as read.
pub fn decide(me: &str, lease: Option<&Seen>) -> Decision {
    match lease {
        None => Decision::Create,
        Some(seen) if seen.holder == me => Decision::Renew,
        Some(seen) if seen.holder.is_empty() || seen.unchanged_for > seen.duration => {
            Decision::Take
        }
        Some(_) => Decision::Wait,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(holder: &str, unchanged_for: u64) -> Seen {
        Seen {
            holder: holder.into(),
            duration: LEASE,
            unchanged_for: Duration::from_secs(unchanged_for),
        }
    }

    #[test]
    fn a_live_leader_is_left_alone() {
        assert_eq!(decide("b", Some(&held("a", 14))), Decision::Wait);
    }

    #[test]
    fn a_lease_that_did_not_change_for_its_duration_is_taken() {
        assert_eq!(decide("b", Some(&held("a", 16))), Decision::Take);
    }

    #[test]
    fn a_released_lease_is_taken_at_once() {
        assert_eq!(decide("b", Some(&held("", 0))), Decision::Take);
    }

    #[test]
    fn our_own_lease_is_renewed_even_after_a_restart_in_the_same_pod() {
        assert_eq!(decide("a", Some(&held("a", 100))), Decision::Renew);
        assert_eq!(decide("a", None), Decision::Create);
    }

    #[test]
    fn a_leader_gives_up_before_anyone_may_take_over() {
        assert!(RENEW_DEADLINE + PERIOD < LEASE);
    }
}
