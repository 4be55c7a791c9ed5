//! An AccessGrant's change wakes nobody but itself.

use headworks_crds::AccessGrant;

use crate::{
    planning::uses::{StreamUse, UsesStreams},
    scope::Watch,
    stores::Guarded,
    watches::{Wake, Watched, Watching},
};

impl Watched for AccessGrant {
    /// Without the right to see them there are none.
    fn watches(at: &Watching<'_>) -> Vec<Watch<Guarded<Self>>> {
        if at.scope.no_grants {
            Vec::new()
        } else {
            at.everywhere()
        }
    }

    fn changed(&self, _: bool, _: &Wake) {}
}

impl UsesStreams for AccessGrant {
    fn streams(&self) -> StreamUse {
        StreamUse::Grant(Box::new(self.spec.clone()))
    }
}
