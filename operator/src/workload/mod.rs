//! What all kinds with pods have in common: pods that are told a plan and report on themselves.
//!
//! A kind says what runs (`definition`), and `roll_out` does the rest: `children` builds it, `turns` says when a change that reaches
//! many objects comes to this one, and `health` what the conditions say of the pods. `plan_map` is a plan in an immutable ConfigMap,
//! `pod` the pod template, `service` and `guards` what stands before and around the pods.

pub mod children;
pub mod counts;
pub mod definition;
pub mod figures;
pub mod guards;
pub mod health;
pub mod namesakes;
pub mod plan_map;
pub mod pod;
pub mod resources;
pub mod roll_out;
mod service;
pub mod state_volume;
pub mod turns;
mod unblock;

use std::{collections::BTreeSet, sync::Arc};

use headworks_plan::Plan;
use k8s_openapi::api::{
    apps::v1::ControllerRevision,
    core::v1::{Pod, PodSpec},
};
use kube::{
    Api, Resource, ResourceExt,
    api::{ListParams, Patch, PatchParams},
    core::NamespaceResourceScope,
};
use serde::de::DeserializeOwned;
use serde_json::json;

pub use definition::{OnKafka, Shape, Workload};
pub use roll_out::RollOut;

use crate::{
    access::workload::MAX_MEMBERS,
    context::Context,
    names::{FIELD_MANAGER, Key},
    retry::Error,
    stores,
};

/// A StatefulSet keeps ten revisions; more than this many aren't its own.
const MAX_REVISIONS: u32 = 64;

/// Takes the pods away at once, whatever else may be wrong with the object.
pub async fn scale_to_zero<K>(
    context: &Context,
    live: &K,
    replicas: Option<i32>,
) -> Result<(), Error>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + DeserializeOwned
        + Clone
        + std::fmt::Debug,
{
    if replicas == Some(0) {
        return Ok(());
    }
    let api: Api<K> = Api::namespaced(
        context.client.clone(),
        &live.namespace().unwrap_or_default(),
    );
    let params = PatchParams {
        field_manager: Some(FIELD_MANAGER.into()),
        ..PatchParams::default()
    };
    context.metrics.wrote(&K::kind(&()));
    let body = json!({"metadata": {"uid": live.uid()}, "spec": {"replicas": 0}});
    api.patch(&live.name_any(), &params, &Patch::Merge(&body))
        .await
        .map_err(|e| Error::api("suspending", &e))?;
    Ok(())
}

/// Removes plans that nothing names any more. `digests`: of the plan that is wanted, and of the one that pods go on with.
pub async fn collect_unused_plans(
    context: &Context,
    key: &Key,
    uid: &str,
    digests: [&str; 2],
) -> Result<(), Error> {
    let maps = stores::children(&context.stores.config_maps, key, uid);
    let mut named: BTreeSet<String> = context
        .stores
        .pods_left(key, uid)
        .iter()
        .flat_map(|pod| mounted(pod.spec.as_ref()))
        .collect();
    named.extend(
        maps.iter()
            .map(|map| map.name_any())
            .filter(|name| digests.iter().any(|digest| name.ends_with(digest))),
    );
    let gone = plan_map::superseded(maps.iter().map(AsRef::as_ref), &named);
    if gone.is_empty() {
        return Ok(());
    }
    // A StatefulSet rolls back to a ControllerRevision by itself; asked for only when there is something to remove.
    let api: Api<ControllerRevision> = Api::namespaced(context.client.clone(), &key.namespace);
    let few = ListParams::default()
        .labels(&key.selector_text())
        .limit(MAX_REVISIONS);
    let revisions = api
        .list(&few)
        .await
        .map_err(|e| Error::api("listing revisions", &e))?;
    if revisions
        .metadata
        .continue_
        .as_deref()
        .is_some_and(|more| !more.is_empty())
    {
        // Somebody has put our labels on many: what stands in the rest isn't known, so every plan stays.
        return Ok(());
    }
    let texts: Vec<String> = revisions
        .iter()
        .filter_map(|r| serde_json::to_string(&r.data).ok())
        .collect();
    for map in gone
        .into_iter()
        .filter(|map| !texts.iter().any(|text| text.contains(&map.name_any())))
    {
        context.remove(map).await?;
    }
    Ok(())
}

/// The plans that an object's pods run by now, and the one that its next pod would.
pub fn plans_of_pods(context: &Context, key: &Key, uid: &str) -> Vec<Plan> {
    let mut names: BTreeSet<String> = context
        .stores
        .pods_left(key, uid)
        .iter()
        .flat_map(|pod| mounted(pod.spec.as_ref()))
        .collect();
    for set in stores::children(&context.stores.stateful_sets, key, uid) {
        let template = set.spec.as_ref().map(|spec| &spec.template);
        names.extend(mounted(template.and_then(|t| t.spec.as_ref())));
    }
    let plan = |name: &String| {
        let map = stores::child(&context.stores.config_maps, key, uid, name)?;
        plan_map::read(&map)
    };
    names.iter().filter_map(plan).collect()
}

/// The plan that the pods of an object's StatefulSet run by, or that the next one would.
pub fn plan_of_set(context: &Context, key: &Key, uid: &str) -> Option<Plan> {
    let sets = stores::children(&context.stores.stateful_sets, key, uid);
    let template = sets.first()?.spec.as_ref().map(|spec| &spec.template);
    let names = mounted(template.and_then(|template| template.spec.as_ref()));
    let mut maps = names
        .iter()
        .filter_map(|name| stores::child(&context.stores.config_maps, key, uid, name));
    maps.find_map(|map| plan_map::read(&map))
}

/// How many pods of a StatefulSet there are to be, or still are: what they do in Kafka under their numbers they may do until they
/// are gone. One that ends counts, because it may be finishing its last transaction. `pods` are the owner's; a number that no pod
/// of ours can have is nobody's all the same.
pub fn ordinal_count(pods: &[Arc<Pod>], owner: &Key, replicas: i32) -> i32 {
    let number = |pod: &Arc<Pod>| -> Option<i32> {
        let name = pod.name_any();
        let text = name.strip_prefix(owner.name.as_str())?.strip_prefix('-')?;
        let number: i32 = text.parse().ok()?;
        ((0..MAX_MEMBERS).contains(&number) && number.to_string() == text).then_some(number)
    };
    let there = pods.iter().filter_map(number).max();
    let there = there.map_or(0, |last| last.saturating_add(1));
    replicas.max(there).clamp(0, MAX_MEMBERS)
}

/// Names of the ConfigMaps that a pod mounts.
fn mounted(pod: Option<&PodSpec>) -> Vec<String> {
    let volumes = pod
        .into_iter()
        .flat_map(|spec| spec.volumes.iter().flatten());
    volumes
        .filter_map(|volume| volume.config_map.as_ref())
        .map(|map| map.name.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_that_ends_keeps_its_number_until_it_is_gone() {
        let pod = |name: &str| -> Arc<Pod> {
            let body =
                json!({"metadata": {"name": name, "deletionTimestamp": "2027-01-01T00:00:00Z"}});
            Arc::new(serde_json::from_value(body).unwrap())
        };
        let owner = Key::new("Pipeline", "shop", "p");
        let members = |pods: &[Arc<Pod>], replicas| ordinal_count(pods, &owner, replicas);
        let five: Vec<Arc<Pod>> = (0..5).map(|number| pod(&format!("p-{number}"))).collect();
        assert_eq!(members(&five, 2), 5, "2 to 4 are still ending");
        assert_eq!(members(&five[..2], 2), 2, "they are gone");
        assert_eq!(members(&five[..2], 5), 5, "three are to come");
        assert_eq!(members(&[pod("p-x"), pod("q-7"), pod("p9")], 1), 1);
        for forged in [
            "p-2147483646",
            "p-2147483647",
            "p-256",
            "p--1",
            "p-+7",
            "p-07",
            "p-99999999999999999999",
        ] {
            assert_eq!(members(&[pod(forged)], 2), 2, "{forged}");
        }
        assert_eq!(members(&[pod("p-255")], 2), 256);
        assert_eq!((members(&[], i32::MAX), members(&[], -1)), (256, 0));
    }
}
