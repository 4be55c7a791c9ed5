//! The labels of a stream as its status shows them: its own, and those that come by lineage from what is written into
//! it.
//!
//! One step at a time: a writer's inputs are taken with the labels that their own status shows, and a change of those
//! wakes this stream. So labels flow through any number of Pipelines. A Pipeline in a ring is refused, and gives
//! nothing: a label must not hold itself up.

use headworks_crds::{DataStream, LabelledFields, Pipeline};
use headworks_plan::Contract;
use kube::ResourceExt;

use super::{accepted, contract};
use crate::{
    context::Context,
    impact::labels::{brought, by_field, planned, shown},
    names::Key,
};

/// The Pipelines that write a stream.
fn writers(context: &Context, key: &Key) -> Vec<Pipeline> {
    let pipelines = context.stores.pipelines.state();
    let mut all: Vec<Pipeline> = pipelines
        .iter()
        .filter_map(|pipeline| pipeline.0.as_ref().ok())
        .filter(|pipeline| {
            pipeline.metadata.namespace.as_deref() == Some(key.namespace.as_str())
                && pipeline.metadata.deletion_timestamp.is_none()
                && (pipeline.spec.to.iter()).any(|t| t.stream.as_ref() == Some(&key.name))
                && context.flows.refused(&Key::of(*pipeline)).is_none()
        })
        .cloned()
        .collect();
    all.sort_by_key(ResourceExt::name_any);
    all
}

/// Everything that the labels depend on: the writers, and the streams they read.
pub fn references(context: &Context, key: &Key) -> Vec<Key> {
    let mut all = Vec::new();
    for pipeline in writers(context, key) {
        let inputs = headworks_sql::inputs(&pipeline.spec.sql).unwrap_or_default();
        let inputs = inputs.iter();
        all.extend(inputs.map(|name| Key::new("DataStream", &key.namespace, name)));
        all.push(Key::of(&pipeline));
    }
    // A stream that waits for itself would wake itself.
    all.retain(|other| other != key);
    all
}

/// What the status shows, for the contract in force. `before` is what it showed: where a writer's query can't be planned
/// just now, its pods go on with the last good one, and so do its labels.
pub fn labels(
    context: &Context,
    key: &Key,
    in_force: &Contract,
    before: &[LabelledFields],
) -> Vec<LabelledFields> {
    let mut effective = in_force.clone();
    let mut unknown = false;
    for pipeline in writers(context, key) {
        let input = |name: &str| {
            let stream = context.stream(&key.namespace, name)?;
            of_input(context, &stream)
        };
        match planned(&pipeline.spec, input) {
            Some(flow) => add(&mut effective, &brought(&flow, in_force)),
            None => unknown = true,
        }
    }
    if unknown {
        add(&mut effective, &by_field(before));
    }
    shown(&effective)
}

/// A stream's contract with all its labels.
fn of_input(context: &Context, stream: &DataStream) -> Option<Contract> {
    let accepted = accepted::newest(context, &Key::of(stream))?;
    let mut contract = contract::as_read(&accepted.contract, &stream.spec);
    let status = stream.status.as_ref();
    add(
        &mut contract,
        &by_field(status.map_or(&[], |s| s.labels.as_slice())),
    );
    Some(contract)
}

fn add(contract: &mut Contract, labels: &crate::impact::labels::Labels) {
    for field in &mut contract.fields {
        if let Some(more) = labels.get(&field.name) {
            field.labels.extend(more.iter().cloned());
            field.labels.sort();
            field.labels.dedup();
        }
    }
}
