//! What the cluster holds, as the watches have it: nothing here asks the API server.
//!
//! `watches` fills the stores; reconciles, admission and figures read them.

mod snapshot;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use headworks_crds::{DataStore, DataStream, Pipeline, Platform};
use k8s_openapi::api::{
    apps::v1::{Deployment, ReplicaSet, StatefulSet},
    core::v1::{ConfigMap, Namespace, Pod, Service},
    networking::v1::NetworkPolicy,
    policy::v1::PodDisruptionBudget,
};
use kube::{
    Resource, ResourceExt,
    core::{DeserializeGuard, NamespaceResourceScope, PartialObjectMeta},
    runtime::reflector::{ObjectRef, Store},
};

use crate::{
    hints::hint,
    names::Key,
    owned::{self, Lineage},
};

/// An object of ours that may be unreadable.
pub type Guarded<K> = DeserializeGuard<K>;

macro_rules! stores {
    ($($field:ident: $kind:ident,)*) => {
        /// Stores of everything that is watched. Clones share what they hold.
        #[derive(Clone)]
        pub struct Stores {
            $(
                #[doc = concat!("Objects of the kind ", stringify!($kind), ".")]
                pub $field: Store<Guarded<headworks_crds::$kind>>,
            )*
            /// Namespaces, metadata only.
            pub namespaces: Store<PartialObjectMeta<Namespace>>,
            /// Our ConfigMaps.
            pub config_maps: Store<ConfigMap>,
            /// Our Services.
            pub services: Store<Service>,
            /// Our Deployments.
            pub deployments: Store<Deployment>,
            /// Our StatefulSets.
            pub stateful_sets: Store<StatefulSet>,
            /// ReplicaSets of our Deployments, metadata only: between a Deployment and its pods.
            pub replica_sets: Store<PartialObjectMeta<ReplicaSet>>,
            /// Our pods.
            pub pods: Store<Pod>,
            /// Whose workloads are, also some that are gone.
            pub lineage: Arc<Lineage>,
            /// PodDisruptionBudgets: ours, and of users' which pods they cover.
            pub budgets: Store<PodDisruptionBudget>,
            /// Our NetworkPolicies; empty where none are made.
            pub network_policies: Store<NetworkPolicy>,
        }

        impl Stores {
            /// True: an object of ours with this key is there, readable or not.
            pub fn has(&self, key: &Key) -> bool {
                match key.kind.as_str() {
                    $(stringify!($kind) => has(&self.$field, key),)*
                    _ => false,
                }
            }
        }
    };
}
for_each_kind!(stores);

impl Stores {
    /// A readable Platform.
    pub fn platform(&self, name: &str) -> Option<Platform> {
        readable(&self.platforms, &ObjectRef::new(name))
    }

    /// A readable DataStream.
    pub fn stream(&self, namespace: &str, name: &str) -> Option<DataStream> {
        readable(&self.streams, &ObjectRef::new(name).within(namespace))
    }

    /// A readable Pipeline.
    pub fn pipeline(&self, namespace: &str, name: &str) -> Option<Pipeline> {
        readable(&self.pipelines, &ObjectRef::new(name).within(namespace))
    }

    /// A readable DataStore.
    pub fn data_store(&self, namespace: &str, name: &str) -> Option<DataStore> {
        readable(&self.data_stores, &ObjectRef::new(name).within(namespace))
    }

    /// Labels of a namespace.
    pub fn namespace_labels(&self, name: &str) -> BTreeMap<String, String> {
        self.namespaces
            .get(&ObjectRef::new(name))
            .map(|n| n.labels().clone())
            .unwrap_or_default()
    }

    /// An annotation of a namespace.
    pub fn namespace_annotation(&self, name: &str, key: &str) -> Option<String> {
        let namespace = self.namespaces.get(&ObjectRef::new(name))?;
        namespace.annotations().get(key).cloned()
    }

    /// `; did you mean …?`, where a DataStream of that namespace has a near name.
    pub fn near_stream(&self, namespace: &str, name: &str) -> String {
        let known = names(&self.streams, Some(namespace));
        hint(name, known.iter().map(String::as_str))
    }

    /// The same of DataStores.
    pub fn near_store(&self, namespace: &str, name: &str) -> String {
        let known = names(&self.data_stores, Some(namespace));
        hint(name, known.iter().map(String::as_str))
    }

    /// The same of Platforms.
    pub fn near_platform(&self, name: &str) -> String {
        let known = names(&self.platforms, None);
        hint(name, known.iter().map(String::as_str))
    }

    /// The pods of one object.
    pub fn pods(&self, owner: &Key, uid: &str) -> Vec<Arc<Pod>> {
        owned::pods(&self.pods, &self.lineage, owner, uid)
    }

    /// The pods of one object, and those that may still be ending although nobody remembers their workload.
    pub fn pods_left(&self, owner: &Key, uid: &str) -> Vec<Arc<Pod>> {
        owned::pods_left(&self.pods, &self.lineage, owner, uid)
    }
}

/// A child of one object in a store: of the object with this UID, not merely of its name.
pub fn child<K>(store: &Store<K>, owner: &Key, uid: &str, name: &str) -> Option<Arc<K>>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + 'static,
{
    store
        .get(&ObjectRef::new(name).within(&owner.namespace))
        .filter(|child| owned::is_child(child.meta(), owner, uid))
}

/// All children of one object in a store, by name: of the object with this UID, not merely of its name.
pub fn children<K>(store: &Store<K>, owner: &Key, uid: &str) -> Vec<Arc<K>>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    let mut children = store.state_filter(|child| owned::is_child(child.meta(), owner, uid));
    children.sort_by_key(|child| child.name_any());
    children
}

/// Names of all objects of a kind, or those of a namespace.
pub fn names<K>(store: &Store<Guarded<K>>, namespace: Option<&str>) -> BTreeSet<String>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    let all = store.state();
    let within =
        |one: &Guarded<K>| namespace.is_none() || one.meta().namespace.as_deref() == namespace;
    all.iter()
        .filter(|one| within(one))
        .map(|one| one.name_any())
        .collect()
}

fn readable<K>(store: &Store<Guarded<K>>, key: &ObjectRef<Guarded<K>>) -> Option<K>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    store
        .get(key)
        .and_then(|guarded| guarded.0.as_ref().ok().cloned())
}

fn has<K>(store: &Store<Guarded<K>>, key: &Key) -> bool
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    let reference = ObjectRef::new(&key.name);
    let reference = if key.namespace.is_empty() {
        reference
    } else {
        reference.within(&key.namespace)
    };
    store.get(&reference).is_some()
}
