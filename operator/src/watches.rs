//! All watches, and what each change means: whose reconcile it wakes.

mod budgets;
mod children;
mod watched;

use std::sync::Arc;

use children::children;
pub use children::owner_of_pod;
use k8s_openapi::api::{
    apps::v1::{Deployment, ReplicaSet, StatefulSet},
    core::v1::{ConfigMap, Namespace, Pod, Service},
    networking::v1::NetworkPolicy,
};
use kube::{
    Api, Client, Resource, ResourceExt,
    core::{DeserializeGuard, NamespaceResourceScope, PartialObjectMeta},
    runtime::{reflector::Store, watcher},
};
pub use watched::{Wake, Watched};

use crate::{
    held,
    indexes::{Indexes, WatchedFields},
    names::Key,
    owned::Lineage,
    planning::{flows::Flows, store_writers::StoreWriters},
    scope::{Scope, Watch},
    stores::{Guarded, Stores},
    supervise::Task,
    telemetry::Metrics,
    watch::{Rules, WatchEvent, watch},
};

/// What is called when an object of one of our kinds is gone, with its key and UID.
pub type Gone = Arc<dyn Fn(&Key, &str) + Send + Sync>;

/// Starts all watches: their stores, and the tasks that must be driven.
pub fn watches(
    client: &Client,
    scope: &Scope,
    indexes: &Arc<Indexes>,
    flows: &Arc<Flows>,
    metrics: &Arc<Metrics>,
    gone: &Gone,
) -> (Stores, Vec<Task>) {
    let mut tasks: Vec<Task> = Vec::new();
    let lineage = Arc::<Lineage>::default();
    let wake = Arc::new(Wake {
        indexes: indexes.clone(),
        flows: flows.clone(),
        writers: StoreWriters::default(),
    });
    let at = &Watching {
        client,
        scope,
        indexes,
        metrics,
        lineage: &lineage,
    };
    macro_rules! stores {
        ($($field:ident: $kind:ident,)*) => {
            Stores {
                $($field: own::<headworks_crds::$kind>(at, &wake, gone, &mut tasks),)*
                namespaces: namespaces(at, &mut tasks),
                config_maps: children::<ConfigMap>(at, held::config_maps(), &mut tasks),
                services: children::<Service>(at, held::children(), &mut tasks),
                deployments: children::<Deployment>(at, held::children(), &mut tasks),
                stateful_sets: children::<StatefulSet>(at, held::children(), &mut tasks),
                replica_sets: children::<PartialObjectMeta<ReplicaSet>>(
                    at,
                    held::replica_sets(),
                    &mut tasks,
                ),
                pods: children::<Pod>(at, held::pods(), &mut tasks),
                budgets: budgets::budgets(at, &mut tasks),
                network_policies: network_policies(at, &mut tasks),
                lineage: lineage.clone(),
            }
        };
    }
    let stores = for_each_kind!(stores);
    (stores, tasks)
}

/// Where none are made, none are watched.
fn network_policies(at: &Watching<'_>, tasks: &mut Vec<Task>) -> Store<NetworkPolicy> {
    if at.scope.network_policies {
        return children::<NetworkPolicy>(at, held::children(), tasks);
    }
    let (store, task) = watch(
        Vec::new(),
        Rules::everything(),
        at.metrics.clone(),
        |_: WatchEvent<NetworkPolicy>| {},
    );
    tasks.push(Box::pin(task));
    store
}

/// Waits until every store has been filled once.
pub async fn warm(stores: &Stores) {
    macro_rules! all {
        ($($field:ident: $kind:ident,)*) => {
            // Fails only if a watch task ended, and then the process is ending too.
            let _ = tokio::join!(
                $(stores.$field.wait_until_ready(),)*
                stores.namespaces.wait_until_ready(),
                stores.config_maps.wait_until_ready(),
                stores.services.wait_until_ready(),
                stores.deployments.wait_until_ready(),
                stores.stateful_sets.wait_until_ready(),
                stores.replica_sets.wait_until_ready(),
                stores.pods.wait_until_ready(),
                stores.budgets.wait_until_ready(),
                stores.network_policies.wait_until_ready(),
            );
        };
    }
    for_each_kind!(all);
}

/// What all watches need.
pub struct Watching<'a> {
    client: &'a Client,
    /// Where the operator looks.
    pub scope: &'a Scope,
    indexes: &'a Arc<Indexes>,
    metrics: &'a Arc<Metrics>,
    lineage: &'a Arc<Lineage>,
}

impl Watching<'_> {
    /// Watches of a namespaced kind, wherever the operator looks.
    pub fn everywhere<K>(&self) -> Vec<Watch<K>>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        self.scope.watches(self.client, &watcher::Config::default())
    }

    /// The watch of a kind that is the cluster's.
    pub fn cluster_wide<K>(&self) -> Vec<Watch<K>>
    where
        K: Resource<DynamicType = ()>,
    {
        vec![(Api::all(self.client.clone()), watcher::Config::default())]
    }
}

/// One of our kinds. A change of generation, annotations, finalizers or deletion wakes the object itself; the rest its kind says.
fn own<K: Watched>(
    at: &Watching<'_>,
    wake: &Arc<Wake>,
    gone: &Gone,
    tasks: &mut Vec<Task>,
) -> Store<Guarded<K>> {
    let (wake, gone) = (wake.clone(), gone.clone());
    let (store, task) = watch(
        K::watches(at),
        Rules::everything(),
        at.metrics.clone(),
        move |change: WatchEvent<DeserializeGuard<K>>| match change {
            WatchEvent::Applied(object) => {
                let (key, meta) = (Key::of(object.as_ref()), object.meta());
                let own = (
                    &meta.uid,
                    meta.generation,
                    &meta.annotations,
                    &meta.finalizers,
                    meta.deletion_timestamp.is_some(),
                    object.0.is_err(),
                );
                let uid = meta.uid.as_deref().unwrap_or_default();
                wake.indexes.here(&key, uid);
                wake.indexes.own_change(&key, &own);
                if let Ok(object) = &object.0 {
                    wake.changed(object, true);
                }
            }
            WatchEvent::Removed(object) => {
                let key = Key::of(object.as_ref());
                if let Ok(object) = &object.0 {
                    wake.changed(object, false);
                }
                wake.indexes.removed(&key);
                gone(&key, object.meta().uid.as_deref().unwrap_or_default());
            }
        },
    );
    tasks.push(Box::pin(task));
    store
}

/// Namespaces, for their labels.
fn namespaces(at: &Watching<'_>, tasks: &mut Vec<Task>) -> Store<PartialObjectMeta<Namespace>> {
    let indexes = at.indexes.clone();
    let (store, task) = watch(
        at.scope.namespaces(at.client),
        Rules::everything(),
        at.metrics.clone(),
        move |change: WatchEvent<PartialObjectMeta<Namespace>>| match change {
            WatchEvent::Applied(namespace) => {
                let key = Key::new("Namespace", "", &namespace.name_any());
                indexes.observe(
                    &key,
                    &WatchedFields {
                        detail: format!(
                            "{:?} {:?}",
                            namespace.labels(),
                            namespace.annotations().get(headworks_crds::ACCEPT_GRANTS)
                        ),
                        ..WatchedFields::default()
                    },
                );
            }
            WatchEvent::Removed(namespace) => {
                indexes.removed(&Key::new("Namespace", "", &namespace.name_any()));
            }
        },
    );
    tasks.push(Box::pin(task));
    store
}
