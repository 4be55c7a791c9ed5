//! SQL text and stream contracts become a typed dataflow.
//!
//! Pure: no files, no network, no clock. The operator uses it to check a query before any pod starts,
//! the engine to run it; both see the same types, the same errors and the same places.

pub mod schema;
mod suggest;
pub mod types;
