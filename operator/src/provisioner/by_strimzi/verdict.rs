//! What is said of a stream's KafkaTopic: it is as wanted, it rests by somebody's wish, others have listed more, or why the
//! stream isn't Ready.

use std::{collections::BTreeMap, time::Duration};

use kube::{ResourceExt, api::DynamicObject};

use crate::{
    context::Context,
    kafka::Topic,
    provisioner::{
        settings::{self, Live},
        topic,
    },
    reason::ConditionReason,
    retry::Error,
    strimzi::{
        MANAGED, PAUSED, objects,
        observed::{self, Observed},
        ownership, topics,
    },
};

/// What others have listed in the KafkaTopic's config beside what is `wanted` there.
pub(super) async fn drift(
    wanted: &BTreeMap<String, String>,
    object: &DynamicObject,
    context: &Context,
) -> Result<Option<String>, Error> {
    let foreign = |key: &String| !wanted.contains_key(key);
    if !topics::listed(object).keys().any(foreign) {
        return Ok(None);
    }
    let resource = context.strimzi.topics.resource().await?;
    let api = objects::api(
        &context.strimzi,
        &resource,
        &object.namespace().unwrap_or_default(),
    );
    let place = place(object);
    let Some(fresh) = objects::get(&api, &place, &object.name_any()).await? else {
        return Ok(None);
    };
    let keys: Vec<String> = topics::listed(&fresh)
        .into_iter()
        .filter(|(key, _)| foreign(key))
        .map(|(key, value)| {
            let path = ["spec".to_owned(), "config".to_owned(), key.clone()];
            let who = ownership::holder(&fresh, &path).unwrap_or_else(|| "unknown".into());
            format!("{key}={value} (field manager {who})")
        })
        .collect();
    Ok((!keys.is_empty()).then(|| {
        format!(
            "{place} lists settings that this DataStream doesn't name: {}. They hold; name them in spec.config, or take them out of the KafkaTopic",
            keys.join(", ")
        )
    }))
}

/// True if the topic in Kafka is what the KafkaTopic lists.
pub(super) fn as_wanted(
    topic: Option<&Topic>,
    listed: &BTreeMap<String, String>,
    object: &DynamicObject,
) -> bool {
    topic.is_some_and(|topic| {
        let live: BTreeMap<String, Live> = topic::live(topic);
        settings::changes(listed, &[], &live).is_empty()
            && topics::number(object, "partitions").is_none_or(|n| n == topic.partitions)
    })
}

/// What is said of a KafkaTopic: nothing, that it rests by somebody's wish, or why the stream isn't Ready.
pub(super) fn judge(
    observed: &Observed,
    fits: bool,
    place: &str,
    object: &DynamicObject,
) -> Result<Option<(ConditionReason, String)>, Error> {
    match observed {
        Observed::Ready | Observed::Pending if fits => Ok(None),
        Observed::Failed { reason, message } => {
            let said = format!("Strimzi's Topic Operator says of {place}: {message}");
            // It tries again by itself, every two minutes; these two don't change by trying.
            Err(
                if matches!(reason.as_str(), "NotSupported" | "ResourceConflict") {
                    Error::stalled(reason.clone(), said)
                } else {
                    Error::waiting(reason.clone(), said)
                },
            )
        }
        Observed::Paused => rest(
            fits,
            ConditionReason::TopicPaused,
            format!("{place} is paused by its annotation {PAUSED}"),
        ),
        Observed::Unmanaged => rest(
            fits,
            ConditionReason::TopicUnmanaged,
            format!("{place} has the annotation {MANAGED}: \"false\""),
        ),
        Observed::Ready => {
            let warnings = observed::warnings(object).join("; ");
            Err(pending(
                place,
                &format!("it says Ready, but Kafka doesn't have the topic so. {warnings}"),
            ))
        }
        Observed::Pending | Observed::Terminating => Err(pending(place, "")),
    }
}

fn rest(
    fits: bool,
    reason: ConditionReason,
    why: String,
) -> Result<Option<(ConditionReason, String)>, Error> {
    if fits {
        return Ok(Some((
            reason,
            format!("{why}: what is changed here doesn't reach Kafka"),
        )));
    }
    Err(Error::stalled(
        reason,
        format!(
            "{why}, so the Topic Operator doesn't make or change the topic; remove the annotation"
        ),
    )
    .after(Duration::from_secs(60)))
}

pub(super) fn pending(place: &str, more: &str) -> Error {
    let more = if more.is_empty() {
        "it hasn't looked at it yet; if that lasts, look whether it runs (Deployment <cluster>-entity-operator) and whether it watches this namespace"
    } else {
        more
    };
    Error::waiting(
        ConditionReason::TopicPending,
        format!("Strimzi's Topic Operator has to make or change the topic of {place}: {more}"),
    )
    .after(Duration::from_secs(30))
}

pub(super) fn place(object: &DynamicObject) -> String {
    format!(
        "KafkaTopic {}/{}",
        object.namespace().unwrap_or_default(),
        object.name_any()
    )
}
