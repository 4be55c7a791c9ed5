//! QualityRules together with the rest: that their streams are there, that each check fits its stream's contract, and that the rules of
//! one stream don't contradict each other.

use headworks_crds::QualityRule;
use headworks_operator::planning::rules::{self, Named, monitor};
use headworks_plan::Contract;

use super::{Options, World, streams};
use crate::finding::{Finding, Severity};
use crate::object::Object;

/// Checks all of it.
pub fn check(world: &World, options: &Options, findings: &mut Vec<Finding>) {
    let all: Vec<(&Object, &QualityRule)> = world.quality_rules().collect();
    for (at, (object, rule)) in all.iter().enumerate() {
        let stream = &rule.spec.stream;
        if world
            .find("DataStream", &object.namespace, stream)
            .is_none()
        {
            let what = ("DataStream", stream.as_str());
            findings.push(streams::missing(
                world,
                object,
                None,
                "spec.stream",
                what,
                options,
            ));
            continue;
        }
        // What is wrong with it by itself was said already; of a wrong contract nothing can be.
        let Some(contract) = world.contract(&object.namespace, stream) else {
            continue;
        };
        let told = |finding: &Finding| {
            let of_it = finding.object == object.title() && *finding.file == *object.file;
            of_it && finding.is_error()
        };
        if findings.iter().any(told) {
            continue;
        }
        if let Err(faults) = rules::plan(named(object, rule), contract) {
            let faults = faults.into_iter();
            findings.extend(faults.map(|fault| object.wrong(&fault.field, fault.message)));
            continue;
        }
        references(world, (object, rule), contract, options, findings);
        for failing in rules::schema_match::failing(&rule.spec, contract) {
            let mut finding = object.wrong(&failing.field, failing.message);
            finding.severity = Severity::Warning;
            findings.push(finding);
        }
        for (other, before) in &all[..at] {
            let same = other.namespace == object.namespace && before.spec.stream == *stream;
            if !same || before.spec.suspend || rule.spec.suspend {
                continue;
            }
            for told in rules::between(named(other, before), named(object, rule), contract) {
                let mut finding = object.wrong("spec.checks", told);
                finding.severity = Severity::Warning;
                findings.push(finding);
            }
        }
    }
}

/// What a rule refers to: that it is there, and can be referred to.
fn references(
    world: &World,
    (object, rule): (&Object, &QualityRule),
    contract: &Contract,
    options: &Options,
    findings: &mut Vec<Finding>,
) {
    for (index, check) in rule.spec.checks.iter().enumerate() {
        let Some(check) = &check.references else {
            continue;
        };
        let what = ("DataStream", check.stream.as_str());
        if world.find(what.0, &object.namespace, what.1).is_none() {
            let place = format!("spec.checks[{index}].references.stream");
            let missing = streams::missing(world, object, None, &place, what, options);
            findings.push(missing);
        }
    }
    let of = |stream: &str| world.contract(&object.namespace, stream);
    let faults = monitor::references::faults(&rule.spec, contract, of).into_iter();
    findings.extend(faults.map(|fault| object.wrong(&fault.field, fault.message)));
}

fn named<'a>(object: &'a Object, rule: &'a QualityRule) -> Named<'a> {
    Named {
        name: &object.name,
        generation: 0,
        spec: &rule.spec,
    }
}
