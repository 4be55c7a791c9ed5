//! A stream's topics by Kafka's Admin API.

use headworks_crds::{DataStream, DataStreamStatus};
use kube::Resource;

use crate::{
    context::Context,
    kafka::{Admin, ConfigChange, KafkaError, NewTopic},
    provisioner::{
        settings::Change,
        topic::{Action, DesiredDeadLetters, DesiredTopic, Growth, cannot_shrink, grew},
    },
    reason::ConditionReason,
    retry::Error,
};

/// Makes or changes the topic, and says in the status what it is now.
///
/// # Errors
/// `PartitionsCannotShrink`, after all else is done; what Kafka says.
pub async fn ensure(
    admin: &Admin,
    stream: &DataStream,
    desired: DesiredTopic,
    status: &mut DataStreamStatus,
    context: &Context,
) -> Result<(), Error> {
    let topic = desired.name.as_str();
    desired.settings.note(status);
    let (partitions, replicas) = match &desired.action {
        Action::Create(new) => {
            create(admin, new).await?;
            if desired.remade {
                remade(stream, topic, context).await;
            }
            let made = look(admin, topic).await?;
            (
                made.as_ref().map(|t| t.partitions).or(new.partitions),
                made.as_ref().map(|t| t.replicas).or(new.replicas),
            )
        }
        Action::Alter {
            changes,
            partitions,
            replicas,
        } => {
            alter(admin, topic, changes).await?;
            (Some(*partitions), Some(*replicas))
        }
        Action::Declare { .. } => {
            return Err(Error::transient(
                ConditionReason::Internal,
                format!("topic {topic} is declared, and its Platform declares none"),
            ));
        }
    };
    status.managed_config.clone_from(&desired.settings.managed);
    status.topic = Some(topic.to_owned());
    status.replicas = replicas;
    status.partitions = partitions;
    match desired.growth {
        Growth::Stays => Ok(()),
        Growth::Shrinks { from, to } => Err(cannot_shrink(topic, from, to)),
        Growth::Grows { from, to } => {
            admin
                .add_partitions(topic, to)
                .await
                .map_err(|e| kafka_error(&e, topic))?;
            status.partitions = Some(to);
            grown(stream, topic, from, to, context).await;
            Ok(())
        }
    }
}

/// A topic as Kafka has it.
///
/// # Errors
/// What Kafka says.
pub async fn look(admin: &Admin, topic: &str) -> Result<Option<crate::kafka::Topic>, Error> {
    admin.topic(topic).await.map_err(|e| kafka_error(&e, topic))
}

/// An Event: the topic was gone.
pub async fn remade(stream: &DataStream, topic: &str, context: &Context) {
    let note = format!("topic {topic} was gone from Kafka and is made again, empty");
    let about = stream.object_ref(&());
    context
        .events
        .warning(&about, ConditionReason::TopicRecreated, &note)
        .await;
}

/// An Event: the topic grew, where that matters to its keys.
pub async fn grown(stream: &DataStream, topic: &str, from: i32, to: i32, context: &Context) {
    if stream.spec.key.is_empty() {
        return;
    }
    let about = stream.object_ref(&());
    let note = grew(topic, from, to);
    context
        .events
        .warning(&about, ConditionReason::PartitionsGrew, &note)
        .await;
}

/// Makes the topic of the dead letters, or puts its settings right.
///
/// # Errors
/// What Kafka says.
pub async fn ensure_dead_letters(
    admin: &Admin,
    name: &str,
    desired: DesiredDeadLetters,
    status: &mut DataStreamStatus,
) -> Result<(), Error> {
    match desired {
        DesiredDeadLetters::Create(config) => {
            let topic = NewTopic {
                name: name.to_owned(),
                partitions: status.partitions,
                replicas: status.replicas,
                config,
            };
            create(admin, &topic).await?;
        }
        DesiredDeadLetters::Alter(changes) => alter(admin, name, &changes).await?,
    }
    status.dead_letter_topic = Some(name.to_owned());
    Ok(())
}

async fn alter(admin: &Admin, topic: &str, changes: &[Change]) -> Result<(), Error> {
    if changes.is_empty() {
        return Ok(());
    }
    tracing::info!(topic, ?changes, "topic settings");
    let changes: Vec<ConfigChange> = changes
        .iter()
        .cloned()
        .map(|change| match change {
            Change::Set(key, value) => ConfigChange::Set(key, value),
            Change::Unset(key) => ConfigChange::Delete(key),
        })
        .collect();
    admin
        .alter_topic_config(topic, &changes)
        .await
        .map_err(|e| kafka_error(&e, topic))
}

async fn create(admin: &Admin, topic: &NewTopic) -> Result<(), Error> {
    let (name, partitions, replicas) = (&topic.name, topic.partitions, topic.replicas);
    tracing::info!(topic = name, ?partitions, ?replicas, "create topic");
    match admin.create_topic(topic).await {
        // Another try of ours got through although its answer didn't.
        Ok(()) | Err(KafkaError::TopicExists { .. }) => Ok(()),
        Err(error) => Err(kafka_error(&error, name)),
    }
}

/// A Kafka error in a DataStream's words.
pub fn kafka_error(error: &KafkaError, topic: &str) -> Error {
    crate::kafka_pool::to_reconcile_error(
        error,
        &format!("topic {topic}"),
        "correct the user that the Platform names",
    )
}
