//! What the pod runs that compares two versions of a query, and what it found.

use serde::{Deserialize, Serialize};

use crate::pipeline::PipelinePlan;
use crate::rule::RuleFigures;
use crate::stream::Stream;

/// What a pod compares: what two versions of a query make of the same records, once.
///
/// Both are run in memory over the records that came to their inputs within a time, in one order; nothing is written. So what is
/// compared doesn't depend on how far, or how fast, the pods of either version are, nor on who else writes to their targets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ComparePlan {
    /// Which comparison: comes back in [`ComparisonFigures::id`].
    pub id: String,
    /// The version in force. Its one output is the query's own columns.
    pub old: PipelinePlan,
    /// The version that may follow it. Its one output is the query's own columns.
    pub new: PipelinePlan,
    /// Records with this Kafka timestamp or a later one (milliseconds since 1970 UTC), from the first of them on.
    pub from_ms: i64,
    /// The records before the first that has this timestamp or a later one.
    pub until_ms: i64,
    /// Columns that tell rows from each other, together; empty: keys aren't compared.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
    /// Columns whose sums are compared.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sums: Vec<String>,
    /// What the new version wrote while it ran, with the rules that judge it. Absent: no rule does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<Stream>,
}

/// A number of the old version's, and the new one's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Both {
    /// The old version's.
    pub old: u64,
    /// The new version's.
    pub new: u64,
}

/// What a comparison found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ComparisonFigures {
    /// Of which comparison: [`ComparePlan::id`].
    pub id: String,
    /// True: it is done, and what stands here is final.
    pub complete: bool,
    /// Records that both were given.
    pub records: u64,
    /// True: more came than are compared.
    #[serde(default)]
    pub partial: bool,
    /// Rows that came of them.
    pub rows: Both,
    /// Records, or results, that became dead letters.
    pub dead_letters: Both,
    /// Keys, where they are compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<KeysCompared>,
    /// Sums, in the order of [`ComparePlan::sums`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sums: Vec<SumsCompared>,
    /// What rules said of the new version's results.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleFigures>,
}

/// How the keys differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeysCompared {
    /// Keys of the old version's rows.
    pub old: u64,
    /// Keys of the old version's rows that the new one's haven't.
    pub missing: u64,
    /// Keys of the new version's rows that the old one's haven't.
    pub extra: u64,
    /// One key in so many was looked at, the same ones of both, by their hashes. 1: all.
    pub one_in: u64,
}

/// What a column adds up to. Sums of whole numbers and decimals are exact; one of floats has an exponent, as `1.25e3`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SumsCompared {
    /// The column.
    pub column: String,
    /// In the old version's rows.
    pub old: String,
    /// In the new version's rows.
    pub new: String,
}
