//! What every reconcile has at hand: stores of what the cluster holds, and the rooms that act on it.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use headworks_crds::{AccessGrant, DataStore, DataStream, Pipeline, Platform, Source};
use k8s_openapi::api::{
    apps::v1::{Deployment, ReplicaSet, StatefulSet},
    core::v1::{ConfigMap, Namespace, Pod, Service},
    networking::v1::NetworkPolicy,
    policy::v1::PodDisruptionBudget,
};
use kube::{
    Client, Resource, ResourceExt,
    core::{DeserializeGuard, NamespaceResourceScope, PartialObjectMeta},
    runtime::reflector::{ObjectRef, Store},
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    apply,
    crd_versions::CrdVersions,
    events::Events,
    hints::hint,
    indexes::Indexes,
    kafka_pool::KafkaPool,
    names::Key,
    owned::{self, Lineage},
    planning::flows::Flows,
    registry_pool::RegistryPool,
    reports::Reports,
    retry::{Backoff, Error},
    rollout_turns::RolloutTurns,
    scope::Scope,
    status::Memory,
    strimzi::Strimzi,
    telemetry::{Health, Metrics},
    verified::{UserOperatorCache, VerifiedPasswords, VerifiedUsers},
};

/// An object of ours that may be unreadable.
pub type Guarded<K> = DeserializeGuard<K>;

/// Facts of the installation.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Image of the runtime, where no podTemplate names another.
    pub runtime_image: String,
    /// Namespace of the operator.
    pub namespace: String,
    /// How often a healthy Platform or topic is looked at again.
    pub recheck: Duration,
    /// Where the operator looks.
    pub scope: Scope,
    /// How NetworkPolicies of pods are made; none: they aren't.
    pub network: Option<Network>,
}

/// How NetworkPolicies are made, where they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// Namespace of the operator, which asks pods how they are.
    pub operator: String,
    /// Namespaces from which metrics are scraped.
    pub metrics: Vec<String>,
}

/// Stores of everything that is watched. Clones share what they hold.
#[derive(Clone)]
pub struct Stores {
    /// Platforms.
    pub platforms: Store<Guarded<Platform>>,
    /// DataStreams.
    pub streams: Store<Guarded<DataStream>>,
    /// Sources.
    pub sources: Store<Guarded<Source>>,
    /// Pipelines.
    pub pipelines: Store<Guarded<Pipeline>>,
    /// DataStores.
    pub data_stores: Store<Guarded<DataStore>>,
    /// AccessGrants.
    pub grants: Store<Guarded<AccessGrant>>,
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
    /// Our PodDisruptionBudgets.
    pub budgets: Store<PodDisruptionBudget>,
    /// Our NetworkPolicies; empty where none are made.
    pub network_policies: Store<NetworkPolicy>,
}

/// What every reconcile has at hand.
pub struct Context {
    /// Client of the API server.
    pub client: Client,
    /// Facts of the installation.
    pub settings: Settings,
    /// What is watched.
    pub stores: Stores,
    /// Who refers to whom.
    pub indexes: Arc<Indexes>,
    /// Which streams each Pipeline reads and writes.
    pub flows: Arc<Flows>,
    /// Our own last status writes.
    pub memory: Arc<Memory>,
    /// Consecutive failures.
    pub backoff: Backoff,
    /// Kubernetes Events.
    pub events: Events,
    /// Metrics.
    pub metrics: Arc<Metrics>,
    /// Whether the operator makes progress.
    pub health: Arc<Health>,
    /// Pods' reports.
    pub reports: Arc<Reports>,
    /// Connections to Kafka clusters.
    pub kafka: Arc<KafkaPool>,
    /// Strimzi's kinds, where they are.
    pub strimzi: Strimzi,
    /// Passwords that Kafka has taken.
    pub verified_passwords: VerifiedPasswords,
    /// Workloads' users that are as they should be.
    pub verified_users: VerifiedUsers,
    /// User Operators that would delete our users.
    pub user_operators: UserOperatorCache,
    /// Schema registries.
    pub registries: Arc<RegistryPool>,
    /// Objects whose pods are rolled because of a change that reaches many.
    pub rollouts: RolloutTurns,
    /// The CRDs' version.
    pub crds: CrdVersions,
}

impl Context {
    /// A readable Platform.
    pub fn platform(&self, name: &str) -> Option<Platform> {
        readable(&self.stores.platforms, &ObjectRef::new(name))
    }

    /// A readable DataStream.
    pub fn stream(&self, namespace: &str, name: &str) -> Option<DataStream> {
        readable(
            &self.stores.streams,
            &ObjectRef::new(name).within(namespace),
        )
    }

    /// A readable Pipeline.
    pub fn pipeline(&self, namespace: &str, name: &str) -> Option<Pipeline> {
        readable(
            &self.stores.pipelines,
            &ObjectRef::new(name).within(namespace),
        )
    }

    /// A readable DataStore.
    pub fn data_store(&self, namespace: &str, name: &str) -> Option<DataStore> {
        readable(
            &self.stores.data_stores,
            &ObjectRef::new(name).within(namespace),
        )
    }

    /// Labels of a namespace.
    pub fn namespace_labels(&self, name: &str) -> std::collections::BTreeMap<String, String> {
        self.stores
            .namespaces
            .get(&ObjectRef::new(name))
            .map(|n| n.labels().clone())
            .unwrap_or_default()
    }

    /// An annotation of a namespace.
    pub fn namespace_annotation(&self, name: &str, key: &str) -> Option<String> {
        let namespace = self.stores.namespaces.get(&ObjectRef::new(name))?;
        namespace.annotations().get(key).cloned()
    }

    /// `; did you mean …?`, where a DataStream of that namespace has a near name.
    pub fn near_stream(&self, namespace: &str, name: &str) -> String {
        let known = names(&self.stores.streams, Some(namespace));
        hint(name, known.iter().map(String::as_str))
    }

    /// The same of DataStores.
    pub fn near_store(&self, namespace: &str, name: &str) -> String {
        let known = names(&self.stores.data_stores, Some(namespace));
        hint(name, known.iter().map(String::as_str))
    }

    /// The same of Platforms.
    pub fn near_platform(&self, name: &str) -> String {
        let known = names(&self.stores.platforms, None);
        hint(name, known.iter().map(String::as_str))
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

    /// The pods of one object.
    pub fn pods(&self, owner: &Key, uid: &str) -> Vec<Arc<Pod>> {
        owned::pods(&self.stores.pods, &self.stores.lineage, owner, uid)
    }

    /// The pods of one object, and those that may still be ending although nobody remembers their workload.
    pub fn pods_left(&self, owner: &Key, uid: &str) -> Vec<Arc<Pod>> {
        owned::pods_left(&self.stores.pods, &self.stores.lineage, owner, uid)
    }

    /// Applies one child, counted. Gives the freshest that is known of it: after a write that is the API
    /// server's answer, because the store still shows the child as it was.
    pub async fn apply<K>(
        &self,
        store: &Store<K>,
        desired: &K,
        owner_uid: &str,
    ) -> Result<Arc<K>, Error>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Serialize
            + DeserializeOwned
            + Clone
            + std::fmt::Debug
            + 'static,
    {
        // Whose it is, `apply` looks.
        let place = ObjectRef::new(&desired.name_any());
        let live = store.get(&place.within(&desired.namespace().unwrap_or_default()));
        let written = apply::apply(&self.client, desired, live.as_deref(), owner_uid).await?;
        if written.is_some() {
            self.metrics.wrote(&K::kind(&()));
        }
        Ok(written
            .map(Arc::new)
            .or(live)
            .unwrap_or_else(|| Arc::new(desired.clone())))
    }

    /// Removes one child, counted.
    pub async fn remove<K>(&self, child: &K) -> Result<(), Error>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + DeserializeOwned
            + Clone
            + std::fmt::Debug,
    {
        if child.meta().deletion_timestamp.is_some() {
            return Ok(());
        }
        self.metrics.wrote(&K::kind(&()));
        apply::remove(&self.client, child).await
    }
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

#[cfg(test)]
pub mod testing;
