use std::collections::BTreeSet;

use headworks_crds::Platform;
use headworks_plan::{Contract, Field, Role, Stream};
use serde_json::{Value, json};

use super::*;
use crate::{
    access::workload::rights,
    data_stream::resolve::ResolvedStream,
    kafka::{Acl, Operation, Resource as About},
    platform::resolve::ResolvedPlatform,
};

fn stream(name: &str) -> ResolvedStream {
    ResolvedStream {
        stream: Stream {
            name: name.into(),
            topic: format!("shop.{name}"),
            dead_letter_topic: format!("shop.{name}.dlq"),
            contract: Contract {
                fields: vec![Field::new("id", "string", false)],
                ..Contract::default()
            },
            max_message_bytes: 1_048_588,
            rules: Vec::new(),
        },
        platform: "default".into(),
        partitions: Some(6),
        registry: None,
    }
}

fn built(spec: &Value, annotations: &Value) -> (Workload, String) {
    let platform: Platform = serde_json::from_value(json!({"metadata": {"name": "default"},
        "spec": {"kafka": {"bootstrapServers": "k:9092", "management": {"admin": {}}}}}))
    .unwrap();
    let replay: Replay = serde_json::from_value(
        json!({"metadata": {"name": "again", "namespace": "shop", "annotations": annotations}, "spec": spec}),
    )
    .unwrap();
    let found = References {
        source: stream(replay.spec.source()),
        target: stream(replay.spec.target()),
        platform: ResolvedPlatform {
            platform,
            installation: "prod".into(),
        },
        ca: None,
        pipeline: replay.spec.into_pipeline().map(|_| pipeline()),
        retention_ms: None,
    };
    build(&replay, &found, "SELECT id FROM orders".into(), false).unwrap()
}

/// The plan of a Pipeline from `orders` to `clean`.
fn pipeline() -> headworks_plan::Plan {
    let (orders, clean) = (stream("orders").stream, stream("clean").stream);
    serde_json::from_value(json!({"version": 2, "installation": "prod", "namespace": "shop", "name": "cleans",
        "kafka": {"bootstrapServers": "k:9092"}, "role": {"pipeline": {"sql": "SELECT id FROM orders WHERE id <> ''",
        "inputs": [orders], "outputs": [clean], "delivery": "ExactlyOnce", "commitIntervalMs": 100,
        "startFrom": "latest", "onBadRecord": "Stop", "stages": [{"id": "streams", "runs": 0, "group": "headworks.prod.shop.cleans",
        "reads": [{"stream": "orders"}], "ends": {"streams": {}}}]}}}))
    .unwrap()
}

#[test]
fn a_replay_into_a_pipeline_writes_what_the_pipeline_does_and_not_the_stream() {
    let spec = json!({"from": {"deadLetterOf": "orders", "where": "id <> 'x'"}, "into": {"pipeline": "cleans"}});
    let (workload, group) = built(&spec, &json!({}));
    let Role::ReplayIntoPipeline(replay) = &workload.plan.role else {
        panic!("a Replay into a Pipeline")
    };
    let query = &replay.query;
    assert_eq!(query.sql, "SELECT id FROM orders WHERE id <> ''");
    assert_eq!(
        (&*query.inputs[0].topic, &*query.outputs[0].topic),
        ("shop.orders.dlq", "shop.clean")
    );
    assert_eq!(
        (&query.stages[0].group, query.start_from),
        (&group, headworks_plan::StartFrom::Earliest)
    );
    assert_eq!(query.on_bad_record, headworks_plan::OnBadRecord::DeadLetter);
    let into = replay.into_pipeline.as_ref().unwrap();
    assert_eq!(into.fix.as_deref(), Some("SELECT id FROM orders"));
    assert_eq!(replay.dead_letters.as_ref().unwrap().by, ["shop/cleans"]);
    let rights = rights(&workload.plan, 1);
    let writes =
        |topic: &str| rights.contains(&Acl::literal(About::Topic, topic, Operation::Write));
    assert!(writes("shop.clean") && writes("shop.orders.dlq") && !writes("shop.orders"));
    assert!(
        !rights
            .iter()
            .any(|acl| acl.name.starts_with("headworks.prod.shop.cleans"))
    );
}

#[test]
fn dead_letters_go_back_into_their_stream() {
    let spec = json!({"from": {"deadLetterOf": "orders", "reasons": ["Quality", "Late"], "rules": ["orders-sane"],
        "by": ["revenue"], "end": "2026-01-02T00:00:00Z"}, "recordsPerSecond": "2k"});
    let (workload, group) = built(&spec, &json!({}));
    assert_eq!(group, "headworks.prod.shop.again.replay");
    assert_eq!((workload.pods(), workload.shape), (1, Shape::StatefulSet));
    let Role::Replay(replay) = &workload.plan.role else {
        panic!("a Replay")
    };
    let query = &replay.query;
    let (input, output) = (&query.inputs[0], &query.outputs[0]);
    assert_eq!((&*input.name, &*input.topic), ("orders", "shop.orders.dlq"));
    assert_eq!(input.dead_letter_topic, "shop.orders.dlq");
    assert_eq!(output.topic, "shop.orders");
    assert_eq!(query.on_bad_record, headworks_plan::OnBadRecord::DeadLetter);
    assert_eq!(query.stages.len(), 1);
    assert_eq!(query.stages[0].group, group);
    let words = |all: &[&str]| all.iter().map(|word| (*word).to_owned()).collect();
    let selection = headworks_plan::DeadLetterSelection {
        reasons: words(&["Quality", "Late"]),
        rules: words(&["orders-sane"]),
        by: words(&["shop/revenue"]),
    };
    assert_eq!(replay.dead_letters, Some(selection));
    assert_eq!(replay.end_ms, Some(1_767_312_000_000));
    assert_eq!(replay.records_per_second, Some(2_000));
}

#[test]
fn its_pod_may_do_what_it_does_and_nothing_else() {
    let (workload, group) = built(&json!({"from": {"deadLetterOf": "orders"}}), &json!({}));
    let member = names::member(&group, 0);
    let expected: BTreeSet<Acl> = [
        Acl::literal(About::Topic, "shop.orders.dlq", Operation::Read),
        Acl::literal(About::Topic, "shop.orders.dlq", Operation::Write),
        Acl::literal(About::Topic, "shop.orders.dlq", Operation::Describe),
        Acl::literal(About::Topic, "shop.orders", Operation::Write),
        Acl::literal(About::Topic, "shop.orders", Operation::Describe),
        Acl::literal(About::Group, &group, Operation::Read),
        Acl::literal(About::Group, &group, Operation::Describe),
        Acl::literal(About::TransactionalId, &member, Operation::Write),
        Acl::literal(About::TransactionalId, &member, Operation::Describe),
    ]
    .into();
    assert_eq!(rights(&workload.plan, 1), expected);
}

#[test]
fn a_part_of_a_stream_goes_into_another() {
    let spec = json!({"from": {"stream": "orders", "start": "2026-01-01T00:00:00Z"}, "into": {"stream": "orders-2"}, "suspend": true});
    let loss = json!({"headworks.dev/accept-data-loss": "shop.orders/0@7"});
    let (workload, _) = built(&spec, &loss);
    assert_eq!(workload.pods(), 0);
    let Role::Replay(replay) = workload.plan.role else {
        panic!("a Replay")
    };
    let query = &replay.query;
    assert_eq!(query.inputs[0].topic, "shop.orders");
    assert_eq!(query.inputs[0].dead_letter_topic, "shop.orders.dlq");
    assert_eq!(query.outputs[0].topic, "shop.orders-2");
    assert_eq!(
        query.start_from,
        headworks_plan::StartFrom::Time(1_767_225_600_000)
    );
    assert_eq!(query.accept_data_loss.as_deref(), Some("shop.orders/0@7"));
    assert_eq!(replay.dead_letters, None);
}

#[test]
fn the_id_is_of_what_is_done_and_not_of_how_fast() {
    let of = |value: Value| id(&serde_json::from_value(value).unwrap());
    let one = of(json!({"from": {"deadLetterOf": "orders"}}));
    assert_eq!(one.len(), 16);
    // It is in Kafka at users': it never changes for the same spec.
    assert_eq!(one, "6b06597d182e1125");
    assert_eq!(
        one,
        of(
            json!({"from": {"deadLetterOf": "orders"}, "into": {"stream": "orders"}, "recordsPerSecond": "5", "approved": true})
        )
    );
    for other in [
        json!({"from": {"deadLetterOf": "orders", "reasons": ["Late"]}}),
        json!({"from": {"deadLetterOf": "orders"}, "fix": "SELECT 1"}),
        json!({"from": {"deadLetterOf": "orders"}, "into": {"stream": "b"}}),
        json!({"from": {"deadLetterOf": "orders"}, "into": {"pipeline": "orders"}}),
    ] {
        assert_ne!(one, of(other.clone()), "{other}");
    }
}

#[test]
fn what_has_begun_is_told_to_the_next_pod_and_not_to_the_one_that_runs() {
    let status = |of| ReplayStatus {
        of,
        ..ReplayStatus::default()
    };
    let (first, _) = built(&json!({"from": {"deadLetterOf": "orders"}}), &json!({}));
    let mut told = first.plan.clone();
    let Role::Replay(replay) = &mut told.role else {
        panic!("a Replay")
    };
    assert!(!replay.begun);
    replay.begun = true;
    assert!(!has_begun(&status(None), false, &[]));
    // Shown before the first commit.
    assert!(!has_begun(&status(Some(0)), false, &[]));
    let live = [first.plan];
    assert!(has_begun(&status(Some(7)), false, &live));
    assert!(!has_begun(&status(Some(7)), true, &live));
    // The pod before may still be ending.
    let [first] = live;
    assert!(has_begun(&status(Some(7)), true, &[first, told]));
}
