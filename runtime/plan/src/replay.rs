//! What a Replay's pod runs.

use serde::{Deserialize, Serialize};

use crate::pipeline::PipelinePlan;

/// What a replay pod runs: a query over a bounded part of one topic, once.
///
/// The bounds are fixed at the first start and kept, with the counts, in the metadata of the group's commits: in the
/// transactions that hold the records. So a restart, and a Replay that is deleted and made again, goes on where it was, and a
/// record that becomes a dead letter again lies behind the end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReplayPlan {
    /// The query. It has one stage without state, and one input: the topic that is replayed, under the name of its stream.
    /// [`PipelinePlan::start_from`] is where the part begins.
    pub query: PipelinePlan,
    /// A digest of what is replayed, how, and into what. A group whose commits name another one belongs to another Replay.
    pub id: String,
    /// The part ends before the first record whose Kafka timestamp is at or after this instant (milliseconds since 1970
    /// UTC), and in any case where the topic ended at the first start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_ms: Option<i64>,
    /// Present: the topic holds dead letters, of which these are replayed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_letters: Option<DeadLetterSelection>,
    /// Most records in a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records_per_second: Option<u64>,
    /// True: a pod has committed progress before. A group without any commit has been forgotten by Kafka then, or was deleted,
    /// and nothing is written: it isn't a first start.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub begun: bool,
    /// Present, in a plan of the role [`crate::Role::ReplayIntoPipeline`] alone: the records go into one Pipeline, past the stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub into_pipeline: Option<IntoPipeline>,
}

/// The records of a Replay take the way of a Pipeline's own: [`ReplayPlan::query`] is the Pipeline's, with its first stage alone, which
/// reads what is replayed. Where that stage ends in an exchange, the Pipeline's own pods go on from there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IntoPipeline {
    /// Puts records right before that stage sees them: a query over the input that the stage reads, row by row, whose columns fit that
    /// input's own contract. Absent: they go as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

/// Which dead letters. One whose end was cut off is never replayed: it isn't the record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetterSelection {
    /// Those with one of these words in the header `headworks.reason`; empty: whatever it says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
    /// Those with one of these names in the header `headworks.rule`; empty: whatever it says, and without it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
    /// Those with one of these, as `namespace/name`, in the header of who wrote it: `headworks.pipeline`, `headworks.source` or
    /// `headworks.replay`; empty: whoever it was.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by: Vec<String>,
}

/// How far a Replay is: counted from its first start on, over restarts, since the counts are in the transactions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReplayFigures {
    /// Of which Replay: [`ReplayPlan::id`].
    pub id: String,
    /// How many offsets the part has. Markers of transactions and records that are gone take offsets, too, so there are at
    /// most so many records in it.
    pub of: u64,
    /// How many of these are behind it.
    pub done: u64,
    /// Records that were selected by their headers.
    pub selected: u64,
    /// Records written.
    pub replayed: u64,
    /// Records that became dead letters again.
    pub refused: u64,
    /// Dead letters that are selected and can't be replayed, since their end was cut off. They stay where they are.
    pub truncated: u64,
    /// True: all of it is done.
    pub complete: bool,
}
