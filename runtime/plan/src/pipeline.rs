//! What a pipeline's pod runs.

use serde::{Deserialize, Serialize};

use crate::keyed::KeyedPlan;
use crate::store::Store;
use crate::stream::Stream;

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
    /// Every table the result goes to. Each is a stage of its own, with a group and progress of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<TableOutput>,
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
    /// The consumer group. Belongs to namespace/name, so progress survives delete and re-create.
    pub group: String,
    /// Present where the query needs state: it then runs in two parts with a topic between them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keyed: Option<KeyedPlan>,
    /// A token from the Pipeline's annotation `headworks.dev/accept-data-loss`: the pod may go on from
    /// the earliest retained record where its own report named the same token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept_data_loss: Option<String>,
}

/// A table that a pipeline writes.
///
/// Its writer reads the inputs by a consumer group of its own ([`TableOutput::group`]), so that a store
/// that is down holds up nothing but itself. How far it has read is kept in the store, in the
/// transaction that holds the rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TableOutput {
    /// The store.
    pub store: Store,
    /// The table, as the user wrote it: `orders` or `reporting.orders`.
    pub table: String,
    /// Columns by which a row replaces an earlier one (upsert); empty: rows are appended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub key: Vec<String>,
    /// True: a table that isn't there is made from the query's columns.
    #[serde(default)]
    pub create: bool,
    /// The writer's consumer group.
    pub group: String,
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
    fn is_default(&self) -> bool {
        *self == Self::SetNull
    }
}
