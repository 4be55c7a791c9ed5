//! The HTTP source: records posted as JSON, checked against the stream's contract, written to Kafka.
//!
//! A request is one record (`{…}`), several (`[…]`, or an envelope with `itemsPath`), or NDJSON, a
//! record a line. What is answered:
//!
//! | answer | when |
//! |---|---|
//! | 202 `{"accepted":n,"deadLettered":m}` | Kafka has acknowledged every record (`acks=all`), the bad ones in the dead-letter topic under `onInvalid: DeadLetter`. An empty array, `null` under `itemsPath` or an empty NDJSON body is zero records: 202 |
//! | 400 | the body isn't JSON or isn't whole gzip, or `itemsPath` isn't in it; under `onInvalid: Reject` also where any record breaks the contract: nothing was written, and `records` names the first 20 by index, field and message |
//! | 401 | no bearer token, or one that isn't known |
//! | 404, 405 | another path, another method |
//! | 408 | the body came too slowly: not within 30 s, or after 5 s not at 1 KiB a second |
//! | 413 | the body is above `maxBodyBytes` (gzip counts as what it inflates to), holds too many records, or has a bad record too large for the dead-letter topic; nothing was written |
//! | 415 | a media type or a content encoding that isn't taken; `Accept-Encoding` says which is |
//! | 429 | above `recordsPerSecond`; `Retry-After` says when |
//! | 503 | too much at once, Kafka out of reach, a Secret missing, or shutting down; `Retry-After` says when. If `acknowledged` is above 0 some records are in the topic, and a retry writes them again |
//!
//! A retry is always safe for completeness and never for uniqueness: HTTP has no transaction, so a
//! client that hears no answer can't know. Give records an id and deduplicate by it downstream.
//!
//! Rooms: [`config`](Config) what the plan says; `request` a body as records; `work` and `sources/record_validation` records
//! against the contract; [`Service`] the answers; [`Sink`](crate::sources::kafka::Sink) the seam to Kafka. Who may ask, how much, and
//! how a body comes in is the [`server`](crate::server)'s, which any listener of a pod stands on.

mod answer;
mod config;
mod metrics;
mod request;
mod role;
mod service;
mod work;

#[cfg(test)]
mod tests;

pub use config::{Config, ConfigError};
pub use metrics::Metrics;
pub use role::begin;
pub use service::{Service, listen};
