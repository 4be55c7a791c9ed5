//! DataStore: a database that Pipelines write tables of. Each kind of store is one optional object
//! (`postgres`), of which exactly one is given; a file beside this one says what may stand in it.

mod file;
mod postgres;

use garde::Validate;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Condition, PodTemplate, conditions};

pub use file::FileStore;
pub use postgres::{PostgresStore, StoreTls};

/// What a DataStore is.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema, Validate)]
#[kube(
    group = "headworks.dev",
    version = "v1alpha1",
    kind = "DataStore",
    plural = "datastores",
    singular = "datastore",
    shortname = "store",
    category = "headworks",
    namespaced,
    status = "DataStoreStatus",
    derive = "PartialEq",
    cel,
    doc = "A database that Pipelines write tables of. A small pod keeps a connection to it and says whether it answers.",
    validation = Rule::new("self.metadata.name.size() <= 48 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')").message("metadata.name may have at most 48 characters, begins with a letter and has no dots: a pod is named after it"),
    printcolumn(name = "READY", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#, description = "Whether the store answers"),
    printcolumn(name = "STATUS", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#, description = "Why it is or isn't ready"),
    printcolumn(name = "ADDRESS", type_ = "string", json_path = ".status.address", description = "Host, port and database"),
    printcolumn(name = "VERSION", type_ = "string", json_path = ".status.serverVersion", description = "Version of the server"),
    printcolumn(name = "PIPELINES", type_ = "integer", json_path = ".status.pipelines", description = "Pipelines that write to it"),
    printcolumn(name = "AGE", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.postgres), has(self.file)].filter(given, given).size() == 1").message("a DataStore needs exactly one kind of store: postgres or file"))]
#[x_kube(validation = Rule::new("has(self.postgres) == has(oldSelf.postgres) && has(self.file) == has(oldSelf.file)").message("the kind of store can't change: make a new DataStore"))]
#[garde(allow_unvalidated)]
pub struct DataStoreSpec {
    /// A PostgreSQL database, 12 or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postgres: Option<PostgresStore>,
    /// Files on a volume, for debugging. A row may be there twice after a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FileStore>,
    /// True: the pod that watches the store is taken away until it is false again. Pipelines go on.
    #[serde(default)]
    pub suspend: bool,
    /// The watching pod's image, resources and placement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(dive)]
    pub pod_template: Option<PodTemplate>,
}

/// What is known of a DataStore.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DataStoreStatus {
    /// The `metadata.generation` this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// What is true of the object now: Ready, Reconciling, Stalled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions::conditions")]
    pub conditions: Vec<Condition>,
    /// Host, port and database, such as `warehouse.shop.svc:5432/shop`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 600))]
    pub address: Option<String>,
    /// Version of the server, such as 15.8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub server_version: Option<String>,
    /// How many Pipelines of this namespace write to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipelines: Option<i64>,
    /// What becomes of rows that are written again after a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guarantee: Option<Guarantee>,
}

/// What becomes of a table's rows that are written again after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Guarantee {
    /// Rows and progress are one transaction of the store: each record's rows are there once.
    Transactional,
    /// A row replaces the one of its key, so that written again it changes nothing. A table needs a key.
    IdempotentUpsert,
    /// They are there again. Rows are only added, so that a table has no key.
    AtLeastOnce,
}
