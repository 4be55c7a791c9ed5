//! Where records come in. One folder each.

pub mod http;
