//! Watching one kind: a local store of its objects, and a call for each change.
//!
//! Every reconcile reads from these stores, so the API server is asked nothing twice. After a watch was
//! interrupted the whole kind is listed again; what is missing from that list is reported as removed,
//! so no deletion goes unseen.
//!
//! What isn't ours is dropped on entry, and wakes nobody; what is kept is trimmed to what somebody reads, and bounded by
//! namespace ([`Rules`]). How much is held is a metric.

use std::{collections::HashMap, fmt::Debug, hash::Hash, pin::pin, sync::Arc, time::Instant};

use futures::{Future, Stream, StreamExt};
use kube::{
    Resource,
    runtime::{
        reflector::{
            ObjectRef,
            store::{Store, Writer},
        },
        watcher::{self, Event},
    },
};
use serde::de::DeserializeOwned;

use crate::{
    bounds::{Bound, Load, Refusal},
    scope::{Watch, merged},
    supervise::{Pause, contained, contained_call},
    telemetry::Metrics,
};

/// One change of an object.
pub enum WatchEvent<K> {
    /// It was added or modified.
    Applied(Arc<K>),
    /// It is gone; this is how it was last seen.
    Removed(Arc<K>),
}

/// What is held of a kind.
pub struct Rules<K> {
    /// True for an object that is ours.
    pub ours: fn(&K) -> bool,
    /// Takes away what nobody reads.
    pub trim: fn(&mut K),
    /// Size of an object in memory, in bytes, about.
    pub size: fn(&K) -> usize,
    /// The most of one namespace.
    pub bound: Bound,
}

impl<K> Rules<K> {
    /// Everything is held, whole: our own kinds, and what the cluster has few of.
    pub fn everything() -> Self {
        Self {
            ours: |_| true,
            trim: |_| {},
            size: |_| 1_024,
            bound: Bound::NONE,
        }
    }
}

/// The store of a kind, and the task that keeps it and calls `on` after each change.
pub fn watch<K>(
    watches: Vec<Watch<K>>,
    rules: Rules<K>,
    metrics: Arc<Metrics>,
    on: impl FnMut(WatchEvent<K>) + Send + 'static,
) -> (Store<K>, impl Future<Output = ()> + Send)
where
    K: Resource<DynamicType = ()> + DeserializeOwned + Clone + Debug + Send + Sync + 'static,
    ObjectRef<K>: Hash + Eq,
{
    let writer = Writer::<K>::new(());
    let reader = writer.as_reader();
    let mut keeper = Keeper::new(writer, rules, metrics, Box::new(on));
    let task = async move {
        let name = format!("watch {}", K::kind(&()));
        let mut pause = Pause::default();
        loop {
            let events = merged(watches.clone());
            if contained(&name, keeper.follow(events)).await.is_ok() {
                return;
            }
            // It begins with a new list, which puts right whatever was left half done.
            tokio::time::sleep(pause.after(Instant::now())).await;
        }
    };
    (reader, task)
}

struct Held<K> {
    object: Arc<K>,
    size: usize,
}

struct Keeper<K: Resource<DynamicType = ()> + Clone + 'static> {
    writer: Writer<K>,
    rules: Rules<K>,
    metrics: Arc<Metrics>,
    on: Box<dyn FnMut(WatchEvent<K>) + Send>,
    known: HashMap<ObjectRef<K>, Held<K>>,
    load: Load,
    /// Sizes of what a list that isn't complete yet has brought.
    listing: HashMap<ObjectRef<K>, usize>,
    listing_load: Load,
}

impl<K> Keeper<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + Send + Sync + 'static,
    ObjectRef<K>: Hash + Eq,
{
    fn new(
        writer: Writer<K>,
        rules: Rules<K>,
        metrics: Arc<Metrics>,
        on: Box<dyn FnMut(WatchEvent<K>) + Send>,
    ) -> Self {
        let (load, listing_load) = (Load::new(rules.bound), Load::new(rules.bound));
        Self {
            writer,
            rules,
            metrics,
            on,
            known: HashMap::new(),
            load,
            listing: HashMap::new(),
            listing_load,
        }
    }

    async fn follow(&mut self, events: impl Stream<Item = Result<Event<K>, watcher::Error>>) {
        let mut events = pin!(events);
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => self.take(event),
                Err(error) => {
                    tracing::warn!(kind = %K::kind(&()), %error, "watch interrupted; it is tried again");
                }
            }
        }
    }

    fn take(&mut self, event: Event<K>) {
        match event {
            Event::Apply(object) => self.applied(object),
            Event::Delete(object) => self.removed(&ObjectRef::from_obj(&object), object),
            Event::Init => {
                self.listing.clear();
                self.listing_load = Load::new(self.rules.bound);
                self.writer.apply_watcher_event(&Event::Init);
            }
            Event::InitApply(object) => self.listed(object),
            Event::InitDone => self.complete(),
        }
        let kind = K::kind(&());
        self.metrics.holds(&kind, self.known.len());
    }

    /// Ours, without what nobody reads; with its size.
    fn admitted(&self, mut object: K) -> Result<(K, usize), K> {
        if !(self.rules.ours)(&object) {
            self.metrics.dropped(&K::kind(&()), "foreign");
            return Err(object);
        }
        object.meta_mut().managed_fields = None;
        (self.rules.trim)(&mut object);
        let size = (self.rules.size)(&object);
        Ok((object, size))
    }

    fn applied(&mut self, object: K) {
        let key = ObjectRef::from_obj(&object);
        let (object, size) = match self.admitted(object) {
            Ok(admitted) => admitted,
            // It was ours, and is no longer.
            Err(object) => return self.removed(&key, object),
        };
        let namespace = object.meta().namespace.clone().unwrap_or_default();
        let before = self.known.get(&key).map(|held| held.size);
        if let Err(refusal) = self.load.put(&namespace, before, size) {
            self.refused(&namespace, refusal);
            return self.removed(&key, object);
        }
        let event = Event::Apply(object);
        self.writer.apply_watcher_event(&event);
        // The store's own, so that there is one of it.
        let Some(object) = self.writer.as_reader().get(&key) else {
            return;
        };
        let held = Held {
            object: object.clone(),
            size,
        };
        self.known.insert(key, held);
        self.tell(WatchEvent::Applied(object));
    }

    fn removed(&mut self, key: &ObjectRef<K>, object: K) {
        let Some(held) = self.known.remove(key) else {
            return;
        };
        let namespace = held.object.meta().namespace.as_deref();
        self.load.take(namespace.unwrap_or_default(), held.size);
        self.writer.apply_watcher_event(&Event::Delete(object));
        self.tell(WatchEvent::Removed(held.object));
    }

    fn listed(&mut self, object: K) {
        let Ok((object, size)) = self.admitted(object) else {
            return;
        };
        let key = ObjectRef::from_obj(&object);
        let namespace = object.meta().namespace.clone().unwrap_or_default();
        let before = self.listing.get(&key).copied();
        if let Err(refusal) = self.listing_load.put(&namespace, before, size) {
            return self.refused(&namespace, refusal);
        }
        self.writer.apply_watcher_event(&Event::InitApply(object));
        self.listing.insert(key, size);
    }

    fn complete(&mut self) {
        self.writer.apply_watcher_event(&Event::InitDone);
        let sizes = std::mem::take(&mut self.listing);
        let of = |object: Arc<K>| {
            let key = ObjectRef::from_obj(object.as_ref());
            let size = sizes.get(&key).copied().unwrap_or_default();
            (key, Held { object, size })
        };
        let state = self.writer.as_reader().state();
        let listed = state.into_iter().map(of).collect();
        let load = std::mem::replace(&mut self.listing_load, Load::new(self.rules.bound));
        let before = std::mem::replace(&mut self.known, listed);
        self.load = load;
        for (key, held) in before {
            if !self.known.contains_key(&key) {
                self.tell(WatchEvent::Removed(held.object));
            }
        }
        let all: Vec<Arc<K>> = self
            .known
            .values()
            .map(|held| held.object.clone())
            .collect();
        for object in all {
            self.tell(WatchEvent::Applied(object));
        }
    }

    fn refused(&self, namespace: &str, refusal: Refusal) {
        let kind = K::kind(&());
        self.metrics.dropped(&kind, "bound");
        if refusal.first {
            tracing::warn!(%kind, namespace, "the namespace has more objects that say they are ours than are held; the API server is asked for the rest");
        }
    }

    /// One object that sets off a mistake of ours mustn't end the watch for all.
    fn tell(&mut self, change: WatchEvent<K>) {
        let on = &mut self.on;
        let name = format!("change of {}", K::kind(&()));
        // What it said is logged.
        let _ = contained_call(&name, || on(change));
    }
}

#[cfg(test)]
mod tests;
