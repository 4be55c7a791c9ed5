//! Records that are made up.

use garde::Validate;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Duration, Quantity, borrowed};

/// Records are made up from a seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema, Validate)]
#[serde(rename_all = "camelCase")]
#[garde(allow_unvalidated)]
pub struct GenerateSource {
    /// How many records in a second, such as 1k.
    #[garde(custom(borrowed::amount_of(1, 1_000_000)))]
    pub records_per_second: Quantity,
    /// Equal seeds make equal records, apart from their times.
    #[serde(default)]
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_i64))]
    pub seed: i64,
    /// What the records are like. shop: the stream's fields are those of examples/shop, and `records` says which.
    /// Absent: random values of the types in the stream's contract.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<Template>,
    /// Which of the template's records: clicks, orders, inventory or feedback. Absent: the one that is named as the
    /// stream in `into`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records: Option<ShopRecords>,
    /// Present: some records come late, with an event time before those of records written earlier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(dive)]
    pub disorder: Option<Disorder>,
    /// How many in a hundred records break the contract; set onInvalid to DeadLetter to see them in the dead letters,
    /// else they are counted and left out.
    #[serde(default)]
    #[schemars(range(min = 0, max = 100))]
    pub faulty_percent: i32,
    /// After how many records the source rests. Absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(custom(borrowed::amount(1, i64::MAX as u64)))]
    pub limit: Option<Quantity>,
}

/// Records that come late.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema, Validate)]
#[serde(rename_all = "camelCase")]
#[garde(allow_unvalidated)]
pub struct Disorder {
    /// How many in a hundred records are late.
    #[schemars(range(min = 1, max = 100))]
    pub percent: i32,
    /// By how much at most, such as 30s.
    #[garde(custom(borrowed::between(1, 86_400_000)))]
    pub by: Duration,
}

/// What made-up records are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Template {
    /// A shop.
    Shop,
}

/// Which of a shop's records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ShopRecords {
    /// Pages that were looked at.
    Clicks,
    /// Orders that were placed.
    Orders,
    /// Stock that came and went.
    Inventory,
    /// What customers said.
    Feedback,
}
