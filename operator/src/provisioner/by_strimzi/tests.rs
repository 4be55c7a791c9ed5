use std::collections::BTreeMap;

use serde_json::json;

use super::{
    desired::{carried, check_carried, count},
    verdict::{as_wanted, judge},
    *,
};
use crate::{kafka::Setting, reason::AnyReason, strimzi::KAFKA_TOPIC};

fn object(spec: &serde_json::Value) -> DynamicObject {
    let resource = KAFKA_TOPIC.resource("v1");
    let mut object = DynamicObject::new("shop.orders", &resource).within("kafka");
    object.data = json!({"spec": spec});
    object
}

fn topic(config: &[(&str, &str, bool)]) -> Topic {
    Topic {
        name: "shop.orders".into(),
        partitions: 3,
        replicas: 1,
        config: config
            .iter()
            .map(|(key, value, on_topic)| {
                let setting = Setting {
                    value: Some((*value).into()),
                    on_topic: *on_topic,
                };
                ((*key).to_owned(), setting)
            })
            .collect(),
    }
}

#[test]
fn everything_the_topic_has_of_its_own_is_carried() {
    let desired = BTreeMap::from([("retention.ms".to_owned(), "5".to_owned())]);
    let live = topic(&[
        ("retention.ms", "9", true),
        ("segment.bytes", "7", true),
        ("compression.type", "zstd", true),
        ("min.insync.replicas", "1", false),
        ("leader.replication.throttled.replicas", "*", true),
        ("flush.ms", "1", true),
    ]);
    let listed = object(&json!({"config": {"flush.ms": 2}}));
    let carried = carried(
        &desired,
        &["compression.type".into()],
        Some(&live),
        Some(&listed),
    );
    let wanted = [("flush.ms", "2"), ("segment.bytes", "7")];
    assert_eq!(
        carried,
        wanted
            .into_iter()
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .collect()
    );
}

#[test]
fn what_is_too_long_to_carry_is_refused_and_not_reset() {
    let live = topic(&[("x", &"y".repeat(2000), true)]);
    let carried = carried(&BTreeMap::new(), &[], Some(&live), None);
    let error = check_carried(&carried).unwrap_err();
    assert_eq!(error.reason(), "TopicMismatch");
}

#[test]
fn numbers_are_the_spec_s_or_stay_as_they_are_listed() {
    let (three, none) = (object(&json!({"partitions": 3})), object(&json!({})));
    let count = |wanted, object, there| count(wanted, object, "partitions", there, Some(6));
    assert_eq!(count(Some(4), Some(&three), Some(3)), Some(4));
    assert_eq!(count(None, Some(&three), Some(3)), Some(3));
    assert_eq!(count(None, Some(&three), Some(5)), Some(5));
    assert_eq!(count(None, Some(&none), Some(5)), None);
    assert_eq!(count(None, None, Some(5)), Some(5));
    assert_eq!(count(None, None, None), Some(6));
}

#[test]
fn kafka_decides_and_the_topic_operator_s_words_are_mirrored() {
    let object = object(&json!({}));
    let judge = |observed, fits| judge(&observed, fits, "KafkaTopic kafka/a", &object);
    assert_eq!(judge(Observed::Ready, true), Ok(None));
    assert_eq!(judge(Observed::Pending, true), Ok(None));
    assert_eq!(
        judge(Observed::Pending, false).unwrap_err().reason(),
        "TopicPending"
    );
    assert_eq!(
        judge(Observed::Ready, false).unwrap_err().reason(),
        "TopicPending"
    );
    let (reason, _) = judge(Observed::Paused, true).unwrap().unwrap();
    assert_eq!(reason, "TopicPaused");
    let stuck = judge(Observed::Unmanaged, false).unwrap_err();
    assert!(matches!(stuck, Error::Stalled { .. }) && stuck.reason() == "TopicUnmanaged");
    let failed = |reason: &str| Observed::Failed {
        reason: AnyReason::read(reason),
        message: "words".into(),
    };
    let error = judge(failed("KafkaError"), true).unwrap_err();
    assert!(matches!(error, Error::Waiting { .. }) && error.message().contains("words"));
    let error = judge(failed("NotSupported"), true).unwrap_err();
    assert!(matches!(error, Error::Stalled { .. }));
}

#[test]
fn a_topic_fits_when_kafka_has_what_is_listed() {
    let kafka_topic = object(&json!({"partitions": 3}));
    let live = topic(&[("retention.ms", "5", true)]);
    let listed = BTreeMap::from([("retention.ms".to_owned(), "5".to_owned())]);
    assert!(as_wanted(Some(&live), &listed, &kafka_topic));
    assert!(!as_wanted(None, &listed, &kafka_topic));
    assert!(!as_wanted(
        Some(&live),
        &listed,
        &object(&json!({"partitions": 4}))
    ));
    let other = BTreeMap::from([("retention.ms".to_owned(), "6".to_owned())]);
    assert!(!as_wanted(Some(&live), &other, &kafka_topic));
}
