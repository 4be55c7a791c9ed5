//! A Pipeline's query and targets against the contracts in force ([`check`]), and everything resolved that its
//! children are built from ([`resolve`], which rejects nothing). Pure.

use headworks_crds::{
    ANNOTATION_ACCEPT_DATA_LOSS, Kafka, Pipeline, PipelineSpec, PodTemplate, Position,
};
use headworks_plan as plan;
use headworks_sql::Dataflow;
use kube::ResourceExt;

use super::{dereference::References, memory::memory_fault, state};
use crate::{
    data_stream::resolve::ResolvedStream,
    names::{Key, digest},
    planning,
    retry::Error,
    workload::{
        connection::{self, Mounted, NeededSecret},
        resources::{Disk, Needs},
        state_volume,
    },
};

/// A Pipeline that can be built.
#[derive(Clone, Debug)]
pub struct Valid {
    /// What the pods are told.
    pub plan: plan::Plan,
    /// How to reach Kafka.
    pub kafka: Kafka,
    /// Kafka's CA.
    pub ca: Option<String>,
    /// Pods.
    pub replicas: i32,
    /// The user's pod template over the Platform's.
    pub template: PodTemplate,
    /// Secrets that the pods read.
    pub secrets: Vec<NeededSecret>,
    /// Volumes with the stores' files, and the one that state is spilled to.
    pub volumes: Vec<Mounted>,
    /// The consumer group.
    pub group: String,
    /// What the pods need besides what every pod needs.
    pub needs: Needs,
}

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
    if dataflow.keyed.is_some()
        && let Some(fault) = memory_fault(spec, &template(spec, found))
    {
        return Err(Error::stalled("MemoryTooLow", fault));
    }
    Ok(dataflow)
}

/// The user's pod template over the Platform's.
fn template(spec: &PipelineSpec, found: &References) -> PodTemplate {
    let platform = found.platform.platform.spec.pod_template.clone();
    let own = spec.pod_template.clone().unwrap_or_default();
    own.over(&platform.unwrap_or_default())
}

/// Resolves a Pipeline that is right. `keyed` is the state that its query needs.
pub fn resolve(
    pipeline: &Pipeline,
    found: &References,
    keyed: Option<(&state::StateRequirements, plan::KeyedPlan)>,
) -> Valid {
    let spec = &pipeline.spec;
    let kafka = &found.platform.platform.spec.kafka;
    let (namespace, name) = (
        pipeline.namespace().unwrap_or_default(),
        pipeline.name_any(),
    );
    let group = match &keyed {
        Some((wanted, _)) => wanted.group.clone(),
        None => group(&found.platform.installation, &namespace, &name),
    };
    let bounds = spec.state.clone().unwrap_or_default();
    let needs = keyed
        .as_ref()
        .map_or_else(Needs::default, |(wanted, keyed)| Needs {
            state_memory: keyed.memory_bytes,
            unbounded: wanted.sessions,
            disk: Some(Disk {
                asked: bounds.asked_disk(),
                most: bounds.most_disk(),
            }),
            body: 0,
        });
    let stateful = keyed.is_some();
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
    let role = plan::PipelinePlan {
        // Blanks at the end are YAML's, not the query's: adding or losing them must roll no pod.
        sql: spec.sql.trim_end().to_owned(),
        inputs,
        outputs: found.outputs.iter().map(ResolvedStream::untimed).collect(),
        tables: found
            .tables
            .iter()
            .map(|(table, binding)| plan::TableOutput {
                store: binding.store.clone(),
                table: table.name.clone(),
                key: table.key.clone(),
                create: table.create,
                group: table_group(&group, &table.store, &table.name),
            })
            .collect(),
        delivery: spec.delivery.into(),
        commit_interval_ms: spec.commit_interval.millis(),
        start_from: start_from(pipeline),
        on_bad_record: spec.on_bad_record.into(),
        on_overflow: spec.on_overflow.into(),
        group: group.clone(),
        keyed: keyed.map(|(_, keyed)| keyed),
        accept_data_loss: pipeline
            .annotations()
            .get(ANNOTATION_ACCEPT_DATA_LOSS)
            .cloned(),
    };
    let mut secrets: Vec<NeededSecret> = connection::needed_secret(kafka, &Key::of(pipeline))
        .into_iter()
        .collect();
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
    Valid {
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
        kafka: kafka.clone(),
        ca: found.ca.clone(),
        replicas: if spec.suspend { 0 } else { spec.replicas },
        template: template(spec, found),
        secrets,
        volumes,
        group,
        needs,
    }
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
