//! Conditions, as [kstatus](https://github.com/kubernetes-sigs/cli-utils/blob/master/pkg/kstatus/README.md)
//! reads them, so that Argo CD, Flux and `kubectl wait` know when an object is well.

pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::{Schema, SchemaGenerator, json_schema};

/// The object does what its spec says.
pub const READY: &str = "Ready";
/// The operator is still at work on the object, or waits for something that will come by itself.
pub const RECONCILING: &str = "Reconciling";
/// Nothing goes on until somebody changes the object or what it refers to.
pub const STALLED: &str = "Stalled";

/// Enough records pass: of a QualityRule, and of a DataStream that has one.
pub const HEALTHY: &str = "Healthy";
/// The streams that a Pipeline reads are healthy. There where one of them has a QualityRule.
pub const INPUTS_HEALTHY: &str = "InputsHealthy";

/// A Pipeline's own: what its stages counted is where its positions are, and what its tables hold is what was written.
pub const BALANCED: &str = "Balanced";

/// A Platform's own: its schema registry answers. Absent where it names none.
pub const SCHEMA_REGISTRY_READY: &str = "SchemaRegistryReady";

/// What the spec leaves open to whoever is on the network. It holds nothing up.
pub const INSECURE: &str = "Insecure";
/// A Platform's own: CRDs and operator are of different versions.
pub const CRD_VERSION_MISMATCH: &str = "CrdVersionMismatch";

/// A Replay's own: all of it is done.
pub const COMPLETE: &str = "Complete";

/// The longest message of a condition; longer ones must be cut before they are written.
pub const MAX_MESSAGE: usize = 4096;

/// The condition of that type, if it is there.
#[must_use]
pub fn find<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|c| c.type_ == type_)
}

/// Schema of `status.conditions`: Kubernetes' Condition, with bounds.
pub(crate) fn conditions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "description": "What is true of the object now: Ready, Reconciling, Stalled and the kind's own.",
        "type": "array",
        "maxItems": 16,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "required": ["type", "status", "reason", "message", "lastTransitionTime"],
            "properties": {
                "type": {
                    "description": "What the condition is about, such as Ready.",
                    "type": "string", "maxLength": 316,
                    "pattern": "^[A-Za-z0-9]([-A-Za-z0-9_./]*[A-Za-z0-9])?$",
                },
                "status": {
                    "description": "True, False or Unknown.",
                    "type": "string", "enum": ["True", "False", "Unknown"],
                },
                "reason": {
                    "description": "Why, in one word that programs can read.",
                    "type": "string", "minLength": 1, "maxLength": 1024,
                    "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
                },
                "message": {
                    "description": "What is so, where, and what to do about it.",
                    "type": "string", "maxLength": 32768,
                },
                "observedGeneration": {
                    "description": "The metadata.generation that the condition was set for.",
                    "type": "integer", "format": "int64", "minimum": 0,
                },
                "lastTransitionTime": {
                    "description": "When the status last changed.",
                    "type": "string", "format": "date-time", "maxLength": 64,
                },
            },
        },
    })
}
