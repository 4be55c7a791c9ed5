//! The stages of a plan, of the stages of the Pipeline and what Kafka gave their topics. Pure.

use headworks_crds::{Pipeline, TableTarget};
use headworks_plan::{
    Contract, DELETED_COLUMN, Ends, Field, Format, InternalTopic, StagePlan, StatePlan, Stream,
    TableOutput, names,
};
use headworks_sql::{Dataflow, keyed::Changes};

use crate::{
    connectors::stores::StoreBinding,
    pipeline::native::topics::StateTopics,
    planning::stages::{End, Stage},
};

/// The entries of the plan. `kept` says what Kafka gave the topics that are the Pipeline's own; without it they have no
/// partitions, which a run in memory doesn't need.
pub fn plan_stages(
    pipeline: &Pipeline,
    tables: &[(TableTarget, StoreBinding)],
    dataflow: &Dataflow,
    kept: Option<&StateTopics>,
    stages: &[Stage],
) -> Vec<StagePlan> {
    let topic = |name: &str| InternalTopic {
        topic: name.to_owned(),
        partitions: kept.map_or(0, |kept| kept.partitions),
        max_message_bytes: kept.map_or(0, |kept| kept.max_message_bytes),
    };
    let mut tables = tables.iter();
    let mut all = Vec::with_capacity(stages.len());
    for stage in stages {
        let ends = match &stage.ends {
            End::Streams { results } => Ends::Streams {
                results: results
                    .as_ref()
                    .map(|results| Box::new(self::results(&topic(results), dataflow))),
            },
            End::Exchange(name) => Ends::Exchange(topic(name)),
            // Both have the tables in the order of the spec.
            End::Table { .. } => match tables.next() {
                Some((table, binding)) => Ends::Table(Box::new(TableOutput {
                    store: binding.store.clone(),
                    table: table.name.clone(),
                    key: table.key.clone(),
                    create: table.create,
                    group: stage.group.clone(),
                })),
                None => continue,
            },
        };
        // Rows that are brought together have one event time: what comes next waits for the slowest partition.
        let drifts = matches!(ends, Ends::Exchange(_));
        all.push(StagePlan {
            id: stage.id.clone(),
            runs: stage.runs,
            group: stage.group.clone(),
            reads: stage.reads.clone(),
            ends,
            state: stage
                .changelog
                .as_ref()
                .map(|changelog| state(pipeline, topic(changelog))),
            max_drift_ms: drifts.then(|| pipeline.spec.max_drift.millis()),
        });
    }
    all
}

fn state(pipeline: &Pipeline, changelog: InternalTopic) -> StatePlan {
    let spec = &pipeline.spec;
    let bounds = spec.state.clone().unwrap_or_default();
    StatePlan {
        changelog,
        allowed_lateness_ms: spec.allowed_lateness.millis(),
        ttl_ms: bounds.ttl.as_ref().map(headworks_crds::Duration::millis),
        memory_bytes: bounds.memory.value(),
    }
}

fn results(topic: &InternalTopic, dataflow: &Dataflow) -> Stream {
    Stream {
        name: "results".into(),
        dead_letter_topic: names::dead_letters(&topic.topic),
        topic: topic.topic.clone(),
        contract: results_contract(dataflow),
        max_message_bytes: topic.max_message_bytes,
        rules: Vec::new(),
    }
}

/// The query's columns as a stream that tables are written from. Where the result is an upsert, a row may say that
/// the one with its key is gone, and then has nothing but the key.
fn results_contract(dataflow: &Dataflow) -> Contract {
    let columns = &dataflow.output.columns;
    let key: Vec<usize> = match dataflow.changes() {
        Changes::Append => Vec::new(),
        Changes::Upsert { key } => key,
    };
    let mut fields: Vec<Field> = columns
        .iter()
        .enumerate()
        .map(|(index, column)| Field {
            name: column.name.clone(),
            type_: column.data_type.to_string(),
            nullable: column.nullable || !key.is_empty() && !key.contains(&index),
            labels: column.labels.clone(),
        })
        .collect();
    if !key.is_empty() {
        fields.push(Field::new(DELETED_COLUMN, "boolean", false));
    }
    let names = key.iter().filter_map(|index| columns.get(*index));
    Contract {
        fields,
        key: names.map(|column| column.name.clone()).collect(),
        compacted: false,
        event_time: None,
        format: Format::Json,
        ..Contract::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planning::testing::{contract, keyed};

    #[test]
    fn a_row_that_is_gone_has_nothing_but_its_key() {
        let a = contract(&[("k", "string", false), ("n", "bigint", false)]);
        let results = results_contract(&keyed("SELECT n, k FROM a", &a, &[1]));
        let fields: Vec<(&str, bool)> = results
            .fields
            .iter()
            .map(|f| (f.name.as_str(), f.nullable))
            .collect();
        assert_eq!(fields, [("n", true), ("k", false), (DELETED_COLUMN, false)]);
        assert_eq!(results.key, ["k"]);
        let results = results_contract(&keyed("SELECT n, k FROM a", &a, &[]));
        assert_eq!(results.fields.len(), 2, "final rows are never gone");
        assert!(!results.fields[0].nullable && results.key.is_empty());
    }
}
