//! PostgreSQL.

use headworks_crds::{DataStoreSpec, PostgresStore};
use headworks_plan::{PostgresConnection, StoreConnection};

use super::{Connected, StoreConnector, StoreKind, TableRules, volume_name};
use crate::{
    mounts::{NeededSecret, projected},
    reason::connector_reasons,
    security::Open,
};

pub(super) const KIND: StoreKind = StoreKind {
    field: "postgres",
    reasons: REASONS,
    tables: TableRules {
        called: "PostgreSQL",
        // Longer names are cut off, in silence.
        max_column_bytes: Some(63),
        own_columns: &["tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"],
        default_schema: Some("public"),
    },
    of,
};

connector_reasons! {
    /// What is open.
    enum PostgresReason {
        /// No TLS.
        StoreWithoutTls,
    }
}

fn of(spec: &DataStoreSpec) -> Option<&dyn StoreConnector> {
    spec.postgres.as_ref().map(|it| it as &dyn StoreConnector)
}

/// PostgreSQL's own port.
const PORT: u16 = 5432;

/// Host, port and database.
#[derive(Debug)]
struct Address {
    /// Host name or IPv4 address.
    host: String,
    port: u16,
    database: String,
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}/{}", self.host, self.port, self.database)
    }
}

fn address(store: &PostgresStore) -> Result<Address, String> {
    parse(&store.url).map_err(|what| format!("spec.postgres.url: {what}"))
}

impl StoreConnector for PostgresStore {
    fn address(&self) -> Result<String, String> {
        address(self).map(|address| address.to_string())
    }

    fn connect(&self, name: &str, folder: &str) -> Result<Connected, String> {
        let address = address(self)?;
        let ca = self.tls.as_ref().and_then(|tls| tls.ca_secret.as_ref());
        let credentials: &[(&str, &str)] = &[("username", "username"), ("password", "password")];
        let mut secrets = vec![NeededSecret {
            name: self.secret.clone(),
            keys: vec!["username".into(), "password".into()],
            purpose: format!("the user of DataStore {name}, from its spec.postgres.secret").into(),
        }];
        let key_of_ca = ca.map(|ca| [(ca.key.as_str(), "ca.crt")]);
        let mut sources = vec![(self.secret.as_str(), credentials)];
        if let (Some(ca), Some(key)) = (ca, &key_of_ca) {
            sources.push((&ca.name, key));
            secrets.push(NeededSecret {
                name: ca.name.clone(),
                keys: vec![ca.key.clone()],
                purpose: format!("the CA of DataStore {name}, from its spec.postgres.tls.caSecret")
                    .into(),
            });
        }
        Ok(Connected {
            connection: StoreConnection::Postgres(PostgresConnection {
                host: address.host,
                port: address.port,
                database: address.database,
                username_file: format!("{folder}/username"),
                password_file: format!("{folder}/password"),
                tls_ca_file: (self.tls.as_ref())
                    .map(|_| ca.map_or_else(String::new, |_| format!("{folder}/ca.crt"))),
            }),
            mounted: projected(&volume_name(name), folder, &sources),
            secrets,
        })
    }

    /// Password and rows, which anybody on the way can read.
    fn open(&self) -> Option<Open> {
        self.tls.is_none().then(|| {
            (
                PostgresReason::StoreWithoutTls.into(),
                "spec.postgres.tls is absent: the login and the rows can be read on the way, and nobody checks that the server is the right one; set tls: {} or tls.caSecret".to_owned(),
            )
        })
    }

    fn answers(&self, address: &str) -> String {
        format!("PostgreSQL answers at {address}")
    }
}

/// Takes `postgres://host:port/database` apart.
fn parse(url: &str) -> Result<Address, String> {
    let form = "write it as postgres://host:port/database";
    let Some(rest) = url
        .strip_prefix("postgres://")
        .or_else(|| url.strip_prefix("postgresql://"))
    else {
        return Err(format!("it doesn't begin with postgres://: {form}"));
    };
    // Not repeated in the message: a password may stand in it.
    if rest.contains('@') {
        return Err(format!(
            "user and password don't belong here but in the Secret: {form}"
        ));
    }
    let (place, database) = rest
        .split_once('/')
        .filter(|(place, database)| !place.is_empty() && !database.is_empty())
        .ok_or_else(|| format!("host or database is missing: {form}"))?;
    let (host, port) = match place.split_once(':') {
        None => (place, PORT),
        Some((host, text)) => match text.parse::<u16>() {
            Ok(port) if port > 0 => (host, port),
            _ => {
                return Err(format!(
                    "port {text} is out of range: choose between 1 and 65535"
                ));
            }
        },
    };
    Ok(Address {
        host: host.to_owned(),
        port,
        database: database.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        for (url, address) in [
            (
                "postgres://warehouse.shop.svc:5433/shop",
                "warehouse.shop.svc:5433/shop",
            ),
            ("postgresql://10.0.0.7/shop", "10.0.0.7:5432/shop"),
        ] {
            assert_eq!(parse(url).unwrap().to_string(), address);
        }
    }

    #[test]
    fn what_is_wrong_with_a_url_is_said_and_a_password_is_not_repeated() {
        for (url, word) in [
            ("postgres://w:65536/shop", "port 65536 is out of range"),
            ("postgres://w:0/shop", "port 0 is out of range"),
            ("mysql://w/shop", "postgres://"),
            ("postgres://w", "missing"),
            ("postgres://u:hidden@w/shop", "Secret"),
        ] {
            let error = parse(url).unwrap_err();
            assert!(error.contains(word) && !error.contains("hidden"), "{error}");
        }
    }

    #[test]
    fn a_connection_that_is_not_encrypted_is_said_to_be_open() {
        let open = |tls: serde_json::Value| {
            let spec = serde_json::json!({"url": "postgres://a/b", "secret": "s", "tls": tls});
            let store: PostgresStore = serde_json::from_value(spec).unwrap();
            store.open().map(|(reason, message)| {
                assert!(message.contains("spec."), "{message}");
                reason.to_string()
            })
        };
        assert_eq!(
            open(serde_json::json!(null)).as_deref(),
            Some("StoreWithoutTls")
        );
        assert_eq!(open(serde_json::json!({})), None);
    }
}
