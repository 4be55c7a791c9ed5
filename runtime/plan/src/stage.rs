//! A stage of a pipeline: what it reads, where it ends, and what it keeps.

use serde::{Deserialize, Serialize};

use crate::store::Store;
use crate::stream::Stream;

/// The folder in a pod where state that doesn't fit in memory is spilled. It needs not survive the pod.
pub const STATE_DIR: &str = "/var/lib/headworks/state";

/// The last column of a result that is an upsert and is written to tables: a `boolean`, true where the row
/// of that key is gone. It is never a column of the table.
pub const DELETED_COLUMN: &str = "headworks_deleted";

/// A part of a pipeline that runs by itself, with a consumer group and transactions of its own, so that a store
/// that is down holds up nothing but its own stage.
///
/// It reads streams or what another stage wrote, and ends in one system: in Kafka, with everything that it writes, its
/// changelog and its positions in one transaction, or in one store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StagePlan {
    /// Its name within the plan: lower-case letters, digits and hyphens. Other stages refer to it, and its thread is
    /// called by it.
    pub id: String,
    /// The stage of the query's dataflow that it runs, by its place; absent: it writes what it reads as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs: Option<usize>,
    /// Its consumer group; with a pod's number the transactional id ([`crate::names::member`]). Belongs to
    /// namespace/name, so progress survives delete and re-create.
    pub group: String,
    /// Where its rows come from. All are streams, or it is one stage.
    pub reads: Vec<Edge>,
    /// Where its results go.
    pub ends: Ends,
    /// What it keeps, if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<StatePlan>,
    /// A partition whose event time is this far ahead of the slowest of its pod isn't read on until the
    /// others have come closer, in milliseconds. Absent: all are read as they come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_drift_ms: Option<u64>,
}

/// Where rows of a stage come from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Edge {
    /// The plan's input of this name.
    Stream(String),
    /// The stage of this id: by the topic of its exchange, or by its results.
    Stage(String),
}

/// Where a stage ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Ends {
    /// In every output stream of the plan, in one Kafka transaction.
    Streams {
        /// Present where a stage with state has tables after it: the result as a stream of the query's own columns,
        /// which they are written from. Its contract's key is the unique key where the result is an upsert, and a
        /// record without a value is then a delete.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        results: Option<Box<Stream>>,
    },
    /// In the topic by which rows with equal keys are brought together. Kept until they are read, then deleted.
    Exchange(InternalTopic),
    /// In a table. How far it has come is kept in the store, in the transaction that holds the rows.
    Table(Box<TableOutput>),
}

/// What a stage with state keeps, and within which bounds.
///
/// Partition `n` of the changelog is the state of partition `n` of the exchange that the stage reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatePlan {
    /// The state. Compacted; as many partitions as the exchange has.
    pub changelog: InternalTopic,
    /// A window's result is written when the watermark is this far behind its end, in milliseconds.
    pub allowed_lateness_ms: u64,
    /// State of a key without a window is forgotten when no row of it came for this long, in milliseconds
    /// of wall time; absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_ms: Option<u64>,
    /// How much memory a pod's state may take, in bytes; what is beyond goes to [`STATE_DIR`].
    pub memory_bytes: u64,
}

/// A table that a pipeline writes.
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
    /// The stage's consumer group, under which the store keeps how far it was written.
    pub group: String,
}

/// A topic of the pipeline's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InternalTopic {
    /// Name.
    pub topic: String,
    /// Number of partitions; never changes.
    pub partitions: i32,
    /// The topic's `max.message.bytes`.
    pub max_message_bytes: u64,
}

impl StagePlan {
    /// The topic of the rows that it brings together, if that is what it does.
    pub fn exchange(&self) -> Option<&InternalTopic> {
        match &self.ends {
            Ends::Exchange(topic) => Some(topic),
            Ends::Streams { .. } | Ends::Table(_) => None,
        }
    }

    /// The stream that tables are written from, if it writes one.
    pub fn results(&self) -> Option<&Stream> {
        match &self.ends {
            Ends::Streams { results } => results.as_deref(),
            Ends::Exchange(_) | Ends::Table(_) => None,
        }
    }
}

/// What stages are called. Pods and people read it in logs; nothing in Kafka is named by it.
pub mod stage_id {
    /// Reads the inputs and writes the output streams.
    pub const STREAMS: &str = "streams";
    /// Reads the inputs and brings rows with equal keys together.
    pub const EXCHANGE: &str = "exchange";
    /// Keeps state.
    pub const KEYED: &str = "keyed";

    /// Writes the table of this place among the pipeline's tables.
    pub fn table(index: usize) -> String {
        format!("table-{index}")
    }
}
