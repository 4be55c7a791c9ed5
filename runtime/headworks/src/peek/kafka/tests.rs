//! Against librdkafka's mock broker: it has no isolation and knows no times, but partitions, offsets and ends.

use headworks_plan::{Contract, KafkaConnection, PeekFrom, PeekSelection, Stream};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::*;
use crate::peek::select::{Counts, Out, peek};

fn plan(bootstrap: &str, topic: &str, select: PeekSelection) -> PeekPlan {
    PeekPlan {
        version: headworks_plan::PEEK_VERSION,
        kafka: KafkaConnection {
            bootstrap_servers: bootstrap.into(),
            ..KafkaConnection::default()
        },
        registry: None,
        stream: Stream {
            name: "a".into(),
            topic: topic.into(),
            dead_letter_topic: format!("{topic}.dlq"),
            contract: Contract::default(),
            max_message_bytes: 1_048_588,
        },
        group: "peek".into(),
        masked: Vec::new(),
        select,
    }
}

#[derive(Default)]
struct Shown(Vec<String>);

impl Out for Shown {
    fn record(&mut self, found: &Found) -> bool {
        let value = String::from_utf8(found.value.clone().unwrap()).unwrap();
        let (partition, offset) = (found.partition, found.offset);
        self.0.push(format!("{partition}/{offset} {value}"));
        true
    }

    fn note(&mut self, message: String) {
        self.0.push(message);
    }
}

fn shown(bootstrap: &str, select: PeekSelection) -> (Vec<String>, Counts) {
    let plan = plan(bootstrap, "t", select);
    let mut topic = KafkaTopic::open(&plan).unwrap();
    let mut out = Shown::default();
    let counts = peek(&mut topic, &plan.select, &mut out).unwrap().unwrap();
    (out.0, counts)
}

#[test]
fn records_of_a_broker_are_read_to_the_end_and_no_farther() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("t", 2, 1).unwrap();
    let bootstrap = cluster.bootstrap_servers();
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &bootstrap)
        .create()
        .unwrap();
    for n in 0..6_i32 {
        let record = BaseRecord::to("t")
            .partition(n % 2)
            .timestamp(1_000 + i64::from(n));
        let (key, value) = (format!("k{}", n % 3), n.to_string());
        producer
            .send(record.key(&key).payload(&value))
            .map_err(|(error, _)| error)
            .unwrap();
    }
    producer.flush(Duration::from_secs(20)).unwrap();

    let newest = PeekSelection {
        limit: 3,
        seconds: 60,
        ..PeekSelection::default()
    };
    let (records, counts) = shown(&bootstrap, newest.clone());
    assert_eq!(records, ["1/1 3", "0/2 4", "1/2 5"]);
    assert_eq!((counts.read, counts.more), (6, true));
    let of_one = PeekSelection {
        partitions: vec![1],
        from: Some(PeekFrom::Offset(1)),
        ..newest.clone()
    };
    assert_eq!(shown(&bootstrap, of_one).0, ["1/1 3", "1/2 5"]);
    let of_key = PeekSelection {
        key: Some("k1".into()),
        ..newest
    };
    assert_eq!(shown(&bootstrap, of_key).0, ["1/0 1", "0/2 4"]);
}

#[test]
fn a_topic_that_is_not_there_and_a_broker_that_is_not_are_told_apart() {
    let cluster = MockCluster::new(1).unwrap();
    let plan = plan(
        &cluster.bootstrap_servers(),
        "nowhere",
        PeekSelection::default(),
    );
    cluster
        .topic_error(
            "nowhere",
            rdkafka::types::RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
        )
        .unwrap();
    let failure = KafkaTopic::open(&plan).unwrap().partitions().unwrap_err();
    assert_eq!(failure.reason, "NotAuthorized");
    assert!(
        failure.message.contains("topic nowhere") && failure.message.contains("--grant"),
        "{failure:?}"
    );
}
