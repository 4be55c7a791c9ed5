//! A Platform whose topics Strimzi makes: is Strimzi there, and does its Topic Operator keep up.
//!
//! The Topic Operator puts **every** KafkaTopic of its namespace into a queue when it starts and every two minutes
//! (Strimzi 1.2.0), and it *stops* when the queue is full: `STRIMZI_MAX_QUEUE_SIZE`, 1024 by default. We can't see the
//! setting, so the warning comes by the default.

use headworks_crds::ManagedByStrimzi;

use crate::{context::Context, reason::ConditionReason, retry::Error, status::ExtraCondition};

/// From so many KafkaTopics on the warning is given.
const MANY: usize = 800;
/// The Topic Operator's default.
const QUEUE: usize = 1024;

/// An error where Strimzi isn't there; else the warning, if there are many KafkaTopics.
pub async fn look(
    at: &ManagedByStrimzi,
    context: &Context,
) -> Result<Option<ExtraCondition>, Error> {
    context.strimzi.topics.resource().await?;
    let here = context
        .strimzi
        .topics
        .filter(|o| o.metadata.namespace.as_deref() == Some(at.namespace.as_str()));
    Ok(capacity(here.len(), at))
}

/// Said in hundreds, so that each new stream doesn't write the Platform's status.
fn capacity(topics: usize, at: &ManagedByStrimzi) -> Option<ExtraCondition> {
    (topics >= MANY).then(|| ExtraCondition {
        type_: "TopicOperatorCapacity",
        reason: if topics < QUEUE {
            ConditionReason::QueueNearlyFull
        } else {
            ConditionReason::QueueFull
        }
        .into(),
        message: format!(
            "namespace {} has {} or more KafkaTopics, and Strimzi's Topic Operator stops when more than STRIMZI_MAX_QUEUE_SIZE ({QUEUE} by default) wait in its queue, which holds all of them when it starts and every two minutes. \
             Raise it above their number twice over: in Kafka {}/{} spec.entityOperator.template.topicOperatorContainer.env, STRIMZI_MAX_QUEUE_SIZE. Where it is raised, this is only a note",
            at.namespace,
            topics / 100 * 100,
            at.namespace,
            at.cluster
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_warning_comes_before_the_queue_is_full_and_names_the_setting() {
        let at = ManagedByStrimzi {
            cluster: "events".into(),
            namespace: "kafka".into(),
        };
        assert_eq!(capacity(799, &at), None);
        let near = capacity(899, &at).unwrap();
        assert_eq!(near.reason, "QueueNearlyFull");
        assert!(
            near.message.contains("STRIMZI_MAX_QUEUE_SIZE") && near.message.contains("800 or more")
        );
        assert_eq!(near, capacity(800, &at).unwrap());
        assert_eq!(capacity(2000, &at).unwrap().reason, "QueueFull");
    }
}
