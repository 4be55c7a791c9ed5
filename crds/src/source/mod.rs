//! Source: where records come into a DataStream. Each way in is one optional object (`http`), of which
//! exactly one is given; a file beside this one says what may stand in it.

mod generate;
mod http;
mod websocket;

use garde::Validate;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Condition, DeadLetterStatus, PodTemplate, WorkloadStatus, conditions, one, references,
};

pub use generate::{Disorder, GenerateSource, ShopRecords, Template};
pub use http::{BearerAuth, HttpAuth, HttpService, HttpSource, HttpTls, ServiceType};
pub use websocket::{SecretHeader, WebsocketSource};

/// What a Source is.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema, Validate)]
#[kube(
    group = "headworks.dev",
    version = "v1alpha1",
    kind = "Source",
    plural = "sources",
    singular = "source",
    shortname = "src",
    category = "headworks",
    namespaced,
    status = "SourceStatus",
    derive = "PartialEq",
    cel,
    doc = "Where records come into a DataStream. Every record is checked against the stream's contract before it is acknowledged.",
    scale(spec_replicas_path = ".spec.replicas", status_replicas_path = ".status.replicas", label_selector_path = ".status.selector"),
    validation = Rule::new("self.metadata.name.size() <= 48 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')").message("metadata.name may have at most 48 characters, begins with a letter and has no dots: a Service and pods are named after it"),
    printcolumn(name = "READY", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#, description = "Whether records are accepted"),
    printcolumn(name = "STATUS", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#, description = "Why it is or isn't ready"),
    printcolumn(name = "ADDRESS", type_ = "string", json_path = ".status.address", description = "Where to send records"),
    printcolumn(name = "RATE", type_ = "string", json_path = ".status.rate", description = "Records accepted in a second"),
    printcolumn(name = "REPLICAS", type_ = "integer", json_path = ".status.readyReplicas", description = "Pods that are ready"),
    printcolumn(name = "DEADLETTERS", type_ = "integer", json_path = ".status.deadLetters", description = "Records sent to the dead-letter topic"),
    printcolumn(name = "INTO", type_ = "string", json_path = ".spec.into", priority = "1", description = "DataStream that records go into"),
    printcolumn(name = "AGE", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.into == oldSelf.into").message("into can't change: make a new Source").field_path(".into"))]
#[x_kube(validation = Rule::new("[has(self.http), has(self.generate), has(self.websocket)].filter(given, given).size() == 1").message("a Source needs exactly one way in: http, generate or websocket"))]
#[x_kube(validation = Rule::new("!has(self.websocket) || self.replicas <= 1").message("a websocket Source has one pod at most: two would hear everything twice").field_path(".replicas"))]
#[x_kube(validation = Rule::new("!has(self.generate) || self.replicas <= 1").message("a generate Source has one pod at most: its records are one sequence").field_path(".replicas"))]
#[garde(allow_unvalidated)]
pub struct SourceSpec {
    /// Name of the DataStream, in this namespace, that records go into. Can't change.
    #[schemars(length(min = 1, max = references::LABEL_MAX), regex(pattern = references::LABEL))]
    pub into: String,
    /// Records are posted by HTTP: one JSON object, an array of them, or one a line (NDJSON).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(dive)]
    pub http: Option<HttpSource>,
    /// Records are made up: for demos and load tests. Each record of the sequence is written exactly once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(dive)]
    pub generate: Option<GenerateSource>,
    /// Records come from a WebSocket that the pod connects to. What the feed says while no pod listens is lost, and what was heard
    /// may be written twice: a feed can't be asked again, and knows no transaction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(dive)]
    pub websocket: Option<WebsocketSource>,
    /// What happens to records that break the contract. Reject: the whole request is refused and the answer lists the
    /// bad ones. DeadLetter: the good ones go in, the bad ones to the stream's dead-letter topic.
    #[serde(default)]
    pub on_invalid: OnInvalid,
    /// What happens to a field that the contract doesn't know. Ignore: it isn't carried into the stream. Reject: the
    /// record breaks the contract.
    #[serde(default)]
    pub unknown_fields: UnknownFields,
    /// How many pods take records.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 256))]
    pub replicas: i32,
    /// True: the pods are taken away until it is false again.
    #[serde(default)]
    pub suspend: bool,
    /// Pods' image, resources and placement. A field that is given here replaces the Platform's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(dive)]
    pub pod_template: Option<PodTemplate>,
}

/// What happens to records that break the contract.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum OnInvalid {
    /// The whole request is refused.
    #[default]
    Reject,
    /// The good records go in, the bad ones to the dead-letter topic.
    DeadLetter,
}

/// What happens to a field that the contract doesn't know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum UnknownFields {
    /// It isn't carried into the stream.
    #[default]
    Ignore,
    /// The record breaks the contract.
    Reject,
}

/// What is known of a Source.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SourceStatus {
    /// The `metadata.generation` this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// What is true of the object now: Ready, Reconciling, Stalled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions::conditions")]
    pub conditions: Vec<Condition>,
    /// The Platform whose Kafka has the Source's own user. Absent: it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub platform: Option<String>,
    /// Where to send records, such as `http://orders-http.shop.svc:8080/v1/orders`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub address: Option<String>,
    /// Its pods.
    #[serde(flatten)]
    pub workload: WorkloadStatus,
    /// Records accepted in a second, all pods together, such as 1.2k.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub rate: Option<String>,
    /// Its dead letters.
    #[serde(flatten)]
    pub letters: DeadLetterStatus,
}
