//! Whose an object of Kubernetes is.
//!
//! Labels can be copied, by mistake or on purpose, so they say nothing alone. An object is a child of ours if its **controller**
//! reference names our object by kind, name and **UID**, and it lives in our object's namespace (a reference reaches no further).
//! A pod is ours if its controller is a StatefulSet, or a ReplicaSet of a Deployment, that is a child in that sense; [`Lineage`]
//! remembers these, also for a while after they are gone, because their pods end later than they do.
//!
//! What has no owner reference has another proof: a contract's ConfigMap its reserved name and content ([`is_contract`]), what
//! lives with Strimzi the place where we put it or the API server's own record of who wrote it (`strimzi::ownership`).

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use headworks_crds::{GROUP, LABEL_KIND, LABEL_NAME, LABEL_NAMESPACE, kinds};
use k8s_openapi::{
    api::core::v1::{ConfigMap, Pod},
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};
use kube::{Resource, ResourceExt, runtime::reflector::Store};

use crate::names::{CONTRACT_PART, Key, PART_LABEL, label_value};

/// A workload that is gone is remembered for so long: its pods end later.
const REMEMBERED: Duration = Duration::from_secs(3_600);
/// The API group of StatefulSets, Deployments and ReplicaSets.
const APPS: &str = "apps";

fn controller(meta: &ObjectMeta) -> Option<&OwnerReference> {
    meta.owner_references
        .iter()
        .flatten()
        .find(|reference| reference.controller == Some(true) && !reference.uid.is_empty())
}

fn group(reference: &OwnerReference) -> &str {
    reference
        .api_version
        .split_once('/')
        .map_or("", |(group, _)| group)
}

/// The object of ours that controls this one, as it says itself, with that object's UID.
pub fn claims(meta: &ObjectMeta) -> Option<(Key, &str)> {
    let reference = controller(meta)?;
    let ours = group(reference) == GROUP
        && kinds::named(&reference.kind).is_some_and(|kind| kind.namespaced);
    let namespace = meta.namespace.as_deref().filter(|n| !n.is_empty())?;
    ours.then(|| {
        let key = Key::new(&reference.kind, namespace, &reference.name);
        (key, reference.uid.as_str())
    })
}

/// True: the object is this owner's child.
pub fn is_child(meta: &ObjectMeta, owner: &Key, uid: &str) -> bool {
    claims(meta).is_some_and(|(key, of)| key == *owner && of == uid)
}

/// The workload that controls a pod, or the Deployment that controls a ReplicaSet: kind, name, UID.
pub fn workload_of(meta: &ObjectMeta) -> Option<(&str, &str, &str)> {
    let reference = controller(meta)?;
    let known = matches!(
        reference.kind.as_str(),
        "StatefulSet" | "ReplicaSet" | "Deployment"
    );
    (known && group(reference) == APPS).then_some((
        reference.kind.as_str(),
        reference.name.as_str(),
        reference.uid.as_str(),
    ))
}

/// Whose a labelled object says it is. Never a proof.
pub fn labelled<K: Resource>(object: &K) -> Option<Key> {
    let labels = object.labels();
    Some(Key::new(
        labels.get(LABEL_KIND)?,
        labels.get(LABEL_NAMESPACE)?,
        labels.get(LABEL_NAME)?,
    ))
}

/// True: the labels say so, and the object is in the owner's namespace.
pub fn is_labelled<K: Resource>(object: &K, owner: &Key) -> bool {
    let labels = object.labels();
    object.meta().namespace.as_deref() == Some(owner.namespace.as_str())
        && labels.get(LABEL_KIND) == Some(&owner.kind)
        && labels.get(LABEL_NAMESPACE) == Some(&label_value(&owner.namespace))
        && labels.get(LABEL_NAME) == Some(&label_value(&owner.name))
}

/// The stream whose accepted contract a ConfigMap holds, by its reserved name, `<stream>-contract-<n>`. Contracts outlive
/// their DataStream, so they have no owner reference; one that has any is somebody else's.
pub fn is_contract(map: &ConfigMap) -> Option<Key> {
    let labels = map.labels();
    let namespace = map.metadata.namespace.as_deref()?;
    let (stream, number) = map.metadata.name.as_deref()?.rsplit_once("-contract-")?;
    let canonical = number.parse::<i32>().ok().filter(|n| *n > 0)?.to_string();
    let key = Key::new("DataStream", namespace, stream);
    let ours = map.immutable == Some(true)
        && canonical == number
        && map.metadata.owner_references.iter().flatten().count() == 0
        && labels.get(PART_LABEL).map(String::as_str) == Some(CONTRACT_PART)
        && is_labelled(map, &key);
    ours.then_some(key)
}

/// Who controls a workload.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Parent {
    /// An object of ours, by key and UID.
    Ours(Key, String),
    /// Another workload, by UID.
    Workload(String),
}

struct Known {
    namespace: String,
    parent: Parent,
    gone: Option<Instant>,
}

/// StatefulSets, Deployments and ReplicaSets by UID, and whose they are.
#[derive(Default)]
pub struct Lineage(Mutex<HashMap<String, Known>>);

impl Lineage {
    /// A workload was seen, or is gone.
    pub fn seen(&self, meta: &ObjectMeta, here: bool, now: Instant) {
        let Some(uid) = meta.uid.clone().filter(|uid| !uid.is_empty()) else {
            return;
        };
        let mut all = self.lock();
        if !here {
            if let Some(known) = all.get_mut(&uid) {
                known.gone = Some(now);
            }
            all.retain(|_, known| {
                known
                    .gone
                    .is_none_or(|since| now.saturating_duration_since(since) < REMEMBERED)
            });
            return;
        }
        let parent = claims(meta).map_or_else(
            || workload_of(meta).map(|(_, _, of)| Parent::Workload(of.to_owned())),
            |(key, of)| Some(Parent::Ours(key, of.to_owned())),
        );
        match parent {
            Some(parent) => {
                let namespace = meta.namespace.clone().unwrap_or_default();
                let known = Known {
                    namespace,
                    parent,
                    gone: None,
                };
                all.insert(uid, known);
            }
            None => {
                all.remove(&uid);
            }
        }
    }

    /// The object of ours to which a pod or workload belongs, and that object's UID.
    pub fn owner(&self, meta: &ObjectMeta) -> Option<(Key, String)> {
        if let Some((key, uid)) = claims(meta) {
            return Some((key, uid.to_owned()));
        }
        let all = self.lock();
        let mut uid = workload_of(meta)?.2.to_owned();
        // Pod, ReplicaSet, Deployment: no chain is longer.
        for _ in 0..2 {
            let known = all.get(&uid)?;
            if meta.namespace.as_deref() != Some(known.namespace.as_str()) {
                return None;
            }
            match &known.parent {
                Parent::Ours(key, of) => return Some((key.clone(), of.clone())),
                Parent::Workload(next) => uid.clone_from(next),
            }
        }
        None
    }

    /// The objects of ours that have workloads in a namespace, with their UIDs.
    pub fn owners_in(&self, namespace: &str) -> HashSet<(Key, String)> {
        let all = self.lock();
        let here = all
            .values()
            .filter(|known| known.namespace == namespace && known.gone.is_none());
        here.filter_map(|known| match &known.parent {
            Parent::Ours(key, uid) => Some((key.clone(), uid.clone())),
            Parent::Workload(_) => None,
        })
        .collect()
    }

    fn knows(&self, uid: &str) -> bool {
        self.lock().contains_key(uid)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The pods of an object of ours, by name.
pub fn pods(store: &Store<Pod>, lineage: &Lineage, owner: &Key, uid: &str) -> Vec<Arc<Pod>> {
    by_name(store.state_filter(|pod| is_pod_of(pod, lineage, owner, uid)))
}

/// As [`pods`], with those whose workload nobody remembers: after a start of the operator a pod may still be ending whose
/// StatefulSet or Deployment is gone already. Good for waiting, and for taking nothing away too early; Kubernetes' garbage collector
/// takes what names a controller that doesn't exist.
pub fn pods_left(store: &Store<Pod>, lineage: &Lineage, owner: &Key, uid: &str) -> Vec<Arc<Pod>> {
    by_name(
        store.state_filter(|pod| {
            is_pod_of(pod, lineage, owner, uid) || is_left(pod, lineage, owner)
        }),
    )
}

fn by_name(mut pods: Vec<Arc<Pod>>) -> Vec<Arc<Pod>> {
    pods.sort_by_key(|pod| pod.name_any());
    pods
}

fn is_pod_of(pod: &Pod, lineage: &Lineage, owner: &Key, uid: &str) -> bool {
    lineage
        .owner(&pod.metadata)
        .is_some_and(|(key, of)| key == *owner && of == uid)
}

fn is_left(pod: &Pod, lineage: &Lineage, owner: &Key) -> bool {
    let Some((kind, name, uid)) = workload_of(&pod.metadata) else {
        return false;
    };
    let named = match kind {
        "StatefulSet" => name == owner.name,
        // `<deployment>-<hash>`, and a Deployment is called as its owner, or `<owner>-<kind>`.
        "ReplicaSet" => name.starts_with(&format!("{}-", owner.name)),
        _ => false,
    };
    named && !lineage.knows(uid) && is_labelled(pod, owner)
}

#[cfg(test)]
mod deletes;
#[cfg(test)]
mod tests;
