//! Topics: described, made, grown, altered and deleted.

use std::collections::{BTreeMap, BTreeSet};

use rdkafka::types::RDKafkaErrorCode as Code;

use super::{
    Admin, KafkaError,
    native::{ConfigAnswer, Reply, TopicAnswer},
};

/// A topic as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// Number of partitions.
    pub partitions: i32,
    /// Replicas of the first partition.
    pub replicas: i32,
    /// Every setting, by name.
    pub config: BTreeMap<String, Setting>,
}

/// One setting of a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Setting {
    /// The value in force; absent for one that Kafka keeps secret.
    pub value: Option<String>,
    /// True: set on the topic itself. False: the broker's setting or default.
    pub on_topic: bool,
}

impl Topic {
    /// The value in force of a setting.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.config.get(name)?.value.as_deref()
    }
}

/// A topic to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// Number of partitions; absent: the brokers' `num.partitions`.
    pub partitions: Option<i32>,
    /// Replicas of each partition; absent: the brokers' `default.replication.factor`.
    pub replicas: Option<i32>,
    /// Connection.
    pub config: BTreeMap<String, String>,
}

/// A change of one setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigChange {
    /// The setting gets this value.
    Set(String, String),
    /// The setting goes back to the broker's.
    Delete(String),
}

impl Admin {
    /// Describes a topic. `None`: there is no such topic.
    ///
    /// # Errors
    /// [`KafkaError::NotAuthorized`] without the ACLs Describe and DescribeConfigs on the topic; other [`KafkaError`]s as for
    /// every call.
    pub async fn topic(&self, name: &str) -> Result<Option<Topic>, KafkaError> {
        let Some(found) = self
            .describe(vec![name.to_owned()])
            .await?
            .into_iter()
            .next()
        else {
            return Ok(None);
        };
        let owned = name.to_owned();
        let config = self
            .call(
                format!("describe the settings of topic {name}"),
                move |request| request.describe_config(&owned),
                |reply, doing| match reply.configs() {
                    Ok(config) => Ok(Some(config)),
                    // Deleted between the two requests.
                    Err((Code::UnknownTopicOrPartition, _)) => Ok(None),
                    Err((code, text)) => Err(KafkaError::from_code(code, &text, doing, "")),
                },
            )
            .await?;
        Ok(config.map(|config| Topic {
            name: found.name,
            partitions: found.partitions,
            replicas: found.replicas,
            config: config.into_iter().map(setting).collect(),
        }))
    }

    /// Which of these topics exist.
    ///
    /// # Errors
    /// As [`Admin::topic`].
    pub async fn topics_exist(&self, names: &[String]) -> Result<BTreeSet<String>, KafkaError> {
        Ok(self
            .describe(names.to_vec())
            .await?
            .into_iter()
            .map(|topic| topic.name)
            .collect())
    }

    /// Makes a topic.
    ///
    /// After [`KafkaError::Timeout`] or [`KafkaError::Unreachable`] the topic may or may not have been made.
    ///
    /// # Errors
    /// [`KafkaError::TopicExists`], [`KafkaError::PolicyRefused`] with the broker's words (a replication factor above the number
    /// of brokers, an unknown setting, a create.topic.policy); other [`KafkaError`]s as for every call.
    pub async fn create_topic(&self, topic: &NewTopic) -> Result<(), KafkaError> {
        let topic = topic.clone();
        self.call(
            format!("create topic {}", topic.name),
            move |request| {
                let (partitions, replicas) =
                    (topic.partitions.unwrap_or(-1), topic.replicas.unwrap_or(-1));
                request.create_topic(&topic.name, partitions, replicas, &topic.config)
            },
            outcome,
        )
        .await
    }

    /// Raises a topic's number of partitions to `total`.
    ///
    /// # Errors
    /// [`KafkaError::PolicyRefused`] if it has as many or more; other [`KafkaError`]s as for every call.
    pub async fn add_partitions(&self, topic: &str, total: i32) -> Result<(), KafkaError> {
        let name = topic.to_owned();
        let send =
            move |request: &super::native::Request<'_>| request.create_partitions(&name, total);
        self.call(
            format!("raise topic {topic} to {total} partitions"),
            send,
            outcome,
        )
        .await
    }

    /// Sets some settings of a topic and takes others back to the broker's default; the rest stays as it is.
    ///
    /// # Errors
    /// [`KafkaError::PolicyRefused`] with the broker's words for an unknown setting or value; other [`KafkaError`]s as for
    /// every call.
    pub async fn alter_topic_config(
        &self,
        topic: &str,
        changes: &[ConfigChange],
    ) -> Result<(), KafkaError> {
        if changes.is_empty() {
            return Ok(());
        }
        let (name, changes) = (topic.to_owned(), changes.to_vec());
        let for_error = name.clone();
        self.call(
            format!("alter the settings of topic {topic}"),
            move |request| request.alter_config(&name, &changes),
            move |reply, doing| match reply.configs() {
                Ok(_) => Ok(()),
                Err((code, text)) => Err(KafkaError::from_code(code, &text, doing, &for_error)),
            },
        )
        .await
    }

    /// Deletes a topic and its records. True if there was one.
    ///
    /// # Errors
    /// [`KafkaError::NotAuthorized`] without the ACL Delete; other [`KafkaError`]s as for every call.
    pub async fn delete_topic(&self, topic: &str) -> Result<bool, KafkaError> {
        let name = topic.to_owned();
        let result = self
            .call(
                format!("delete topic {topic}"),
                move |request| request.delete_topic(&name),
                outcome,
            )
            .await;
        match result {
            Ok(()) => Ok(true),
            Err(KafkaError::NoSuchTopic { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn describe(&self, names: Vec<String>) -> Result<Vec<TopicAnswer>, KafkaError> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let doing = match names.as_slice() {
            [one] => format!("describe topic {one}"),
            several => format!("describe {} topics", several.len()),
        };
        self.call(
            doing,
            move |request| request.describe_topics(&names),
            |reply, doing| {
                let mut found = Vec::new();
                for topic in reply.topics() {
                    match topic.failure {
                        None => found.push(topic),
                        Some((Code::UnknownTopicOrPartition, _)) => {}
                        Some((code, text)) => {
                            return Err(KafkaError::from_code(code, &text, doing, &topic.name));
                        }
                    }
                }
                Ok(found)
            },
        )
        .await
    }
}

/// The fate of the one topic in a request.
fn outcome(reply: &Reply, doing: &str) -> Result<(), KafkaError> {
    match reply.topic_results().into_iter().next() {
        Some(TopicAnswer { failure: None, .. }) => Ok(()),
        Some(TopicAnswer {
            failure: Some((code, text)),
            name,
            ..
        }) => Err(KafkaError::from_code(code, &text, doing, &name)),
        None => Err(KafkaError::Other {
            doing: doing.to_owned(),
            what: "an empty answer".to_owned(),
        }),
    }
}

fn setting(answer: ConfigAnswer) -> (String, Setting) {
    (
        answer.name,
        Setting {
            value: answer.value,
            on_topic: answer.on_topic,
        },
    )
}
