//! A namespace of the stores, as far as contracts matter to it.

use headworks_crds::DataStream;
use kube::ResourceExt;

use super::Stores;
use crate::{
    impact::{
        CatalogSnapshot, Name,
        cluster::{Objects, of},
    },
    owned,
    planning::uses::{StreamUse, UsesStreams},
};

impl Stores {
    /// The streams of a namespace, and who uses them, as the stores have them, with the contracts in force.
    /// `coming` is a stream that is about to be made.
    pub fn snapshot(&self, namespace: &str, coming: Option<&DataStream>) -> CatalogSnapshot {
        let streams = self.streams.state();
        let data_stores = self.data_stores.state();
        let maps = self.config_maps.state_filter(|map| {
            map.metadata.namespace.as_deref() == Some(namespace)
                && owned::is_contract(map).is_some()
        });
        let objects = Objects {
            streams: streams.iter().filter_map(|s| s.0.as_ref().ok()).collect(),
            stores: data_stores
                .iter()
                .filter_map(|s| s.0.as_ref().ok())
                .collect(),
            contracts: maps.iter().map(AsRef::as_ref).collect(),
            coming: coming.into_iter().collect(),
            users: self.users(namespace),
            ..Objects::default()
        };
        of(namespace, &objects)
    }

    /// How the objects of a namespace use streams.
    fn users(&self, namespace: &str) -> Vec<(&'static str, Name, StreamUse)> {
        let mut users = Vec::new();
        macro_rules! kinds {
            ($($field:ident: $kind:ident,)*) => {
                $(for guarded in self.$field.state() {
                    let Ok(object) = &guarded.0 else { continue };
                    if object.namespace().as_deref() == Some(namespace) {
                        let name = (namespace.to_owned(), object.name_any());
                        users.push((stringify!($kind), name, object.streams()));
                    }
                })*
            };
        }
        for_each_kind!(kinds);
        users
    }
}
