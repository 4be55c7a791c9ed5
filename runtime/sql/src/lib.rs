//! SQL text and stream contracts become a typed dataflow.
//!
//! The dialect is a subset of Flink SQL: one query that projects, filters and unites streams. The
//! pieces, in the order a query passes them: `syntax` (text to tree), `analyze` (names and types, with
//! Flink's rules), `planner` (the [`dataflow`]: branches over streams, and what state does with their rows),
//! `eval` (vectorised evaluation over Arrow) and [`target`] (does the result fit a stream's contract?).
//!
//! Pure: no files, no network, no clock. The operator uses it to check a query before any pod starts,
//! the engine to run it; both see the same types, the same errors and the same places.

#[allow(
    clippy::needless_pass_by_value,
    reason = "the functions' rules share one signature"
)]
mod analyze;
mod branch;
mod catalog;
pub mod dataflow;
mod error;
#[allow(clippy::unnecessary_wraps, reason = "kernels share one signature")]
mod eval;
pub mod join;
pub mod keyed;
mod planner;
pub mod schema;
mod stack;
pub mod suggest;
mod syntax;
pub mod target;
pub mod types;

pub use branch::{Branch, Condition, Evaluated, Reads};
pub use catalog::{Catalog, Overflow};
pub use dataflow::{ColumnLineage, Dataflow, Source};
pub use error::{Place, SqlError};
pub use eval::EvaluationError;
pub use planner::{expression, inputs, parse_condition, plan};
