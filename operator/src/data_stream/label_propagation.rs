//! The labels of a stream as its status shows them: its own, and those that come by lineage from what is written into
//! it.
//!
//! One step at a time: a writer's inputs are taken with the labels that their own status shows, and a change of those
//! wakes this stream. So labels flow through any number of Pipelines. A Pipeline in a ring is refused, and gives
//! nothing: a label must not hold itself up.
//!
//! A label goes when somebody takes it away where it was written: at this stream's field, or at the one that it came
//! from. It doesn't go because a query was edited or a Pipeline deleted: the records that were written before are in the
//! topic still, and whoever reads it reads them. Such labels are kept (`status.keptLabels`) until their field is given
//! the label by hand, and loses it again.

use std::collections::{BTreeMap, BTreeSet};

use headworks_crds::{DataStream, DataStreamStatus, Pipeline};
use headworks_plan::{Contract, Plan, Role};
use kube::ResourceExt;

use super::contract_revisions;
use crate::{
    context::Context,
    contract::{self, topic_name},
    names::{Key, digest},
    planning::lineage::{Labels, brought, by_field, listed, of_contract, planned},
    workload,
};

/// What somebody writes into a stream: by its spec, and by the plan that its pods have now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Writer {
    name: String,
    queries: BTreeSet<String>,
}

/// What labels are worked out from.
trait StreamLookup {
    /// A stream's contract in force, with its own labels, and what its status says.
    fn stream(&self, name: &str) -> Option<(Contract, DataStreamStatus)>;
    /// Who writes a stream, by name.
    fn writers(&self, stream: &str) -> Vec<Writer>;
}

/// A namespace, as the operator's stores have it.
struct InStores<'a> {
    context: &'a Context,
    namespace: &'a str,
}

impl StreamLookup for InStores<'_> {
    fn stream(&self, name: &str) -> Option<(Contract, DataStreamStatus)> {
        let stream: DataStream = self.context.stores.stream(self.namespace, name)?;
        let status = stream.status.clone().unwrap_or_default();
        let key = Key::of(&stream);
        let accepted = contract_revisions::stored(self.context, &key, status.contract.as_ref())?;
        let spec = &stream.spec;
        let topic = topic_name::topic_of(&key.namespace, &key.name, spec.topic.as_deref());
        // What an object that was here before has left is about its own topic.
        if status.contract.is_none()
            && (accepted.topic != topic || accepted.platform != spec.platform)
        {
            return None;
        }
        let contract = contract::as_read(&accepted.contract, &stream.spec);
        Some((contract, status))
    }

    fn writers(&self, stream: &str) -> Vec<Writer> {
        let pipelines = self.context.stores.pipelines.state();
        let mut all: Vec<Writer> = pipelines
            .iter()
            .filter_map(|pipeline| pipeline.0.as_ref().ok())
            .filter(|pipeline| pipeline.metadata.namespace.as_deref() == Some(self.namespace))
            .map(|pipeline| Writer {
                name: pipeline.name_any(),
                queries: queries(pipeline, stream, self.context),
            })
            .filter(|writer| !writer.queries.is_empty())
            .collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        all
    }
}

/// The queries by which a Pipeline writes a stream. What its spec says may be held back, or wrong; then its pods go on
/// with the plan they have.
fn queries(pipeline: &Pipeline, stream: &str, context: &Context) -> BTreeSet<String> {
    let key = Key::of(pipeline);
    let mut all = BTreeSet::new();
    let by_spec = (pipeline.spec.to.iter()).any(|t| t.stream.as_deref() == Some(stream));
    if by_spec && context.flows.refused(&key).is_none() {
        all.insert(pipeline.spec.sql.trim_end().to_owned());
    }
    let status = pipeline.status.as_ref();
    let outputs = status.map_or(&[][..], |s| s.outputs.as_slice());
    if by_spec || outputs.iter().any(|name| name == stream) {
        let uid = pipeline.metadata.uid.as_deref().unwrap_or_default();
        for plan in workload::plans_of_pods(context, &key, uid) {
            all.extend(by_plan(&plan, stream));
        }
    }
    all
}

fn by_plan(plan: &Plan, stream: &str) -> Option<String> {
    match &plan.role {
        Role::Pipeline(plan) if plan.outputs.iter().any(|o| o.name == stream) => {
            Some(plan.sql.clone())
        }
        _ => None,
    }
}

/// Everything that the labels depend on: the writers, and the streams they read.
pub fn references(context: &Context, key: &Key) -> Vec<Key> {
    let mut all = Vec::new();
    let namespace = &key.namespace;
    for writer in (InStores { context, namespace }).writers(&key.name) {
        let inputs = writer.queries.iter();
        let inputs = inputs.flat_map(|sql| headworks_sql::inputs(sql).unwrap_or_default());
        all.extend(inputs.map(|name| Key::new("DataStream", namespace, &name)));
        all.push(Key::new("Pipeline", namespace, &writer.name));
    }
    // A stream that waits for itself would wake itself.
    all.retain(|other| other != key);
    all
}

/// Brings to the status what is to be shown, for the contract in force.
pub fn settle(context: &Context, key: &Key, in_force: &Contract, status: &mut DataStreamStatus) {
    let namespace = &key.namespace;
    propagate(
        &InStores { context, namespace },
        &key.name,
        in_force,
        status,
    );
}

fn propagate(
    lookup: &dyn StreamLookup,
    name: &str,
    in_force: &Contract,
    status: &mut DataStreamStatus,
) {
    let writers = lookup.writers(name);
    let as_shown = |input: &str| {
        let (mut contract, status) = lookup.stream(input)?;
        add(&mut contract, &by_field(&status.labels));
        Some(contract)
    };
    let (brought, complete) = all_brought(&writers, in_force, as_shown);
    let own = of_contract(in_force);
    let before = by_field(&status.labels);
    let from = from(&writers);
    let mut kept = by_field(&status.kept_labels);
    // While nobody knows what one of the queries brings, nothing goes, and nothing has to be kept.
    for (field, labels) in before.iter().filter(|_| complete) {
        let gone = !in_force.fields.iter().any(|f| f.name == *field);
        for label in labels.iter().filter(|l| !has(&brought, field, l)) {
            // Another query, or none: what the one before has written is there still. So are a field's values when
            // the contract no longer has it.
            if gone || from != status.labels_from {
                kept.entry(field.clone()).or_default().insert(label.clone());
            }
        }
    }
    // Written at the field, it is the owner's to take away.
    for (field, labels) in &mut kept {
        labels.retain(|label| !has(&own, field, label));
    }
    kept.retain(|_, labels| !labels.is_empty());
    let mut shown = own;
    merge(&mut shown, &brought);
    merge(&mut shown, &kept);
    if !complete {
        // Nobody knows what this query brings just now: it is held for what it brought.
        merge(&mut shown, &before);
    }
    status.labels = listed(&shown);
    status.kept_labels = listed(&kept);
    if complete {
        status.labels_from = from;
    }
}

/// The labels of a stream as they are at this moment, although its own status may not show them yet: with what all
/// Pipelines bring that it, and the streams before it, are written by.
pub fn now(context: &Context, namespace: &str, name: &str) -> Labels {
    effective(&InStores { context, namespace }, name, &mut BTreeMap::new())
}

/// A Pipeline that writes the stream, has never run, and of which nobody can say yet what labels it will bring.
pub fn unsettled(context: &Context, namespace: &str, name: &str) -> Option<String> {
    let here = InStores { context, namespace };
    let mut known = BTreeMap::new();
    let as_now = |input: &str, known: &mut BTreeMap<String, Labels>| {
        let (mut contract, _) = here.stream(input)?;
        add(&mut contract, &effective(&here, input, known));
        Some(contract)
    };
    here.writers(name)
        .into_iter()
        .filter(|writer| {
            let pipeline = context.stores.pipeline(namespace, &writer.name);
            let status = pipeline.and_then(|pipeline| pipeline.status);
            !status.is_some_and(|status| status.outputs.iter().any(|output| output == name))
        })
        .find(|writer| {
            let mut queries = writer.queries.iter();
            queries.any(|sql| planned(sql, |input| as_now(input, &mut known)).is_none())
        })
        .map(|writer| writer.name)
}

/// `known`: the streams that were asked about before. One that is being asked about stands there with what its status
/// shows, so that a ring comes to an end.
fn effective(
    lookup: &dyn StreamLookup,
    name: &str,
    known: &mut BTreeMap<String, Labels>,
) -> Labels {
    if let Some(labels) = known.get(name) {
        return labels.clone();
    }
    let Some((contract, status)) = lookup.stream(name) else {
        return Labels::new();
    };
    let mut all = of_contract(&contract);
    merge(&mut all, &by_field(&status.labels));
    known.insert(name.to_owned(), all.clone());
    let (brought, _) = all_brought(&lookup.writers(name), &contract, |input| {
        let (mut contract, _) = lookup.stream(input)?;
        add(&mut contract, &effective(lookup, input, known));
        Some(contract)
    });
    merge(&mut all, &brought);
    known.insert(name.to_owned(), all.clone());
    all
}

/// What all writers bring; false if that of one isn't known.
fn all_brought(
    writers: &[Writer],
    target: &Contract,
    mut input: impl FnMut(&str) -> Option<Contract>,
) -> (Labels, bool) {
    let (mut all, mut complete) = (Labels::new(), true);
    for sql in writers.iter().flat_map(|writer| &writer.queries) {
        match planned(sql, &mut input) {
            Some(flow) => merge(&mut all, &brought(&flow, target)),
            None => complete = false,
        }
    }
    (all, complete)
}

/// A fingerprint of the queries that write a stream; none where nobody does.
fn from(writers: &[Writer]) -> Option<String> {
    let all: Vec<(&str, &BTreeSet<String>)> = writers
        .iter()
        .map(|writer| (writer.name.as_str(), &writer.queries))
        .collect();
    (!all.is_empty()).then(|| digest(format!("{all:?}").as_bytes())[..16].to_owned())
}

fn has(labels: &Labels, field: &str, label: &str) -> bool {
    labels.get(field).is_some_and(|all| all.contains(label))
}

fn merge(into: &mut Labels, more: &Labels) {
    for (field, labels) in more {
        let all = into.entry(field.clone()).or_default();
        all.extend(labels.iter().cloned());
    }
}

fn add(contract: &mut Contract, labels: &Labels) {
    for field in &mut contract.fields {
        if let Some(more) = labels.get(&field.name) {
            field.labels.extend(more.iter().cloned());
            field.labels.sort();
            field.labels.dedup();
        }
    }
}

#[cfg(test)]
mod tests;
