//! A namespace as a list of objects has it.

use std::collections::{BTreeMap, BTreeSet};

use headworks_crds::{DataStore, DataStream, Pipeline};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;

use super::{CatalogSnapshot, Name, Stream};
use crate::{
    contract::{
        self,
        revision::{self, Revision},
        topic_name,
    },
    owned,
    planning::{lineage, uses::StreamUse, versions},
};

/// Objects that a snapshot is made of; those of other namespaces are left out.
#[derive(Clone, Debug, Default)]
pub struct Objects<'a> {
    /// DataStreams.
    pub streams: Vec<&'a DataStream>,
    /// Pipelines.
    pub pipelines: Vec<&'a Pipeline>,
    /// Objects of all kinds that use streams, as they do: kind, namespace and name. (Pipelines may stand in either list.)
    pub users: Vec<(&'static str, Name, StreamUse)>,
    /// DataStores.
    pub stores: Vec<&'a DataStore>,
    /// ConfigMaps with accepted contracts.
    pub contracts: Vec<&'a ConfigMap>,
    /// DataStreams that are about to be made. What an earlier object of their name left under `Retain` is in force for
    /// them; without that there is nothing to say of them.
    pub coming: Vec<&'a DataStream>,
}

/// The streams of a namespace, and who uses them, of objects at hand, with the contracts in force.
pub fn of(namespace: &str, objects: &Objects<'_>) -> CatalogSnapshot {
    let mut accepted = contracts(namespace, &objects.contracts);
    let mut snapshot = CatalogSnapshot::default();
    for object in within(namespace, &objects.streams) {
        let name = object.name_any();
        let known = accepted.remove(&name).unwrap_or_default();
        let key = (namespace.to_owned(), name);
        match stream(namespace, object, known) {
            Some(stream) => {
                snapshot.streams.insert(key, stream);
            }
            None => {
                snapshot.unread.insert(key);
            }
        }
    }
    for object in within(namespace, &objects.coming) {
        let name = (namespace.to_owned(), object.name_any());
        let known = accepted.remove(&name.1).unwrap_or_default();
        // One that is there isn't coming.
        if snapshot.streams.contains_key(&name) {
            continue;
        }
        if let Some(stream) = stream(namespace, object, known).filter(|s| s.version.is_some()) {
            snapshot.streams.insert(name, stream);
        }
    }
    let name = |name: String| (namespace.to_owned(), name);
    for pipeline in within(namespace, &objects.pipelines) {
        let key = name(pipeline.name_any());
        // What is tried out beside it is a Pipeline of its own.
        snapshot.pipelines.insert(key, versions::in_force(pipeline));
    }
    for (kind, name, used) in &objects.users {
        if name.0 == namespace {
            snapshot.note(kind, name.clone(), used.clone());
        }
    }
    for store in within(namespace, &objects.stores) {
        let key = name(store.name_any());
        snapshot.stores.insert(key, store.spec.clone());
    }
    snapshot
}

/// A stream with what is known of its contracts, newest first; none where nothing can be read of it.
fn stream(namespace: &str, object: &DataStream, mut known: Vec<Revision>) -> Option<Stream> {
    let name = object.name_any();
    let status = object.status.clone().unwrap_or_default();
    let spec = &object.spec;
    let topic = topic_name::topic_of(namespace, &name, spec.topic.as_deref());
    let about_this = |a: &Revision| a.topic == topic && a.platform == spec.platform;
    match &status.contract {
        // Neither a number nor our labels make a contract the one in force.
        Some(named) => known.retain(|a| a.version <= named.version),
        // Contracts of an earlier object of this name count as they do in the reconcile.
        None if !known.first().is_some_and(about_this) => known.clear(),
        None => {}
    }
    known.retain(about_this);
    let mut known = known.into_iter();
    let newest = known.next();
    let compatibility = newest.as_ref().map_or(spec.compatibility, |newest| {
        newest.promise(status.contract.as_ref(), spec.compatibility)
    });
    let used = newest.as_ref().map(|n| n.used.clone()).unwrap_or_default();
    let (contract, version) = match newest {
        Some(newest) => (
            contract::as_read(&newest.contract, spec),
            Some(newest.version),
        ),
        // Who may not read the contracts has the number from the status, and the spec for the contract.
        None => (
            contract::wanted((namespace, &name), spec, None).ok()?,
            status.contract.as_ref().map(|c| c.version),
        ),
    };
    let own: BTreeSet<(String, String)> = contract
        .fields
        .iter()
        .flat_map(|f| f.labels.iter().map(|l| (f.name.clone(), l.clone())))
        .collect();
    let mut arrived = lineage::by_field(&status.labels);
    for (field, labels) in &mut arrived {
        labels.retain(|label| !own.contains(&(field.clone(), label.clone())));
    }
    arrived.retain(|_, labels| !labels.is_empty());
    Some(Stream {
        contract,
        version,
        earlier: known.map(|a| (a.version, a.contract)).collect(),
        compatibility,
        used,
        annotations: object.annotations().clone(),
        owner: spec.owner.clone(),
        arrived,
    })
}

fn within<'a, K: ResourceExt>(namespace: &'a str, all: &'a [&'a K]) -> impl Iterator<Item = &'a K> {
    all.iter()
        .copied()
        .filter(move |one| one.meta().namespace.as_deref() == Some(namespace))
}

/// The accepted contracts of a namespace's streams, newest first, by stream.
fn contracts(namespace: &str, maps: &[&ConfigMap]) -> BTreeMap<String, Vec<Revision>> {
    let mut all: BTreeMap<String, Vec<Revision>> = BTreeMap::new();
    for map in within(namespace, maps) {
        if let (Some(stream), Some(contract)) = (owned::is_contract(map), revision::read(map)) {
            all.entry(stream.name).or_default().push(contract);
        }
    }
    for contracts in all.values_mut() {
        contracts.sort_by_key(|a| std::cmp::Reverse(a.version));
    }
    all
}
