//! A store as a pod sees it, and what its pod watches.

use serde::{Deserialize, Serialize};

use crate::words;

words! {
    /// What only kinds of stores say; what the engine itself says of any store is a [`Reason`](crate::Reason). Each needs a person.
    pub enum StoreReason {
        /// The store refused the user name or password.
        StoreCredentialsRefused,
        /// The store's user may not do what is needed.
        StorePermissionDenied,
        /// The table isn't there, and isn't to be made.
        TableNotFound,
        /// The table doesn't take the query's columns.
        TableMismatch,
    }
}

/// What a store's pod watches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StorePlan {
    /// The store.
    pub store: Store,
}

/// A store as a pod sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Store {
    /// Name of the DataStore.
    pub name: String,
    /// How to reach it.
    pub connection: StoreConnection,
}

/// How a pod reaches a store, by the kind of store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StoreConnection {
    /// PostgreSQL.
    Postgres(PostgresConnection),
    /// Files on a volume.
    File(FileConnection),
}

impl StoreConnection {
    /// What a store of this kind guarantees.
    pub fn guarantee(&self) -> Guarantee {
        match self {
            StoreConnection::Postgres(_) => Guarantee::Transactional,
            StoreConnection::File(_) => Guarantee::AtLeastOnce,
        }
    }
}

/// What becomes of a table's rows that are written again after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guarantee {
    /// Rows and the place they were read up to are one transaction of the store: each record's rows are there once.
    Transactional,
    /// A row replaces the one of its key, so that written again it changes nothing.
    IdempotentUpsert,
    /// They are there again. Rows are only added: none replaces another.
    AtLeastOnce,
}

impl Guarantee {
    /// The word that a status shows.
    pub fn as_str(self) -> &'static str {
        match self {
            Guarantee::Transactional => "Transactional",
            Guarantee::IdempotentUpsert => "IdempotentUpsert",
            Guarantee::AtLeastOnce => "AtLeastOnce",
        }
    }
}

/// How a pod reaches a PostgreSQL database. Secrets are files, never values, and are read at each connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PostgresConnection {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Database.
    pub database: String,
    /// File with the user name.
    pub username_file: String,
    /// File with the password.
    pub password_file: String,
    /// Present: TLS, verified in full against this CA file (PEM); an empty path means the system's roots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_ca_file: Option<String>,
}

/// Where a pod finds the files of a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FileConnection {
    /// Folder that tables' files are written to; it is made if it isn't there.
    pub folder: String,
}
