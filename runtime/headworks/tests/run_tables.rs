//! Pods that write a stream and a table, with a real Kafka and a real PostgreSQL, while they are killed
//! and cut off. Runs where `HEADWORKS_KAFKA` and `HEADWORKS_POSTGRES` (with `_USER`, `_PASSWORD`) name them.

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
use rdkafka::message::{Headers, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio_postgres::{Client, NoTls};

const PARTITIONS: i32 = 2;
const RECORDS: i64 = 40_000;
const LIMIT: Duration = Duration::from_secs(120);

fn var(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

struct World {
    broker: String,
    topic: String,
    schema: String,
    plan: PathBuf,
    files: Vec<PathBuf>,
    runtime: Runtime,
    client: Client,
}

impl Drop for World {
    fn drop(&mut self) {
        let drop = format!("DROP SCHEMA {} CASCADE", self.schema);
        let _ = self.runtime.block_on(self.client.batch_execute(&drop));
        let admin: AdminClient<DefaultClientContext> = client(&self.broker).create().unwrap();
        let names = [self.topic.clone(), self.out(), self.dead_letters()];
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let _ = self
            .runtime
            .block_on(admin.delete_topics(&names, &AdminOptions::new()));
        for file in &self.files {
            let _ = std::fs::remove_file(file);
        }
    }
}

fn client(broker: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker);
    config
}

fn world() -> Option<World> {
    let all = (
        var("HEADWORKS_KAFKA"),
        var("HEADWORKS_POSTGRES"),
        var("HEADWORKS_POSTGRES_USER"),
        var("HEADWORKS_POSTGRES_PASSWORD"),
    );
    let (Some(broker), Some(at), Some(user), Some(password)) = all else {
        eprintln!(
            "SKIPPED: HEADWORKS_KAFKA and HEADWORKS_POSTGRES name no Kafka and no PostgreSQL"
        );
        return None;
    };
    let (address, database) = at.split_once('/').unwrap();
    let (host, port) = address.rsplit_once(':').unwrap();
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis();
    let schema = format!("run_tables_{now}");
    let topic = format!("headworks.run-tables.{now}");
    let mut files = Vec::new();
    let mut file = |name: &str, content: &str| {
        let path = std::env::temp_dir().join(format!("{schema}-{name}"));
        std::fs::write(&path, content).unwrap();
        files.push(path.clone());
        path
    };
    let (username, secret) = (file("username", &user), file("password", &password));
    let fields = json!([{"name": "id", "type": "bigint"}, {"name": "word", "type": "string"}]);
    let stream = |name: &str, topic: &str| {
        json!({"name": name, "topic": topic, "deadLetterTopic": format!("{topic}.dlq"), "maxMessageBytes": 1_000_000,
            "contract": {"fields": fields, "format": "Json"}})
    };
    // As the operator of the release before wrote it.
    let plan = json!({
        "version": 1, "installation": "test", "namespace": "shop", "name": "words", "kafka": {"bootstrapServers": broker},
        "role": {"pipeline": {
            "sql": "SELECT id, word FROM words", "inputs": [stream("words", &topic)], "outputs": [stream("copies", &format!("{topic}.out"))],
            "tables": [{
                "store": {"name": "warehouse", "connection": {"postgres": {
                    "host": host, "port": port.parse::<u16>().unwrap(), "database": database,
                    "usernameFile": username, "passwordFile": secret}}},
                "table": format!("{schema}.words"), "group": format!("{topic}.table"),
            }],
            "delivery": "ExactlyOnce", "commitIntervalMs": 50, "startFrom": "earliest", "onBadRecord": "DeadLetter", "group": topic,
        }},
    });
    let plan = file("plan.json", &plan.to_string());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let mut config = tokio_postgres::Config::new();
    config
        .host(host)
        .port(port.parse().unwrap())
        .dbname(database)
        .user(&user)
        .password(&password);
    let (postgres, driver) = runtime.block_on(config.connect(NoTls)).unwrap();
    runtime.spawn(driver);
    runtime
        .block_on(postgres.batch_execute(&format!("CREATE SCHEMA {schema}")))
        .unwrap();
    let world = World {
        broker,
        topic,
        schema,
        plan,
        files,
        runtime,
        client: postgres,
    };
    let admin: AdminClient<DefaultClientContext> = client(&world.broker).create().unwrap();
    let (out, dead_letters) = (world.out(), world.dead_letters());
    let made = [&world.topic, &out, &dead_letters]
        .map(|name| NewTopic::new(name, PARTITIONS, TopicReplication::Fixed(1)));
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
    fn out(&self) -> String {
        format!("{}.out", self.topic)
    }

    fn dead_letters(&self) -> String {
        format!("{}.dlq", self.topic)
    }

    fn write(&self, ids: std::ops::Range<i64>) {
        let producer: BaseProducer = client(&self.broker).create().unwrap();
        for id in ids {
            let value = match id % 100 {
                7 => format!("{{\"id\":{id}}}"),
                13 => format!("{{\"id\":{id},\"word\":\"much too long\"}}"),
                _ => format!("{{\"id\":{id},\"word\":\"w{}\"}}", id % 10),
            };
            let partition = (id % i64::from(PARTITIONS)) as i32;
            let record = BaseRecord::<(), str>::to(&self.topic)
                .payload(&value)
                .partition(partition);
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
            .open(std::env::temp_dir().join(format!("{}-{ordinal}.log", self.schema)))
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

    fn execute(&self, statement: &str) {
        self.runtime
            .block_on(self.client.batch_execute(statement))
            .unwrap();
    }

    /// How often each id is in the table.
    fn rows(&self) -> BTreeMap<i64, usize> {
        let query = format!("SELECT id FROM {}.words", self.schema);
        let rows = self.runtime.block_on(self.client.query(&query, &[]));
        let mut found = BTreeMap::new();
        for row in rows.unwrap() {
            *found.entry(row.get(0)).or_default() += 1;
        }
        found
    }

    /// How often each id is in a topic, with its reason where it is a dead letter.
    fn records(&self, topic: &str) -> BTreeMap<(i64, String), usize> {
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
        let (mut ends, mut failures, mut found) = (0, 0, BTreeMap::new());
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
                    let value: Value = serde_json::from_slice(message.payload().unwrap()).unwrap();
                    let reason = message.headers().and_then(|headers| {
                        let header = headers.iter().find(|h| h.key == "headworks.reason")?;
                        header
                            .value
                            .map(|value| String::from_utf8_lossy(value).into_owned())
                    });
                    let key = (value["id"].as_i64().unwrap(), reason.unwrap_or_default());
                    *found.entry(key).or_default() += 1;
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
fn rows_and_letters_are_there_once_though_pods_are_killed_and_cut_off() {
    let Some(world) = world() else { return };
    world.write(0..RECORDS / 2);

    // The table isn't there yet: its stage waits in its group, and the stream's goes on.
    let mut pods = vec![world.pod(0)];
    let waits = |report: &Report| {
        report.phase == Phase::Stalled
            && report
                .problems
                .iter()
                .any(|problem| problem.reason == "TableNotFound")
    };
    pods[0].until("the missing table is told", waits);
    pods.push(world.pod(1));
    let joined = Instant::now();
    pods[1].until("the second pod waits too", waits);
    // A member that waits answers the group; else the others would wait for it for a minute.
    assert!(
        joined.elapsed() < Duration::from_secs(25),
        "{:?}",
        joined.elapsed()
    );
    pods[0].until("the stream is written meanwhile", |report| {
        report.figures.records_out > 1_000
    });
    assert_eq!(world.rows_if_any(), 0);
    world.execute(&format!(
        "CREATE TABLE {}.words (id bigint NOT NULL, word varchar(5) NOT NULL)",
        world.schema
    ));
    for pod in &pods {
        pod.until("it heals by itself", |report| {
            report.phase == Phase::Running
        });
    }

    for round in 0..6 {
        world.write(RECORDS / 2 + round * RECORDS / 12..RECORDS / 2 + (round + 1) * RECORDS / 12);
        std::thread::sleep(Duration::from_millis(400));
        if round % 2 == 0 {
            world.execute(&format!(
                "SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity a WHERE a.application_name = 'headworks' \
                 AND a.query LIKE '%{0}%'",
                world.schema
            ));
        } else {
            let ordinal = (round as usize / 2) % 2;
            // SIGKILL: not a sound from it.
            pods[ordinal].child.kill().unwrap();
            pods[ordinal].child.wait().unwrap();
            pods[ordinal] = world.pod(ordinal as u32);
        }
    }

    let dead_letters = (RECORDS / 100) as usize;
    let expected = RECORDS as usize - 2 * dead_letters;
    let begun = Instant::now();
    while world.rows().len() < expected && begun.elapsed() < LIMIT {
        std::thread::sleep(Duration::from_millis(200));
    }
    for pod in &pods {
        pod.until("all is well", |report| {
            report.phase == Phase::Running && report.problems.is_empty()
        });
    }
    // What would come twice would come now.
    std::thread::sleep(Duration::from_secs(2));
    let rows = world.rows();
    assert_eq!(rows.len(), expected);
    assert!(
        rows.iter()
            .all(|(id, times)| *times == 1 && ![7, 13].contains(&(id % 100)))
    );
    let letters_found = world.records(&world.dead_letters());
    assert_eq!(letters_found.len(), 2 * dead_letters);
    for ((id, reason), times) in letters_found {
        let wanted = if id % 100 == 7 {
            "Contract"
        } else {
            "StoreRefused"
        };
        assert_eq!((reason.as_str(), times), (wanted, 1), "{id}");
    }
    let copies = world.records(&world.out());
    assert_eq!(copies.len(), RECORDS as usize - dead_letters);
    assert!(copies.values().all(|times| *times == 1));
    for mut pod in pods {
        let told = Command::new("kill")
            .arg(pod.child.id().to_string())
            .status();
        assert!(told.unwrap().success());
        assert_eq!(pod.child.wait().unwrap().code(), Some(0));
    }
    for ordinal in 0..2 {
        let _ = std::fs::remove_file(
            std::env::temp_dir().join(format!("{}-{ordinal}.log", world.schema)),
        );
    }
}

impl World {
    /// Rows of a table that may not be there.
    fn rows_if_any(&self) -> usize {
        let query = format!("SELECT id FROM {}.words", self.schema);
        let rows = self.runtime.block_on(self.client.query(&query, &[]));
        rows.map_or(0, |rows| rows.len())
    }
}
