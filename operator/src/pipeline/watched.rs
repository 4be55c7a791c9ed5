//! What a change of a Pipeline wakes: the stores and the Platform that count it, and the streams that it brings labels to.

use std::collections::BTreeSet;

use headworks_crds::{Pipeline, conditions::READY};

use crate::{
    indexes::WatchedFields,
    names::Key,
    planning::{
        flows::flow_of,
        store_writers::stores_of,
        uses::{StreamUse, UsesStreams},
        versions,
    },
    scope::Watch,
    stores::Guarded,
    watches::{Wake, Watched, Watching},
};

impl Watched for Pipeline {
    fn watches(at: &Watching<'_>) -> Vec<Watch<Guarded<Self>>> {
        at.everywhere()
    }

    fn changed(&self, here: bool, wake: &Wake) {
        let key = Key::of(self);
        let stores = if here {
            stores_of(self)
        } else {
            BTreeSet::new()
        };
        wake.enqueue(wake.writers.set(&key, stores));
        if here {
            streams(self, &key, wake);
        }
        wake.platform(self, here, &self.spec.platform);
    }
}

/// A stream shows the labels that a Pipeline brings: it is woken when the query changes, and when the pods have it. (Those
/// that knew the Pipeline before are its readers, and woken by that.)
fn streams(pipeline: &Pipeline, key: &Key, wake: &Wake) {
    let meta = &pipeline.metadata;
    let conditions = pipeline.status.iter().flat_map(|s| &s.conditions);
    let fields = WatchedFields {
        uid: meta.uid.clone().unwrap_or_default(),
        generation: meta.generation.unwrap_or_default(),
        deleting: meta.deletion_timestamp.is_some(),
        ready: conditions.into_iter().any(|c| {
            c.type_ == READY && c.status == "True" && c.observed_generation == meta.generation
        }),
        ..WatchedFields::default()
    };
    if wake.indexes.observe(key, &fields) {
        let specs = versions::all(pipeline);
        let targets = specs.iter().flat_map(|spec| &spec.to);
        let written = targets.filter_map(|t| t.stream.as_ref());
        wake.enqueue(written.map(|name| Key::new("DataStream", &key.namespace, name)));
    }
}

impl UsesStreams for Pipeline {
    fn streams(&self) -> StreamUse {
        StreamUse::Query(Box::new(versions::in_force(self)), flow_of(self))
    }
}
