//! What a Pipeline's query comes to: its text, whether its targets take its columns, what it reads and writes, which labels
//! its result brings, who else writes there, what its earlier queries wrote, and which version of it is in
//! force.
//!
//! Pure: it knows neither the API server nor Kafka, so admission, the reconcile, the blast radius and the command line ask the same.

pub mod canary;
pub mod check;
pub mod flows;
pub mod lineage;
pub mod query;
pub mod rules;
pub mod shared;
pub mod stages;
pub mod store_writers;
pub mod targets;
#[cfg(test)]
pub(crate) mod testing;
pub mod uses;
pub mod versions;
