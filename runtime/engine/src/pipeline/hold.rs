//! A store that can't take rows, or a schema registry that can't be asked: the stage stays in its group, reads nothing, and asks again.
//!
//! Nothing is kept meanwhile: the transaction is given up, and with it what was read. The member keeps
//! its partitions without reading them, answers the group, and from time to time reads the positions
//! that the store holds. Once that succeeds, it goes on from there.

use std::time::Duration;

use headworks_plan::{Phase, Problem};

use super::Pipeline;
use crate::log::{Log, LogError, Reason};

/// A store that let rows be written again for so long is well, even if none came.
const WELL_AFTER: Duration = Duration::from_secs(10);

/// Why nothing is read, and when to ask again.
#[derive(Debug)]
pub(super) struct Hold {
    until: Duration,
    failures: u32,
    /// It failed at writing. That positions can be read doesn't show that this works again.
    writing: bool,
    /// Since when reading goes on, if it does.
    reading_since: Option<Duration>,
}

impl<L: Log> Pipeline<L> {
    /// True while the store isn't to be asked.
    pub(super) fn is_held(&self) -> bool {
        self.hold
            .as_ref()
            .is_some_and(|hold| hold.reading_since.is_none() && self.log.now() < hold.until)
    }

    /// Gives up what isn't committed, and waits.
    pub(super) fn hold(&mut self, reason: Reason, message: String) -> Result<(), LogError> {
        let writing = !self.rewind_owed && !self.owned.partitions().is_empty();
        let before = self.hold.take();
        let failures = before.as_ref().map_or(0, |hold| hold.failures + 1);
        let (first, longest) = if reason.needs_person() {
            (2_000, 20_000)
        } else {
            (500, 10_000)
        };
        let pause = Duration::from_millis((first << failures.min(10)).min(longest));
        self.hold = Some(Hold {
            until: self.log.now() + pause,
            failures,
            writing: writing || before.is_some_and(|hold| hold.writing),
            reading_since: None,
        });
        self.give_up();
        self.rewind_owed = true;
        tracing::warn!(reason = reason.as_str(), message, "the stage is held up");
        let fatal = reason.needs_person();
        self.status.set_phase(if fatal {
            Phase::Stalled
        } else {
            Phase::Starting
        });
        self.status.heal_all();
        self.status.raise(Problem::new(reason, message, fatal));
        self.troubled = false;
        self.log.abort()?;
        // Not `unassign`, which librdkafka takes for the answer to a revocation: the group would wait for this member.
        match self.log.assign(&[]) {
            // They are somebody else's already; the event that says so comes with the next poll.
            Err(LogError::Abortable { .. }) => Ok(()),
            answer => answer,
        }
    }

    /// Positions could be read, and reading goes on from them.
    pub(super) fn reading_again(&mut self) {
        let now = self.log.now();
        match &mut self.hold {
            Some(hold) if hold.writing => hold.reading_since = Some(now),
            _ => {
                self.hold = None;
                self.well();
            }
        }
    }

    /// A commit succeeded.
    pub(super) fn held_no_more(&mut self) {
        if self.hold.take().is_some() {
            self.well();
        }
    }

    /// Nothing came to be written, and nothing failed.
    pub(super) fn heal_in_time(&mut self) {
        let since = self.hold.as_ref().and_then(|hold| hold.reading_since);
        if since.is_some_and(|since| self.log.now() >= since + WELL_AFTER) && !self.rewind_owed {
            self.held_no_more();
        }
    }

    fn well(&mut self) {
        self.status.set_phase(Phase::Running);
        self.status.heal_all();
        self.troubled = false;
    }
}
