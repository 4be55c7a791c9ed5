//! A stream as a pod sees it.

use serde::{Deserialize, Serialize};

use crate::contract::Contract;
use crate::rule::Rule;

/// A stream as a pod sees it: its topic, its dead-letter topic and the accepted contract.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stream {
    /// Name that SQL uses.
    pub name: String,
    /// Kafka topic.
    pub topic: String,
    /// Topic for records that break the contract.
    pub dead_letter_topic: String,
    /// The accepted contract.
    pub contract: Contract,
    /// The topic's `max.message.bytes`; a larger record goes to the dead letters before it is sent.
    pub max_message_bytes: u64,
    /// Quality rules that every pod which takes records of this stream judges them by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Rule>,
}

impl Stream {
    /// True if records of it may become dead letters by a rule, whatever a Pipeline or Source does with those that can't be
    /// used.
    pub fn quarantines(&self) -> bool {
        self.rules.iter().any(Rule::quarantines)
    }
}
