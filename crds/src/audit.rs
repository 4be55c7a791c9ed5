//! What a Pipeline's status says of the continuous audit: what each stage has counted, beside its positions.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// The audit of a Pipeline. Its field stands among those of the status.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditStatus {
    /// What each stage has counted since it began to count, over the lives of pods; a stage with state compares its positions with its
    /// changelog instead. Moves at most once a minute by itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["stage".into()]))]
    pub audit: Vec<StageAudit>,
}

/// What a stage has counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct StageAudit {
    /// The stage, such as streams, exchange or table-0 (the first table of spec.to).
    #[schemars(length(max = 253))]
    pub stage: String,
    /// Its Kafka consumer group, whose commits hold the counts.
    #[schemars(length(max = 253))]
    pub group: String,
    /// The topics that it reads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 249)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub topics: Vec<String>,
    /// Since when all of it is counted. Absent: a pod of an earlier release counts nothing, or the pods have just begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "instant")]
    pub since: Option<Time>,
    /// The sum of the positions of all partitions.
    pub position: i64,
    /// Records read.
    pub read: i64,
    /// Records that went no further: dropped by `onBadRecord` or a rule; or bad, and left to the stage that writes the dead letters.
    pub dropped: i64,
    /// Records that are dead letters.
    pub dead_letters: i64,
    /// Records or rows that came of them and were written.
    pub written: i64,
    /// Records that were passed over unread, and results that weren't written. Of offsets that somebody else has moved, transaction
    /// markers count, too.
    pub missing: i64,
    /// Records that were read again though they had been counted, and results that were written twice.
    pub extra: i64,
    /// Where the first of those is, as topic[partition]@offset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 320))]
    pub place: Option<String>,
    /// Somebody else set or deleted the group's commits. Absent: nobody has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset: Option<AuditReset>,
    /// What its table held when its rows were counted last. Absent: it writes none, its rows have a key, or they can't be counted in
    /// a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<TableAudit>,
}

/// Commits that somebody else has set or deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditReset {
    /// When it was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "instant")]
    pub time: Option<Time>,
    /// True: the group had no commit any more. False: it had commits without counts.
    pub deleted: bool,
    /// Where reading went on, as topic[partition]@offset.
    #[schemars(length(max = 320))]
    pub place: String,
    /// By how many offsets the positions were moved, all partitions together, as far as they were known last. Below zero: backwards.
    /// Absent: only some partitions were set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved: Option<i64>,
}

/// What a table holds, as of one instant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct TableAudit {
    /// Rows that are there.
    pub rows: i64,
    /// Rows that should be: those that were there when counting began, and those that were written since.
    pub expected: i64,
}

/// Schema of an instant.
fn instant(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "format": "date-time", "maxLength": 64})
}
