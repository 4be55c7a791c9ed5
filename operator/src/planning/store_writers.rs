//! Which Pipelines write to which DataStores: a store shows their number.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, PoisonError},
};

use headworks_crds::Pipeline;

use super::versions;
use crate::names::Key;

/// The stores that each Pipeline writes to, as last seen.
#[derive(Default)]
pub struct StoreWriters(Mutex<HashMap<Key, BTreeSet<String>>>);

impl StoreWriters {
    /// Notes a Pipeline's stores (none: it is gone); gives the DataStores whose number changed by it.
    pub fn set(&self, pipeline: &Key, stores: BTreeSet<String>) -> Vec<Key> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = if stores.is_empty() {
            all.remove(pipeline)
        } else {
            all.insert(pipeline.clone(), stores.clone())
        };
        before
            .unwrap_or_default()
            .symmetric_difference(&stores)
            .map(|name| Key::new("DataStore", &pipeline.namespace, name))
            .collect()
    }
}

/// Names of the stores that a Pipeline writes to, by its spec or by the version in force.
pub fn stores_of(pipeline: &Pipeline) -> BTreeSet<String> {
    let specs = versions::all(pipeline).into_iter();
    let tables = specs.flat_map(|spec| spec.to).filter_map(|to| to.table);
    tables.map(|table| table.store).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_stores_whose_number_changed_are_told() {
        let writers = StoreWriters::default();
        let pipeline = Key::new("Pipeline", "shop", "p");
        let set = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
        let store = |name: &str| Key::new("DataStore", "shop", name);
        assert_eq!(
            writers.set(&pipeline, set(&["a", "b"])),
            [store("a"), store("b")]
        );
        assert_eq!(writers.set(&pipeline, set(&["a", "b"])), []);
        assert_eq!(
            writers.set(&pipeline, set(&["b", "c"])),
            [store("a"), store("c")]
        );
        assert_eq!(writers.set(&pipeline, set(&[])), [store("b"), store("c")]);
    }
}
