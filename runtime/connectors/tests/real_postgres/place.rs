//! A schema of its own on the server, and sessions that write its tables.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use headworks_connectors::stores::StoreRegistry;
use headworks_engine::log::{Position, Reason};
use headworks_engine::store::{Move, Store, StoreError, Stores, TableRows, TableSchema, TableSink};
use headworks_plan::{PostgresConnection, StoreConnection, TableOutput};
use headworks_sql::schema::{Column, Schema};
use headworks_sql::types::DataType;
use tokio::runtime::Runtime;
use tokio_postgres::{Client, NoTls};

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A schema of its own on the server.
pub struct Place {
    pub runtime: Runtime,
    pub client: Client,
    pub connection: PostgresConnection,
    pub schema: String,
    files: Vec<PathBuf>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let drop = format!("DROP SCHEMA {} CASCADE", self.schema);
        let _ = self.runtime.block_on(self.client.batch_execute(&drop));
        for file in &self.files {
            let _ = std::fs::remove_file(file);
        }
    }
}

pub fn place() -> Option<Place> {
    let var = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let (Some(at), Some(user), Some(password)) = (
        var("HEADWORKS_POSTGRES"),
        var("HEADWORKS_POSTGRES_USER"),
        var("HEADWORKS_POSTGRES_PASSWORD"),
    ) else {
        eprintln!(
            "SKIPPED: HEADWORKS_POSTGRES=host:port/database, HEADWORKS_POSTGRES_USER and HEADWORKS_POSTGRES_PASSWORD name no PostgreSQL"
        );
        return None;
    };
    let (address, database) = at.split_once('/').unwrap();
    let (host, port) = address.rsplit_once(':').unwrap();
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let unique = format!("{}_{number}", std::process::id());
    let mut files = Vec::new();
    let mut file = |name: &str, content: &str| {
        let path = std::env::temp_dir().join(format!("headworks-pg-{unique}-{name}"));
        std::fs::write(&path, content).unwrap();
        files.push(path.clone());
        path.to_string_lossy().into_owned()
    };
    let connection = PostgresConnection {
        host: host.to_owned(),
        port: port.parse().unwrap(),
        database: database.to_owned(),
        username_file: file("username", &format!("{user}\n")),
        password_file: file("password", &password),
        tls_ca_file: None,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let mut config = tokio_postgres::Config::new();
    config
        .host(host)
        .port(connection.port)
        .dbname(database)
        .user(&user)
        .password(&password);
    let (client, driver) = runtime.block_on(config.connect(NoTls)).unwrap();
    runtime.spawn(driver);
    let schema = format!("headworks_{unique}");
    runtime
        .block_on(client.batch_execute(&format!("CREATE SCHEMA {schema}")))
        .unwrap();
    Some(Place {
        runtime,
        client,
        connection,
        schema,
        files,
    })
}

impl Place {
    pub fn execute(&self, statement: &str) {
        let statement = statement.replace("SCHEMA_", &self.schema);
        self.runtime
            .block_on(self.client.batch_execute(&statement))
            .unwrap();
    }

    /// The first column of the answer as text.
    pub fn texts(&self, query: &str) -> Vec<Option<String>> {
        let query = query.replace("SCHEMA_", &self.schema);
        let rows = self.runtime.block_on(self.client.query(&query, &[]));
        rows.unwrap().iter().map(|row| row.get(0)).collect()
    }

    pub fn table(&self, name: &str, key: &[&str]) -> TableOutput {
        TableOutput {
            store: headworks_plan::Store {
                name: "warehouse".into(),
                connection: StoreConnection::Postgres(self.connection.clone()),
            },
            table: format!("{}.{name}", self.schema),
            key: key.iter().map(|key| (*key).to_owned()).collect(),
            create: true,
            group: format!("group of {name}"),
        }
    }

    /// Sessions of this table come as another user.
    pub fn log_in(&mut self, table: &mut TableOutput, user: &str, password: &str) {
        let connection = postgres(&mut table.store);
        for (file, content) in [
            (&mut connection.username_file, user),
            (&mut connection.password_file, password),
        ] {
            *file = format!("{file}-{user}");
            std::fs::write(&*file, content).unwrap();
            self.files.push(PathBuf::from(&*file));
        }
    }
}

/// How a store is reached that is PostgreSQL.
#[allow(irrefutable_let_patterns)]
pub fn postgres(store: &mut headworks_plan::Store) -> &mut PostgresConnection {
    let StoreConnection::Postgres(connection) = &mut store.connection else {
        panic!("PostgreSQL")
    };
    connection
}

pub fn columns(columns: &[(&str, DataType)]) -> Schema {
    Schema {
        columns: columns
            .iter()
            .map(|(name, data_type)| Column {
                name: (*name).into(),
                data_type: data_type.clone(),
                nullable: true,
                labels: Vec::new(),
            })
            .collect(),
    }
}

/// A session and the columns of its rows.
pub struct Session {
    pub store: Box<dyn Store>,
    pub columns: Schema,
}

impl Session {
    pub fn open(table: &TableOutput, columns: Schema) -> Session {
        let schema = TableSchema::new(columns.clone(), &table.key);
        let registry = StoreRegistry::default();
        let store = match registry.sink(table, &schema) {
            TableSink::Transactional(open) => open(),
            other => panic!("{:?}", other.guarantee()),
        };
        Session { store, columns }
    }

    pub fn claim(&mut self) -> Result<Option<i64>, StoreError> {
        let found = self.store.claim(&[("in".to_owned(), 0)])?;
        Ok(found[0].map(|position| position.offset))
    }

    pub fn write(&mut self, columns: Vec<ArrayRef>) -> Result<(), StoreError> {
        let batch = RecordBatch::try_new(self.columns.to_arrow(), columns).unwrap();
        let records = (0..batch.num_rows() as u32).collect();
        self.store.write(&TableRows::new(batch, records).unwrap())
    }

    pub fn commit(&mut self, expected: Option<i64>, offset: i64) -> Result<(), StoreError> {
        let position = Position {
            offset,
            ..Position::default()
        };
        self.store.commit(&[Move {
            topic: "in",
            partition: 0,
            expected,
            position,
        }])
    }

    /// Claims, writes and commits.
    pub fn store(&mut self, columns: Vec<ArrayRef>) {
        let at = self.claim().unwrap();
        self.store.begin().unwrap();
        self.write(columns).unwrap();
        self.commit(at, at.unwrap_or(0) + 1).unwrap();
    }
}

pub fn numbers(numbers: &[i64]) -> ArrayRef {
    Arc::new(Int64Array::from(numbers.to_vec()))
}

pub fn words(words: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(words.to_vec()))
}

pub fn held<T: std::fmt::Debug>(answer: Result<T, StoreError>) -> (Reason, String) {
    match answer {
        Err(StoreError::Held { reason, message }) => (reason, message),
        other => panic!("{other:?}"),
    }
}
