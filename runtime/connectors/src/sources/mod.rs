//! Where records come in. One folder each; what they share stands beside them.

pub mod http;

mod intake;
mod outgoing;
