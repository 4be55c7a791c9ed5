//! The KafkaTopic that a stream's topic is to have. Pure.
//!
//! The Topic Operator takes back every setting of a topic that its KafkaTopic doesn't list. So whatever the topic had
//! when its KafkaTopic was made is carried into it (`status.carriedConfig`), except what the spec asks for otherwise.

use std::collections::BTreeMap;

use headworks_crds::{DataStreamStatus, ManagedByStrimzi};
use kube::{ResourceExt, api::DynamicObject};

use crate::{
    kafka::{Setting, Topic},
    provisioner::{
        OfStream,
        settings::Settings,
        topic::{Action, DesiredTopic, FoundTopic, Growth, cannot_shrink},
    },
    reason::ConditionReason,
    retry::Error,
    strimzi::topics::{self, KafkaTopic},
};

/// Settings that a reassignment of replicas makes for itself and takes away again.
const TEMPORARY: [&str; 2] = [
    "leader.replication.throttled.replicas",
    "follower.replication.throttled.replicas",
];
/// Longest value that is carried.
const MAX_VALUE: usize = 1024;

/// Fails where the topic can't be as the spec says.
///
/// # Errors
/// `PartitionsCannotShrink`; `TopicMismatch` where a setting can't be carried.
pub fn check(
    of: OfStream<'_>,
    settings: &Settings,
    found: &FoundTopic,
    status: &DataStreamStatus,
) -> Result<(), Error> {
    if let Growth::Shrinks { from, to } = growth(of, found) {
        return Err(cannot_shrink(of.topic, from, to));
    }
    check_carried(&carry(of, settings, found, status))
}

fn growth(of: OfStream<'_>, found: &FoundTopic) -> Growth {
    let there = found.claim.found();
    there.map_or(Growth::Stays, |there| {
        Growth::of(&of.stream.spec, there.partitions)
    })
}

/// The topic as it is to be.
pub fn desired(
    of: OfStream<'_>,
    at: &ManagedByStrimzi,
    settings: Settings,
    found: &FoundTopic,
    status: &DataStreamStatus,
) -> DesiredTopic {
    let there = found.claim.found();
    let carried = carry(of, &settings, found, status);
    let object = found.declared.object.as_deref();
    let mut config = carried.clone();
    config.extend(settings.desired.clone());
    let kafka_topic = KafkaTopic {
        name: object.map_or_else(|| topics::object_name(of.topic), ResourceExt::name_any),
        namespace: at.namespace.clone(),
        cluster: at.cluster.clone(),
        topic: of.topic.to_owned(),
        partitions: count(
            of.stream.spec.partitions,
            object,
            "partitions",
            there.map(|t| t.partitions).or(status.partitions),
            of.defaults.partitions,
        ),
        replicas: count(
            None,
            object,
            "replicas",
            // Replicas are changed in the KafkaTopic itself (by Cruise Control), so what is listed holds.
            object
                .is_none()
                .then(|| there.map(|t| t.replicas).or(status.replicas))
                .flatten(),
            of.defaults.replicas,
        ),
        config,
    };
    DesiredTopic {
        name: of.topic.to_owned(),
        settings,
        remade: there.is_none() && object.is_none() && status.topic.as_deref() == Some(of.topic),
        growth: growth(of, found),
        action: Action::Declare {
            kafka_topic,
            carried,
        },
    }
}

/// What is listed beside the spec's settings.
fn carry(
    of: OfStream<'_>,
    settings: &Settings,
    found: &FoundTopic,
    status: &DataStreamStatus,
) -> BTreeMap<String, String> {
    let (declared, there) = (&found.declared, found.claim.found());
    let settled = declared.ours && (status.kafka_topic.is_some() || there.is_none());
    if settled || (there.is_none() && declared.object.is_none()) {
        let mut carried = status.carried_config.clone();
        carried.retain(|key, _| !settings.desired.contains_key(key));
        return carried;
    }
    let known = status.topic.as_deref() == Some(of.topic);
    let managed = if known {
        status.managed_config.as_slice()
    } else {
        &[]
    };
    // Ours, and the status was lost: what it lists is what was carried.
    let topic = if declared.ours { None } else { there };
    carried(
        &settings.desired,
        managed,
        topic,
        declared.object.as_deref(),
    )
}

/// The topic as the KafkaTopic at hand wants it: what it lists counts before what Kafka has, because the Topic Operator may be
/// away just now.
pub fn as_listed(found: Option<Topic>, object: Option<&DynamicObject>) -> Option<Topic> {
    let mut topic = found?;
    for (key, value) in object.map(topics::listed).unwrap_or_default() {
        topic.config.insert(
            key,
            Setting {
                value: Some(value),
                on_topic: true,
            },
        );
    }
    Some(topic)
}

/// The settings that must be listed beside the spec's, so that nothing is reset.
///
/// `known`: the stream had the topic before, so that settings in `managed` which the spec no longer names are to go.
pub(super) fn carried(
    desired: &BTreeMap<String, String>,
    managed: &[String],
    topic: Option<&Topic>,
    object: Option<&DynamicObject>,
) -> BTreeMap<String, String> {
    let of_kafka = topic.into_iter().flat_map(|t| {
        t.config
            .iter()
            .filter(|(_, setting)| setting.on_topic)
            .filter_map(|(key, setting)| Some((key.clone(), setting.value.clone()?)))
    });
    of_kafka
        .chain(object.map(topics::listed).unwrap_or_default())
        .filter(|(key, _)| {
            !desired.contains_key(key)
                && !managed.contains(key)
                && !TEMPORARY.contains(&key.as_str())
        })
        .collect()
}

/// Fails where a setting is too long to be carried.
pub(super) fn check_carried(carried: &BTreeMap<String, String>) -> Result<(), Error> {
    match carried.iter().find(|(_, value)| value.len() > MAX_VALUE) {
        None => Ok(()),
        Some((key, _)) => Err(Error::stalled(
            ConditionReason::TopicMismatch,
            format!(
                "the topic's setting {key} is longer than {MAX_VALUE} characters and can't be carried into a KafkaTopic, where it would be reset; shorten it first"
            ),
        )),
    }
}

/// Partitions or replicas to list: the spec's; else what the object lists already, but never fewer than there are; else, in a new
/// object, what the topic has or the Platform's default. An object that leaves the number to the brokers goes on so.
pub(super) fn count(
    wanted: Option<i32>,
    object: Option<&DynamicObject>,
    field: &str,
    there: Option<i32>,
    default: Option<i32>,
) -> Option<i32> {
    let Some(object) = object else {
        return wanted.or(there).or(default);
    };
    wanted.or_else(|| topics::number(object, field).map(|n| there.map_or(n, |there| n.max(there))))
}
