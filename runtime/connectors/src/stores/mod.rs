//! Stores. One folder each; which there are is said by the arms of [`StoreRegistry`] and of [`probe`].

use std::pin::Pin;

use headworks_engine::log::Reason;
use headworks_engine::store::{Stores, TableSchema, TableSink};
use headworks_plan::{Store, StoreConnection, TableOutput};

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
    fn sink<'a>(&'a self, table: &'a TableOutput, schema: &'a TableSchema) -> TableSink<'a> {
        match &table.store.connection {
            StoreConnection::Postgres(connection) => TableSink::Transactional(Box::new(|| {
                Box::new(postgres::PostgresStore::new(
                    table.clone(),
                    connection.clone(),
                    schema.clone(),
                ))
            })),
            StoreConnection::File(connection) => TableSink::AtLeastOnce(Box::new(|| {
                Box::new(file::FileWriter::new(table, connection, schema, &self.pod))
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

#[cfg(test)]
mod tests {
    use headworks_engine::store::Guarantee;
    use headworks_plan::{FileConnection, PostgresConnection, Store};
    use headworks_sql::schema::Schema;

    use super::*;

    fn promised(connection: StoreConnection) -> (Guarantee, Guarantee) {
        let promised = connection.guarantee();
        let table = TableOutput {
            store: Store {
                name: "s".into(),
                connection,
            },
            table: "t".into(),
            key: Vec::new(),
            create: true,
            group: "g".into(),
        };
        let schema = TableSchema::new(
            Schema {
                columns: Vec::new(),
            },
            &table.key,
        );
        let registry = StoreRegistry::default();
        (registry.sink(&table, &schema).guarantee(), promised)
    }

    #[test]
    fn a_store_guarantees_what_its_connection_says_in_the_plan() {
        let (kept, said) = promised(StoreConnection::Postgres(PostgresConnection {
            host: "h".into(),
            port: 1,
            database: "d".into(),
            username_file: "u".into(),
            password_file: "p".into(),
            tls_ca_file: None,
        }));
        assert_eq!(kept, said);
        let (kept, said) = promised(StoreConnection::File(FileConnection { folder: "f".into() }));
        assert_eq!(kept, said);
    }
}
