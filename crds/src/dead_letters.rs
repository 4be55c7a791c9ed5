//! How many dead letters an object has had.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

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
}

fn pods(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "maxProperties": 1024,
        "description": "What each pod has counted, by the pod's UID.",
        "additionalProperties": {"type": "integer", "format": "int64"}})
}

/// Schema of an instant.
pub(crate) fn instant(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "format": "date-time", "maxLength": 64})
}
