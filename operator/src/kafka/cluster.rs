//! The cluster itself, and consumer groups.

use rdkafka::types::RDKafkaErrorCode as Code;

use super::{Admin, KafkaError};

/// A Kafka cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cluster {
    /// Kafka's own id of the cluster.
    pub id: String,
    /// Brokers that are up.
    pub brokers: i32,
}

impl Admin {
    /// Asks the cluster who it is. The cheapest proof that it can be reached and accepts the credentials.
    ///
    /// # Errors
    /// Any [`KafkaError`] but those about topics.
    pub async fn cluster(&self) -> Result<Cluster, KafkaError> {
        self.call(
            "describe the cluster".to_owned(),
            |request| {
                request.describe_cluster();
                Ok(())
            },
            |reply, _| {
                let (id, brokers) = reply.cluster();
                Ok(Cluster { id, brokers })
            },
        )
        .await
    }

    /// Deletes a consumer group and its progress. True if there was one.
    ///
    /// # Errors
    /// [`KafkaError::PolicyRefused`] while the group has members; other [`KafkaError`]s as for every call.
    pub async fn delete_group(&self, group: &str) -> Result<bool, KafkaError> {
        let name = group.to_owned();
        self.call(
            format!("delete consumer group {group}"),
            move |request| request.delete_group(&name),
            |reply, doing| match reply.group() {
                None => Ok(true),
                Some((Code::GroupIdNotFound, _)) => Ok(false),
                Some((Code::NonEmptyGroup, _)) => Err(KafkaError::PolicyRefused {
                    doing: doing.to_owned(),
                    what: "it still has members".to_owned(),
                }),
                Some((code, text)) => Err(KafkaError::from_code(code, &text, doing, "")),
            },
        )
        .await
    }
}
