//! Which topics a namespace's DataStreams may use.
//!
//! A namespace owns the names that begin with it and a dot; any other name needs a rule of the
//! Platform's `topicPolicy`. Names that belong to Kafka, Connect or a schema registry are nobody's.

use std::collections::BTreeMap;

use headworks_crds::TopicPolicy;
use headworks_plan::names;
use kube::core::{Selector, SelectorExt};

/// Names that infrastructure beside Kafka uses by default.
const RESERVED: [&str; 5] = [
    "_schemas",
    "connect-configs",
    "connect-offsets",
    "connect-status",
    "kafkasql-journal",
];

/// The topic that a DataStream uses.
pub fn topic_of(namespace: &str, name: &str, given: Option<&str>) -> String {
    given.map_or_else(|| format!("{namespace}.{name}"), str::to_owned)
}

/// The topic of a stream's dead letters.
pub fn dead_letter_topic(topic: &str) -> String {
    names::dead_letters(topic)
}

/// A stream's topics, its own and that of its dead letters, in the form in which Kafka tells names apart: `.` and `_` are one,
/// since both become `_` in the names of its metrics (`Topic.hasCollision`; of two such topics it refuses the second).
pub fn folded(topic: &str) -> [String; 2] {
    [topic.to_owned(), dead_letter_topic(topic)].map(|name| name.replace('.', "_"))
}

/// The topics of two streams that Kafka can't have beside each other: one of `topic`'s and one of `other`'s, which differ
/// in nothing but `.` and `_`. None for equal topics, which is another matter.
pub fn collision(topic: &str, other: &str) -> Option<(String, String)> {
    if topic == other {
        return None;
    }
    let names = |topic: &str| [topic.to_owned(), dead_letter_topic(topic)];
    let theirs = names(other).into_iter().zip(folded(other));
    let theirs: Vec<(String, String)> = theirs.collect();
    names(topic)
        .into_iter()
        .zip(folded(topic))
        .find_map(|(name, folded)| {
            let (same, _) = theirs
                .iter()
                .find(|(other, as_folded)| *as_folded == folded && *other != name)?;
            Some((name, same.clone()))
        })
}

/// What is wrong with two streams whose topics [collide](collision), and what to do; `owner` says whose the other one is.
pub fn collides(topic: &str, other: &str, owner: &str) -> Option<String> {
    let (name, same) = collision(topic, other)?;
    Some(format!(
        "topic {name} differs only in \".\" and \"_\" from {same} of {owner}, and Kafka refuses the second of two such names (it takes both for one in its metrics): choose another spec.topic"
    ))
}

/// Ok if the namespace may use the topic; else what is wrong and what to do.
pub fn allowed(
    topic: &str,
    namespace: &str,
    labels: &BTreeMap<String, String>,
    policy: &[TopicPolicy],
) -> Result<(), String> {
    if topic.starts_with("__") || RESERVED.contains(&topic) {
        return Err(format!(
            "topic {topic} belongs to Kafka, Connect or a schema registry; choose another name, such as {namespace}.{}",
            topic.trim_start_matches('_')
        ));
    }
    if names::is_internal(topic) {
        return Err(format!(
            "topic {topic} is named like one that a Pipeline makes for its state; choose another name"
        ));
    }
    let own = format!("{namespace}.");
    if topic.starts_with(&own) && topic.len() > own.len() {
        return Ok(());
    }
    let by_rule = policy.iter().any(|rule| {
        rule.prefixes
            .iter()
            .any(|prefix| topic.starts_with(prefix.as_str()))
            && Selector::try_from(rule.namespaces.clone())
                .is_ok_and(|selector| selector.matches(labels))
    });
    if by_rule {
        return Ok(());
    }
    Err(format!(
        "topic {topic} doesn't begin with {own} and no rule of the Platform's spec.kafka.topicPolicy lets namespace {namespace} use it; \
         choose a name that begins with {own} or ask for a rule"
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn policy() -> Vec<TopicPolicy> {
        serde_json::from_value(json!([{"namespaces": {"matchLabels": {"team": "core"}}, "prefixes": ["core.", "legacy-"]}])).unwrap()
    }

    fn core() -> BTreeMap<String, String> {
        BTreeMap::from([("team".into(), "core".into())])
    }

    #[test]
    fn a_namespace_owns_the_names_that_begin_with_it_and_a_dot() {
        assert!(allowed("shop.orders", "shop", &BTreeMap::new(), &[]).is_ok());
        assert!(allowed("shopping.orders", "shop", &BTreeMap::new(), &[]).is_err());
        assert!(allowed("shop.", "shop", &BTreeMap::new(), &[]).is_err());
    }

    #[test]
    fn another_name_needs_a_rule_that_selects_the_namespace() {
        assert!(allowed("legacy-orders", "shop", &core(), &policy()).is_ok());
        assert!(allowed("other-orders", "shop", &core(), &policy()).is_err());
        let message = allowed("legacy-orders", "shop", &BTreeMap::new(), &policy()).unwrap_err();
        assert!(
            message.contains("topicPolicy") && message.contains("shop."),
            "{message}"
        );
    }

    #[test]
    fn topics_that_differ_only_in_dots_and_underscores_collide_and_so_do_dead_letters() {
        let pair = |one: &str, other: &str| Some((one.to_owned(), other.to_owned()));
        assert_eq!(
            collision("shop.a_b", "shop.a.b"),
            pair("shop.a_b", "shop.a.b")
        );
        assert_eq!(
            collision("shop.a_dlq", "shop.a"),
            pair("shop.a_dlq", "shop.a.dlq")
        );
        assert_eq!(
            collision("shop.a", "shop.a_dlq"),
            pair("shop.a.dlq", "shop.a_dlq")
        );
        assert_eq!(collision("shop.a", "shop.a"), None);
        assert_eq!(collision("shop.a-b", "shop.a.b"), None);
        let said = collides("shop.a_b", "shop.a.b", "DataStream shop/a.b").unwrap();
        assert!(said.starts_with("topic shop.a_b differs only in"), "{said}");
    }

    #[test]
    fn names_of_kafka_and_its_neighbours_are_refused_even_where_a_rule_allows_them() {
        let all: Vec<TopicPolicy> =
            serde_json::from_value(json!([{"namespaces": {}, "prefixes": ["_", "connect-"]}]))
                .unwrap();
        for topic in ["__consumer_offsets", "_schemas", "connect-configs"] {
            assert!(allowed(topic, "shop", &core(), &all).is_err(), "{topic}");
        }
    }
}
