//! Objects of two kinds of one name whose pods would be called the same.

use headworks_operator::workload::namesakes::{fault, rival};

use super::World;
use crate::finding::Finding;

/// Checks all of it. Of two one is told.
pub fn check(world: &World, findings: &mut Vec<Finding>) {
    for object in &world.objects {
        let Some(rival) = rival(object.kind).filter(|rival| *rival < object.kind) else {
            continue;
        };
        let is_there = world.find(rival, &object.namespace, &object.name).is_some();
        if is_there && let Some(fault) = fault(object.kind, &object.name) {
            let what = fault.trim_start_matches("metadata.name: ").to_owned();
            findings.push(object.wrong("metadata.name", what));
        }
    }
}
