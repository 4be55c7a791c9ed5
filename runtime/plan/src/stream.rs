//! A stream as a pod sees it.

use serde::{Deserialize, Serialize};

use crate::contract::Contract;

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
}
