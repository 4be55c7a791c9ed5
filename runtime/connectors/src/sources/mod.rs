//! Where records come in. One folder each, [`KINDS`] lists them; what they share stands beside them.

pub mod generate;
pub mod http;
pub mod kafka;
pub mod websocket;

mod batch;
mod cut;
mod judged;
mod problems;
mod record_validation;
mod records;
mod running;
mod tally;

pub use running::{Begin, Running, SourceError, Start, Stop};

/// Every kind of source that this binary has.
pub const KINDS: &[Begin] = &[http::begin, generate::begin, websocket::begin];
