//! The internal topics of a state: their names, their settings, and making them.
//!
//! They are made by the operator, by Kafka's Admin API, before the first pod that needs them starts; afterwards
//! Kafka isn't asked again. A topic that is there already is this Pipeline's, because nobody else may have such a
//! name: one of the same name was deleted under `Retain`. One that vanished is never made again in silence:
//! that would be a state without its keys, and the pods say what is wrong.

use std::collections::BTreeMap;

use headworks_crds::StateStatus;
use headworks_plan::names::version;

use super::requirements::StateRequirements;
use crate::{
    context::Context,
    contract::topic_name,
    kafka::{Admin, KafkaError, NewTopic, Topic},
    kafka_pool::{credential_field, to_reconcile_error},
    pipeline::dereference::References,
    planning::stages::End,
    reason::ConditionReason,
    retry::Error,
};

/// Small segments: what was read or replaced is given back to the disk soon.
const SEGMENT_BYTES: u64 = 64 << 20;
const MINUTE_MS: u64 = 60_000;
/// How long a store may be away before a table misses results.
const RESULTS_RETENTION_MS: u64 = 7 * 1_440 * MINUTE_MS;
const DEAD_LETTER_RETENTION_MS: u64 = 30 * 1_440 * MINUTE_MS;
const MAX_MESSAGE: &str = "max.message.bytes";

/// The topics that a state has, and what they have become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateTopics {
    /// Their names.
    pub topics: Vec<String>,
    /// Partitions of each.
    pub partitions: i32,
    /// Largest record, in bytes.
    pub max_message_bytes: u64,
}

impl StateTopics {
    /// What the status says of it; the figures stay.
    pub fn status(&self, before: &StateStatus) -> StateStatus {
        StateStatus {
            version: version(&before.fingerprint),
            topics: self.topics.clone(),
            partitions: Some(self.partitions),
            max_message_bytes: i64::try_from(self.max_message_bytes).ok(),
            ..before.clone()
        }
    }
}

/// Names and settings of the topics that are wanted.
fn settings(wanted: &StateRequirements) -> Vec<(String, BTreeMap<String, String>)> {
    let deleted = |retention: String, segment_ms: u64| {
        vec![
            ("cleanup.policy", "delete".to_owned()),
            ("retention.ms", retention),
            // A broker's default in bytes would take away what nobody has read.
            ("retention.bytes", "-1".to_owned()),
            ("segment.bytes", SEGMENT_BYTES.to_string()),
            ("segment.ms", segment_ms.to_string()),
        ]
    };
    let compacted = vec![
        ("cleanup.policy", "compact".to_owned()),
        ("min.cleanable.dirty.ratio", "0.3".to_owned()),
        ("segment.bytes", SEGMENT_BYTES.to_string()),
        // Only closed segments are compacted: a quiet state is read again in full for so long.
        ("segment.ms", (360 * MINUTE_MS).to_string()),
    ];
    let day = 1_440 * MINUTE_MS;
    let mut all = Vec::new();
    for stage in &wanted.stages {
        if let Some(changelog) = &stage.changelog {
            all.push((changelog.clone(), compacted.clone()));
        }
        match &stage.ends {
            // Readers delete what they have read, so nothing may go before; segments close often, so that it can.
            End::Exchange(topic) => {
                all.push((topic.clone(), deleted("-1".into(), 10 * MINUTE_MS)));
            }
            End::Streams {
                results: Some(results),
            } => {
                all.push((
                    topic_name::dead_letter_topic(results),
                    deleted(DEAD_LETTER_RETENTION_MS.to_string(), 7 * day),
                ));
                let mut kept = deleted(RESULTS_RETENTION_MS.to_string(), day);
                // A result's own time is its window's, which may be long past.
                kept.push(("message.timestamp.type", "LogAppendTime".to_owned()));
                all.push((results.clone(), kept));
            }
            End::Streams { results: None } | End::Table { .. } => {}
        }
    }
    all.into_iter()
        .map(|(name, settings)| {
            let settings = settings.into_iter().map(|(k, v)| (k.to_owned(), v));
            let size = (MAX_MESSAGE.to_owned(), wanted.max_message_bytes.to_string());
            (name, settings.chain([size]).collect())
        })
        .collect()
}

/// Makes the topics that aren't made yet, and says how many partitions they have.
pub async fn ensure(
    wanted: &StateRequirements,
    before: &StateStatus,
    found: &References,
    context: &Context,
) -> Result<StateTopics, Error> {
    let settings = settings(wanted);
    let missing: Vec<_> = settings
        .iter()
        .filter(|(name, _)| !before.topics.contains(name))
        .collect();
    let size = before.max_message_bytes.and_then(|b| u64::try_from(b).ok());
    if let (true, Some(partitions), Some(size)) = (missing.is_empty(), before.partitions, size) {
        return Ok(StateTopics {
            // One that isn't needed any more is still there.
            topics: before.topics.clone(),
            partitions,
            max_message_bytes: size,
        });
    }
    let platform = &found.platform.platform;
    let connected = context.kafka.get(&context.client, platform).await?;
    let replicas = platform.spec.defaults.as_ref().and_then(|d| d.replicas);
    let credential_field = credential_field(platform);
    let (partitions, size) = make(
        &connected.admin,
        wanted,
        before,
        &missing,
        replicas,
        &credential_field,
    )
    .await?;
    let mut topics: Vec<String> = settings.iter().map(|(name, _)| name.clone()).collect();
    topics.extend(before.topics.iter().cloned());
    topics.sort();
    topics.dedup();
    Ok(StateTopics {
        topics,
        partitions,
        max_message_bytes: size,
    })
}

/// Makes those that Kafka hasn't got.
async fn make(
    admin: &Admin,
    wanted: &StateRequirements,
    before: &StateStatus,
    missing: &[&(String, BTreeMap<String, String>)],
    replicas: Option<i32>,
    credential_field: &str,
) -> Result<(i32, u64), Error> {
    let said = |error: &KafkaError, name: &str| {
        to_reconcile_error(error, &format!("internal topic {name}"), credential_field)
    };
    let mut there: BTreeMap<&String, Topic> = BTreeMap::new();
    for (name, _) in missing {
        let topic = admin.topic(name).await.map_err(|e| said(&e, name))?;
        if let Some(topic) = topic {
            there.insert(name, topic);
        }
    }
    let (partitions, size) = shape(wanted, before, &there)?;
    for (name, config) in missing {
        if !there.contains_key(name) {
            let mut config = config.clone();
            config.insert(MAX_MESSAGE.into(), size.to_string());
            let topic = NewTopic {
                name: name.clone(),
                partitions: Some(partitions),
                replicas,
                config,
            };
            create(admin, &topic).await.map_err(|e| said(&e, name))?;
        }
    }
    Ok((partitions, size))
}

/// Partitions and largest record: those that were written down, else those of the topics that are there, else what is
/// wanted now.
fn shape(
    wanted: &StateRequirements,
    before: &StateStatus,
    there: &BTreeMap<&String, Topic>,
) -> Result<(i32, u64), Error> {
    let mut counts: Vec<(i32, &str)> = there
        .iter()
        .map(|(name, topic)| (topic.partitions, name.as_str()))
        .collect();
    counts.extend(
        before
            .partitions
            .zip(before.topics.first().map(String::as_str)),
    );
    counts.sort_unstable();
    if let (Some((few, one)), Some((many, other))) = (counts.first(), counts.last())
        && few != many
    {
        return Err(Error::stalled(
            ConditionReason::StateTopicMismatch,
            format!(
                "internal topic {one} has {few} partitions and {other} has {many}: they belong together and never change. Delete the Pipeline with spec.deletionPolicy: Delete to begin anew, or delete these topics by hand"
            ),
        ));
    }
    let partitions = counts.first().map(|(n, _)| *n).or(wanted.partitions);
    let Some(partitions) = partitions.filter(|n| *n > 0) else {
        return Err(Error::waiting(
            ConditionReason::StreamNotReady,
            "spec.sql: it isn't known yet how many partitions the inputs have",
        ));
    };
    let written = before.max_message_bytes.and_then(|b| u64::try_from(b).ok());
    let live = there
        .values()
        .filter_map(|topic| topic.value(MAX_MESSAGE)?.parse::<u64>().ok())
        .min();
    let size = written.or(live).unwrap_or(wanted.max_message_bytes);
    Ok((partitions, size))
}

async fn create(admin: &Admin, topic: &NewTopic) -> Result<(), KafkaError> {
    tracing::info!(topic = topic.name, partitions = ?topic.partitions, "create internal topic");
    match admin.create_topic(topic).await {
        // Another try of ours got through although its answer didn't, or a deletion isn't through yet.
        Err(KafkaError::TopicExists { .. }) if admin.topic(&topic.name).await?.is_some() => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use headworks_crds::Target;
    use headworks_plan::names::PipelineNames;
    use serde_json::json;

    use super::*;
    use crate::planning::{
        stages::{Stage, stages},
        testing,
    };

    fn wanted(tables: bool) -> StateRequirements {
        StateRequirements {
            stages: of("headworks.prod.shop.p.01234567", tables),
            fingerprint: "0123456789abcdef".into(),
            partitions: Some(6),
            max_message_bytes: 2_000_000,
        }
    }

    fn of(group: &str, tables: bool) -> Vec<Stage> {
        let a = testing::contract(&[("id", "string", false)]);
        let dataflow = testing::keyed("SELECT id FROM a", &a, &[0]);
        let table = json!([{"table": {"store": "w", "name": "t"}}]);
        let to: Vec<Target> = serde_json::from_value(table).unwrap();
        let to = if tables { to } else { Vec::new() };
        stages(&dataflow, &[], &to, &PipelineNames::of_group(group))
    }

    fn topic(partitions: i32, size: &str) -> Topic {
        let setting = crate::kafka::Setting {
            value: Some(size.into()),
            on_topic: true,
        };
        Topic {
            partitions,
            config: [(MAX_MESSAGE.to_owned(), setting)].into(),
            ..Topic::default()
        }
    }

    #[test]
    fn the_topics_of_a_state_and_their_settings() {
        insta::assert_yaml_snapshot!(settings(&wanted(true)));
        assert_eq!(settings(&wanted(false)).len(), 2);
    }

    #[test]
    fn topics_that_are_there_keep_their_shape() {
        let fresh = StateStatus::default();
        let none = BTreeMap::new();
        assert_eq!(
            shape(&wanted(false), &fresh, &none).unwrap(),
            (6, 2_000_000)
        );
        // Made again under Retain: the inputs have grown meanwhile.
        let name = "x".to_owned();
        let there = BTreeMap::from([(&name, topic(3, "1500000"))]);
        assert_eq!(
            shape(&wanted(false), &fresh, &there).unwrap(),
            (3, 1_500_000)
        );
        // A table was added: the new topic is as the others.
        let written = StateStatus {
            topics: vec!["y".into()],
            partitions: Some(4),
            max_message_bytes: Some(1_600_000),
            ..StateStatus::default()
        };
        assert_eq!(
            shape(&wanted(true), &written, &none).unwrap(),
            (4, 1_600_000)
        );
        let error = shape(&wanted(true), &written, &there).unwrap_err();
        assert_eq!(error.reason(), "StateTopicMismatch");
        let unknown = StateRequirements {
            partitions: None,
            ..wanted(false)
        };
        let error = shape(&unknown, &fresh, &none).unwrap_err();
        assert!(matches!(error, Error::Waiting { .. }));
    }

    /// `make e2e` sets `HEADWORKS_KAFKA`; without it this says that it was skipped.
    #[tokio::test]
    async fn a_real_kafka_takes_the_settings_and_the_topics_are_found_again() {
        use std::io::Write as _;

        use crate::kafka::Connection;
        let Some(kafka) = std::env::var("HEADWORKS_KAFKA")
            .ok()
            .filter(|a| !a.is_empty())
        else {
            let _ = writeln!(std::io::stderr(), "SKIPPED: HEADWORKS_KAFKA names no Kafka");
            return;
        };
        let admin = Admin::new(&Connection {
            bootstrap_servers: kafka,
            tls: None,
            scram: None,
        })
        .unwrap();
        let wanted = StateRequirements {
            stages: of(
                &format!("headworks.test.shop.p{}.01234567", std::process::id()),
                true,
            ),
            partitions: Some(3),
            ..wanted(true)
        };
        let all = settings(&wanted);
        let all: Vec<_> = all.iter().collect();
        let fresh = StateStatus::default();
        let made = make(&admin, &wanted, &fresh, &all, Some(1), "").await;
        // Made again under Retain, over inputs that have grown.
        let grown = StateRequirements {
            partitions: Some(5),
            max_message_bytes: 3_000_000,
            ..wanted.clone()
        };
        let again = make(&admin, &grown, &fresh, &all, Some(1), "").await;
        let mut policies = Vec::new();
        for (name, _) in &all {
            let topic = admin.topic(name).await.unwrap().unwrap();
            policies.push(topic.value("cleanup.policy").unwrap().to_owned());
            assert!(admin.delete_topic(name).await.unwrap());
        }
        assert_eq!((made, again), (Ok((3, 2_000_000)), Ok((3, 2_000_000))));
        assert_eq!(policies, ["delete", "compact", "delete", "delete"]);
    }
}
