//! How a changed query comes into force: at once, or after a canary has shown that it may.

use garde::Validate;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{OnBadRecord, OnOverflow, Target, instant};
use crate::{Duration, borrowed, references};

/// A percentage with at most nine digits behind the point, as QualityRules have it.
const PERCENT: &str = r"^(100(\.0{1,9})?|[0-9]{1,2}(\.[0-9]{1,9})?)$";
/// Longest column name.
const COLUMN_MAX: u32 = 255;

/// How a changed query comes into force. Absent: at once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema, Validate)]
#[serde(rename_all = "camelCase")]
#[garde(allow_unvalidated)]
pub struct Rollout {
    /// The new version runs beside the old one first, over the same records and into an output of its own, which nobody else reads.
    /// Only if it does well there does it take the old one's place; else the old one goes on, and the status tells why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(dive)]
    pub canary: Option<Canary>,
}

/// When a new version of a query is good enough to take the place of the old one. It must in any case come up, keep up, and make no more
/// dead letters than the old one does of the same records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema, Validate)]
#[serde(rename_all = "camelCase")]
#[garde(allow_unvalidated)]
pub struct Canary {
    /// How long the new version runs beside the old one before it is judged, by the records that came meanwhile. From 10s to 1d.
    #[serde(rename = "for", default = "ten_minutes")]
    #[garde(custom(borrowed::between(10_000, 86_400_000)))]
    pub for_: Duration,
    /// QualityRules of the first stream in `to` that the new version's results must pass: no more of them may fail than a rule's
    /// `threshold` lets fail; none, where it has no threshold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = references::LABEL_MAX), regex(pattern = references::LABEL)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub rules: Vec<String>,
    /// What must be the same in the results of both versions, over the same records. Absent: they may differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compare: Option<OutputComparison>,
}

/// What must be the same in the results of two versions of a query: how many rows there are, which keys, and what columns add up to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct OutputComparison {
    /// Columns that tell rows from each other, together: each of their values that is in one version's results must be in the other's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = COLUMN_MAX)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub keys: Vec<String>,
    /// Columns with numbers that must add up to the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = COLUMN_MAX)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub sums: Vec<String>,
    /// By how many per cent of the old version's the number of rows, the keys and the sums may differ, as text such as "0.5". Absent:
    /// not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 13), regex(pattern = PERCENT))]
    pub tolerance: Option<String>,
}

fn ten_minutes() -> Duration {
    Duration::from_millis(600_000)
}

impl Default for Canary {
    fn default() -> Self {
        Self {
            for_: ten_minutes(),
            rules: Vec::new(),
            compare: None,
        }
    }
}

/// Where the roll-out of a changed query is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum RolloutPhase {
    /// The new version runs beside the old one.
    Running,
    /// Its time is over, and what both make of the same records is compared.
    Comparing,
    /// The new version has taken the old one's place.
    Promoted,
    /// The old version goes on; the new one isn't tried again.
    RolledBack,
}

/// The last roll-out of a changed query, and the version that the pods run by.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutStatus {
    /// Where it is. Absent: there was none yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<RolloutPhase>,
    /// Digest of the new version and of how it is judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub id: Option<String>,
    /// The `metadata.generation` that brought the new version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<i64>,
    /// Since when both run: they are compared by the records that came from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "instant")]
    pub began: Option<Time>,
    /// Until when: by records that come later they aren't compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "instant")]
    pub until: Option<Time>,
    /// Since when it is where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "instant")]
    pub since: Option<Time>,
    /// When it was decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "instant")]
    pub decided: Option<Time>,
    /// How it stands, or why it was decided so, with figures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub message: Option<String>,
    /// Records that the new version hadn't read when its time was over, and those that the old one hadn't.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag: Option<BothCounts>,
    /// What both made of the same records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub figures: Option<RolloutFigures>,
    /// What the pods run by while the spec says something else, or will be told from the next change by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_force: Option<QueryInForce>,
}

/// A number of the old version's, and the new one's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct BothCounts {
    /// The old version's.
    #[serde(default)]
    pub old: i64,
    /// The new version's.
    #[serde(default)]
    pub new: i64,
}

/// What two versions of a query made of the same records.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutFigures {
    /// Records that both were given.
    #[serde(default)]
    pub records: i64,
    /// True: more records came than are compared; these are the first of them.
    #[serde(default)]
    pub partial: bool,
    /// Rows that came of them.
    #[serde(default)]
    pub rows: BothCounts,
    /// Records, or results, that became dead letters.
    #[serde(default)]
    pub dead_letters: BothCounts,
    /// Keys, where they are compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<KeyDifference>,
    /// Sums by column, where they are compared.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub sums: Vec<ColumnSums>,
    /// What the rules said of the new version's results.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub rules: Vec<RuleVerdict>,
}

/// How the keys of two versions' results differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyDifference {
    /// Keys of the old version's results.
    #[serde(default)]
    pub old: i64,
    /// Keys of the old version's that the new one's haven't.
    #[serde(default)]
    pub missing: i64,
    /// Keys of the new version's that the old one's haven't.
    #[serde(default)]
    pub extra: i64,
    /// Where there were too many to be held: one key in so many was looked at, the same ones of both. 1: all.
    #[serde(default)]
    pub one_in: i64,
}

/// What a column adds up to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ColumnSums {
    /// The column.
    #[schemars(length(max = COLUMN_MAX))]
    pub column: String,
    /// In the old version's results.
    #[schemars(length(max = 64))]
    pub old: String,
    /// In the new version's.
    #[schemars(length(max = 64))]
    pub new: String,
}

/// What a rule said of the new version's results.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RuleVerdict {
    /// The QualityRule.
    #[schemars(length(max = 253))]
    pub name: String,
    /// Rows that it judged.
    #[serde(default)]
    pub checked: i64,
    /// Rows that failed one of its checks.
    #[serde(default)]
    pub failed: i64,
}

/// What a query computes, and where its results go: the fields of the spec that a canary is about.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct QueryInForce {
    /// As in the spec.
    #[schemars(length(max = 65536))]
    pub sql: String,
    /// As in the spec.
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub to: Vec<Target>,
    /// As in the spec.
    #[serde(default)]
    pub on_bad_record: OnBadRecord,
    /// As in the spec.
    #[serde(default)]
    pub on_overflow: OnOverflow,
    /// As in the spec.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_lateness: Option<Duration>,
    /// `state.ttl` of the spec.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_ttl: Option<Duration>,
}
