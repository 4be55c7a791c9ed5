//! Other DataStreams that name the same topic, and whose it is.
//!
//! A topic, and that of its dead letters beside it, is the oldest stream's whose namespace may use it. (No stream's topic is for
//! the dead letters of another: the schema refuses such names.) What is in it when a stream is deleted may be somebody else's by
//! then: the rule that gave it may have moved to another namespace.

use headworks_crds::{DataStream, Platform};
use kube::ResourceExt;

use crate::{
    context::Context, contract::topic_name, platform::resolve::resolve_platform,
    reason::ConditionReason, retry::Error,
};

fn topic_of(stream: &DataStream) -> String {
    let (namespace, name) = (stream.namespace().unwrap_or_default(), stream.name_any());
    topic_name::topic_of(&namespace, &name, stream.spec.topic.as_deref())
}

/// Other DataStreams that name the topic on the same Platform.
pub fn of(stream: &DataStream, topic: &str, context: &Context) -> Vec<DataStream> {
    let same = |other: &DataStream| {
        other.metadata.uid != stream.metadata.uid
            && other.spec.platform == stream.spec.platform
            && topic_of(other) == topic
    };
    context
        .stores
        .streams
        .state()
        .iter()
        .filter_map(|s| s.0.as_ref().ok().filter(|s| same(s)).cloned())
        .collect()
}

/// Those of the rivals that may use the topic.
pub fn entitled_among(
    rivals: Vec<DataStream>,
    platform: &Platform,
    context: &Context,
) -> Vec<DataStream> {
    rivals
        .into_iter()
        .filter(|rival| entitled(rival, platform, context))
        .collect()
}

/// Fails where a rival that may use the topic comes first. Pure.
///
/// # Errors
/// `TopicOwnedBy`.
pub fn check_precedence(
    stream: &DataStream,
    topic: &str,
    entitled: &[DataStream],
) -> Result<(), Error> {
    let first = entitled
        .iter()
        .filter(|rival| older(rival, stream))
        .min_by_key(|rival| age(rival));
    let Some(first) = first else { return Ok(()) };
    Err(Error::stalled(
        ConditionReason::TopicOwnedBy,
        format!(
            "topic {topic} belongs to DataStream {}, which is older; choose another spec.topic",
            place(first)
        ),
    ))
}

fn place(stream: &DataStream) -> String {
    format!(
        "{}/{}",
        stream.namespace().unwrap_or_default(),
        stream.name_any()
    )
}

/// Age, made total by name so that two operators agree.
fn age(stream: &DataStream) -> (i64, String, String) {
    let born = stream
        .creation_timestamp()
        .map_or(i64::MAX, |t| t.0.as_second());
    (
        born,
        stream.namespace().unwrap_or_default(),
        stream.name_any(),
    )
}

fn older(one: &DataStream, other: &DataStream) -> bool {
    age(one) < age(other)
}

/// A rival that may not use its topic by policy has no claim to it, however old it is.
fn entitled(rival: &DataStream, platform: &Platform, context: &Context) -> bool {
    rival.metadata.deletion_timestamp.is_none()
        && may_use(rival, &topic_of(rival), platform, context).is_ok()
        && resolve_platform(
            context,
            &rival.spec.platform,
            &rival.namespace().unwrap_or_default(),
        )
        .is_ok()
}

fn may_use(
    stream: &DataStream,
    topic: &str,
    platform: &Platform,
    context: &Context,
) -> Result<(), String> {
    let namespace = stream.namespace().unwrap_or_default();
    topic_name::allowed(
        topic,
        &namespace,
        &context.stores.namespace_labels(&namespace),
        &platform.spec.kafka.topic_policy,
    )
}

/// Why a topic that a stream has had must stay when the stream goes with `deletionPolicy: Delete`: it isn't its own any
/// more.
pub fn lost(stream: &DataStream, topic: &str, context: &Context) -> Option<String> {
    // Without its Platform there is no way to the topic anyway.
    let platform = context.stores.platform(&stream.spec.platform)?;
    let namespace = stream.namespace().unwrap_or_default();
    if let Err(message) = may_use(stream, topic, &platform, context) {
        return Some(message);
    }
    if let Err(error) = resolve_platform(context, &stream.spec.platform, &namespace)
        && error.is(ConditionReason::NamespaceNotAllowed)
    {
        return Some(error.message().to_owned());
    }
    let rivals = of(stream, topic, context);
    let theirs = rivals
        .iter()
        .find(|rival| has(rival, topic) && entitled(rival, &platform, context))?;
    Some(format!("topic {topic} is DataStream {}'s", place(theirs)))
}

/// True if a stream has made the topic its own.
fn has(stream: &DataStream, topic: &str) -> bool {
    let status = stream.status.as_ref();
    status.is_some_and(|status| status.topic.as_deref() == Some(topic))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn stream(name: &str, topic: &str, has: bool) -> DataStream {
        let status = if has {
            json!({"topic": topic})
        } else {
            json!({})
        };
        serde_json::from_value(json!({"metadata": {"name": name, "namespace": "shop"},
            "spec": {"topic": topic, "schema": [{"name": "id", "type": "string"}]}, "status": status}))
        .unwrap()
    }

    #[test]
    fn only_who_has_a_topic_keeps_it_from_going() {
        assert!(has(&stream("b", "t", true), "t"));
        assert!(!has(&stream("b", "other", true), "t"));
        // It was refused the topic, and makes it for itself when it is gone.
        assert!(!has(&stream("b", "t", false), "t"));
    }
}
