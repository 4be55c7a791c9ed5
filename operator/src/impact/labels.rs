//! Labels that come to a stream by lineage: a Pipeline's result carries those of the columns it is computed from, and
//! the stream it is written to shows them beside its own.
//!
//! They flow on: through several Pipelines, in the order in which records do. Pipelines in a ring give each other
//! nothing, because a ring is refused, and because a label must not hold itself up.

use std::collections::{BTreeMap, BTreeSet};

use headworks_crds::{LabelledFields, PipelineSpec};
use headworks_plan::Contract;
use headworks_sql::{Catalog, Dataflow};

use super::{Name, World};

/// Labels by field.
pub type Labels = BTreeMap<String, BTreeSet<String>>;

/// The labels that a query's result brings to a stream: those of its columns that the stream has.
pub fn brought(dataflow: &Dataflow, target: &Contract) -> Labels {
    let mut all = Labels::new();
    for column in &dataflow.output.columns {
        if !column.labels.is_empty() && target.fields.iter().any(|f| f.name == column.name) {
            all.entry(column.name.clone())
                .or_default()
                .extend(column.labels.iter().cloned());
        }
    }
    all
}

/// Plans a query over contracts that carry effective labels; none where a stream isn't there or the query is wrong.
pub fn planned(
    spec: &PipelineSpec,
    contract: impl Fn(&str) -> Option<Contract>,
) -> Option<Dataflow> {
    let mut catalog = Catalog::new();
    for name in headworks_sql::inputs(&spec.sql).ok()? {
        let contract = contract(&name)?;
        catalog = catalog.with(name, contract);
    }
    headworks_sql::plan(&spec.sql, &catalog).ok()
}

/// Pipelines in the order in which records pass them; those in rings are left out.
pub(super) fn in_order<'a>(
    pipelines: impl IntoIterator<Item = (&'a Name, &'a PipelineSpec)>,
) -> Vec<&'a Name> {
    struct Step<'a> {
        name: &'a Name,
        reads: BTreeSet<Name>,
        writes: BTreeSet<Name>,
    }
    let mut open: Vec<Step<'_>> = pipelines
        .into_iter()
        .map(|(name, spec)| {
            let within = |stream: String| (name.0.clone(), stream);
            Step {
                name,
                reads: headworks_sql::inputs(&spec.sql)
                    .unwrap_or_default()
                    .into_iter()
                    .map(within)
                    .collect(),
                writes: spec
                    .to
                    .iter()
                    .filter_map(|t| t.stream.clone())
                    .map(within)
                    .collect(),
            }
        })
        .collect();
    let mut order = Vec::with_capacity(open.len());
    loop {
        // What somebody still writes isn't complete.
        let pending: BTreeSet<Name> = open.iter().flat_map(|s| s.writes.iter().cloned()).collect();
        let (ready, blocked): (Vec<Step<'_>>, Vec<Step<'_>>) = open
            .into_iter()
            .partition(|step| step.reads.is_disjoint(&pending));
        if ready.is_empty() {
            return order;
        }
        order.extend(ready.into_iter().map(|step| step.name));
        open = blocked;
    }
}

/// Works out what has arrived in every stream of a world, from the contracts alone.
pub fn settle(world: &mut World) {
    for stream in world.streams.values_mut() {
        stream.arrived.clear();
    }
    let order: Vec<Name> = in_order(&world.pipelines).into_iter().cloned().collect();
    for name in order {
        let Some(spec) = world.pipelines.get(&name) else {
            continue;
        };
        let flow = planned(spec, |stream| {
            let key = (name.0.clone(), stream.to_owned());
            world.streams.get(&key).map(super::Stream::effective)
        });
        let Some(flow) = flow else { continue };
        let targets: Vec<Name> = spec
            .to
            .iter()
            .filter_map(|t| Some((name.0.clone(), t.stream.clone()?)))
            .collect();
        for target in targets {
            if let Some(stream) = world.streams.get_mut(&target) {
                for (field, labels) in brought(&flow, &stream.contract) {
                    stream.arrived.entry(field).or_default().extend(labels);
                }
            }
        }
    }
}

/// As a status shows them: each label with its fields, own and arrived.
pub fn shown(contract: &Contract) -> Vec<LabelledFields> {
    let mut all: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for field in &contract.fields {
        for label in &field.labels {
            all.entry(label).or_default().push(field.name.clone());
        }
    }
    all.into_iter()
        // As many as the status holds.
        .take(64)
        .map(|(label, mut fields)| {
            fields.sort();
            fields.dedup();
            fields.truncate(256);
            LabelledFields {
                label: label.to_owned(),
                fields,
            }
        })
        .collect()
}

/// The other way round: fields with their labels.
pub fn by_field(shown: &[LabelledFields]) -> Labels {
    let mut all = Labels::new();
    for labelled in shown {
        for field in &labelled.fields {
            all.entry(field.clone())
                .or_default()
                .insert(labelled.label.clone());
        }
    }
    all
}
