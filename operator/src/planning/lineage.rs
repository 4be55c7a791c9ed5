//! Labels that come to a stream by lineage: a Pipeline's result carries those of the columns it is computed from, and
//! the stream it is written to shows them beside its own.
//!
//! They flow on: through several Pipelines, in the order in which records do. Pipelines in a ring give each other
//! nothing, because a ring is refused, and because a label must not hold itself up.

use std::collections::{BTreeMap, BTreeSet};

use headworks_crds::{LabelledFields, PipelineSpec};
use headworks_plan::Contract;
use headworks_sql::{Catalog, Dataflow};

/// Namespace and name.
pub type Name = (String, String);

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
pub fn planned(sql: &str, mut contract: impl FnMut(&str) -> Option<Contract>) -> Option<Dataflow> {
    let mut catalog = Catalog::new();
    for name in headworks_sql::inputs(sql).ok()? {
        let contract = contract(&name)?;
        catalog = catalog.with(name, contract);
    }
    headworks_sql::plan(sql, &catalog).ok()
}

/// What one Pipeline reads and writes.
struct Step<'a> {
    name: &'a Name,
    reads: BTreeSet<Name>,
    writes: BTreeSet<Name>,
}

/// Pipelines in the order in which records pass them; those in rings are left out.
pub fn in_order<'a>(
    pipelines: impl IntoIterator<Item = (&'a Name, &'a PipelineSpec)>,
) -> Vec<&'a Name> {
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
    while !open.is_empty() {
        // What somebody still writes isn't complete.
        let pending: BTreeSet<Name> = open.iter().flat_map(|s| s.writes.iter().cloned()).collect();
        let (ready, blocked): (Vec<Step<'_>>, Vec<Step<'_>>) = open
            .into_iter()
            .partition(|step| step.reads.is_disjoint(&pending));
        open = if ready.is_empty() {
            // Rings hold up what reads from them, and give it nothing: without them it goes on.
            without_rings(blocked)
        } else {
            blocked
        };
        order.extend(ready.into_iter().map(|step| step.name));
    }
    order
}

/// Those that records never come back to. Fewer than before, where each waits for another.
fn without_rings(steps: Vec<Step<'_>>) -> Vec<Step<'_>> {
    let in_ring: Vec<bool> = steps.iter().map(|step| comes_back(step, &steps)).collect();
    let mut in_ring = in_ring.into_iter();
    steps
        .into_iter()
        .filter(|_| !in_ring.next().unwrap_or_default())
        .collect()
}

fn comes_back(step: &Step<'_>, all: &[Step<'_>]) -> bool {
    let mut reached = step.writes.clone();
    loop {
        if !step.reads.is_disjoint(&reached) {
            return true;
        }
        let more: BTreeSet<Name> = all
            .iter()
            .filter(|other| !other.reads.is_disjoint(&reached))
            .flat_map(|other| other.writes.difference(&reached).cloned())
            .collect();
        if more.is_empty() {
            return false;
        }
        reached.extend(more);
    }
}

/// A contract's labels, by field.
pub fn of_contract(contract: &Contract) -> Labels {
    let mut all = Labels::new();
    for field in contract.fields.iter().filter(|f| !f.labels.is_empty()) {
        let labels = all.entry(field.name.clone()).or_default();
        labels.extend(field.labels.iter().cloned());
    }
    all
}

/// A contract's labels as a status shows them.
pub fn shown(contract: &Contract) -> Vec<LabelledFields> {
    listed(&of_contract(contract))
}

/// As a status shows them: each label with its fields.
pub fn listed(labels: &Labels) -> Vec<LabelledFields> {
    let mut all: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (field, labels) in labels {
        for label in labels {
            all.entry(label).or_default().push(field.clone());
        }
    }
    all.into_iter()
        // As many as the status holds.
        .take(64)
        .map(|(label, mut fields)| {
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
