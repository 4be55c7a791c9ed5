//! PostgreSQL (12 and later): tables written exactly once.
//!
//! A session checks the table (`table`), then writes each batch by `COPY` under a savepoint (`store`), so
//! that rows which the server refuses for what they hold can be found without giving the others up. Rows
//! travel as `COPY`'s text format (`row`): the server itself reads each value into the column's type, so
//! a column may be wider than the query's. With a key they wait in a table of the session's own, and deletes
//! and upserts go from there into the target (`writing`). Offsets are kept in the table `headworks_offsets` beside the
//! written one (`offsets`), and move in the transaction that holds the rows.
//!
//! `connect` and `fault` are shared with [`HealthProbe`], the pod that only asks whether the server answers.

mod connect;
mod fault;
mod health_probe;
mod holds;
mod offsets;
mod row;
mod store;
mod table;
mod types;
mod writing;

pub use health_probe::HealthProbe;
pub use row::RowEncoder;
pub use store::PostgresStore;

/// A name as SQL takes it, whatever is in it.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
