use headworks_plan::{
    Contract, DeadLetterSelection, Delivery, Edge, Ends, Field, Format, KafkaConnection,
    OnBadRecord, OnOverflow, PEEK_VERSION, PeekTask, PipelinePlan, ReplayPreview, StagePlan,
    Stream,
};

use super::*;
use crate::peek::select::Found;
use crate::peek::select::memory::{Memory, record};

fn stream(topic: &str) -> Stream {
    Stream {
        name: "orders".into(),
        topic: topic.into(),
        dead_letter_topic: "shop.orders.dlq".into(),
        contract: Contract {
            fields: vec![
                Field::new("id", "string", false),
                Field::new("n", "bigint", false),
            ],
            format: Format::Avro,
            ..Contract::default()
        },
        max_message_bytes: 1_048_588,
        rules: Vec::new(),
    }
}

fn replay(start_from: StartFrom, end_ms: Option<i64>) -> ReplayPlan {
    ReplayPlan {
        query: PipelinePlan {
            sql: "SELECT id, 6 / n AS n FROM orders".into(),
            inputs: vec![stream("shop.orders.dlq")],
            outputs: vec![stream("shop.orders")],
            delivery: Delivery::ExactlyOnce,
            commit_interval_ms: 1,
            start_from,
            on_bad_record: OnBadRecord::DeadLetter,
            on_overflow: OnOverflow::DeadLetter,
            stages: vec![StagePlan {
                id: "streams".into(),
                runs: Some(0),
                group: "g".into(),
                reads: vec![Edge::Stream("orders".into())],
                ends: Ends::Streams { results: None },
                state: None,
                max_drift_ms: None,
            }],
            accept_data_loss: None,
            verdicts: None,
        },
        id: "id".into(),
        end_ms,
        dead_letters: Some(DeadLetterSelection::default()),
        records_per_second: None,
        begun: false,
        into_pipeline: None,
    }
}

fn previewed(replay: &ReplayPlan) -> ReplayPreview {
    let mut topic = Memory::default();
    for n in 0..10_i64 {
        topic.add(Found {
            // What a Source was sent, though the stream is Avro.
            value: Some(format!(r#"{{"id":"r{n}","n":{}}}"#, n % 3).into_bytes()),
            headers: vec![("headworks.reason".into(), b"Quality".to_vec())],
            ..record(0, n, n, "k")
        });
    }
    let plan = PeekPlan {
        version: PEEK_VERSION,
        kafka: KafkaConnection::default(),
        registry: None,
        stream: stream("shop.orders"),
        group: "g".into(),
        masked: Vec::new(),
        task: PeekTask::Replay(Box::new(replay.clone())),
        select: PeekSelection {
            limit: 1,
            seconds: 60,
            ..PeekSelection::default()
        },
    };
    assert_eq!(plan.topic(), "shop.orders.dlq");
    match preview(&mut topic, &plan, replay).unwrap() {
        PeekLine::Replay(told) => *told,
        other => panic!("{other:?}"),
    }
}

#[test]
fn all_of_the_part_is_looked_at_and_what_cannot_be_used_is_told() {
    let told = previewed(&replay(StartFrom::Earliest, None));
    assert!(told.complete);
    assert_eq!((told.read, told.selected, told.written), (10, 10, 6));
    let [refused] = &told.refused[..] else {
        panic!("{:?}", told.refused)
    };
    assert_eq!(
        (refused.reason.as_str(), refused.at.as_str(), refused.count),
        ("Evaluation", "0:0", 4)
    );
}

#[test]
fn the_part_begins_and_ends_where_the_replay_would() {
    let told = previewed(&replay(StartFrom::Time(2), Some(5)));
    assert_eq!(
        (told.selected, told.first_ms, told.last_ms),
        (3, Some(2), Some(4))
    );
}
