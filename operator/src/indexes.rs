//! Who refers to whom, and who must be looked at again when something changes.
//!
//! A reconcile declares what it reads ([`Indexes::set_references`]) before it reads it. A change of an object wakes
//! its readers only if the fields that readers look at changed: generation, deletion, readiness and the
//! fingerprint of its contract. Status figures move all the time and wake nobody.

use std::{
    collections::{BTreeSet, HashMap},
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Mutex, MutexGuard, PoisonError},
};

use futures::channel::mpsc;

use crate::names::Key;

/// What readers look at in an object they refer to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct WatchedFields {
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.generation`.
    pub generation: i64,
    /// True while it is being deleted.
    pub deleting: bool,
    /// Its Ready condition.
    pub ready: bool,
    /// Anything else a reader uses: a contract's fingerprint, a namespace's labels, a Platform's installation.
    pub detail: String,
}

#[derive(Default)]
struct Inner {
    readers: HashMap<Key, BTreeSet<Key>>,
    targets: HashMap<Key, BTreeSet<Key>>,
    facts: HashMap<Key, u64>,
    own: HashMap<Key, u64>,
    uids: HashMap<Key, String>,
    queues: HashMap<String, mpsc::UnboundedSender<Key>>,
}

/// Stands for every object of a kind, also those to come: what whoever asks all of them refers to. No object has that name.
pub fn any(kind: &str) -> Key {
    Key::new(kind, "", "*")
}

/// References and queues of the whole operator.
#[derive(Default)]
pub struct Indexes(Mutex<Inner>);

impl Indexes {
    /// The queue of keys of one kind that must be reconciled.
    pub fn queue(&self, kind: &str) -> mpsc::UnboundedReceiver<Key> {
        let (sender, receiver) = mpsc::unbounded();
        self.lock().queues.insert(kind.to_owned(), sender);
        receiver
    }

    /// Puts an object into its kind's queue.
    pub fn enqueue(&self, key: &Key) {
        self.lock().enqueue(key);
    }

    /// Declares all that `reader` refers to, in place of what it declared before.
    pub fn set_references(&self, reader: &Key, targets: impl IntoIterator<Item = Key>) {
        self.lock()
            .set_references(reader, targets.into_iter().collect());
    }

    /// Notes what readers look at in an object, and wakes them if it changed. Says whether they did.
    pub fn observe(&self, target: &Key, facts: &WatchedFields) -> bool {
        let hash = hash(facts);
        let mut inner = self.lock();
        let changed = inner.facts.insert(target.clone(), hash) != Some(hash);
        if changed {
            inner.enqueue_dependents(target);
        }
        changed
    }

    /// An object of ours is here, with this UID.
    pub fn here(&self, key: &Key, uid: &str) {
        let mut inner = self.lock();
        if inner.uids.get(key).map(String::as_str) != Some(uid) {
            inner.uids.insert(key.clone(), uid.to_owned());
        }
    }

    /// True: the object of ours that is here now has this UID.
    pub fn is(&self, key: &Key, uid: &str) -> bool {
        self.lock().uids.get(key).is_some_and(|known| known == uid)
    }

    /// Wakes the owner of a child, if it is the one of this UID. One that isn't here yet is looked at when it comes.
    pub fn enqueue_owner(&self, key: &Key, uid: &str) {
        let mut inner = self.lock();
        if inner.uids.get(key).is_some_and(|known| known == uid) {
            inner.enqueue(key);
        }
    }

    /// Wakes the object itself if what makes it worth a reconcile (generation, annotations, finalizers) changed.
    pub fn own_change(&self, key: &Key, what: &impl Hash) {
        let hash = hash(what);
        let mut inner = self.lock();
        if inner.own.insert(key.clone(), hash) != Some(hash) {
            inner.enqueue(key);
        }
    }

    /// True if the object was seen and isn't gone.
    pub fn knows(&self, target: &Key) -> bool {
        self.lock().facts.contains_key(target)
    }

    /// An object is gone: its readers are woken, its own references forgotten.
    pub fn removed(&self, key: &Key) {
        let mut inner = self.lock();
        inner.facts.remove(key);
        inner.own.remove(key);
        inner.uids.remove(key);
        inner.enqueue_dependents(key);
        inner.set_references(key, BTreeSet::new());
    }

    /// Wakes all that refer to an object.
    pub fn enqueue_dependents(&self, target: &Key) {
        self.lock().enqueue_dependents(target);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn enqueue(&mut self, key: &Key) {
        if let Some(queue) = self.queues.get(&key.kind) {
            // Only fails when the controller has ended, and then nobody is to be woken.
            let _ = queue.unbounded_send(key.clone());
        }
    }

    fn enqueue_dependents(&mut self, target: &Key) {
        for reader in self.readers.get(target).cloned().unwrap_or_default() {
            self.enqueue(&reader);
        }
    }

    fn set_references(&mut self, reader: &Key, targets: BTreeSet<Key>) {
        let before = if targets.is_empty() {
            self.targets.remove(reader)
        } else {
            self.targets.insert(reader.clone(), targets.clone())
        };
        for target in before.unwrap_or_default().difference(&targets) {
            if let Some(readers) = self.readers.get_mut(target) {
                readers.remove(reader);
                if readers.is_empty() {
                    self.readers.remove(target);
                }
            }
        }
        for target in targets {
            self.readers
                .entry(target)
                .or_default()
                .insert(reader.clone());
        }
    }
}

fn hash(what: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(queue: &mut mpsc::UnboundedReceiver<Key>) -> Vec<String> {
        std::iter::from_fn(|| queue.try_recv().ok())
            .map(|k| k.name)
            .collect()
    }

    #[test]
    fn readers_wake_on_facts_and_not_on_figures() {
        let indexes = Indexes::default();
        let mut queue = indexes.queue("Pipeline");
        let stream = Key::new("DataStream", "shop", "orders");
        indexes.set_references(&Key::new("Pipeline", "shop", "p"), [stream.clone()]);
        let facts = WatchedFields {
            generation: 1,
            ready: true,
            ..WatchedFields::default()
        };
        indexes.observe(&stream, &facts);
        indexes.observe(&stream, &facts);
        assert_eq!(drain(&mut queue), ["p"]);
        indexes.observe(
            &stream,
            &WatchedFields {
                ready: false,
                ..facts
            },
        );
        assert_eq!(drain(&mut queue), ["p"]);
    }

    #[test]
    fn a_reader_that_no_longer_refers_is_left_alone() {
        let indexes = Indexes::default();
        let mut queue = indexes.queue("Pipeline");
        let (a, b) = (
            Key::new("DataStream", "shop", "a"),
            Key::new("DataStream", "shop", "b"),
        );
        let reader = Key::new("Pipeline", "shop", "p");
        indexes.set_references(&reader, [a.clone()]);
        indexes.set_references(&reader, [b.clone()]);
        indexes.enqueue_dependents(&a);
        assert!(drain(&mut queue).is_empty());
        indexes.removed(&b);
        assert_eq!(drain(&mut queue), ["p"]);
        assert_eq!(indexes.lock().readers.len(), 1);
        indexes.removed(&reader);
        assert!(indexes.lock().readers.is_empty());
    }

    #[test]
    fn a_child_wakes_its_owner_by_uid_and_no_namesake() {
        let indexes = Indexes::default();
        let mut queue = indexes.queue("Pipeline");
        let key = Key::new("Pipeline", "shop", "p");
        indexes.enqueue_owner(&key, "1");
        assert!(drain(&mut queue).is_empty(), "nobody is here");
        indexes.here(&key, "1");
        indexes.enqueue_owner(&key, "2");
        indexes.enqueue_owner(&key, "");
        assert!(drain(&mut queue).is_empty(), "another's child");
        indexes.enqueue_owner(&key, "1");
        assert_eq!(drain(&mut queue), ["p"]);
        indexes.removed(&key);
        assert!(!indexes.is(&key, "1"));
    }

    #[test]
    fn a_status_write_of_our_own_does_not_wake_the_object() {
        let indexes = Indexes::default();
        let mut queue = indexes.queue("Pipeline");
        let key = Key::new("Pipeline", "shop", "p");
        indexes.own_change(&key, &(1, "annotations"));
        indexes.own_change(&key, &(1, "annotations"));
        assert_eq!(drain(&mut queue).len(), 1);
        indexes.own_change(&key, &(2, "annotations"));
        assert_eq!(drain(&mut queue).len(), 1);
    }
}
