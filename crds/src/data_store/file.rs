//! Files on a volume.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::references;

/// Files on a volume: a table is a file `<table>-<pod>.ndjson` for each pod that writes it, to which a JSON object is appended for
/// each row. For looking at what comes, and for handing it on by hand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.path) || (self.path.matches('^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$') && !self.path.split('/').exists(part, part == '.' || part == '..'))").message("path is no folder within the volume: write names with / between them, such as debug/orders, without . and ..").field_path(".path"))]
pub struct FileStore {
    /// PersistentVolumeClaim in this namespace. It is mounted into the pods of Pipelines that write here and into the one that
    /// watches: with several nodes it has to be ReadWriteMany.
    #[schemars(length(min = 1, max = references::SUBDOMAIN_MAX), regex(pattern = references::SUBDOMAIN))]
    pub volume_claim: String,
    /// Folder within the volume, such as `debug/orders`; it is made. Absent: the volume itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub path: Option<String>,
}
