//! What a Platform lets its users ask for: of their pods, and of their topics.

use garde::Validate;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Duration, borrowed};

/// A name with `*` for any text.
const PATTERN: &str = r"^[A-Za-z0-9*._:/@-]+$";
/// A taint's key with `*` for any text.
const KEY_PATTERN: &str = r"^[A-Za-z0-9*._/-]+$";
/// A setting of a topic.
const SETTING: &str = r"^[a-z][a-z0-9.]*$";

/// What the podTemplate of a Source, Pipeline or DataStore may say, and which Secrets they may name. A list that is absent
/// allows all; an empty one nothing. In a pattern `*` stands for any text. What the Platform's own podTemplate says is always
/// allowed. A DataStore, which names no Platform, must be allowed by every Platform that admits its namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodPolicy {
    /// Patterns of images, such as `registry.example.com/headworks/*`. Whoever chooses the image runs what they like with
    /// the pod's Kafka user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 512), regex(pattern = PATTERN)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub images: Option<Vec<String>>,
    /// Patterns of ServiceAccounts, such as `data-*`. A podTemplate that names none is always allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253), regex(pattern = PATTERN)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub service_accounts: Option<Vec<String>>,
    /// Patterns of the keys of taints that may be tolerated, such as `spot`. To tolerate every taint (no key) needs `*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 317), regex(pattern = KEY_PATTERN)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub tolerations: Option<Vec<String>>,
    /// Patterns of PriorityClasses: pods of a higher one push others from their nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253), regex(pattern = PATTERN)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub priority_classes: Option<Vec<String>>,
    /// Patterns of the Secrets that Sources and DataStores may name, and podTemplates for pulling images, such as
    /// `headworks-*`. Whoever may make a DataStore, and not read Secrets, could else have a Secret's content sent to a server of
    /// their own. It is a name and no label, because only who may read a Secret can see its labels, and the operator may not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253), regex(pattern = PATTERN)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub secrets: Option<Vec<String>>,
}

/// What Replays need before they write.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReplayPolicy {
    /// Required: a Replay waits until its spec says `approved: true`.
    #[serde(default)]
    pub approval: Approval,
}

/// Whether somebody must say yes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Approval {
    /// Nobody need.
    #[default]
    NotRequired,
    /// Somebody must.
    Required,
}

/// What DataStreams may ask of Kafka. A stream that asks for more isn't made, or stays as it is. What is there already is never
/// taken away by a limit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema, Validate)]
#[serde(rename_all = "camelCase")]
#[garde(allow_unvalidated)]
pub struct Limits {
    /// Partitions that a stream's topic may have. Its dead-letter topic has as many again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10000))]
    pub partitions_per_stream: Option<i32>,
    /// Partitions that the topics of all DataStreams of a namespace on this Platform may have together, without those of dead
    /// letters and of queries' state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub partitions_per_namespace: Option<i32>,
    /// How long records and dead letters may be kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(custom(borrowed::between(1_000, i64::MAX as u64))))]
    pub retention: Option<Duration>,
    /// Settings that `config` of a DataStream may name, such as compression.type. Absent: all; empty: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 128), regex(pattern = SETTING)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub topic_config: Option<Vec<String>>,
}
