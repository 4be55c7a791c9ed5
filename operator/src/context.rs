//! What every reconcile has at hand: the stores of what the cluster holds, what is remembered, and the ways out to the API server and
//! Kafka. What it holds lies below it, and what acts for a kind lies above: it knows none of that.

use std::{sync::Arc, time::Duration};

use kube::{
    Client, Resource, ResourceExt,
    core::NamespaceResourceScope,
    runtime::reflector::{ObjectRef, Store},
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    apply,
    crd_versions::CrdVersions,
    events::Events,
    indexes::Indexes,
    kafka_pool::KafkaPool,
    planning::flows::Flows,
    registry_pool::RegistryPool,
    reports::Reports,
    retry::{Backoff, Error},
    rollout_turns::RolloutTurns,
    rule_counts::RuleMemory,
    scope::Scope,
    status::LastWrittenStatus,
    stores::Stores,
    strimzi::Strimzi,
    telemetry::{Health, Metrics},
    verified::{SettlingTexts, UserOperatorCache, VerifiedPasswords, VerifiedUsers},
};

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
    pub memory: Arc<LastWrittenStatus>,
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
    /// Contracts that ConfigMaps ask for since just now.
    pub settling: SettlingTexts,
    /// Schema registries.
    pub registries: Arc<RegistryPool>,
    /// Objects whose pods are rolled because of a change that reaches many.
    pub rollouts: RolloutTurns,
    /// What QualityRules' pods have counted.
    pub rules: Arc<RuleMemory>,
    /// The CRDs' version.
    pub crds: CrdVersions,
}

impl Context {
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

#[cfg(test)]
pub mod testing;
