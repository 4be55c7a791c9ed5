//! What the Platforms in the files let their users ask for: `podPolicy` and `limits`, by the operator's own rules.

use std::collections::BTreeMap;

use headworks_crds::{DataStream, Platform};
use headworks_operator::{
    controller::OnPlatform,
    data_stream::limits,
    platform::{policy, resolve::admits},
};

use super::World;
use crate::finding::Finding;
use crate::object::{Object, Typed};

/// Checks all of it.
pub fn check(world: &World, findings: &mut Vec<Finding>) {
    for object in &world.objects {
        let Some(typed) = &object.typed else { continue };
        if let Some(pods) = typed.pods() {
            for platform in platforms(world, object, &pods.platform) {
                let fault = policy::fault(platform, pods.template, &pods.secrets);
                findings.extend(fault.map(|fault| said(object, &fault)));
            }
        }
        if let Typed::DataStream(stream) = typed {
            findings.extend(limited(world, object, stream));
        }
    }
}

/// The Platforms in the files that have a say in an object's pods.
fn platforms<'a>(world: &'a World, object: &Object, on: &OnPlatform) -> Vec<&'a Platform> {
    match on {
        OnPlatform::Named(name) => world.platform(name).into_iter().collect(),
        OnPlatform::OfStream(stream) => {
            let stream = world.stream(&object.namespace, stream);
            let platform = stream.and_then(|s| world.platform(&s.spec.platform));
            platform.into_iter().collect()
        }
        OnPlatform::Admitting => admitting(world, &object.namespace).collect(),
    }
}

/// What its Platform's limits don't allow a stream.
fn limited(world: &World, object: &Object, stream: &DataStream) -> Option<Finding> {
    let platform = world.platform(&stream.spec.platform)?;
    let streams = world.objects.iter().filter_map(|o| match &o.typed {
        Some(Typed::DataStream(stream)) => Some(stream.as_ref()),
        _ => None,
    });
    let around = limits::around(stream, platform, streams);
    let fault = limits::fault(&stream.spec, platform, around)?;
    Some(said(object, &fault))
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
