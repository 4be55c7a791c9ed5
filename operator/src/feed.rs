//! Watching one kind: a local store of its objects, and a call for each change.
//!
//! Every reconcile reads from these stores, so the API server is asked nothing twice. After a watch was
//! interrupted the whole kind is listed again; what is missing from that list is reported as removed,
//! so no deletion goes unseen.

use std::{collections::HashMap, fmt::Debug, hash::Hash, pin::pin, sync::Arc};

use futures::{Future, StreamExt};
use kube::{
    Resource,
    runtime::{
        WatchStreamExt,
        reflector::{self, ObjectRef, Store},
        watcher::Event,
    },
};
use serde::de::DeserializeOwned;

use crate::scope::{Watch, merged};

/// One change of an object.
pub enum Change<K> {
    /// It was added or modified.
    Applied(Arc<K>),
    /// It is gone; this is how it was last seen.
    Removed(Arc<K>),
}

/// The store of a kind, and the task that keeps it and calls `on` after each change.
pub fn feed<K>(
    watches: Vec<Watch<K>>,
    mut on: impl FnMut(Change<K>) + Send + 'static,
) -> (Store<K>, impl Future<Output = ()> + Send)
where
    K: Resource<DynamicType = ()> + DeserializeOwned + Clone + Debug + Send + Sync + 'static,
    ObjectRef<K>: Hash + Eq,
{
    let (reader, writer) = reflector::store::<K>();
    let store = reader.clone();
    let events = merged(watches)
        .modify(|object: &mut K| object.meta_mut().managed_fields = None)
        .reflect(writer);
    let task = async move {
        let mut events = pin!(events);
        let mut known: HashMap<ObjectRef<K>, Arc<K>> = HashMap::new();
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Apply(object)) => {
                    let key = ObjectRef::from_obj(&object);
                    let object = store.get(&key).unwrap_or_else(|| Arc::new(object));
                    known.insert(key, object.clone());
                    on(Change::Applied(object));
                }
                Ok(Event::Delete(object)) => {
                    known.remove(&ObjectRef::from_obj(&object));
                    on(Change::Removed(Arc::new(object)));
                }
                Ok(Event::InitDone) => {
                    let listed: HashMap<ObjectRef<K>, Arc<K>> = store
                        .state()
                        .into_iter()
                        .map(|object| (ObjectRef::from_obj(object.as_ref()), object))
                        .collect();
                    for (key, object) in &known {
                        if !listed.contains_key(key) {
                            on(Change::Removed(object.clone()));
                        }
                    }
                    for object in listed.values() {
                        on(Change::Applied(object.clone()));
                    }
                    known = listed;
                }
                Ok(Event::Init | Event::InitApply(_)) => {}
                Err(error) => {
                    tracing::warn!(kind = %K::kind(&()), %error, "watch interrupted; it is tried again");
                }
            }
        }
    };
    (reader, task)
}
