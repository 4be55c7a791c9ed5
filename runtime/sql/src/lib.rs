//! SQL text and stream contracts become a typed dataflow.
//!
//! The dialect is a subset of Flink SQL: one query that projects, filters and unites streams. The
//! pieces, in the order a query passes them: `syntax` (text to tree), `check` (names and types, with
//! Flink's rules), [`dataflow`] (branches over streams), `eval` (vectorised evaluation over Arrow) and
//! [`target`] (does the result fit a stream's contract?).
//!
//! Pure: no files, no network, no clock. The operator uses it to check a query before any pod starts,
//! the engine to run it; both see the same types, the same errors and the same places.

mod catalog;
#[allow(
    clippy::needless_pass_by_value,
    reason = "the functions' rules share one signature"
)]
mod check;
pub mod dataflow;
mod error;
#[allow(clippy::unnecessary_wraps, reason = "kernels share one signature")]
mod eval;
pub mod keyed;
pub mod schema;
pub mod suggest;
mod syntax;
pub mod target;
pub mod types;

pub use catalog::{Catalog, expression, inputs, plan};
pub use check::Overflow;
pub use dataflow::{Branch, ColumnLineage, Condition, Dataflow, Evaluated, Source};
pub use error::{Place, SqlError};
pub use eval::EvaluationError;
