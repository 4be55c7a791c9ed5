//! Files: a table's rows are JSON objects, one a line (NDJSON), appended to a file of the pod's own.
//!
//! The rows of a batch are on the disk (`fsync`) before their place is committed in Kafka, so that each row is there at least once. What
//! was appended and not flushed when a batch is given up is cut off again, and so is half a line that a process left behind when it
//! died; a row is there twice only where it was flushed and its place wasn't committed. Rows are only added: the planner refuses a table
//! with a key, and a query whose rows replace each other.

mod fault;
mod health_probe;
mod lines;
mod writer;

#[cfg(test)]
mod tests;

pub use health_probe::HealthProbe;
pub use writer::FileWriter;
