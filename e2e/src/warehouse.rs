//! A database of a test's own on pocket's PostgreSQL, and what is in it, seen from outside.

use std::time::{Duration, Instant};

use tokio_postgres::{NoTls, SimpleQueryMessage};

use crate::{Cluster, block_on};

/// The password of every test's database user.
const PASSWORD: &str = "ware-house-7";

/// A database and a user that owns it, both named after the test's namespace.
pub struct Warehouse {
    /// `host:port` of the server, as this machine reaches it.
    address: String,
    superuser: (String, String),
    /// Name of the database and of its user.
    pub name: String,
}

/// Why a statement gave no rows.
enum Failure {
    /// The server didn't take the connection.
    Connect(String),
    /// The server refused the statement, or went away during it.
    Said(String),
}

impl Cluster {
    /// A fresh database; a Secret `warehouse-app` with its user, and a DataStore `warehouse`, which is waited for.
    pub fn warehouse(&self) -> Warehouse {
        let warehouse = self.database();
        self.apply(&data_store("warehouse", &warehouse.name));
        self.ready("datastores.headworks.dev", "warehouse");
        warehouse
    }

    /// A fresh database and a Secret `warehouse-app` with its user.
    pub fn database(&self) -> Warehouse {
        let variable = |name: &str| {
            std::env::var(name).unwrap_or_else(|_| panic!("{name}, from `make -s endpoints`"))
        };
        let password = std::fs::read_to_string(variable("POSTGRES_PASSWORD_FILE"))
            .expect("the superuser's password");
        let warehouse = Warehouse {
            address: variable("POSTGRES"),
            superuser: (variable("POSTGRES_USER"), password),
            name: self.namespace.replace('-', "_"),
        };
        let name = &warehouse.name;
        for sql in [
            format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
            format!("DROP ROLE IF EXISTS {name}"),
            format!("CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'"),
            format!("CREATE DATABASE {name} OWNER {name}"),
        ] {
            warehouse.admin(&sql);
        }
        self.secret(
            "warehouse-app",
            &[("username", name), ("password", PASSWORD)],
        );
        warehouse
    }

    /// Makes or changes a Secret.
    pub fn secret(&self, name: &str, values: &[(&str, &str)]) {
        let data: serde_json::Map<String, serde_json::Value> = values
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).into()))
            .collect();
        let secret = serde_json::json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data});
        self.apply(&secret.to_string());
    }
}

impl Warehouse {
    /// Runs statements in the test's database as its user; gives the rows as text, null as `NULL`.
    pub fn sql(&self, sql: &str) -> Vec<Vec<String>> {
        self.patiently((&self.name, &self.name, PASSWORD), sql)
    }

    /// As [`Warehouse::sql`]; an error (the server is down, the table isn't there) is no answer.
    pub fn ask(&self, sql: &str) -> Option<Vec<Vec<String>>> {
        self.run(&self.name, &self.name, PASSWORD, sql).ok()
    }

    /// Runs a statement as superuser in database `postgres`.
    pub fn admin(&self, sql: &str) -> Vec<Vec<String>> {
        self.patiently(("postgres", &self.superuser.0, &self.superuser.1), sql)
    }

    /// Runs statements once a connection is there: a server that can't be reached for a moment says
    /// nothing about Headworks.
    fn patiently(&self, to: (&str, &str, &str), sql: &str) -> Vec<Vec<String>> {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            match self.run(to.0, to.1, to.2, sql) {
                Ok(rows) => return rows,
                Err(Failure::Connect(_)) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(500));
                }
                Err(Failure::Connect(error) | Failure::Said(error)) => panic!("{sql}: {error}"),
            }
        }
    }

    /// The first value of the first row, as a number.
    pub fn number(&self, sql: &str) -> Option<i64> {
        self.ask(sql)?.first()?.first()?.parse().ok()
    }

    fn run(
        &self,
        database: &str,
        user: &str,
        password: &str,
        sql: &str,
    ) -> Result<Vec<Vec<String>>, Failure> {
        let (host, port) = self.address.split_once(':').expect("host:port");
        let mut config = tokio_postgres::Config::new();
        config
            .host(host)
            .port(port.parse().expect("a port"))
            .dbname(database)
            .user(user)
            .password(password)
            .connect_timeout(Duration::from_secs(5));
        block_on(async {
            let words = |error: tokio_postgres::Error| {
                let cause = std::error::Error::source(&error);
                cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
            };
            let (client, connection) = config
                .connect(NoTls)
                .await
                .map_err(|error| Failure::Connect(words(error)))?;
            let connection = tokio::spawn(connection);
            let messages = client
                .simple_query(sql)
                .await
                .map_err(|error| Failure::Said(words(error)))?;
            drop(client);
            let _ = connection.await;
            Ok(messages
                .into_iter()
                .filter_map(|message| match message {
                    SimpleQueryMessage::Row(row) => Some(
                        (0..row.len())
                            .map(|at| row.get(at).unwrap_or("NULL").to_owned())
                            .collect(),
                    ),
                    _ => None,
                })
                .collect())
        })
    }
}

/// Drops the databases and users of earlier tests, and the full disk's tablespace.
pub(crate) fn forget() {
    let variable = |name: &str| std::env::var(name).ok();
    let (Some(address), Some(user), Some(file)) = (
        variable("POSTGRES"),
        variable("POSTGRES_USER"),
        variable("POSTGRES_PASSWORD_FILE"),
    ) else {
        return;
    };
    let Ok(password) = std::fs::read_to_string(file) else {
        return;
    };
    let server = Warehouse {
        address,
        superuser: (user, password),
        name: String::new(),
    };
    let ours = |sql: &str| -> Vec<String> {
        let rows = server.admin(sql).into_iter();
        rows.filter_map(|row| row.into_iter().next()).collect()
    };
    for name in ours("SELECT datname FROM pg_database WHERE datname LIKE 'e2e\\_%'") {
        server.admin(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
    }
    // A role may have rights in the tablespace; without its database that is all there is of it.
    for space in ours("SELECT spcname FROM pg_tablespace WHERE spcname = 'small'") {
        server.admin(&format!("DROP TABLESPACE IF EXISTS {space}"));
    }
    for name in ours("SELECT rolname FROM pg_roles WHERE rolname LIKE 'e2e\\_%'") {
        server.admin(&format!("DROP ROLE IF EXISTS {name}"));
    }
}

/// A DataStore on pocket's PostgreSQL.
pub fn data_store(name: &str, database: &str) -> String {
    let address = std::env::var("POSTGRES_IN_CLUSTER")
        .unwrap_or_else(|_| "warehouse.postgres.svc:5432".into());
    format!(
        "apiVersion: headworks.dev/v1alpha1\nkind: DataStore\nmetadata: {{name: {name}}}\nspec:\n  postgres: {{url: \"postgres://{address}/{database}\", secret: warehouse-app}}\n"
    )
}

/// A Pipeline over Platform `e2e` that writes a table of DataStore `warehouse`; `extra` is flow-style YAML in the table, such as
/// `, create: true, key: [id]`.
pub fn table_pipeline(name: &str, sql: &str, table: &str, extra: &str) -> String {
    format!(
        "apiVersion: headworks.dev/v1alpha1\nkind: Pipeline\nmetadata: {{name: {name}}}\nspec:\n  platform: e2e\n  sql: |\n    {}\n  to:\n    - table: {{store: warehouse, name: {table}{extra}}}\n",
        sql.replace('\n', "\n    ")
    )
}
