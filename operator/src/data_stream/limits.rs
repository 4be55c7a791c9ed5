//! What a Platform's `limits` let a DataStream ask of Kafka. Pure, but for [`check`], which looks at the neighbours.
//!
//! A stream that asks for too much is held back before anything is done to its topic; what is there stays, and so does the accepted
//! contract. Partitions that are there already are no fault, because Kafka can't take them away.

use headworks_crds::{DataStream, DataStreamSpec, Platform};
use kube::ResourceExt;

use crate::reason::ConditionReason;
use crate::retry::Error;

/// What is looked at besides the spec.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Around {
    /// Partitions that the topic has now; absent: there is none yet.
    pub there: Option<i32>,
    /// Partitions of the namespace's other streams on this Platform, those that come first.
    pub others: i32,
}

/// Fails if the stream asks for more than the Platform allows. Pure.
///
/// # Errors
/// `LimitExceeded`, with each place and the remedy.
pub fn check(spec: &DataStreamSpec, platform: &Platform, around: Around) -> Result<(), Error> {
    match fault(spec, platform, around) {
        None => Ok(()),
        // Another stream may give partitions back.
        Some(message) => Err(Error::stalled(ConditionReason::LimitExceeded, message)
            .after(std::time::Duration::from_secs(60))),
    }
}

/// What the namespace's other streams have, and those that were made before this one ask for.
pub fn around<'a>(
    stream: &DataStream,
    platform: &Platform,
    streams: impl Iterator<Item = &'a DataStream>,
) -> Around {
    let age = |stream: &DataStream| {
        let made = stream.creation_timestamp().map(|t| t.0);
        (made.is_none(), made, stream.name_any())
    };
    let there = |stream: &DataStream| stream.status.as_ref().and_then(|s| s.partitions);
    let limits = platform.spec.limits.as_ref();
    if limits.is_none_or(|limits| limits.partitions_per_namespace.is_none()) {
        return Around {
            there: there(stream),
            others: 0,
        };
    }
    let others = streams.filter(|other| {
        other.namespace() == stream.namespace()
            && other.name_any() != stream.name_any()
            && other.spec.platform == stream.spec.platform
    });
    let others = others.map(|other| {
        let has = there(other).unwrap_or(0);
        let first = age(other) < age(stream);
        has.max(if first {
            asked(&other.spec, platform)
        } else {
            0
        })
    });
    Around {
        there: there(stream),
        others: others.fold(0, i32::saturating_add),
    }
}

/// Partitions that a spec asks for. Where neither it nor the Platform says a number it is the brokers', which isn't known before
/// the topic is there; one is the least.
fn asked(spec: &DataStreamSpec, platform: &Platform) -> i32 {
    let defaults = platform.spec.defaults.as_ref();
    spec.partitions
        .or(defaults.and_then(|d| d.partitions))
        .unwrap_or(1)
}

/// What [`check`] says.
pub fn fault(spec: &DataStreamSpec, platform: &Platform, around: Around) -> Option<String> {
    let limits = platform.spec.limits.as_ref()?;
    let mut faults = Vec::new();
    let wanted = spec
        .partitions
        .unwrap_or_else(|| around.there.unwrap_or_else(|| asked(spec, platform)));
    let grows = around.there.is_none_or(|there| wanted > there);
    if let Some(most) = limits
        .partitions_per_stream
        .filter(|most| grows && wanted > *most)
    {
        faults.push(format!(
            "spec.partitions: {wanted} are more than a stream may have (partitionsPerStream: {most})"
        ));
    }
    if let Some(most) = limits
        .partitions_per_namespace
        .filter(|most| grows && around.others.saturating_add(wanted) > *most)
    {
        faults.push(format!(
            "spec.partitions: {wanted}, and the other streams of the namespace have {}: more than it may have (partitionsPerNamespace: {most})",
            around.others
        ));
    }
    if let Some(most) = &limits.retention {
        let dead_letters = spec.dead_letter.as_ref().and_then(|d| d.retention.as_ref());
        for (place, retention) in [
            ("spec.retention", spec.retention.as_ref()),
            ("spec.deadLetter.retention", dead_letters),
        ] {
            if let Some(asked) = retention.filter(|asked| asked.millis() > most.millis()) {
                faults.push(format!(
                    "{place}: {asked} is longer than records may be kept (retention: {most})"
                ));
            }
        }
    }
    if let Some(allowed) = &limits.topic_config {
        let refused: Vec<&str> = spec
            .config
            .keys()
            .filter(|key| !allowed.contains(key))
            .map(String::as_str)
            .collect();
        if !refused.is_empty() {
            let allowed = if allowed.is_empty() {
                "none is".to_owned()
            } else {
                allowed.join(", ")
            };
            faults.push(format!(
                "spec.config: {} may not be set (topicConfig: {allowed})",
                refused.join(", ")
            ));
        }
    }
    if faults.is_empty() {
        return None;
    }
    Some(format!(
        "{}. So says spec.limits of Platform {}: ask for less, or ask who runs it; the topic and the accepted contract stay as they are",
        faults.join("; "),
        platform.name_any()
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn platform(limits: &Value) -> Platform {
        serde_json::from_value(json!({"metadata": {"name": "default"}, "spec": {"limits": limits, "defaults": {"partitions": 6},
            "kafka": {"bootstrapServers": "k:9092", "management": {"admin": {}}}}}))
        .unwrap()
    }

    fn stream(name: &str, second: i64, spec: Value, partitions: Option<i32>) -> DataStream {
        let mut all = json!({"schema": [{"name": "id", "type": "string"}]});
        let more = spec.as_object().unwrap().clone();
        all.as_object_mut().unwrap().extend(more);
        let made = jiff::Timestamp::from_second(second).unwrap().to_string();
        serde_json::from_value(
            json!({"metadata": {"name": name, "namespace": "shop", "creationTimestamp": made},
            "spec": all, "status": {"partitions": partitions}}),
        )
        .unwrap()
    }

    fn said(limits: &Value, spec: Value, around: Around) -> Option<String> {
        fault(&stream("a", 1, spec, None).spec, &platform(limits), around)
    }

    #[test]
    fn what_is_too_much_is_named_with_its_limit() {
        let limits = json!({"partitionsPerStream": 12, "partitionsPerNamespace": 30, "retention": "30d",
            "topicConfig": ["compression.type"]});
        let new = Around::default();
        for (spec, words) in [
            (
                json!({"partitions": 13}),
                ["spec.partitions: 13", "partitionsPerStream: 12"],
            ),
            (
                json!({"retention": "31d"}),
                ["spec.retention: 31d", "retention: 30d"],
            ),
            (
                json!({"deadLetter": {"retention": "5w"}}),
                ["spec.deadLetter.retention: 5w", "Platform default"],
            ),
            (
                json!({"config": {"segment.bytes": "1", "compression.type": "zstd"}}),
                ["spec.config: segment.bytes may not", "compression.type"],
            ),
        ] {
            let fault = said(&limits, spec, new).unwrap();
            assert!(words.iter().all(|word| fault.contains(word)), "{fault}");
        }
        let fine = json!({"partitions": 12, "retention": "30d", "deadLetter": {"retention": "1d"}, "config": {"compression.type": "zstd"}});
        assert_eq!(said(&limits, fine, new), None);
        assert_eq!(
            said(
                &json!({}),
                json!({"partitions": 999, "retention": "520w"}),
                new
            ),
            None
        );
    }

    #[test]
    fn partitions_that_are_there_are_no_fault_and_more_of_them_are() {
        let limits = json!({"partitionsPerStream": 4, "partitionsPerNamespace": 10});
        let there = |there, others| Around {
            there: Some(there),
            others,
        };
        assert_eq!(said(&limits, json!({"partitions": 6}), there(6, 50)), None);
        assert_eq!(said(&limits, json!({}), there(6, 50)), None);
        assert!(said(&limits, json!({"partitions": 7}), there(6, 0)).is_some());
        assert!(said(&limits, json!({"partitions": 4}), there(3, 7)).is_some());
        assert_eq!(said(&limits, json!({"partitions": 4}), there(3, 6)), None);
        // The Platform's default counts as if it were asked for.
        assert!(said(&limits, json!({}), Around::default()).is_some());
    }

    #[test]
    fn who_came_first_has_a_namespace_s_partitions() {
        let platform = platform(&json!({"partitionsPerNamespace": 10}));
        let old = stream("old", 1, json!({"partitions": 6}), None);
        let new = stream("new", 2, json!({"partitions": 6}), None);
        let fault = |of: &DataStream, other: &DataStream| {
            let both = [of.clone(), other.clone()];
            fault(&of.spec, &platform, around(of, &platform, both.iter()))
        };
        assert_eq!(fault(&old, &new), None);
        assert!(
            fault(&new, &old)
                .unwrap()
                .contains("the other streams of the namespace have 6")
        );
        // But not what somebody has already.
        let has = stream("new", 2, json!({"partitions": 6}), Some(6));
        assert!(fault(&old, &has).is_some());
        assert_eq!(fault(&has, &old), None);
        let elsewhere = stream(
            "old",
            1,
            json!({"partitions": 6, "platform": "other"}),
            Some(6),
        );
        assert_eq!(fault(&new, &elsewhere), None);
    }
}
