//! Where a source's records come from, by the kind of source, and the words that only a kind of source says.

use serde::{Deserialize, Serialize};

use crate::words;

words! {
    /// What only the pods of a kind of source report.
    pub enum SourceReason {
        /// `generate`: the template doesn't fit the stream.
        TemplateMismatch,
        /// `websocket`: the feed can't be reached, falls silent or ends the connection.
        FeedUnavailable,
        /// `websocket`: the feed's server answers that it won't.
        FeedRefused,
    }
}

impl SourceReason {
    /// True: nothing but a person's act lets the work go on.
    pub(crate) fn needs_person(self) -> bool {
        self != SourceReason::FeedUnavailable
    }
}

/// Where a source's records come from, by the kind of source: in JSON a field of the [`SourcePlan`] itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SourceConnection {
    /// They come by HTTP.
    Http(HttpSource),
    /// They are generated.
    Generate(GenerateSource),
    /// A WebSocket brings them.
    Websocket(WebsocketSource),
}

impl SourceConnection {
    /// The consumer group under which the source keeps its place, which is its transactional id, too; `None`: it keeps none.
    pub fn group(&self) -> Option<&str> {
        match self {
            SourceConnection::Http(_) | SourceConnection::Websocket(_) => None,
            SourceConnection::Generate(generate) => Some(&generate.group),
        }
    }
}

/// The HTTP side of a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpSource {
    /// Path that records are posted to.
    pub path: String,
    /// True: a request needs `Authorization: Bearer` with one of the tokens in [`crate::BEARER_DIR`].
    pub bearer: bool,
    /// True: serve TLS with the certificate in [`crate::HTTP_TLS_DIR`].
    pub tls: bool,
    /// Largest request body in bytes.
    pub max_body_bytes: u64,
    /// Largest rate for the pod, in records a second; above it the answer is 429 with Retry-After.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records_per_second: Option<u64>,
    /// Dotted path of the array in an envelope (`items`); absent: the body is the record(s).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items_path: Option<String>,
}

/// The generator of a source: a seeded sequence of records, each number of it written once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GenerateSource {
    /// Rate in records a second.
    pub records_per_second: u64,
    /// Equal seeds make equal records.
    pub seed: u64,
    /// What the records are like; absent: random values of the contract's types.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<Template>,
    /// How many in a hundred records are late.
    #[serde(default)]
    pub disorder_percent: u8,
    /// By how much a late record is late at most, in milliseconds.
    #[serde(default)]
    pub disorder_by_ms: u64,
    /// How many in a hundred records break the contract.
    #[serde(default)]
    pub faulty_percent: u8,
    /// After how many records the sequence ends; absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// The consumer group under which the place in the sequence is kept, in the transaction that holds the
    /// records: a restart goes on where it stopped.
    pub group: String,
}

/// The feed that a source listens to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WebsocketSource {
    /// Where it is: `ws://…` or `wss://…`.
    pub url: String,
    /// A text that is sent once connected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscribe: Option<String>,
    /// Headers of the request that opens it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<HeaderFile>,
    /// Present: the server's certificate is verified against this CA file (PEM). Absent: against the system's roots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<String>,
    /// Dotted path of the array in a message; absent: the message is the record(s).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items_path: Option<String>,
    /// Largest message in bytes.
    pub max_message_bytes: u64,
    /// The connection is given up after so many milliseconds without a message or an answer to a ping.
    pub idle_timeout_ms: u64,
}

/// A header whose value stands in a file, which is read at each connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeaderFile {
    /// Its name.
    pub name: String,
    /// The file.
    pub file: String,
}

/// What generated records are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Template {
    /// A shop, whose users look at things, order some, and say how they liked them.
    Shop(ShopRecords),
}

/// Which of the shop's records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
