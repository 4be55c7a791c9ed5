//! A Pipeline's tests: what comes in and what must come out.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::references;

/// A test of the query: what comes in and what must come out. `headworks test` runs it, without a cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PipelineTest {
    /// What the test shows, such as: small orders are left out.
    #[schemars(length(min = 1, max = 128))]
    pub name: String,
    /// Records that come in, by the name of their stream, in order. Of several streams, that one's record is next whose event
    /// time is least far.
    #[schemars(schema_with = "given")]
    pub given: BTreeMap<String, Vec<serde_json::Value>>,
    /// Rows that must come out, in any order. A field that isn't named here isn't compared.
    #[schemars(schema_with = "rows")]
    pub expect: Vec<serde_json::Value>,
    /// Dead letters that must come, in any order; an empty list: none may. Absent: they aren't looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub dead_letters: Option<Vec<ExpectedDeadLetter>>,
}

/// A dead letter that must come. What isn't named here isn't compared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExpectedDeadLetter {
    /// The stream whose record it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = references::LABEL_MAX), regex(pattern = references::LABEL))]
    pub stream: Option<String>,
    /// The record's number in `given`, from 0. A result that can't be written has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 255))]
    pub record: Option<i32>,
    /// Why it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<DeadLetterReason>,
}

/// Why a record is a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum DeadLetterReason {
    /// It isn't of the stream's format.
    Decode,
    /// It breaks the stream's contract.
    Contract,
    /// The query can't be evaluated for it, or its row can't be written in the target's form.
    Evaluation,
    /// Its row is larger than the target takes.
    TooLarge,
    /// Every window that it falls into was over.
    Late,
    /// It breaks a check of a quality rule.
    Quality,
}

/// Records of any shape; the stream's contract says which are right.
fn rows(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "maxItems": 256, "x-kubernetes-list-type": "atomic",
        "items": {"type": "object", "maxProperties": 256, "x-kubernetes-preserve-unknown-fields": true}})
}

fn given(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "maxProperties": 64, "additionalProperties": rows(generator)})
}
