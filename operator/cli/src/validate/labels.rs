//! Labels that come to streams by lineage, so that what is planned from a stream carries them on.

use headworks_operator::impact::{self, Stream, labels};
use headworks_operator::planning::lineage;

use super::World;
use crate::object::Typed;

impl World {
    /// Gives every stream's contract the labels that Pipelines bring, through as many as there are, and those that its
    /// status shows already.
    pub fn arrive(&mut self) {
        let mut world = impact::CatalogSnapshot::default();
        for ((namespace, name), contract) in &self.contracts {
            let stream = Stream {
                contract: contract.clone(),
                ..Stream::default()
            };
            let key = (namespace.clone(), name.clone());
            world.streams.insert(key, stream);
        }
        for object in &self.objects {
            let key = (object.namespace.clone(), object.name.clone());
            match &object.typed {
                Some(Typed::Pipeline(pipeline)) => {
                    world.pipelines.insert(key, pipeline.spec.clone());
                }
                Some(Typed::DataStream(stream)) => {
                    let status = stream.status.as_ref();
                    let known = lineage::by_field(status.map_or(&[], |s| s.labels.as_slice()));
                    if let Some(stream) = world.streams.get_mut(&key) {
                        stream.arrived = known;
                        stream.contract = stream.effective();
                    }
                }
                _ => {}
            }
        }
        labels::settle(&mut world);
        for (key, stream) in world.streams {
            self.contracts.insert(key, stream.effective());
        }
    }
}
