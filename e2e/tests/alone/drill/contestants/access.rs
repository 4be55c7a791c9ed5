//! A client with a grant reads all the while, over TLS with its own user; and a Pipeline runs under a user of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use headworks_e2e::{
    Cluster, Record, Verdict,
    clients::{accept, folder, grant, librdkafka, secured},
};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Message};

use super::{Contestant, PLATFORM, Runs, Seen, number, query, stream, text};

const GRANT: &str = "accessgrants.headworks.dev";
/// Between two records.
const PAUSE: Duration = Duration::from_millis(50);

/// A writer that everybody trusts, a reader with a grant, and a Pipeline between.
pub struct Granted {
    platform: String,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    written: Arc<Mutex<u64>>,
    read: Arc<Mutex<BTreeSet<String>>>,
    refused: Arc<Mutex<Option<String>>>,
}

impl Granted {
    pub fn new(c: &Cluster) -> Self {
        let platform = secured(c, "    workloadAuthentication: {generated: {}}\n");
        accept(c);
        Self {
            platform,
            stop: Arc::default(),
            threads: Vec::new(),
            written: Arc::default(),
            read: Arc::default(),
            refused: Arc::default(),
        }
    }
}

fn write(topic: &str, stop: &AtomicBool, written: &Mutex<u64>) {
    let address = std::env::var("KAFKA_BOOTSTRAP").expect("KAFKA_BOOTSTRAP");
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", address)
        .set("enable.idempotence", "true")
        .create()
        .expect("a producer");
    let mut next = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        let (key, value) = (next.to_string(), format!(r#"{{"id":"{next}","n":{next}}}"#));
        let record = BaseRecord::to(topic).key(&key).payload(&value);
        if producer.send(record).is_ok() {
            next += 1;
        }
        producer.poll(PAUSE);
        std::thread::sleep(PAUSE);
    }
    producer
        .flush(Duration::from_secs(180))
        .expect("all is written");
    *written.lock().unwrap_or_else(PoisonError::into_inner) = next;
}

fn read(
    folder: &Path,
    group: &str,
    topic: &str,
    stop: &AtomicBool,
    ids: &Mutex<BTreeSet<String>>,
    refused: &Mutex<Option<String>>,
) {
    let reader: BaseConsumer = librdkafka(folder)
        .set("group.id", group)
        .set("auto.offset.reset", "earliest")
        .set("isolation.level", "read_committed")
        .create()
        .expect("a consumer");
    reader.subscribe(&[topic]).expect("subscribed");
    while !stop.load(Ordering::Relaxed) {
        match reader.poll(Duration::from_millis(500)) {
            Some(Ok(message)) => {
                let record = Record {
                    value: message.payload().unwrap_or_default().to_vec(),
                    ..Record::default()
                };
                let id = text(&record.json(), "id");
                ids.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .insert(id);
            }
            Some(Err(error)) => {
                use rdkafka::error::RDKafkaErrorCode::{
                    GroupAuthorizationFailed, TopicAuthorizationFailed,
                };
                // Not a login that fails: a broker that was killed may know nobody for a while.
                let no = [GroupAuthorizationFailed, TopicAuthorizationFailed];
                if error
                    .rdkafka_error_code()
                    .is_some_and(|code| no.contains(&code))
                {
                    *refused.lock().unwrap_or_else(PoisonError::into_inner) =
                        Some(error.to_string());
                }
            }
            None => {}
        }
    }
}

impl Contestant for Granted {
    fn name(&self) -> &'static str {
        "a client with a grant"
    }

    fn yaml(&self) -> String {
        let yaml = stream("shared", &["id string", "n bigint"], "id", "")
            + &stream("mine", &["id string", "n bigint"], "id", "")
            + &query(
                "own",
                "SELECT id, n + 1 AS n FROM shared",
                &["{stream: mine}"],
                "",
            );
        yaml.replace(PLATFORM, &self.platform)
    }

    fn runs(&self) -> Vec<Runs> {
        vec![Runs::other("own")]
    }

    fn begin(&mut self, c: &Cluster) {
        c.apply(&grant(c, "report", "  read: [shared]\n"));
        c.ready(GRANT, "report");
        let topic = c.topic("shared");
        let (stop, written, to) = (self.stop.clone(), self.written.clone(), topic.clone());
        let writer = std::thread::spawn(move || write(&to, &stop, &written));
        let files = folder(c, "report", "drill");
        let group = format!("{}.report.drill", c.namespace);
        let (stop, ids, refused) = (
            Arc::<AtomicBool>::default(),
            self.read.clone(),
            self.refused.clone(),
        );
        self.threads = vec![writer];
        // It reads until the process ends: what comes late counts, too.
        std::thread::spawn(move || read(&files, &group, &topic, &stop, &ids, &refused));
    }

    fn end(&mut self, _: &Cluster) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().expect("the writer ends well");
        }
    }

    fn verify(&self, seen: &Seen<'_>) -> Vec<Verdict> {
        let lock = |ids: &Mutex<BTreeSet<String>>| -> BTreeSet<String> {
            ids.lock().unwrap_or_else(PoisonError::into_inner).clone()
        };
        let written = *self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let sent: BTreeMap<String, i64> =
            (0..written).map(|id| (id.to_string(), id as i64)).collect();
        let found = |stream: &str| -> Vec<(String, i64)> {
            let json = seen.json(stream);
            json.iter()
                .map(|json| (text(json, "id"), number(json, "n")))
                .collect()
        };
        let read: Vec<(String, ())> = lock(&self.read).into_iter().map(|id| (id, ())).collect();
        let topic = found("shared");
        let all: BTreeMap<String, ()> = topic.iter().map(|(id, _)| (id.clone(), ())).collect();
        let one_more: BTreeMap<String, i64> =
            topic.iter().map(|(id, n)| (id.clone(), n + 1)).collect();
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        vec![
            Verdict::of("written", &sent, &topic).at_least(100),
            Verdict::of("read with the grant", &all, &read),
            Verdict::of("under a user of its own", &one_more, &found("mine")),
            Verdict::must("never refused", refused.is_none(), &format!("{refused:?}")),
        ]
    }
}
