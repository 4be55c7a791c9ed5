//! Where records come in. One folder each; what they share stands beside them.

pub mod generate;
pub mod http;

mod outgoing;
mod record_validation;
mod records;
