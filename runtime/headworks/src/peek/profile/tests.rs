use headworks_plan::{Contract, Field, PEEK_VERSION, PeekSelection, PeekTask, Stream};

use super::*;
use crate::peek::select::memory::{Memory, record};

fn plan(from: Option<PeekFrom>, masked: &[&str]) -> PeekPlan {
    let field = |name: &str, type_: &str| Field {
        name: name.into(),
        type_: type_.into(),
        nullable: true,
        labels: Vec::new(),
    };
    PeekPlan {
        version: PEEK_VERSION,
        kafka: headworks_plan::KafkaConnection::default(),
        registry: None,
        stream: Stream {
            name: "orders".into(),
            topic: "shop.orders".into(),
            dead_letter_topic: "shop.orders.dlq".into(),
            contract: Contract {
                fields: vec![field("n", "bigint"), field("mail", "string")],
                ..Contract::default()
            },
            max_message_bytes: 1_048_588,
            rules: Vec::new(),
        },
        group: "g".into(),
        masked: masked.iter().map(|m| (*m).to_owned()).collect(),
        task: PeekTask::default(),
        select: PeekSelection {
            from,
            limit: 1,
            seconds: 60,
            ..PeekSelection::default()
        },
    }
}

/// Two partitions of 600 records each; every third is no JSON.
fn topic() -> Memory {
    let mut topic = Memory::default();
    for n in 0..1_200_i64 {
        let partition = i32::try_from(n % 2).unwrap();
        let value = match n % 3 {
            0 => format!("broken {n}"),
            _ => format!(r#"{{"n":{n},"mail":"m{}@example.com"}}"#, n % 7),
        };
        topic.add(Found {
            value: Some(value.into_bytes()),
            ..record(partition, 0, n, "k")
        });
    }
    topic
}

fn profiled(plan: &PeekPlan, records: u64) -> StreamProfile {
    let rows = Rows::new(plan).unwrap();
    let asked = ProfileRequest { records };
    match profile(&mut topic(), plan, asked, rows).unwrap() {
        PeekLine::Profile(profile) => *profile,
        other => panic!("{other:?}"),
    }
}

#[test]
fn all_rows_are_counted_and_what_cannot_be_read_is_told() {
    let told = profiled(&plan(None, &[]), 10_000);
    assert_eq!((told.read, told.rows, told.undecoded), (1_200, 800, 400));
    assert_eq!(
        (told.first_ms, told.last_ms, told.complete),
        (Some(1), Some(1_199), true)
    );
    let [n, mail] = &told.columns[..] else {
        panic!("{told:?}");
    };
    assert_eq!((n.count, n.nulls, n.distinct), (800, 0, 800));
    assert_eq!(
        (n.min.as_deref(), n.max.as_deref()),
        (Some("1"), Some("1199"))
    );
    assert_eq!(
        (mail.distinct, mail.shapes[0].shape.as_str()),
        (7, "a9@a.a")
    );
}

#[test]
fn the_sample_is_the_newest_of_each_partition_or_the_first_of_a_time() {
    let told = profiled(&plan(None, &[]), 100);
    assert_eq!((told.read, told.last_ms), (100, Some(1_199)));
    assert!(told.first_ms >= Some(1_100), "{told:?}");
    let told = profiled(&plan(Some(PeekFrom::Time(600)), &[]), 100);
    assert_eq!(
        (told.rows + told.undecoded, told.first_ms),
        (100, Some(601))
    );
    assert!(told.last_ms < Some(700), "{told:?}");
}

#[test]
fn values_of_masked_fields_stay_in_the_pod() {
    let told = profiled(&plan(None, &["mail"]), 10_000);
    let text = serde_json::to_string(&told).unwrap();
    assert!(!text.contains("example.com"), "{text}");
    assert_eq!(told.columns[1].distinct, 7);
    assert_eq!(told.columns[1].length.as_ref().map(|l| l.max), Some(14));
}
