//! A namespace of the stores, as far as contracts matter to it.

use headworks_crds::DataStream;

use super::Stores;
use crate::{
    impact::{
        CatalogSnapshot,
        cluster::{Objects, of},
    },
    owned,
};

impl Stores {
    /// The streams, Pipelines, Sources and grants of a namespace as the stores have them, with the contracts in force.
    /// `coming` is a stream that is about to be made.
    pub fn snapshot(&self, namespace: &str, coming: Option<&DataStream>) -> CatalogSnapshot {
        let (streams, pipelines) = (self.streams.state(), self.pipelines.state());
        let (sources, grants) = (self.sources.state(), self.grants.state());
        let data_stores = self.data_stores.state();
        let maps = self.config_maps.state_filter(|map| {
            map.metadata.namespace.as_deref() == Some(namespace)
                && owned::is_contract(map).is_some()
        });
        let objects = Objects {
            streams: streams.iter().filter_map(|s| s.0.as_ref().ok()).collect(),
            pipelines: pipelines.iter().filter_map(|p| p.0.as_ref().ok()).collect(),
            sources: sources.iter().filter_map(|s| s.0.as_ref().ok()).collect(),
            grants: grants.iter().filter_map(|g| g.0.as_ref().ok()).collect(),
            stores: data_stores
                .iter()
                .filter_map(|s| s.0.as_ref().ok())
                .collect(),
            contracts: maps.iter().map(AsRef::as_ref).collect(),
            coming: coming.into_iter().collect(),
        };
        of(namespace, &objects)
    }
}
