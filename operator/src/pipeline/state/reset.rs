//! Taking a state away, so that another query can begin: first the pods, then what Kafka keeps.

use std::time::Duration;

use headworks_crds::{Pipeline, PipelineStatus};
use kube::Resource;

use crate::{
    context::Context,
    names::Key,
    pipeline::{deletion, dereference::Found},
    retry::Error,
    workload,
};

/// How often is looked whether the members of a group are gone.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Ends the pods, then deletes the consumer groups and topics that the status names. What is given back as waiting
/// comes here again; every step may be done twice.
pub async fn reset(
    pipeline: &Pipeline,
    key: &Key,
    found: &Found,
    status: &mut PipelineStatus,
    context: &Context,
) -> Result<(), Error> {
    let live = Context::child(&context.stores.stateful_sets, &key.namespace, &key.name);
    if let Some(live) = &live {
        let replicas = live.spec.as_ref().and_then(|s| s.replicas);
        workload::scale_to_zero(context, live.as_ref(), replicas).await?;
    }
    if !Context::children(&context.stores.pods, key).is_empty() {
        return Err(waiting("the pods of the query before end first"));
    }
    let left = deletion::Progress::of(pipeline, status);
    deletion::delete(&left, &found.platform.platform, context)
        .await
        .map_err(|error| match error.reason() {
            // A group has members until their session times out, even if their pods are gone.
            "RefusedByKafka" => waiting(error.message()),
            _ => error,
        })?;
    let note = format!(
        "the query needs another state: deleted {left}; the new query begins at spec.startFrom"
    );
    context
        .events
        .normal(&pipeline.object_ref(&()), "StateReset", &note)
        .await;
    status.group = None;
    status.state = None;
    Ok(())
}

fn waiting(what: &str) -> Error {
    Error::waiting("StateReset", format!("spec.onStateChange: Reset: {what}")).after(LOOK_AGAIN)
}
