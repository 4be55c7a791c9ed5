//! What a change of a Source wakes: the Pipelines that write the same stream.

use headworks_crds::Source;

use crate::{
    names::Key,
    planning::shared,
    scope::Watch,
    stores::Guarded,
    watches::{Wake, Watched, Watching},
};

impl Watched for Source {
    fn watches(at: &Watching<'_>) -> Vec<Watch<Guarded<Self>>> {
        at.everywhere()
    }

    fn changed(&self, here: bool, wake: &Wake) {
        let target = shared::target(&self.spec).filter(|_| here);
        wake.enqueue(wake.flows.source(&Key::of(self), target));
    }
}
