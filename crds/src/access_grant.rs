//! AccessGrant: a client in another namespace may read or write streams of this one.
//!
//! A grant is a Kafka user with exactly the rights it names, and a Secret with the credentials in the grantee's
//! namespace, which has opted in. It lives beside the streams, so that whoever owns the data gives it away, not whoever
//! wants it.

use garde::Validate;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use crate::{Condition, Duration, Quantity, borrowed, conditions, references};

/// RFC 3339, UTC or with an offset.
const INSTANT: &str = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})$";
/// An hour: the shortest time between two rotations is bounded so that a password outlives a pod's restart.
const HOUR_MS: u64 = 3_600_000;
const TEN_YEARS_MS: u64 = 10 * 365 * 24 * HOUR_MS;

/// What an AccessGrant is.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema, Validate)]
#[kube(
    group = "headworks.dev",
    version = "v1alpha1",
    kind = "AccessGrant",
    plural = "accessgrants",
    singular = "accessgrant",
    shortname = "grant",
    category = "headworks",
    namespaced,
    status = "AccessGrantStatus",
    derive = "PartialEq",
    cel,
    doc = "Lets a client in another namespace read or write streams of this one: a Kafka user with exactly these rights, and a Secret with its credentials in the client's namespace, which names this one in its annotation headworks.dev/accept-grants.",
    validation = Rule::new("self.metadata.name.size() <= 63 && !self.metadata.name.contains('.')").message("metadata.name may have at most 63 characters and no dots"),
    printcolumn(name = "READY", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#, description = "Whether the client can use the streams"),
    printcolumn(name = "STATUS", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#, description = "Why it is or isn't ready"),
    printcolumn(name = "TO", type_ = "string", json_path = ".spec.to.namespace", description = "Namespace of the client"),
    printcolumn(name = "CLIENT", type_ = "string", json_path = ".spec.to.name", description = "The client"),
    printcolumn(name = "SECRET", type_ = "string", json_path = ".status.secret", description = "Secret with the credentials, in the client's namespace"),
    printcolumn(name = "EXPIRES", type_ = "string", json_path = ".spec.expires", description = "When the rights end"),
    printcolumn(name = "USER", type_ = "string", json_path = ".status.user", priority = "1", description = "Kafka user in the Secret now"),
    printcolumn(name = "AGE", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(has(self.read) && self.read.size() > 0) || (has(self.write) && self.write.size() > 0)").message("a grant names at least one stream in read or write"))]
#[x_kube(validation = Rule::new("self.to == oldSelf.to").message("to can't change: make a new AccessGrant").field_path(".to"))]
#[x_kube(validation = Rule::new("!has(self.exceptLabels) || self.exceptLabels.size() == 0 || !has(self.write) || self.write.size() == 0").message("exceptLabels is for read: a stream can't be written without its labelled fields").field_path(".exceptLabels"))]
#[x_kube(validation = Rule::new("!has(self.deadLetters) || !self.deadLetters || !has(self.exceptLabels) || self.exceptLabels.size() == 0").message("dead letters are records as they came, with labelled fields in them: deadLetters can't be together with exceptLabels").field_path(".deadLetters"))]
#[garde(allow_unvalidated)]
pub struct AccessGrantSpec {
    /// The client. Can't change.
    pub to: Grantee,
    /// DataStreams of this namespace that the client may read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = references::LABEL_MAX), regex(pattern = references::LABEL)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub read: Vec<String>,
    /// DataStreams of this namespace that the client may write. What it writes isn't checked against the contract before
    /// it is in the topic; readers put what breaks it aside as dead letters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = references::LABEL_MAX), regex(pattern = references::LABEL)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub write: Vec<String>,
    /// Fields with one of these labels, such as pii, are left out: the client reads a derived stream without them, which is
    /// made where a stream has such fields.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 63), regex(pattern = references::LABEL)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub except_labels: Vec<String>,
    /// True: the client may read the dead letters of the streams in read, too. They are records as they came, with labelled
    /// fields in them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dead_letters: bool,
    /// When the rights end (RFC 3339, such as 2027-01-01T00:00:00Z). Absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 40), regex(pattern = INSTANT))]
    pub expires: Option<String>,
    /// How often the credentials change. Absent: never by themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(dive)]
    pub rotation: Option<Rotation>,
    /// What the client may use of the brokers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(dive)]
    pub quota: Option<Quota>,
}

/// A client in a namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Grantee {
    /// Namespace of the client. It opts in by the annotation headworks.dev/accept-grants, which names the namespaces whose
    /// grants it takes.
    #[schemars(length(min = 1, max = references::LABEL_MAX), regex(pattern = references::LABEL))]
    pub namespace: String,
    /// Name of the client. Its consumer groups begin with `<namespace>.<name>`.
    #[schemars(length(min = 1, max = references::LABEL_MAX), regex(pattern = references::LABEL))]
    pub name: String,
}

/// How credentials change: between two users, so that a client that reads its Secret again within `overlap` never breaks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema, Validate)]
#[serde(rename_all = "camelCase")]
#[garde(allow_unvalidated)]
pub struct Rotation {
    /// How long credentials are handed out. At least 2m.
    #[garde(custom(borrowed::between(120_000, TEN_YEARS_MS)))]
    pub every: Duration,
    /// How long the old user can still log in after the new one is in the Secret. Shorter than `every`. Default 1h, or half
    /// of `every` where that is shorter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(custom(borrowed::between(1_000, TEN_YEARS_MS))))]
    pub overlap: Option<Duration>,
}

/// What a client may use of each broker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema, Validate)]
#[serde(rename_all = "camelCase")]
#[garde(allow_unvalidated)]
pub struct Quota {
    /// Bytes a second that it may write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(custom(borrowed::amount(1, 1 << 40)))]
    pub producer_bytes_per_second: Option<Quantity>,
    /// Bytes a second that it may read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(custom(borrowed::amount(1, 1 << 40)))]
    pub consumer_bytes_per_second: Option<Quantity>,
    /// Per cent of a broker's request threads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10000))]
    pub request_percentage: Option<i32>,
}

/// What is known of an AccessGrant.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccessGrantStatus {
    /// The `metadata.generation` this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// What is true of the object now: Ready, Reconciling, Stalled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions::conditions")]
    pub conditions: Vec<Condition>,
    /// The Platform whose Kafka has the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub platform: Option<String>,
    /// When the rights end: `spec.expires` when it could last be read (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 40))]
    pub expires: Option<String>,
    /// Name of the Secret in the client's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub secret: Option<String>,
    /// The Kafka user that is in the Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 249))]
    pub user: Option<String>,
    /// The user before, as long as it can still log in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 249))]
    pub previous_user: Option<String>,
    /// When the user in the Secret was made (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 40))]
    pub rotated_at: Option<String>,
    /// The streams, as the client sees them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub streams: Vec<GrantedStream>,
    /// True: the client may read the dead letters of the streams that it reads.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dead_letters: bool,
}

/// A stream that a client may use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct GrantedStream {
    /// The DataStream.
    #[schemars(length(max = 63))]
    pub stream: String,
    /// The topic that the client uses: the stream's own, or that of the derived stream without the excepted fields.
    #[schemars(length(max = 249))]
    pub topic: String,
    /// Read or Write.
    #[schemars(length(max = 16))]
    pub access: String,
    /// The derived stream, where fields are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub derived: Option<String>,
}
