//! What the Platforms in the files let their users ask for: `podPolicy` and `limits`, by the operator's own rules.

use std::collections::BTreeMap;

use headworks_crds::{Platform, PodTemplate};
use headworks_operator::{
    connection::NeededSecret,
    connectors::{sources, stores},
    data_stream::limits,
    platform::{policy, resolve::admits},
};

use super::World;
use crate::finding::Finding;
use crate::object::{Object, Typed};

/// Checks all of it.
pub fn check(world: &World, findings: &mut Vec<Finding>) {
    for object in &world.objects {
        match &object.typed {
            Some(Typed::Pipeline(pipeline)) => {
                let template = pipeline.spec.pod_template.as_ref();
                let platform = world.platform(&pipeline.spec.platform);
                pods(object, platform, template, &[], findings);
            }
            Some(Typed::Source(spec)) => {
                let stream = world.stream(&object.namespace, &spec.spec.into);
                let platform = stream.and_then(|s| world.platform(&s.spec.platform));
                let template = spec.spec.pod_template.as_ref();
                let secrets = sources::secrets(&spec.spec);
                pods(object, platform, template, &secrets, findings);
            }
            Some(Typed::DataStore(spec)) => {
                let Ok(binding) = stores::bind(&object.name, &spec.spec) else {
                    continue;
                };
                let template = spec.spec.pod_template.as_ref();
                for platform in admitting(world, &object.namespace) {
                    pods(object, Some(platform), template, &binding.secrets, findings);
                }
            }
            Some(Typed::DataStream(stream)) => {
                let Some(platform) = world.platform(&stream.spec.platform) else {
                    continue;
                };
                let streams = world.objects.iter().filter_map(|o| match &o.typed {
                    Some(Typed::DataStream(stream)) => Some(stream.as_ref()),
                    _ => None,
                });
                let around = limits::around(stream, platform, streams);
                let fault = limits::fault(&stream.spec, platform, around);
                findings.extend(fault.map(|fault| said(object, &fault)));
            }
            _ => {}
        }
    }
}

fn pods(
    object: &Object,
    platform: Option<&Platform>,
    template: Option<&PodTemplate>,
    secrets: &[NeededSecret],
    findings: &mut Vec<Finding>,
) {
    let fault = platform.and_then(|platform| policy::fault(platform, template, secrets));
    findings.extend(fault.map(|fault| said(object, &fault)));
}

/// The Platforms that admit a namespace, as far as its labels are known.
fn admitting<'a>(world: &'a World, namespace: &str) -> impl Iterator<Item = &'a Platform> {
    let nothing = BTreeMap::new();
    let labels = world.namespaces.get(namespace).cloned().unwrap_or(nothing);
    world.objects.iter().filter_map(move |o| match &o.typed {
        Some(Typed::Platform(platform)) if admits(platform, &labels) => Some(platform.as_ref()),
        _ => None,
    })
}

/// A fault begins with the field it is about, or is about the whole.
fn said(object: &Object, fault: &str) -> Finding {
    match fault.split_once(": ") {
        Some((field, what)) if field.starts_with("spec.") => object.wrong(field, what),
        _ => object.wrong("spec", fault),
    }
}
