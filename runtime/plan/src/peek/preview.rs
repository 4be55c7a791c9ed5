//! What a Replay would do.

use serde::{Deserialize, Serialize};

use crate::RuleFigures;

/// What a Replay would do with its part of a topic, as that is now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ReplayPreview {
    /// Records that were read.
    pub read: u64,
    /// False: time was over before all were read.
    pub complete: bool,
    /// Records that are selected by their headers.
    pub selected: u64,
    /// Dead letters that would be selected and can't be replayed, since their end was cut off.
    pub truncated: u64,
    /// When the first of the selected became what it is, milliseconds since 1970 UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_ms: Option<i64>,
    /// When the last of them did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_ms: Option<i64>,
    /// The selected dead letters by reason, rule, check and who wrote them, the most frequent first.
    pub kinds: Vec<PreviewKind>,
    /// Selected dead letters of yet other kinds.
    pub others: u64,
    /// Records that something would be written of.
    pub written: u64,
    /// Records of which nothing would be: the query leaves them out, or a rule drops them.
    pub left_out: u64,
    /// Records that would be dead letters again, by why, the most frequent first.
    pub refused: Vec<PreviewRefusal>,
    /// What the rules of what is read count.
    pub rules: Vec<RuleFigures>,
}

/// Selected dead letters of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PreviewKind {
    /// The reason, as the header has it; empty where there is none.
    pub reason: String,
    /// The quality rule that refused them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The rule's check.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check: Option<String>,
    /// Who wrote them, `namespace/name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// How many.
    pub count: u64,
}

/// Records that would be dead letters again for one reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PreviewRefusal {
    /// The reason.
    pub reason: String,
    /// The quality rule that refuses them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The rule's check.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check: Option<String>,
    /// How many.
    pub count: u64,
    /// The first of them, as `PARTITION:OFFSET` of the topic that is read.
    pub at: String,
    /// Why, of the first; absent where the words may quote a masked field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}
