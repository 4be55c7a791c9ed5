//! What a user may say about the pods that run a Source or a Pipeline.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{LocalObjectReference, ResourceRequirements, Toleration};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::{borrowed, references};

/// Pods' image, resources and placement.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodTemplate {
    /// Image of the Headworks runtime. Absent: the image the operator was installed with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,
    /// CPU and memory of the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "borrowed::resources")]
    pub resources: Option<ResourceRequirements>,
    /// Secrets for pulling the image, looked up in the pod's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "borrowed::image_pull_secrets")]
    pub image_pull_secrets: Option<Vec<LocalObjectReference>>,
    /// Labels of the nodes that the pods may run on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "borrowed::node_selector")]
    pub node_selector: Option<BTreeMap<String, String>>,
    /// Taints that the pods tolerate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "borrowed::tolerations")]
    pub tolerations: Option<Vec<Toleration>>,
    /// ServiceAccount of the pods. Absent: the namespace's default, without its token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = references::SUBDOMAIN_MAX), regex(pattern = references::SUBDOMAIN))]
    pub service_account_name: Option<String>,
}

impl PodTemplate {
    /// This template laid over another (a Platform's): a field that is given here replaces the other's whole
    /// field.
    #[must_use]
    pub fn over(&self, base: &Self) -> Self {
        Self {
            image: self.image.clone().or_else(|| base.image.clone()),
            resources: self.resources.clone().or_else(|| base.resources.clone()),
            image_pull_secrets: self
                .image_pull_secrets
                .clone()
                .or_else(|| base.image_pull_secrets.clone()),
            node_selector: self
                .node_selector
                .clone()
                .or_else(|| base.node_selector.clone()),
            tolerations: self
                .tolerations
                .clone()
                .or_else(|| base.tolerations.clone()),
            service_account_name: self
                .service_account_name
                .clone()
                .or_else(|| base.service_account_name.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_given_field_replaces_the_platforms_whole_field() {
        let platform: PodTemplate = serde_json::from_value(serde_json::json!({
            "image": "a", "nodeSelector": {"disk": "ssd", "zone": "1"}
        }))
        .unwrap();
        let own: PodTemplate =
            serde_json::from_value(serde_json::json!({"nodeSelector": {"zone": "2"}})).unwrap();
        let both = own.over(&platform);
        assert_eq!(both.image.as_deref(), Some("a"));
        assert_eq!(
            both.node_selector,
            Some([("zone".to_owned(), "2".to_owned())].into())
        );
    }
}
