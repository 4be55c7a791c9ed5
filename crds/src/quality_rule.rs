//! QualityRule: what the records of a stream must be beyond their contract, and what becomes of those that aren't.
//!
//! Each check is one boolean expression over a stream's fields in the end; the structured checks are shorter to write, and can be
//! told from each other. A row for which the expression is null passes, as with a CHECK constraint of SQL, and as Great Expectations
//! and dbt skip nulls; that a value is there is a check of its own, `notNull`.
//!
//! Some checks are about many records: those of a window of event time (`set_check`). A monitor judges them, a Pipeline that the rule
//! owns; their verdicts are a stream, and the newest stand in the status. Some of these compare a window with earlier ones
//! (`anomaly_check`, a distribution's `reference`), and one is about no record at all but about the contract (`schema_check`).

mod anomaly_check;
mod check;
mod schema_check;
mod set_check;

use std::collections::BTreeMap;

use garde::Validate;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::{Condition, Duration, borrowed, conditions, references};

pub use anomaly_check::{AnomalyCheck, AnomalyDirection, AnomalyMetric, AnomalySeason};
pub use check::{
    CheckSeverity, Comparison, FieldCheck, FormatCheck, LengthCheck, NamedFormat, PairCheck,
    PatternCheck, QualityCheck, RangeCheck, ValuesCheck,
};
pub use schema_check::{SchemaCheck, SchemaColumn};
pub use set_check::{
    AggregateCheck, AggregateFunction, DistributionBin, DistributionCheck, DistributionReference,
    DistributionTest, FreshnessCheck, NullRatioCheck, OrderedCheck, QuantileCheck, ReferenceWindow,
    ReferencesCheck, RowCountCheck, UniqueCheck, ValueOrder,
};

/// A percentage with at most nine digits behind the point.
const PERCENT: &str = r"^(100(\.0{1,9})?|[0-9]{1,2}(\.[0-9]{1,9})?)$";
/// Most checks of one rule.
pub const MAX_CHECKS: usize = 64;

/// What a QualityRule is.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema, Validate)]
#[kube(
    group = "headworks.dev",
    version = "v1alpha1",
    kind = "QualityRule",
    plural = "qualityrules",
    singular = "qualityrule",
    shortname = "qr",
    category = "headworks",
    namespaced,
    status = "QualityRuleStatus",
    derive = "PartialEq",
    cel,
    doc = "Checks that the records of a stream must pass beyond its contract, what becomes of a record that fails one, and how many may fail before the stream isn't healthy.",
    validation = Rule::new("self.metadata.name.size() <= 63 && !self.metadata.name.contains('.')").message("metadata.name may have at most 63 characters and no dots"),
    printcolumn(name = "READY", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#, description = "Whether the rule is right, and judges"),
    printcolumn(name = "HEALTHY", type_ = "string", json_path = r#".status.conditions[?(@.type=="Healthy")].status"#, description = "Whether enough records pass", priority = "1"),
    printcolumn(name = "STREAM", type_ = "string", json_path = ".spec.stream", description = "The stream whose records are judged", priority = "1"),
    printcolumn(name = "PASS", type_ = "string", json_path = ".status.pass", description = "Per cent of the judged records that passed every check"),
    printcolumn(name = "CHECKED", type_ = "integer", json_path = ".status.checked", description = "Records judged"),
    printcolumn(name = "FAILED", type_ = "integer", json_path = ".status.failed", description = "Records that failed at least one check"),
    printcolumn(name = "LASTFAILURE", type_ = "date", json_path = ".status.lastFailureTime", description = "When a record last failed"),
    printcolumn(name = "AGE", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.stream == oldSelf.stream").message("stream can't change: make a new QualityRule").field_path(".stream"))]
#[garde(allow_unvalidated)]
pub struct QualityRuleSpec {
    /// DataStream of this namespace whose records are judged: by each Source before it writes one, and by each Pipeline before it uses
    /// one. Can't change.
    #[schemars(length(min = 1, max = references::LABEL_MAX), regex(pattern = references::LABEL))]
    pub stream: String,
    /// Only records for which this boolean SQL expression over the stream's fields is true are judged, such as country = 'DE'.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub filter: Option<String>,
    /// What becomes of a record that fails a check of severity Error. Quarantine: it becomes a dead letter that names rule and check.
    /// Drop: it is counted and gone. Alert: it is counted and goes on. Stop: what reads it stops before it until somebody acts.
    #[serde(default)]
    pub on_error: OnError,
    /// Per cent of the judged records that must pass every check, as text such as "99.5"; where fewer did over window, the condition
    /// Healthy is False, of the rule and of its stream. Absent: the rule says nothing of health.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 13), regex(pattern = PERCENT))]
    pub threshold: Option<String>,
    /// Over which time threshold holds, and how long the windows are that checks of many records are about. From 1m to 1d.
    #[serde(default = "window")]
    #[garde(custom(borrowed::between(60_000, 86_400_000)))]
    pub window: Duration,
    /// True: nothing is judged by it.
    #[serde(default)]
    pub suspend: bool,
    /// The checks. Names are unique; one without a name is called by what it checks and its field, such as notNull-order_id.
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    #[garde(dive)]
    pub checks: Vec<QualityCheck>,
}

impl QualityRuleSpec {
    /// A rule of these checks, with everything else as it is where nothing is said.
    #[must_use]
    pub fn new(stream: &str, checks: Vec<QualityCheck>) -> Self {
        Self {
            stream: stream.to_owned(),
            filter: None,
            on_error: OnError::default(),
            threshold: None,
            window: window(),
            suspend: false,
            checks,
        }
    }
}

fn window() -> Duration {
    Duration::from_millis(300_000)
}

/// What becomes of a record that fails a check of severity Error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum OnError {
    /// It becomes a dead letter.
    #[default]
    Quarantine,
    /// It is counted and gone.
    Drop,
    /// It is counted and goes on.
    Alert,
    /// What reads it stops before it.
    Stop,
}

/// What is known of a QualityRule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct QualityRuleStatus {
    /// The `metadata.generation` this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// What is true of the object now: Ready, Reconciling, Stalled, Healthy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions::conditions")]
    pub conditions: Vec<Condition>,
    /// Records judged since the rule was made: those that Sources judged and refused, and those of the reader that judged most. Rounded
    /// down to three digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checked: Option<i64>,
    /// Records that failed at least one check, counted in the same way. Exact up to 999, and rounded down to three digits beyond.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<i64>,
    /// Per cent of the judged records that passed every check, such as 99.87; rounded down, so that 100 means all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8))]
    pub pass: Option<String>,
    /// When a record last failed. Moves at most once a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "instant")]
    pub last_failure_time: Option<Time>,
    /// Where a record last failed that was read from Kafka, as topic[partition]@offset. Moves with lastFailureTime.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 320))]
    pub last_failure_place: Option<String>,
    /// Each check.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub checks: Vec<CheckStatus>,
    /// How the counts come about: what each object that judges has counted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["by".into()]))]
    pub judges: Vec<JudgeCount>,
}

/// What is known of one check.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CheckStatus {
    /// The check's name, as dead letters have it.
    #[schemars(length(max = 63))]
    pub name: String,
    /// Records that failed it, counted and rounded as those of the rule. Of a check of many records: windows that failed, of those
    /// that were looked at.
    pub failed: i64,
    /// When one last did. Moves at most once a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "instant")]
    pub last_failure_time: Option<Time>,
    /// Where, if it was read from Kafka, as topic[partition]@offset. Moves with lastFailureTime.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 320))]
    pub last_failure_place: Option<String>,
    /// A check of many records: the end of the newest window that was judged; of freshness: when it was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "instant")]
    pub window_end: Option<Time>,
    /// A check of many records: what was observed in that window, such as a count; absent where the field is labelled. Of schema: what
    /// the contract lacks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub observed: Option<String>,
    /// A check of many records: whether that window passed. Absent: none was judged yet. Of schema: whether the contract in force does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passed: Option<bool>,
}

/// What the pods of one object have judged. Pods count since their process began, so what ended ones counted is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct JudgeCount {
    /// The object, such as Source/in or Pipeline/totals.
    #[schemars(length(max = 128))]
    pub by: String,
    /// What processes counted that are gone.
    #[serde(default, skip_serializing_if = "RuleCount::is_nothing")]
    pub ended: RuleCount,
    /// What each pod has counted, by the pod's UID.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "by_pod")]
    pub pods: BTreeMap<String, RuleCount>,
}

/// What was counted by a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RuleCount {
    /// Records that were judged.
    #[serde(default)]
    pub checked: i64,
    /// Records that failed at least one check.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failed: i64,
    /// Those of them that went no further; absent where none failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<i64>,
    /// Records that failed each check, by the check's name; nothing of one that none failed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "by_check")]
    pub checks: BTreeMap<String, i64>,
}

impl RuleCount {
    /// True: nothing was counted.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(count: &i64) -> bool {
    *count == 0
}

fn by_check(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "maxProperties": 64,
        "description": "Records that failed each check, by the check's name; nothing of one that none failed.",
        "additionalProperties": {"type": "integer", "format": "int64"}})
}

fn by_pod(generator: &mut SchemaGenerator) -> Schema {
    let count = generator.subschema_for::<RuleCount>();
    json_schema!({"type": "object", "maxProperties": 256,
        "description": "What each pod has counted, by the pod's UID.",
        "additionalProperties": count})
}

fn instant(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "format": "date-time", "maxLength": 64})
}
