//! A Pipeline's query and targets against the contracts in force. Pure. After this nothing rejects.

use headworks_crds::{Pipeline, PipelineSpec, PodTemplate};
use headworks_sql::Dataflow;

use super::{dereference::References, memory::memory_fault};
use crate::{names::digest, planning, retry::Error};

/// The consumer group, and the prefix of transactional ids: it belongs to the name, so that progress survives a
/// delete and re-create, and a zombie of an earlier object is fenced.
pub fn group(installation: &str, namespace: &str, name: &str) -> String {
    format!("headworks.{installation}.{namespace}.{name}")
}

/// Kafka's bound for names, which brokers of some makers hold for groups, too.
const MAX_GROUP: usize = 249;

/// The consumer group of a table's writer. One that is too long ends in a digest of the whole.
pub fn table_group(group: &str, store: &str, table: &str) -> String {
    let whole = format!("{group}.table.{store}.{table}");
    if whole.len() <= MAX_GROUP {
        return whole;
    }
    let digest = &digest(whole.as_bytes())[..16];
    let mut end = MAX_GROUP - digest.len() - 1;
    while !whole.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}-{digest}", &whole[..end])
}

/// Checks the spec against what it refers to.
pub fn check(pipeline: &Pipeline, found: &References) -> Result<Dataflow, Error> {
    let spec = &pipeline.spec;
    let dataflow = check_query(spec, found)?;
    check_stores(spec, found, &dataflow)?;
    if dataflow.keyed.is_some()
        && let Some(fault) = memory_fault(spec, &template(spec, found))
    {
        return Err(Error::stalled("MemoryTooLow", fault));
    }
    Ok(dataflow)
}

/// Whether each table's store keeps what the result is.
fn check_stores(spec: &PipelineSpec, found: &References, dataflow: &Dataflow) -> Result<(), Error> {
    let tables = (0..spec.to.len()).filter(|index| spec.to[*index].table.is_some());
    for (index, (table, binding)) in tables.zip(&found.tables) {
        let guarantee = binding.store.connection.guarantee();
        if let Some(fault) = planning::check::guarantee_fault(dataflow, table, guarantee) {
            let message = format!("spec.to[{index}].table: {fault}");
            return Err(Error::stalled("OutputMismatch", message));
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
    planning::check::check(spec, &inputs, &outputs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_s_group_is_never_too_long_and_never_another_s() {
        let group = group(&"i".repeat(32), &"n".repeat(63), &"p".repeat(48));
        let store = "s".repeat(48);
        let of = |table: &str| table_group(&group, &store, table);
        let (one, other) = (of(&"t".repeat(127)), of(&format!("{}u", "t".repeat(126))));
        assert_eq!((one.len(), other.len()), (249, 249));
        assert_ne!(one, other);
        assert_eq!(
            table_group("headworks.i.shop.p", "warehouse", "reporting.orders"),
            "headworks.i.shop.p.table.warehouse.reporting.orders"
        );
    }
}
