use headworks_crds::Platform;
use headworks_plan::{Contract, Field, Role, Stream};
use serde_json::{Value, json};

use super::*;
use crate::{
    access::workload::rights, data_stream::resolve::ResolvedStream,
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
        retention_ms: None,
    };
    build(&replay, &found, "SELECT id FROM orders".into())
}

#[test]
fn dead_letters_go_back_into_their_stream() {
    let spec = json!({"from": {"deadLetterOf": "orders", "reasons": ["Quality", "Late"], "rules": ["orders-sane"],
        "by": ["revenue"], "end": "2026-01-02T00:00:00Z"}, "recordsPerSecond": "2k"});
    let (workload, group) = built(&spec, &json!({}));
    assert_eq!(group, "headworks.prod.shop.again.replay");
    assert_eq!((workload.pods(), workload.shape), (1, Shape::StatefulSet));
    insta::assert_yaml_snapshot!("dead_letters_plan", workload.plan);
    let rights: Vec<String> = rights(&workload.plan, 1)
        .iter()
        .map(|acl| format!("{acl:?}"))
        .collect();
    insta::assert_yaml_snapshot!("dead_letters_rights", rights);
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
    ] {
        assert_ne!(one, of(other.clone()), "{other}");
    }
}
