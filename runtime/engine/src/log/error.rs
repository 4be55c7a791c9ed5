//! Errors of a log, sorted by what the loop does about them.

use headworks_plan::Reason;
use snafu::Snafu;

/// What went wrong, as a kind of remedy.
#[derive(Clone, Debug, PartialEq, Eq, Snafu)]
pub enum LogError {
    /// The same call may be repeated. After a commit: its outcome is unknown until then.
    #[snafu(display("{message}"))]
    Retriable {
        /// What the broker or the client said.
        message: String,
    },
    /// The transaction can't be committed: abort it, rewind, go on.
    #[snafu(display("{message}"))]
    Abortable {
        /// What the broker or the client said.
        message: String,
    },
    /// The position asked for isn't there (any more): abort, then compare positions with what is kept.
    #[snafu(display("{message}"))]
    OutOfRange {
        /// What the broker or the client said.
        message: String,
    },
    /// This client is of no more use. A new one with the same ids finds out what was committed.
    #[snafu(display("{message}"))]
    Broken {
        /// What the broker or the client said.
        message: String,
    },
    /// Another process runs under the same ids.
    #[snafu(display("{message}"))]
    Fenced {
        /// What the broker or the client said.
        message: String,
    },
    /// No broker answers. Tried again without end.
    #[snafu(display("{message}"))]
    Unavailable {
        /// What the broker or the client said.
        message: String,
    },
    /// A store can't take rows, or may not be asked to. The member keeps its partitions, reads nothing,
    /// and tries again at intervals from the positions that the store holds.
    #[snafu(display("{message}"))]
    Held {
        /// Which kind of problem.
        reason: Reason,
        /// What, where, and what to do.
        message: String,
    },
    /// Somebody has to act; tried again at intervals, so it heals once the cause is gone.
    #[snafu(display("{message}"))]
    NeedsPerson {
        /// Which kind of problem.
        reason: Reason,
        /// What, where, and what to do.
        message: String,
    },
}
