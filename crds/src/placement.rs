//! Bounded schemas of what PodSpec says about placement: labels, environment, affinity, spread.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use crate::{
    borrowed,
    references::{LABEL, LABEL_MAX},
};

const LABEL_KEY: u32 = 317;

/// Labels of a pod.
pub(crate) fn labels(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object", "maxProperties": 32, "x-kubernetes-map-type": "atomic",
        "additionalProperties": {
            "type": "string", "maxLength": 63, "pattern": "^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$",
        },
    })
}

/// Annotations of a pod.
pub(crate) fn annotations(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object", "maxProperties": 32, "x-kubernetes-map-type": "atomic",
        "additionalProperties": {"type": "string", "maxLength": 4096},
    })
}

/// Environment variables.
pub(crate) fn env(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array", "maxItems": 32,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name"],
        "items": {
            "type": "object",
            "required": ["name"],
            "properties": {
                "name": {
                    "description": "Name of the variable.",
                    "type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[A-Za-z_][A-Za-z0-9_]*$",
                },
                "value": {
                    "description": "Its value. Nothing secret belongs here: whoever may read the object reads it.",
                    "type": "string", "maxLength": 4096, "default": "",
                },
            },
        },
    })
}

/// Groups of a process.
pub(crate) fn groups(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array", "maxItems": 16, "x-kubernetes-list-type": "set",
        "items": {"type": "integer", "format": "int64", "minimum": 1, "maximum": 2_147_483_647},
    })
}

/// Node, pod and anti-affinity.
pub(crate) fn affinity(generator: &mut SchemaGenerator) -> Schema {
    let term = pod_term(generator);
    let pods = |what: &str| {
        json!({
            "description": what,
            "type": "object",
            "properties": {
                "requiredDuringSchedulingIgnoredDuringExecution": list(
                    "What must hold for a node: all of these terms.", &term),
                "preferredDuringSchedulingIgnoredDuringExecution": list(
                    "What a node is preferred for.",
                    &weighted("podAffinityTerm", "The pods, and how near.", &term),
                ),
            },
        })
    };
    let node_terms = json!({
        "type": "object",
        "properties": {
            "matchExpressions": list("Requirements on a node's labels, all of which must hold.", &requirement()),
            "matchFields": list("Requirements on a node's fields, such as metadata.name.", &requirement()),
        },
    });
    let near = pods("Pods beside which the pods must, or would rather, run.");
    let away = pods("Pods beside which the pods must not, or would rather not, run.");
    json_schema!({
        "type": "object", "x-kubernetes-map-type": "atomic",
        "properties": {
            "nodeAffinity": {
                "description": "Nodes on which the pods must, or would rather, run.",
                "type": "object",
                "properties": {
                    "requiredDuringSchedulingIgnoredDuringExecution": {
                        "description": "What must hold for a node: one of these terms.",
                        "type": "object",
                        "required": ["nodeSelectorTerms"],
                        "properties": {"nodeSelectorTerms": list("Terms of which one must hold.", &node_terms)},
                    },
                    "preferredDuringSchedulingIgnoredDuringExecution": list(
                        "What a node is preferred for.",
                        &weighted("preference", "What holds for the node.", &node_terms),
                    ),
                },
            },
            "podAffinity": near,
            "podAntiAffinity": away,
        },
    })
}

/// How pods are spread.
pub(crate) fn topology_spread(generator: &mut SchemaGenerator) -> Schema {
    let policy =
        |what: &str| json!({"description": what, "type": "string", "enum": ["Honor", "Ignore"]});
    json_schema!({
        "type": "array", "maxItems": 8, "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["topologyKey", "whenUnsatisfiable"],
        "items": {
            "type": "object",
            "required": ["maxSkew", "topologyKey", "whenUnsatisfiable"],
            "properties": {
                "maxSkew": {
                    "description": "How many pods more than another a domain may have.",
                    "type": "integer", "format": "int32", "minimum": 1, "maximum": 1024,
                },
                "topologyKey": {
                    "description": "Label of nodes whose values are the domains, such as kubernetes.io/hostname.",
                    "type": "string", "minLength": 1, "maxLength": LABEL_KEY,
                },
                "whenUnsatisfiable": {
                    "description": "DoNotSchedule: a pod waits. ScheduleAnyway: it is only preferred.",
                    "type": "string", "enum": ["DoNotSchedule", "ScheduleAnyway"],
                },
                "labelSelector": described("Pods that are counted. Absent: those of this object.",
                    &borrowed::label_selector(generator)),
                "matchLabelKeys": names("Labels whose values the counted pods share with the one to be placed."),
                "minDomains": {
                    "description": "For DoNotSchedule: how many domains there must be at least.",
                    "type": "integer", "format": "int32", "minimum": 1, "maximum": 1024,
                },
                "nodeAffinityPolicy": policy("Whether only nodes that affinity and nodeSelector allow are counted."),
                "nodeTaintsPolicy": policy("Whether only nodes whose taints are tolerated are counted."),
            },
        },
    })
}

fn list(what: &str, items: &Value) -> Value {
    json!({"description": what, "type": "array", "maxItems": 16, "x-kubernetes-list-type": "atomic", "items": items})
}

fn names(what: &str) -> Value {
    list(
        what,
        &json!({"type": "string", "minLength": 1, "maxLength": LABEL_KEY}),
    )
}

fn described(what: &str, schema: &Schema) -> Value {
    let mut value = schema.clone().to_value();
    value["description"] = what.into();
    value
}

fn weighted(name: &str, what: &str, term: &Value) -> Value {
    let mut term = term.clone();
    term["description"] = what.into();
    json!({
        "type": "object",
        "required": ["weight", name],
        "properties": {
            "weight": {
                "description": "How much it counts beside others.",
                "type": "integer", "format": "int32", "minimum": 1, "maximum": 100,
            },
            name: term,
        },
    })
}

fn requirement() -> Value {
    json!({
        "type": "object",
        "required": ["key", "operator"],
        "properties": {
            "key": {"description": "Label or field of the node.", "type": "string", "minLength": 1, "maxLength": LABEL_KEY},
            "operator": {
                "description": "How its value relates to the values.",
                "type": "string", "enum": ["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"],
            },
            "values": list("Values to compare with.", &json!({"type": "string", "maxLength": 253})),
        },
    })
}

fn pod_term(generator: &mut SchemaGenerator) -> Value {
    let selector = borrowed::label_selector(generator);
    json!({
        "type": "object",
        "required": ["topologyKey"],
        "properties": {
            "labelSelector": described("The pods, by their labels.", &selector),
            "namespaceSelector": described("Namespaces of the pods, by their labels. {}: all.", &selector),
            "namespaces": list("Namespaces of the pods, by name. Absent, with no namespaceSelector: this one.",
                &json!({"type": "string", "minLength": 1, "maxLength": LABEL_MAX, "pattern": LABEL})),
            "topologyKey": {
                "description": "Label of nodes that says what is near, such as kubernetes.io/hostname.",
                "type": "string", "minLength": 1, "maxLength": LABEL_KEY,
            },
            "matchLabelKeys": names("Labels whose values the pods share with the one to be placed."),
            "mismatchLabelKeys": names("Labels whose values the pods don't share with the one to be placed."),
        },
    })
}
