//! Against librdkafka's mock broker: it has no isolation and knows no times, but partitions, offsets and ends.

use headworks_plan::{Contract, KafkaConnection, PeekFrom, PeekSelection, PeekTask, Stream};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};

use super::*;
use crate::peek::select::{Counts, Out, Sent, Wanted, peek};

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
            rules: Vec::new(),
        },
        group: "peek".into(),
        masked: Vec::new(),
        task: PeekTask::Records,
        select,
    }
}

#[derive(Default)]
struct Shown(Vec<String>);

impl Out for Shown {
    fn record(&mut self, found: &Found) -> Sent {
        let value = String::from_utf8(found.value.clone().unwrap()).unwrap();
        let (partition, offset) = (found.partition, found.offset);
        self.0.push(format!("{partition}/{offset} {value}"));
        Sent::Shown
    }

    fn note(&mut self, message: String) {
        self.0.push(message);
    }
}

fn shown(bootstrap: &str, select: PeekSelection) -> (Vec<String>, Counts) {
    let plan = plan(bootstrap, "t", select);
    let mut topic = KafkaTopic::open(&plan).unwrap();
    let mut out = Shown::default();
    let counts = peek(&mut topic, Wanted::of(&plan), &mut out)
        .unwrap()
        .unwrap();
    (out.0, counts)
}

/// A broker with a topic of two partitions and six records, and a client that writes more.
fn broker() -> (MockCluster<'static, DefaultProducerContext>, String) {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("t", 2, 1).unwrap();
    let bootstrap = cluster.bootstrap_servers();
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &bootstrap)
        .create()
        .unwrap();
    for n in 0..6_i32 {
        // A timestamp of 0 would mean now to librdkafka.
        let at = 1_000 + i64::from(n);
        let record = BaseRecord::to("t").partition(n % 2).timestamp(at);
        let (key, value) = (format!("k{}", n % 3), n.to_string());
        producer
            .send(record.key(&key).payload(&value))
            .map_err(|(error, _)| error)
            .unwrap();
    }
    producer.flush(Duration::from_secs(20)).unwrap();
    (cluster, bootstrap)
}

#[test]
fn a_partition_that_was_left_is_read_again() {
    let (_cluster, bootstrap) = broker();
    let plan = plan(&bootstrap, "t", PeekSelection::default());
    let mut topic = KafkaTopic::open(&plan).unwrap();
    for from in [2, 0] {
        topic.read_from(&[(0, from)].into()).unwrap();
        // The end of the partition may be told before.
        let mut events = (0..3).map(|_| topic.next(Duration::from_secs(10)).unwrap());
        let first = events.find_map(|event| match event {
            Some(Event::Record(found)) => Some(found.offset),
            _ => None,
        });
        assert_eq!(first, Some(from));
        topic.leave(0).unwrap();
    }
}

#[test]
fn records_of_a_broker_are_read_to_the_end_and_no_farther() {
    let (_cluster, bootstrap) = broker();
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
fn a_topic_that_the_user_may_not_read_is_told_with_the_remedy() {
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
