//! Leader election by a Lease (coordination.k8s.io/v1).
//!
//! [`decide`] is pure: given the Lease as read, who we are and when we last saw it change, it says what
//! to do. [`Elector`] does the reading and writing. As in client-go, the age of a Lease is measured by our
//! own clock from when we saw it change, never from the timestamps in it: clocks differ between nodes.

mod lease;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use lease::{Elector, Lost};

/// How fast an election goes.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// How long a Lease holds without renewal.
    pub lease: Duration,
    /// A leader that could not renew for this long gives up, before anyone else may take over.
    pub renew_deadline: Duration,
    /// Time between two renewals, and the longest that one may take.
    pub renew: Duration,
    /// Time between two looks of one that stands by: a Lease that was given up is taken after at most this.
    pub look: Duration,
}

/// The pace of real operators. A leader that dies without a word is followed after 16 s, one that is told to stop
/// after a second.
pub const PACE: Pace = Pace {
    lease: Duration::from_secs(15),
    renew_deadline: Duration::from_secs(10),
    renew: Duration::from_secs(3),
    look: Duration::from_secs(1),
};

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
