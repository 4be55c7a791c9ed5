//! Stores. One folder each.

use headworks_engine::log::Reason;
use headworks_engine::store::{Stores, TableSchema, TableSink};
use headworks_plan::{StoreConnection, TableOutput};

pub mod postgres;

/// Every kind of store that this binary knows, chosen by the plan's connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct StoreRegistry;

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
    use headworks_plan::{PostgresConnection, Store};
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
        (StoreRegistry.sink(&table, &schema).guarantee(), promised)
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
    }
}
