//! Pipelines, and whatever else reads and writes streams, that feed themselves: a record would go round for ever.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::World;
use crate::finding::Finding;
use crate::object::{Object, Typed};

struct Flow<'a> {
    object: &'a Object,
    inputs: BTreeSet<String>,
    outputs: BTreeSet<String>,
}

/// Names every loop once, at the last of its objects, with all that take part.
pub fn check(world: &World, findings: &mut Vec<Finding>) {
    let mut namespaces: BTreeMap<&str, Vec<Flow<'_>>> = BTreeMap::new();
    for object in &world.objects {
        let used = object.typed.as_ref().map(Typed::streams);
        let Some(flow) = used.and_then(|used| used.flow()) else {
            continue;
        };
        namespaces.entry(&object.namespace).or_default().push(Flow {
            object,
            inputs: flow.inputs,
            outputs: flow.outputs,
        });
    }
    for mut flows in namespaces.into_values() {
        trim(&mut flows);
        let mut told = BTreeSet::new();
        for at in (0..flows.len()).rev() {
            if told.contains(&at) {
                continue;
            }
            if let Some((streams, through)) = way_back(&flows, at) {
                findings.push(said(&flows, at, &streams, &through));
                told.insert(at);
                told.extend(through);
            }
        }
    }
}

/// Leaves only objects that may be in a loop, or between two of them.
fn trim(flows: &mut Vec<Flow<'_>>) {
    loop {
        let before = flows.len();
        let all = |of: fn(&Flow<'_>) -> BTreeSet<String>, flows: &[Flow<'_>]| -> BTreeSet<String> {
            flows.iter().flat_map(of).collect()
        };
        let written = all(|f| f.outputs.clone(), flows);
        flows.retain(|f| f.inputs.iter().any(|s| written.contains(s)));
        let read = all(|f| f.inputs.clone(), flows);
        flows.retain(|f| f.outputs.iter().any(|s| read.contains(s)));
        if flows.len() == before {
            return;
        }
    }
}

/// The shortest way from one of a Pipeline's outputs back to one of its inputs: the streams, and the others on the way.
fn way_back(flows: &[Flow<'_>], start: usize) -> Option<(Vec<String>, Vec<usize>)> {
    let mut readers: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, flow) in flows.iter().enumerate() {
        for stream in &flow.inputs {
            readers.entry(stream).or_default().push(at);
        }
    }
    // From which Pipeline, reading which stream, a stream was reached.
    let mut from: BTreeMap<&str, Option<(usize, &str)>> = BTreeMap::new();
    let mut queue: VecDeque<&str> = VecDeque::new();
    for stream in &flows[start].outputs {
        from.insert(stream, None);
        queue.push_back(stream);
    }
    while let Some(stream) = queue.pop_front() {
        if flows[start].inputs.contains(stream) {
            let (mut streams, mut through) = (vec![stream.to_owned()], Vec::new());
            let mut at = stream;
            while let Some(Some((pipeline, before))) = from.get(at) {
                through.push(*pipeline);
                streams.push((*before).to_owned());
                at = before;
            }
            streams.push(stream.to_owned());
            streams.reverse();
            through.reverse();
            return Some((streams, through));
        }
        for reader in readers.get(stream).into_iter().flatten() {
            for next in &flows[*reader].outputs {
                if !from.contains_key(next.as_str()) {
                    from.insert(next, Some((*reader, stream)));
                    queue.push_back(next);
                }
            }
        }
    }
    None
}

fn said(flows: &[Flow<'_>], at: usize, streams: &[String], through: &[usize]) -> Finding {
    let mut kind = "";
    let mut others = String::new();
    for at in through {
        let object = flows[*at].object;
        others.push_str(if others.is_empty() {
            ", through "
        } else {
            ", "
        });
        // A kind is said once for several in a row.
        if kind != object.kind {
            kind = object.kind;
            others.push_str(&format!("{kind} "));
        }
        others.push_str(&format!("{} ({})", object.name, object.whereabouts()));
    }
    let through = others;
    let object = flows[at].object;
    let field = match object.typed {
        Some(Typed::Pipeline(_)) => "spec.to",
        _ => "spec",
    };
    object.wrong(
        field,
        format!(
            "the streams feed themselves: {}{through}; write to another stream",
            streams.join(" → ")
        ),
    )
}
