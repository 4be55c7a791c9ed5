//! A Replay in its watch: nobody refers to it.

use headworks_crds::Replay;

use crate::{
    planning::uses::{RecordUse, StreamRef, StreamUse, UsesStreams},
    scope::Watch,
    stores::Guarded,
    watches::{Wake, Watched, Watching},
};

impl Watched for Replay {
    fn watches(at: &Watching<'_>) -> Vec<Watch<Guarded<Self>>> {
        at.everywhere()
    }

    fn changed(&self, _: bool, _: &Wake) {}
}

impl UsesStreams for Replay {
    /// It ends, so it closes no loop, and is no second writer of what a Pipeline or Source fills: it fills it up.
    fn streams(&self) -> StreamUse {
        let spec = &self.spec;
        let read = spec.from.stream.iter();
        StreamUse::Records(RecordUse {
            reads: read
                .map(|name| StreamRef::new(name, spec.source_field()))
                .collect(),
            // Into a Pipeline it writes what that one does, which is known of it.
            writes: (spec.into_pipeline().is_none())
                .then(|| StreamRef::new(spec.target(), spec.target_field()))
                .into_iter()
                .collect(),
            runs: false,
            heeds: false,
        })
    }
}
