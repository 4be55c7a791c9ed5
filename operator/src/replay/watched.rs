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
            writes: vec![StreamRef::new(spec.target(), spec.target_field())],
            runs: false,
            heeds: false,
        })
    }
}
