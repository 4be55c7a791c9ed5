//! What a change of a Platform wakes: all that is on it, when they are given other pods or another installation, too.

use headworks_crds::Platform;

use crate::{
    planning::uses::{StreamUse, UsesStreams},
    scope::Watch,
    stores::Guarded,
    watches::{Wake, Watched, Watching},
};

impl Watched for Platform {
    fn watches(at: &Watching<'_>) -> Vec<Watch<Guarded<Self>>> {
        at.cluster_wide()
    }

    fn changed(&self, _: bool, wake: &Wake) {
        let status = self.status.clone().unwrap_or_default();
        let detail = format!("{:?} {:?}", status.installation, self.spec.pod_template);
        wake.readers(self, &status.conditions, &detail);
    }
}

impl UsesStreams for Platform {
    fn streams(&self) -> StreamUse {
        StreamUse::None
    }
}
