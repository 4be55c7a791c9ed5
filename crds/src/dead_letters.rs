//! How many dead letters an object has had.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// What a status says of dead letters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetterStatus {
    /// Records sent to dead-letter topics since the object was made, rounded down to three digits. A pod that is killed takes
    /// along what it counted in its last seconds: there may be a few more, and never fewer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_letters: Option<i64>,
    /// When the last one came. Moves at most once a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "instant")]
    pub last_dead_letter_time: Option<Time>,
    /// How many of them there were by reason (Decode, Contract, Quality and others), each rounded down to three digits.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "by_reason")]
    pub dead_letters_by_reason: BTreeMap<String, i64>,
    /// Why the last one became one, as far as it was told when lastDeadLetterTime moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub last_dead_letter_reason: Option<String>,
    /// Where its record was read, topic[partition]@offset. Absent: it was given to a Source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 320))]
    pub last_dead_letter_place: Option<String>,
    /// How deadLetters comes about. Absent: there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_letter_count: Option<DeadLetterCount>,
}

/// How a count of dead letters comes about: pods count since their process began.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetterCount {
    /// What processes counted that are gone.
    pub ended: i64,
    /// What each pod has counted, by the pod's UID.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "pods")]
    pub pods: BTreeMap<String, i64>,
    /// The same by reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "reasons")]
    pub reasons: BTreeMap<String, ReasonCount>,
}

/// How the count of one reason comes about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReasonCount {
    /// What processes counted that are gone.
    pub ended: i64,
    /// What each pod has counted, by the pod's UID.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pods: BTreeMap<String, i64>,
}

fn by_reason(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "maxProperties": 16,
        "description": "How many of them there were by reason (Decode, Contract, Quality and others), each rounded down to three digits.",
        "additionalProperties": {"type": "integer", "format": "int64"}})
}

fn reasons(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "maxProperties": 16,
        "description": "The same by reason.",
        "additionalProperties": {"type": "object", "required": ["ended"], "properties": {
            "ended": {"type": "integer", "format": "int64", "description": "What processes counted that are gone."},
            "pods": {"type": "object", "maxProperties": 1024,
                "description": "What each pod has counted, by the pod's UID.",
                "additionalProperties": {"type": "integer", "format": "int64"}}}}})
}

fn pods(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "maxProperties": 1024,
        "description": "What each pod has counted, by the pod's UID.",
        "additionalProperties": {"type": "integer", "format": "int64"}})
}

/// Schema of an instant.
fn instant(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "format": "date-time", "maxLength": 64})
}
