//! Pipeline: a SQL query that runs for ever, from streams into streams and tables.

mod rollout;
mod state;

use garde::Validate;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::{
    AuditStatus, Condition, DeadLetterStatus, DeletionPolicy, Duration, PipelineTest, PodTemplate,
    WorkloadStatus, borrowed, conditions, default_platform, one, references,
};

pub use rollout::{
    BothCounts, Canary, ColumnSums, KeyDifference, OutputComparison, QueryInForce, Rollout,
    RolloutFigures, RolloutPhase, RolloutStatus, RuleVerdict,
};

pub use state::{OnStateChange, StateBounds, StateStatus};

/// What a Pipeline is.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema, Validate)]
#[kube(
    group = "headworks.dev",
    version = "v1alpha1",
    kind = "Pipeline",
    plural = "pipelines",
    singular = "pipeline",
    shortname = "pipe",
    category = "headworks",
    namespaced,
    status = "PipelineStatus",
    derive = "PartialEq",
    cel,
    doc = "A SQL query that runs for ever: it reads DataStreams and writes DataStreams and tables, each record exactly once.",
    scale(spec_replicas_path = ".spec.replicas", status_replicas_path = ".status.replicas", label_selector_path = ".status.selector"),
    validation = Rule::new("self.metadata.name.size() <= 48 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')").message("metadata.name may have at most 48 characters, begins with a letter and has no dots: pods are named after it"),
    validation = Rule::new("!has(self.spec.rollout) || !has(self.spec.rollout.canary) || self.metadata.name.size() <= 41").message("metadata.name may have at most 41 characters where spec.rollout.canary is given: what runs beside it is called NAME-canary"),
    printcolumn(name = "READY", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#, description = "Whether the query runs"),
    printcolumn(name = "STATUS", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#, description = "Why it is or isn't ready"),
    printcolumn(name = "RATE", type_ = "string", json_path = ".status.rate", description = "Records read in a second"),
    printcolumn(name = "LAG", type_ = "integer", json_path = ".status.lag", description = "Records not yet read"),
    printcolumn(name = "DELAY", type_ = "string", json_path = ".status.delay", description = "How far event time is behind the clock; nothing where nothing comes"),
    printcolumn(name = "COMMITTED", type_ = "date", json_path = ".status.lastCommitTime", description = "Since when results are committed"),
    printcolumn(name = "REPLICAS", type_ = "integer", json_path = ".status.readyReplicas", description = "Pods that are ready"),
    printcolumn(name = "DEADLETTERS", type_ = "integer", json_path = ".status.deadLetters", description = "Records sent to dead-letter topics"),
    printcolumn(name = "CANARY", type_ = "string", json_path = ".status.rollout.phase", priority = "1", description = "Where the roll-out of a changed query is"),
    printcolumn(name = "STATE", type_ = "string", json_path = ".status.state.size", priority = "1", description = "How much the query keeps"),
    printcolumn(name = "AGE", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.platform == oldSelf.platform").message("platform can't change: make a new Pipeline").field_path(".platform"))]
#[x_kube(validation = Rule::new("!has(self.rollout) || !has(self.rollout.canary) || !has(self.onStateChange) || self.onStateChange != 'Reset'").message("onStateChange Reset begins anew, which rollout.canary can't try: use Block, or leave canary out").field_path(".onStateChange"))]
#[garde(allow_unvalidated)]
pub struct PipelineSpec {
    /// The Platform whose Kafka has the streams. Can't change.
    #[serde(default = "default_platform")]
    #[schemars(length(min = 1, max = references::LABEL_MAX), regex(pattern = references::LABEL))]
    pub platform: String,
    /// The query: a subset of Flink SQL. The tables in it are DataStreams of this namespace; a name that isn't a plain
    /// word is written in backticks.
    #[schemars(length(min = 1, max = 65536))]
    pub sql: String,
    /// Where the result goes: streams, tables, or both. Each target must accept the query's columns.
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    #[x_kube(validation = Rule::new("self.all(t, !has(t.stream) || self.exists_one(u, has(u.stream) && u.stream == t.stream))").message("a stream may be named once in to"))]
    #[x_kube(validation = Rule::new("self.all(t, !has(t.table) || self.exists_one(u, has(u.table) && u.table.store == t.table.store && u.table.name == t.table.name))").message("a table may be named once in to"))]
    pub to: Vec<Target>,
    /// What a record is promised. ExactlyOnce: results and progress are committed together in a Kafka transaction.
    /// AtLeastOnce: a crash repeats a little.
    #[serde(default)]
    pub delivery: Delivery,
    /// Longest time between two commits: readers of the result see it after at most this, and a larger one is cheaper
    /// for Kafka. From 10ms to 1m.
    #[serde(default = "commit_interval")]
    #[garde(custom(borrowed::between(10, 60_000)))]
    pub commit_interval: Duration,
    /// Where a pipeline without progress begins. Absent: at the oldest record kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_from: Option<StartFrom>,
    /// What happens to a record that can't be read or evaluated. DeadLetter: it goes to the input's dead-letter topic.
    /// Drop: it is counted and dropped. Stop: the pipeline stops before it and says so.
    #[serde(default)]
    pub on_bad_record: OnBadRecord,
    /// What becomes of a number that may be null and has more digits than its DECIMAL type. SetNull: it is NULL, as in Flink,
    /// and nobody is told. DeadLetter: the record can't be evaluated, and onBadRecord says what happens to it. A SUM is
    /// NULL either way, as it is of many records.
    #[serde(default)]
    pub on_overflow: OnOverflow,
    /// A query with windows: a window's result is written once, when event time has come to the window's end and this much further.
    /// Rows that come later still are dead letters with the reason Late. From 0s to 30d.
    #[serde(default = "allowed_lateness")]
    #[garde(custom(borrowed::between(0, 30 * DAY_MS)))]
    pub allowed_lateness: Duration,
    /// A query with windows: a partition whose event time is further ahead than this of the slowest that its pod reads
    /// isn't read on until the others have come closer, so that what was read early needn't be kept. From 1s to 30d.
    #[serde(default = "max_drift")]
    #[garde(custom(borrowed::between(1_000, 30 * DAY_MS)))]
    pub max_drift: Duration,
    /// A query with GROUP BY or ROW_NUMBER: bounds of what its pods keep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(dive)]
    pub state: Option<StateBounds>,
    /// What happens when the query is changed so that it can't go on with its state. Block: the pods go on with the
    /// query as it was, and Ready is False with the reason StateChange. Reset: the pods end, state and progress are
    /// deleted, and the new query begins at startFrom; what was written already stays, so it must write to streams and
    /// tables that no earlier query of this Pipeline wrote.
    #[serde(default)]
    pub on_state_change: OnStateChange,
    /// How a changed query comes into force. Absent: at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(dive)]
    pub rollout: Option<Rollout>,
    /// How many pods run the query. More than the inputs have partitions stand idle. Leave it out where an autoscaler
    /// sets it.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 256))]
    pub replicas: i32,
    /// True: the pods are taken away until it is false again; progress is kept.
    #[serde(default)]
    pub suspend: bool,
    /// Tests of the query, run by `headworks test`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub tests: Vec<PipelineTest>,
    /// What happens to the pipeline's progress and state in Kafka when this object is deleted. Retain: a Pipeline of the
    /// same name goes on where this one ended. Delete: it begins anew. What is in a store stays either way: a table, its rows, and
    /// how far it has been written.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
    /// Pods' image, resources and placement. A field that is given here replaces the Platform's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(dive)]
    pub pod_template: Option<PodTemplate>,
}

impl PipelineSpec {
    /// What a new version must do before it takes the old one's place, where a canary decides it.
    #[must_use]
    pub fn canary(&self) -> Option<&Canary> {
        self.rollout.as_ref()?.canary.as_ref()
    }

    /// A query and its targets, with everything else as it is where nothing is said.
    #[must_use]
    pub fn new(sql: String, to: Vec<Target>) -> Self {
        Self {
            platform: default_platform(),
            sql,
            to,
            delivery: Delivery::default(),
            commit_interval: commit_interval(),
            start_from: None,
            on_bad_record: OnBadRecord::default(),
            on_overflow: OnOverflow::default(),
            allowed_lateness: allowed_lateness(),
            max_drift: max_drift(),
            state: None,
            on_state_change: OnStateChange::default(),
            rollout: None,
            replicas: one(),
            suspend: false,
            tests: Vec::new(),
            deletion_policy: DeletionPolicy::default(),
            pod_template: None,
        }
    }
}

/// Where a result goes: exactly one of the kinds of target.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.stream) != has(self.table)").message("a target needs exactly one of: stream, table"))]
pub struct Target {
    /// Name of a DataStream in this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = references::LABEL_MAX), regex(pattern = references::LABEL))]
    pub stream: Option<String>,
    /// A table of a DataStore.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<TableTarget>,
}

/// A table that the result goes to, each record exactly once: the rows and how far the query has read are one
/// transaction of the store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct TableTarget {
    /// Name of a DataStore in this namespace.
    #[schemars(length(min = 1, max = references::LABEL_MAX), regex(pattern = references::LABEL))]
    pub store: String,
    /// The table, such as `orders` or `reporting.orders`. Without a schema it is the first of the user's search path,
    /// mostly `public`.
    #[schemars(
        length(min = 1, max = 127),
        regex(pattern = r"^[A-Za-z_][A-Za-z0-9_]{0,62}(\.[A-Za-z_][A-Za-z0-9_]{0,62})?$")
    )]
    pub name: String,
    /// Columns of the query by which a row replaces an earlier one. Absent: every row is appended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 63)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub key: Vec<String>,
    /// True: a table that isn't there is made from the query's columns. A table that is there is never changed.
    #[serde(default)]
    pub create: bool,
}

/// What a record is promised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Delivery {
    /// Results and progress are committed together in a Kafka transaction.
    #[default]
    ExactlyOnce,
    /// Progress is committed after the results; a crash repeats a little.
    AtLeastOnce,
}

/// What happens to a record that can't be read or evaluated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum OnBadRecord {
    /// It goes to the input's dead-letter topic.
    #[default]
    DeadLetter,
    /// It is counted and dropped.
    Drop,
    /// The pipeline stops before it and says so.
    Stop,
}

/// What becomes of a number that has more digits than its DECIMAL type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum OnOverflow {
    /// It is NULL, as in Flink, and nobody is told.
    #[default]
    SetNull,
    /// The record can't be evaluated, and onBadRecord says what happens to it.
    DeadLetter,
}

/// Where a pipeline without progress begins: exactly one of a position and a time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.position) != has(self.time)").message("startFrom needs exactly one of position and time"))]
pub struct StartFrom {
    /// Earliest: the oldest record kept. Latest: records written after the first start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// The first record written at or after this instant, such as 2026-01-01T00:00:00Z.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "instant")]
    pub time: Option<Time>,
}

/// An end of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Position {
    /// The oldest record kept.
    #[default]
    Earliest,
    /// Records written after the first start.
    Latest,
}

const DAY_MS: u64 = 86_400_000;

fn commit_interval() -> Duration {
    Duration::from_millis(100)
}

fn allowed_lateness() -> Duration {
    "0s".parse().unwrap_or_else(|_| Duration::from_millis(0))
}

fn max_drift() -> Duration {
    Duration::from_millis(600_000)
}

fn instant(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "format": "date-time", "maxLength": 64})
}

/// What is known of a Pipeline.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PipelineStatus {
    /// The `metadata.generation` this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// What is true of the object now: Ready, Reconciling, Stalled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions::conditions")]
    pub conditions: Vec<Condition>,
    /// Its pods.
    #[serde(flatten)]
    pub workload: WorkloadStatus,
    /// The Kafka consumer group that holds the progress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 249))]
    pub group: Option<String>,
    /// DataStreams the query reads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 253)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub inputs: Vec<String>,
    /// DataStreams the query writes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 253)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub outputs: Vec<String>,
    /// Tables the query writes, as store/table.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 253)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub tables: Vec<String>,
    /// What its targets promise together: the least that one of them does. ExactlyOnce: each record's results are there once. AtLeastOnce:
    /// after a failure some may be there again, by `delivery`, or because a table's store only adds rows (its `status.guarantee`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guarantee: Option<Delivery>,
    /// Where queries wrote that a Reset has ended, as stream/NAME or table/STORE/NAME: their results are still there, so
    /// that another query isn't let write there unasked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 253)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub earlier_targets: Vec<String>,
    /// Where the query in force wrote before to was changed, in the same form. It may write there again; another query
    /// mayn't, as with earlierTargets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 253)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub former_targets: Vec<String>,
    /// Records read in a second, all pods together, such as 1.2k.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub rate: Option<String>,
    /// Records not yet read, all partitions together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag: Option<i64>,
    /// How far event time was behind the clock at the last commit, such as 3s. Where records wait and none was committed for a
    /// minute, it grows. Absent: everything is read and nothing came for two minutes, so nothing is late; or the query rests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub delay: Option<String>,
    /// When results were last committed. Moves at most once a minute; an idle pipeline commits nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "instant")]
    pub last_commit_time: Option<Time>,
    /// Its dead letters.
    #[serde(flatten)]
    pub letters: DeadLetterStatus,
    /// What its stages have counted.
    #[serde(flatten)]
    pub audit: AuditStatus,
    /// What the query keeps. Absent: it needs no state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<StateStatus>,
    /// The last roll-out of a changed query. Absent: the spec has no rollout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutStatus>,
}
