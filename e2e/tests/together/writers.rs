//! A client that writes: with what its Secret says, in transactions, under its quota; and what happens to a connection
//! that is open when the right goes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::time::{Duration, Instant};

use headworks_e2e::{
    clients::{accept, folder, grant, librdkafka, refused, secured},
    cluster, stream, until,
};
use rdkafka::{
    ClientConfig, Message,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
    producer::{BaseProducer, BaseRecord, Producer},
};

const GRANT: &str = "accessgrants.headworks.dev";
const PLATFORM: &str = "platforms.headworks.dev";
const WAIT: Duration = Duration::from_secs(20);

fn producer(config: &ClientConfig) -> BaseProducer {
    config.create().expect("a producer")
}

/// Sends one value, and waits until the broker has it or has said no.
fn send(producer: &BaseProducer, topic: &str, value: &[u8]) -> Result<(), KafkaError> {
    let record = BaseRecord::<[u8], [u8]>::to(topic).payload(value);
    producer.send(record).map_err(|(error, _)| error)?;
    producer.flush(WAIT)
}

#[test]
fn a_writer_writes_in_transactions_of_its_own_and_slower_than_its_quota() {
    let Some(c) = cluster("e2e-writer") else {
        return;
    };
    let name = secured(&c, "");
    accept(&c);
    for stream_name in ["a", "other"] {
        let yaml = stream(stream_name, "partitions: 1");
        c.apply(&yaml.replace("platform: e2e", &format!("platform: {name}")));
    }
    let quota = "  quota: {producerBytesPerSecond: 20Ki}\n";
    c.apply(&grant(&c, "app", &format!("  write: [a]\n{quota}")));
    c.ready(GRANT, "app");
    c.ready("datastreams.headworks.dev", "other");
    let (topic, other) = (c.topic("a"), c.topic("other"));
    let files = folder(&c, "app", "writer");
    let prefix = format!("{}.app", c.namespace);

    let mut mine = librdkafka(&files);
    mine.set("transactional.id", format!("{prefix}.one"));
    let writing = producer(&mine);
    writing.init_transactions(WAIT).expect("its own id");
    writing.begin_transaction().unwrap();
    send(&writing, &topic, br#"{"id":"a","n":1}"#).unwrap();
    writing.commit_transaction(WAIT).expect("a commit");
    let read = c.kafka.read_at_least(&topic, 1, WAIT);
    assert_eq!(read[0].json()["id"], "a");

    let mut anothers = librdkafka(&files);
    anothers.set("transactional.id", "somebody.one");
    let error = producer(&anothers).init_transactions(WAIT);
    let code = error.expect_err("somebody's id").rdkafka_error_code();
    let refusal = RDKafkaErrorCode::TransactionalIdAuthorizationFailed;
    assert_eq!(code, Some(refusal));

    let meta = writing.client().fetch_metadata(Some(&other), WAIT);
    let seen = meta.unwrap().topics()[0].error();
    assert!(seen.is_some(), "it sees a topic that it wasn't granted");
    refused(&files, &topic, &prefix);

    // 600 KiB at 20 KiB a second; what a window of the broker's lets through at first is left out of the count.
    let mut plain = librdkafka(&files);
    plain
        .set("enable.idempotence", "true")
        .set("linger.ms", "0");
    let writing = producer(&plain);
    let began = Instant::now();
    let value = format!(r#"{{"id":"{}","n":1}}"#, "x".repeat(60 * 1024));
    for _ in 0..10 {
        send(&writing, &topic, value.as_bytes()).unwrap();
    }
    let took = began.elapsed();
    assert!(took > Duration::from_secs(5), "no quota: {took:?}");

    let grant = ["delete", GRANT, "app", "-n", &c.namespace, "--timeout=60s"];
    c.kubectl.must(&grant);
    c.kubectl
        .must(&["delete", PLATFORM, &name, "--timeout=60s"]);
}

#[test]
fn a_connection_that_is_open_reads_nothing_more_once_its_grant_is_gone() {
    let Some(c) = cluster("e2e-open") else {
        return;
    };
    let name = secured(&c, "");
    accept(&c);
    let yaml = stream("a", "partitions: 1");
    c.apply(&yaml.replace("platform: e2e", &format!("platform: {name}")));
    c.apply(&grant(&c, "app", "  read: [a]\n"));
    c.ready(GRANT, "app");
    let topic = c.topic("a");
    let files = folder(&c, "app", "open");
    let mut config = librdkafka(&files);
    config
        .set("group.id", format!("{}.app.one", c.namespace))
        .set("auto.offset.reset", "earliest")
        .set("topic.metadata.refresh.interval.ms", "2000");
    let reader: BaseConsumer = config.create().unwrap();
    reader.subscribe(&[&topic]).unwrap();
    c.kafka.produce(&topic, &[br#"{"id":"before","n":1}"#]);
    until("the first record", WAIT, || {
        reader.poll(Duration::from_millis(500))?.ok().map(|_| ())
    })
    .expect("it reads while it may");

    let grant = ["delete", GRANT, "app", "-n", &c.namespace, "--timeout=60s"];
    c.kubectl.must(&grant);
    // A fetch that is waiting at the broker was allowed when it came, and may still be answered: half a second here.
    std::thread::sleep(Duration::from_secs(2));
    c.kafka.produce(&topic, &[br#"{"id":"after","n":2}"#]);
    let mut said = None;
    let end = Instant::now() + WAIT;
    while Instant::now() < end {
        match reader.poll(Duration::from_millis(500)) {
            Some(Ok(message)) => {
                let text = String::from_utf8_lossy(message.payload().unwrap()).into_owned();
                panic!("read after the grant was gone: {text}");
            }
            Some(Err(error)) => said = error.rdkafka_error_code().or(said),
            None => {}
        }
    }
    let expected = [
        RDKafkaErrorCode::TopicAuthorizationFailed,
        RDKafkaErrorCode::GroupAuthorizationFailed,
    ];
    assert!(
        said.is_some_and(|code| expected.contains(&code)),
        "{said:?}"
    );
    c.kubectl
        .must(&["delete", PLATFORM, &name, "--timeout=60s"]);
}
