//! What a deletion takes along, what it leaves, and why it never hangs.

use std::time::Duration;

use headworks_crds::{DataStream, DataStreamStatus, DeletionPolicy};
use k8s_openapi::jiff::Timestamp;
use kube::Resource;

use super::contract_revisions;
use crate::{
    context::Context,
    controller::Reconciler,
    names::Key,
    provisioner::{
        by_strimzi::kafka_topics::{self, Left},
        in_kafka::topics::kafka_error,
    },
    reason::ConditionReason,
    retry::Error,
};

/// A Kafka that is away for longer than this keeps its topics; the object goes.
const KAFKA_TIMEOUT: Duration = Duration::from_secs(300);
/// Strimzi's Topic Operator gets so long to delete a topic itself.
const OPERATOR_PATIENCE: Duration = Duration::from_secs(60);

/// Deletes the topics and contracts under `Delete`; under `Retain` both stay. `lost`: why the topic isn't this stream's to
/// delete any more.
pub async fn finalize(
    stream: &DataStream,
    status: &DataStreamStatus,
    lost: Option<&str>,
    context: &Context,
) -> Result<(), Error> {
    let key = Key::of(stream);
    let keeps = stream.spec.deletion_policy == DeletionPolicy::Retain || lost.is_some();
    if let Err(error) = kafka_topics(stream, &key, keeps, status, context).await {
        if !out_of_patience(stream) {
            return Err(error);
        }
        let note = format!(
            "KafkaTopic of topic {} stays: {error}",
            status.topic.as_deref().unwrap_or_default()
        );
        context
            .events
            .warning(&stream.object_ref(&()), ConditionReason::TopicLeft, &note)
            .await;
    }
    if stream.spec.deletion_policy == DeletionPolicy::Retain {
        return Ok(());
    }
    // Without a topic in the status nothing in Kafka is ours, whatever its name.
    if let (Some(topic), Some(why)) = (&status.topic, lost) {
        let note = format!("topic {topic} and its dead letters stay in Kafka: {why}");
        let about = stream.object_ref(&());
        context
            .events
            .warning(&about, ConditionReason::TopicLeft, &note)
            .await;
    } else if let Some(topic) = &status.topic {
        let topics = [Some(topic), status.dead_letter_topic.as_ref()];
        if let Err(error) = delete_topics(stream, topics.into_iter().flatten(), context).await {
            if !out_of_patience(stream) && context.stores.platform(&stream.spec.platform).is_some()
            {
                return Err(error);
            }
            let note = format!(
                "topic {topic} and its dead letters stay in Kafka: {error}; delete them by hand"
            );
            context
                .events
                .warning(&stream.object_ref(&()), ConditionReason::TopicLeft, &note)
                .await;
        }
    }
    contract_revisions::sweep(context, &key, true).await
}

/// Where the topic is kept the KafkaTopics go without it; else both go.
async fn kafka_topics(
    stream: &DataStream,
    key: &Key,
    keeps: bool,
    status: &DataStreamStatus,
    context: &Context,
) -> Result<(), Error> {
    if !stream.is_held(context) && status.kafka_topic.is_none() {
        return Ok(());
    }
    match kafka_topics::let_go(key, keeps, context).await? {
        Left::NoKind => {
            if let Some(name) = &status.kafka_topic {
                let note = format!(
                    "KafkaTopic {name} is gone with Strimzi's kinds; its topic in Kafka is as it was"
                );
                let about = stream.object_ref(&());
                context
                    .events
                    .warning(&about, ConditionReason::TopicLeft, &note)
                    .await;
            }
            Ok(())
        }
        // The Topic Operator deletes the topic and then lets the object go. What it doesn't do in time is done by the Admin API;
        // when it is back, it finds the topic gone and lets the object go.
        Left::Ending(place) if since_deletion(stream) < OPERATOR_PATIENCE => Err(Error::waiting(
            ConditionReason::TopicPending,
            format!(
                "Strimzi's Topic Operator has to delete the topic of KafkaTopic {place}; after a minute it is deleted without it"
            ),
        )),
        Left::Ending(_) | Left::Nothing => Ok(()),
    }
}

async fn delete_topics(
    stream: &DataStream,
    topics: impl Iterator<Item = &String>,
    context: &Context,
) -> Result<(), Error> {
    let name = &stream.spec.platform;
    let platform = context.stores.platform(name).ok_or_else(|| {
        Error::waiting(
            ConditionReason::PlatformNotFound,
            format!("Platform {name} is gone"),
        )
    })?;
    let connected = context.kafka.get(&context.client, &platform).await?;
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
    since_deletion(stream) > KAFKA_TIMEOUT
}

fn since_deletion(stream: &DataStream) -> Duration {
    let since = stream
        .metadata
        .deletion_timestamp
        .as_ref()
        .map_or_else(Timestamp::now, |t| t.0);
    Timestamp::now().duration_since(since).unsigned_abs()
}
