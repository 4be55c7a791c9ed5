//! Replay: records that were put aside, or a part of a stream, once more.

use garde::Validate;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::{
    Condition, DeadLetterStatus, PodTemplate, Quantity, WorkloadStatus, borrowed, conditions,
    references,
};

/// What a Replay is.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema, Validate)]
#[kube(
    group = "headworks.dev",
    version = "v1alpha1",
    kind = "Replay",
    plural = "replays",
    singular = "replay",
    category = "headworks",
    namespaced,
    status = "ReplayStatus",
    derive = "PartialEq",
    cel,
    doc = "Records once more: dead letters, put right by SQL where that is needed, or a part of a stream. Each is written exactly once, over kills of the pod and over deletion and re-creation of the object.",
    validation = Rule::new("self.metadata.name.size() <= 48 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')").message("metadata.name may have at most 48 characters, begins with a letter and has no dots: pods are named after it"),
    printcolumn(name = "PHASE", type_ = "string", json_path = ".status.phase", description = "How far it is"),
    printcolumn(name = "REPLAYED", type_ = "integer", json_path = ".status.replayed", description = "Records written"),
    printcolumn(name = "OF", type_ = "integer", json_path = ".status.of", description = "Offsets in the part that is replayed: at most so many records"),
    printcolumn(name = "RATE", type_ = "string", json_path = ".status.rate", description = "Records replayed in a second"),
    printcolumn(name = "REFUSED", type_ = "integer", json_path = ".status.refused", description = "Records that became dead letters again"),
    printcolumn(name = "REASON", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#, priority = "1", description = "Why it is or isn't ready"),
    printcolumn(name = "AGE", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.from == oldSelf.from").message("from can't change: some of it may be replayed already; make a new Replay").field_path(".from"))]
#[x_kube(validation = Rule::new("has(self.into) == has(oldSelf.into) && (!has(self.into) || self.into == oldSelf.into)").message("into can't change: some of it may be replayed already; make a new Replay").field_path(".into"))]
#[x_kube(validation = Rule::new("has(self.fix) == has(oldSelf.fix) && (!has(self.fix) || self.fix == oldSelf.fix)").message("fix can't change: some of it may be replayed already; make a new Replay").field_path(".fix"))]
#[garde(allow_unvalidated)]
pub struct ReplaySpec {
    /// What is replayed. Can't change.
    pub from: ReplayFrom,
    /// Puts records right on their way: a query over the stream that `from` names, row by row, whose columns must satisfy the
    /// contract of the stream that is written, or that the Pipeline reads. Rows that it leaves out aren't replayed. Absent: records go as they are. Can't
    /// change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 65536))]
    pub fix: Option<String>,
    /// Where the records go. Absent: into the stream that `from` names. Can't change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub into: Option<ReplayInto>,
    /// Most records in a second, such as 500 or 20k. Absent: as fast as Kafka takes them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(custom(borrowed::amount(1, 1_000_000)))]
    pub records_per_second: Option<Quantity>,
    /// True: somebody who may has looked at it. Needed where the Platform says `replays: {approval: Required}`.
    #[serde(default)]
    pub approved: bool,
    /// True: the pod is taken away until it is false again; what was replayed is kept.
    #[serde(default)]
    pub suspend: bool,
    /// The pod's image, resources and placement. A field that is given here replaces the Platform's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(dive)]
    pub pod_template: Option<PodTemplate>,
}

/// What is replayed: the dead letters of a stream, or a part of a stream.
///
/// It ends where the topic ended when the Replay first ran, so that what comes later, and what is refused again, isn't part of
/// it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.deadLetterOf) != has(self.stream)").message("from needs exactly one of deadLetterOf and stream"))]
#[x_kube(validation = Rule::new("has(self.deadLetterOf) || (!has(self.reasons) && !has(self.rules) && !has(self.by))").message("reasons, rules and by select dead letters: they go with deadLetterOf"))]
pub struct ReplayFrom {
    /// Name of the DataStream, in this namespace, whose dead letters are replayed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = references::LABEL_MAX), regex(pattern = references::LABEL))]
    pub dead_letter_of: Option<String>,
    /// Name of the DataStream, in this namespace, whose records are replayed: into another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = references::LABEL_MAX), regex(pattern = references::LABEL))]
    pub stream: Option<String>,
    /// Only what was written at or after this instant, by Kafka's timestamp: that of a dead letter is its record's. Absent: from
    /// the oldest record kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "instant")]
    pub start: Option<Time>,
    /// Only what comes before the first record of this instant or a later one. Absent: to the end that there is when it first
    /// runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "instant")]
    pub end: Option<Time>,
    /// Only dead letters for these reasons. Absent: for any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub reasons: Vec<ReplayReason>,
    /// Only dead letters by these QualityRules. Absent: by any, and by none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = references::SUBDOMAIN_MAX), regex(pattern = references::SUBDOMAIN)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub rules: Vec<String>,
    /// Only dead letters that these Pipelines and Sources of this namespace wrote. Two Pipelines that can't use the same record
    /// write a dead letter each, and both would be replayed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = references::LABEL_MAX), regex(pattern = references::LABEL)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub by: Vec<String>,
    /// Only records for which this condition over the stream's fields is true, such as `amount > 0`. With a `fix`, it stands in
    /// its WHERE instead.
    #[serde(default, rename = "where", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 8192))]
    pub condition: Option<String>,
}

impl ReplayFrom {
    /// What it selects by, each as it stands in `from`: `rules: orders-sane`. Empty: it takes all that is there.
    pub fn filters(&self) -> Vec<String> {
        let listed = |field: &str, of: &[String]| {
            (!of.is_empty()).then(|| format!("{field}: {}", of.join(", ")))
        };
        let reasons: Vec<String> = self.reasons.iter().map(|of| format!("{of:?}")).collect();
        let at = |field: &str, of: Option<&Time>| of.map(|at| format!("{field}: {}", at.0));
        [
            at("start", self.start.as_ref()),
            at("end", self.end.as_ref()),
            listed("reasons", &reasons),
            listed("rules", &self.rules),
            listed("by", &self.by),
            self.condition.as_ref().map(|sql| format!("where: {sql}")),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// Where records go: into a stream, for whoever reads it, or into one Pipeline alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.stream) != has(self.pipeline)").message("into needs exactly one of stream and pipeline"))]
pub struct ReplayInto {
    /// Name of the DataStream, in this namespace, on the same Platform.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = references::LABEL_MAX), regex(pattern = references::LABEL))]
    pub stream: Option<String>,
    /// Name of a Pipeline, in this namespace, that reads the stream that `from` names. It alone sees the records, as if they had come by
    /// the stream. Without `from.by`, only its own dead letters are replayed: the others it has used already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = references::LABEL_MAX), regex(pattern = references::LABEL))]
    pub pipeline: Option<String>,
}

/// Why a record became a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ReplayReason {
    /// It isn't of the stream's format.
    Decode,
    /// It breaks the stream's contract.
    Contract,
    /// It breaks a QualityRule.
    Quality,
    /// A query can't be evaluated for it, or its row can't be written in the target's form.
    Evaluation,
    /// It, or its row, is larger than the target takes.
    TooLarge,
    /// The store refused its row.
    StoreRefused,
    /// Every window that it falls into was over.
    Late,
}

/// How far a Replay is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ReplayPhase {
    /// Nothing runs yet.
    #[default]
    Pending,
    /// The Platform wants `approved: true`.
    WaitingForApproval,
    /// The pod replays, or starts.
    Running,
    /// `suspend` is true.
    Suspended,
    /// All of it is done, and the pod is gone.
    Complete,
    /// Nothing goes on until somebody acts.
    Failed,
}

/// What is known of a Replay.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReplayStatus {
    /// The `metadata.generation` this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// What is true of the object now: Ready, Reconciling, Stalled, Complete.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions::conditions")]
    pub conditions: Vec<Condition>,
    /// The Platform whose Kafka has the Replay's own user. Absent: it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub platform: Option<String>,
    /// How far it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<ReplayPhase>,
    /// The consumer group that holds what was replayed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 249))]
    pub group: Option<String>,
    /// Offsets in the part that is replayed. Markers of transactions take offsets, too: at most so many records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<i64>,
    /// How many of these offsets are behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<i64>,
    /// Records that were selected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selected: Option<i64>,
    /// Records that were written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replayed: Option<i64>,
    /// Records that became dead letters again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<i64>,
    /// Dead letters whose end was cut off (header headworks.truncated). They aren't the record and stay where they are: it
    /// is whole at its origin, which their headers name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truncated: Option<i64>,
    /// When all of it was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "instant")]
    pub completion_time: Option<Time>,
    /// Its pod.
    #[serde(flatten)]
    pub workload: WorkloadStatus,
    /// Records replayed in a second, such as 1.2k.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub rate: Option<String>,
    /// Its dead letters.
    #[serde(flatten)]
    pub letters: DeadLetterStatus,
}

impl ReplaySpec {
    /// The stream that `from` names; empty where it names none, which the API server refuses.
    #[must_use]
    pub fn source(&self) -> &str {
        let from = self
            .from
            .dead_letter_of
            .as_ref()
            .or(self.from.stream.as_ref());
        from.map_or("", String::as_str)
    }

    /// The stream whose contract the records must satisfy: the one that is written, or the one that a Pipeline would read them from.
    #[must_use]
    pub fn target(&self) -> &str {
        let stream = self.into.as_ref().and_then(|into| into.stream.as_deref());
        stream.unwrap_or_else(|| self.source())
    }

    /// The one Pipeline that sees the records.
    #[must_use]
    pub fn into_pipeline(&self) -> Option<&str> {
        self.into.as_ref().and_then(|into| into.pipeline.as_deref())
    }

    /// Where the spec names the stream that is read: `spec.from.deadLetterOf` or `spec.from.stream`.
    #[must_use]
    pub fn source_field(&self) -> &'static str {
        if self.from.dead_letter_of.is_some() {
            "spec.from.deadLetterOf"
        } else {
            "spec.from.stream"
        }
    }

    /// Where the spec names what is written: a stream or a Pipeline.
    #[must_use]
    pub fn target_field(&self) -> &'static str {
        match &self.into {
            Some(into) if into.pipeline.is_some() => "spec.into.pipeline",
            Some(_) => "spec.into.stream",
            None => self.source_field(),
        }
    }
}

impl ReplayReason {
    /// The word that stands in the header `headworks.reason`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            ReplayReason::Decode => "Decode",
            ReplayReason::Contract => "Contract",
            ReplayReason::Quality => "Quality",
            ReplayReason::Evaluation => "Evaluation",
            ReplayReason::TooLarge => "TooLarge",
            ReplayReason::StoreRefused => "StoreRefused",
            ReplayReason::Late => "Late",
        }
    }
}

/// Schema of an instant.
fn instant(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "format": "date-time", "maxLength": 64})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_of_a_dead_letter_can_be_selected_by_its_word() {
        for reason in headworks_plan::DeadLetterReason::ALL {
            let word = serde_json::Value::from(reason.as_str());
            let named: ReplayReason = serde_json::from_value(word).unwrap();
            assert_eq!(named.as_str(), reason.as_str());
        }
    }
}
