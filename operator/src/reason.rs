//! Why a condition or an Event says what it says: the words are types, so that a misspelt one doesn't compile, and the runbook
//! (`docs/runbooks/conditions.md`) has a row for each, held by `operator/tests/runbook.rs`.
//!
//! What pods report is in `headworks_plan::Reason`; what the operator says itself is here, but for what it says of one kind of
//! source or store, which stands in that kind's file (`connector_reasons!`). A pod of another version,
//! Kubernetes and Strimzi have words of their own: those are taken as text, made to fit a condition.

use headworks_plan::{Reason, ReportedReason};

use crate::names::condition_reason;

headworks_plan::words! {
    /// What the operator says of objects.
    pub enum ConditionReason {
        // All is well.
        /// The pods run.
        Running,
        /// `spec.suspend`: nothing runs.
        Suspended,
        /// Kafka, or a store, answers.
        Connected,
        /// The client can use what it was granted.
        Granted,
        /// The topic is as the spec says.
        TopicReady,
        /// The schema registry answers.
        Answers,

        // Any kind.
        /// The stored object doesn't fit the API, or breaks a rule of it.
        InvalidSpec,
        /// The Platform isn't there.
        PlatformNotFound,
        /// The DataStream isn't there.
        StreamNotFound,
        /// The DataStore isn't there.
        StoreNotFound,
        /// Something that is referred to hasn't been there for ten minutes.
        ReferenceNotFound,
        /// The Platform isn't ready.
        PlatformNotReady,
        /// The DataStream isn't ready.
        StreamNotReady,
        /// The DataStore isn't ready.
        StoreNotReady,
        /// The Platform doesn't admit the namespace.
        NamespaceNotAllowed,
        /// Objects that belong together are on two Platforms.
        PlatformMismatch,
        /// `podPolicy` of the Platform doesn't allow it.
        NotAllowedByPolicy,
        /// A choice that this version doesn't have.
        NotSupported,
        /// A child's name is taken.
        OwnedByAnother,
        /// A child of the same name is being deleted.
        ChildTerminating,
        /// The API server refused a child.
        RefusedByKubernetes,
        /// Somebody changed an object at the same moment.
        Conflict,
        /// The operator's rights don't suffice.
        Forbidden,
        /// A mistake of ours.
        Internal,
        /// The API server didn't answer.
        KubernetesUnavailable,
        /// The plan doesn't fit a ConfigMap.
        PlanTooLarge,
        /// Something must end before an object can go.
        DeletionDelayed,
        /// Pods are starting.
        PodsNotReady,
        /// Pods are ending.
        PodsEnding,
        /// No node takes a pod.
        PodUnschedulable,
        /// The image can't be pulled. One word for the two that Kubernetes has.
        ImagePullBackOff,
        /// A PodDisruptionBudget of somebody else covers the pods.
        OtherDisruptionBudget,
        /// A pod's process ended.
        PodEnded,
        /// A pod, or Kubernetes, says something that is no word.
        PodProblem,

        // Kafka and its credentials.
        /// The broker's certificate isn't trusted.
        TlsFailed,
        /// Kafka refused a request for what it asks.
        RefusedByKafka,
        /// A Secret or key isn't there.
        SecretNotFound,
        /// The operator may not read or write a Secret.
        SecretForbidden,
        /// A key of a Secret holds what it may not.
        SecretInvalid,
        /// The cluster doesn't have Strimzi's kinds.
        StrimziNotInstalled,
        /// Strimzi's objects can't be read.
        StrimziUnreadable,
        /// Strimzi says of an object that it failed, without a word for it.
        StrimziError,
        /// The Topic Operator's queue is nearly full.
        QueueNearlyFull,
        /// The Topic Operator's queue is full.
        QueueFull,

        // AccessGrant, and users.
        /// The client's namespace doesn't accept the grant.
        NotAccepted,
        /// The grant is over.
        Expired,
        /// Kafka checks no ACLs.
        NoAuthorizer,
        /// The listener takes no users.
        NoAuthentication,
        /// Strimzi's User Operator would delete our users.
        UserOperatorPresent,
        /// A KafkaUser isn't true yet.
        UserNotReady,
        /// A KafkaUser is paused.
        UserPaused,
        /// No field of a stream is left to be granted.
        NothingLeft,
        /// A user couldn't be deleted.
        UsersLeft,
        /// A Secret couldn't be deleted.
        SecretLeft,

        // What a Platform leaves open; kinds of sources and stores have words of their own (`connectors`).
        /// A listener without TLS.
        ScramWithoutTls,

        // CRDs of another version.
        /// They are older than the operator.
        CrdsOlder,
        /// They are newer than the operator.
        CrdsNewer,

        // DataStream.
        /// More than `limits` of the Platform allow.
        LimitExceeded,
        /// The contract is none.
        InvalidSchema,
        /// A text that the contract needs isn't there.
        SchemaTextNotFound,
        /// The contract's texts have changed a moment ago.
        SchemaTextsSettling,
        /// The topic's name isn't this namespace's to take.
        TopicNotAllowed,
        /// Another DataStream has the topic.
        TopicOwnedBy,
        /// The topic was there before.
        TopicExists,
        /// The topic can't become what the spec says.
        TopicMismatch,
        /// Kafka can't remove partitions.
        PartitionsCannotShrink,
        /// The contract may not follow the one in force.
        IncompatibleContract,
        /// The contract in force isn't written down any more.
        ContractLost,
        /// Strimzi hasn't made the topic true yet.
        TopicPending,
        /// The KafkaTopic is paused.
        TopicPaused,
        /// The KafkaTopic is unmanaged.
        TopicUnmanaged,
        /// The KafkaTopic lists settings of others.
        SettingsOfOthers,
        /// What a person changed in a KafkaTopic is put back.
        DriftPutBack,
        /// The registry says no.
        RegistryRefused,
        /// The registry's address or CA is none.
        RegistryMisconfigured,
        /// The record's full name isn't this namespace's to register.
        SubjectNotAllowed,
        /// A subject couldn't be deleted.
        SubjectLeft,
        /// There are new partitions.
        PartitionsGrew,
        /// A topic was taken over.
        TopicAdopted,
        /// A topic was made again.
        TopicRecreated,
        /// A topic is left behind.
        TopicLeft,

        // QualityRule.
        /// All who judge do so by this version.
        Judging,
        /// Pods are to take a rule up, or to leave it.
        RuleRollingOut,
        /// No Source writes the stream, and no Pipeline reads it.
        NobodyJudges,
        /// The rule doesn't fit its stream's contract.
        InvalidRule,
        /// As many records pass as the threshold asks for.
        EnoughPass,
        /// Fewer records pass than the threshold asks for.
        TooFewPass,
        /// The newest windows pass every check of many records.
        WindowsPass,
        /// The newest window didn't pass a check of many records.
        WindowFailed,
        /// The stream's contract is as every check of it asks.
        SchemaMatches,
        /// The stream's contract isn't as a check asks.
        SchemaMismatch,
        /// A monitor's Pipeline isn't ready yet.
        MonitorStarting,
        /// A monitor's Pipeline waits for somebody to act.
        MonitorStalled,
        /// A monitor's Pipeline is behind the stream.
        MonitorBehind,

        // Pipeline.
        /// All that was read is accounted for.
        Accounted,
        /// Nobody has counted yet.
        NotCounted,
        /// Records were passed over unread, or their results weren't written.
        RecordsMissing,
        /// Records were read again, or their results were written twice.
        RecordsRepeated,
        /// Somebody else has set or deleted the group's commits.
        PositionsSet,
        /// A table holds other rows than were written.
        TableDiffers,
        /// The query can't be planned.
        InvalidSql,
        /// The query's columns don't fit the target.
        OutputMismatch,
        /// Records would go round for ever.
        StreamLoop,
        /// Groups and topics of a deleted Pipeline are left behind.
        ProgressLeft,
        /// The query can't go on with its state.
        StateChange,
        /// A Reset would put results of two queries beside each other.
        ResultsWouldMix,
        /// Another writer has the same target.
        SeveralWriters,
        /// A Reset takes its course.
        StateReset,
        /// The state's topics have different numbers of partitions.
        StateTopicMismatch,
        /// `state.memory` doesn't fit into the pod's.
        MemoryTooLow,
        /// What `rollout.canary` asks for can't be compared or judged.
        CanaryInvalid,
        /// A new version runs beside the one in force.
        CanaryRunning,
        /// A new version did well, and takes the place of the one before.
        CanaryPassed,
        /// A new version didn't do well, and the one before goes on.
        CanaryFailed,

        // Replay.
        /// All of it is done.
        Complete,
        /// The Platform wants somebody's yes.
        ApprovalMissing,
        /// It begins before the oldest record that is kept.
        WindowDeleted,
        /// The Pipeline that the records go into isn't there.
        PipelineNotFound,
        /// The Pipeline that the records go into was never run.
        PipelineNotReady,
    }
}

/// Words of others that conditions pass on and the runbook explains: of Kubernetes, of what a container waits for; of Strimzi's
/// Topic Operator.
pub const OF_OTHERS: [&str; 3] = ["CrashLoopBackOff", "InternalError", "ResourceConflict"];

/// What the operator says of a kind of source or store alone. The kind's file has the words, and its entry in the table of
/// `connectors` hands them to who must know all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectorReason(&'static str);

impl ConnectorReason {
    /// Only `connector_reasons!` makes one, of a word of its enum.
    pub(crate) const fn new(word: &'static str) -> ConnectorReason {
        ConnectorReason(word)
    }

    /// The word.
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

/// An enum of words that the operator says of one kind of source or store, and `REASONS`, all of them, for the kind's entry in the
/// table.
macro_rules! connector_reasons {
    ($(#[$about:meta])* enum $name:ident { $($(#[$doc:meta])* $word:ident,)+ }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        enum $name {
            $($(#[$doc])* $word,)+
        }

        const REASONS: &[$crate::reason::ConnectorReason] =
            &[$($crate::reason::ConnectorReason::new(stringify!($word)),)+];

        impl From<$name> for $crate::reason::AnyReason {
            fn from(word: $name) -> $crate::reason::AnyReason {
                let word = match word {
                    $($name::$word => stringify!($word),)+
                };
                $crate::reason::AnyReason::Connector($crate::reason::ConnectorReason::new(word))
            }
        }
    };
}
pub(crate) use connector_reasons;

/// A reason, whoever gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnyReason {
    /// The operator.
    Operator(ConditionReason),
    /// The operator, of one kind of source or store.
    Connector(ConnectorReason),
    /// A pod of this version.
    Pod(Reason),
    /// A pod of another version, Kubernetes, or Strimzi: a CamelCase word of bounded length.
    Other(String),
}

impl AnyReason {
    /// Reads a word that somebody else wrote. It is made to fit a condition; what has nothing of a word is
    /// [`ConditionReason::PodProblem`].
    pub fn read(word: &str) -> AnyReason {
        AnyReason::read_or(word, ConditionReason::PodProblem)
    }

    /// As [`AnyReason::read`]; what has nothing of a word is `otherwise`.
    pub fn read_or(word: &str, otherwise: ConditionReason) -> AnyReason {
        let word = condition_reason(word, otherwise.as_str());
        let own = ConditionReason::from_word(&word).map(AnyReason::Operator);
        own.or_else(|| Reason::from_word(&word).map(AnyReason::Pod))
            .unwrap_or(AnyReason::Other(word))
    }

    /// The word.
    pub fn as_str(&self) -> &str {
        match self {
            AnyReason::Operator(reason) => reason.as_str(),
            AnyReason::Connector(reason) => reason.as_str(),
            AnyReason::Pod(reason) => reason.as_str(),
            AnyReason::Other(word) => word,
        }
    }
}

impl From<ConditionReason> for AnyReason {
    fn from(reason: ConditionReason) -> AnyReason {
        AnyReason::Operator(reason)
    }
}

impl From<Reason> for AnyReason {
    fn from(reason: Reason) -> AnyReason {
        AnyReason::Pod(reason)
    }
}

impl From<&ReportedReason> for AnyReason {
    fn from(reason: &ReportedReason) -> AnyReason {
        match reason {
            ReportedReason::Known(reason) => AnyReason::Pod(*reason),
            ReportedReason::Other(word) => AnyReason::read(word),
        }
    }
}

impl std::fmt::Display for AnyReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl PartialEq<&str> for AnyReason {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl PartialEq<str> for AnyReason {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_has_one_type() {
        for reason in ConditionReason::ALL {
            assert_eq!(
                AnyReason::read(reason.as_str()),
                AnyReason::Operator(*reason)
            );
            assert_eq!(Reason::from_word(reason.as_str()), None, "{reason}");
        }
        for reason in Reason::all() {
            assert_eq!(AnyReason::read(reason.as_str()), AnyReason::Pod(reason));
        }
    }

    #[test]
    fn a_word_of_others_is_taken_as_text_that_fits_a_condition() {
        let read = |word: &str| AnyReason::read(word).as_str().to_owned();
        assert_eq!(read("CrashLoopBackOff"), "CrashLoopBackOff");
        assert_eq!(read("Moon\nPhase!"), "MoonPhase");
        assert_eq!(read("7"), "PodProblem");
        assert_eq!(read(&"A".repeat(900)).len(), 64);
        let newer = ReportedReason::read("MoonPhase".to_owned());
        assert_eq!(
            AnyReason::from(&newer),
            AnyReason::Other("MoonPhase".to_owned())
        );
        let known = ReportedReason::read("DataLost".to_owned());
        assert_eq!(AnyReason::from(&known), AnyReason::Pod(Reason::DataLost));
    }
}
