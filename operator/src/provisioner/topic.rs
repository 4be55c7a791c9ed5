//! A stream's topic: whose it is, and how it is to be. Pure.

use std::collections::BTreeMap;

use headworks_crds::{DataStream, DataStreamSpec, KeptSetting};

use super::{
    Declared,
    settings::{self, CLEANUP, Change, Live, RETENTION, Settings},
};
use crate::{
    kafka::{NewTopic, Topic},
    reason::ConditionReason,
    retry::Error,
    strimzi::topics::KafkaTopic,
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

impl Claim {
    /// The topic, where it is there.
    pub fn found(&self) -> Option<&Topic> {
        match self {
            Self::Free => None,
            Self::Ours(found) | Self::Adopt(found) => Some(found),
        }
    }
}

/// A topic as a look found it, and what is declared of it.
#[derive(Clone, Debug)]
pub struct FoundTopic {
    /// Whose it is.
    pub claim: Claim,
    /// What is declared of it.
    pub declared: Declared,
}

/// A topic as it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredTopic {
    /// Name of the topic.
    pub name: String,
    /// Its settings, and what is to be remembered of them.
    pub settings: Settings,
    /// True: it was there, and is made again, empty.
    pub remade: bool,
    /// What becomes of its number of partitions.
    pub growth: Growth,
    /// What is to be done.
    pub action: Action,
}

/// What is to be done to a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// It is made by the Admin API.
    Create(NewTopic),
    /// It is changed by the Admin API.
    Alter {
        /// The smallest change of its settings.
        changes: Vec<Change>,
        /// Partitions that it has.
        partitions: i32,
        /// Replicas that it has.
        replicas: i32,
    },
    /// A KafkaTopic says it, and Strimzi's Topic Operator makes it so.
    Declare {
        /// The KafkaTopic.
        kafka_topic: KafkaTopic,
        /// Settings in it that the topic had before, so that the Topic Operator doesn't reset them.
        carried: BTreeMap<String, String>,
    },
}

/// What becomes of a topic's number of partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Growth {
    /// It stays.
    Stays,
    /// It goes up.
    Grows {
        /// Partitions that there are.
        from: i32,
        /// Partitions that there are to be.
        to: i32,
    },
    /// The spec asks for fewer, which Kafka can't do.
    Shrinks {
        /// Partitions that there are.
        from: i32,
        /// Partitions that the spec asks for.
        to: i32,
    },
}

impl Growth {
    /// Of a topic that has so many partitions.
    pub fn of(spec: &DataStreamSpec, from: i32) -> Self {
        match spec.partitions {
            Some(to) if to > from => Self::Grows { from, to },
            Some(to) if to < from => Self::Shrinks { from, to },
            _ => Self::Stays,
        }
    }
}

/// The topic of a stream's dead letters as it is to be. It is made by the Admin API in any case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DesiredDeadLetters {
    /// It is made with these settings, and with the partitions and replicas of the topic itself.
    Create(BTreeMap<String, String>),
    /// It is changed.
    Alter(Vec<Change>),
}

/// What is to be done to the topic of the dead letters. It never keeps less than it did, unless the spec asks for it.
pub fn desired_dead_letters(stream: &DataStream, claim: &Claim) -> DesiredDeadLetters {
    match claim.found() {
        None => DesiredDeadLetters::Create(settings::dead_letter(&stream.spec)),
        Some(found) => DesiredDeadLetters::Alter(dead_letter_changes(stream, &live(found))),
    }
}

/// Whose a topic is; an error if it must be left alone.
pub fn claim(name: &str, found: Option<Topic>, known: bool, adopt: bool) -> Result<Claim, Error> {
    match found {
        None => Ok(Claim::Free),
        Some(topic) if known => Ok(Claim::Ours(topic)),
        Some(topic) if adopt => Ok(Claim::Adopt(topic)),
        Some(_) => Err(Error::stalled(
            ConditionReason::TopicExists,
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
        ConditionReason::TopicMismatch,
        format!(
            "topic {topic} has {CLEANUP}={there}, and taking it over must lose nothing: {remedy} or choose another topic"
        ),
    ))
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
        ConditionReason::PartitionsCannotShrink,
        format!(
            "topic {topic} has {there} partitions and spec.partitions is {wanted}: Kafka can't take partitions away; set spec.partitions to {there} or more, or remove it"
        ),
    )
}

/// Whose a dead-letter topic is. One of somebody else's is taken over only on request, as the topic itself is, and only
/// if it doesn't compact: it would lose its records, and refuse dead letters without a key.
///
/// # Errors
/// `TopicExists`, `TopicMismatch`.
pub fn dead_letter_claim(
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
                ConditionReason::TopicMismatch,
                format!(
                    "topic {name} is to take this stream's dead letters and has {CLEANUP}={there}, which dead letters without a key don't fit; set it to delete by hand if its records may go, or choose another spec.topic"
                ),
            )
            .after(std::time::Duration::from_secs(60)));
        }
    }
    Ok(claim)
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
