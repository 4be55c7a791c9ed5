//! All watches, and what each change means: whose reconcile it wakes.

use std::{collections::BTreeSet, sync::Arc};

use futures::future::BoxFuture;
use headworks_crds::{
    AccessGrant, Condition, DataStore, DataStream, Pipeline, Platform, Source, conditions::READY,
};
use k8s_openapi::api::{
    apps::v1::{Deployment, StatefulSet},
    core::v1::{ConfigMap, Namespace, Pod, Service},
    networking::v1::NetworkPolicy,
    policy::v1::PodDisruptionBudget,
};
use kube::{
    Api, Client, Resource, ResourceExt,
    core::{DeserializeGuard, NamespaceResourceScope, PartialObjectMeta},
    runtime::{reflector::Store, watcher},
};
use serde::de::DeserializeOwned;

use crate::{
    context::{Guarded, Stores},
    data_store::writers::{Writers, stores_of},
    feed::{Change, feed},
    indexes::{Facts, Indexes},
    names::{Key, LABEL_KIND, LABEL_NAME, LABEL_NAMESPACE, MANAGED_BY, MANAGED_BY_VALUE},
    pipeline::{Flows, flow_of},
    scope::{Scope, Watch},
};

/// A task that keeps one watch.
pub type Task = BoxFuture<'static, ()>;

/// What is called when an object of one of our kinds is gone, with its key and UID.
pub type Gone = Arc<dyn Fn(&Key, &str) + Send + Sync>;

/// Starts all watches: their stores, and the tasks that must be driven.
pub fn watches(
    client: &Client,
    scope: &Scope,
    indexes: &Arc<Indexes>,
    flows: &Arc<Flows>,
    gone: &Gone,
) -> (Stores, Vec<Task>) {
    let all = watcher::Config::default();
    let cluster_wide = vec![(Api::all(client.clone()), all.clone())];
    let mut tasks: Vec<Task> = Vec::new();
    let stores = Stores {
        platforms: own::<Platform>(
            cluster_wide,
            indexes,
            gone,
            &mut tasks,
            |platform, _, indexes| {
                let status = platform.status.clone().unwrap_or_default();
                facts(
                    platform,
                    &status.conditions,
                    format!("{:?} {:?}", status.installation, platform.spec.pod_template),
                    indexes,
                );
            },
        ),
        streams: own::<DataStream>(
            scope.watches(client, &all),
            indexes,
            gone,
            &mut tasks,
            |stream, here, indexes| {
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
            },
        ),
        sources: own::<Source>(
            scope.watches(client, &all),
            indexes,
            gone,
            &mut tasks,
            |_, _, _| {},
        ),
        pipelines: {
            let (flows, writers) = (flows.clone(), Writers::default());
            own::<Pipeline>(
                scope.watches(client, &all),
                indexes,
                gone,
                &mut tasks,
                move |pipeline, here, indexes| {
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
                        indexes.wake(&key);
                    }
                    if here {
                        written(pipeline, &key, indexes);
                    }
                    count_again(pipeline, here, &pipeline.spec.platform, indexes);
                },
            )
        },
        data_stores: own::<DataStore>(
            scope.watches(client, &all),
            indexes,
            gone,
            &mut tasks,
            |store, _, indexes| {
                let status = store.status.clone().unwrap_or_default();
                facts(store, &status.conditions, String::new(), indexes);
            },
        ),
        grants: own::<AccessGrant>(
            // Without the right to see them there are none.
            if scope.no_grants {
                Vec::new()
            } else {
                scope.watches(client, &all)
            },
            indexes,
            gone,
            &mut tasks,
            |_, _, _| {},
        ),
        namespaces: namespaces(scope.namespaces(client), indexes, &mut tasks),
        config_maps: children::<ConfigMap>(client, scope, indexes, &mut tasks),
        services: children::<Service>(client, scope, indexes, &mut tasks),
        deployments: children::<Deployment>(client, scope, indexes, &mut tasks),
        stateful_sets: children::<StatefulSet>(client, scope, indexes, &mut tasks),
        pods: children::<Pod>(client, scope, indexes, &mut tasks),
        budgets: children::<PodDisruptionBudget>(client, scope, indexes, &mut tasks),
        network_policies: if scope.network_policies {
            children::<NetworkPolicy>(client, scope, indexes, &mut tasks)
        } else {
            let (store, task) = feed(Vec::new(), |_| {});
            tasks.push(Box::pin(task));
            store
        },
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
        stores.pods.wait_until_ready(),
        stores.budgets.wait_until_ready(),
        stores.network_policies.wait_until_ready(),
    );
}

/// One of our kinds; `seen` is told of each object and whether it is (still) here. A change of generation, annotations, finalizers or deletion wakes the object itself.
fn own<K>(
    watches: Vec<Watch<Guarded<K>>>,
    indexes: &Arc<Indexes>,
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
    let (indexes, gone) = (indexes.clone(), gone.clone());
    let (store, task) = feed(
        watches,
        move |change: Change<DeserializeGuard<K>>| match change {
            Change::Applied(object) => {
                let (key, meta) = (Key::of(object.as_ref()), object.meta());
                let own = (
                    &meta.uid,
                    meta.generation,
                    &meta.annotations,
                    &meta.finalizers,
                    meta.deletion_timestamp.is_some(),
                    object.0.is_err(),
                );
                indexes.own_change(&key, &own);
                if let Ok(object) = &object.0 {
                    seen(object, true, &indexes);
                }
            }
            Change::Removed(object) => {
                let key = Key::of(object.as_ref());
                if let Ok(object) = &object.0 {
                    seen(object, false, &indexes);
                }
                indexes.gone(&key);
                gone(&key, object.meta().uid.as_deref().unwrap_or_default());
            }
        },
    );
    tasks.push(Box::pin(task));
    store
}

fn facts<K: Resource<DynamicType = ()>>(
    object: &K,
    conditions: &[Condition],
    detail: String,
    indexes: &Indexes,
) {
    let meta = object.meta();
    let facts = Facts {
        uid: meta.uid.clone().unwrap_or_default(),
        generation: meta.generation.unwrap_or_default(),
        deleting: meta.deletion_timestamp.is_some(),
        ready: conditions
            .iter()
            .any(|c| c.type_ == READY && c.status == "True"),
        detail,
    };
    indexes.seen(&Key::of(object), &facts);
}

/// A stream shows the labels that a Pipeline brings: it is woken when the query changes, and when the pods have it. (Those
/// that knew the Pipeline before are its readers, and woken by that.)
fn written(pipeline: &Pipeline, key: &Key, indexes: &Indexes) {
    let meta = &pipeline.metadata;
    let conditions = pipeline.status.iter().flat_map(|s| &s.conditions);
    let facts = Facts {
        uid: meta.uid.clone().unwrap_or_default(),
        generation: meta.generation.unwrap_or_default(),
        deleting: meta.deletion_timestamp.is_some(),
        ready: conditions.into_iter().any(|c| {
            c.type_ == READY && c.status == "True" && c.observed_generation == meta.generation
        }),
        ..Facts::default()
    };
    if indexes.seen(key, &facts) {
        for name in pipeline.spec.to.iter().filter_map(|t| t.stream.as_ref()) {
            indexes.wake(&Key::new("DataStream", &key.namespace, name));
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
        indexes.seen(
            &key,
            &Facts {
                uid,
                detail: platform.to_owned(),
                ..Facts::default()
            },
        )
    } else {
        indexes.gone(&key);
        true
    };
    if changed {
        indexes.wake(&Key::new("Platform", "", platform));
    }
}

/// Namespaces, for their labels.
fn namespaces(
    watches: Vec<Watch<PartialObjectMeta<Namespace>>>,
    indexes: &Arc<Indexes>,
    tasks: &mut Vec<Task>,
) -> Store<PartialObjectMeta<Namespace>> {
    let indexes = indexes.clone();
    let (store, task) = feed(
        watches,
        move |change: Change<PartialObjectMeta<Namespace>>| match change {
            Change::Applied(namespace) => {
                let key = Key::new("Namespace", "", &namespace.name_any());
                indexes.seen(
                    &key,
                    &Facts {
                        detail: format!(
                            "{:?} {:?}",
                            namespace.labels(),
                            namespace.annotations().get(headworks_crds::ACCEPT_GRANTS)
                        ),
                        ..Facts::default()
                    },
                );
            }
            Change::Removed(namespace) => {
                indexes.gone(&Key::new("Namespace", "", &namespace.name_any()));
            }
        },
    );
    tasks.push(Box::pin(task));
    store
}

/// Objects that carry our label: each change wakes the owner.
fn children<K>(
    client: &Client,
    scope: &Scope,
    indexes: &Arc<Indexes>,
    tasks: &mut Vec<Task>,
) -> Store<K>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + DeserializeOwned
        + Clone
        + std::fmt::Debug
        + Send
        + Sync
        + 'static,
{
    let indexes = indexes.clone();
    let config = watcher::Config::default().labels(&format!("{MANAGED_BY}={MANAGED_BY_VALUE}"));
    let (store, task) = feed(scope.watches(client, &config), move |change: Change<K>| {
        let (Change::Applied(child) | Change::Removed(child)) = change;
        if let Some(owner) = owner_of(child.as_ref()) {
            indexes.wake(&owner);
        }
    });
    tasks.push(Box::pin(task));
    store
}

/// Whose child an object is, by its labels. (Names of our kinds fit a label.)
pub fn owner_of<K: Resource>(child: &K) -> Option<Key> {
    let labels = child.labels();
    Some(Key::new(
        labels.get(LABEL_KIND)?,
        labels.get(LABEL_NAMESPACE)?,
        labels.get(LABEL_NAME)?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_traced_back_to_its_owner() {
        let owner = Key::new("Pipeline", "shop", "p");
        let pod = Pod {
            metadata: kube::core::ObjectMeta {
                labels: Some(owner.labels()),
                ..Default::default()
            },
            ..Pod::default()
        };
        assert_eq!(owner_of(&pod), Some(owner));
        assert_eq!(owner_of(&Pod::default()), None);
    }
}
