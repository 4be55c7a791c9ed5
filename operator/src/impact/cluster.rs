//! A namespace as the operator's stores, or a list of objects, have it.

use std::collections::{BTreeMap, BTreeSet};

use headworks_crds::{AccessGrant, DataStream, LABEL_KIND, LABEL_NAME, Pipeline, Source};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;

use super::{Stream, World, labels};
use crate::{
    context::Stores,
    data_stream::{
        accepted::{self, Accepted},
        contract,
    },
    evolution,
    names::{CONTRACT_PART, PART_LABEL},
};

/// Objects that a world is made of; those of other namespaces are left out.
#[derive(Clone, Debug, Default)]
pub struct Objects<'a> {
    /// DataStreams.
    pub streams: Vec<&'a DataStream>,
    /// Pipelines.
    pub pipelines: Vec<&'a Pipeline>,
    /// Sources.
    pub sources: Vec<&'a Source>,
    /// AccessGrants.
    pub grants: Vec<&'a AccessGrant>,
    /// ConfigMaps with accepted contracts.
    pub contracts: Vec<&'a ConfigMap>,
}

/// The streams, Pipelines, Sources and grants of a namespace as the stores have them, with the contracts in force.
pub fn world(stores: &Stores, namespace: &str) -> World {
    let (streams, pipelines) = (stores.streams.state(), stores.pipelines.state());
    let (sources, grants) = (stores.sources.state(), stores.grants.state());
    let maps = stores.config_maps.state_filter(|map| {
        map.metadata.namespace.as_deref() == Some(namespace)
            && map.labels().get(PART_LABEL).map(String::as_str) == Some(CONTRACT_PART)
    });
    let objects = Objects {
        streams: streams.iter().filter_map(|s| s.0.as_ref().ok()).collect(),
        pipelines: pipelines.iter().filter_map(|p| p.0.as_ref().ok()).collect(),
        sources: sources.iter().filter_map(|s| s.0.as_ref().ok()).collect(),
        grants: grants.iter().filter_map(|g| g.0.as_ref().ok()).collect(),
        contracts: maps.iter().map(AsRef::as_ref).collect(),
    };
    of(namespace, &objects)
}

/// The same of objects at hand.
pub fn of(namespace: &str, objects: &Objects<'_>) -> World {
    let mut accepted = contracts(namespace, &objects.contracts);
    let mut world = World::default();
    for stream in within(namespace, &objects.streams) {
        let name = stream.name_any();
        let status = stream.status.clone().unwrap_or_default();
        // Contracts of an earlier object of this name count once this one has taken them over.
        let mut known = accepted.remove(&name).unwrap_or_default().into_iter();
        let in_force = status.contract.as_ref().map(|named| named.version);
        let mut known = known.by_ref().skip_while(|a| Some(a.version) != in_force);
        let (contract, version) = match known.next() {
            Some(newest) => (
                contract::as_read(&newest.contract, &stream.spec),
                Some(newest.version),
            ),
            None => match evolution::wanted((namespace, &name), &stream.spec, None) {
                // Who may not read the contracts has the number from the status, and the spec for the contract.
                Ok(contract) => (contract, status.contract.as_ref().map(|c| c.version)),
                // Nothing can be read of it.
                Err(_) => continue,
            },
        };
        let own: BTreeSet<(String, String)> = contract
            .fields
            .iter()
            .flat_map(|f| f.labels.iter().map(|l| (f.name.clone(), l.clone())))
            .collect();
        let mut arrived = labels::by_field(&status.labels);
        for (field, labels) in &mut arrived {
            labels.retain(|label| !own.contains(&(field.clone(), label.clone())));
        }
        arrived.retain(|_, labels| !labels.is_empty());
        world.streams.insert(
            (namespace.to_owned(), name),
            Stream {
                contract,
                version,
                earlier: known.map(|a| (a.version, a.contract)).collect(),
                compatibility: stream.spec.compatibility,
                annotations: stream.annotations().clone(),
                owner: stream.spec.owner.clone(),
                arrived,
            },
        );
    }
    let name = |name: String| (namespace.to_owned(), name);
    for pipeline in within(namespace, &objects.pipelines) {
        let key = name(pipeline.name_any());
        world.pipelines.insert(key, pipeline.spec.clone());
    }
    for source in within(namespace, &objects.sources) {
        let key = name(source.name_any());
        world.sources.insert(key, source.spec.clone());
    }
    for grant in within(namespace, &objects.grants) {
        let key = name(grant.name_any());
        world.grants.insert(key, grant.spec.clone());
    }
    world
}

fn within<'a, K: ResourceExt>(namespace: &'a str, all: &'a [&'a K]) -> impl Iterator<Item = &'a K> {
    all.iter()
        .copied()
        .filter(move |one| one.meta().namespace.as_deref() == Some(namespace))
}

/// The accepted contracts of a namespace's streams, newest first, by stream.
fn contracts(namespace: &str, maps: &[&ConfigMap]) -> BTreeMap<String, Vec<Accepted>> {
    let mut all: BTreeMap<String, Vec<Accepted>> = BTreeMap::new();
    let maps = within(namespace, maps)
        .filter(|map| map.labels().get(LABEL_KIND).map(String::as_str) == Some("DataStream"));
    for map in maps {
        let name = map.labels().get(LABEL_NAME);
        if let (Some(name), Some(contract)) = (name, accepted::read(map)) {
            all.entry(name.clone()).or_default().push(contract);
        }
    }
    for contracts in all.values_mut() {
        contracts.sort_by_key(|a| std::cmp::Reverse(a.version));
    }
    all
}
