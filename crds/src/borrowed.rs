//! Bounded schemas for the few Kubernetes types that our kinds take over as they are, and the garde checks
//! that several kinds share.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::json;

use crate::{Duration, Quantity, references::SUBDOMAIN};

const LABEL_KEY: u32 = 317;
const LABEL_VALUE: u32 = 63;

/// A label selector.
pub(crate) fn label_selector(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "x-kubernetes-map-type": "atomic",
        "properties": {
            "matchLabels": {
                "description": "Labels with exactly these values.",
                "type": "object", "maxProperties": 32,
                "additionalProperties": {"type": "string", "maxLength": LABEL_VALUE},
            },
            "matchExpressions": {
                "description": "Requirements, all of which must hold.",
                "type": "array", "maxItems": 32, "x-kubernetes-list-type": "atomic",
                "items": {
                    "type": "object",
                    "required": ["key", "operator"],
                    "properties": {
                        "key": {
                            "description": "Label key.",
                            "type": "string", "minLength": 1, "maxLength": LABEL_KEY,
                        },
                        "operator": {
                            "description": "How the label's value relates to the values.",
                            "type": "string", "enum": ["In", "NotIn", "Exists", "DoesNotExist"],
                        },
                        "values": {
                            "description": "Values for In and NotIn; empty for Exists and DoesNotExist.",
                            "type": "array", "maxItems": 64, "x-kubernetes-list-type": "atomic",
                            "items": {"type": "string", "maxLength": LABEL_VALUE},
                        },
                    },
                },
            },
        },
    })
}

/// CPU and memory of a container.
pub(crate) fn resources(_: &mut SchemaGenerator) -> Schema {
    let amounts = |description: &str| {
        json!({
            "description": description,
            "type": "object", "maxProperties": 16,
            "additionalProperties": {
                "x-kubernetes-int-or-string": true,
                "maxLength": 32,
                "pattern": r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$",
            },
        })
    };
    json_schema!({
        "type": "object",
        "properties": {
            "requests": amounts("What the pod is given at least, such as cpu: 500m, memory: 256Mi."),
            "limits": amounts("What the pod may use at most, such as memory: 1Gi."),
        },
    })
}

/// Tolerations of a pod.
pub(crate) fn tolerations(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array", "maxItems": 32, "x-kubernetes-list-type": "atomic",
        "items": {
            "type": "object",
            "properties": {
                "key": {"description": "Taint key; empty with Exists: every taint.", "type": "string", "maxLength": LABEL_KEY},
                "operator": {"description": "Equal (default) or Exists.", "type": "string", "enum": ["Equal", "Exists"]},
                "value": {"description": "Taint value for Equal.", "type": "string", "maxLength": LABEL_VALUE},
                "effect": {
                    "description": "Taint effect; absent: every effect.",
                    "type": "string", "enum": ["NoSchedule", "PreferNoSchedule", "NoExecute"],
                },
                "tolerationSeconds": {
                    "description": "For NoExecute: how long the pod stays, in seconds.",
                    "type": "integer", "format": "int64",
                },
            },
        },
    })
}

/// Names of image pull secrets.
pub(crate) fn image_pull_secrets(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array", "maxItems": 8,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name"],
        "items": {
            "type": "object",
            "required": ["name"],
            "properties": {
                "name": {
                    "description": "Name of a Secret in the pod's namespace.",
                    "type": "string", "minLength": 1, "maxLength": 253, "pattern": SUBDOMAIN,
                },
            },
        },
    })
}

/// Labels that a node must have.
pub(crate) fn node_selector(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object", "maxProperties": 32, "x-kubernetes-map-type": "atomic",
        "additionalProperties": {"type": "string", "maxLength": LABEL_VALUE},
    })
}

/// garde: a duration that must lie between two others (milliseconds).
pub(crate) fn between(min: u64, max: u64) -> impl Fn(&Duration, &()) -> garde::Result {
    move |duration, ()| {
        if (min..=max).contains(&duration.millis()) {
            return Ok(());
        }
        let (min, max) = (Duration::from_millis(min), Duration::from_millis(max));
        Err(garde::Error::new(format!(
            "{duration} is out of range: choose between {min} and {max}"
        )))
    }
}

/// garde: a quantity, if given, that must lie between two numbers.
pub(crate) fn amount(min: u64, max: u64) -> impl Fn(&Option<Quantity>, &()) -> garde::Result {
    move |quantity, ()| match quantity {
        Some(q) if !(min..=max).contains(&q.value()) => Err(garde::Error::new(format!(
            "{q} is out of range: choose between {min} and {max}"
        ))),
        _ => Ok(()),
    }
}

/// garde: a quantity that must lie between two numbers.
pub(crate) fn amount_of(min: u64, max: u64) -> impl Fn(&Quantity, &()) -> garde::Result {
    move |quantity, ()| amount(min, max)(&Some(quantity.clone()), &())
}

/// garde: a size in bytes of at least 1 and at most `max`.
pub(crate) fn at_most(max: u64) -> impl Fn(&Quantity, &()) -> garde::Result {
    move |quantity, ()| {
        if (1..=max).contains(&quantity.value()) {
            return Ok(());
        }
        Err(garde::Error::new(format!(
            "{quantity} is out of range: choose between 1 and {max} bytes"
        )))
    }
}
