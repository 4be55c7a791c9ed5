//! Errors of a log, sorted by what the loop does about them.

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

/// Kinds of problems. The names are the reasons that a condition shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A credentials file isn't there, or is empty.
    SecretMissing,
    /// Kafka refused the user name or password.
    CredentialsRefused,
    /// The broker's certificate isn't trusted, or the CA file can't be used.
    TlsRefused,
    /// The user lacks an ACL.
    NotAuthorized,
    /// An input, output or dead-letter topic doesn't exist.
    TopicMissing,
    /// Records that were never read are no longer in the topic.
    DataLost,
    /// A bad record under `onBadRecord: Stop`.
    BadRecord,
    /// The plan itself can't be run.
    PlanRefused,
    /// A store can't be reached, isn't trusted, doesn't answer, or can't take rows just now. Not a
    /// person's to mend, as far as can be told.
    StoreUnavailable,
    /// A record's schema isn't known, and the schema registry that should know it doesn't answer.
    RegistryUnavailable,
    /// A store refused the user name or password.
    StoreCredentialsRefused,
    /// A store has no room left, or is read-only.
    StoreFull,
    /// The store's user may not do what is needed.
    StorePermissionDenied,
    /// The table isn't there, and isn't to be made.
    TableNotFound,
    /// The table doesn't take the query's columns.
    TableMismatch,
    /// The state and the consumer group don't mean the same position: one of them was set back.
    StateOffsetMismatch,
    /// The changelog or the repartition topic holds something that this version can't read.
    StateUnreadable,
    /// The disk that state is spilled to can't be used.
    StateDisk,
    /// A transaction that is over still holds the group's commits.
    TransactionHanging,
    /// The state of one key is larger than a record of the changelog may be.
    StateTooLarge,
}

impl Reason {
    /// The reason as conditions show it.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::SecretMissing => "SecretMissing",
            Reason::CredentialsRefused => "CredentialsRefused",
            Reason::TlsRefused => "TlsRefused",
            Reason::NotAuthorized => "NotAuthorized",
            Reason::TopicMissing => "TopicMissing",
            Reason::DataLost => "DataLost",
            Reason::BadRecord => "BadRecord",
            Reason::PlanRefused => "PlanRefused",
            Reason::RegistryUnavailable => "RegistryUnavailable",
            Reason::StoreUnavailable => "StoreUnavailable",
            Reason::StoreCredentialsRefused => "StoreCredentialsRefused",
            Reason::StoreFull => "StoreFull",
            Reason::StorePermissionDenied => "StorePermissionDenied",
            Reason::TableNotFound => "TableNotFound",
            Reason::TableMismatch => "TableMismatch",
            Reason::StateOffsetMismatch => "StateOffsetMismatch",
            Reason::StateUnreadable => "StateUnreadable",
            Reason::StateDisk => "StateDisk",
            Reason::TransactionHanging => "TransactionHanging",
            Reason::StateTooLarge => "StateTooLarge",
        }
    }

    /// True: nothing but a person's act lets the work go on.
    pub fn needs_person(self) -> bool {
        !matches!(
            self,
            Reason::RegistryUnavailable | Reason::StoreUnavailable | Reason::StoreFull
        )
    }
}
