//! The runtime's image, where neither the command line nor the Platform names one.
//!
//! A pod with this image gets a Secret of Kafka's mounted, so it is taken only from whom the namespace's people trust anyhow: from
//! what runs in the namespace itself, whose pods mount the same Secrets, or from the operator. An operator is where a
//! cluster administrator has said that it is: anybody may make a Deployment with its labels.

use std::collections::{BTreeMap, BTreeSet};

use headworks_crds::GROUP;
use headworks_operator::names::{
    LABEL_KIND, LABEL_NAME, MANAGED_BY, MANAGED_BY_VALUE, label_value,
};
use headworks_operator::webhook::CONFIGURATION;
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::api::rbac::v1::ClusterRoleBinding;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::ListParams;
use kube::{Api, Client};

use super::{pod, wrong};
use crate::End;
use crate::commands::doctor::OPERATOR;

/// The operator's ClusterRoleBinding, and the ClusterRole in it.
const BINDING: &str = "headworks-operator";
/// The operator's setting for its pods' image.
const SETTING: &str = "HEADWORKS_RUNTIME_IMAGE";

/// The image of what runs in the namespace, else the operator's setting.
///
/// # Errors
/// Nobody trustworthy names one, or several do.
pub async fn image(client: &Client, namespace: &str) -> Result<String, End> {
    let ours = format!("{MANAGED_BY}={MANAGED_BY_VALUE}");
    let ours = ListParams::default().labels(&ours);
    let sets: Api<StatefulSet> = Api::namespaced(client.clone(), namespace);
    let sets = sets.list(&ours).await.map(|list| list.items);
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    let deployments = deployments.list(&ours).await.map(|list| list.items);
    let sets = sets.unwrap_or_default();
    let deployments = deployments.unwrap_or_default();
    let sets = sets
        .iter()
        .filter_map(|set| Some((&set.metadata, &set.spec.as_ref()?.template)));
    let here = deployments
        .iter()
        .filter_map(|one| Some((&one.metadata, &one.spec.as_ref()?.template)));
    if let Some(image) = of_workloads(sets.chain(here)) {
        return Ok(image);
    }
    let places = operators(client).await;
    let mut images = BTreeSet::new();
    for place in &places {
        let api: Api<Deployment> = Api::namespaced(client.clone(), place);
        let list = api.list(&ListParams::default().labels(OPERATOR)).await;
        images.extend(list.iter().flat_map(|list| settings(&list.items)));
    }
    let mut images = images.into_iter();
    match (images.next(), images.next()) {
        (Some(image), None) => Ok(image),
        (Some(one), Some(other)) => Err(wrong(format!(
            "the runtime's image isn't known: there are operators with {one} and {other}; name one with --image"
        ))),
        (None, _) => Err(wrong(format!(
            "the runtime's image isn't known: nothing of Headworks runs in namespace {namespace}, and {}; name it with --image",
            if places.is_empty() {
                format!(
                    "you may read neither ValidatingWebhookConfiguration {CONFIGURATION} nor ClusterRoleBinding {BINDING}, which say where the operator is, or they aren't there"
                )
            } else {
                let places: Vec<&str> = places.iter().map(String::as_str).collect();
                format!(
                    "the operator's Deployment in {} can't be read",
                    places.join(", ")
                )
            }
        ))),
    }
}

/// The image that most of the workloads have that the operator made.
fn of_workloads<'a>(
    workloads: impl Iterator<Item = (&'a ObjectMeta, &'a PodTemplateSpec)>,
) -> Option<String> {
    let mut images: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, template) in workloads.filter(|(meta, _)| is_ours(meta)) {
        let containers = template.spec.iter().flat_map(|spec| &spec.containers);
        let ours = containers.filter(|c| c.name == pod::CONTAINER);
        for image in ours.filter_map(|c| c.image.as_deref()) {
            *images.entry(image).or_default() += 1;
        }
    }
    let most = images.into_iter().max_by_key(|(_, count)| *count);
    most.map(|(image, _)| image.to_owned())
}

/// True: an object of ours controls it, and the labels name the same one.
fn is_ours(meta: &ObjectMeta) -> bool {
    let label = |key: &str| meta.labels.as_ref()?.get(key).map(String::as_str);
    let mut owners = meta.owner_references.iter().flatten();
    label(MANAGED_BY) == Some(MANAGED_BY_VALUE)
        && owners.any(|owner| {
            let group = owner.api_version.split_once('/').map(|(group, _)| group);
            owner.controller == Some(true)
                && group == Some(GROUP)
                && label(LABEL_KIND) == Some(&owner.kind)
                && label(LABEL_NAME) == Some(&label_value(&owner.name))
        })
}

/// The namespaces in which an operator is, by what only a cluster administrator writes.
async fn operators(client: &Client) -> BTreeSet<String> {
    let hooks: Api<ValidatingWebhookConfiguration> = Api::all(client.clone());
    let bindings: Api<ClusterRoleBinding> = Api::all(client.clone());
    let hook = hooks.get_opt(CONFIGURATION).await.ok().flatten();
    let binding = bindings.get_opt(BINDING).await.ok().flatten();
    namespaces(hook.as_ref(), binding.as_ref())
}

fn namespaces(
    hook: Option<&ValidatingWebhookConfiguration>,
    binding: Option<&ClusterRoleBinding>,
) -> BTreeSet<String> {
    let hooks = hook.iter().flat_map(|hook| hook.webhooks.iter().flatten());
    let services = hooks.filter_map(|hook| hook.client_config.service.as_ref());
    let asked = services.map(|service| service.namespace.clone());
    let bindings = binding.iter().filter(|b| b.role_ref.name == BINDING);
    let subjects = bindings.flat_map(|binding| binding.subjects.iter().flatten());
    let accounts = subjects.filter(|subject| subject.kind == "ServiceAccount");
    let bound = accounts.filter_map(|account| account.namespace.clone());
    asked.chain(bound).collect()
}

/// What operators have their pods run.
fn settings(operators: &[Deployment]) -> BTreeSet<String> {
    let pods = operators
        .iter()
        .filter_map(|one| one.spec.as_ref()?.template.spec.as_ref());
    let containers = pods.flat_map(|pod| &pod.containers);
    let env = containers.flat_map(|container| container.env.iter().flatten());
    let images = env.filter(|env| env.name == SETTING);
    images.filter_map(|env| env.value.clone()).collect()
}

#[cfg(test)]
mod tests;
