//! From a checked Pipeline to a plan that runs in memory: its streams as a pod would see them.

use headworks_connectors::formats::AsJson;
use headworks_crds::{Pipeline, Target};
use headworks_engine::local::{Local, LocalError};
use headworks_operator::contract::topic_name;
use headworks_operator::pipeline;
use headworks_operator::planning::rules::{self, Named};
use headworks_operator::planning::{self, check::unique_columns};
use headworks_plan::names::PipelineNames;
use headworks_plan::{
    Contract, Delivery, OnBadRecord, OnOverflow, PipelinePlan, Rule, StagePlan, StartFrom, Stream,
};

use crate::object::Object;
use crate::rows;
use crate::validate::{Planned, World};

/// Kafka's own default of `max.message.bytes`.
const DEFAULT_MAX_MESSAGE: u64 = 1_048_588;

/// A stream as a pod sees it.
pub fn stream(world: &World, namespace: &str, name: &str, contract: Contract) -> Stream {
    let spec = world.stream(namespace, name).map(|s| &s.spec);
    let topic = topic_name::topic_of(namespace, name, spec.and_then(|s| s.topic.as_deref()));
    Stream {
        name: name.to_owned(),
        dead_letter_topic: topic_name::dead_letter_topic(&topic),
        topic,
        contract,
        max_message_bytes: spec.map_or(DEFAULT_MAX_MESSAGE, max_message_bytes),
        rules: Vec::new(),
    }
}

/// The QualityRules in the files that judge a stream's records, as pods are told of them.
fn rules_of(world: &World, namespace: &str, stream: &str, contract: &Contract) -> Vec<Rule> {
    let all = world.quality_rules();
    let rules =
        all.filter(|(object, rule)| object.namespace == namespace && rule.spec.stream == stream);
    let named = rules.map(|(object, rule)| Named {
        name: &object.name,
        // A file has none; the API server counts from 1.
        generation: 1,
        spec: &rule.spec,
    });
    rules::of_stream(named, contract).planned
}

fn max_message_bytes(spec: &headworks_crds::DataStreamSpec) -> u64 {
    let given = spec.config.get("max.message.bytes");
    given
        .and_then(|value| value.to_string().parse().ok())
        .unwrap_or(DEFAULT_MAX_MESSAGE)
}

/// The plan of a run. Its first output is shown: the target's, or the query's own columns where the target is a table or a stream
/// that isn't there. The others are the Pipeline's other streams: what one of them can't take is a dead letter.
pub fn plan(
    world: &World,
    object: &Object,
    pipeline: &Pipeline,
    planned: &Planned,
    target: Option<&Target>,
) -> PipelinePlan {
    let namespace = &object.namespace;
    let inputs = planned.inputs.iter().map(|name| {
        let contract = world.contract(namespace, name).cloned();
        let contract = contract.unwrap_or_default();
        Stream {
            rules: rules_of(world, namespace, name, &contract),
            ..stream(world, namespace, name, contract)
        }
    });
    let known = |name: &String| {
        let contract = world.contract(namespace, name)?.clone();
        Some(stream(world, namespace, name, contract))
    };
    let chosen = target.and_then(|target| target.stream.as_ref());
    let first = chosen.and_then(known).unwrap_or_else(|| Stream {
        name: "output".to_owned(),
        // Without a topic it is nobody's, and only shown.
        topic: String::new(),
        dead_letter_topic: String::new(),
        contract: own_columns(planned),
        max_message_bytes: u64::MAX,
        rules: Vec::new(),
    });
    let others = pipeline.spec.to.iter().filter_map(|to| to.stream.as_ref());
    let others = others
        .filter(|name| Some(*name) != chosen)
        .filter_map(known);
    let outputs = std::iter::once(first).chain(others).collect();
    PipelinePlan {
        sql: pipeline.spec.sql.clone(),
        inputs: inputs.collect(),
        outputs,
        delivery: Delivery::ExactlyOnce,
        commit_interval_ms: pipeline.spec.commit_interval.millis(),
        start_from: StartFrom::Earliest,
        on_bad_record: match pipeline.spec.on_bad_record {
            headworks_crds::OnBadRecord::DeadLetter => OnBadRecord::DeadLetter,
            headworks_crds::OnBadRecord::Drop => OnBadRecord::Drop,
            headworks_crds::OnBadRecord::Stop => OnBadRecord::Stop,
        },
        on_overflow: match pipeline.spec.on_overflow {
            headworks_crds::OnOverflow::SetNull => OnOverflow::SetNull,
            headworks_crds::OnOverflow::DeadLetter => OnOverflow::DeadLetter,
        },
        stages: stages(pipeline, planned),
        accept_data_loss: None,
        verdicts: None,
    }
}

/// The query's own columns as a stream. Rows that replace each other do so by its key.
fn own_columns(planned: &Planned) -> Contract {
    let key = unique_columns(&planned.dataflow);
    Contract {
        compacted: !key.is_empty(),
        key: key.into_iter().map(str::to_owned).collect(),
        ..rows::contract_of(&planned.dataflow.output)
    }
}

/// The stages as a pod would have them, over topics that nobody needs: nothing travels, and nothing is kept after the run.
fn stages(pipeline: &Pipeline, planned: &Planned) -> Vec<StagePlan> {
    let names = PipelineNames::of_group("local");
    let streams: Vec<Target> = pipeline
        .spec
        .to
        .iter()
        .filter(|to| to.stream.is_some())
        .cloned()
        .collect();
    let stages = planning::stages::stages(&planned.dataflow, &planned.inputs, &streams, &names);
    pipeline::native::build::plan_stages(pipeline, &[], &planned.dataflow, None, &stages)
}

/// Compiles a plan for a run in memory.
pub fn compile(plan: &PipelinePlan) -> Result<Local, LocalError> {
    Local::new(plan, &AsJson)
}

#[cfg(test)]
mod monitors;
