//! What each Pipeline of a snapshot becomes: planned by the operator's own rules, in the order of the records.

use std::collections::BTreeMap;

use headworks_crds::PipelineSpec;
use headworks_plan::Contract;
use headworks_sql::Dataflow;

use super::{
    CatalogSnapshot, Name, Stream,
    affected::{Affected, writes},
};
use crate::{
    connectors::stores::table_rules,
    planning::{check, lineage},
};

/// What each Pipeline of a snapshot becomes, and what its streams carry.
pub(super) struct Plans {
    pub pipelines: BTreeMap<Name, Result<Dataflow, String>>,
    pub contracts: BTreeMap<Name, Contract>,
}

impl Plans {
    /// Plans what is reached. `running` is what was planned before: the pods of a Pipeline that can't be planned go on
    /// with that, and bring its labels.
    pub fn of(snapshot: &CatalogSnapshot, affected: &Affected, running: Option<&Plans>) -> Self {
        // What came to a stream beyond the reach is known; within it, it is worked out anew.
        let mut contracts: BTreeMap<Name, Contract> = snapshot
            .streams
            .iter()
            .map(|(name, stream)| {
                let contract = if affected.streams.contains(name) {
                    own(stream, snapshot, affected, name)
                } else {
                    stream.effective()
                };
                (name.clone(), contract)
            })
            .collect();
        let mut pipelines = BTreeMap::new();
        for name in &affected.order {
            let Some(spec) = snapshot.pipelines.get(name) else {
                continue;
            };
            let planned = plan(spec, &name.0, &contracts, snapshot);
            let before = running.and_then(|plans| plans.pipelines.get(name));
            let flow = planned
                .as_ref()
                .ok()
                .or(before.and_then(|b| b.as_ref().ok()));
            if let Some(flow) = flow {
                for stream in writes(spec) {
                    if let Some(contract) = contracts.get_mut(&(name.0.clone(), stream)) {
                        add(contract, &lineage::brought(flow, contract));
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
fn own(stream: &Stream, snapshot: &CatalogSnapshot, affected: &Affected, name: &Name) -> Contract {
    let written = affected.order.iter().any(|pipeline| {
        pipeline.0 == name.0
            && snapshot
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

fn add(contract: &mut Contract, brought: &lineage::Labels) {
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
    snapshot: &CatalogSnapshot,
) -> Result<Dataflow, String> {
    let get = |stream: &str| contracts.get(&(namespace.to_owned(), stream.to_owned()));
    let names = headworks_sql::inputs(&spec.sql).map_err(|e| format!("spec.sql {e}"))?;
    let mut inputs = Vec::new();
    for name in &names {
        let contract = get(name).ok_or_else(|| {
            if snapshot
                .unread
                .contains(&(namespace.to_owned(), name.clone()))
            {
                format!("the contract of DataStream {name} isn't known yet")
            } else {
                format!("DataStream {name} isn't there")
            }
        })?;
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
    let rules = |store: &str| {
        table_rules(
            snapshot
                .stores
                .get(&(namespace.to_owned(), store.to_owned())),
        )
    };
    check::check(spec, &inputs, &outputs, rules).map_err(|error| error.message().to_owned())
}
