//! A connection: credentials read anew, TLS verified in full, and time-outs on every side, so that a
//! server that hangs is noticed.

use std::time::Duration;

use headworks_engine::log::Reason;
use headworks_plan::PostgresConnection;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::fault::{Fault, Place};
use crate::stores::StoreFault;
use crate::tls;

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// Longest wait for one answer: a little more than the server itself allows a statement.
pub(super) const ANSWER: Duration = Duration::from_secs(15);
/// The server's side of it. A transaction that nobody goes on with (its process was frozen, or its node
/// is gone) ends after longer than any `commitInterval`, so that its locks don't hold up a successor.
const SESSION: &str = "SET statement_timeout = '14s'; SET lock_timeout = '10s'; \
    SET idle_in_transaction_session_timeout = '120s'; \
    SET DateStyle = 'ISO'";
/// Connects; the connection lives on the present runtime.
pub(super) async fn connect(
    place: &Place,
    connection: &PostgresConnection,
) -> Result<Client, StoreFault> {
    let secret = |path: &str, key: &str| {
        read_secret(path).map_err(|why| {
            let said = format!("{why}; the DataStore's Secret must hold a value under {key}");
            place.trouble(Reason::SecretMissing, said)
        })
    };
    let mut config = Config::new();
    config
        .host(&connection.host)
        .port(connection.port)
        .dbname(&connection.database)
        .user(secret(&connection.username_file, "username")?)
        .password(secret(&connection.password_file, "password")?)
        .application_name("headworks")
        .connect_timeout(CONNECT)
        .tcp_user_timeout(ANSWER)
        .keepalives_idle(Duration::from_secs(5))
        .keepalives_interval(Duration::from_secs(5))
        .keepalives_retries(2);
    let doing = "connecting";
    let connecting = async {
        let fault = |error| match place.fault(&error, doing) {
            Fault::Store(trouble) => trouble,
            Fault::Rows { message, .. } => place.trouble(Reason::StoreUnavailable, message),
        };
        let client = if let Some(ca) = &connection.tls_ca_file {
            config.ssl_mode(SslMode::Require);
            let tls =
                tls::client(ca).map_err(|why| place.trouble(Reason::StoreUnavailable, why))?;
            let tls = MakeRustlsConnect::new(tls);
            let (client, driver) = config.connect(tls).await.map_err(fault)?;
            tokio::spawn(driver);
            client
        } else {
            config.ssl_mode(SslMode::Disable);
            let (client, driver) = config.connect(NoTls).await.map_err(fault)?;
            tokio::spawn(driver);
            client
        };
        client.batch_execute(SESSION).await.map_err(fault)?;
        Ok(client)
    };
    tokio::time::timeout(ANSWER, connecting)
        .await
        .unwrap_or_else(|_| Err(place.slow(doing, ANSWER.as_secs())))
}

fn read_secret(path: &str) -> Result<String, String> {
    let text =
        std::fs::read_to_string(path).map_err(|error| format!("cannot read {path}: {error}"))?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err(format!("{path} is empty"));
    }
    Ok(text.to_owned())
}
