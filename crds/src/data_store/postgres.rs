//! A PostgreSQL database.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::{CaSecretRef, references};

/// A PostgreSQL database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PostgresStore {
    /// Where it is, such as `postgres://warehouse.shop.svc:5432/shop`. Neither user nor password stand here, but in the
    /// Secret.
    #[schemars(
        length(min = 1, max = 512),
        regex(pattern = r"^postgres(ql)?://[A-Za-z0-9._-]+(:[0-9]{1,5})?/[A-Za-z0-9_.-]+$")
    )]
    pub url: String,
    /// Secret in this namespace with the keys `username` and `password`. A changed password is taken up at the next
    /// connection.
    #[schemars(length(min = 1, max = references::SUBDOMAIN_MAX), regex(pattern = references::SUBDOMAIN))]
    pub secret: String,
    /// Present: the connection is encrypted, and the server's certificate and name are verified. Absent: plain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<StoreTls>,
}

/// TLS to a store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct StoreTls {
    /// Secret with the CA that signed the server's certificate. Absent: the CAs that the image knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret: Option<CaSecretRef>,
}
