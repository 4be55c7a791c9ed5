//! A stream's topics in Kafka, brought to what the spec asks for.
//!
//! All calls to Kafka for a DataStream are here; what to change is decided in `settings`, purely.

use std::collections::BTreeMap;

use headworks_crds::{DataStream, DataStreamStatus, Defaults, KeptSetting};
use kube::Resource;

use super::settings::{self, CLEANUP, Change, Live, RETENTION};
use crate::{
    context::Context,
    kafka::{Admin, ConfigChange, KafkaError, NewTopic, Topic},
    retry::Error,
};

/// The topic as a reconcile found it, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It doesn't exist.
    Free,
    /// This object made it, or took it over, before.
    Ours(Topic),
    /// It exists, isn't ours, and may be taken over.
    Adopt(Topic),
}

/// Whose a topic is; an error if it must be left alone.
pub fn claim(name: &str, found: Option<Topic>, known: bool, adopt: bool) -> Result<Claim, Error> {
    match found {
        None => Ok(Claim::Free),
        Some(topic) if known => Ok(Claim::Ours(topic)),
        Some(topic) if adopt => Ok(Claim::Adopt(topic)),
        Some(_) => Err(Error::stalled(
            "TopicExists",
            format!("topic {name} exists in Kafka and wasn't made by this DataStream; set spec.adopt: true to take it over (its other settings stay, its retention is never lowered), or choose another spec.topic"),
        )
        .after(std::time::Duration::from_secs(60))),
    }
}

/// The live settings as the pure part sees them.
pub fn live(topic: &Topic) -> BTreeMap<String, Live> {
    topic
        .config
        .iter()
        .map(|(key, entry)| {
            (
                key.clone(),
                Live {
                    value: entry.value.clone().unwrap_or_default(),
                    on_topic: entry.on_topic,
                },
            )
        })
        .collect()
}

/// What a topic keeps when it is taken over; an error if taking it over would lose records.
pub fn adoption(
    stream: &DataStream,
    topic: &str,
    found: &Topic,
) -> Result<Vec<KeptSetting>, Error> {
    let live = live(found);
    check_cleanup(topic, stream.spec.compacted, &live)?;
    let there = found.partitions;
    if let Some(wanted) = stream.spec.partitions.filter(|wanted| *wanted < there) {
        return Err(cannot_shrink(topic, there, wanted));
    }
    Ok(settings::kept_on_adoption(
        &settings::desired(&stream.spec, None),
        &live,
    ))
}

/// Makes or changes the topic, and says in the status what it is now.
pub async fn ensure(
    admin: &Admin,
    stream: &DataStream,
    topic: &str,
    claim: Claim,
    defaults: &Defaults,
    status: &mut DataStreamStatus,
    context: &Context,
) -> Result<(), Error> {
    let spec = &stream.spec;
    let found = match claim {
        Claim::Free => return make(admin, stream, topic, defaults, status, context).await,
        Claim::Ours(found) => found,
        Claim::Adopt(found) => {
            status.default_retention = None;
            found
        }
    };
    let live = live(&found);
    let desired = settings::with_kept(
        settings::desired(spec, status.default_retention.as_ref()),
        &status.kept_config,
    );
    status.kept_config.retain(|kept| still_kept(kept, &desired));
    let changes = settings::changes(&desired, &status.managed_config, &live);
    alter(admin, topic, changes).await?;
    // What the topic keeps of its own isn't ours: when the spec asks for nothing any more, it stays as well.
    status.managed_config = desired
        .into_keys()
        .filter(|key| !status.kept_config.iter().any(|kept| kept.key == *key))
        .collect();
    status.topic = Some(topic.to_owned());
    status.replicas = Some(found.replicas);
    status.partitions = Some(found.partitions);
    grow(admin, stream, topic, status, context).await
}

/// Makes the topic.
async fn make(
    admin: &Admin,
    stream: &DataStream,
    topic: &str,
    defaults: &Defaults,
    status: &mut DataStreamStatus,
    context: &Context,
) -> Result<(), Error> {
    let spec = &stream.spec;
    status.default_retention.clone_from(&defaults.retention);
    status.kept_config.clear();
    let config = settings::desired(spec, defaults.retention.as_ref());
    let partitions = spec
        .partitions
        .or(status.partitions)
        .or(defaults.partitions);
    let replicas = status.replicas.or(defaults.replicas);
    create(admin, topic, partitions, replicas, config.clone()).await?;
    if status.topic.as_deref() == Some(topic) {
        let note = format!("topic {topic} was gone from Kafka and is made again, empty");
        context
            .events
            .warning(&stream.object_ref(&()), "TopicRecreated", &note)
            .await;
    }
    let made = admin
        .topic(topic)
        .await
        .map_err(|e| kafka_error(&e, topic))?;
    status.partitions = made.as_ref().map(|t| t.partitions).or(partitions);
    status.replicas = made.as_ref().map(|t| t.replicas).or(replicas);
    status.topic = Some(topic.to_owned());
    status.managed_config = config.into_keys().collect();
    Ok(())
}

/// A kept setting is forgotten once the spec asks for something else.
fn still_kept(kept: &KeptSetting, desired: &BTreeMap<String, String>) -> bool {
    desired.get(&kept.key) == Some(&kept.kept)
}

/// A topic that compacts keeps the last record of each key for ever: reading it as one that deletes would lose them, and the other way round.
fn check_cleanup(topic: &str, compacted: bool, live: &BTreeMap<String, Live>) -> Result<(), Error> {
    let there = live.get(CLEANUP).map_or("delete", |l| l.value.as_str());
    if there.contains("compact") == compacted {
        return Ok(());
    }
    let remedy = if compacted {
        "set spec.compacted: false"
    } else {
        "set spec.compacted: true"
    };
    Err(Error::stalled(
        "TopicMismatch",
        format!(
            "topic {topic} has {CLEANUP}={there}, and taking it over must lose nothing: {remedy} or choose another topic"
        ),
    ))
}

/// Partitions go up only.
async fn grow(
    admin: &Admin,
    stream: &DataStream,
    topic: &str,
    status: &mut DataStreamStatus,
    context: &Context,
) -> Result<(), Error> {
    let (Some(wanted), Some(there)) = (stream.spec.partitions, status.partitions) else {
        return Ok(());
    };
    if wanted < there {
        return Err(cannot_shrink(topic, there, wanted));
    }
    if wanted > there {
        admin
            .add_partitions(topic, wanted)
            .await
            .map_err(|e| kafka_error(&e, topic))?;
        status.partitions = Some(wanted);
        if !stream.spec.key.is_empty() {
            let note = grew(topic, there, wanted);
            context
                .events
                .warning(&stream.object_ref(&()), "PartitionsGrew", &note)
                .await;
        }
    }
    Ok(())
}

/// What becomes of keys when partitions are added.
pub fn grew(topic: &str, there: i32, wanted: i32) -> String {
    format!(
        "topic {topic} grew from {there} to {wanted} partitions: records of a key that was there before may go to another partition, so their order across the change isn't kept"
    )
}

/// A spec that asks for fewer partitions than there are.
pub fn cannot_shrink(topic: &str, there: i32, wanted: i32) -> Error {
    Error::stalled(
        "PartitionsCannotShrink",
        format!(
            "topic {topic} has {there} partitions and spec.partitions is {wanted}: Kafka can't take partitions away; set spec.partitions to {there} or more, or remove it"
        ),
    )
}

/// Whose a dead-letter topic is. One of somebody else's is taken over only on request, as the topic itself is, and only
/// if it doesn't compact: it would lose its records, and refuse dead letters without a key.
///
/// # Errors
/// `TopicExists`, `TopicMismatch`; what Kafka says.
pub async fn claim_dead_letter(
    admin: &Admin,
    stream: &DataStream,
    name: &str,
    known: bool,
) -> Result<Claim, Error> {
    let found = admin.topic(name).await.map_err(|e| kafka_error(&e, name))?;
    dead_letter_claim(name, found, known, stream.spec.adopt)
}

fn dead_letter_claim(
    name: &str,
    found: Option<Topic>,
    known: bool,
    adopt: bool,
) -> Result<Claim, Error> {
    let claim = claim(name, found, known, adopt)?;
    if let Claim::Adopt(found) = &claim {
        let live = live(found);
        let there = live.get(CLEANUP).map_or("delete", |l| l.value.as_str());
        if there.contains("compact") {
            return Err(Error::stalled(
                "TopicMismatch",
                format!(
                    "topic {name} is to take this stream's dead letters and has {CLEANUP}={there}, which dead letters without a key don't fit; set it to delete by hand if its records may go, or choose another spec.topic"
                ),
            )
            .after(std::time::Duration::from_secs(60)));
        }
    }
    Ok(claim)
}

/// Makes the dead-letter topic, or puts its settings right. It never keeps less than it did, unless the spec asks for it.
pub async fn ensure_dead_letter(
    admin: &Admin,
    stream: &DataStream,
    name: &str,
    claim: Claim,
    status: &mut DataStreamStatus,
) -> Result<(), Error> {
    match claim {
        Claim::Free => {
            let desired = settings::dead_letter(&stream.spec);
            create(admin, name, status.partitions, status.replicas, desired).await?;
        }
        Claim::Ours(found) | Claim::Adopt(found) => {
            alter(admin, name, dead_letter_changes(stream, &live(&found))).await?;
        }
    }
    status.dead_letter_topic = Some(name.to_owned());
    Ok(())
}

fn dead_letter_changes(stream: &DataStream, live: &BTreeMap<String, Live>) -> Vec<Change> {
    let desired = settings::dead_letter(&stream.spec);
    let asked = stream.spec.dead_letter.as_ref();
    let asked = asked.is_some_and(|dead_letter| dead_letter.retention.is_some());
    let lowers = !asked && !settings::kept_on_adoption(&desired, live).is_empty();
    let mut changes = settings::changes(&desired, &[], live);
    changes.retain(|change| !(lowers && matches!(change, Change::Set(key, _) if key == RETENTION)));
    changes
}

async fn alter(admin: &Admin, topic: &str, changes: Vec<Change>) -> Result<(), Error> {
    if changes.is_empty() {
        return Ok(());
    }
    tracing::info!(topic, ?changes, "topic settings");
    let changes: Vec<ConfigChange> = changes
        .into_iter()
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

async fn create(
    admin: &Admin,
    name: &str,
    partitions: Option<i32>,
    replicas: Option<i32>,
    config: BTreeMap<String, String>,
) -> Result<(), Error> {
    tracing::info!(topic = name, ?partitions, ?replicas, "create topic");
    let topic = NewTopic {
        name: name.into(),
        partitions,
        replicas,
        config,
    };
    match admin.create_topic(&topic).await {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_existing_topic_is_taken_only_on_request() {
        let topic = Topic::default();
        let found = || Some(topic.clone());
        assert_eq!(claim("t", None, false, false).unwrap(), Claim::Free);
        assert_eq!(
            claim("t", found(), true, false).unwrap(),
            Claim::Ours(topic.clone())
        );
        assert_eq!(
            claim("t", found(), false, true).unwrap(),
            Claim::Adopt(topic.clone())
        );
        let error = claim("t", found(), false, false).unwrap_err();
        assert_eq!(error.reason(), "TopicExists");
        assert!(error.message().contains("adopt: true"));
    }

    #[test]
    fn a_compacted_topic_is_not_taken_as_one_that_deletes() {
        let live = BTreeMap::from([(
            CLEANUP.to_owned(),
            Live {
                value: "compact".into(),
                on_topic: true,
            },
        )]);
        assert!(check_cleanup("t", true, &live).is_ok());
        assert_eq!(
            check_cleanup("t", false, &live).unwrap_err().reason(),
            "TopicMismatch"
        );
    }

    #[test]
    fn a_foreign_dead_letter_topic_is_taken_only_on_request_and_never_one_that_compacts() {
        let of = |cleanup: &str| {
            let setting = crate::kafka::Setting {
                value: Some(cleanup.into()),
                on_topic: true,
            };
            Some(Topic {
                config: [(CLEANUP.to_owned(), setting)].into(),
                ..Topic::default()
            })
        };
        let reason = |found, known, adopt| {
            dead_letter_claim("t.dlq", found, known, adopt).map_err(|e| e.reason().to_owned())
        };
        assert_eq!(reason(None, false, false), Ok(Claim::Free));
        assert_eq!(
            reason(of("delete"), false, false),
            Err("TopicExists".into())
        );
        assert_eq!(
            reason(of("compact"), false, false),
            Err("TopicExists".into())
        );
        assert_eq!(
            reason(of("compact"), false, true),
            Err("TopicMismatch".into())
        );
        assert!(matches!(
            reason(of("delete"), false, true),
            Ok(Claim::Adopt(_))
        ));
        assert!(matches!(
            reason(of("delete"), true, false),
            Ok(Claim::Ours(_))
        ));
    }

    #[test]
    fn dead_letters_are_kept_for_less_only_where_the_spec_says_so() {
        let stream = |extra: serde_json::Value| -> DataStream {
            let mut spec = serde_json::json!({"schema": [{"name": "id", "type": "string"}]});
            spec.as_object_mut()
                .unwrap()
                .extend(extra.as_object().unwrap().clone());
            serde_json::from_value(serde_json::json!({"metadata": {"name": "a"}, "spec": spec}))
                .unwrap()
        };
        let with = |retention: &str| {
            let live = |value: &str| Live {
                value: value.into(),
                on_topic: true,
            };
            BTreeMap::from([
                (RETENTION.to_owned(), live(retention)),
                (CLEANUP.to_owned(), live("delete")),
            ])
        };
        let plain = stream(serde_json::json!({}));
        assert_eq!(dead_letter_changes(&plain, &with("-1")), []);
        let longer = [Change::Set(RETENTION.into(), "2592000000".into())];
        assert_eq!(dead_letter_changes(&plain, &with("1000")), longer);
        let asked = stream(serde_json::json!({"deadLetter": {"retention": "1h"}}));
        let shorter = [Change::Set(RETENTION.into(), "3600000".into())];
        assert_eq!(dead_letter_changes(&asked, &with("-1")), shorter);
    }
}
