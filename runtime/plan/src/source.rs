//! What a source's pod runs.

use serde::{Deserialize, Serialize};

use crate::source_connection::SourceConnection;
use crate::stream::Stream;

/// What a source pod runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourcePlan {
    /// The stream that records go into.
    pub into: Stream,
    /// Where they come from.
    #[serde(flatten)]
    pub connection: SourceConnection,
    /// What happens to a record that breaks the contract.
    pub on_invalid: OnInvalid,
    /// What happens to a field that the contract doesn't know.
    pub unknown_fields: UnknownFields,
}

impl SourcePlan {
    /// A source that refuses what breaks the contract, and ignores what the contract doesn't know.
    pub fn new(into: Stream, connection: SourceConnection) -> SourcePlan {
        SourcePlan {
            into,
            connection,
            on_invalid: OnInvalid::default(),
            unknown_fields: UnknownFields::default(),
        }
    }
}

/// What happens to a record that breaks the contract at a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnInvalid {
    /// The whole request is refused; the answer lists the indexes.
    #[default]
    Reject,
    /// The good records go in, the bad ones to the dead-letter topic.
    DeadLetter,
}

/// What happens to a field that the contract doesn't know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum UnknownFields {
    /// It is not carried into the stream.
    #[default]
    Ignore,
    /// The record breaks the contract.
    Reject,
}
