//! What a pod says of itself on `GET /status`.

use serde::{Deserialize, Serialize};

use crate::compare::ComparisonFigures;
use crate::counts::StageCounts;
use crate::reason::{Reason, ReportedReason};
use crate::replay::ReplayFigures;
use crate::rule::RuleFigures;
use crate::verdict::VerdictFigures;

/// The answer of `GET /status`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// [`crate::REPORT_VERSION`] of the pod.
    pub version: u32,
    /// Version of the runtime binary.
    pub runtime: String,
    /// Where the pod is in its life.
    pub phase: Phase,
    /// A store's pod: the version of the server it watches, such as `16.4`. Absent: not known yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_version: Option<String>,
    /// What is wrong now; empty when nothing is. A pod with problems that stop its work isn't ready.
    #[serde(default)]
    pub problems: Vec<Problem>,
    /// Counts and rates.
    #[serde(default)]
    pub figures: Figures,
}

/// Where a pod is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Connecting, joining the group.
    #[default]
    Starting,
    /// At work, or at rest because there is nothing to do.
    Running,
    /// Finishing what it has before it ends.
    Draining,
    /// Stopped by something that only a person can fix; see the problems.
    Stalled,
}

/// Something that is wrong, in words a condition can carry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// Which kind of problem.
    pub reason: ReportedReason,
    /// What, where, and what to do.
    pub message: String,
    /// True: the pod can't go on until somebody acts.
    #[serde(default)]
    pub fatal: bool,
}

impl Problem {
    /// A problem of this version's own; `fatal`: the pod can't go on until somebody acts.
    pub fn new(reason: impl Into<Reason>, message: impl Into<String>, fatal: bool) -> Problem {
        Problem {
            reason: ReportedReason::Known(reason.into()),
            message: message.into(),
            fatal,
        }
    }
}

/// Counts since the pod's start, and present rates.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Figures {
    /// Since when these counts run: the pod's start, milliseconds since 1970 UTC. A pod of an earlier release doesn't
    /// say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_ms: Option<i64>,
    /// Records read (pipeline) or received (source).
    pub records_in: u64,
    /// Records written to outputs and committed or acknowledged.
    pub records_out: u64,
    /// Records sent to dead-letter topics.
    pub dead_letters: u64,
    /// The same by reason, as [`DeadLetterReason`](crate::DeadLetterReason) has it; reasons that none has aren't named. Records
    /// that a store's pod finds to be dead letters already are in no reason's count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dead_letters_by_reason: Vec<ReasonCount>,
    /// The last of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_dead_letter: Option<LastDeadLetter>,
    /// Records counted and dropped (`onBadRecord: Drop`).
    pub dropped: u64,
    /// Records in a second, a moving average over about 10 s.
    pub rate: f64,
    /// Largest record lag: high watermark minus position, summed over the pod's partitions. Absent: not known yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag: Option<u64>,
    /// Largest event time seen, milliseconds since 1970 UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_event_time_ms: Option<i64>,
    /// Last commit, milliseconds since 1970 UTC. An idle pipeline commits nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_commit_ms: Option<i64>,
    /// What the pod keeps as state; absent: its query needs none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<StateFigures>,
    /// How far a Replay is; absent: the pod runs none, or doesn't know it yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay: Option<ReplayFigures>,
    /// What a comparison found; absent: the pod makes none, or has nothing to tell yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comparison: Option<Box<ComparisonFigures>>,
    /// Partitions this pod owns.
    #[serde(default)]
    pub partitions: Vec<PartitionFigure>,
    /// What each quality rule counted that the pod judges by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleFigures>,
    /// A monitor of a QualityRule: what it found of the newest windows. Absent: the pod is none, or no window is over yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdicts: Option<VerdictFigures>,
    /// What each stage counted that compares its counts with its positions, over the lives of pods. A pod of an earlier release
    /// counts none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub counts: Vec<StageCounts>,
}

/// How many dead letters have a reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReasonCount {
    /// The reason.
    pub reason: String,
    /// How many.
    pub count: u64,
}

/// A dead letter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LastDeadLetter {
    /// Why it became one.
    pub reason: String,
    /// When, milliseconds since 1970 UTC.
    pub at_ms: i64,
    /// Where its record was read, `topic[partition]@offset`; absent where it was read from no topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
}

/// A pod's state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StateFigures {
    /// In memory, in bytes.
    pub memory_bytes: u64,
    /// On the pod's disk, in bytes.
    pub disk_bytes: u64,
    /// Keys (of all windows).
    pub keys: u64,
    /// Rows that came too late for every window, and became dead letters or were dropped.
    pub late: u64,
    /// How long the last restore from the changelog took, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore_ms: Option<u64>,
    /// The least event time that rows may still have without being late, in milliseconds since 1970 UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watermark_ms: Option<i64>,
    /// A key to which more than half of the rows of the last minute belong, as text of at most 128
    /// characters; never of a column that is labelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hot_key: Option<String>,
    /// The partition of an input, `topic[partition]`, that the watermark has been waiting for for half a minute, while others are
    /// further. The topic alone: nothing is known of any of its partitions. Absent: there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
}

/// One owned partition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PartitionFigure {
    /// Topic.
    pub topic: String,
    /// Partition number.
    pub partition: i32,
    /// Next offset to be read.
    pub position: i64,
    /// Lag in records, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag: Option<i64>,
}
