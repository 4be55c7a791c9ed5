//! Streams, sources and stores together: contracts, topics, and who refers to what isn't there.

use std::collections::{BTreeMap, BTreeSet};

use headworks_crds::DataStream;
use headworks_operator::contract::definition::{self, Fault};
use headworks_operator::contract::references::{self, Missing};
use headworks_operator::contract::{self, topic_name};
use headworks_operator::planning::uses::{RecordUse, StreamRef, StreamUse};
use headworks_plan::Contract;
use headworks_sql::schema::Schema;
use kube::core::{Selector, SelectorExt};

use super::pipelines::place_in;
use super::{Options, World};
use crate::finding::{Finding, Severity, hint};
use crate::object::{Object, Typed};
use crate::yaml::Place;

/// Checks all of it, and keeps the contracts that are right.
pub fn check(world: &mut World, options: &Options, findings: &mut Vec<Finding>) {
    let unread = texts(world, findings);
    let mut contracts = BTreeMap::new();
    for (at, object) in world.objects.iter().enumerate() {
        if unread.contains(&at) {
            continue;
        }
        if let Some(Typed::DataStream(stream)) = &object.typed {
            match contract_of(object, stream) {
                Ok(contract) => {
                    contracts.insert((object.namespace.clone(), object.name.clone()), contract);
                }
                Err(found) => {
                    // The rules say the same of key and event time in other words.
                    findings.retain(|f| {
                        let of_ours = f.object == object.title()
                            && *f.file == *object.file
                            && (f.field.starts_with("spec.key")
                                || f.field.starts_with("spec.eventTime"));
                        !of_ours
                    });
                    findings.extend(found);
                }
            }
        }
    }
    for ((_, namespace, name), object) in &world.owned {
        if let Some(Typed::DataStream(stream)) = &object.typed
            && let Ok(contract) = contract_of(object, stream)
        {
            let key = (namespace.clone(), name.clone());
            contracts.entry(key).or_insert(contract);
        }
    }
    world.contracts = contracts;
    topics(world, options, findings);
    for object in &world.objects {
        let Some(typed) = &object.typed else { continue };
        if let Typed::DataStream(stream) = typed {
            platform(world, object, &stream.spec.platform, findings);
        }
        if let StreamUse::Records(used) = typed.streams() {
            named(world, object, &used, options, findings);
        }
    }
}

/// Puts the texts of ConfigMaps in the files in their place in the specs. Gives the streams of which one isn't there: of these the
/// contract can't be read.
fn texts(world: &mut World, findings: &mut Vec<Finding>) -> BTreeSet<usize> {
    let mut unread = BTreeSet::new();
    for (at, object) in world.objects.iter_mut().enumerate() {
        let Some(Typed::DataStream(stream)) = &object.typed else {
            continue;
        };
        if references::config_maps(&stream.spec).is_empty() {
            continue;
        }
        let maps = &world.config_maps;
        let of = |name: &str| {
            maps.get(&(object.namespace.clone(), name.to_owned()))
                .cloned()
        };
        match references::inlined(&stream.spec, of) {
            Ok(spec) => {
                let mut stream = stream.clone();
                stream.spec = spec;
                object.typed = Some(Typed::DataStream(stream));
            }
            Err(missing) => {
                findings.extend(missing.iter().map(|one| unseen(object, one)));
                unread.insert(at);
            }
        }
    }
    unread
}

/// A ConfigMap that isn't in the files may be in the cluster; a key that one in the files hasn't got is wrong.
fn unseen(object: &Object, missing: &Missing) -> Finding {
    if missing.keys.is_some() {
        return object.wrong(&missing.field, missing.message());
    }
    let mut finding = object.wrong(
        &missing.field,
        format!(
            "ConfigMap {}/{} isn't in these files, so its key {} can't be seen and the contract isn't checked: add the ConfigMap to them; it must be in the cluster",
            object.namespace, missing.key.name, missing.key.key
        ),
    );
    finding.severity = Severity::Warning;
    finding
}

/// The contract that a stream's spec says, with its definition.
fn contract_of(object: &Object, stream: &DataStream) -> Result<Contract, Vec<Finding>> {
    let faulty = |fault: Fault| {
        let place = fault
            .place
            .and_then(|(line, column)| place_in(object, &fault.field, line, column));
        vec![match place {
            Some(place) => object.finding(place, &fault.field, fault.message),
            None => object.wrong(&fault.field, fault.message),
        }]
    };
    let contract = contract::read(&stream.spec).map_err(faulty)?;
    if let Err(error) = Schema::from_contract(&contract) {
        let problems = error.problems.iter();
        return Err(problems
            .map(|problem| misfit(object, stream, &problem.field, &problem.message))
            .collect());
    }
    // Without a cluster no contract is in force yet.
    definition::complete(contract, &object.namespace, &object.name, None).map_err(faulty)
}

/// A contract's problem, at the type, key or event time that it is about.
fn misfit(object: &Object, stream: &DataStream, field: &str, message: &str) -> Finding {
    let of_type = stream.spec.schema.iter().position(|f| f.name == field);
    let of_key = stream.spec.key.iter().position(|key| key == field);
    let path = if message.starts_with("eventTime") || message.starts_with("event time") {
        "spec.eventTime.field".to_owned()
    } else if let (Some(at), true) = (of_key, message.contains("key")) {
        format!("spec.key[{at}]")
    } else if let Some(at) = of_type {
        let twice = message.contains("twice");
        let at = if twice {
            let mut same = stream.spec.schema.iter().enumerate();
            same.rfind(|(_, f)| f.name == field)
                .map_or(at, |(at, _)| at)
        } else {
            at
        };
        let part = if message.starts_with("type") {
            "type"
        } else {
            "name"
        };
        format!("spec.schema[{at}].{part}")
    } else {
        definition::place(&stream.spec).to_owned()
    };
    object.wrong(&path, format!("field \"{field}\": {message}"))
}

/// A Platform that isn't in the files is mostly somewhere else.
pub(super) fn platform(world: &World, object: &Object, name: &str, findings: &mut Vec<Finding>) {
    if world.find("Platform", "", name).is_some() {
        findings.extend(not_admitted(world, object, name));
        return;
    }
    let known = world.names("Platform", "");
    let explicit = object.node.get("spec").and_then(|s| s.get("platform"));
    // Without any Platform in the files there is nothing to compare with, and one warning a file of objects
    // that rely on the default would only be noise.
    if explicit.is_none() && known.is_empty() {
        return;
    }
    let mut finding = object.wrong(
        "spec.platform",
        format!(
            "Platform {name} isn't in these files; it must be in the cluster{}",
            hint(name, known)
        ),
    );
    finding.severity = Severity::Warning;
    findings.push(finding);
}

/// A Platform may say which namespaces use it, by their labels; those are known where the Namespace stands in the files.
fn not_admitted(world: &World, object: &Object, name: &str) -> Option<Finding> {
    let platform = world.platform(name)?;
    let labels = world.namespaces.get(&object.namespace)?;
    let selector = Selector::try_from(platform.spec.allowed_namespaces.clone()?).ok()?;
    if selector.matches(labels) {
        return None;
    }
    Some(object.wrong(
        "spec.platform",
        format!(
            "Platform {name} doesn't admit namespace {}: give the namespace the labels {selector} that spec.allowedNamespaces asks for, or use another Platform",
            object.namespace
        ),
    ))
}

/// A reference to an object that isn't in the files.
pub(super) fn missing(
    world: &World,
    object: &Object,
    place: Option<Place>,
    field: &str,
    (kind, name): (&'static str, &str),
    options: &Options,
) -> Finding {
    let known = world.names(kind, &object.namespace);
    let mut message = format!(
        "{kind} {}/{name} isn't in these files{}",
        object.namespace,
        hint(name, known.iter().copied())
    );
    if !message.contains("did you mean") {
        let elsewhere = world
            .objects
            .iter()
            .find(|o| o.kind == kind && o.name == name);
        message.push_str(&match elsewhere {
            Some(other) => format!(
                "; {} is in another namespace ({}), where it can't be used",
                other.title(),
                other.whereabouts()
            ),
            None => "; add it, correct the name, or pass --allow-missing if it is elsewhere".into(),
        });
    }
    let mut finding = match place {
        Some(place) => object.finding(place, field, message),
        None => object.wrong(field, message),
    };
    if options.allow_missing {
        finding.severity = Severity::Warning;
    }
    finding
}

/// Streams that an object reads or writes, and that aren't there. (Queries and grants are looked at where they are checked.)
fn named(
    world: &World,
    object: &Object,
    used: &RecordUse,
    options: &Options,
    findings: &mut Vec<Finding>,
) {
    for StreamRef { stream, field } in used.reads.iter().chain(&used.writes) {
        // One that is empty was told of by the kind's own rules.
        let there = world.find("DataStream", &object.namespace, stream);
        if !stream.is_empty() && there.is_none() {
            let what = ("DataStream", stream.as_str());
            findings.push(missing(world, object, None, field, what, options));
        }
    }
}

/// A topic has one owner, a name that its namespace may use, and no dead letters of another stream in it.
fn topics(world: &World, options: &Options, findings: &mut Vec<Finding>) {
    let mut owners: BTreeMap<(String, String), &Object> = BTreeMap::new();
    // By the names that Kafka takes for one: the first stream that has a topic of such a name, and its topic.
    let mut folded: BTreeMap<(String, String), (&Object, String)> = BTreeMap::new();
    let streams = || {
        world
            .objects
            .iter()
            .filter_map(|object| match &object.typed {
                Some(Typed::DataStream(stream)) if !object.name.is_empty() => {
                    Some((object, stream))
                }
                _ => None,
            })
    };
    let topic = |object: &Object, stream: &DataStream| {
        topic_name::topic_of(
            &object.namespace,
            &object.name,
            stream.spec.topic.as_deref(),
        )
    };
    for (object, stream) in streams() {
        let topic = topic(object, stream);
        if let Some(finding) = not_allowed(world, object, stream, &topic, options) {
            findings.push(finding);
        }
        let key = (stream.spec.platform.clone(), topic.clone());
        match owners.get(&key) {
            // An object that stands there twice was told of already.
            Some(owner) if owner.title() == object.title() => {}
            Some(owner) => findings.push(object.wrong(
                "spec.topic",
                format!(
                    "topic {topic} is claimed by {} too ({}): a topic has one DataStream; choose another name",
                    owner.title(),
                    owner.whereabouts()
                ),
            )),
            None => {
                owners.insert(key, object);
                let mut told = None;
                for name in topic_name::folded(&topic) {
                    let key = (stream.spec.platform.clone(), name);
                    let (owner, other) = folded.entry(key).or_insert((object, topic.clone()));
                    let whose = format!("{} ({})", owner.title(), owner.whereabouts());
                    told = told.or_else(|| topic_name::collides(&topic, other, &whose));
                }
                findings.extend(told.map(|told| object.wrong("spec.topic", told)));
            }
        }
    }
}

fn not_allowed(
    world: &World,
    object: &Object,
    stream: &DataStream,
    topic: &str,
    options: &Options,
) -> Option<Finding> {
    let empty = BTreeMap::new();
    let platform = world.platform(&stream.spec.platform);
    let policy = platform.map_or(&[][..], |p| &p.spec.kafka.topic_policy);
    let labels = world.namespaces.get(&object.namespace);
    let allowed = topic_name::allowed(topic, &object.namespace, labels.unwrap_or(&empty), policy);
    let message = allowed.err()?;
    let mut finding = object.wrong("spec.topic", message);
    // A rule may be in a Platform, or select by labels, that these files don't hold.
    let unknown = platform.is_none() || (labels.is_none() && !policy.is_empty());
    let nobody_s = topic.starts_with("__") || headworks_plan::names::is_internal(topic);
    if unknown && !nobody_s || options.allow_missing {
        finding.severity = Severity::Warning;
    }
    Some(finding)
}
