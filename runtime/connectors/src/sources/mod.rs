//! Where records come in. One folder each; what they share stands beside them.

pub mod generate;
pub mod http;

mod intake;
mod outgoing;
mod records;
