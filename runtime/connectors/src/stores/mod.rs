//! Stores. One folder each.

use headworks_engine::format::{Encoder, FormatError};
use headworks_engine::log::Reason;
use headworks_engine::store::{Stores, TableSink};
use headworks_plan::{StoreConnection, TableOutput};
use headworks_sql::schema::Schema;

pub mod postgres;

/// Every kind of store that this binary knows, chosen by the plan's connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct StoreRegistry;

impl Stores for StoreRegistry {
    fn encoder(
        &self,
        table: &TableOutput,
        columns: &Schema,
    ) -> Result<Box<dyn Encoder>, FormatError> {
        match table.store.connection {
            StoreConnection::Postgres(_) => Ok(Box::new(postgres::RowEncoder::new(columns))),
        }
    }

    fn sink<'a>(&'a self, table: &'a TableOutput, columns: &'a Schema) -> TableSink<'a> {
        match &table.store.connection {
            StoreConnection::Postgres(connection) => TableSink::Transactional(Box::new(|| {
                Box::new(postgres::PostgresStore::new(
                    table.clone(),
                    connection.clone(),
                    columns.clone(),
                ))
            })),
        }
    }
}

/// Why a store can't be worked with just now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreFault {
    /// Which kind of problem.
    pub reason: Reason,
    /// What, where, and what to do.
    pub message: String,
}
