//! A Pipeline's query and targets against the contracts in force. Pure. After this only the engine may say that it can't run it.

use headworks_crds::{Pipeline, PipelineSpec, PodTemplate};
use headworks_sql::Dataflow;

use super::dereference::References;
use crate::{planning, reason::ConditionReason, retry::Error};

/// Checks the spec against what it refers to.
pub fn check(pipeline: &Pipeline, found: &References) -> Result<Dataflow, Error> {
    let spec = &pipeline.spec;
    let dataflow = check_query(spec, found)?;
    check_stores(spec, found, &dataflow)?;
    Ok(dataflow)
}

/// Whether each table's store keeps what the result is.
fn check_stores(spec: &PipelineSpec, found: &References, dataflow: &Dataflow) -> Result<(), Error> {
    let tables = (0..spec.to.len()).filter(|index| spec.to[*index].table.is_some());
    for (index, (table, binding)) in tables.zip(&found.tables) {
        let guarantee = binding.store.connection.guarantee();
        if let Some(fault) = planning::check::guarantee_fault(dataflow, table, guarantee) {
            let message = format!("spec.to[{index}].table: {fault}");
            return Err(Error::stalled(ConditionReason::OutputMismatch, message));
        }
    }
    Ok(())
}

/// The user's pod template over the Platform's.
pub(super) fn template(spec: &PipelineSpec, found: &References) -> PodTemplate {
    let platform = found.platform.platform.spec.pod_template.clone();
    let own = spec.pod_template.clone().unwrap_or_default();
    own.over(&platform.unwrap_or_default())
}

/// The query over the contracts in force.
fn check_query(spec: &PipelineSpec, found: &References) -> Result<Dataflow, Error> {
    let inputs: Vec<_> = found
        .inputs
        .iter()
        .map(|i| (i.stream.name.as_str(), &i.stream.contract))
        .collect();
    let streams = (0..spec.to.len()).filter(|index| spec.to[*index].stream.is_some());
    let outputs: Vec<_> = streams
        .zip(&found.outputs)
        .map(|(index, o)| (index, o.stream.name.as_str(), &o.stream.contract))
        .collect();
    let rules = |store: &str| {
        let mut tables = found.tables.iter();
        let of = tables.find(|(table, _)| table.store == store);
        of.map(|(_, binding)| binding.tables).unwrap_or_default()
    };
    planning::check::check(spec, &inputs, &outputs, rules)
}
