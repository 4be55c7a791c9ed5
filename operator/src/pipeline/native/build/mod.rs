//! What runs for a Pipeline: one plan for pods with numbers. Pure.

use headworks_crds::{ANNOTATION_ACCEPT_DATA_LOSS, Pipeline, Position};
use headworks_plan as plan;
use headworks_sql::{Dataflow, keyed::Window};
use kube::ResourceExt;

mod stages;

pub use stages::plan_stages;

use super::{requirements, topics::StateTopics};
use crate::{
    connection,
    data_stream::resolve::ResolvedStream,
    mounts::{Mounted, NeededSecret},
    pipeline::{dereference::References, validate},
    planning::{self, store_writers::stores_of},
    workload::{
        OnKafka, Shape, Workload,
        resources::{Disk, Needs},
        state_volume,
    },
};

/// The pods of a Pipeline, not yet written.
pub struct Built {
    /// What runs.
    pub workload: Workload,
    /// The consumer group of the query.
    pub group: String,
    /// Partitions that the pods share; absent: not known.
    pub partitions: Option<i32>,
}

/// Builds it of a Pipeline that is right. `kept` are the topics of the state that its query needs.
pub fn build(
    pipeline: &Pipeline,
    found: &References,
    dataflow: &Dataflow,
    kept: Option<&StateTopics>,
) -> Built {
    let spec = &pipeline.spec;
    let kafka = &found.platform.platform.spec.kafka;
    let (namespace, name) = (
        pipeline.namespace().unwrap_or_default(),
        pipeline.name_any(),
    );
    let names = requirements::names(pipeline, found, dataflow);
    let bounds = spec.state.clone().unwrap_or_default();
    let stateful = dataflow.keeps_state();
    let mut windows = dataflow.stateful().map(|(_, keyed)| keyed.window);
    let needs = if stateful {
        Needs {
            state_memory: bounds.memory.value(),
            // The state of sessions stays in memory whatever its bound.
            unbounded: windows.any(|window| matches!(window, Some(Window::Session { .. }))),
            disk: Some(Disk {
                asked: bounds.asked_disk(),
                most: bounds.most_disk(),
            }),
            body: 0,
        }
    } else {
        Needs::default()
    };
    let inputs = found.inputs.iter().map(|input| {
        if stateful {
            input.stream.clone()
        } else {
            input.untimed()
        }
    });
    let mut inputs: Vec<_> = inputs.collect();
    if stateful {
        // The state knows its inputs by their place, and goes on with a query that names them in another order.
        inputs.sort_by(|a, b| a.name.cmp(&b.name));
    }
    let reads: Vec<String> = inputs.iter().map(|input| input.name.clone()).collect();
    let stages = planning::stages::stages(dataflow, &reads, &spec.to, &names);
    let role = plan::PipelinePlan {
        // Blanks at the end are YAML's, not the query's: adding or losing them must roll no pod.
        sql: spec.sql.trim_end().to_owned(),
        inputs,
        outputs: found.outputs.iter().map(ResolvedStream::written).collect(),
        delivery: spec.delivery.into(),
        commit_interval_ms: spec.commit_interval.millis(),
        start_from: start_from(pipeline),
        on_bad_record: spec.on_bad_record.into(),
        on_overflow: spec.on_overflow.into(),
        stages: plan_stages(pipeline, &found.tables, dataflow, kept, &stages),
        accept_data_loss: pipeline
            .annotations()
            .get(ANNOTATION_ACCEPT_DATA_LOSS)
            .cloned(),
        verdicts: found.judged.clone().map(planning::rules::monitor::columns),
    };
    let mut secrets: Vec<NeededSecret> = Vec::new();
    let mut volumes: Vec<Mounted> = Vec::new();
    // Two tables of one store share its files.
    for (_, binding) in &found.tables {
        if !volumes.contains(&binding.volume) {
            volumes.push(binding.volume.clone());
            secrets.extend(binding.secrets.iter().cloned());
        }
    }
    if stateful {
        volumes.push(state_volume::state_volume(&bounds.most_disk()));
    }
    let workload = Workload {
        name: name.clone(),
        shape: Shape::StatefulSet,
        replicas: spec.replicas,
        suspended: (spec.suspend).then_some("spec.suspend is true: no pods run, progress is kept"),
        plan: plan::Plan {
            registry: found
                .inputs
                .iter()
                .chain(&found.outputs)
                .find_map(|stream| stream.registry.clone()),
            version: plan::VERSION,
            installation: found.platform.installation.clone(),
            namespace,
            name,
            kafka: connection::connection(kafka),
            role: plan::Role::Pipeline(role),
        },
        kafka: Some(OnKafka {
            platform: found.platform.clone(),
            ca: found.ca.clone(),
        }),
        template: validate::template(spec, found),
        volumes,
        secrets,
        stores: stores_of(pipeline).into_iter().collect(),
        needs,
        http: None,
    };
    let of_inputs = found.inputs.iter().filter_map(|i| i.partitions).max();
    Built {
        workload,
        group: names.group().to_owned(),
        partitions: kept.map(|k| k.partitions).max(of_inputs),
    }
}

fn start_from(pipeline: &Pipeline) -> plan::StartFrom {
    let Some(start) = &pipeline.spec.start_from else {
        return plan::StartFrom::Earliest;
    };
    match (&start.time, start.position) {
        (Some(time), _) => plan::StartFrom::Time(time.0.as_millisecond()),
        (None, Some(Position::Latest)) => plan::StartFrom::Latest,
        (None, _) => plan::StartFrom::Earliest,
    }
}

#[cfg(test)]
mod tests;
