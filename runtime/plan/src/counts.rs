//! What a stage of a pipeline counted of all that it read, for the continuous audit.

use serde::{Deserialize, Serialize};

/// What a stage did of the partitions that a pod owns, since it began to count. The counts are committed with the positions, so they
/// go on over the lives of pods, and those of all pods add up to what was done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StageCounts {
    /// The stage's id.
    pub stage: String,
    /// Its consumer group.
    pub group: String,
    /// The topics that it reads.
    #[serde(default)]
    pub topics: Vec<String>,
    /// How many partitions the pod owns and counts.
    #[serde(default)]
    pub owned: u32,
    /// The sum of their positions.
    #[serde(default)]
    pub position: u64,
    /// Of the offsets below the positions, those that were counted: records read, and offsets without a record.
    #[serde(default)]
    pub counted: u64,
    /// Records read.
    pub read: u64,
    /// Records that went no further: dropped, or left to the stage that tells of bad records.
    #[serde(default)]
    pub dropped: u64,
    /// Records that became dead letters.
    #[serde(default)]
    pub dead_letters: u64,
    /// Records or rows written.
    #[serde(default)]
    pub written: u64,
    /// Records that were passed over unread, and results that weren't written.
    #[serde(default)]
    pub missing: u64,
    /// Records that were read again though they had been counted, and results that were written twice.
    #[serde(default)]
    pub extra: u64,
    /// Where the first of those is, `topic[partition]@offset`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// When the pod's last partition began to be counted, milliseconds since 1970 UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began_ms: Option<i64>,
    /// The last time that counting began though records may have been read before. Absent: it never did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun: Option<CountsBegun>,
    /// What the stage's table holds. Absent: it writes none, another pod counts, or the rows can't be counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<TableCounts>,
    /// The partitions, at most 256 of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partitions: Vec<PartitionCounts>,
}

/// Counting began where nobody had counted before. Once the group is known to have been counted, that means that its commits were
/// set, or deleted, by somebody else.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CountsBegun {
    /// When, milliseconds since 1970 UTC.
    pub at_ms: i64,
    /// True: the group had no commit of these topics at all. False: it had one, without counts.
    pub fresh: bool,
    /// Of how many partitions it began then: within a minute before.
    #[serde(default)]
    pub partitions: u32,
    /// Where it began, `topic[partition]@offset`.
    pub place: String,
}

/// What a table holds, as of one instant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TableCounts {
    /// Rows that are there.
    pub rows: u64,
    /// Rows that should be: those that were there when counting began, and those that the stage has written since.
    pub expected: u64,
}

/// What was done of a partition. See [`StageCounts`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PartitionCounts {
    /// Topic.
    pub topic: String,
    /// Partition number.
    pub partition: i32,
    /// Next offset to be read.
    pub position: i64,
    /// Records read.
    pub read: u64,
    /// Records that went no further.
    pub dropped: u64,
    /// Records that became dead letters.
    pub dead_letters: u64,
    /// Records or rows written.
    pub written: u64,
    /// Records or results that are missing.
    pub missing: u64,
    /// Records or results that are there once more.
    pub extra: u64,
}
