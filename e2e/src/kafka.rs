//! Topics seen from outside: what is really in them, for a reader of committed records.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};

/// One record as a reader sees it.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// Kafka key.
    pub key: Option<Vec<u8>>,
    /// Kafka value; empty: a tombstone.
    pub value: Vec<u8>,
    /// Headers as text.
    pub headers: BTreeMap<String, String>,
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
    /// Kafka timestamp, in milliseconds since 1970 UTC.
    pub timestamp: Option<i64>,
}

impl Record {
    /// The value as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.value)
            .unwrap_or_else(|e| panic!("{e}: {:?}", String::from_utf8_lossy(&self.value)))
    }
}

/// Kafka at an address.
pub struct Kafka {
    bootstrap: String,
}

const WAIT: Duration = Duration::from_secs(20);
/// For so long a broker may be away, or load its coordinators, before a call says so.
const AWAY: Duration = Duration::from_secs(180);

/// What passes by itself: the broker is away, or was just started.
fn passes(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{
        AllBrokersDown, BrokerTransportFailure, CoordinatorLoadInProgress, CoordinatorNotAvailable,
        LeaderNotAvailable, MessageTimedOut, NotCoordinator, NotLeaderForPartition,
        OperationTimedOut, RequestTimedOut, Resolve,
    };
    let code = match error {
        KafkaError::AdminOp(code) => Some(*code),
        other => other.rdkafka_error_code(),
    };
    matches!(
        code,
        Some(
            AllBrokersDown
                | BrokerTransportFailure
                | CoordinatorLoadInProgress
                | CoordinatorNotAvailable
                | LeaderNotAvailable
                | MessageTimedOut
                | NotCoordinator
                | NotLeaderForPartition
                | OperationTimedOut
                | RequestTimedOut
                | Resolve
        )
    )
}

/// Asks again while the broker is away or loads its coordinators; says so once, and panics with the last error if that doesn't end.
fn patiently<T>(what: &str, mut ask: impl FnMut() -> Result<T, KafkaError>) -> T {
    let began = Instant::now();
    let mut said = false;
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(error) if passes(&error) && began.elapsed() < AWAY => {
                if !said {
                    println!("    ({what}: {error}; asking again)");
                    said = true;
                }
                std::thread::sleep(Duration::from_secs(1));
            }
            Err(error) => panic!(
                "{what}: {error}{}",
                if passes(&error) {
                    format!(
                        ", for {} s: the broker is unwell",
                        began.elapsed().as_secs()
                    )
                } else {
                    String::new()
                }
            ),
        }
    }
}

impl Kafka {
    /// Names the broker; connections are made when needed.
    pub fn connect(bootstrap: &str) -> Self {
        Self {
            bootstrap: bootstrap.to_owned(),
        }
    }

    pub(crate) fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap);
        config
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.config().create().expect("an admin client")
    }

    /// The broker answers.
    pub(crate) fn answers(&self) -> Result<(), String> {
        let client: BaseConsumer = self.config().create().map_err(|e| e.to_string())?;
        let metadata = client.fetch_metadata(None, Duration::from_secs(5));
        metadata.map(|_| ()).map_err(|e| e.to_string())
    }

    fn metadata(&self, what: &str) -> rdkafka::metadata::Metadata {
        patiently(what, || {
            let client: BaseConsumer = self.config().create()?;
            client.fetch_metadata(None, WAIT)
        })
    }

    /// Removes topics that begin with `topics`, and groups and Pipelines' own topics whose name contains `groups`.
    pub fn forget(&self, topics: &str, groups: &str) {
        let metadata = self.metadata("topics to forget");
        let names: Vec<&str> = metadata
            .topics()
            .iter()
            .map(rdkafka::metadata::MetadataTopic::name)
            .filter(|t| {
                t.starts_with(topics) || (t.starts_with("headworks.") && t.contains(groups))
            })
            .collect();
        for some in names.chunks(200) {
            patiently("topics are deleted", || {
                let options = AdminOptions::new().operation_timeout(Some(WAIT));
                let results = block_on(self.admin().delete_topics(some, &options))?;
                let failed = results.into_iter().filter_map(Result::err);
                // One that is gone is what was asked for.
                let mut failed = failed
                    .map(|(_, code)| code)
                    .filter(|code| *code != RDKafkaErrorCode::UnknownTopicOrPartition);
                failed
                    .next()
                    .map_or(Ok(()), |code| Err(KafkaError::AdminOp(code)))
            });
        }
        self.forget_groups(groups);
    }

    /// All topics and all groups that there are.
    pub fn names(&self) -> (Vec<String>, Vec<String>) {
        let metadata = self.metadata("topics");
        let topics = metadata.topics().iter().map(|t| t.name().to_owned());
        let list = patiently("groups", || {
            let client: BaseConsumer = self.config().create()?;
            client.fetch_group_list(None, WAIT)
        });
        let groups = list.groups().iter().map(|g| g.name().to_owned());
        (topics.collect(), groups.collect())
    }

    /// Removes groups whose name contains this. One that still has members keeps them for a session's time; then it is removed,
    /// or named.
    pub fn forget_groups(&self, part: &str) {
        let began = Instant::now();
        loop {
            let list = patiently("groups to forget", || {
                let client: BaseConsumer = self.config().create()?;
                client.fetch_group_list(None, WAIT)
            });
            let names: Vec<&str> = list
                .groups()
                .iter()
                .map(rdkafka::groups::GroupInfo::name)
                .filter(|g| {
                    (g.starts_with("e2e-") || g.starts_with("headworks")) && g.contains(part)
                })
                .collect();
            if names.is_empty() {
                return;
            }
            let results = patiently("groups are deleted", || {
                block_on(self.admin().delete_groups(&names, &AdminOptions::new()))
            });
            let left: Vec<_> = results.into_iter().filter_map(Result::err).collect();
            if left.is_empty() {
                return;
            }
            if began.elapsed() > Duration::from_secs(60) {
                println!("    (groups that stay: {left:?})");
                return;
            }
            std::thread::sleep(Duration::from_secs(2));
        }
    }

    /// Makes a topic by hand, as somebody who knows nothing of Headworks would.
    pub fn create_topic(&self, name: &str, partitions: i32, config: &[(&str, &str)]) {
        let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        for (key, value) in config {
            topic = topic.set(key, value);
        }
        patiently("a topic is made", || {
            let made = block_on(self.admin().create_topics([&topic], &AdminOptions::new()))?;
            let failed = made.into_iter().find_map(Result::err);
            failed.map_or(Ok(()), |(_, code)| Err(KafkaError::AdminOp(code)))
        });
    }

    /// Partition count, if the topic exists.
    pub fn partitions(&self, topic: &str) -> Option<usize> {
        self.metadata("partitions")
            .topics()
            .iter()
            .find(|t| t.name() == topic)
            .map(|t| t.partitions().len())
    }

    /// A topic's configuration.
    pub fn topic_config(&self, topic: &str) -> BTreeMap<String, String> {
        let what = [rdkafka::admin::ResourceSpecifier::Topic(topic)];
        let resource = patiently("a topic's configuration", || {
            let options = AdminOptions::new();
            let results = block_on(self.admin().describe_configs(&what, &options))?;
            let one = results.into_iter().next().expect("one answer");
            one.map_err(KafkaError::AdminOp)
        });
        resource
            .entries
            .into_iter()
            .filter_map(|e| Some((e.name, e.value?)))
            .collect()
    }

    /// Sets a group's commit of a partition by hand, with nothing beside it, as `kafka-consumer-groups --reset-offsets` does. A group that
    /// still has members refuses it for a session's time.
    pub fn set_offset(&self, group: &str, topic: &str, partition: i32, offset: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(offset))
            .expect("an offset");
        let consumer: BaseConsumer = self
            .config()
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .create()
            .expect("a consumer");
        let began = Instant::now();
        loop {
            match consumer.commit(&list, CommitMode::Sync) {
                Ok(()) => return,
                Err(error) if began.elapsed() > AWAY => panic!("{group} at {offset}: {error}"),
                Err(_) => std::thread::sleep(Duration::from_secs(1)),
            }
        }
    }

    /// Writes records by hand.
    pub fn produce(&self, topic: &str, values: &[&[u8]]) {
        let producer: BaseProducer = self.config().create().expect("a producer");
        for value in values {
            producer
                .send(BaseRecord::<(), [u8]>::to(topic).payload(value))
                .map_err(|(e, _)| e)
                .expect("a record is queued");
        }
        producer.flush(AWAY).expect("records are written");
    }

    /// Writes one record by hand into a partition, without a key.
    pub fn produce_to(&self, topic: &str, partition: i32, value: &[u8]) {
        let producer: BaseProducer = self.config().create().expect("a producer");
        producer
            .send(
                BaseRecord::<(), [u8]>::to(topic)
                    .partition(partition)
                    .payload(value),
            )
            .map_err(|(e, _)| e)
            .expect("a record is queued");
        producer.flush(AWAY).expect("records are written");
    }

    /// Writes one record by hand, with a key and a timestamp (milliseconds since 1970 UTC); without a value it deletes the key.
    pub fn produce_at(
        &self,
        topic: &str,
        partition: i32,
        key: &str,
        timestamp: i64,
        value: Option<&[u8]>,
    ) {
        let producer: BaseProducer = self.config().create().expect("a producer");
        let mut record = BaseRecord::to(topic)
            .partition(partition)
            .key(key)
            .timestamp(timestamp);
        record.payload = value;
        producer
            .send(record)
            .map_err(|(e, _)| e)
            .expect("a record is queued");
        producer.flush(AWAY).expect("records are written");
    }

    /// Every committed record of a topic, from the beginning to the end as it is now.
    pub fn read(&self, topic: &str) -> Vec<Record> {
        let consumer: BaseConsumer = self
            .config()
            .set("group.id", "headworks-e2e-reader")
            .set("isolation.level", "read_committed")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .create()
            .expect("a consumer");
        let Some(count) = self.partitions(topic) else {
            return Vec::new();
        };
        let mut list = TopicPartitionList::new();
        for partition in 0..i32::try_from(count).expect("few") {
            list.add_partition_offset(topic, partition, Offset::Beginning)
                .expect("valid");
        }
        // Where records come all the time, no fetch is ever empty, and the client never says that the end is reached.
        let began = Instant::now();
        let end = |partition| loop {
            match consumer.fetch_watermarks(topic, partition, Duration::from_secs(5)) {
                Ok((_, end)) => break end,
                Err(error) if began.elapsed() < AWAY => println!("    reading {topic}: {error}"),
                Err(error) => panic!("the end of {topic}[{partition}]: {error}"),
            }
            std::thread::sleep(Duration::from_millis(500));
        };
        let mut open: BTreeMap<i32, i64> = (0..i32::try_from(count).expect("few"))
            .map(|partition| (partition, end(partition)))
            .filter(|(_, end)| *end > 0)
            .collect();
        consumer.assign(&list).expect("assigned");
        let mut records = Vec::new();
        while !open.is_empty() {
            assert!(
                began.elapsed() < AWAY,
                "topic {topic} could not be read to its end: an open transaction?"
            );
            match consumer.poll(Duration::from_millis(500)) {
                Some(Ok(message)) => {
                    let (partition, offset) = (message.partition(), message.offset());
                    let Some(end) = open.get(&partition) else {
                        continue;
                    };
                    if offset + 1 >= *end {
                        let beyond = offset >= *end;
                        open.remove(&partition);
                        if beyond {
                            continue;
                        }
                    }
                    records.push(record(&message));
                }
                Some(Err(rdkafka::error::KafkaError::PartitionEOF(partition))) => {
                    open.remove(&partition);
                }
                Some(Err(error)) => println!("    reading {topic}: {error}"),
                None => {}
            }
        }
        records
    }

    /// The ids and numbers of a topic of records `{"id":"7","n":7}`.
    pub fn numbers(&self, topic: &str) -> Vec<(u64, i64)> {
        let number = |record: &Record| {
            let json = record.json();
            let id = json["id"].as_str().expect("id").parse().expect("a number");
            (id, json["n"].as_i64().expect("n"))
        };
        self.read(topic).iter().map(number).collect()
    }

    /// Reads again and again until there are at least `count` records.
    pub fn read_at_least(&self, topic: &str, count: usize, limit: Duration) -> Vec<Record> {
        let mut last = Vec::new();
        crate::until(topic, limit, || {
            last = self.read(topic);
            (last.len() >= count).then_some(())
        });
        assert!(
            last.len() >= count,
            "{topic} has {} records, not {count}",
            last.len()
        );
        last
    }
}

fn record(message: &BorrowedMessage<'_>) -> Record {
    let text =
        |value: Option<&[u8]>| String::from_utf8_lossy(value.unwrap_or_default()).into_owned();
    let headers = message.headers().map(|headers| {
        let pairs = headers.iter().map(|h| (h.key.to_owned(), text(h.value)));
        pairs.collect()
    });
    Record {
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().unwrap_or_default().to_vec(),
        partition: message.partition(),
        offset: message.offset(),
        timestamp: message.timestamp().to_millis(),
        headers: headers.unwrap_or_default(),
    }
}

/// Runs a future to its end.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(future)
}
