//! Stores. One folder each; which there are is said by the arms of [`StoreRegistry`] and of [`probe`].

use std::pin::Pin;

use headworks_engine::format::{Encoder, FormatError};
use headworks_engine::log::Reason;
use headworks_engine::store::{Stores, TableSink};
use headworks_plan::{Store, StoreConnection, TableOutput};
use headworks_sql::schema::Schema;

pub mod file;
pub mod postgres;

/// Every kind of store that this binary knows, chosen by the plan's connection.
#[derive(Clone, Debug, Default)]
pub struct StoreRegistry {
    pod: String,
}

impl StoreRegistry {
    /// In the pod of that name: what pods write apart from each other, they write under it.
    pub fn of_pod(pod: String) -> StoreRegistry {
        StoreRegistry { pod }
    }

    /// The pod's name.
    pub fn pod(&self) -> &str {
        &self.pod
    }
}

/// Asks at intervals whether a store answers.
pub trait HealthProbe: Send {
    /// The server's version, such as `16.4`, if it has one.
    fn check(&mut self) -> Checking<'_>;
}

/// The answer of a store, or why there is none; the next call begins anew.
pub type Checking<'a> =
    Pin<Box<dyn Future<Output = Result<Option<String>, StoreFault>> + Send + 'a>>;

/// What asks a store whether it answers.
pub fn probe(store: &Store) -> Box<dyn HealthProbe> {
    match &store.connection {
        StoreConnection::Postgres(connection) => {
            Box::new(postgres::HealthProbe::new(&store.name, connection.clone()))
        }
        StoreConnection::File(connection) => {
            Box::new(file::HealthProbe::new(&store.name, connection))
        }
    }
}

impl Stores for StoreRegistry {
    fn encoder(
        &self,
        table: &TableOutput,
        columns: &Schema,
    ) -> Result<Box<dyn Encoder>, FormatError> {
        match table.store.connection {
            StoreConnection::Postgres(_) => Ok(Box::new(postgres::RowEncoder::new(columns))),
            StoreConnection::File(_) => Ok(Box::new(file::LineEncoder::new(columns))),
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
            StoreConnection::File(connection) => TableSink::AtLeastOnce(Box::new(|| {
                Box::new(file::FileWriter::new(table, connection, &self.pod))
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
