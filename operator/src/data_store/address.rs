//! Where a store is: a URL of the spec in its parts. Pure: the command line asks the same.

use headworks_crds::DataStoreSpec;

use crate::retry::Error;

/// PostgreSQL's own port.
const POSTGRES_PORT: u16 = 5432;

/// Host, port and database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Host name or IPv4 address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Database.
    pub database: String,
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}/{}", self.host, self.port, self.database)
    }
}

/// Where the spec's store is.
///
/// # Errors
/// `InvalidSpec`: the spec has no store, or a URL that can't be used.
pub fn check(spec: &DataStoreSpec) -> Result<Address, Error> {
    let Some(postgres) = &spec.postgres else {
        return Err(Error::stalled(
            "InvalidSpec",
            "spec: a DataStore needs exactly one kind of store: postgres",
        ));
    };
    parse(&postgres.url)
        .map_err(|what| Error::stalled("InvalidSpec", format!("spec.postgres.url: {what}")))
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
        None => (place, POSTGRES_PORT),
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
}
