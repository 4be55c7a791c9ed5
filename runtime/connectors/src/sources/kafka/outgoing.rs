//! A record on its way from a source to Kafka.

use bytes::Bytes;

/// One record on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Which topic.
    pub target: Target,
    /// Kafka key.
    pub key: Option<Bytes>,
    /// Kafka value.
    pub value: Bytes,
    /// Kafka headers.
    pub headers: Vec<(&'static str, String)>,
}

/// Which topic a record goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The stream's.
    Stream,
    /// The stream's dead letters.
    DeadLetters,
}
