//! Two worlds compared: which contracts changed, which Pipelines they reach, and what that does to each.

use std::collections::{BTreeMap, BTreeSet};

use headworks_crds::{AccessGrantSpec, PipelineSpec};
use headworks_plan::Contract;
use headworks_sql::Dataflow;

use super::{Change, Effect, Impact, Item, Name, Owner, Stream, World, labels};
use crate::{
    data_stream::contract::fingerprint,
    evolution::{self, changes, columns},
    pipeline::check,
};

/// Most Pipelines that are planned for one change, so that the answer comes in time.
const MOST_PIPELINES: usize = 300;

/// What `after` does to `before`.
pub fn impact(before: &World, after: &World) -> Impact {
    let changed = changed(before, after);
    let reach = reach(before, after, changed.keys());
    let mut found = Impact {
        changes: changed.values().cloned().collect(),
        ..Impact::default()
    };
    let old = Plans::of(before, &reach, None);
    let new = Plans::of(after, &reach, Some(&old));
    let mut broken_streams: BTreeSet<Name> = BTreeSet::new();
    for name in &reach.order {
        pipeline(
            name,
            (before, &old),
            (after, &new),
            &changed,
            &mut broken_streams,
            &mut found.items,
        );
    }
    for (name, change) in &changed {
        around(name, change, before, after, &mut found.items);
    }
    // A changed stream's own labels are told with its contract.
    for name in reach.streams.iter().filter(|n| !changed.contains_key(*n)) {
        arrived(name, (before, &old), (after, &new), &mut found.items);
    }
    found.items.sort_by(|a, b| {
        (a.effect, a.kind, &a.namespace, &a.name).cmp(&(b.effect, b.kind, &b.namespace, &b.name))
    });
    found.owners = owners(&reach, after);
    found
}

/// Streams whose contract is another one.
fn changed(before: &World, after: &World) -> BTreeMap<Name, Change> {
    let mut all = BTreeMap::new();
    for (name, now) in &after.streams {
        let Some(was) = before.streams.get(name) else {
            continue;
        };
        let (old, new) = (fingerprint(&was.contract), fingerprint(&now.contract));
        if old == new {
            continue;
        }
        let accepted = was.accepted();
        let refusal = evolution::refusal(
            (&name.0, &name.1),
            now.compatibility,
            &now.annotations,
            &accepted,
            &now.contract,
        );
        let mut fields: Vec<String> = columns(&was.contract, &now.contract)
            .iter()
            .map(ToString::to_string)
            .collect();
        let time = |contract: &Contract| {
            let time = contract.event_time.as_ref();
            time.map_or_else(|| "none".to_owned(), |t| t.field.clone())
        };
        if time(&was.contract) != time(&now.contract) {
            let (was, now) = (time(&was.contract), time(&now.contract));
            fields.push(format!("eventTime: {was} → {now}"));
        }
        all.insert(
            name.clone(),
            Change {
                namespace: name.0.clone(),
                name: name.1.clone(),
                in_force: was.version,
                fields,
                faults: refusal
                    .iter()
                    .flat_map(|r| r.faults.iter().map(|f| f.message.clone()))
                    .collect(),
                unreadable: evolution::unreadable(&was.contract, &now.contract),
                change: evolution::change(&name.0, &name.1, &old, &new),
                permitted: refusal.is_some_and(|r| r.permitted),
                compatibility: format!("{:?}", now.compatibility),
            },
        );
    }
    all
}

/// What changed streams reach.
#[derive(Default)]
struct Reach {
    /// Streams that changed, or are written from them.
    streams: BTreeSet<Name>,
    /// Pipelines that read or write them, in the order of the records.
    order: Vec<Name>,
}

fn reach<'a>(before: &World, after: &World, changed: impl Iterator<Item = &'a Name>) -> Reach {
    let mut reach = Reach {
        streams: changed.cloned().collect(),
        order: Vec::new(),
    };
    let namespaces: BTreeSet<&String> = reach.streams.iter().map(|(ns, _)| ns).collect();
    let mut steps: BTreeMap<&Name, &PipelineSpec> = BTreeMap::new();
    for (name, spec) in before.pipelines.iter().chain(&after.pipelines) {
        if namespaces.contains(&name.0) {
            steps.insert(name, spec);
        }
    }
    // A query that changes with the stream may read another one from now on: both count.
    let both = |name: &Name, of: fn(&PipelineSpec) -> Vec<String>| -> BTreeSet<Name> {
        [before.pipelines.get(name), after.pipelines.get(name)]
            .into_iter()
            .flatten()
            .flat_map(of)
            .map(|stream| (name.0.clone(), stream))
            .collect()
    };
    let flows: BTreeMap<&Name, (BTreeSet<Name>, BTreeSet<Name>)> = steps
        .keys()
        .map(|name| (*name, (both(name, reads), both(name, writes))))
        .collect();
    let written_first = reach.streams.clone();
    let mut members: BTreeSet<&Name> = BTreeSet::new();
    loop {
        let count = (members.len(), reach.streams.len());
        for (name, (reads, writes)) in &flows {
            if !reads.is_disjoint(&reach.streams) {
                members.insert(name);
                reach.streams.extend(writes.iter().cloned());
            } else if !writes.is_disjoint(&written_first) {
                members.insert(name);
            }
        }
        if count == (members.len(), reach.streams.len()) {
            break;
        }
    }
    let mut ordered: Vec<Name> = labels::in_order(steps.iter().map(|(n, s)| (*n, *s)))
        .into_iter()
        .filter(|name| members.contains(name))
        .cloned()
        .collect();
    // Those of a ring come last.
    let rest: Vec<Name> = members
        .iter()
        .filter(|name| !ordered.contains(name))
        .map(|name| (*name).clone())
        .collect();
    ordered.extend(rest);
    ordered.truncate(MOST_PIPELINES);
    reach.order = ordered;
    reach
}

fn reads(spec: &PipelineSpec) -> Vec<String> {
    headworks_sql::inputs(&spec.sql).unwrap_or_default()
}

fn writes(spec: &PipelineSpec) -> Vec<String> {
    spec.to.iter().filter_map(|t| t.stream.clone()).collect()
}

/// What each Pipeline of a world becomes, and what its streams carry.
struct Plans {
    pipelines: BTreeMap<Name, Result<Dataflow, String>>,
    contracts: BTreeMap<Name, Contract>,
}

impl Plans {
    /// Plans what is reached. `running` is what was planned before: the pods of a Pipeline that can't be planned go on
    /// with that, and bring its labels.
    fn of(world: &World, reach: &Reach, running: Option<&Plans>) -> Self {
        // What came to a stream beyond the reach is known; within it, it is worked out anew.
        let mut contracts: BTreeMap<Name, Contract> = world
            .streams
            .iter()
            .map(|(name, stream)| {
                let contract = if reach.streams.contains(name) {
                    own(stream, world, reach, name)
                } else {
                    stream.effective()
                };
                (name.clone(), contract)
            })
            .collect();
        let mut pipelines = BTreeMap::new();
        for name in &reach.order {
            let Some(spec) = world.pipelines.get(name) else {
                continue;
            };
            let planned = plan(spec, &name.0, &contracts);
            let before = running.and_then(|plans| plans.pipelines.get(name));
            let flow = planned
                .as_ref()
                .ok()
                .or(before.and_then(|b| b.as_ref().ok()));
            if let Some(flow) = flow {
                for stream in writes(spec) {
                    if let Some(contract) = contracts.get_mut(&(name.0.clone(), stream)) {
                        add(contract, &labels::brought(flow, contract));
                    }
                }
            }
            pipelines.insert(name.clone(), planned);
        }
        Self {
            pipelines,
            contracts,
        }
    }
}

/// A stream's contract with the labels that come from outside the reach: those that are known to have come, where no
/// Pipeline of the reach writes it.
fn own(stream: &Stream, world: &World, reach: &Reach, name: &Name) -> Contract {
    let written = reach.order.iter().any(|pipeline| {
        pipeline.0 == name.0
            && world
                .pipelines
                .get(pipeline)
                .is_some_and(|spec| writes(spec).contains(&name.1))
    });
    if written {
        stream.contract.clone()
    } else {
        stream.effective()
    }
}

fn add(contract: &mut Contract, brought: &labels::Labels) {
    for field in &mut contract.fields {
        if let Some(labels) = brought.get(&field.name) {
            field.labels.extend(labels.iter().cloned());
            field.labels.sort();
            field.labels.dedup();
        }
    }
}

/// Plans a Pipeline and checks it against its targets, by the operator's own rules and in its words.
fn plan(
    spec: &PipelineSpec,
    namespace: &str,
    contracts: &BTreeMap<Name, Contract>,
) -> Result<Dataflow, String> {
    let get = |stream: &str| contracts.get(&(namespace.to_owned(), stream.to_owned()));
    let names = headworks_sql::inputs(&spec.sql).map_err(|e| format!("spec.sql {e}"))?;
    let mut inputs = Vec::new();
    for name in &names {
        let contract = get(name).ok_or_else(|| format!("DataStream {name} isn't there"))?;
        inputs.push((name.as_str(), contract));
    }
    let mut outputs = Vec::new();
    for (index, target) in spec.to.iter().enumerate() {
        // A target that isn't there yet is no fault of this change.
        if let Some(name) = &target.stream
            && let Some(contract) = get(name)
        {
            outputs.push((index, name.as_str(), contract));
        }
    }
    check::check(spec, &inputs, &outputs).map_err(|error| error.message().to_owned())
}

fn item(effect: Effect, kind: &'static str, name: &Name, what: Vec<String>) -> Item {
    Item {
        effect,
        kind,
        namespace: name.0.clone(),
        name: name.1.clone(),
        what,
    }
}

type Column = (String, String, bool, Vec<String>);

fn output(flow: &Dataflow) -> Vec<Column> {
    let columns = flow.output.columns.iter();
    columns
        .map(|c| {
            (
                c.name.clone(),
                c.data_type.to_string(),
                c.nullable,
                c.labels.clone(),
            )
        })
        .collect()
}

/// One Pipeline and its tables.
fn pipeline(
    name: &Name,
    (before, old): (&World, &Plans),
    (after, new): (&World, &Plans),
    changed: &BTreeMap<Name, Change>,
    broken: &mut BTreeSet<Name>,
    items: &mut Vec<Item>,
) {
    let Some(spec) = after.pipelines.get(name) else {
        return;
    };
    let same_spec = before.pipelines.get(name) == Some(spec);
    let (was, now) = (old.pipelines.get(name), new.pipelines.get(name));
    let outputs = || {
        writes(spec)
            .into_iter()
            .map(|stream| (name.0.clone(), stream))
    };
    let (was, now) = match (was, now) {
        (_, None) => return,
        // It was broken before, and nobody has touched it.
        (Some(Err(_)), Some(Err(_))) if same_spec => return,
        (_, Some(Err(message))) => {
            broken.extend(outputs());
            let lines = vec![message.clone()];
            items.push(item(Effect::Broken, "Pipeline", name, lines));
            return;
        }
        (was, Some(Ok(now))) => (was.and_then(|w| w.as_ref().ok()), now),
    };
    let different = was.map(|was| changes(&output(was), &output(now)));
    let lines: Vec<String> = different
        .iter()
        .flatten()
        .map(|c| format!("result column {c}{}", from(now, &c.name, changed)))
        .collect();
    if lines.is_empty() {
        let starved: Vec<Name> = reads(spec)
            .into_iter()
            .map(|stream| (name.0.clone(), stream))
            .filter(|stream| broken.contains(stream))
            .collect();
        let used = used(now, &name.0, changed);
        if !starved.is_empty() {
            broken.extend(outputs());
            let names: Vec<&str> = starved.iter().map(|(_, n)| n.as_str()).collect();
            let line = format!("is fed by a broken Pipeline through {}", names.join(", "));
            items.push(item(Effect::Touched, "Pipeline", name, vec![line]));
        } else if !used.is_empty() {
            let line = format!("reads {}", used.join(", "));
            items.push(item(Effect::Touched, "Pipeline", name, vec![line]));
        }
        return;
    }
    items.push(item(Effect::Altered, "Pipeline", name, lines));
    for table in spec.to.iter().filter_map(|t| t.table.as_ref()) {
        // A label is no part of a table.
        let bare = |flow: &Dataflow| -> Vec<Column> {
            let columns = output(flow).into_iter();
            columns
                .map(|(name, type_, null, _)| (name, type_, null, vec![]))
                .collect()
        };
        let columns = was.map(|was| changes(&bare(was), &bare(now)));
        let lines: Vec<String> = columns
            .iter()
            .flatten()
            .map(|c| format!("column {c} (a table that is there is never changed: ALTER it first)"))
            .collect();
        if !lines.is_empty() {
            let title = (name.0.clone(), format!("{}.{}", table.store, table.name));
            items.push(item(Effect::Altered, "Table", &title, lines));
        }
    }
}

/// Which changed columns a result's column is computed from.
fn from(flow: &Dataflow, column: &str, changed: &BTreeMap<Name, Change>) -> String {
    let names: BTreeSet<&String> = changed.keys().map(|(_, name)| name).collect();
    let sources: Vec<String> = flow
        .lineage
        .iter()
        .filter(|l| l.column == column)
        .flat_map(|l| &l.sources)
        .filter(|source| names.contains(&source.stream))
        .map(|source| format!("{}.{}", source.stream, source.column))
        .collect();
    if sources.is_empty() {
        String::new()
    } else {
        format!(" (from {})", sources.join(", "))
    }
}

/// The changed columns that a query reads.
fn used(flow: &Dataflow, namespace: &str, changed: &BTreeMap<Name, Change>) -> Vec<String> {
    let mut all = BTreeSet::new();
    for branch in &flow.branches {
        let key = (namespace.to_owned(), branch.input.clone());
        let Some(change) = changed.get(&key) else {
            continue;
        };
        for field in &change.fields {
            let name = field.split(": ").next().unwrap_or_default();
            if branch.columns.iter().any(|c| c == name) {
                all.insert(format!("{}.{name}", branch.input));
            }
        }
    }
    all.into_iter().collect()
}

/// Sources and grants around a changed stream.
fn around(name: &Name, change: &Change, before: &World, after: &World, items: &mut Vec<Item>) {
    let (Some(was), Some(now)) = (before.streams.get(name), after.streams.get(name)) else {
        return;
    };
    let (was, now) = (&was.contract, &now.contract);
    let refused: Vec<String> = evolution::refused_of_writers(was, now)
        .into_iter()
        .map(|fault| format!("records as before are refused: {}", fault.message))
        .collect();
    let readers: Vec<String> = evolution::broken_for_readers(was, now)
        .into_iter()
        .map(|fault| fault.message)
        .collect();
    // A label is nothing to whoever writes.
    let bare = |contract: &Contract| -> Contract {
        let mut contract = contract.clone();
        for field in &mut contract.fields {
            field.labels.clear();
        }
        contract
    };
    let written: Vec<String> = columns(&bare(was), &bare(now))
        .iter()
        .map(ToString::to_string)
        .collect();
    for (source, spec) in &after.sources {
        if source.0 != name.0 || spec.into != name.1 {
            continue;
        }
        if !refused.is_empty() {
            items.push(item(Effect::Broken, "Source", source, refused.clone()));
        } else if !written.is_empty() {
            items.push(item(Effect::Altered, "Source", source, written.clone()));
        }
    }
    for (grant, spec) in &after.grants {
        if grant.0 != name.0 {
            continue;
        }
        let (reads, writes) = (spec.read.contains(&name.1), spec.write.contains(&name.1));
        let faults: Vec<String> = match (reads, writes) {
            (false, false) => continue,
            (true, false) => readers.clone(),
            (false, true) => refused.clone(),
            (true, true) => readers.iter().chain(&refused).cloned().collect(),
        };
        let (effect, lines) = if !faults.is_empty() {
            (Effect::Broken, faults)
        } else if reads {
            let lines = client_sees(&change.fields, &spec.except_labels);
            (Effect::Altered, lines)
        } else {
            (Effect::Altered, written.clone())
        };
        if lines.is_empty() {
            continue;
        }
        let mut what = vec![client(spec, &name.1)];
        what.extend(lines);
        items.push(item(effect, "AccessGrant", grant, what));
    }
}

fn client(spec: &AccessGrantSpec, stream: &str) -> String {
    let does = match (
        spec.read.iter().any(|s| s == stream),
        spec.write.iter().any(|s| s == stream),
    ) {
        (true, true) => "reads and writes",
        (true, false) => "reads",
        _ => "writes",
    };
    let to = &spec.to;
    format!("client {}/{} {does} {stream}", to.namespace, to.name)
}

/// The lines of a change, with what exceptLabels make of those about a label.
fn client_sees(lines: &[String], except: &[String]) -> Vec<String> {
    lines
        .iter()
        .map(|line| {
            let hit = except.iter().any(|label| {
                line.contains(&format!("label {label}")) || line.contains(&format!(", {label}"))
            });
            if hit {
                format!("{line}: its exceptLabels decide anew whether the client sees it")
            } else {
                line.clone()
            }
        })
        .collect()
}

/// Labels that come to a stream, or go from it, by lineage.
fn arrived(
    name: &Name,
    (_, old): (&World, &Plans),
    (after, new): (&World, &Plans),
    items: &mut Vec<Item>,
) {
    let (Some(was), Some(now)) = (old.contracts.get(name), new.contracts.get(name)) else {
        return;
    };
    let labelled = |contract: &Contract| -> Vec<Column> {
        let fields = contract.fields.iter();
        fields
            .map(|f| (f.name.clone(), String::new(), false, f.labels.clone()))
            .collect()
    };
    // Fields that come and go are told where the contract is; here it is about labels alone.
    let both: Vec<Column> = labelled(now)
        .into_iter()
        .filter(|(n, ..)| was.fields.iter().any(|f| f.name == *n))
        .collect();
    let before: Vec<Column> = labelled(was)
        .into_iter()
        .filter(|(n, ..)| both.iter().any(|(b, ..)| b == n))
        .collect();
    let lines: Vec<String> = changes(&before, &both)
        .iter()
        .map(ToString::to_string)
        .collect();
    if lines.is_empty() {
        return;
    }
    items.push(item(Effect::Altered, "DataStream", name, lines.clone()));
    for (grant, spec) in &after.grants {
        if grant.0 != name.0 || !spec.read.contains(&name.1) {
            continue;
        }
        let mut what = vec![client(spec, &name.1)];
        what.extend(client_sees(&lines, &spec.except_labels));
        items.push(item(Effect::Altered, "AccessGrant", grant, what));
    }
}

/// Owners of all streams within reach.
fn owners(reach: &Reach, after: &World) -> Vec<Owner> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for name in &reach.streams {
        let owner = after.streams.get(name).and_then(|s| s.owner.clone());
        if let Some(owner) = owner {
            let stream = format!("{}/{}", name.0, name.1);
            all.entry(owner).or_default().push(stream);
        }
    }
    all.into_iter()
        .map(|(owner, streams)| Owner { owner, streams })
        .collect()
}
