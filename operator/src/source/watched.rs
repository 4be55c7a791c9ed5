//! A Source in its watch: it writes a stream, and nobody refers to it.

use headworks_crds::Source;

use crate::{
    planning::uses::{RecordUse, StreamRef, StreamUse, UsesStreams},
    scope::Watch,
    stores::Guarded,
    watches::{Wake, Watched, Watching},
};

impl Watched for Source {
    fn watches(at: &Watching<'_>) -> Vec<Watch<Guarded<Self>>> {
        at.everywhere()
    }

    fn changed(&self, _: bool, _: &Wake) {}
}

impl UsesStreams for Source {
    fn streams(&self) -> StreamUse {
        StreamUse::Records(RecordUse {
            reads: Vec::new(),
            writes: vec![StreamRef::new(&self.spec.into, "spec.into")],
            runs: !self.spec.suspend,
            // The Pipelines that write the same stream say so.
            heeds: false,
        })
    }
}
