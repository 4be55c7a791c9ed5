//! All watches, and what each change means: whose reconcile it wakes.

use std::{collections::BTreeSet, sync::Arc, time::Instant};

use headworks_crds::{
    AccessGrant, Condition, DataStore, DataStream, Pipeline, Platform, Source, conditions::READY,
};
use k8s_openapi::api::{
    apps::v1::{Deployment, ReplicaSet, StatefulSet},
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
    feed::{Change, Rules, feed},
    held,
    indexes::{Facts, Indexes},
    names::{Key, MANAGED_BY, MANAGED_BY_VALUE},
    owned::{self, Lineage},
    planning::{
        flows::{Flows, flow_of},
        shared,
        store_writers::{StoreWriters, stores_of},
    },
    scope::{Scope, Watch},
    stores::{Guarded, Stores},
    supervise::Task,
    telemetry::Metrics,
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
                    indexes.wake(&key);
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
                    indexes.wake(&key);
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
        budgets: children::<PodDisruptionBudget>(at, held::children(), &mut tasks),
        network_policies: if scope.network_policies {
            children::<NetworkPolicy>(at, held::children(), &mut tasks)
        } else {
            let rules = Rules::everything();
            let (store, task) = feed(Vec::new(), rules, metrics.clone(), |_| {});
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
    let (store, task) = feed(
        watches,
        Rules::everything(),
        at.metrics.clone(),
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
                indexes.here(&key, meta.uid.as_deref().unwrap_or_default());
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
    // Who waits for it says why it isn't ready: in words that are true now.
    let why = conditions
        .iter()
        .find(|c| c.type_ == READY && c.status != "True")
        .map(|c| (&c.reason, &c.message));
    let facts = Facts {
        uid: meta.uid.clone().unwrap_or_default(),
        generation: meta.generation.unwrap_or_default(),
        deleting: meta.deletion_timestamp.is_some(),
        ready: conditions
            .iter()
            .any(|c| c.type_ == READY && c.status == "True"),
        detail: format!("{detail} {why:?}"),
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
fn namespaces(at: &Watching<'_>, tasks: &mut Vec<Task>) -> Store<PartialObjectMeta<Namespace>> {
    let indexes = at.indexes.clone();
    let (store, task) = feed(
        at.scope.namespaces(at.client),
        Rules::everything(),
        at.metrics.clone(),
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

/// Objects that carry our label and are ours by their controller: each change wakes the owner.
fn children<K>(at: &Watching<'_>, rules: Rules<K>, tasks: &mut Vec<Task>) -> Store<K>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + DeserializeOwned
        + Clone
        + std::fmt::Debug
        + Send
        + Sync
        + Contract
        + 'static,
{
    let (indexes, lineage) = (at.indexes.clone(), at.lineage.clone());
    // The label spares us what is surely foreign, and proves nothing.
    let config = watcher::Config::default().labels(&format!("{MANAGED_BY}={MANAGED_BY_VALUE}"));
    let watches = at.scope.watches(at.client, &config);
    let (store, task) = feed(watches, rules, at.metrics.clone(), move |change| {
        changed(&change, &lineage, &indexes);
    });
    tasks.push(Box::pin(task));
    store
}

/// Wakes whose child it is.
fn changed<K: Resource<DynamicType = ()> + Contract>(
    change: &Change<K>,
    lineage: &Lineage,
    indexes: &Indexes,
) {
    let (child, here) = match change {
        Change::Applied(child) => (child, true),
        Change::Removed(child) => (child, false),
    };
    if matches!(
        K::kind(&()).as_ref(),
        "StatefulSet" | "Deployment" | "ReplicaSet"
    ) {
        lineage.seen(child.meta(), here, Instant::now());
    }
    if let Some((owner, uid)) = lineage.owner(child.meta()) {
        indexes.wake_owner(&owner, &uid);
    } else if let Some(stream) = child.contract() {
        indexes.wake(&stream);
    }
}

/// A child that may hold a contract, which has no controller.
trait Contract {
    /// The stream whose contract it holds.
    fn contract(&self) -> Option<Key> {
        None
    }
}

impl Contract for ConfigMap {
    fn contract(&self) -> Option<Key> {
        owned::is_contract(self)
    }
}

impl Contract for Service {}
impl Contract for Deployment {}
impl Contract for StatefulSet {}
impl Contract for PartialObjectMeta<ReplicaSet> {}
impl Contract for Pod {}
impl Contract for PodDisruptionBudget {}
impl Contract for NetworkPolicy {}

/// Whose pod it is: by its controllers' UIDs, and only where that object is here. A foreign pod is nobody's, whatever its labels say.
pub fn owner_of_pod(pod: &Pod, lineage: &Lineage, indexes: &Indexes) -> Option<Key> {
    lineage
        .owner(&pod.metadata)
        .filter(|(key, uid)| indexes.is(key, uid))
        .map(|(key, _)| key)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn meta<K: DeserializeOwned>(namespace: &str, name: &str, uid: &str, by: &Value) -> K {
        let labels = Key::new("Pipeline", "shop", "p").labels();
        serde_json::from_value(
            json!({"metadata": {"name": name, "namespace": namespace, "uid": uid, "labels": labels,
            "ownerReferences": [by]}}),
        )
        .unwrap()
    }

    fn reference(kind: &str, name: &str, uid: &str) -> Value {
        let group = if kind == "Pipeline" {
            "headworks.dev/v1alpha1"
        } else {
            "apps/v1"
        };
        json!({"apiVersion": group, "kind": kind, "name": name, "uid": uid, "controller": true})
    }

    fn woken(queue: &mut futures::channel::mpsc::UnboundedReceiver<Key>) -> usize {
        std::iter::from_fn(|| queue.try_recv().ok()).count()
    }

    #[test]
    fn a_child_wakes_its_owner_and_a_forged_one_nobody() {
        let (indexes, lineage) = (Indexes::default(), Lineage::default());
        let mut queue = indexes.queue("Pipeline");
        indexes.here(&Key::new("Pipeline", "shop", "p"), "1");
        let set = |by: &Value| -> Change<StatefulSet> {
            Change::Applied(Arc::new(meta("shop", "p", "set", by)))
        };
        changed(&set(&reference("Pipeline", "p", "1")), &lineage, &indexes);
        assert_eq!(woken(&mut queue), 1);
        let pod = |namespace: &str, by: &Value| -> Change<Pod> {
            Change::Applied(Arc::new(meta(namespace, "p-0", "pod", by)))
        };
        let ours = reference("StatefulSet", "p", "set");
        changed(&pod("shop", &ours), &lineage, &indexes);
        assert_eq!(woken(&mut queue), 1);
        changed(&pod("other", &ours), &lineage, &indexes);
        changed(
            &pod("shop", &reference("StatefulSet", "p", "other")),
            &lineage,
            &indexes,
        );
        changed(
            &pod("shop", &reference("Pipeline", "p", "2")),
            &lineage,
            &indexes,
        );
        changed(&set(&reference("Pipeline", "p", "2")), &lineage, &indexes);
        let map = Arc::new(meta::<ConfigMap>(
            "shop",
            "labelled",
            "m",
            &reference("Pod", "x", "3"),
        ));
        changed(&Change::Applied(map), &lineage, &indexes);
        assert_eq!(woken(&mut queue), 0);
    }

    #[test]
    fn a_contract_wakes_its_stream() {
        let (indexes, lineage) = (Indexes::default(), Lineage::default());
        let mut queue = indexes.queue("DataStream");
        let stream = Key::new("DataStream", "shop", "orders");
        let mut labels = stream.labels();
        labels.insert("headworks.dev/part".into(), "contract".into());
        let map = |name: &str| -> Change<ConfigMap> {
            let body = json!({"immutable": true, "metadata": {"name": name, "namespace": "shop", "labels": labels}});
            Change::Removed(Arc::new(serde_json::from_value(body).unwrap()))
        };
        changed(&map("orders-contract-1"), &lineage, &indexes);
        assert_eq!(woken(&mut queue), 1);
        changed(&map("anything"), &lineage, &indexes);
        assert_eq!(woken(&mut queue), 0);
    }

    #[test]
    fn figures_are_taken_from_a_pods_owner_in_its_own_namespace_only() {
        let (indexes, lineage) = (Indexes::default(), Lineage::default());
        let key = Key::new("Pipeline", "shop", "p");
        let set: StatefulSet = meta("shop", "p", "set", &reference("Pipeline", "p", "1"));
        lineage.seen(&set.metadata, true, Instant::now());
        let pod = |namespace: &str, by: &Value| -> Pod { meta(namespace, "p-0", "pod", by) };
        let ours = reference("StatefulSet", "p", "set");
        let owner = |pod: &Pod| owner_of_pod(pod, &lineage, &indexes);
        assert_eq!(owner(&pod("shop", &ours)), None, "the Pipeline isn't here");
        indexes.here(&key, "1");
        assert_eq!(owner(&pod("shop", &ours)), Some(key.clone()));
        assert_eq!(owner(&pod("other", &ours)), None);
        assert_eq!(
            owner(&pod("shop", &reference("StatefulSet", "p", "forged"))),
            None
        );
        let mut labelled = pod("other", &ours);
        labelled.metadata.owner_references = None;
        assert_eq!(owner(&labelled), None, "labels alone");
        // A new object of the name isn't told by the old one's pods.
        indexes.here(&key, "2");
        assert_eq!(owner(&pod("shop", &ours)), None);
    }
}
