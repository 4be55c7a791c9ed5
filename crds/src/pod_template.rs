//! What a user may say about the pods that run a Source, a Pipeline or a DataStore's watcher.
//!
//! The fields are those of Kubernetes' PodSpec that say where a pod runs, under whose name and with how much. Left out is
//! what would let a pod out of its sandbox (host namespaces, privileges, volumes of any kind) and what Headworks needs to decide
//! itself (command, probes, ports).

use std::collections::BTreeMap;

use garde::Validate;
use k8s_openapi::api::core::v1::{
    Affinity, LocalObjectReference, ResourceRequirements, Toleration, TopologySpreadConstraint,
};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{borrowed, placement, references};

/// Pods' image, resources and placement.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema, Validate)]
#[serde(rename_all = "camelCase")]
#[garde(allow_unvalidated)]
pub struct PodTemplate {
    /// Image of the Headworks runtime. Absent: the image the operator was installed with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,
    /// When the image is pulled. Absent: IfNotPresent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<ImagePullPolicy>,
    /// Secrets for pulling the image, looked up in the pod's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "borrowed::image_pull_secrets")]
    pub image_pull_secrets: Option<Vec<LocalObjectReference>>,
    /// CPU, memory and ephemeral storage of the container. Absent: little is asked for (10m of CPU, 64Mi of memory) and the
    /// memory is limited to 512Mi, each with what the query's state needs on top (with SESSION windows memory isn't limited).
    /// Given, it replaces all of that, except that the state's disk is still asked for where no ephemeral-storage is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "borrowed::resources")]
    pub resources: Option<ResourceRequirements>,
    /// Labels of the pods, beside those that Headworks finds them by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "placement::labels")]
    #[garde(inner(custom(keys())))]
    pub labels: Option<BTreeMap<String, String>>,
    /// Annotations of the pods, such as a service mesh's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "placement::annotations")]
    #[garde(inner(custom(keys())))]
    pub annotations: Option<BTreeMap<String, String>>,
    /// Environment variables of the container. Those that begin with HEADWORKS_ are Headworks' own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "placement::env")]
    #[garde(inner(custom(env_names())))]
    pub env: Option<Vec<EnvEntry>>,
    /// Labels of the nodes that the pods may run on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "borrowed::node_selector")]
    pub node_selector: Option<BTreeMap<String, String>>,
    /// Nodes and pods that the pods want to be near to, or away from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "placement::affinity")]
    pub affinity: Option<Affinity>,
    /// Taints that the pods tolerate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "borrowed::tolerations")]
    pub tolerations: Option<Vec<Toleration>>,
    /// How the pods are spread. A constraint without a labelSelector is about the pods of this object. Absent: over nodes and
    /// zones, where there is room. `[]`: not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "placement::topology_spread")]
    pub topology_spread_constraints: Option<Vec<TopologySpreadConstraint>>,
    /// PriorityClass of the pods. Absent: the cluster's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = references::SUBDOMAIN_MAX), regex(pattern = references::SUBDOMAIN))]
    pub priority_class_name: Option<String>,
    /// RuntimeClass of the pods, such as gvisor. Absent: the cluster's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = references::SUBDOMAIN_MAX), regex(pattern = references::SUBDOMAIN))]
    pub runtime_class_name: Option<String>,
    /// Scheduler that finds a node for the pods. Absent: the cluster's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = references::SUBDOMAIN_MAX), regex(pattern = references::SUBDOMAIN))]
    pub scheduler_name: Option<String>,
    /// User and groups of the process. It is never root, and the rest of the Pod Security Standard `restricted` always holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security_context: Option<PodUser>,
    /// How long a pod has to end by itself, in seconds: it finishes its last transaction meanwhile. Absent: 30.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 5, max = 3600))]
    pub termination_grace_period_seconds: Option<i64>,
    /// ServiceAccount of the pods. Absent: the namespace's default, without its token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = references::SUBDOMAIN_MAX), regex(pattern = references::SUBDOMAIN))]
    pub service_account_name: Option<String>,
}

/// When an image is pulled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ImagePullPolicy {
    /// At each start: for tags that move.
    Always,
    /// Where the node doesn't have it.
    IfNotPresent,
    /// Never: the node must have it.
    Never,
}

impl ImagePullPolicy {
    /// Kubernetes' word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::IfNotPresent => "IfNotPresent",
            Self::Never => "Never",
        }
    }
}

/// An environment variable.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvEntry {
    /// Its name.
    pub name: String,
    /// Its value.
    #[serde(default)]
    pub value: String,
}

/// User and groups of a pod's process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodUser {
    /// User of the process. Absent: 65532.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2_147_483_647))]
    pub run_as_user: Option<i64>,
    /// Group of the process. Absent: 65532.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2_147_483_647))]
    pub run_as_group: Option<i64>,
    /// Group that mounted files belong to. Absent: 65532.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2_147_483_647))]
    pub fs_group: Option<i64>,
    /// More groups of the process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "placement::groups")]
    pub supplemental_groups: Option<Vec<i64>>,
}

impl PodTemplate {
    /// This template laid over another (a Platform's): a field that is given here replaces the other's whole
    /// field.
    #[must_use]
    pub fn over(&self, base: &Self) -> Self {
        macro_rules! laid_over {
            ($($field:ident),+ $(,)?) => {
                Self { $($field: self.$field.clone().or_else(|| base.$field.clone())),+ }
            };
        }
        laid_over!(
            image,
            image_pull_policy,
            image_pull_secrets,
            resources,
            labels,
            annotations,
            env,
            node_selector,
            affinity,
            tolerations,
            topology_spread_constraints,
            priority_class_name,
            runtime_class_name,
            scheduler_name,
            security_context,
            termination_grace_period_seconds,
            service_account_name,
        )
    }
}

/// What a label or annotation is refused for that Headworks or Kubernetes sets itself.
const RESERVED: [&str; 7] = [
    "app.kubernetes.io/component",
    "app.kubernetes.io/instance",
    "app.kubernetes.io/managed-by",
    "apps.kubernetes.io/pod-index",
    "controller-revision-hash",
    "pod-template-hash",
    "statefulset.kubernetes.io/pod-name",
];

/// garde: keys that the user may set.
fn keys() -> impl Fn(&BTreeMap<String, String>, &()) -> garde::Result {
    |map, ()| {
        for key in map.keys() {
            let prefix = key.split_once('/').map_or("", |(prefix, _)| prefix);
            if RESERVED.contains(&key.as_str())
                || prefix == "headworks.dev"
                || prefix.ends_with(".headworks.dev")
            {
                return Err(garde::Error::new(format!(
                    "{key} is set by Headworks or Kubernetes itself: choose another key"
                )));
            }
            if !is_qualified(key) {
                return Err(garde::Error::new(format!(
                    "{key:?} is no key: write it as name or example.com/name, the name with at most 63 letters, digits, '-', '_' or '.'"
                )));
            }
        }
        Ok(())
    }
}

/// Kubernetes' qualified name: an optional DNS subdomain and a slash, and a name.
fn is_qualified(key: &str) -> bool {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    let ends = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.ends_with(|c: char| c.is_ascii_alphanumeric())
    };
    let lower = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
    prefix.is_none_or(|p| p.len() <= 253 && ends(p) && p.chars().all(lower))
        && name.len() <= 63
        && ends(name)
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

/// garde: variables that the user may set.
fn env_names() -> impl Fn(&Vec<EnvEntry>, &()) -> garde::Result {
    |env, ()| match env
        .iter()
        .find(|e| e.name.starts_with("HEADWORKS_") && e.name != "HEADWORKS_LOG")
    {
        Some(entry) => Err(garde::Error::new(format!(
            "{} is set by Headworks itself: take it out (HEADWORKS_LOG, what is logged, may be set)",
            entry.name
        ))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn template(value: serde_json::Value) -> PodTemplate {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_given_field_replaces_the_platforms_whole_field() {
        let platform = template(json!({
            "image": "a", "nodeSelector": {"disk": "ssd", "zone": "1"}, "labels": {"team": "core"},
            "priorityClassName": "low",
        }));
        let own = template(json!({"nodeSelector": {"zone": "2"}, "priorityClassName": "high"}));
        let both = own.over(&platform);
        assert_eq!(both.image.as_deref(), Some("a"));
        assert_eq!(
            both.node_selector,
            Some([("zone".to_owned(), "2".to_owned())].into())
        );
        assert_eq!(both.priority_class_name.as_deref(), Some("high"));
        assert_eq!(
            both.labels,
            Some([("team".to_owned(), "core".to_owned())].into())
        );
    }

    #[test]
    fn no_field_is_forgotten_when_one_template_is_laid_over_another() {
        let all = template(json!({
            "image": "i", "imagePullPolicy": "Always", "imagePullSecrets": [{"name": "s"}],
            "resources": {"limits": {"cpu": "1"}}, "labels": {"a": "b"}, "annotations": {"a": "b"},
            "env": [{"name": "A", "value": "b"}], "nodeSelector": {"a": "b"}, "affinity": {"podAffinity": {}},
            "tolerations": [{"key": "k"}], "topologySpreadConstraints": [], "priorityClassName": "p",
            "runtimeClassName": "r", "schedulerName": "s", "securityContext": {"runAsUser": 1000},
            "terminationGracePeriodSeconds": 60, "serviceAccountName": "a",
        }));
        let fields = serde_json::to_value(&all).unwrap();
        assert_eq!(
            fields.as_object().unwrap().len(),
            17,
            "a new field belongs here, too"
        );
        let empty = PodTemplate::default();
        assert_eq!(empty.over(&all), all);
        assert_eq!(all.over(&empty), all);
    }

    #[test]
    fn labels_and_variables_that_are_headworks_own_are_refused_with_their_name() {
        let fault = |value| template(value).validate().err().map(|e| e.to_string());
        for (value, word) in [
            (
                json!({"labels": {"headworks.dev/name": "x"}}),
                "headworks.dev/name",
            ),
            (
                json!({"labels": {"app.kubernetes.io/managed-by": "x"}}),
                "managed-by",
            ),
            (
                json!({"annotations": {"headworks.dev/inputs": "x"}}),
                "inputs",
            ),
            (json!({"labels": {"no key": "x"}}), "example.com/name"),
            (json!({"labels": {"-x": "x"}}), "no key"),
            (json!({"annotations": {"Example.com/x": "x"}}), "no key"),
            (
                json!({"env": [{"name": "HEADWORKS_POD_NAME", "value": "x"}]}),
                "HEADWORKS_POD_NAME",
            ),
        ] {
            let fault = fault(value.clone()).unwrap_or_default();
            assert!(fault.contains(word), "{value}: {fault}");
        }
        for value in [
            json!({"labels": {"team": "core", "example.com/cost-centre": ""}}),
            json!({"annotations": {"sidecar.istio.io/inject": "false"}}),
            json!({"env": [{"name": "HEADWORKS_LOG", "value": "debug"}, {"name": "TZ"}]}),
        ] {
            assert_eq!(fault(value), None);
        }
    }
}
