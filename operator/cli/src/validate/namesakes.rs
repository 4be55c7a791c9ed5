//! Objects of two kinds of one name whose pods would be called the same.

use headworks_operator::workload::namesakes::{fault, rival};

use super::World;
use crate::finding::Finding;

/// Checks all of it. Of two the one that comes later is told.
pub fn check(world: &World, findings: &mut Vec<Finding>) {
    for (at, object) in world.objects.iter().enumerate() {
        let Some(rival) = rival(object.kind) else {
            continue;
        };
        let mut earlier = world.objects[..at].iter();
        let is_there = earlier.any(|other| {
            other.kind == rival
                && other.namespace == object.namespace
                && other.name == object.name
                && !object.name.is_empty()
        });
        if is_there && let Some(fault) = fault(object.kind, &object.name) {
            let what = fault.trim_start_matches("metadata.name: ").to_owned();
            findings.push(object.wrong("metadata.name", what));
        }
    }
}
