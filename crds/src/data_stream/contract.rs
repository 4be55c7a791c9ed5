//! What a contract is made of: fields, event time, format, and how it may change.

use garde::Validate;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::FIELD_NAME;
use crate::{Duration, borrowed, references};

/// How records are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Format {
    /// UTF-8 JSON objects, one a record.
    #[default]
    Json,
    /// Avro's binary encoding.
    Avro,
    /// Protobuf (proto3) messages.
    Protobuf,
}

/// Which changes of a contract are accepted, in the words of Confluent's registry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Compatibility {
    /// Any change.
    None,
    /// Readers of the new contract can read what was written under the last one.
    #[default]
    Backward,
    /// Readers of the new contract can read what was written under every one before.
    BackwardTransitive,
    /// Readers of the last contract can read what is written under the new one.
    Forward,
    /// Readers of every contract before can read what is written under the new one.
    ForwardTransitive,
    /// Backward and forward.
    Full,
    /// Backward and forward, with every contract before.
    FullTransitive,
}

/// One field of a contract.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Field {
    /// Name: JSON's key and SQL's column.
    #[schemars(length(min = 1, max = 128), regex(pattern = FIELD_NAME))]
    pub name: String,
    /// SQL type: boolean, int, bigint, float, double, decimal(p,s), string, bytes, date, time, timestamp(0|3|6),
    /// timestamp_ltz(0|3|6) (an instant), array<type>, map<string,type>, struct<name type, name type not null>.
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = 2048))]
    pub type_: String,
    /// True: the field may be null or absent. False: a record without it breaks the contract.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub nullable: bool,
    /// What the field means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub description: Option<String>,
    /// Labels such as pii. They are part of the contract and shown in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 63), regex(pattern = references::LABEL)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub labels: Vec<String>,
}

/// Which field says when a thing happened, and how far out of order records come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema, Validate)]
#[serde(rename_all = "camelCase")]
#[garde(allow_unvalidated)]
pub struct EventTime {
    /// A field of type timestamp_ltz. A Pipeline's DELAY is measured by it.
    #[schemars(length(min = 1, max = 128), regex(pattern = FIELD_NAME))]
    pub field: String,
    /// How much older than the newest of its partition a record may be without being late. A larger one waits longer
    /// for stragglers, and every window's result comes later by as much. From 0s to 1d. A change is taken up by the
    /// Pipelines that read the stream.
    #[serde(default = "max_out_of_orderness")]
    #[garde(custom(borrowed::between(0, MAX_EVENT_TIME_MS)))]
    pub max_out_of_orderness: Duration,
    /// A partition that was read to its end, and got no record for this long, holds up no window any more; its records
    /// may be late when they come again. 0s: never, each partition holds up every window until it has a newer record.
    /// From 0s to 1d.
    #[serde(default = "idle_timeout")]
    #[garde(custom(borrowed::between(0, MAX_EVENT_TIME_MS)))]
    pub idle_timeout: Duration,
}

impl EventTime {
    /// The time in that field, with everything else as it is where nothing is said.
    #[must_use]
    pub fn of(field: &str) -> Self {
        Self {
            field: field.to_owned(),
            max_out_of_orderness: max_out_of_orderness(),
            idle_timeout: idle_timeout(),
        }
    }
}

/// A day: the longest `maxOutOfOrderness` and `idleTimeout`.
pub const MAX_EVENT_TIME_MS: u64 = 86_400_000;

fn max_out_of_orderness() -> Duration {
    Duration::from_millis(5_000)
}

fn idle_timeout() -> Duration {
    Duration::from_millis(30_000)
}
