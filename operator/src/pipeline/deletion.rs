//! What a deletion with `deletionPolicy: Delete` takes along: the progress in Kafka. It never hangs.

use std::time::Duration;

use headworks_crds::{DeletionPolicy, Pipeline, PipelineStatus};
use k8s_openapi::jiff::Timestamp;
use kube::Resource;

use crate::{
    context::Context,
    kafka_pool::{blame, translate},
    names::Key,
    retry::Error,
};

/// Kafka that is away for longer than this keeps the group; the object goes.
const PATIENCE: Duration = Duration::from_secs(300);

/// Takes the pods away, then the consumer group, because a group with members can't be deleted.
pub async fn finalize(
    pipeline: &Pipeline,
    status: &PipelineStatus,
    context: &Context,
) -> Result<(), Error> {
    let Some(group) = status
        .group
        .as_ref()
        .filter(|_| pipeline.spec.deletion_policy == DeletionPolicy::Delete)
    else {
        return Ok(());
    };
    let key = Key::of(pipeline);
    if let Some(live) = Context::child(&context.stores.stateful_sets, &key.namespace, &key.name) {
        context.remove(live.as_ref()).await?;
    }
    let outcome = forget_progress(pipeline, &key, group, context).await;
    let Err(error) = outcome else { return Ok(()) };
    let since = pipeline
        .metadata
        .deletion_timestamp
        .as_ref()
        .map_or_else(Timestamp::now, |t| t.0);
    let patient = Timestamp::now().duration_since(since).unsigned_abs() < PATIENCE;
    if patient && context.platform(&pipeline.spec.platform).is_some() {
        return Err(error);
    }
    let note = format!("consumer group {group} stays in Kafka: {error}; delete it by hand");
    context
        .events
        .warning(&pipeline.object_ref(&()), "ProgressLeft", &note)
        .await;
    Ok(())
}

async fn forget_progress(
    pipeline: &Pipeline,
    key: &Key,
    group: &str,
    context: &Context,
) -> Result<(), Error> {
    if !Context::children(&context.stores.pods, key).is_empty() {
        return Err(Error::waiting("PodsEnding", "the pods end first"));
    }
    let name = &pipeline.spec.platform;
    let platform = context
        .platform(name)
        .ok_or_else(|| Error::waiting("PlatformNotFound", format!("Platform {name} is gone")))?;
    let connected = context.kafka.get(context, &platform).await?;
    connected
        .admin
        .delete_group(group)
        .await
        .map(|_| ())
        .map_err(|e| translate(&e, &format!("consumer group {group}"), &blame(&platform)))
}
