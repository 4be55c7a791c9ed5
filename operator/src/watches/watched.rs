//! What a kind says of its watch: where its objects are, and whom a change of one wakes.

use std::{fmt::Debug, sync::Arc};

use headworks_crds::{Condition, conditions::READY};
use kube::Resource;
use serde::de::DeserializeOwned;

use super::Watching;
use crate::{
    indexes::{Indexes, WatchedFields, any},
    names::Key,
    planning::{flows::Flows, store_writers::StoreWriters, uses::UsesStreams},
    scope::Watch,
    stores::Guarded,
};

/// A kind of ours, as it is watched. That an object's own change wakes itself needs no saying.
pub trait Watched:
    UsesStreams + Resource<DynamicType = ()> + DeserializeOwned + Clone + Debug + Send + Sync + 'static
{
    /// Where its objects are: [`Watching::everywhere`], or [`Watching::cluster_wide`].
    fn watches(at: &Watching<'_>) -> Vec<Watch<Guarded<Self>>>;

    /// An object came or changed (`here`), or is gone: whom that concerns is woken, by fields that those look at. (Who is in a loop
    /// with it, or writes the same, is woken without it.) Called for every
    /// write of the object, its status among them: what moves all the time must wake nobody.
    fn changed(&self, here: bool, wake: &Wake);
}

/// Whom a change wakes, and what is remembered to know it.
pub struct Wake {
    /// Who refers to whom.
    pub indexes: Arc<Indexes>,
    /// Which streams each object reads and writes.
    pub flows: Arc<Flows>,
    /// Which stores each Pipeline writes to.
    pub writers: StoreWriters,
}

impl Wake {
    /// Whom it concerns that an object came or changed (`here`), or is gone: by the streams that it uses, and as its kind says.
    pub(super) fn changed<K: Watched>(&self, object: &K, here: bool) {
        let key = Key::of(object);
        let flow = object.streams().flow();
        self.enqueue(match flow {
            Some(flow) if here => self.flows.set(&key, flow),
            Some(_) => self.flows.remove(&key),
            None => Vec::new(),
        });
        object.changed(here, self);
    }

    /// Puts objects into their queues.
    pub fn enqueue(&self, keys: impl IntoIterator<Item = Key>) {
        for key in keys {
            self.indexes.enqueue(&key);
        }
    }

    /// For a kind that others refer to: they wake when it is another object, has another spec, goes, becomes ready or ceases to be, or
    /// when `detail` changes, which is whatever else they read in it.
    pub fn readers<K: Resource<DynamicType = ()>>(
        &self,
        object: &K,
        conditions: &[Condition],
        detail: &str,
    ) {
        let meta = object.meta();
        // Who waits for it says why it isn't ready: in words that are true now.
        let why = conditions
            .iter()
            .find(|c| c.type_ == READY && c.status != "True")
            .map(|c| (&c.reason, &c.message));
        let fields = WatchedFields {
            uid: meta.uid.clone().unwrap_or_default(),
            generation: meta.generation.unwrap_or_default(),
            deleting: meta.deletion_timestamp.is_some(),
            ready: conditions
                .iter()
                .any(|c| c.type_ == READY && c.status == "True"),
            detail: format!("{detail} {why:?}"),
        };
        if self.indexes.observe(&Key::of(object), &fields) {
            // Who asks all of the kind is told of each, also of one that comes later.
            self.indexes.enqueue_dependents(&any(&K::kind(&())));
        }
    }

    /// For a kind that a Platform counts: the Platform wakes when one comes or goes.
    pub fn platform<K: Resource<DynamicType = ()>>(&self, member: &K, here: bool, platform: &str) {
        let key = Key::new("Member", &K::kind(&()), &Key::of(member).to_string());
        let changed = if here {
            let fields = WatchedFields {
                uid: member.meta().uid.clone().unwrap_or_default(),
                detail: platform.to_owned(),
                ..WatchedFields::default()
            };
            self.indexes.observe(&key, &fields)
        } else {
            self.indexes.removed(&key);
            true
        };
        if changed {
            self.indexes.enqueue(&Key::new("Platform", "", platform));
        }
    }
}
