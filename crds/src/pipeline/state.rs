//! What a query keeps: its bounds, what a change does to it, and what its status shows.

use garde::Validate;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DAY_MS, instant};
use crate::{Duration, Quantity, borrowed};

/// Bounds of the state that a query keeps, in each pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema, Validate)]
#[serde(rename_all = "camelCase")]
#[garde(allow_unvalidated)]
pub struct StateBounds {
    /// How much memory a pod's state may take; what is beyond goes to the pod's disk. Comes on top of what a pod needs
    /// otherwise: where no resources are given, the pod asks for both. From 16Mi to 1Ti.
    #[serde(default = "state_memory")]
    #[garde(custom(borrowed::amount_of(16 << 20, 1 << 40)))]
    pub memory: Quantity,
    /// How much disk a pod's state may take. It is a folder of the node's (emptyDir) that goes with the pod: what it
    /// holds is in Kafka as well. The pod asks the node for all of it (ephemeral-storage), and one that needs more is evicted.
    /// Absent: 10Gi at most, of which it asks for 1Gi. From 64Mi to 16Ti.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(custom(borrowed::amount(64 << 20, 16 << 40)))]
    pub disk: Option<Quantity>,
    /// Without windows: a key for which no row came for this long is forgotten, and begins anew when one comes. Absent:
    /// never, and the state grows with the number of keys. From 1m to 520w.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(custom(borrowed::between(60_000, 3640 * DAY_MS))))]
    pub ttl: Option<Duration>,
}

impl Default for StateBounds {
    fn default() -> Self {
        Self {
            memory: state_memory(),
            disk: None,
            ttl: None,
        }
    }
}

/// What happens when a query is changed so that it can't go on with its state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum OnStateChange {
    /// The pods go on with the query as it was.
    #[default]
    Block,
    /// State and progress are deleted, and the new query begins at startFrom.
    Reset,
}

fn state_memory() -> Quantity {
    Quantity::mebibytes(256)
}

impl StateBounds {
    /// How much disk a pod's state may take.
    #[must_use]
    pub fn most_disk(&self) -> Quantity {
        self.disk.clone().unwrap_or_else(|| Quantity::gibibytes(10))
    }

    /// How much of it the pod asks the node for. A bound that the user gave is meant; of the default most never need all.
    #[must_use]
    pub fn asked_disk(&self) -> Quantity {
        // The CRDs of before filled in 10Gi where nobody said anything: that is no word of the user's.
        let filled_in = Quantity::gibibytes(10).value();
        let said = self.disk.clone().filter(|disk| disk.value() != filled_in);
        said.unwrap_or_else(|| Quantity::gibibytes(1))
    }
}

/// A query's state: whose it is, where it is kept, and how much it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct StateStatus {
    /// Digest of what the state is of: key, window, aggregates, types. A query with another one can't go on with it.
    #[schemars(length(max = 64))]
    pub fingerprint: String,
    /// The part of the fingerprint that names of topics and consumer groups have in them.
    #[schemars(length(max = 16))]
    pub version: String,
    /// The Kafka topics that this Pipeline made for itself. They are deleted with it under deletionPolicy Delete, and
    /// by a Reset; nobody else may write to them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(max = 249)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub topics: Vec<String>,
    /// Partitions of each of them, as many as the inputs' topics had when they were made; they never change. More pods
    /// than this stand idle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitions: Option<i32>,
    /// Largest record of these topics, in bytes, as it was when they were made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_message_bytes: Option<i64>,
    /// How much it is, in memory and on disk, all pods together, such as 12Mi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub size: Option<String>,
    /// How many keys it has, those of all windows, all pods together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<i64>,
    /// Rows that came too late since the pods' start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late: Option<i64>,
    /// How long the slowest pod took to read its state from Kafka when it last did, such as 3s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub restore: Option<String>,
    /// Rows with an older event time are late, by the pod that is furthest behind. Rounded down to a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "instant")]
    pub watermark: Option<Time>,
    /// A key to which more than half of the rows of the last minute belong: one pod has all its work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub hot_key: Option<String>,
    /// The partition of an input, as topic[partition], that event time has been waiting for for half a minute, while others are
    /// further: windows stay open, and rows of a join kept, until a record of it has a later event time. A stream's
    /// idleTimeout lets partitions rest that nothing comes to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 300))]
    pub waits_for: Option<String>,
}
