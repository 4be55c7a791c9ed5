//! What a change of a DataStore wakes: the Pipelines that write to it.

use headworks_crds::DataStore;

use crate::{
    planning::uses::{StreamUse, UsesStreams},
    scope::Watch,
    stores::Guarded,
    watches::{Wake, Watched, Watching},
};

impl Watched for DataStore {
    fn watches(at: &Watching<'_>) -> Vec<Watch<Guarded<Self>>> {
        at.everywhere()
    }

    fn changed(&self, _: bool, wake: &Wake) {
        let status = self.status.clone().unwrap_or_default();
        wake.readers(self, &status.conditions, "");
    }
}

impl UsesStreams for DataStore {
    fn streams(&self) -> StreamUse {
        StreamUse::None
    }
}
