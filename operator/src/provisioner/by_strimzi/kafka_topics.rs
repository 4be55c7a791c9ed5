//! A stream's KafkaTopic: looked for, written, and let go.
//!
//! Whether the topic is as it should be is read from Kafka itself; what the Topic Operator says of it is mirrored.

use std::sync::Arc;

use headworks_crds::{DataStreamStatus, ManagedByStrimzi};
use kube::{Resource, ResourceExt, api::DynamicObject};

use super::verdict::{as_wanted, drift, judge, pending, place};
use crate::{
    context::Context,
    kafka::{Admin, Topic},
    names::Key,
    provisioner::{
        Declared, OfStream, TopicOutcome, in_kafka,
        topic::{Action, DesiredTopic, FoundTopic, Growth},
    },
    reason::ConditionReason,
    retry::Error,
    strimzi::{
        MANAGED,
        objects::{self, Applied},
        observed::{Observed, observed},
        ownership, release,
        topics::{self, KafkaTopic},
    },
};

/// Looks for the stream's KafkaTopic; an error if it must be left alone.
pub async fn find(
    of: OfStream<'_>,
    at: &ManagedByStrimzi,
    context: &Context,
) -> Result<Declared, Error> {
    let mut declared = object(of, at, context).await?;
    declared.dead_letters_taken = dead_letters_taken(context, of.dead_letters, at);
    Ok(declared)
}

async fn object(
    of: OfStream<'_>,
    at: &ManagedByStrimzi,
    context: &Context,
) -> Result<Declared, Error> {
    let kind = &context.strimzi.topics;
    let resource = kind.resource().await?;
    let all = kind.filter(|o| topics::is_for(o, &at.cluster, &at.namespace, of.topic));
    if let Some(ours) = all.iter().find(|o| ownership::is_of(o, of.key)) {
        return Ok(Declared {
            object: Some(ours.clone()),
            ours: true,
            ..Declared::default()
        });
    }
    let Some(other) = all.into_iter().next() else {
        return Ok(Declared::default());
    };
    // The store has no field managers.
    let place = format!("KafkaTopic {}/{}", at.namespace, other.name_any());
    let api = objects::api(&context.strimzi, &resource, &at.namespace);
    let Some(other) = objects::get(&api, &place, &other.name_any()).await? else {
        return Ok(Declared::default());
    };
    let taken = ownership::owner(&other).or_else(|| ownership::controller(&other));
    match taken {
        None if of.stream.spec.adopt => Ok(Declared {
            object: Some(Arc::new(other)),
            ours: false,
            ..Declared::default()
        }),
        None => Err(objects::foreign(
            &place,
            &other,
            "set spec.adopt: true to take it over (what it lists beside the spec stays), ",
        )),
        Some(_) => Err(objects::foreign(&place, &other, "")),
    }
}

/// Why a stream's dead letters can't have their topic: somebody's KafkaTopic is for it. That one is made by the Admin API, and the
/// Topic Operator would put its settings back.
fn dead_letters_taken(context: &Context, topic: &str, at: &ManagedByStrimzi) -> Option<Error> {
    let kind = &context.strimzi.topics;
    let all = kind.filter(|o| topics::is_for(o, &at.cluster, &at.namespace, topic));
    let other = all
        .into_iter()
        .find(|o| o.annotations().get(MANAGED).map(String::as_str) != Some("false"))?;
    let place = place(&other);
    let remedy = format!(
        "it is for topic {topic}, where this stream's dead letters go: annotate it with {MANAGED}: \"false\" first and "
    );
    Some(objects::foreign(&place, &other, &remedy))
}

/// Makes or changes the KafkaTopic, and says in the status what the topic is now.
///
/// # Errors
/// Waiting `TopicPending` while there is no topic yet; what the Topic Operator or the API server says.
pub async fn apply(
    of: OfStream<'_>,
    at: &ManagedByStrimzi,
    desired: DesiredTopic,
    found: FoundTopic,
    admin: &Admin,
    status: &mut DataStreamStatus,
    context: &Context,
) -> Result<TopicOutcome, Error> {
    let Action::Declare {
        kafka_topic,
        carried,
    } = &desired.action
    else {
        return Err(Error::transient(
            ConditionReason::Internal,
            format!(
                "topic {} isn't declared, and its Platform declares",
                of.topic
            ),
        ));
    };
    desired.settings.note(status);
    status.carried_config.clone_from(carried);
    let applied = write(of, kafka_topic, &found.declared, context).await?;
    tell(of, &desired, &applied, &found.declared, context).await;
    status.managed_config.clone_from(&desired.settings.managed);
    status.kafka_topic = Some(applied.object.name_any());
    let listed = topics::listed(&applied.object);
    let mut there: Option<Topic> = found.claim.found().cloned();
    if observed(&applied.object) == Observed::Ready
        && !as_wanted(there.as_ref(), &listed, &applied.object)
    {
        // The Topic Operator was quicker than our look at Kafka.
        there = in_kafka::topics::look(admin, of.topic).await?;
    }
    let fits = as_wanted(there.as_ref(), &listed, &applied.object);
    let place = place(&applied.object);
    let judged = judge(&observed(&applied.object), fits, &place, &applied.object);
    let Some(there) = there else {
        return Err(judged.err().unwrap_or_else(|| pending(&place, "")));
    };
    status.topic = Some(of.topic.to_owned());
    status.partitions = Some(there.partitions);
    status.replicas = Some(there.replicas);
    sweep(of.key, at, &applied.object, context).await?;
    let drift = drift(&kafka_topic.config, &applied.object, context).await?;
    let (pending, resting) = match judged {
        Ok(resting) => (None, resting),
        Err(error) => (Some(error), None),
    };
    Ok(TopicOutcome {
        pending,
        resting,
        drift,
    })
}

async fn write(
    of: OfStream<'_>,
    wanted: &KafkaTopic,
    declared: &Declared,
    context: &Context,
) -> Result<Applied, Error> {
    let resource = context.strimzi.topics.resource().await?;
    let object = declared.object.as_deref();
    let built = topics::build(wanted, of.key, &resource, object);
    let take_over = object.is_some() && !declared.ours;
    objects::apply(
        &context.strimzi,
        &context.strimzi.topics,
        &built,
        of.key,
        take_over,
    )
    .await
}

/// Events of what happened.
async fn tell(
    of: OfStream<'_>,
    desired: &DesiredTopic,
    applied: &Applied,
    declared: &Declared,
    context: &Context,
) {
    if !applied.put_back.is_empty() && declared.ours {
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
        let place = place(&applied.object);
        let note = format!("{place}: {}; change the DataStream instead", all.join(", "));
        let about = of.stream.object_ref(&());
        context
            .events
            .warning(&about, ConditionReason::DriftPutBack, &note)
            .await;
    }
    if desired.remade {
        in_kafka::topics::remade(of.stream, of.topic, context).await;
    }
    if let Growth::Grows { from, to } = desired.growth {
        in_kafka::topics::grown(of.stream, of.topic, from, to, context).await;
    }
}

/// KafkaTopics of this stream elsewhere (the Platform's cluster was changed) are let go; their topics stay.
async fn sweep(
    owner: &Key,
    at: &ManagedByStrimzi,
    kept: &DynamicObject,
    context: &Context,
) -> Result<(), Error> {
    let name = kept.name_any();
    for stray in release::strays(&context.strimzi, owner, &at.namespace, &name) {
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

/// What is left of an owner's KafkaTopics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Left {
    /// The cluster has no KafkaTopics at all.
    NoKind,
    /// Nothing that anybody has to do.
    Nothing,
    /// Namespace and name of one whose topic the Topic Operator has to delete.
    Ending(String),
}

/// Lets go of all KafkaTopics of an owner that goes. `keeps`: their topics stay.
///
/// # Errors
/// The API server's.
pub async fn let_go(owner: &Key, keeps: bool, context: &Context) -> Result<Left, Error> {
    if release::nothing_there(&context.strimzi).await {
        return Ok(Left::NoKind);
    }
    let all = release::of_owner(&context.strimzi, owner).await?;
    for object in &all {
        if keeps {
            release::release(&context.strimzi, object).await?;
        } else {
            objects::delete(&context.strimzi, &context.strimzi.topics, object).await?;
        }
    }
    let first = all.first().filter(|_| !keeps).map(|object| {
        format!(
            "{}/{}",
            object.namespace().unwrap_or_default(),
            object.name_any()
        )
    });
    Ok(first.map_or(Left::Nothing, Left::Ending))
}
