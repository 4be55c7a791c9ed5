//! Which dead letters are asked for, and what is said of one.

use serde::{Deserialize, Serialize};

/// Which dead letters are looked at. Times are those at which records became dead letters; of one that doesn't say it, Kafka's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetterFilter {
    /// Only with one of these reasons; empty: with any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
    /// Only those that one of these quality rules refused; empty: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
    /// Not before this time (milliseconds since 1970 UTC).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_ms: Option<i64>,
    /// Before this time (milliseconds since 1970 UTC).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<i64>,
}

/// How many dead letters there are of one reason, rule and check.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetterCount {
    /// The reason, as the header has it; empty where there is none.
    pub reason: String,
    /// The quality rule that refused them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The rule's check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<String>,
    /// How many.
    pub count: u64,
    /// When the first of them became one, milliseconds since 1970 UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_ms: Option<i64>,
    /// When the last of them did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_ms: Option<i64>,
}

/// What the headers of a dead letter say: the member `deadLetter` of its line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DeadLetterLine {
    /// When it became one, as it says (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// Why, as a kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why, in words; where fields are masked only words that can't quote one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The quality rule that refused it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Which version of the rule (its `metadata.generation`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule_generation: Option<String>,
    /// The rule's check.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check: Option<String>,
    /// The field that the check is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The pipeline that couldn't use it, `namespace/name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<String>,
    /// The source that couldn't take it, `namespace/name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The Replay that couldn't use it, `namespace/name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replay: Option<String>,
    /// Where it was read; none of one that a source was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<DeadLetterOrigin>,
    /// How many bytes its value had, if the end of it is cut off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub truncated: Option<String>,
}

/// Where a record was read, as the headers say it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DeadLetterOrigin {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: String,
    /// The offset.
    pub offset: String,
}
