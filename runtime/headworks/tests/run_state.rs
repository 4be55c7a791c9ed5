//! Pods that count by key and window, with a real Kafka, while they are killed and others come. Runs where
//! `HEADWORKS_KAFKA` names one.

// All of this is test: a helper may fail it as well.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use headworks_plan::{Phase, Report};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

const PARTITIONS: i32 = 2;
const RECORDS: i64 = 60_000;
const WORDS: i64 = 50;
/// Event time between two records, in milliseconds.
const STEP: i64 = 10;
const MINUTE: i64 = 60_000;
const LIMIT: Duration = Duration::from_secs(120);

struct World {
    broker: String,
    topic: String,
    plan: PathBuf,
    runtime: Runtime,
}

impl Drop for World {
    fn drop(&mut self) {
        let admin: AdminClient<DefaultClientContext> = client(&self.broker).create().unwrap();
        let names = self.topics();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let _ = self
            .runtime
            .block_on(admin.delete_topics(&names, &AdminOptions::new()));
        let _ = std::fs::remove_file(&self.plan);
    }
}

fn client(broker: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker);
    config
}

fn time(ms: i64) -> String {
    let (minutes, rest) = (ms / MINUTE, ms % MINUTE);
    format!(
        "2026-01-01T{:02}:{:02}:{:02}.{:03}Z",
        minutes / 60,
        minutes % 60,
        rest / 1_000,
        rest % 1_000
    )
}

fn world() -> Option<World> {
    let broker = std::env::var("HEADWORKS_KAFKA")
        .ok()
        .filter(|broker| !broker.is_empty());
    let Some(broker) = broker else {
        eprintln!("SKIPPED: HEADWORKS_KAFKA names no Kafka");
        return None;
    };
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis();
    let topic = format!("headworks.run-state.{now}");
    let field = |name: &str, type_: &str| json!({"name": name, "type": type_});
    let stream = |name: &str, topic: &str, contract: Value| {
        json!({"name": name, "topic": topic, "deadLetterTopic": format!("{topic}.dlq"), "maxMessageBytes": 1_000_000,
            "contract": contract})
    };
    let words = json!({"fields": [field("word", "string"), field("at", "timestamp_ltz(3)")], "format": "Json",
        "eventTime": {"field": "at", "maxOutOfOrdernessMs": 1_000}});
    let counts = json!({"fields": [field("word", "string"), field("since", "timestamp(3)"), field("n", "bigint")],
        "key": ["word"], "format": "Json"});
    let own = |name: &str| json!({"topic": format!("{topic}.{name}"), "partitions": 3, "maxMessageBytes": 1_000_000});
    let plan = json!({
        "version": 2, "installation": "test", "namespace": "shop", "name": "words", "kafka": {"bootstrapServers": broker},
        "role": {"pipeline": {
            "sql": "SELECT word, window_start AS since, COUNT(*) AS n \
                FROM TABLE(TUMBLE(TABLE words, DESCRIPTOR(`at`), INTERVAL '1' MINUTE)) \
                GROUP BY word, window_start, window_end",
            "inputs": [stream("words", &topic, words)],
            "outputs": [stream("counts", &format!("{topic}.out"), counts)],
            "delivery": "ExactlyOnce", "commitIntervalMs": 50, "startFrom": "earliest", "onBadRecord": "DeadLetter",
            "stages": [
                {"id": "exchange", "runs": 0, "group": topic, "reads": [{"stream": "words"}], "ends": {"exchange": own("rows")},
                    "maxDriftMs": 3_600_000},
                {"id": "keyed", "runs": 1, "group": format!("{topic}.keyed"), "reads": [{"stage": "exchange"}],
                    "ends": {"streams": {}},
                    "state": {"changelog": own("state"), "allowedLatenessMs": 0, "memoryBytes": 67_108_864}},
            ],
        }},
    });
    let path = std::env::temp_dir().join(format!("{topic}.json"));
    std::fs::write(&path, plan.to_string()).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let world = World {
        broker,
        topic,
        plan: path,
        runtime,
    };
    let admin: AdminClient<DefaultClientContext> = client(&world.broker).create().unwrap();
    let names = world.topics();
    let made: Vec<NewTopic<'_>> = names
        .iter()
        .map(|name| {
            let end = name.rsplit('.').next();
            let partitions = match end {
                Some("rows" | "state") => 3,
                _ => PARTITIONS,
            };
            let made = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
            if end == Some("state") {
                made.set("cleanup.policy", "compact")
            } else {
                made
            }
        })
        .collect();
    let made = world
        .runtime
        .block_on(admin.create_topics(&made, &AdminOptions::new()))
        .unwrap();
    for made in made {
        made.unwrap();
    }
    Some(world)
}

impl World {
    fn topics(&self) -> Vec<String> {
        ["", ".dlq", ".out", ".rows", ".state"]
            .iter()
            .map(|end| format!("{}{end}", self.topic))
            .collect()
    }

    fn write(&self, records: impl Iterator<Item = (i64, i64)>) {
        let producer: BaseProducer = client(&self.broker).create().unwrap();
        for (id, at) in records {
            let value = format!("{{\"word\":\"w{}\",\"at\":\"{}\"}}", id % WORDS, time(at));
            let record = BaseRecord::<(), str>::to(&self.topic)
                .payload(&value)
                .partition((id % i64::from(PARTITIONS)) as i32);
            producer.send(record).unwrap();
            producer.poll(Duration::ZERO);
        }
        producer.flush(Duration::from_secs(30)).unwrap();
    }

    fn pod(&self, ordinal: u32) -> Pod {
        let port = {
            let free = TcpListener::bind(("127.0.0.1", 0)).unwrap();
            free.local_addr().unwrap().port()
        };
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(std::env::temp_dir().join(format!("{}-{ordinal}.log", self.topic)))
            .unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_headworks-runtime"))
            .args(["run-plan", "--status-port", &port.to_string()])
            .arg(&self.plan)
            .env("HEADWORKS_POD_NAME", format!("words-{ordinal}"))
            .stderr(Stdio::from(log))
            .spawn()
            .unwrap();
        Pod { child, port }
    }

    /// The count of each word and window, and how often it was written.
    fn counts(&self) -> BTreeMap<(String, String), Vec<i64>> {
        let mut found: BTreeMap<_, Vec<i64>> = BTreeMap::new();
        let topic = format!("{}.out", self.topic);
        for value in self.records(&topic) {
            let text = |field: &str| value[field].as_str().unwrap().to_owned();
            found
                .entry((text("word"), text("since")))
                .or_default()
                .push(value["n"].as_i64().unwrap());
        }
        found
    }

    fn records(&self, topic: &str) -> Vec<Value> {
        let consumer: BaseConsumer = client(&self.broker)
            .set("group.id", "none")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("isolation.level", "read_committed")
            .create()
            .unwrap();
        let mut from = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            from.add_partition_offset(topic, partition, Offset::Beginning)
                .unwrap();
        }
        consumer.assign(&from).unwrap();
        let (mut ends, mut failures, mut found) = (0, 0, Vec::new());
        while ends < PARTITIONS {
            match consumer.poll(Duration::from_secs(10)).expect("an answer") {
                Err(rdkafka::error::KafkaError::PartitionEOF(_)) => ends += 1,
                // Its client connects anew by itself; a broker that has just come up closes one or the other.
                Err(error) => {
                    failures += 1;
                    let code = error.rdkafka_error_code();
                    let passing = code == Some(RDKafkaErrorCode::BrokerTransportFailure);
                    assert!(passing && failures < 20, "{error}");
                }
                Ok(message) => {
                    found.push(serde_json::from_slice(message.payload().unwrap()).unwrap());
                }
            }
        }
        found
    }
}

struct Pod {
    child: Child,
    port: u16,
}

impl Drop for Pod {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Pod {
    fn report(&self) -> Option<Report> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream
            .write_all(b"GET /status HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
            .ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
    }

    fn stop(mut self) {
        let told = Command::new("kill")
            .arg(self.child.id().to_string())
            .status();
        assert!(told.unwrap().success());
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
    }

    fn until(&self, what: &str, holds: impl Fn(&Report) -> bool) {
        let begun = Instant::now();
        let mut last = None;
        while begun.elapsed() < LIMIT {
            last = self.report();
            if last.as_ref().is_some_and(&holds) {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("{what}: {last:#?}");
    }
}

#[test]
fn each_window_is_counted_once_though_pods_are_killed_and_others_come() {
    let Some(world) = world() else { return };
    let mut pods = vec![world.pod(0)];
    pods[0].until("it runs", |report| report.phase == Phase::Running);
    for round in 0..6 {
        let ids = round * RECORDS / 6..(round + 1) * RECORDS / 6;
        // In reach of what may come out of order.
        world.write(ids.map(|id| (id, id * STEP - id % 7 * 100 + 1_000)));
        std::thread::sleep(Duration::from_millis(700));
        if pods.len() == 1 {
            pods.push(world.pod(1));
        } else if round == 3 {
            // One goes as Kubernetes lets it go, and comes back a round later.
            pods.remove(1).stop();
        } else {
            let ordinal = (round as usize) % 2;
            // SIGKILL: not a sound from it.
            pods[ordinal].child.kill().unwrap();
            pods[ordinal].child.wait().unwrap();
            pods[ordinal] = world.pod(ordinal as u32);
        }
    }
    // Far ahead, so that every window before is over; one for each partition.
    let end = RECORDS * STEP + 10 * MINUTE;
    world.write((0..i64::from(PARTITIONS)).map(|id| (id, end)));

    let mut expected: BTreeMap<(String, String), Vec<i64>> = BTreeMap::new();
    for id in 0..RECORDS {
        let at = id * STEP - id % 7 * 100 + 1_000;
        let since = time(at / MINUTE * MINUTE);
        let window = (
            format!("w{}", id % WORDS),
            since.trim_end_matches('Z').to_owned(),
        );
        expected.entry(window).or_insert_with(|| vec![0])[0] += 1;
    }
    let begun = Instant::now();
    while world.counts().len() < expected.len() && begun.elapsed() < LIMIT {
        std::thread::sleep(Duration::from_millis(300));
    }
    for pod in &pods {
        pod.until("all is well", |report| {
            report.phase == Phase::Running && report.problems.is_empty()
        });
    }
    // What would come twice would come now.
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(world.counts(), expected);
    let dead_letters = world.records(&format!("{}.dlq", world.topic));
    assert_eq!(dead_letters, Vec::<Value>::new(), "nothing was late");
    let states: Vec<_> = pods
        .iter()
        .filter_map(|pod| pod.report()?.figures.state)
        .collect();
    assert!(
        states.iter().any(|state| state.watermark_ms.is_some()),
        "{states:?}"
    );
    for pod in pods {
        pod.stop();
    }
    for ordinal in 0..2 {
        let log = format!("{}-{ordinal}.log", world.topic);
        let _ = std::fs::remove_file(std::env::temp_dir().join(log));
    }
}
