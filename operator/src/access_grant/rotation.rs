//! Which of a grant's two users is in use, and when that changes. Pure: the time is an argument.
//!
//! A password is never changed under a client. A grant has two users, `…-a` and `…-b`, and hands out one of them. A rotation makes the
//! other one, with a new password; when Kafka has it, the Secret is switched; and when `overlap` has passed, the one before
//! goes. What was reached is read from the Secret alone, which is written in one piece: a rotation that was
//! interrupted before it is begun again with the same user, which nobody has seen yet; one that was interrupted after it goes on.

use headworks_crds::AccessGrantSpec;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use crate::reason::ConditionReason;
use crate::retry::Error;

/// How long the user before lives on, where the spec says nothing.
const OVERLAP_MS: u64 = 3_600_000;

/// One of the two users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// `…-a`.
    A,
    /// `…-b`.
    B,
}

impl Slot {
    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    /// Its user, of the grant's two.
    pub fn user(self, base: &str) -> String {
        let letter = match self {
            Self::A => 'a',
            Self::B => 'b',
        };
        format!("{base}-{letter}")
    }

    /// Which one of the grant's two a user is.
    pub fn of(user: &str, base: &str) -> Option<Self> {
        [Self::A, Self::B]
            .into_iter()
            .find(|slot| slot.user(base) == user)
    }
}

/// What the spec says of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// When the rights end.
    pub expires: Option<Timestamp>,
    /// How long a user is handed out. Absent: for ever.
    pub every: Option<SignedDuration>,
    /// How long it lives on afterwards.
    pub overlap: SignedDuration,
}

/// When the rights end, whatever else the spec says. An end that can't be read doesn't take away the one before it: `last` is that
/// which could be read last; and what is wrong is said beside it.
pub fn end(spec: &AccessGrantSpec, last: Option<&str>) -> (Option<Timestamp>, Option<Error>) {
    let Some(text) = &spec.expires else {
        return (None, None);
    };
    if let Ok(end) = text.parse() {
        return (Some(end), None);
    }
    let last: Option<Timestamp> = last.and_then(|last| last.parse().ok());
    let until = last.map_or_else(String::new, |last| format!("; until then {last} holds"));
    let error = Error::stalled(
        ConditionReason::InvalidSpec,
        format!("spec.expires: {text} is no instant; write it as 2027-01-01T00:00:00Z{until}"),
    );
    (last, Some(error))
}

/// Reads the spec.
///
/// # Errors
/// `InvalidSpec`.
pub fn times(spec: &AccessGrantSpec) -> Result<Times, Error> {
    let (expires, wrong) = end(spec, None);
    if let Some(wrong) = wrong {
        return Err(wrong);
    }
    let overlap = overlap(spec);
    let Some(rotation) = &spec.rotation else {
        return Ok(Times {
            expires,
            every: None,
            overlap,
        });
    };
    let every = millis(rotation.every.millis());
    if overlap >= every {
        return Err(Error::stalled(
            ConditionReason::InvalidSpec,
            "spec.rotation.overlap: must be shorter than every: a grant has two users, and the one before must be gone when the next comes",
        ));
    }
    Ok(Times {
        expires,
        every: Some(every),
        overlap,
    })
}

/// How long the user before lives on, whatever else the spec says.
pub fn overlap(spec: &AccessGrantSpec) -> SignedDuration {
    millis(match &spec.rotation {
        None => OVERLAP_MS,
        Some(rotation) => match &rotation.overlap {
            Some(overlap) => overlap.millis(),
            None => OVERLAP_MS.min(rotation.every.millis() / 2),
        },
    })
}

fn millis(ms: u64) -> SignedDuration {
    SignedDuration::from_millis(i64::try_from(ms).unwrap_or(i64::MAX))
}

/// What the Secret says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// The user in it.
    pub slot: Slot,
    /// Since when.
    pub since: Timestamp,
    /// True: the other one was in it before.
    pub previous: bool,
}

/// What the grant's own status says: the client can't write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// The user that was handed out.
    pub slot: Slot,
    /// Since when.
    pub since: Timestamp,
}

impl Held {
    /// As much of it as can be believed: the Secret lies with the client, who may write in it. A turn can't be put off: nothing is
    /// handed out since later than now, or than the status says. None: it has the other user, and no turn was due that could have
    /// put it there; such a Secret is as good as lost.
    pub fn believed(self, known: Option<Known>, times: &Times, now: Timestamp) -> Option<Self> {
        let since = self.since.min(now);
        let Some(known) = known else {
            return Some(Self { since, ..self });
        };
        if known.slot == self.slot {
            let since = since.min(known.since);
            return Some(Self { since, ..self });
        }
        // A turn that was cut short between the Secret and the status.
        let due = times
            .every
            .and_then(|every| known.since.checked_add(every).ok());
        due.is_some_and(|due| since >= due)
            .then_some(Self { since, ..self })
    }
}

/// What is to be so now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The user that the Secret must have.
    pub current: Slot,
    /// True: it isn't in the Secret yet, and gets a new password.
    pub fresh: bool,
    /// Since when it is handed out.
    pub since: Timestamp,
    /// Until when the other one lives on; absent: it must be gone.
    pub previous: Option<Timestamp>,
    /// When something changes by itself next.
    pub next: Option<Timestamp>,
}

impl Plan {
    /// True: the user that is to be made anew is still there from its turn before, since nobody looked when its time was over.
    /// It must be gone first, or it would come back with the password that should have ended. `previous` is the status's.
    pub fn outlived(&self, previous: Option<Slot>) -> bool {
        self.fresh && previous == Some(self.current)
    }
}

/// What is to be so at `now`. `hint` is the user that was handed out before the Secret was lost.
pub fn plan(held: Option<Held>, hint: Option<Slot>, times: &Times, now: Timestamp) -> Plan {
    let end = |since: Timestamp, lasts: SignedDuration| since.checked_add(lasts).ok();
    let next_turn = |since| times.every.and_then(|every| end(since, every));
    let fresh = |current: Slot, previous: bool| {
        let previous = if previous {
            end(now, times.overlap)
        } else {
            None
        };
        Plan {
            current,
            fresh: true,
            since: now,
            previous,
            next: soonest([next_turn(now), previous, times.expires]),
        }
    };
    let Some(held) = held else {
        // Whoever still has the lost Secret's password in memory goes on with it for a while.
        return hint.map_or_else(|| fresh(Slot::A, false), |slot| fresh(slot.other(), true));
    };
    let turn = next_turn(held.since);
    if turn.is_some_and(|turn| now >= turn) {
        return fresh(held.slot.other(), true);
    }
    let previous = end(held.since, times.overlap).filter(|until| held.previous && now < *until);
    Plan {
        current: held.slot,
        fresh: false,
        since: held.since,
        previous,
        next: soonest([turn, previous, times.expires]),
    }
}

fn soonest(all: [Option<Timestamp>; 3]) -> Option<Timestamp> {
    all.into_iter().flatten().min()
}

#[cfg(test)]
mod tests;
