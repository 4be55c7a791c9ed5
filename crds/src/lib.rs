//! The API of Headworks: the kinds of `headworks.dev/v1alpha1` as Rust types.
//!
//! A user's YAML is read into these types, and the CRDs that an API server checks it against are made
//! from them, so the two can't drift apart. One file holds one kind; words that several kinds share
//! (durations, quantities, references, pod templates) have a file each. No client lives here.
//!
//! A wrong object is refused at the earliest place that can know it is wrong:
//! 1. the schema (types, bounds, patterns, enums) and its CEL rules, in the API server;
//! 2. [`check`] for what needs our own parsing, such as the range of a duration;
//! 3. the operator, for what needs other objects, SQL or Kafka.
#![warn(missing_docs)]

/// Calls a macro with **the table of kinds**: what can't be read from a kind's own type, and the type itself. Who needs all kinds
/// goes through it or through [`kinds::KINDS`], which is made of it.
///
/// A row is `(Type, facts)`; who needs the types alone matches `$(($kind:ident, $($facts:tt)*))*`. `plural` is as in a URL and in RBAC;
/// `referred_to` says that other objects name one of this kind, and wait while it isn't there. Rows stand in the order in which
/// kinds are told: one that others refer to comes before them.
#[macro_export]
macro_rules! for_each_kind {
    ($then:ident) => {
        $then! {
            (Platform, plural: "platforms", namespaced: false, referred_to: true)
            (DataStream, plural: "datastreams", namespaced: true, referred_to: true)
            (DataStore, plural: "datastores", namespaced: true, referred_to: true)
            (Source, plural: "sources", namespaced: true, referred_to: false)
            (Pipeline, plural: "pipelines", namespaced: true, referred_to: false)
            (Replay, plural: "replays", namespaced: true, referred_to: false)
            (AccessGrant, plural: "accessgrants", namespaced: true, referred_to: false)
            (QualityRule, plural: "qualityrules", namespaced: true, referred_to: true)
        }
    };
}

mod access_grant;
mod audit;
mod borrowed;
mod check;
pub mod conditions;
pub mod data_store;
mod data_stream;
mod dead_letters;
mod duration;
pub mod kinds;
pub mod manifest;
mod pipeline;
mod pipeline_test;
mod placement;
mod platform;
mod pod_policy;
mod pod_template;
mod quality_rule;
mod quantity;
pub mod reference;
mod references;
mod replay;
pub mod source;
mod to_plan;
mod workload;

pub use access_grant::{
    AccessGrant, AccessGrantSpec, AccessGrantStatus, GrantedStream, Grantee, Quota, Rotation,
};
pub use audit::{AuditReset, AuditStatus, StageAudit, TableAudit};
pub use check::{SpecFault, check, fault_text, faults};
pub use conditions::Condition;
pub use data_store::{
    DataStore, DataStoreSpec, DataStoreStatus, Guarantee, PostgresStore, StoreTls,
};
pub use data_stream::{
    AcceptedContract, Compatibility, ConfigValue, DataStream, DataStreamSpec, DataStreamStatus,
    DeadLetter, EventTime, Field, FieldLabels, Format, KeptSetting, LabelledFields,
    MAX_EVENT_TIME_MS, ProtobufDefinition, RegisteredSchema, SchemaReference, SubjectNaming,
};
pub use dead_letters::{DeadLetterCount, DeadLetterStatus, ReasonCount};
pub use duration::{Duration, DurationError};
pub use garde::Validate;
pub use pipeline::{
    BothCounts, Canary, ColumnSums, Delivery, KeyDifference, OnBadRecord, OnOverflow,
    OnStateChange, OutputComparison, Pipeline, PipelineSpec, PipelineStatus, Position,
    QueryInForce, Rollout, RolloutFigures, RolloutPhase, RolloutStatus, RuleVerdict, StartFrom,
    StateBounds, StateStatus, TableTarget, Target,
};
pub use pipeline_test::{DeadLetterReason, ExpectedDeadLetter, PipelineTest};
pub use platform::{
    Authentication, Defaults, GeneratedUsers, Kafka, KafkaTls, ManagedByAdmin, ManagedByStrimzi,
    Management, Platform, PlatformSpec, PlatformStatus, SchemaRegistry, ScramSha512, TopicPolicy,
    WorkloadAuthentication, WorkloadScramSha512,
};
pub use pod_policy::{Approval, Limits, PodPolicy, ReplayPolicy};
pub use pod_template::{EnvEntry, ImagePullPolicy, PodTemplate, PodUser};
pub use quality_rule::{
    AggregateCheck, AggregateFunction, AnomalyCheck, AnomalyDirection, AnomalyMetric,
    AnomalySeason, CheckSeverity, CheckStatus, Comparison, DistributionBin, DistributionCheck,
    DistributionReference, DistributionTest, FieldCheck, FormatCheck, FreshnessCheck, JudgeCount,
    LengthCheck, MAX_CHECKS, NamedFormat, NullRatioCheck, OnError, OrderedCheck, PairCheck,
    PatternCheck, QualityCheck, QualityRule, QualityRuleSpec, QualityRuleStatus, QuantileCheck,
    RangeCheck, ReferenceWindow, ReferencesCheck, RowCountCheck, RuleCount, SchemaCheck,
    SchemaColumn, UniqueCheck, ValueOrder, ValuesCheck,
};
pub use quantity::{Quantity, QuantityError};
pub use references::{
    CaSecretRef, ClusterScramRef, ClusterSecretKeyRef, ConfigMapKeyRef, DeletionPolicy,
    SecretKeyRef,
};
pub use replay::{
    Replay, ReplayFrom, ReplayInto, ReplayPhase, ReplayReason, ReplaySpec, ReplayStatus,
};
pub use source::{
    BearerAuth, Disorder, GenerateSource, HttpAuth, HttpService, HttpSource, HttpTls, OnInvalid,
    ServiceType, ShopRecords, Source, SourceSpec, SourceStatus, Template, UnknownFields,
};
pub use workload::WorkloadStatus;

/// API group of every kind.
pub const GROUP: &str = "headworks.dev";
/// Version of every kind.
pub const VERSION: &str = "v1alpha1";
/// Field manager of the operator's server-side applies.
pub const FIELD_MANAGER: &str = "headworks";
/// Finalizer on objects whose deletion needs work outside the API server.
pub const FINALIZER: &str = "headworks.dev/finalizer";
/// Label on children: the kind of the object they belong to.
pub const LABEL_KIND: &str = "headworks.dev/kind";
/// Label on children: the name of the object they belong to.
pub const LABEL_NAME: &str = "headworks.dev/name";
/// Label on children: the namespace of the object they belong to.
pub const LABEL_NAMESPACE: &str = "headworks.dev/namespace";
/// Annotation on a Pipeline whose input lost records to retention: any new value lets it go on from the
/// oldest record that is left.
pub const ANNOTATION_ACCEPT_DATA_LOSS: &str = "headworks.dev/accept-data-loss";
/// Annotation on a Pipeline that isn't Balanced: the tokens of what was found, which is taken for known.
pub const ANNOTATION_ACCEPT_IMBALANCE: &str = "headworks.dev/accept-imbalance";
/// Annotation on a Pipeline whose query begins anew and writes where an earlier one has: the version of the new query's state,
/// for which alone that is permitted.
pub const ANNOTATION_ACCEPT_MIXED_RESULTS: &str = "headworks.dev/accept-mixed-results";
/// Annotation on a Pipeline whose canary was rolled back: any new value has the same version tried once more.
pub const ANNOTATION_RETRY_CANARY: &str = "headworks.dev/retry-canary";
/// Annotation on a DataStream: the fingerprint of a change of its contract that its `compatibility` refuses, and that is
/// to be made nevertheless. It permits exactly that change.
pub const ANNOTATION_ALLOW_BREAKING: &str = "headworks.dev/allow-breaking";
/// Annotation of a namespace that names whose AccessGrants may write their Secrets into it: namespaces with commas between
/// them, or `*`. As a label, with the value `true`, it says `*`; that is read for one more release.
pub const ACCEPT_GRANTS: &str = "headworks.dev/accept-grants";
/// Label of the CRDs: the version that they are of.
pub const VERSION_LABEL: &str = "app.kubernetes.io/version";
/// The Platform that is used where a spec names none.
pub const DEFAULT_PLATFORM: &str = "default";

pub(crate) fn default_platform() -> String {
    DEFAULT_PLATFORM.to_owned()
}

pub(crate) fn one() -> i32 {
    1
}
