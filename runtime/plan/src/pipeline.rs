//! What a pipeline's pod runs.

use serde::{Deserialize, Serialize};

use crate::stage::StagePlan;
use crate::stream::Stream;
use crate::verdict::VerdictColumns;

/// What a pipeline pod runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PipelinePlan {
    /// The query, as the user wrote it.
    pub sql: String,
    /// Every stream the query reads.
    pub inputs: Vec<Stream>,
    /// Every stream the result goes to.
    pub outputs: Vec<Stream>,
    /// What a record is promised.
    pub delivery: Delivery,
    /// Longest time between two commits, in milliseconds.
    pub commit_interval_ms: u64,
    /// Where a pipeline without progress begins.
    pub start_from: StartFrom,
    /// What happens to a record that can't be read or evaluated.
    pub on_bad_record: OnBadRecord,
    /// What becomes of a number with more digits than its decimal type has.
    #[serde(default, skip_serializing_if = "OnOverflow::is_default")]
    pub on_overflow: OnOverflow,
    /// Its stages, in the order in which records pass them; each runs by itself. The first one tells of bad input
    /// records; the others that read the same inputs meet the same ones.
    pub stages: Vec<StagePlan>,
    /// A token from the Pipeline's annotation `headworks.dev/accept-data-loss`: the pod may go on from
    /// the earliest retained record where its own report named the same token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept_data_loss: Option<String>,
    /// A monitor of a QualityRule: which columns of the query say whether a window passed. Absent: none do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdicts: Option<VerdictColumns>,
}

impl PipelinePlan {
    /// The stage of that id.
    pub fn stage(&self, id: &str) -> Option<&StagePlan> {
        self.stages.iter().find(|stage| stage.id == id)
    }
}

/// What a record is promised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Delivery {
    /// Output, dead letters and progress in one Kafka transaction (KIP-98, KIP-447).
    #[default]
    ExactlyOnce,
    /// Progress is committed after the output is acknowledged; a crash repeats a little.
    AtLeastOnce,
}

/// Where a pipeline without progress begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StartFrom {
    /// The oldest retained record.
    #[default]
    Earliest,
    /// Records written after the first start.
    Latest,
    /// The first record whose Kafka timestamp is at or after this instant (milliseconds since 1970 UTC).
    Time(i64),
}

/// What happens to a record that can't be read or evaluated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnBadRecord {
    /// It goes to the input stream's dead-letter topic.
    #[default]
    DeadLetter,
    /// It is counted and dropped.
    Drop,
    /// The pipeline stops before it and says so.
    Stop,
}

/// What becomes of a number with more digits than its decimal type has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnOverflow {
    /// It is NULL, as in Flink.
    #[default]
    SetNull,
    /// The record is bad: it goes where [`OnBadRecord`] says.
    DeadLetter,
}

impl OnOverflow {
    /// True for [`Self::SetNull`], which a plan doesn't say.
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::SetNull
    }
}
