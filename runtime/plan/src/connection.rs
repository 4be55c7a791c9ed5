//! How a pod reaches Kafka and the schema registry.

use serde::{Deserialize, Serialize};

/// How a pod reaches Kafka. Secrets are files, never values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KafkaConnection {
    /// `host:port[,host:port]`.
    pub bootstrap_servers: String,
    /// Present: TLS, verified against this CA file (PEM); an empty path means the system's roots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_ca_file: Option<String>,
    /// Present: SASL/SCRAM-SHA-512.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scram: Option<ScramFiles>,
}

/// Files that hold a SCRAM user's name and password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScramFiles {
    /// File with the user name.
    pub username_file: String,
    /// File with the password.
    pub password_file: String,
}

/// How a pod reaches the schema registry (Confluent's API). It is asked only for schemas that the plan doesn't hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RegistryConnection {
    /// Base address, such as `http://registry.kafka.svc:8080/apis/ccompat/v7`.
    pub url: String,
    /// Present: the CA (PEM) that signed the registry's certificate; absent: the public roots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_pem: Option<String>,
}
