//! AccessGrants together with the rest: that their streams are there, on one Platform, and that the client's namespace accepts them.

use headworks_crds::AccessGrant;
use headworks_operator::access_grant::accept::{self, Word};

use super::{Options, World, streams};
use crate::finding::{Finding, Severity};
use crate::object::{Object, Typed};

/// Checks all of it.
pub fn check(world: &World, options: &Options, findings: &mut Vec<Finding>) {
    for object in &world.objects {
        if let Some(Typed::AccessGrant(grant)) = &object.typed {
            one(world, object, grant, options, findings);
        }
    }
}

fn one(
    world: &World,
    object: &Object,
    grant: &AccessGrant,
    options: &Options,
    findings: &mut Vec<Finding>,
) {
    let mut platform: Option<(&str, &str)> = None;
    for (list, names) in [("read", &grant.spec.read), ("write", &grant.spec.write)] {
        for (index, name) in names.iter().enumerate() {
            let field = format!("spec.{list}[{index}]");
            if world.find("DataStream", &object.namespace, name).is_none() {
                let what = ("DataStream", name.as_str());
                findings.push(streams::missing(world, object, None, &field, what, options));
                continue;
            }
            let Some(stream) = world.stream(&object.namespace, name) else {
                continue;
            };
            match platform {
                None => platform = Some((name, &stream.spec.platform)),
                Some((first, other)) if other != stream.spec.platform => {
                    findings.push(object.wrong(
                        &field,
                        format!(
                            "DataStream {name} is on Platform {} and {first} on {other}: make a grant for each Platform",
                            stream.spec.platform
                        ),
                    ));
                }
                Some(_) => {}
            }
        }
    }
    // Only a namespace that stands in the files can be judged.
    let client = &grant.spec.to.namespace;
    let Some(labels) = world.namespaces.get(client) else {
        return;
    };
    let annotation = world.accepting.get(client).map(String::as_str);
    let said = match accept::word(labels, annotation, &object.namespace) {
        Word::Accepts => None,
        Word::AcceptsAll => Some(accept::outdated(client, &object.namespace)),
        Word::Refuses => Some(accept::refusal(client, &object.namespace)),
    };
    if let Some(said) = said {
        let mut finding = object.wrong("spec.to.namespace", said);
        finding.severity = Severity::Warning;
        findings.push(finding);
    }
}
