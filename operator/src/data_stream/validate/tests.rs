//! What is decided of a stream, held by golden files: whose topic it is, what becomes of its contract, what is to be done.

use std::collections::BTreeMap;

use headworks_crds::{
    ANNOTATION_ALLOW_BREAKING, AcceptedContract, Defaults, KeptSetting, Platform,
};
use serde_json::{Value, json};

use super::*;
use crate::{
    data_stream::build::{Desired, build},
    kafka::{Setting, Topic},
    provisioner::{Declared, provisioner},
    reason::ConditionReason,
};

const TOPIC: &str = "shop.orders";

fn stream(extra: &Value) -> DataStream {
    let mut spec = json!({"schema": [{"name": "id", "type": "string"}, {"name": "n", "type": "bigint"}],
        "key": ["id"], "retention": "7d"});
    let more = extra.as_object().unwrap().clone();
    spec.as_object_mut().unwrap().extend(more);
    serde_json::from_value(
        json!({"apiVersion": "headworks.dev/v1alpha1", "kind": "DataStream",
        "metadata": {"name": "orders", "namespace": "shop"}, "spec": spec}),
    )
    .unwrap()
}

fn platform(management: &Value) -> Platform {
    serde_json::from_value(json!({"metadata": {"name": "default"},
        "spec": {"kafka": {"bootstrapServers": "k:9092", "management": management}}}))
    .unwrap()
}

fn admin() -> Platform {
    platform(&json!({"admin": {}}))
}

fn strimzi() -> Platform {
    platform(&json!({"strimzi": {"cluster": "events", "namespace": "kafka"}}))
}

fn topic(partitions: i32, config: &[(&str, &str)]) -> Topic {
    Topic {
        name: TOPIC.into(),
        partitions,
        replicas: 3,
        config: config
            .iter()
            .map(|(key, value)| {
                let setting = Setting {
                    value: Some((*value).into()),
                    on_topic: true,
                };
                ((*key).to_owned(), setting)
            })
            .collect(),
    }
}

fn revision(stream: &DataStream, version: i32) -> Revision {
    Revision {
        version,
        contract: contract::obeyed(&super::contract(&stream.spec, &stream.spec, None).unwrap()),
        topic: TOPIC.into(),
        platform: "default".into(),
        kept: vec![],
        schema_ids: vec![],
        compatibility: Some(stream.spec.compatibility),
        used: vec![],
    }
}

/// As the status is when all is well with contract 1 of a stream.
fn settled(stream: &DataStream) -> DataStreamStatus {
    DataStreamStatus {
        topic: Some(TOPIC.into()),
        dead_letter_topic: Some(format!("{TOPIC}.dlq")),
        partitions: Some(3),
        replicas: Some(3),
        managed_config: vec!["cleanup.policy".into(), "retention.ms".into()],
        contract: Some(revision(stream, 1).reference("orders")),
        ..DataStreamStatus::default()
    }
}

fn in_force(accepted: Revision) -> Observed {
    Observed {
        history: History(vec![accepted.clone()]),
        in_force: Some(accepted),
        ..Observed::default()
    }
}

fn decided(
    stream: &DataStream,
    platform: &Platform,
    observed: Observed,
    status: &DataStreamStatus,
) -> Result<(Decision, Desired), Error> {
    let (key, dead_letters) = (Key::of(stream), format!("{TOPIC}.dlq"));
    let defaults: Defaults =
        serde_json::from_value(json!({"partitions": 6, "replicas": 3, "retention": "30d"}))
            .unwrap();
    let of = OfStream {
        stream,
        key: &key,
        topic: TOPIC,
        dead_letters: &dead_letters,
        defaults: &defaults,
    };
    let by = provisioner(platform);
    let contract = contract(&stream.spec, &stream.spec, None)?;
    let decision = decide(of, contract, observed, &*by, status)?;
    let desired = build(of, &decision, &*by, status);
    Ok((decision, desired))
}

fn refused(
    stream: &DataStream,
    platform: &Platform,
    observed: Observed,
    status: &DataStreamStatus,
) -> String {
    let error = decided(stream, platform, observed, status).unwrap_err();
    error.reason().to_owned()
}

/// A decision in short: the contract itself has its own golden files.
fn short(decision: &ContractDecision) -> String {
    match decision {
        ContractDecision::Keep(in_force) => format!("keep {}", in_force.version),
        ContractDecision::Hold(in_force) => format!("hold {}", in_force.version),
        ContractDecision::Refuse { in_force, why, .. } => {
            format!("refuse, {} stays: {:?}", in_force.version, why.faults)
        }
        ContractDecision::Accept {
            next,
            before,
            written,
        } => format!(
            "accept {} after {:?}, written {written}, used {}",
            next.version,
            before.as_ref().map(|b| b.version),
            next.used.len()
        ),
    }
}

#[test]
fn a_new_stream_s_topic_is_made_and_its_contract_is_the_first() {
    let stream = stream(&json!({}));
    let (status, new) = (DataStreamStatus::default(), Observed::default);
    let (decision, desired) = decided(&stream, &admin(), new(), &status).unwrap();
    assert_eq!(decision.topic.claim, Claim::Free);
    assert_eq!(
        short(&decision.contract),
        "accept 1 after None, written false, used 0"
    );
    insta::assert_debug_snapshot!("made_by_admin", desired);
    let (_, desired) = decided(&stream, &strimzi(), new(), &status).unwrap();
    insta::assert_debug_snapshot!("declared_to_strimzi", desired);
}

#[test]
fn a_topic_that_is_taken_over_keeps_what_it_has() {
    let stream = stream(&json!({"adopt": true, "partitions": 6}));
    let observed = || Observed {
        topic: Some(topic(
            3,
            &[("retention.ms", "2592000000"), ("segment.bytes", "7")],
        )),
        dead_letters: Some(topic(3, &[("retention.ms", "-1")])),
        ..Observed::default()
    };
    let status = DataStreamStatus::default();
    let (decision, desired) = decided(&stream, &admin(), observed(), &status).unwrap();
    assert!(matches!(decision.topic.claim, Claim::Adopt(_)));
    assert!(matches!(
        &decision.contract,
        ContractDecision::Accept { next, .. } if next.kept == decision.settings.kept && !next.kept.is_empty()
    ));
    insta::assert_debug_snapshot!("adopted_by_admin", desired);
    let (_, desired) = decided(&stream, &strimzi(), observed(), &status).unwrap();
    insta::assert_debug_snapshot!("adopted_by_strimzi", desired);
    // Not without being asked to.
    let plain = self::stream(&json!({}));
    for platform in [admin(), strimzi()] {
        assert_eq!(
            refused(&plain, &platform, observed(), &status),
            "TopicExists"
        );
    }
    let compacting = self::stream(&json!({"adopt": true, "compacted": true}));
    assert_eq!(
        refused(&compacting, &admin(), observed(), &status),
        "TopicMismatch"
    );
}

#[test]
fn what_is_so_already_asks_for_nothing() {
    let stream = stream(&json!({}));
    let status = settled(&stream);
    let observed = || Observed {
        topic: Some(topic(
            3,
            &[("retention.ms", "604800000"), ("cleanup.policy", "delete")],
        )),
        dead_letters: Some(topic(
            3,
            &[("retention.ms", "2592000000"), ("cleanup.policy", "delete")],
        )),
        ..in_force(revision(&stream, 1))
    };
    let (decision, desired) = decided(&stream, &admin(), observed(), &status).unwrap();
    assert_eq!(short(&decision.contract), "keep 1");
    insta::assert_debug_snapshot!("nothing_to_do", desired);
    // Its topic is gone: it is made again, as it was, and that is said.
    let gone = Observed {
        topic: None,
        ..observed()
    };
    let (_, desired) = decided(&stream, &admin(), gone, &status).unwrap();
    assert!(desired.topic.remade);
}

#[test]
fn fewer_partitions_than_there_are_stop_strimzi_s_and_are_said_of_ours_at_the_end() {
    let stream = stream(&json!({"partitions": 2}));
    let status = settled(&stream);
    let observed = || Observed {
        topic: Some(topic(3, &[])),
        ..in_force(revision(&stream, 1))
    };
    let (_, desired) = decided(&stream, &admin(), observed(), &status).unwrap();
    let shrinks = crate::provisioner::topic::Growth::Shrinks { from: 3, to: 2 };
    assert_eq!(desired.topic.growth, shrinks);
    assert_eq!(
        refused(&stream, &strimzi(), observed(), &status),
        "PartitionsCannotShrink"
    );
}

#[test]
fn a_contract_is_kept_accepted_or_refused() {
    let before = stream(&json!({}));
    let wider = stream(
        &json!({"schema": [{"name": "id", "type": "string"}, {"name": "n", "type": "bigint"},
        {"name": "note", "type": "string", "nullable": true}]}),
    );
    let narrower = stream(
        &json!({"schema": [{"name": "id", "type": "string"}, {"name": "n", "type": "int"}]}),
    );
    let status = settled(&before);
    let decide = |stream: &DataStream, observed: Observed| {
        let (decision, _) = decided(stream, &admin(), observed, &status).unwrap();
        (short(&decision.contract), decision.promised)
    };
    let first = || in_force(revision(&before, 1));
    let mode = before.spec.compatibility;
    let accepted = |written, used| {
        let accepted = format!("accept 2 after Some(1), written {written}, used {used}");
        (accepted, mode)
    };
    assert_eq!(decide(&before, first()), ("keep 1".to_owned(), mode));
    assert_eq!(decide(&wider, first()), accepted(false, 0));
    let (refused, promised) = decide(&narrower, first());
    assert!(refused.starts_with("refuse, 1 stays: "), "{refused}");
    assert!(refused.contains("field: \"n\""), "{refused}");
    assert_eq!(promised, mode);
    // An attempt that was cut short is gone on with.
    let begun = Observed {
        history: History(vec![revision(&wider, 2), revision(&before, 1)]),
        ..first()
    };
    assert_eq!(decide(&wider, begun), accepted(true, 0));
    // The annotation permits just this change, and is used up by it.
    let print = match decided(&narrower, &admin(), first(), &status)
        .unwrap()
        .0
        .contract
    {
        ContractDecision::Refuse { why, .. } => why.change,
        other => panic!("{other:?}"),
    };
    let mut permitted = narrower.clone();
    permitted.metadata.annotations = Some(BTreeMap::from([(
        ANNOTATION_ALLOW_BREAKING.to_owned(),
        print,
    )]));
    assert_eq!(decide(&permitted, first()), accepted(false, 1));
}

#[test]
fn a_lost_contract_is_written_again_and_the_next_follows_it() {
    let stream = stream(&json!({}));
    let status = settled(&stream);
    let lost = || Observed {
        topic: Some(topic(3, &[])),
        ..Observed::default()
    };
    let (decision, _) = decided(&stream, &admin(), lost(), &status).unwrap();
    assert_eq!(decision.lost, Some(revision(&stream, 1)));
    assert_eq!(short(&decision.contract), "keep 1");
    let changed = self::stream(&json!({"key": []}));
    assert_eq!(refused(&changed, &admin(), lost(), &status), "ContractLost");
}

#[test]
fn contracts_of_an_earlier_object_say_nothing_of_another_topic() {
    let stream = stream(&json!({}));
    let elsewhere = Revision {
        topic: "other".into(),
        kept: vec![KeptSetting {
            key: "retention.ms".into(),
            asked: "1".into(),
            kept: "2".into(),
        }],
        used: vec!["print".into()],
        ..revision(&stream, 7)
    };
    let observed = || in_force(elsewhere.clone());
    let status = DataStreamStatus::default();
    let (decision, _) = decided(&stream, &admin(), observed(), &status).unwrap();
    // But its number isn't given again, and what was permitted once stays used.
    assert_eq!(
        short(&decision.contract),
        "accept 8 after None, written false, used 1"
    );
    let there = Observed {
        topic: Some(topic(3, &[])),
        ..observed()
    };
    assert_eq!(refused(&stream, &admin(), there, &status), "TopicExists");
    // Of the same topic it proves whose that is, under Retain.
    let ours = Observed {
        topic: Some(topic(3, &[])),
        ..in_force(revision(&stream, 7))
    };
    let (decision, _) = decided(&stream, &admin(), ours, &status).unwrap();
    assert!(matches!(decision.topic.claim, Claim::Ours(_)));
    assert_eq!(short(&decision.contract), "keep 7");
}

#[test]
fn somebody_s_kafka_topic_for_the_dead_letters_stops_a_new_stream_only() {
    let stream = stream(&json!({}));
    let taken = |observed: Observed| Observed {
        declared: Declared {
            dead_letters_taken: Some(Error::stalled(ConditionReason::OwnedByAnother, "")),
            ..Declared::default()
        },
        ..observed
    };
    let status = DataStreamStatus::default();
    assert_eq!(
        refused(&stream, &strimzi(), taken(Observed::default()), &status),
        "OwnedByAnother"
    );
    let known = taken(in_force(revision(&stream, 1)));
    assert!(decided(&stream, &strimzi(), known, &settled(&stream)).is_ok());
}

#[test]
fn a_status_that_names_no_contract_in_force_any_more_is_not_read_as_another_s() {
    // Somebody put back a ConfigMap with the number and another content: nothing is in force, and it isn't the spec's either.
    let stream = stream(&json!({}));
    let mut status = settled(&stream);
    status.contract = Some(AcceptedContract {
        fingerprint: "other".into(),
        ..status.contract.clone().unwrap()
    });
    let observed = Observed {
        topic: Some(topic(3, &[])),
        history: History(vec![revision(&stream, 1)]),
        ..Observed::default()
    };
    assert_eq!(
        refused(&stream, &admin(), observed, &status),
        "ContractLost"
    );
}
