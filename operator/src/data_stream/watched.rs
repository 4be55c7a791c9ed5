//! What a change of a DataStream wakes: who reads and writes it, and the Platform that counts it.

use headworks_crds::{
    DataStream,
    conditions::{HEALTHY, find},
};

use crate::{
    planning::uses::{StreamUse, UsesStreams},
    scope::Watch,
    stores::Guarded,
    watches::{Wake, Watched, Watching},
};

impl Watched for DataStream {
    fn watches(at: &Watching<'_>) -> Vec<Watch<Guarded<Self>>> {
        at.everywhere()
    }

    fn changed(&self, here: bool, wake: &Wake) {
        let status = self.status.clone().unwrap_or_default();
        let contract = status.contract.map(|c| (c.version, c.fingerprint));
        let detail = format!(
            "{contract:?} {:?} {:?} {:?} {:?} {:?}",
            status.topic,
            status.dead_letter_topic,
            status.registered.map(|r| (r.subject, r.id, r.contract)),
            status.labels,
            // Who reads it says whether it is healthy.
            find(&status.conditions, HEALTHY).map(|c| (&c.status, &c.message))
        );
        wake.readers(self, &status.conditions, &detail);
        wake.platform(self, here, &self.spec.platform);
    }
}

impl UsesStreams for DataStream {
    fn streams(&self) -> StreamUse {
        StreamUse::None
    }
}
