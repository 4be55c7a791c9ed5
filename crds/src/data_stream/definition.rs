//! A contract in the words of Avro or Protobuf, and the texts that it needs.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::FIELD_NAME;
use crate::{ConfigMapKeyRef, references};

/// How the schema registry's subject is named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum SubjectNaming {
    /// `<topic>-value`.
    #[default]
    TopicName,
    /// The record's or message's full name.
    RecordName,
    /// `<topic>-<full name>`.
    TopicRecordName,
}

/// A Protobuf file, and which of its messages a record is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProtobufDefinition {
    /// Text of the file (proto2, proto3 or edition 2023). It may import google/protobuf/timestamp.proto and Google's other well-known types, and
    /// the files in `imports`.
    #[schemars(length(min = 1, max = DEFINITION_MAX))]
    pub schema: String,
    /// Full name of the message, such as `shop.Order`. Absent: the file's only (or first) message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 256),
        regex(pattern = r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$")
    )]
    pub message: Option<String>,
    /// Files that `schema` imports, and those that they import, in any order. They become part of the contract, as they
    /// are when it is accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = REFERENCES_MAX))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub imports: Vec<SchemaReference>,
}

/// A text that a definition needs: given here, or in a ConfigMap. All of a stream's have 128 KiB at most.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.text), has(self.configMap)].filter(x, x).size() == 1").message("exactly one of text and configMap is given"))]
pub struct SchemaReference {
    /// What it is called: of Protobuf the path as the import says it, such as common/money.proto; of Avro the full name of
    /// its type, such as geo.Address.
    #[schemars(
        length(min = 1, max = 256),
        regex(pattern = r"^[A-Za-z_][A-Za-z0-9_./-]*$")
    )]
    pub name: String,
    /// The text itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = DEFINITION_MAX))]
    pub text: Option<String>,
    /// A ConfigMap with the text, in this object's namespace. It is copied when a contract is accepted: a change of the
    /// ConfigMap is a change of the contract, noticed within a minute, and goes by `compatibility` as any other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map: Option<ConfigMapKeyRef>,
}

/// Most texts that a definition needs.
pub(super) const REFERENCES_MAX: u64 = 64;

/// Longest text of an Avro schema or a Protobuf file, in characters.
pub(super) const DEFINITION_MAX: u64 = 65_536;

/// Labels of a field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct FieldLabels {
    /// Name of the field.
    #[schemars(length(min = 1, max = 128), regex(pattern = FIELD_NAME))]
    pub field: String,
    /// Labels such as pii.
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 63), regex(pattern = references::LABEL)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub labels: Vec<String>,
}
