//! The checks of a QualityRule that are about many records: of a window of the stream's event time.

use garde::Validate;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::PERCENT;
use crate::{Duration, borrowed, data_stream::FIELD_PATH};

/// A fraction from 0 to 1 with at most nine digits behind the point.
const FRACTION: &str = r"^(1(\.0{1,9})?|0(\.[0-9]{1,9})?)$";
/// A number of at most nine digits before and behind the point.
const SMALL_NUMBER: &str = r"^[0-9]{1,9}(\.[0-9]{1,9})?$";

/// How many records a window has; at least one of min and max.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.min) || has(self.max)").message("rowCount needs min, max or both"))]
#[x_kube(validation = Rule::new("!has(self.min) || !has(self.max) || self.min <= self.max").message("min is above max: no window has so many records").field_path(".min"))]
pub struct RowCountCheck {
    /// The fewest records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000_000_000_i64))]
    pub min: Option<i64>,
    /// The most records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000_000_000_i64))]
    pub max: Option<i64>,
}

/// How many records of a window have no value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct NullRatioCheck {
    /// The field. A dot reaches into a struct.
    #[schemars(length(min = 1, max = 256), regex(pattern = FIELD_PATH))]
    pub field: String,
    /// Per cent of the records that may be null at most, as text such as "0.5".
    #[schemars(length(min = 1, max = 13), regex(pattern = PERCENT))]
    pub max: String,
}

/// No two records of a window have the same key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema, Validate)]
#[serde(rename_all = "camelCase")]
#[garde(allow_unvalidated)]
pub struct UniqueCheck {
    /// The fields that make the key together. Of a record in which all of them are null nothing is asked; nulls are equal to each
    /// other.
    #[schemars(length(min = 1, max = 8), inner(length(min = 1, max = 256), regex(pattern = FIELD_PATH)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub key: Vec<String>,
    /// The window, tumbling by event time. From 1m to 7d: each key in it is kept. Absent: the rule's window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(custom(borrowed::between(60_000, 7 * 86_400_000))))]
    pub within: Option<Duration>,
}

/// Each value of a field stands in order to the one before it, by event time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderedCheck {
    /// A field with a number, date, time, timestamp or text. Records without a value are passed over. A dot reaches into a struct.
    #[schemars(length(min = 1, max = 256), regex(pattern = FIELD_PATH))]
    pub field: String,
    /// The fields that make the key: a record is compared with the one before it that has the same. Absent: the stream's key; of a
    /// stream without one all records are in one order, and in one pod.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 8), inner(length(min = 1, max = 256), regex(pattern = FIELD_PATH)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub by: Vec<String>,
    /// Which order.
    #[serde(default)]
    pub order: ValueOrder,
}

/// What a record refers to is there: at the record's event time, a compacted stream had a record with that key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReferencesCheck {
    /// The fields that refer to it. A record in which one of them is null refers to nothing, and passes. A dot reaches into a struct.
    #[schemars(length(min = 1, max = 8), inner(length(min = 1, max = 256), regex(pattern = FIELD_PATH)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub fields: Vec<String>,
    /// The DataStream that is referred to, in the rule's namespace: a compacted one, with an event time.
    #[schemars(length(min = 1, max = 63))]
    pub stream: String,
    /// The fields of its key that they equal, in the order of `fields`; all of the key. Absent: they have the same names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 8), inner(length(min = 1, max = 256), regex(pattern = FIELD_PATH)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub key: Vec<String>,
}

impl ReferencesCheck {
    /// The fields of the other stream's key.
    #[must_use]
    pub fn keys(&self) -> &[String] {
        if self.key.is_empty() {
            &self.fields
        } else {
            &self.key
        }
    }
}

/// How a value stands to the one before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ValueOrder {
    /// It is as great, or greater.
    #[default]
    Increasing,
    /// It is greater.
    StrictlyIncreasing,
    /// It is as small, or smaller.
    Decreasing,
    /// It is smaller.
    StrictlyDecreasing,
}

/// What an aggregate of a window's values lies between; at least one of min and max. Both are texts, read by the aggregate's type:
/// "0.50", "2026-01-31". A window without values passes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.min) || has(self.max)").message("aggregate needs min, max or both"))]
pub struct AggregateCheck {
    /// The field whose values are aggregated; nulls don't count. A dot reaches into a struct.
    #[schemars(length(min = 1, max = 256), regex(pattern = FIELD_PATH))]
    pub field: String,
    /// What the values come to: the least, the greatest, their mean, sum or standard deviation (of a sample), or how many differ.
    pub function: AggregateFunction,
    /// The least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub min: Option<String>,
    /// The greatest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub max: Option<String>,
}

/// Aggregates of a window's values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum AggregateFunction {
    /// The least value.
    #[default]
    Min,
    /// The greatest value.
    Max,
    /// The arithmetic mean.
    Mean,
    /// The sum.
    Sum,
    /// The standard deviation of a sample (n - 1); nothing of one value.
    StdDev,
    /// The number of different values. They are kept while the window is open: some ten thousand at most.
    Distinct,
}

/// Which part of a window's values lies where: the least value of which at least so many of the values aren't greater. At least one of
/// min and max. A window without values passes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.min) || has(self.max)").message("quantile needs min, max or both"))]
pub struct QuantileCheck {
    /// A field with a number, date, time, timestamp or text; nulls don't count. A dot reaches into a struct.
    #[schemars(length(min = 1, max = 256), regex(pattern = FIELD_PATH))]
    pub field: String,
    /// Which quantile, as text from "0" to "1", such as "0.95".
    #[schemars(length(min = 1, max = 11), regex(pattern = FRACTION))]
    pub of: String,
    /// The least that it may be, read by the field's type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub min: Option<String>,
    /// The greatest that it may be, read by the field's type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub max: Option<String>,
}

/// How old the newest record may be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema, Validate)]
#[serde(rename_all = "camelCase")]
#[garde(allow_unvalidated)]
pub struct FreshnessCheck {
    /// How far the newest event time may be behind the clock. From 10s to 30d.
    #[garde(custom(borrowed::between(10_000, 30 * 86_400_000)))]
    pub max_age: Duration,
}

/// How a window's values are spread over bins, compared with how they should be, or were.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema, Validate)]
#[serde(rename_all = "camelCase")]
#[garde(allow_unvalidated)]
#[x_kube(validation = Rule::new("self.bins.all(b, has(b.upTo)) || self.bins.all(b, has(b.values)) || (self.bins.filter(b, !has(b.upTo)).size() == 1 && self.bins.all(b, !has(b.values)) && !has(self.bins[self.bins.size() - 1].upTo)) || (self.bins.filter(b, !has(b.values)).size() == 1 && self.bins.all(b, !has(b.upTo)) && !has(self.bins[self.bins.size() - 1].values))").message("bins have all upTo or all values; only the last may have neither, and takes what is left").field_path(".bins"))]
#[x_kube(validation = Rule::new("self.test != 'KolmogorovSmirnov' || self.bins.all(b, !has(b.values))").message("KolmogorovSmirnov needs bins in order: upTo").field_path(".test"))]
#[x_kube(validation = Rule::new("has(self.reference) ? self.bins.all(b, !has(b.fraction)) : self.bins.all(b, has(b.fraction))").message("every bin has a fraction, or none has, because reference says with what they are compared").field_path(".bins"))]
pub struct DistributionCheck {
    /// The field; nulls don't count. A dot reaches into a struct.
    #[schemars(length(min = 1, max = 256), regex(pattern = FIELD_PATH))]
    pub field: String,
    /// How the two are compared.
    #[serde(default)]
    pub test: DistributionTest,
    /// The greatest figure of the test that passes, as text such as "0.2".
    #[schemars(length(min = 1, max = 19), regex(pattern = SMALL_NUMBER))]
    pub max: String,
    /// The bins, each with the part of the values that belongs there. The parts come to 1. With reference: the bins alone.
    #[schemars(length(min = 2, max = 32))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub bins: Vec<DistributionBin>,
    /// With which earlier windows of the stream it is compared, instead of with fractions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(dive)]
    pub reference: Option<DistributionReference>,
}

/// Earlier windows of the same stream; exactly one of window and lookback.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema, Validate)]
#[serde(rename_all = "camelCase")]
#[garde(allow_unvalidated)]
#[x_kube(validation = Rule::new("has(self.window) != has(self.lookback)").message("reference needs exactly one of window and lookback"))]
pub struct DistributionReference {
    /// One window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<ReferenceWindow>,
    /// All windows of so long a time before. Nothing fails until so long a time was seen. From 10m to 28d, and at least two windows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(custom(borrowed::between(600_000, 28 * 86_400_000))))]
    pub lookback: Option<Duration>,
}

/// Which window a window is compared with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ReferenceWindow {
    /// The newest before it that had values.
    #[default]
    Previous,
}

/// A bin, and how many of the values belong there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.upTo) || !has(self.values)").message("a bin has upTo or values, not both"))]
pub struct DistributionBin {
    /// Values up to this one, and above that of the bin before. Read by the field's type; they ascend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub up_to: Option<String>,
    /// These values. Read by the field's type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 64), inner(length(max = 256)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub values: Vec<String>,
    /// Which part of the values it should have, as text between "0" and "1", such as "0.25". Needed without reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 11), regex(pattern = FRACTION))]
    pub fraction: Option<String>,
}

/// How a window's distribution is compared with the one that should be; `a` is the part of the values that a bin has, `e` that
/// which it should have, or had in the reference, `n` the number of values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum DistributionTest {
    /// The population stability index, the sum of (a - e) * ln(a / e); a bin without values counts as one ten-thousandth. Above 0.2
    /// is commonly taken for a shift.
    #[default]
    Psi,
    /// Pearson's statistic, the sum of n * (a - e)² / e. It grows with n: compare it with a quantile of the chi-squared distribution of
    /// one degree of freedom less than there are bins. With reference it is that of two samples, the sum of
    /// (n' * a - n * a')² / (a + a') / (n * n') over counts a of n and a' of n' in the reference (Press, Numerical Recipes 14.3).
    ChiSquare,
    /// The greatest distance of the two cumulative distributions at the bins' bounds (Kolmogorov and Smirnov's D).
    KolmogorovSmirnov,
}
