//! All watches, and what each change means: whose reconcile it wakes.

mod budgets;
mod children;

use std::{collections::BTreeSet, sync::Arc};

use children::children;
pub use children::owner_of_pod;
use headworks_crds::{
    AccessGrant, Condition, DataStore, DataStream, Pipeline, Platform, Source, conditions::READY,
};
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
use serde::de::DeserializeOwned;

use crate::{
    held,
    indexes::{Indexes, WatchedFields, any},
    names::Key,
    owned::Lineage,
    planning::{
        flows::{Flows, flow_of},
        shared,
        store_writers::{StoreWriters, stores_of},
    },
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
    let cluster_wide = vec![(Api::all(client.clone()), watcher::Config::default())];
    let mut tasks: Vec<Task> = Vec::new();
    let lineage = Arc::<Lineage>::default();
    let at = &Watching {
        client,
        scope,
        indexes,
        metrics,
        lineage: &lineage,
    };
    let stores = Stores {
        platforms: own_of::<Platform>(
            at,
            cluster_wide,
            gone,
            &mut tasks,
            |platform, here, indexes| {
                platform_changed(platform, here, indexes);
            },
        ),
        streams: own::<DataStream>(at, gone, &mut tasks, |stream, here, indexes| {
            let status = stream.status.clone().unwrap_or_default();
            let contract = status.contract.map(|c| (c.version, c.fingerprint));
            facts(
                stream,
                &status.conditions,
                format!(
                    "{contract:?} {:?} {:?} {:?} {:?}",
                    status.topic,
                    status.dead_letter_topic,
                    status.registered.map(|r| (r.subject, r.id, r.contract)),
                    status.labels
                ),
                indexes,
            );
            count_again(stream, here, &stream.spec.platform, indexes);
        }),
        sources: {
            let flows = flows.clone();
            own::<Source>(at, gone, &mut tasks, move |source, here, indexes| {
                let target = shared::target(&source.spec).filter(|_| here);
                for key in flows.source(&Key::of(source), target) {
                    indexes.enqueue(&key);
                }
            })
        },
        pipelines: {
            let (flows, writers) = (flows.clone(), StoreWriters::default());
            own::<Pipeline>(at, gone, &mut tasks, move |pipeline, here, indexes| {
                let key = Key::of(pipeline);
                let changed = if here {
                    flows.set(&key, flow_of(pipeline))
                } else {
                    flows.remove(&key)
                };
                let stores = if here {
                    stores_of(pipeline)
                } else {
                    BTreeSet::new()
                };
                for key in changed.into_iter().chain(writers.set(&key, stores)) {
                    indexes.enqueue(&key);
                }
                if here {
                    written(pipeline, &key, indexes);
                }
                count_again(pipeline, here, &pipeline.spec.platform, indexes);
            })
        },
        data_stores: own::<DataStore>(at, gone, &mut tasks, |store, _, indexes| {
            let status = store.status.clone().unwrap_or_default();
            facts(store, &status.conditions, String::new(), indexes);
        }),
        grants: {
            // Without the right to see them there are none.
            let watches = if scope.no_grants {
                Vec::new()
            } else {
                at.everywhere()
            };
            own_of::<AccessGrant>(at, watches, gone, &mut tasks, |_, _, _| {})
        },
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
        network_policies: if scope.network_policies {
            children::<NetworkPolicy>(at, held::children(), &mut tasks)
        } else {
            let rules = Rules::everything();
            let (store, task) = watch(Vec::new(), rules, metrics.clone(), |_| {});
            tasks.push(Box::pin(task));
            store
        },
        lineage: lineage.clone(),
    };
    (stores, tasks)
}

/// Waits until every store has been filled once.
pub async fn warm(stores: &Stores) {
    // Fails only if a watch task ended, and then the process is ending too.
    let _ = tokio::join!(
        stores.platforms.wait_until_ready(),
        stores.streams.wait_until_ready(),
        stores.sources.wait_until_ready(),
        stores.pipelines.wait_until_ready(),
        stores.data_stores.wait_until_ready(),
        stores.grants.wait_until_ready(),
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
}

/// What all watches need.
struct Watching<'a> {
    client: &'a Client,
    scope: &'a Scope,
    indexes: &'a Arc<Indexes>,
    metrics: &'a Arc<Metrics>,
    lineage: &'a Arc<Lineage>,
}

impl Watching<'_> {
    /// Watches of a namespaced kind, wherever the operator looks.
    fn everywhere<K>(&self) -> Vec<Watch<K>>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        self.scope.watches(self.client, &watcher::Config::default())
    }
}

/// [`own_of`] a namespaced kind.
fn own<K>(
    at: &Watching<'_>,
    gone: &Gone,
    tasks: &mut Vec<Task>,
    seen: impl Fn(&K, bool, &Indexes) + Send + 'static,
) -> Store<Guarded<K>>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + DeserializeOwned
        + Clone
        + std::fmt::Debug
        + Send
        + Sync
        + 'static,
{
    own_of(at, at.everywhere(), gone, tasks, seen)
}

/// One of our kinds; `seen` is told of each object and whether it is (still) here. A change of generation, annotations, finalizers or deletion wakes the object itself.
fn own_of<K>(
    at: &Watching<'_>,
    watches: Vec<Watch<Guarded<K>>>,
    gone: &Gone,
    tasks: &mut Vec<Task>,
    seen: impl Fn(&K, bool, &Indexes) + Send + 'static,
) -> Store<Guarded<K>>
where
    K: Resource<DynamicType = ()>
        + DeserializeOwned
        + Clone
        + std::fmt::Debug
        + Send
        + Sync
        + 'static,
{
    let (indexes, gone) = (at.indexes.clone(), gone.clone());
    let (store, task) = watch(
        watches,
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
                indexes.here(&key, meta.uid.as_deref().unwrap_or_default());
                indexes.own_change(&key, &own);
                if let Ok(object) = &object.0 {
                    seen(object, true, &indexes);
                }
            }
            WatchEvent::Removed(object) => {
                let key = Key::of(object.as_ref());
                if let Ok(object) = &object.0 {
                    seen(object, false, &indexes);
                }
                indexes.removed(&key);
                gone(&key, object.meta().uid.as_deref().unwrap_or_default());
            }
        },
    );
    tasks.push(Box::pin(task));
    store
}

/// A Platform that comes, changes or goes wakes who names it, and who asks all of them what it may do.
fn platform_changed(platform: &Platform, here: bool, indexes: &Indexes) {
    let status = platform.status.clone().unwrap_or_default();
    let detail = format!("{:?} {:?}", status.installation, platform.spec.pod_template);
    if facts(platform, &status.conditions, detail, indexes) || !here {
        indexes.enqueue_dependents(&any(&Platform::kind(&())));
    }
}

/// Notes what those that refer to the object look at, and wakes them if it changed. Says whether it did.
fn facts<K: Resource<DynamicType = ()>>(
    object: &K,
    conditions: &[Condition],
    detail: String,
    indexes: &Indexes,
) -> bool {
    let meta = object.meta();
    // Who waits for it says why it isn't ready: in words that are true now.
    let why = conditions
        .iter()
        .find(|c| c.type_ == READY && c.status != "True")
        .map(|c| (&c.reason, &c.message));
    let facts = WatchedFields {
        uid: meta.uid.clone().unwrap_or_default(),
        generation: meta.generation.unwrap_or_default(),
        deleting: meta.deletion_timestamp.is_some(),
        ready: conditions
            .iter()
            .any(|c| c.type_ == READY && c.status == "True"),
        detail: format!("{detail} {why:?}"),
    };
    indexes.observe(&Key::of(object), &facts)
}

/// A stream shows the labels that a Pipeline brings: it is woken when the query changes, and when the pods have it. (Those
/// that knew the Pipeline before are its readers, and woken by that.)
fn written(pipeline: &Pipeline, key: &Key, indexes: &Indexes) {
    let meta = &pipeline.metadata;
    let conditions = pipeline.status.iter().flat_map(|s| &s.conditions);
    let facts = WatchedFields {
        uid: meta.uid.clone().unwrap_or_default(),
        generation: meta.generation.unwrap_or_default(),
        deleting: meta.deletion_timestamp.is_some(),
        ready: conditions.into_iter().any(|c| {
            c.type_ == READY && c.status == "True" && c.observed_generation == meta.generation
        }),
        ..WatchedFields::default()
    };
    if indexes.observe(key, &facts) {
        for name in pipeline.spec.to.iter().filter_map(|t| t.stream.as_ref()) {
            indexes.enqueue(&Key::new("DataStream", &key.namespace, name));
        }
    }
}

/// A Platform shows how many streams and pipelines it has: it is woken when one comes or goes.
fn count_again<K: Resource<DynamicType = ()>>(
    member: &K,
    here: bool,
    platform: &str,
    indexes: &Indexes,
) {
    let key = Key::new("Member", &K::kind(&()), &Key::of(member).to_string());
    let uid = member.meta().uid.clone().unwrap_or_default();
    let changed = if here {
        indexes.observe(
            &key,
            &WatchedFields {
                uid,
                detail: platform.to_owned(),
                ..WatchedFields::default()
            },
        )
    } else {
        indexes.removed(&key);
        true
    };
    if changed {
        indexes.enqueue(&Key::new("Platform", "", platform));
    }
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_platform_that_comes_later_wakes_who_asks_all_of_them() {
        let indexes = Indexes::default();
        let mut queue = indexes.queue("DataStore");
        let store = Key::new("DataStore", "shop", "warehouse");
        indexes.set_references(&store, [any("Platform")]);
        let mut woken = || std::iter::from_fn(|| queue.try_recv().ok()).count();
        let platform = |generation: i64| -> Platform {
            serde_json::from_value(json!({"metadata": {"name": "late", "uid": "1", "generation": generation},
            "spec": {"podPolicy": {"images": []}, "kafka": {"bootstrapServers": "k:9092", "management": {"admin": {}}}}}))
            .unwrap()
        };
        platform_changed(&platform(1), true, &indexes);
        assert_eq!(woken(), 1, "it comes");
        platform_changed(&platform(1), true, &indexes);
        assert_eq!(woken(), 0, "nothing changed");
        platform_changed(&platform(2), true, &indexes);
        assert_eq!(woken(), 1, "its policy changes");
        platform_changed(&platform(2), false, &indexes);
        assert_eq!(woken(), 1, "it goes");
    }
}
