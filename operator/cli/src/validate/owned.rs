//! What QualityRules make: the streams of their verdicts, which queries may read like any other, and the names that are theirs.

use headworks_crds::QualityRule;
use headworks_operator::planning::rules::monitor;
use headworks_operator::quality_rule::verdict_stream;

use super::World;
use crate::finding::Finding;
use crate::object::{Object, Typed};

/// Puts the streams of verdicts beside the files' objects, before contracts are looked at.
pub fn add(world: &mut World) {
    let rules = world.quality_rules();
    let streams: Vec<Object> = rules
        .filter_map(|(object, rule)| stream(world, object, rule))
        .collect();
    for stream in streams {
        let key = (stream.kind, stream.namespace.clone(), stream.name.clone());
        world.owned.insert(key, stream);
    }
}

/// It stands where its rule does.
fn stream(world: &World, object: &Object, rule: &QualityRule) -> Option<Object> {
    let names = monitor::names(&object.name, &rule.spec)?;
    let read = world.stream(&object.namespace, &rule.spec.stream)?;
    let stream = verdict_stream(rule, &names.verdicts, &read.spec.platform);
    Some(Object {
        file: object.file.clone(),
        kind: "DataStream",
        namespace: object.namespace.clone(),
        name: names.verdicts,
        node: object.node.clone(),
        value: serde_json::to_value(&stream).ok()?,
        typed: Some(Typed::DataStream(Box::new(stream))),
    })
}

/// Objects in the files that have a name which a rule gives: the operator overwrites nothing (`OwnedByAnother`).
pub fn check(world: &World, findings: &mut Vec<Finding>) {
    for (object, rule) in world.quality_rules() {
        let Some(names) = monitor::names(&object.name, &rule.spec) else {
            continue;
        };
        let pipelines = names.pipelines.iter().map(|name| ("Pipeline", name));
        for (kind, name) in pipelines.chain([("DataStream", &names.verdicts)]) {
            let Some(other) = world.in_files(kind, &object.namespace, name) else {
                continue;
            };
            findings.push(other.wrong(
                "metadata.name",
                format!(
                    "{} ({}) makes a {kind} of this name itself: rename one of the two, or leave this one out",
                    object.title(),
                    object.whereabouts()
                ),
            ));
        }
    }
}
