//! A connection that only asks whether the server answers.

use headworks_engine::log::Reason;
use headworks_plan::PostgresConnection;
use tokio_postgres::Client;

use super::connect::{ANSWER, connect};
use super::fault::{Fault, Place};
use crate::stores::{self, Checking, StoreFault};

/// Watches a server by one connection, made anew when it is lost.
#[derive(Debug)]
pub struct HealthProbe {
    store: String,
    connection: PostgresConnection,
    client: Option<Client>,
}

impl HealthProbe {
    /// A watch that isn't connected yet.
    pub fn new(store: &str, connection: PostgresConnection) -> HealthProbe {
        HealthProbe {
            store: store.to_owned(),
            connection,
            client: None,
        }
    }

    /// The server's version, such as `16.4`.
    ///
    /// # Errors
    /// Why it can't be had; the next call connects anew.
    async fn version(&mut self) -> Result<String, StoreFault> {
        let place = Place::new(&self.store, &self.connection);
        let client = match self.client.take() {
            Some(client) if !client.is_closed() => client,
            _ => connect(&place, &self.connection).await?,
        };
        let doing = "asking for the version";
        let asking = client.query_one("SHOW server_version", &[]);
        let row = tokio::time::timeout(ANSWER, asking)
            .await
            .map_err(|_| place.slow(doing, ANSWER.as_secs()))?
            .map_err(|error| match place.fault(&error, doing) {
                Fault::Store(trouble) => trouble,
                Fault::Rows { message, .. } => place.trouble(Reason::StoreUnavailable, message),
            })?;
        self.client = Some(client);
        let version: String = row.get(0);
        // Distributions add their own words: "15.18 (Debian 15.18-0+deb12u1)".
        Ok(version.split(' ').next().unwrap_or_default().to_owned())
    }
}

impl stores::HealthProbe for HealthProbe {
    fn check(&mut self) -> Checking<'_> {
        Box::pin(async { self.version().await.map(Some) })
    }
}
