//! Replays together with the rest: that their streams are there, on one Platform, and that the query fits both.

use headworks_crds::{Replay, ReplaySpec};
use headworks_operator::replay::{into_pipeline, misspelt, validate};

use super::{Options, World, plan, streams};
use crate::finding::{Finding, Severity};
use crate::object::{Object, Typed};

/// Checks all of it.
pub fn check(world: &World, options: &Options, findings: &mut Vec<Finding>) {
    for object in &world.objects {
        if let Some(Typed::Replay(replay)) = &object.typed {
            one(world, object, replay, options, findings);
        }
    }
}

fn one(
    world: &World,
    object: &Object,
    replay: &Replay,
    options: &Options,
    findings: &mut Vec<Finding>,
) {
    let (spec, namespace) = (&replay.spec, &object.namespace);
    let mut named = vec![(spec.source(), spec.source_field())];
    if let Some(name) = spec.into_pipeline() {
        pipeline(world, object, (spec, name), options, findings);
    }
    if spec.source() != spec.target() {
        named.push((spec.target(), spec.target_field()));
    }
    for (name, field) in named {
        // A reference that is empty was told of by the kind's own rules.
        if !name.is_empty() && world.find("DataStream", namespace, name).is_none() {
            let what = ("DataStream", name);
            findings.push(streams::missing(world, object, None, field, what, options));
        }
    }
    let rules = world.names("QualityRule", namespace);
    let writers: Vec<&str> = ["Pipeline", "Source", "Replay"]
        .into_iter()
        .flat_map(|kind| world.names(kind, namespace))
        .collect();
    for (field, told) in misspelt::names(spec, &rules, &writers) {
        let mut finding = object.wrong(&field, told);
        finding.severity = Severity::Warning;
        findings.push(finding);
    }
    let platform = |name| world.stream(namespace, name).map(|s| &s.spec.platform);
    if let (Some(source), Some(target)) = (platform(spec.source()), platform(spec.target()))
        && source != target
    {
        let (from, into) = (spec.source(), spec.target());
        findings.push(object.wrong(
            spec.target_field(),
            format!("DataStream {into} is on Platform {target} and {from} on {source}: a Replay reads and writes one Kafka"),
        ));
    }
    let contract = |name| world.contract(namespace, name);
    if let (Some(source), Some(target)) = (contract(spec.source()), contract(spec.target()))
        && let Err(error) = validate::check(spec, source, target)
    {
        // It begins with the field: `spec.fix line 2, column 7: …`, `spec.fix: …`.
        let said = error.message();
        let end = said.find([' ', ':']).unwrap_or(said.len());
        let (field, what) = said.split_at(end);
        findings.push(object.wrong(field, what.trim_start_matches([':', ' '])));
    }
}

/// The Pipeline that the records go into.
fn pipeline(
    world: &World,
    object: &Object,
    (spec, name): (&ReplaySpec, &str),
    options: &Options,
    findings: &mut Vec<Finding>,
) {
    let (field, namespace) = ("spec.into.pipeline", &object.namespace);
    let Some(found) = world.find("Pipeline", namespace, name) else {
        let what = ("Pipeline", name);
        findings.push(streams::missing(world, object, None, field, what, options));
        return;
    };
    let Some(Typed::Pipeline(pipeline)) = &found.typed else {
        return;
    };
    let of_query = || {
        let planned = plan(world, found, pipeline)?;
        let keeps_state = planned.dataflow.keeps_state();
        into_pipeline::query_fault(spec, &pipeline.spec, keeps_state)
    };
    if let Some(fault) = into_pipeline::spec_fault(spec, &pipeline.spec).or_else(of_query) {
        let what = fault.strip_prefix(field).unwrap_or(&fault);
        findings.push(object.wrong(field, what.trim_start_matches([':', ' '])));
    }
}
