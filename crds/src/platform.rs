//! Platform: where Kafka is, who makes topics in it, and what applies where a spec says nothing.
//!
//! It is cluster-scoped, as a StorageClass is: platform teams own it, and any namespace that it allows uses
//! it by name. The Kafka credentials it names are the operator's alone; pods use a Secret of their own
//! namespace (`kafka.workloadAuthentication`).

use garde::Validate;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use crate::{
    ClusterScramRef, ClusterSecretKeyRef, Condition, Duration, Limits, PodPolicy, PodTemplate,
    ReplayPolicy, borrowed, conditions, references,
};

/// What a Platform is.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema, Validate)]
#[kube(
    group = "headworks.dev",
    version = "v1alpha1",
    kind = "Platform",
    plural = "platforms",
    singular = "platform",
    shortname = "hwplat",
    category = "headworks",
    status = "PlatformStatus",
    derive = "PartialEq",
    cel,
    doc = "A Kafka cluster, who makes topics in it, and what applies where a spec says nothing. Cluster-scoped; the one named `default` is used where a spec names none.",
    validation = Rule::new("self.metadata.name.size() <= 63").message("metadata.name may have at most 63 characters"),
    printcolumn(name = "READY", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#, description = "Whether Kafka answers and accepts the credentials"),
    printcolumn(name = "STATUS", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#, description = "Why it is or isn't ready"),
    printcolumn(name = "BROKERS", type_ = "integer", json_path = ".status.brokers", description = "Brokers of the Kafka cluster"),
    printcolumn(name = "STREAMS", type_ = "integer", json_path = ".status.streams", description = "DataStreams on this Platform"),
    printcolumn(name = "PIPELINES", type_ = "integer", json_path = ".status.pipelines", description = "Pipelines on this Platform"),
    printcolumn(name = "INSTALLATION", type_ = "string", json_path = ".status.installation", priority = "1", description = "Prefix of Kafka groups and transactional ids"),
    printcolumn(name = "AGE", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[garde(allow_unvalidated)]
pub struct PlatformSpec {
    /// Which namespaces may use this Platform, by their labels. Absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "borrowed::label_selector")]
    pub allowed_namespaces: Option<LabelSelector>,
    /// The Kafka cluster.
    #[garde(dive)]
    pub kafka: Kafka,
    /// The schema registry (Confluent's API: Confluent's own, Apicurio's `/apis/ccompat/v7`, Karapace) that Avro and
    /// Protobuf streams use. Absent: their records carry no registry's schema id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema_registry: Option<SchemaRegistry>,
    /// What a DataStream gets where it says nothing, at the moment its topic is made. A later change here
    /// changes nothing that exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(dive)]
    pub defaults: Option<Defaults>,
    /// What pods of Sources and Pipelines get where they say nothing. A change rolls the pods of those that it reaches, a few
    /// objects at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(dive)]
    pub pod_template: Option<PodTemplate>,
    /// What users may say of their pods, and which Secrets they may name. Absent: anything. An object that says more is
    /// Stalled, and its pods run on as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_policy: Option<PodPolicy>,
    /// What DataStreams may ask of Kafka. Absent: anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(dive)]
    pub limits: Option<Limits>,
    /// What Replays need. Absent: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replays: Option<ReplayPolicy>,
}

/// The Kafka cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema, Validate)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.installation) == has(oldSelf.installation) && (!has(self.installation) || self.installation == oldSelf.installation)").message("installation can't change: it is part of every pipeline's consumer group and transactional id, so a change would lose their progress").field_path(".installation"))]
#[x_kube(validation = Rule::new("!has(self.authentication) || has(self.authentication.scramSha512)").message("authentication needs scramSha512").field_path(".authentication"))]
#[garde(allow_unvalidated)]
pub struct Kafka {
    /// Where Kafka listens: `host:port`, several with commas between them.
    #[schemars(
        length(min = 3, max = 1024),
        regex(pattern = r"^[^\s,:]+:[0-9]{1,5}(,[^\s,:]+:[0-9]{1,5})*$")
    )]
    pub bootstrap_servers: String,
    /// Who makes topics: exactly one of `admin` and `strimzi`.
    pub management: Management,
    /// Present: connections use TLS. `{}` trusts the public roots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<KafkaTls>,
    /// How the operator logs in to Kafka. Absent: it doesn't. These credentials never leave the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentication: Option<Authentication>,
    /// How the pods of Sources and Pipelines log in to Kafka. Absent: they don't.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload_authentication: Option<WorkloadAuthentication>,
    /// Topics outside `<namespace>.` that a namespace's DataStreams may use. Without a rule a DataStream may
    /// use only topics whose names begin with its namespace and a dot.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub topic_policy: Vec<TopicPolicy>,
    /// Prefix of consumer groups and transactional ids, so that several Headworks can share one Kafka.
    /// Absent: a short form of the cluster's own id (the UID of the namespace kube-system). Can't change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32), regex(pattern = references::LABEL))]
    pub installation: Option<String>,
}

/// Who makes topics.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.admin), has(self.strimzi)].filter(x, x).size() == 1").message("management needs exactly one of admin and strimzi"))]
pub struct Management {
    /// Kafka's own Admin API: for Kafka that no operator manages, such as MSK or Redpanda.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin: Option<ManagedByAdmin>,
    /// A Strimzi cluster: its Topic Operator makes the topics of KafkaTopic objects, its User Operator the users of
    /// KafkaUser objects, both in the Kafka's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strimzi: Option<ManagedByStrimzi>,
}

/// Topics are made through Kafka's Admin API. There is nothing to say yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ManagedByAdmin {}

/// Topics are made by Strimzi's Topic Operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ManagedByStrimzi {
    /// Name of the Strimzi Kafka object.
    #[schemars(length(min = 1, max = references::SUBDOMAIN_MAX), regex(pattern = references::SUBDOMAIN))]
    pub cluster: String,
    /// Namespace of the Strimzi Kafka object.
    #[schemars(length(min = 1, max = references::LABEL_MAX), regex(pattern = references::LABEL))]
    pub namespace: String,
}

/// TLS towards Kafka.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct KafkaTls {
    /// Secret with the CA (PEM) that signed the brokers' certificates; the key defaults to `ca.crt`. The CA,
    /// which is public, is copied to the namespaces whose pods need it. Absent: the public roots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret: Option<ClusterSecretKeyRef>,
}

/// How the operator logs in to Kafka.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Authentication {
    /// SASL/SCRAM-SHA-512 with the name and password in a Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scram_sha512: Option<ScramSha512>,
}

/// The Secret with the operator's Kafka user.
pub type ScramSha512 = ClusterScramRef;

/// How pods log in to Kafka.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.scramSha512), has(self.generated)].filter(x, x).size() == 1").message("workloadAuthentication needs exactly one of scramSha512 and generated"))]
pub struct WorkloadAuthentication {
    /// SASL/SCRAM-SHA-512 with the name and password in a Secret of the pod's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scram_sha512: Option<WorkloadScramSha512>,
    /// Each Pipeline and Source gets a user of its own, with the rights it needs and no other. The operator makes the user
    /// and puts its password into a Secret beside the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generated: Option<GeneratedUsers>,
}

/// Users that the operator makes. There is nothing to say yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct GeneratedUsers {}

/// A schema registry with Confluent's API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SchemaRegistry {
    /// Base address, such as `http://registry.kafka.svc:8080/apis/ccompat/v7`. No user or password stands in it.
    #[schemars(
        length(min = 8, max = 512),
        regex(pattern = r"^https?://[A-Za-z0-9._-]+(:[0-9]{1,5})?(/[A-Za-z0-9._/-]*)?$")
    )]
    pub url: String,
    /// Secret with the CA (PEM) that signed the registry's certificate. Absent: the public roots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret: Option<ClusterSecretKeyRef>,
}

/// The Secret with a namespace's Kafka user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadScramSha512 {
    /// Name of a Secret that every namespace using this Platform has.
    #[schemars(length(min = 1, max = references::SUBDOMAIN_MAX), regex(pattern = references::SUBDOMAIN))]
    pub secret_name: String,
    /// Key of the user name.
    #[serde(default = "references::username")]
    #[schemars(length(min = 1, max = references::SUBDOMAIN_MAX), regex(pattern = references::DATA_KEY))]
    pub username_key: String,
    /// Key of the password.
    #[serde(default = "references::password")]
    #[schemars(length(min = 1, max = references::SUBDOMAIN_MAX), regex(pattern = references::DATA_KEY))]
    pub password_key: String,
}

/// Topics that some namespaces may use.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct TopicPolicy {
    /// The namespaces, by their labels. `{}`: all.
    #[schemars(schema_with = "borrowed::label_selector")]
    pub namespaces: LabelSelector,
    /// Beginnings of topic names.
    #[schemars(
        length(min = 1, max = 32),
        inner(length(min = 1, max = 200), regex(pattern = "^[a-zA-Z0-9._-]+$"))
    )]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub prefixes: Vec<String>,
}

/// What a DataStream gets where it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema, Validate)]
#[serde(rename_all = "camelCase")]
#[garde(allow_unvalidated)]
pub struct Defaults {
    /// Partitions of a topic. Absent: the brokers' `num.partitions`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10000))]
    pub partitions: Option<i32>,
    /// Replicas of each partition. Absent: the brokers' `default.replication.factor`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 16))]
    pub replicas: Option<i32>,
    /// How long records are kept. Absent: the brokers' `log.retention.ms`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(custom(borrowed::between(1_000, i64::MAX as u64))))]
    pub retention: Option<Duration>,
}

/// What is known of a Platform.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlatformStatus {
    /// The `metadata.generation` this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// What is true of the object now: Ready, Reconciling, Stalled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions::conditions")]
    pub conditions: Vec<Condition>,
    /// The installation's name in force: the prefix of groups and transactional ids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub installation: Option<String>,
    /// Kafka's own id of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub cluster_id: Option<String>,
    /// Brokers of the Kafka cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brokers: Option<i32>,
    /// DataStreams on this Platform.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub streams: Option<i32>,
    /// Pipelines on this Platform.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipelines: Option<i32>,
}
