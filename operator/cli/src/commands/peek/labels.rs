//! The labels of a stream as they are at this moment: its status shows those that a new Pipeline brings some seconds later, and
//! what isn't known is no reason to show it. Pure.

use headworks_crds::Pipeline;
use headworks_crds::conditions::STALLED;
use headworks_operator::impact::Stream;
use headworks_operator::impact::cluster::{Objects, of};
use headworks_operator::planning::lineage::{Labels, Name, brought, in_order, planned};
use kube::ResourceExt;

/// True: the Pipeline writes the stream of this name.
pub fn writes(pipeline: &Pipeline, stream: &str) -> bool {
    let mut targets = pipeline.spec.to.iter();
    targets.any(|target| target.stream.as_deref() == Some(stream))
}

/// The labels that have come to a stream, and those that its Pipelines bring, by field.
///
/// # Errors
/// A Pipeline that writes it is new, and nobody can say yet which labels it will bring.
pub fn arrived(namespace: &str, name: &str, objects: &Objects<'_>) -> Result<Labels, String> {
    let mut snapshot = of(namespace, objects);
    let order: Vec<Name> = in_order(&snapshot.pipelines).into_iter().cloned().collect();
    let place = |stream: &str| (namespace.to_owned(), stream.to_owned());
    for pipeline in order {
        let Some(spec) = snapshot.pipelines.get(&pipeline) else {
            continue;
        };
        let input = |stream: &str| snapshot.streams.get(&place(stream)).map(Stream::effective);
        let flow = planned(&spec.sql, input);
        let targets: Vec<String> = spec.to.iter().filter_map(|t| t.stream.clone()).collect();
        let Some(flow) = flow else {
            let mut pipelines = objects.pipelines.iter();
            let object = pipelines.find(|p| p.name_any() == pipeline.1);
            if object.is_some_and(|object| writes(object, name) && may_begin(object, name)) {
                return Err(format!(
                    "the labels of {name} aren't settled yet: Pipeline {} writes it, and which it brings isn't known before its query can be planned: its conditions say what it waits for; try again then, or delete it, or --unmask shows all",
                    pipeline.1
                ));
            }
            continue;
        };
        for target in targets {
            if let Some(stream) = snapshot.streams.get_mut(&place(&target)) {
                for (field, labels) in brought(&flow, &stream.contract) {
                    stream.arrived.entry(field).or_default().extend(labels);
                }
            }
        }
    }
    let stream = snapshot.streams.remove(&place(name));
    Ok(stream.map(|stream| stream.arrived).unwrap_or_default())
}

/// True: it hasn't written the stream yet, and nothing keeps it from it that only a person can mend. What one that has run
/// brings is in the stream's status.
fn may_begin(pipeline: &Pipeline, stream: &str) -> bool {
    let Some(status) = &pipeline.status else {
        return true;
    };
    let mut conditions = status.conditions.iter();
    let stalled = conditions.any(|c| c.type_ == STALLED && c.status == "True");
    let seen = status.observed_generation == pipeline.metadata.generation;
    !(status.outputs.iter().any(|output| output == stream) || stalled && seen)
}

#[cfg(test)]
mod tests;
