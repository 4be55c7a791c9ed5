//! What a pipeline with state needs besides: the topics between its parts, and bounds.

use serde::{Deserialize, Serialize};

use crate::stream::Stream;

/// The folder in a pod where state that doesn't fit in memory is spilled. It needs not survive the pod.
pub const STATE_DIR: &str = "/var/lib/headworks/state";

/// The last column of a result that is an upsert and is written to tables: a `boolean`, true where the row
/// of that key is gone. It is never a column of the table.
pub const DELETED_COLUMN: &str = "headworks_deleted";

/// The second half of a pipeline whose query needs state (GROUP BY, ROW_NUMBER).
///
/// The first part reads the inputs and writes rows to the repartition topic, by their keys; the second
/// reads that, keeps the state with a changelog in Kafka, and writes the outputs. Each part has a consumer
/// group and transactions of its own. Partition `n` of the changelog is the state of partition `n` of the
/// repartition topic. Tables are written from `results`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyedPlan {
    /// Rows on their way from the first part to the second. Kept until they are read, then deleted.
    pub repartition: InternalTopic,
    /// The state. Compacted; as many partitions as `repartition`.
    pub changelog: InternalTopic,
    /// The consumer group of the second part.
    pub group: String,
    /// A window's result is written when the watermark is this far behind its end, in milliseconds.
    pub allowed_lateness_ms: u64,
    /// A partition whose event time is this far ahead of the slowest of its pod isn't read on until the
    /// others have come closer, in milliseconds.
    pub max_drift_ms: u64,
    /// State of a key without a window is forgotten when no row of it came for this long, in milliseconds
    /// of wall time; absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_ms: Option<u64>,
    /// How much memory a pod's state may take, in bytes; what is beyond goes to [`STATE_DIR`].
    pub memory_bytes: u64,
    /// Present where tables are written: the result as a stream of the query's own columns. Its contract's
    /// key is the unique key where the result is an upsert, and a record without a value is then a delete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub results: Option<Stream>,
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
