//! Records that are posted by HTTP.

use std::collections::BTreeMap;

use garde::Validate;
use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::{Quantity, SecretKeyRef, borrowed, references};

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
