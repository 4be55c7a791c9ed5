//! What a change of a Platform wakes: all that is on it, when they are given other pods or another installation, too.

use headworks_crds::Platform;
use kube::Resource;

use crate::{
    indexes::any,
    planning::uses::{StreamUse, UsesStreams},
    scope::Watch,
    stores::Guarded,
    watches::{Wake, Watched, Watching},
};

impl Watched for Platform {
    fn watches(at: &Watching<'_>) -> Vec<Watch<Guarded<Self>>> {
        at.cluster_wide()
    }

    fn changed(&self, here: bool, wake: &Wake) {
        let status = self.status.clone().unwrap_or_default();
        let detail = format!("{:?} {:?}", status.installation, self.spec.pod_template);
        wake.readers(self, &status.conditions, &detail);
        if !here {
            wake.indexes.enqueue_dependents(&any(&Platform::kind(&())));
        }
    }
}

impl UsesStreams for Platform {
    fn streams(&self) -> StreamUse {
        StreamUse::None
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::{
        indexes::Indexes, names::Key, planning::flows::Flows, planning::store_writers::StoreWriters,
    };

    #[test]
    fn a_platform_that_comes_later_wakes_who_asks_all_of_them() {
        let wake = Wake {
            indexes: Arc::new(Indexes::default()),
            flows: Arc::new(Flows::default()),
            writers: StoreWriters::default(),
        };
        let mut queue = wake.indexes.queue("DataStore");
        let store = Key::new("DataStore", "shop", "warehouse");
        wake.indexes.set_references(&store, [any("Platform")]);
        let mut woken = || std::iter::from_fn(|| queue.try_recv().ok()).count();
        let platform = |generation: i64| -> Platform {
            serde_json::from_value(json!({"metadata": {"name": "late", "uid": "1", "generation": generation},
            "spec": {"podPolicy": {"images": []}, "kafka": {"bootstrapServers": "k:9092", "management": {"admin": {}}}}}))
            .unwrap()
        };
        platform(1).changed(true, &wake);
        assert_eq!(woken(), 1, "it comes");
        platform(1).changed(true, &wake);
        assert_eq!(woken(), 0, "nothing changed");
        platform(2).changed(true, &wake);
        assert_eq!(woken(), 1, "its policy changes");
        platform(2).changed(false, &wake);
        assert_eq!(woken(), 1, "it goes");
    }
}
