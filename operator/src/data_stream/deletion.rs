//! What a deletion with `deletionPolicy: Delete` takes along, and why it never hangs.

use std::time::Duration;

use headworks_crds::{DataStream, DataStreamStatus, DeletionPolicy};
use k8s_openapi::jiff::Timestamp;
use kube::Resource;

use super::{accepted, topic::kafka_error};
use crate::{context::Context, names::Key, retry::Error};

/// A Kafka that is away for longer than this keeps its topics; the object goes.
const PATIENCE: Duration = Duration::from_secs(300);

/// Deletes the topics and contracts under `Delete`; under `Retain` both stay.
pub async fn finalize(
    stream: &DataStream,
    status: &DataStreamStatus,
    context: &Context,
) -> Result<(), Error> {
    let key = Key::of(stream);
    if stream.spec.deletion_policy == DeletionPolicy::Retain {
        return Ok(());
    }
    // Without a topic in the status nothing in Kafka is ours, whatever its name.
    if let Some(topic) = &status.topic {
        let topics = [Some(topic), status.dead_letter_topic.as_ref()];
        if let Err(error) = delete_topics(stream, topics.into_iter().flatten(), context).await {
            if !out_of_patience(stream) && context.platform(&stream.spec.platform).is_some() {
                return Err(error);
            }
            let note = format!(
                "topic {topic} and its dead letters stay in Kafka: {error}; delete them by hand"
            );
            context
                .events
                .warning(&stream.object_ref(&()), "TopicLeft", &note)
                .await;
        }
    }
    accepted::sweep(context, &key, true).await
}

async fn delete_topics(
    stream: &DataStream,
    topics: impl Iterator<Item = &String>,
    context: &Context,
) -> Result<(), Error> {
    let name = &stream.spec.platform;
    let platform = context
        .platform(name)
        .ok_or_else(|| Error::waiting("PlatformNotFound", format!("Platform {name} is gone")))?;
    let connected = context.kafka.get(context, &platform).await?;
    for topic in topics {
        // A topic that is gone already is what was wanted; the room of Kafka says so as success.
        connected
            .admin
            .delete_topic(topic)
            .await
            .map_err(|e| kafka_error(&e, topic))?;
    }
    Ok(())
}

/// True: a deletion has waited long enough for what doesn't answer.
pub(super) fn out_of_patience(stream: &DataStream) -> bool {
    let since = stream
        .metadata
        .deletion_timestamp
        .as_ref()
        .map_or_else(Timestamp::now, |t| t.0);
    Timestamp::now().duration_since(since).unsigned_abs() > PATIENCE
}
