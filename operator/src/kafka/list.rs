//! What there is in Kafka, by name. Only people who clean up ask for this (`headworks leftovers`): the operator looks up what it names.

use super::{Admin, KafkaError, TIMEOUT};

impl Admin {
    /// Names of all topics.
    ///
    /// # Errors
    /// Any [`KafkaError`] but those about one topic.
    pub async fn topic_names(&self) -> Result<Vec<String>, KafkaError> {
        let client = self.client.clone();
        blocking("list the topics", move || client.topic_names(TIMEOUT)).await
    }

    /// Names of all consumer groups.
    ///
    /// # Errors
    /// Any [`KafkaError`] but those about one topic.
    pub async fn group_names(&self) -> Result<Vec<String>, KafkaError> {
        let client = self.client.clone();
        blocking("list the consumer groups", move || {
            client.group_names(TIMEOUT)
        })
        .await
    }

    /// Names of all users that have SCRAM credentials.
    ///
    /// # Errors
    /// Any [`KafkaError`] but those about topics.
    pub async fn user_names(&self) -> Result<Vec<String>, KafkaError> {
        self.call(
            "list the users with SCRAM credentials".to_owned(),
            // Nobody in particular: all.
            |request| request.describe_scram(&[]),
            |reply, _| {
                let users = reply.scram_users().into_iter();
                Ok(users.map(|user| user.name).collect())
            },
        )
        .await
    }
}

async fn blocking(
    doing: &str,
    work: impl FnOnce() -> Result<Vec<String>, KafkaError> + Send + 'static,
) -> Result<Vec<String>, KafkaError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(ended) => Err(KafkaError::Other {
            doing: doing.to_owned(),
            what: ended.to_string(),
        }),
    }
}
