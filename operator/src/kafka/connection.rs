//! How to reach a Kafka cluster, and librdkafka's configuration for it.

use std::fmt;

use rdkafka::{ClientConfig, config::RDKafkaLogLevel};

/// How to reach a Kafka cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Connection {
    /// `host:port[,host:port]`.
    pub bootstrap_servers: String,
    /// Present: TLS.
    pub tls: Option<Tls>,
    /// Present: SASL/SCRAM-SHA-512.
    pub scram: Option<Scram>,
}

/// Whom to trust as a broker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tls {
    /// A CA in PEM. Absent: the system's public roots.
    pub ca_pem: Option<String>,
}

/// A Kafka user. Its `Debug` shows no password.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Scram {
    /// User name.
    pub username: String,
    /// Password.
    pub password: String,
}

impl fmt::Debug for Scram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scram")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

impl Connection {
    pub(super) fn client_config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        let protocol = match (&self.tls, &self.scram) {
            (None, None) => "plaintext",
            (Some(_), None) => "ssl",
            (None, Some(_)) => "sasl_plaintext",
            (Some(_), Some(_)) => "sasl_ssl",
        };
        config
            .set("bootstrap.servers", &self.bootstrap_servers)
            .set("client.id", "headworks-operator")
            .set("security.protocol", protocol)
            // An operator that waits 30 s for one dead broker keeps others waiting.
            .set("socket.connection.setup.timeout.ms", "5000")
            .set("reconnect.backoff.max.ms", "2000")
            .set("socket.keepalive.enable", "true")
            // Brokers close idle connections; that is no news.
            .set("log.connection.close", "false")
            .set_log_level(RDKafkaLogLevel::Warning);
        if let Some(pem) = self.tls.as_ref().and_then(|tls| tls.ca_pem.as_ref()) {
            config.set("ssl.ca.pem", pem);
        }
        if let Some(credentials) = &self.scram {
            config
                .set("sasl.mechanism", "SCRAM-SHA-512")
                .set("sasl.username", &credentials.username)
                .set("sasl.password", &credentials.password);
        }
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(tls: bool, scram: bool) -> Connection {
        Connection {
            bootstrap_servers: "k:9092".into(),
            tls: tls.then(Tls::default),
            scram: scram.then(|| Scram {
                username: "ann".into(),
                password: "hush".into(),
            }),
        }
    }

    #[test]
    fn no_password_is_in_the_debug_text() {
        let connection = connection(true, true);
        let text = format!("{connection:?} {:?}", connection.client_config());
        assert!(text.contains("ann") && !text.contains("hush"), "{text}");
    }

    #[test]
    fn the_protocol_follows_from_what_is_given() {
        let protocol = |tls, scram| {
            connection(tls, scram)
                .client_config()
                .get("security.protocol")
                .map(str::to_owned)
        };
        assert_eq!(protocol(false, false).as_deref(), Some("plaintext"));
        assert_eq!(protocol(true, false).as_deref(), Some("ssl"));
        assert_eq!(protocol(false, true).as_deref(), Some("sasl_plaintext"));
        assert_eq!(protocol(true, true).as_deref(), Some("sasl_ssl"));
    }
}
