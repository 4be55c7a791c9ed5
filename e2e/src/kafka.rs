//! Topics seen from outside: what is really in them, for a reader of committed records.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
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

impl Kafka {
    /// Names the broker; connections are made when needed.
    pub fn connect(bootstrap: &str) -> Self {
        Self {
            bootstrap: bootstrap.to_owned(),
        }
    }

    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap);
        config
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.config().create().expect("an admin client")
    }

    /// Removes topics that begin with `topics`, and groups and Pipelines' own topics whose name contains `groups`.
    pub fn forget(&self, topics: &str, groups: &str) {
        let client: BaseConsumer = self.config().create().expect("a client");
        let metadata = client.fetch_metadata(None, WAIT).expect("metadata");
        let names: Vec<&str> = metadata
            .topics()
            .iter()
            .map(rdkafka::metadata::MetadataTopic::name)
            .filter(|t| {
                t.starts_with(topics) || (t.starts_with("headworks.") && t.contains(groups))
            })
            .collect();
        let list = client.fetch_group_list(None, WAIT).expect("groups");
        let group_names: Vec<&str> = list
            .groups()
            .iter()
            .map(rdkafka::groups::GroupInfo::name)
            .filter(|g| g.contains(groups))
            .collect();
        block_on(async {
            let admin = self.admin();
            if !names.is_empty() {
                admin
                    .delete_topics(&names, &AdminOptions::new())
                    .await
                    .expect("topics are deleted");
            }
            if !group_names.is_empty() {
                let _ = admin
                    .delete_groups(&group_names, &AdminOptions::new())
                    .await;
            }
        });
    }

    /// Makes a topic by hand, as somebody who knows nothing of Headworks would.
    pub fn create_topic(&self, name: &str, partitions: i32, config: &[(&str, &str)]) {
        let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        for (key, value) in config {
            topic = topic.set(key, value);
        }
        for result in block_on(async {
            self.admin()
                .create_topics(&[topic], &AdminOptions::new())
                .await
                .expect("a topic is made")
        }) {
            result.expect("a topic is made");
        }
    }

    /// Partition count, if the topic exists.
    pub fn partitions(&self, topic: &str) -> Option<usize> {
        let client: BaseConsumer = self.config().create().expect("a client");
        let metadata = client.fetch_metadata(None, WAIT).expect("metadata");
        metadata
            .topics()
            .iter()
            .find(|t| t.name() == topic)
            .map(|t| t.partitions().len())
    }

    /// A topic's configuration.
    pub fn topic_config(&self, topic: &str) -> BTreeMap<String, String> {
        let results = block_on(async {
            self.admin()
                .describe_configs(
                    &[rdkafka::admin::ResourceSpecifier::Topic(topic)],
                    &AdminOptions::new(),
                )
                .await
                .expect("config")
        });
        results
            .into_iter()
            .flat_map(|r| r.expect("config").entries)
            .filter_map(|e| Some((e.name, e.value?)))
            .collect()
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
        producer.flush(WAIT).expect("records are written");
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
        producer.flush(WAIT).expect("records are written");
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
        consumer.assign(&list).expect("assigned");
        let mut records = Vec::new();
        let mut at_end = 0;
        let began = Instant::now();
        while at_end < count {
            assert!(
                began.elapsed() < Duration::from_secs(60),
                "topic {topic} could not be read to its end: an open transaction?"
            );
            match consumer.poll(Duration::from_millis(500)) {
                Some(Ok(message)) => records.push(Record {
                    key: message.key().map(<[u8]>::to_vec),
                    value: message.payload().unwrap_or_default().to_vec(),
                    partition: message.partition(),
                    offset: message.offset(),
                    headers: message
                        .headers()
                        .map(|h| {
                            h.iter()
                                .map(|h| {
                                    (
                                        h.key.to_owned(),
                                        String::from_utf8_lossy(h.value.unwrap_or_default())
                                            .into_owned(),
                                    )
                                })
                                .collect()
                        })
                        .unwrap_or_default(),
                }),
                Some(Err(rdkafka::error::KafkaError::PartitionEOF(_))) => at_end += 1,
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

/// Runs a future to its end.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(future)
}
