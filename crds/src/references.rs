//! References to other objects, and the patterns of names.
//!
//! A reference names an object in the same namespace. Only the cluster-scoped Platform, which has no
//! namespace, names one with it.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Kubernetes' DNS label: names of our kinds, and of namespaces.
pub(crate) const LABEL: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
/// Kubernetes' DNS subdomain: names of Secrets and most other objects.
pub(crate) const SUBDOMAIN: &str = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$";
/// A key in a Secret or ConfigMap.
pub(crate) const DATA_KEY: &str = "^[-._a-zA-Z0-9]+$";

pub(crate) const LABEL_MAX: u64 = 63;
pub(crate) const SUBDOMAIN_MAX: u64 = 253;

/// What happens to data when the object is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// The data stays.
    #[default]
    Retain,
    /// The data is deleted with the object.
    Delete,
}

/// A key of a Secret in the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeyRef {
    /// Name of the Secret, in this object's namespace.
    #[schemars(length(min = 1, max = SUBDOMAIN_MAX), regex(pattern = SUBDOMAIN))]
    pub name: String,
    /// Key in the Secret.
    #[serde(default = "token")]
    #[schemars(length(min = 1, max = SUBDOMAIN_MAX), regex(pattern = DATA_KEY))]
    pub key: String,
}

/// A key of a ConfigMap in the same namespace.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, KubeSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct ConfigMapKeyRef {
    /// Name of the ConfigMap, in this object's namespace.
    #[schemars(length(min = 1, max = SUBDOMAIN_MAX), regex(pattern = SUBDOMAIN))]
    pub name: String,
    /// Key in the ConfigMap's `data`.
    #[schemars(length(min = 1, max = SUBDOMAIN_MAX), regex(pattern = DATA_KEY))]
    pub key: String,
}

/// A CA's certificate in a Secret of the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CaSecretRef {
    /// Name of the Secret, in this object's namespace.
    #[schemars(length(min = 1, max = SUBDOMAIN_MAX), regex(pattern = SUBDOMAIN))]
    pub name: String,
    /// Key in the Secret.
    #[serde(default = "ca_crt")]
    #[schemars(length(min = 1, max = SUBDOMAIN_MAX), regex(pattern = DATA_KEY))]
    pub key: String,
}

/// A key of a Secret anywhere in the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterSecretKeyRef {
    /// Namespace of the Secret. The operator may read Secrets only in the namespaces its Helm chart lists
    /// (`secretNamespaces`).
    #[schemars(length(min = 1, max = LABEL_MAX), regex(pattern = LABEL))]
    pub namespace: String,
    /// Name of the Secret.
    #[schemars(length(min = 1, max = SUBDOMAIN_MAX), regex(pattern = SUBDOMAIN))]
    pub name: String,
    /// Key in the Secret.
    #[serde(default = "ca_crt")]
    #[schemars(length(min = 1, max = SUBDOMAIN_MAX), regex(pattern = DATA_KEY))]
    pub key: String,
}

/// A Secret with a Kafka user's name and password, anywhere in the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterScramRef {
    /// Namespace of the Secret. The operator may read Secrets only in the namespaces its Helm chart lists
    /// (`secretNamespaces`).
    #[schemars(length(min = 1, max = LABEL_MAX), regex(pattern = LABEL))]
    pub namespace: String,
    /// Name of the Secret.
    #[schemars(length(min = 1, max = SUBDOMAIN_MAX), regex(pattern = SUBDOMAIN))]
    pub name: String,
    /// Key of the user name.
    #[serde(default = "username")]
    #[schemars(length(min = 1, max = SUBDOMAIN_MAX), regex(pattern = DATA_KEY))]
    pub username_key: String,
    /// Key of the password.
    #[serde(default = "password")]
    #[schemars(length(min = 1, max = SUBDOMAIN_MAX), regex(pattern = DATA_KEY))]
    pub password_key: String,
}

fn token() -> String {
    "token".to_owned()
}

fn ca_crt() -> String {
    "ca.crt".to_owned()
}

pub(crate) fn username() -> String {
    "username".to_owned()
}

pub(crate) fn password() -> String {
    "password".to_owned()
}
