//! The WebSocket source: a client of a feed, whose messages are records.
//!
//! A message, of text or of bytes, is one JSON object, an array of them, or an envelope with `itemsPath`; what isn't, is a record that
//! breaks the contract. Between the feed and Kafka a record is there at most once or at least once, and never exactly once: a feed
//! says nothing twice, so that what it says while no pod listens (the connection is made again, the pod is rolled, it dies) is lost;
//! what a pod has heard it writes until Kafka acknowledges it, perhaps twice where an acknowledgement was lost.
//!
//! While Kafka is away a pod keeps some messages and then reads no more, so that its memory is bounded; the feed will close the
//! connection sooner or later. It is made again after a pause that grows, with chance in it, so that the clients of a feed that comes
//! back don't come all at once.
//!
//! Rooms: `connect` how the feed is reached; `feed` what comes, and when it is given up; `writer` messages as records in Kafka;
//! `role` the source in its pod.

mod connect;
mod feed;
mod role;
mod writer;

#[cfg(test)]
mod tests;

pub use role::{Websocket, begin};

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;

/// A message of the feed.
struct Message {
    text: Bytes,
    /// Its part of what may be kept.
    _held: OwnedSemaphorePermit,
}
