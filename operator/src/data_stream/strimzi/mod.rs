//! A stream's topic where Strimzi makes it: by a KafkaTopic, which the Topic Operator follows.
//!
//! The Topic Operator takes back every setting of a topic that its KafkaTopic doesn't list. So whatever the topic had
//! when its KafkaTopic was made is carried into it (`status.carriedConfig`), except what the spec asks for otherwise.
//! Whether the topic is as it should be is read from Kafka itself; what the Topic Operator says of it is mirrored.
//! Dead-letter and internal topics are made by the Admin API: see docs/decisions/0009-strimzi-mode.md.

mod verdict;

use std::{collections::BTreeMap, sync::Arc};

use headworks_crds::{DataStream, DataStreamStatus, Defaults, ManagedByStrimzi};
use kube::{Resource, ResourceExt, api::DynamicObject};

use verdict::{as_wanted, drift, judge, pending, place};

use super::{
    settings,
    topic::{self, Claim},
};
use crate::{
    context::Context,
    kafka::{Admin, Setting, Topic},
    names::Key,
    retry::Error,
    strimzi::{
        MANAGED,
        objects::{self, Applied},
        observed::{Observed, observed},
        ownership, release,
        topics::{self, KafkaTopic},
    },
};

/// Settings that a reassignment of replicas makes for itself and takes away again.
const TEMPORARY: [&str; 2] = [
    "leader.replication.throttled.replicas",
    "follower.replication.throttled.replicas",
];
/// Longest value that is carried.
const MAX_VALUE: usize = 1024;

/// The KafkaTopic that is for a stream's topic, if there is one.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The object.
    pub object: Option<Arc<DynamicObject>>,
    /// True: it carries the stream's labels.
    pub ours: bool,
}

/// What came of it, where the topic is there but something is still to be said.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Why the stream isn't Ready all the same.
    pub pending: Option<Error>,
    /// Reason and a note where the Topic Operator doesn't act, by somebody's wish.
    pub resting: Option<(&'static str, String)>,
    /// What others have listed beside our settings.
    pub drift: Option<String>,
}

/// Looks for the stream's KafkaTopic; an error if it must be left alone.
pub async fn find(
    context: &Context,
    stream: &DataStream,
    key: &Key,
    topic: &str,
    at: &ManagedByStrimzi,
) -> Result<Found, Error> {
    let kind = &context.strimzi.topics;
    let resource = kind.resource().await?;
    let all = kind.filter(|o| topics::is_for(o, &at.cluster, &at.namespace, topic));
    if let Some(ours) = all.iter().find(|o| ownership::is_of(o, key)) {
        return Ok(Found {
            object: Some(ours.clone()),
            ours: true,
        });
    }
    let Some(other) = all.into_iter().next() else {
        return Ok(Found::default());
    };
    // The store has no field managers.
    let place = format!("KafkaTopic {}/{}", at.namespace, other.name_any());
    let api = objects::api(&context.strimzi, &resource, &at.namespace);
    let Some(other) = objects::get(&api, &place, &other.name_any()).await? else {
        return Ok(Found::default());
    };
    let taken = ownership::owner(&other).or_else(|| ownership::controller(&other));
    match taken {
        None if stream.spec.adopt => Ok(Found {
            object: Some(Arc::new(other)),
            ours: false,
        }),
        None => Err(objects::foreign(
            &place,
            &other,
            "set spec.adopt: true to take it over (what it lists beside the spec stays), ",
        )),
        Some(_) => Err(objects::foreign(&place, &other, "")),
    }
}

/// Fails where somebody's KafkaTopic is for what is to be a stream's dead-letter topic: that one is made by the Admin API,
/// and the Topic Operator would put its settings back.
///
/// # Errors
/// `OwnedByAnother`; what the API server says.
pub async fn no_dead_letters(
    context: &Context,
    topic: &str,
    at: &ManagedByStrimzi,
) -> Result<(), Error> {
    let kind = &context.strimzi.topics;
    kind.resource().await?;
    let all = kind.filter(|o| topics::is_for(o, &at.cluster, &at.namespace, topic));
    let managed = all
        .into_iter()
        .find(|o| o.annotations().get(MANAGED).map(String::as_str) != Some("false"));
    let Some(other) = managed else { return Ok(()) };
    let place = place(&other);
    let remedy = format!(
        "it is for topic {topic}, where this stream's dead letters go: annotate it with {MANAGED}: \"false\" first and "
    );
    Err(objects::foreign(&place, &other, &remedy))
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
pub fn carried(
    desired: &BTreeMap<String, String>,
    managed: &[String],
    topic: Option<&Topic>,
    object: Option<&DynamicObject>,
) -> Result<BTreeMap<String, String>, Error> {
    let of_kafka = topic.into_iter().flat_map(|t| {
        t.config
            .iter()
            .filter(|(_, setting)| setting.on_topic)
            .filter_map(|(key, setting)| Some((key.clone(), setting.value.clone()?)))
    });
    let all: BTreeMap<String, String> = of_kafka
        .chain(object.map(topics::listed).unwrap_or_default())
        .filter(|(key, _)| {
            !desired.contains_key(key)
                && !managed.contains(key)
                && !TEMPORARY.contains(&key.as_str())
        })
        .collect();
    match all.iter().find(|(_, value)| value.len() > MAX_VALUE) {
        None => Ok(all),
        Some((key, _)) => Err(Error::stalled(
            "TopicMismatch",
            format!(
                "the topic's setting {key} is longer than {MAX_VALUE} characters and can't be carried into a KafkaTopic, where it would be reset; shorten it first"
            ),
        )),
    }
}

/// Partitions or replicas to list: the spec's; else what the object lists already, but never fewer than there are; else, in a new
/// object, what the topic has or the Platform's default. An object that leaves the number to the brokers goes on so.
fn count(
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

/// What [`ensure`] is about.
pub struct Work<'a> {
    /// The stream.
    pub stream: &'a DataStream,
    /// Its key.
    pub key: &'a Key,
    /// The topic.
    pub topic: &'a str,
    /// The Strimzi cluster.
    pub at: &'a ManagedByStrimzi,
    /// The Platform's defaults.
    pub defaults: &'a Defaults,
}

/// Makes or changes the KafkaTopic, and says in the status what the topic is now.
///
/// # Errors
/// Waiting `TopicPending` while there is no topic yet; what the Topic Operator or the API server says.
pub async fn ensure(
    work: &Work<'_>,
    admin: &Admin,
    found: Found,
    claim: Claim,
    status: &mut DataStreamStatus,
    context: &Context,
) -> Result<Outcome, Error> {
    let (stream, topic) = (work.stream, work.topic);
    let there = match claim {
        Claim::Free => {
            if found.object.is_none() {
                status
                    .default_retention
                    .clone_from(&work.defaults.retention);
                status.kept_config.clear();
            }
            None
        }
        Claim::Ours(there) => Some(there),
        Claim::Adopt(there) => {
            status.default_retention = None;
            Some(there)
        }
    };
    if let (Some(wanted), Some(there)) = (stream.spec.partitions, &there)
        && wanted < there.partitions
    {
        return Err(topic::cannot_shrink(topic, there.partitions, wanted));
    }
    let desired = settings::with_kept(
        settings::desired(&stream.spec, status.default_retention.as_ref()),
        &status.kept_config,
    );
    status
        .kept_config
        .retain(|kept| desired.get(&kept.key) == Some(&kept.kept));
    carry(work, &desired, &found, there.as_ref(), status)?;
    let applied = apply(work, &desired, &found, there.as_ref(), status, context).await?;
    tell(work, &applied, &found, there.as_ref(), status, context).await;
    status.managed_config = desired
        .keys()
        .filter(|key| !status.kept_config.iter().any(|kept| kept.key == **key))
        .cloned()
        .collect();
    status.kafka_topic = Some(applied.object.name_any());
    let listed = topics::listed(&applied.object);
    let mut there = there;
    if observed(&applied.object) == Observed::Ready
        && !as_wanted(there.as_ref(), &listed, &applied.object)
    {
        // The Topic Operator was quicker than our look at Kafka.
        there = admin
            .topic(topic)
            .await
            .map_err(|e| topic::kafka_error(&e, topic))?;
    }
    let fits = as_wanted(there.as_ref(), &listed, &applied.object);
    let place = place(&applied.object);
    let judged = judge(&observed(&applied.object), fits, &place, &applied.object);
    let Some(there) = there else {
        return Err(judged.err().unwrap_or_else(|| pending(&place, "")));
    };
    status.topic = Some(topic.to_owned());
    status.partitions = Some(there.partitions);
    status.replicas = Some(there.replicas);
    sweep(work, &applied.object, context).await?;
    let drift = drift(&desired, &status.carried_config, &applied.object, context).await?;
    Ok(match judged {
        Ok(resting) => Outcome {
            pending: None,
            resting,
            drift,
        },
        Err(error) => Outcome {
            pending: Some(error),
            resting: None,
            drift,
        },
    })
}

/// Settles what is listed beside the spec's settings.
fn carry(
    work: &Work<'_>,
    desired: &BTreeMap<String, String>,
    found: &Found,
    there: Option<&Topic>,
    status: &mut DataStreamStatus,
) -> Result<(), Error> {
    let known = status.topic.as_deref() == Some(work.topic);
    let settled = found.ours && (status.kafka_topic.is_some() || there.is_none());
    if settled || (there.is_none() && found.object.is_none()) {
        status
            .carried_config
            .retain(|key, _| !desired.contains_key(key));
        return Ok(());
    }
    let managed = if known {
        status.managed_config.as_slice()
    } else {
        &[]
    };
    // Ours, and the status was lost: what it lists is what was carried.
    let topic = if found.ours { None } else { there };
    status.carried_config = carried(desired, managed, topic, found.object.as_deref())?;
    Ok(())
}

async fn apply(
    work: &Work<'_>,
    desired: &BTreeMap<String, String>,
    found: &Found,
    there: Option<&Topic>,
    status: &DataStreamStatus,
    context: &Context,
) -> Result<Applied, Error> {
    let resource = context.strimzi.topics.resource().await?;
    let object = found.object.as_deref();
    let mut config = status.carried_config.clone();
    config.extend(desired.clone());
    let wanted = KafkaTopic {
        name: object.map_or_else(|| topics::object_name(work.topic), ResourceExt::name_any),
        namespace: work.at.namespace.clone(),
        cluster: work.at.cluster.clone(),
        topic: work.topic.to_owned(),
        partitions: count(
            work.stream.spec.partitions,
            object,
            "partitions",
            there.map(|t| t.partitions).or(status.partitions),
            work.defaults.partitions,
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
            work.defaults.replicas,
        ),
        config,
    };
    let built = topics::build(&wanted, work.key, &resource, object);
    objects::apply(
        &context.strimzi,
        &context.strimzi.topics,
        &built,
        work.key,
        object.is_some() && !found.ours,
    )
    .await
}

/// Events of what happened.
async fn tell(
    work: &Work<'_>,
    applied: &Applied,
    found: &Found,
    there: Option<&Topic>,
    status: &DataStreamStatus,
    context: &Context,
) {
    let about = work.stream.object_ref(&());
    let (topic, place) = (work.topic, place(&applied.object));
    if !applied.put_back.is_empty() && found.ours {
        let all: Vec<String> = applied
            .put_back
            .iter()
            .map(|d| {
                let who = d.manager.as_deref().unwrap_or_default();
                format!(
                    "{} was {} ({who}) and is {} again",
                    d.path, d.there, d.wanted
                )
            })
            .collect();
        let note = format!("{place}: {}; change the DataStream instead", all.join(", "));
        context.events.warning(&about, "DriftPutBack", &note).await;
    }
    if there.is_none() && found.object.is_none() && status.topic.as_deref() == Some(topic) {
        let note = format!("topic {topic} was gone from Kafka and is made again, empty");
        context
            .events
            .warning(&about, "TopicRecreated", &note)
            .await;
    }
    if let (Some(wanted), Some(there)) = (work.stream.spec.partitions, there)
        && wanted > there.partitions
        && !work.stream.spec.key.is_empty()
    {
        let note = topic::grew(topic, there.partitions, wanted);
        context
            .events
            .warning(&about, "PartitionsGrew", &note)
            .await;
    }
}

/// KafkaTopics of this stream elsewhere (the Platform's cluster was changed) are let go; their topics stay.
async fn sweep(work: &Work<'_>, kept: &DynamicObject, context: &Context) -> Result<(), Error> {
    for stray in release::strays(
        &context.strimzi,
        work.key,
        &work.at.namespace,
        &kept.name_any(),
    ) {
        release::release(&context.strimzi, &stray).await?;
    }
    Ok(())
}

/// The stream's Platform makes topics by the Admin API (again): KafkaTopics are let go, and their topics stay.
///
/// # Errors
/// The API server's.
pub async fn leave(
    key: &Key,
    status: &mut DataStreamStatus,
    context: &Context,
) -> Result<(), Error> {
    if status.kafka_topic.is_none() {
        return Ok(());
    }
    if !release::nothing_there(&context.strimzi).await {
        for object in release::of_owner(&context.strimzi, key).await? {
            release::release(&context.strimzi, &object).await?;
        }
    }
    status.kafka_topic = None;
    status.carried_config.clear();
    Ok(())
}

#[cfg(test)]
mod tests;
