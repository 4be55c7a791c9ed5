//! Source: where records come into a DataStream. Each way in is one optional object (`http`), of which
//! exactly one is given.

use std::collections::BTreeMap;

use garde::Validate;
use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::{
    Condition, DeadLetterStatus, Duration, PodTemplate, Quantity, SecretKeyRef, WorkloadStatus,
    borrowed, conditions, one, references,
};

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
#[x_kube(validation = Rule::new("has(self.http) != has(self.generate)").message("a Source needs exactly one way in: http or generate"))]
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

/// Records are posted by HTTP.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema, Validate)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(has(self.service) && has(self.service.clusterIP) ? self.service.clusterIP : '') == (has(oldSelf.service) && has(oldSelf.service.clusterIP) ? oldSelf.service.clusterIP : '')").message("service.clusterIP can't change: Kubernetes doesn't allow it; make a new Source").field_path(".service"))]
#[garde(allow_unvalidated)]
pub struct HttpSource {
    /// Path that records are posted to.
    #[serde(default = "slash")]
    #[schemars(length(min = 1, max = 256), regex(pattern = "^/[A-Za-z0-9._~/-]*$"))]
    pub path: String,
    /// Who may post. Absent: everybody who can reach the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<HttpAuth>,
    /// Present: HTTPS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<HttpTls>,
    /// Largest request body. A larger one is refused with 413.
    #[serde(default = "max_body_bytes")]
    #[garde(custom(borrowed::at_most(1 << 30)))]
    pub max_body_bytes: Quantity,
    /// Most records in a second for each pod, such as 20k. Above it the answer is 429 with Retry-After. A request may
    /// have as many as 60 seconds bring. Absent: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(custom(borrowed::amount(1, 1_000_000_000)))]
    pub records_per_second: Option<Quantity>,
    /// Where the array of records is in an envelope, such as `items` or `data.rows`. Absent: the body is the records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), regex(pattern = r"^[^.\s]+(\.[^.\s]+)*$"))]
    pub items_path: Option<String>,
    /// The Service in front of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<HttpService>,
}

/// Who may post.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.bearer)").message("auth needs exactly one of: bearer"))]
pub struct HttpAuth {
    /// Requests need the header `Authorization: Bearer <token>`; others are refused with 401.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bearer: Option<BearerAuth>,
}

/// Bearer tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct BearerAuth {
    /// Secret with the tokens, one a line of its key, which defaults to `token`; blank lines and lines that begin with #
    /// don't count. A changed Secret is taken up without a restart: to change a token, put the new one beside the old
    /// one, and take that away when nobody sends it any more.
    pub secret: SecretKeyRef,
}

/// HTTPS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpTls {
    /// Secret with `tls.crt` and `tls.key`, as cert-manager makes them.
    #[schemars(length(min = 1, max = references::SUBDOMAIN_MAX), regex(pattern = references::SUBDOMAIN))]
    pub secret_name: String,
}

/// The Service in front of the pods.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpService {
    /// Kind of Service: ClusterIP, NodePort or LoadBalancer.
    #[serde(default, rename = "type")]
    pub type_: ServiceType,
    /// A fixed address in the cluster, for senders that can't look up names. Absent: Kubernetes chooses. Can't change.
    #[serde(default, rename = "clusterIP", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 45), regex(pattern = "^[0-9a-fA-F.:]+$"))]
    pub cluster_ip: Option<String>,
    /// Annotations of the Service, such as a cloud's load-balancer settings.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "annotations")]
    pub annotations: BTreeMap<String, String>,
}

/// Kind of Service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ServiceType {
    /// Reachable in the cluster.
    #[default]
    ClusterIP,
    /// Reachable on a port of every node.
    NodePort,
    /// Reachable through a load balancer of the cloud.
    LoadBalancer,
}

impl ServiceType {
    /// Kubernetes' word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClusterIP => "ClusterIP",
            Self::NodePort => "NodePort",
            Self::LoadBalancer => "LoadBalancer",
        }
    }
}

/// Records are made up from a seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema, Validate)]
#[serde(rename_all = "camelCase")]
#[garde(allow_unvalidated)]
pub struct GenerateSource {
    /// How many records in a second, such as 1k.
    #[garde(custom(borrowed::amount_of(1, 1_000_000)))]
    pub records_per_second: Quantity,
    /// Equal seeds make equal records, apart from their times.
    #[serde(default)]
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_i64))]
    pub seed: i64,
    /// What the records are like. shop: the stream's fields are those of examples/shop, and `records` says which.
    /// Absent: random values of the types in the stream's contract.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<Template>,
    /// Which of the template's records: clicks, orders, inventory or feedback. Absent: the one that is named as the
    /// stream in `into`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records: Option<ShopRecords>,
    /// Present: some records come late, with an event time before those of records written earlier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(dive)]
    pub disorder: Option<Disorder>,
    /// How many in a hundred records break the contract; set onInvalid to DeadLetter to see them in the dead letters,
    /// else they are counted and left out.
    #[serde(default)]
    #[schemars(range(min = 0, max = 100))]
    pub faulty_percent: i32,
    /// After how many records the source rests. Absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(custom(borrowed::amount(1, i64::MAX as u64)))]
    pub limit: Option<Quantity>,
}

/// Records that come late.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema, Validate)]
#[serde(rename_all = "camelCase")]
#[garde(allow_unvalidated)]
pub struct Disorder {
    /// How many in a hundred records are late.
    #[schemars(range(min = 1, max = 100))]
    pub percent: i32,
    /// By how much at most, such as 30s.
    #[garde(custom(borrowed::between(1, 86_400_000)))]
    pub by: Duration,
}

/// What made-up records are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Template {
    /// A shop.
    Shop,
}

/// Which of a shop's records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ShopRecords {
    /// Pages that were looked at.
    Clicks,
    /// Orders that were placed.
    Orders,
    /// Stock that came and went.
    Inventory,
    /// What customers said.
    Feedback,
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

fn slash() -> String {
    "/".to_owned()
}

fn max_body_bytes() -> Quantity {
    Quantity::mebibytes(4)
}

fn annotations(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object", "maxProperties": 64,
        "additionalProperties": {"type": "string", "maxLength": 4096},
    })
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
