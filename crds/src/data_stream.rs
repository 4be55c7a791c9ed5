//! DataStream: a Kafka topic with a contract that every record in it obeys.

mod contract;
mod definition;

use std::collections::BTreeMap;

use garde::Validate;
use kube::{CustomResource, KubeSchema};
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::{
    Condition, DeletionPolicy, Duration, Quantity, borrowed, conditions, default_platform,
    references,
};

pub use contract::{Compatibility, EventTime, Field, Format, MAX_EVENT_TIME_MS};
use definition::{DEFINITION_MAX, REFERENCES_MAX};
pub use definition::{FieldLabels, ProtobufDefinition, SchemaReference, SubjectNaming};

/// Text of a column's name: what SQL calls it (quoted, if it isn't a plain word) and JSON's key.
const FIELD_NAME: &str = "^[A-Za-z_@][A-Za-z0-9_@-]*$";
pub(crate) const FIELD_PATH: &str = r"^[A-Za-z_@][A-Za-z0-9_@-]*(\.[A-Za-z_@][A-Za-z0-9_@-]*)*$";

/// What a DataStream is.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema, Validate)]
#[kube(
    group = "headworks.dev",
    version = "v1alpha1",
    kind = "DataStream",
    plural = "datastreams",
    singular = "datastream",
    shortname = "stream",
    shortname = "streams",
    category = "headworks",
    namespaced,
    status = "DataStreamStatus",
    derive = "PartialEq",
    cel,
    doc = "A stream of records: a Kafka topic with a contract that every record in it obeys, and a topic for those that don't (dead letters).",
    validation = Rule::new("self.metadata.name.size() <= 63 && !self.metadata.name.contains('.')").message("metadata.name may have at most 63 characters and no dots: SQL uses it as a table's name"),
    printcolumn(name = "READY", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#, description = "Whether the topic is as the spec says"),
    printcolumn(name = "STATUS", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#, description = "Why it is or isn't ready"),
    printcolumn(name = "TOPIC", type_ = "string", json_path = ".status.topic", description = "Kafka topic"),
    printcolumn(name = "PARTITIONS", type_ = "integer", json_path = ".status.partitions", description = "Partitions of the topic"),
    printcolumn(name = "CONTRACT", type_ = "integer", json_path = ".status.contract.version", description = "Version of the contract in force"),
    printcolumn(name = "OWNER", type_ = "string", json_path = ".spec.owner", priority = "1", description = "Who answers for it"),
    printcolumn(name = "AGE", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.platform == oldSelf.platform").message("platform can't change: make a new DataStream").field_path(".platform"))]
#[x_kube(validation = Rule::new("has(self.topic) == has(oldSelf.topic) && (!has(self.topic) || self.topic == oldSelf.topic)").message("topic can't change: make a new DataStream and copy the records with a Pipeline").field_path(".topic"))]
#[x_kube(validation = Rule::new("(has(self.key) ? self.key : []) == (has(oldSelf.key) ? oldSelf.key : [])").message("key can't change: it decides which partition a record is in; make a new DataStream and copy the records with a Pipeline").field_path(".key"))]
#[x_kube(validation = Rule::new("self.format == oldSelf.format").message("format can't change: make a new DataStream and copy the records with a Pipeline").field_path(".format"))]
#[x_kube(validation = Rule::new("self.compacted == oldSelf.compacted").message("compacted can't change: make a new DataStream and copy the records with a Pipeline").field_path(".compacted"))]
#[x_kube(validation = Rule::new("!has(self.partitions) || !has(oldSelf.partitions) || self.partitions >= oldSelf.partitions").message("partitions can't shrink: Kafka can't take partitions away").field_path(".partitions"))]
#[x_kube(validation = Rule::new("!self.compacted || (has(self.key) && self.key.size() > 0)").message("a compacted stream needs a key: Kafka keeps the last record of each").field_path(".key"))]
#[x_kube(validation = Rule::new("[has(self.schema), has(self.avro), has(self.protobuf)].filter(x, x).size() == 1").message("a DataStream needs exactly one of schema, avro and protobuf: the contract is said once"))]
#[x_kube(validation = Rule::new("!has(self.avro) || self.format == 'Avro'").message("avro needs format: Avro").field_path(".avro"))]
#[x_kube(validation = Rule::new("!has(self.protobuf) || self.format == 'Protobuf'").message("protobuf needs format: Protobuf").field_path(".protobuf"))]
#[x_kube(validation = Rule::new("!has(self.avroReferences) || has(self.avro)").message("avroReferences are of a schema in avro: give that, or take them out").field_path(".avroReferences"))]
#[x_kube(validation = Rule::new("!has(self.subject) || self.format != 'Json'").message("subject is for format: Avro and Protobuf: JSON records carry no schema id").field_path(".subject"))]
#[x_kube(validation = Rule::new("(has(self.subject) ? self.subject : 'TopicName') == (has(oldSelf.subject) ? oldSelf.subject : 'TopicName')").message("subject can't change: the schemas are registered under it").field_path(".subject"))]
#[x_kube(validation = Rule::new("!has(self.key) || !has(self.schema) || self.key.all(k, self.schema.exists(f, k == f.name || k.startsWith(f.name + '.')))").message("every field in key must be in schema").field_path(".key"))]
#[x_kube(validation = Rule::new("!has(self.eventTime) || !has(self.schema) || self.schema.exists(f, self.eventTime.field == f.name && f.type.lowerAscii().startsWith('timestamp_ltz'))").message("eventTime.field must be a field in schema of type timestamp_ltz: an instant, not a local time").field_path(".eventTime"))]
#[garde(allow_unvalidated)]
pub struct DataStreamSpec {
    /// The Platform whose Kafka has the topic. Can't change.
    #[serde(default = "default_platform")]
    #[schemars(length(min = 1, max = references::LABEL_MAX), regex(pattern = references::LABEL))]
    pub platform: String,
    /// Who answers for the stream, such as a team's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub owner: Option<String>,
    /// What one record is, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub description: Option<String>,
    /// Kafka topic. Absent: `<namespace>.<name>`. A name that doesn't begin with `<namespace>.` needs a rule in the
    /// Platform's topicPolicy. Can't change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 240), regex(pattern = r"^[a-zA-Z0-9._-]+$"))]
    #[x_kube(validation = Rule::new("!self.startsWith('__') && self != '.' && self != '..'").message("names that begin with __ belong to Kafka, and . and .. are no topic names"))]
    #[x_kube(validation = Rule::new("!self.endsWith('.dlq')").message("names that end with .dlq belong to the dead letters of other streams"))]
    pub topic: Option<String>,
    /// Partitions of the topic. May grow, never shrink; after growing, records of a key that was there before may go to
    /// another partition. Absent: the Platform's default at the moment the topic is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10000))]
    pub partitions: Option<i32>,
    /// How long records are kept. Absent: the Platform's default at the moment the topic is made; for a compacted
    /// stream: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(custom(borrowed::between(1_000, i64::MAX as u64))))]
    pub retention: Option<Duration>,
    /// How many bytes of records are kept in each partition. With `retention` as well: whichever comes first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(custom(borrowed::amount(1 << 20, i64::MAX as u64)))]
    pub retention_bytes: Option<Quantity>,
    /// True: Kafka keeps the last record of each key for ever, as a table does. Needs a key. Can't change.
    #[serde(default)]
    pub compacted: bool,
    /// How records are written: Json (UTF-8, one object a record), Avro or Protobuf. Where the Platform has a
    /// schemaRegistry, Avro and Protobuf records begin with the schema's id (Confluent's wire format). Can't change.
    #[serde(default)]
    pub format: Format,
    /// Which changes of the contract are accepted. Backward: new readers can read old records. Forward: old readers can
    /// read new records. Full: both. …Transitive: with every contract that was accepted, not only the last. None: any
    /// change. A change that isn't accepted leaves the contract in force as it is.
    #[serde(default)]
    pub compatibility: Compatibility,
    /// The contract: the fields of a record, in order. Exactly one of schema, avro and protobuf is given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 256))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub schema: Vec<Field>,
    /// The contract as an Avro schema: JSON text of a record. Its fields become the contract's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = DEFINITION_MAX))]
    pub avro: Option<String>,
    /// Avro schemas whose types `avro` uses, in any order. They become part of the contract, as they are when it is
    /// accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = REFERENCES_MAX))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub avro_references: Vec<SchemaReference>,
    /// The contract as a Protobuf file. The message's fields become the contract's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protobuf: Option<ProtobufDefinition>,
    /// Labels of fields where the contract is given as `avro` or `protobuf`; with `schema` they stand at the field.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["field".into()]))]
    pub field_labels: Vec<FieldLabels>,
    /// How the schema registry's subject is named: TopicName (`<topic>-value`, the default), RecordName (the record's full
    /// name) or TopicRecordName (`<topic>-<record's full name>`). Can't change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<SubjectNaming>,
    /// Fields whose values make the Kafka key, in order: records with the same key stay in order. A dot reaches into a
    /// struct. Absent: no key, records are spread evenly. Can't change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(min = 1, max = 128), regex(pattern = FIELD_PATH)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub key: Vec<String>,
    /// Which field says when a thing happened, and how far out of order records come. Windows go by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(dive)]
    pub event_time: Option<EventTime>,
    /// The topic for records that break the contract: `<topic>.dlq`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(dive)]
    pub dead_letter: Option<DeadLetter>,
    /// What happens to the topics and their records when this object is deleted: Retain (they stay) or Delete.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
    /// True: a topic that exists already is taken over. Its settings that aren't listed here stay as they are, and its
    /// retention is never lowered by taking it over. False: such a topic is left alone and the DataStream isn't Ready.
    #[serde(default)]
    pub adopt: bool,
    /// Other Kafka settings of the topic, such as `compression.type: zstd`. A setting that is taken out of this list
    /// goes back to the broker's default.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "config")]
    #[x_kube(validation = Rule::new("!('cleanup.policy' in self)").message("cleanup.policy is set by spec.compacted: compact where it is true, else delete; both at once isn't offered"))]
    #[x_kube(validation = Rule::new("!('retention.ms' in self)").message("retention.ms is set by spec.retention"))]
    #[x_kube(validation = Rule::new("!('retention.bytes' in self)").message("retention.bytes is set by spec.retentionBytes"))]
    pub config: BTreeMap<String, ConfigValue>,
}

impl DataStreamSpec {
    /// A stream with these fields, and with everything else as it is where nothing is said.
    #[must_use]
    pub fn new(schema: Vec<Field>) -> Self {
        Self {
            platform: default_platform(),
            owner: None,
            description: None,
            topic: None,
            partitions: None,
            retention: None,
            retention_bytes: None,
            compacted: false,
            format: Format::default(),
            compatibility: Compatibility::default(),
            schema,
            avro: None,
            avro_references: Vec::new(),
            protobuf: None,
            field_labels: Vec::new(),
            subject: None,
            key: Vec::new(),
            event_time: None,
            dead_letter: None,
            deletion_policy: DeletionPolicy::default(),
            adopt: false,
            config: BTreeMap::new(),
        }
    }
}

/// The topic for records that break the contract.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema, Validate)]
#[serde(rename_all = "camelCase")]
#[garde(allow_unvalidated)]
pub struct DeadLetter {
    /// How long dead letters are kept. Absent: 30d.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(custom(borrowed::between(1_000, i64::MAX as u64))))]
    pub retention: Option<Duration>,
}

/// A Kafka setting's value: text or a whole number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ConfigValue {
    /// A whole number, such as 3.
    Number(i64),
    /// Text, such as zstd or "true".
    Text(String),
}

impl std::fmt::Display for ConfigValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(n) => write!(f, "{n}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

fn config(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object", "maxProperties": 64,
        "additionalProperties": {"x-kubernetes-int-or-string": true, "maxLength": 1024},
    })
}

fn carried(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object", "maxProperties": 80,
        "additionalProperties": {"type": "string", "maxLength": 1024},
    })
}

/// What is known of a DataStream.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DataStreamStatus {
    /// The `metadata.generation` this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// What is true of the object now: Ready, Reconciling, Stalled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions::conditions")]
    pub conditions: Vec<Condition>,
    /// The Kafka topic. Present once the topic is this object's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 249))]
    pub topic: Option<String>,
    /// The Kafka topic of the dead letters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 249))]
    pub dead_letter_topic: Option<String>,
    /// Partitions of the topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitions: Option<i32>,
    /// Replicas of each partition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// The Platform's default retention, as it was when the topic was made; a later default doesn't change it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_retention: Option<Duration>,
    /// Settings of the topic that this object has made, so that one taken out of the spec is taken out of Kafka.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 80), inner(length(max = 253)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub managed_config: Vec<String>,
    /// Settings that the topic kept when it was taken over, because the spec asks for less: a retention is never
    /// lowered by taking a topic over. Each holds until the spec asks for something else.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["key".into()]))]
    pub kept_config: Vec<KeptSetting>,
    /// Where Strimzi manages the topic: settings that the topic had beside the spec's when its KafkaTopic was made. They
    /// are listed in the KafkaTopic, because the Topic Operator resets what isn't.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "carried")]
    pub carried_config: BTreeMap<String, String>,
    /// The contract in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contract: Option<AcceptedContract>,
    /// The definition in force in the schema registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registered: Option<RegisteredSchema>,
    /// Labels of the contract in force, those that come by lineage, and `keptLabels`: each with the fields that carry it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["label".into()]))]
    pub labels: Vec<LabelledFields>,
    /// Labels that nothing brings any more, of values that were written before: a Pipeline is gone or has another query, or
    /// the contract has lost the field. One goes when its field is given it by hand and loses it again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["label".into()]))]
    pub kept_labels: Vec<LabelledFields>,
    /// Fingerprint of the queries that `labels` come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub labels_from: Option<String>,
    /// Name of the KafkaTopic object, where Strimzi manages the topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub kafka_topic: Option<String>,
}

/// A definition as the schema registry knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RegisteredSchema {
    /// The subject.
    #[schemars(length(max = 512))]
    pub subject: String,
    /// Id of the schema: what every record written under the contract in force carries.
    pub id: i32,
    /// Version of the schema in the subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i32>,
    /// Number of the contract that the schema is of.
    pub contract: i32,
}

/// A label and the fields that carry it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct LabelledFields {
    /// The label, such as pii.
    #[schemars(length(max = 63))]
    pub label: String,
    /// Names of the fields.
    #[schemars(length(max = 256), inner(length(max = 128)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub fields: Vec<String>,
}

/// The contract in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct AcceptedContract {
    /// Number of the contract, from 1.
    pub version: i32,
    /// Digest of the contract: equal contracts have equal fingerprints.
    #[schemars(length(max = 64))]
    pub fingerprint: String,
    /// Name of the immutable ConfigMap that holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub config_map: Option<String>,
    /// Which changes of it are accepted. Another `spec.compatibility` shows here once it counts: an apply that changes
    /// the contract, too, is judged by both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compatibility: Option<Compatibility>,
}

/// A setting that a topic kept when it was taken over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeptSetting {
    /// Kafka's name of the setting.
    #[schemars(length(max = 253))]
    pub key: String,
    /// What the spec asked for at that time.
    #[schemars(length(max = 1024))]
    pub asked: String,
    /// What the topic had, and keeps.
    #[schemars(length(max = 1024))]
    pub kept: String,
}
