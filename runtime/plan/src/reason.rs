//! Why something isn't well, as words that conditions, metrics and dead letters carry. They are part of the API: people write
//! alerts by them, and `docs/runbooks/conditions.md` has a row for each.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::source_connection::SourceReason;
use crate::store::StoreReason;
use crate::words;

words! {
    /// What a pod reports as wrong with its work. Words that a kind of source or store says alone stand beside what the plan
    /// says of it.
    pub enum Reason {
        /// No broker answers.
        KafkaUnavailable,
        /// Kafka refused a request, or the client failed.
        KafkaError,
        /// Another process runs under the same ids.
        Fenced,
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
        /// A record breaks a check of a quality rule under `onError: Stop`.
        RuleBroken,
        /// A quality rule's expression can't be compiled: no record is let through unjudged.
        RuleInvalid,
        /// The plan itself can't be run.
        PlanRefused,
        /// A store can't be reached, isn't trusted, doesn't answer, or can't take rows just now. Not a person's to mend, as
        /// far as can be told.
        StoreUnavailable,
        /// A record's schema isn't known, and the schema registry that should know it doesn't answer.
        RegistryUnavailable,
        /// A store has no room left, or is read-only.
        StoreFull,
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
        /// The consumer group of a Replay holds the progress of another one.
        ReplayConflict,
        /// A Replay has written before, and its consumer group has no commit any more.
        ProgressLost,
        ;
        /// What only kinds of sources say.
        Source(SourceReason),
        /// What only kinds of stores say.
        Store(StoreReason),
    }
}

impl Reason {
    /// True: nothing but a person's act lets the work go on.
    pub fn needs_person(self) -> bool {
        match self {
            Reason::Source(reason) => reason.needs_person(),
            Reason::RegistryUnavailable | Reason::StoreUnavailable | Reason::StoreFull => false,
            _ => true,
        }
    }
}

words! {
    /// Why a record is a dead letter: the header `headworks.reason`.
    pub enum DeadLetterReason {
        /// It isn't of the stream's format.
        Decode,
        /// It breaks the stream's contract.
        Contract,
        /// The query can't be evaluated for it, or its row can't be written in the target's form.
        Evaluation,
        /// It, or its row, is larger than the target takes.
        TooLarge,
        /// The store refused its row for what it holds.
        StoreRefused,
        /// Every window that it falls into was over.
        Late,
        /// It breaks a check of a quality rule whose failures become dead letters.
        Quality,
    }
}

/// A reason as a report has it: what a pod of another version says needn't be a word that this one knows. It is kept as it is;
/// who shows it bounds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReportedReason {
    /// One that this version says, too.
    Known(Reason),
    /// Any other.
    Other(String),
}

impl ReportedReason {
    /// Reads a reason that somebody else wrote. What is of this version is a [`Reason`] and says so by its type.
    pub fn read(word: String) -> ReportedReason {
        Reason::from_word(&word).map_or(ReportedReason::Other(word), ReportedReason::Known)
    }

    /// The word.
    pub fn as_str(&self) -> &str {
        match self {
            ReportedReason::Known(reason) => reason.as_str(),
            ReportedReason::Other(word) => word,
        }
    }
}

impl From<Reason> for ReportedReason {
    fn from(reason: Reason) -> ReportedReason {
        ReportedReason::Known(reason)
    }
}

impl Default for ReportedReason {
    fn default() -> ReportedReason {
        ReportedReason::Other(String::new())
    }
}

impl fmt::Display for ReportedReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl PartialOrd for ReportedReason {
    fn partial_cmp(&self, other: &ReportedReason) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ReportedReason {
    fn cmp(&self, other: &ReportedReason) -> std::cmp::Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl PartialEq<Reason> for ReportedReason {
    fn eq(&self, other: &Reason) -> bool {
        *self == ReportedReason::Known(*other)
    }
}

impl PartialEq<&str> for ReportedReason {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl Serialize for ReportedReason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ReportedReason {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ReportedReason, D::Error> {
        String::deserialize(deserializer).map(ReportedReason::read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Problem;

    #[test]
    fn a_word_is_its_variant_and_back() {
        for reason in Reason::all() {
            assert_eq!(Reason::from_word(reason.as_str()), Some(reason));
        }
        assert_eq!(Reason::from_word("Decode"), None);
        assert_eq!(
            DeadLetterReason::from_word("Late"),
            Some(DeadLetterReason::Late)
        );
    }

    #[test]
    fn a_reason_of_a_newer_pod_stays_the_word_that_it_is() {
        let json = r#"{"reason":"MoonPhase","message":"m","fatal":true}"#;
        let problem: Problem = serde_json::from_str(json).unwrap();
        assert_eq!(
            problem.reason,
            ReportedReason::Other("MoonPhase".to_owned())
        );
        assert_eq!(serde_json::to_string(&problem).unwrap(), json);
        let json = r#"{"reason":"DataLost","message":"m","fatal":true}"#;
        let problem: Problem = serde_json::from_str(json).unwrap();
        assert_eq!(problem.reason, Reason::DataLost);
        assert_eq!(serde_json::to_string(&problem).unwrap(), json);
    }

    #[test]
    fn the_docs_name_every_reason_of_a_dead_letter() {
        let docs = std::fs::read_to_string(std::path::Path::new("../../docs/concepts.md")).unwrap();
        let words: Vec<String> = DeadLetterReason::all().map(|r| format!("`{r}`")).collect();
        let listed = format!("`headworks.reason` ({})", words.join(", "));
        assert!(docs.contains(&listed), "docs/concepts.md lists {listed}");
    }
}
