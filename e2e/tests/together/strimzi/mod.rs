//! Topics that Strimzi's own Topic Operator makes: what a user does, what others do to a KafkaTopic, and the Topic Operator
//! being away. Needs Strimzi's operators (`STRIMZI_HOME`); skipped by name where they aren't. `ours` is our half, which
//! needs Strimzi's CRDs only.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod ours;
mod state;
mod topics;

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use headworks_e2e::{Cluster, bootstrap, cluster, platform, pocket, stream, strimzi_up, until};
use serde_json::Value;

const STREAM: &str = "datastreams.headworks.dev";
const PLATFORM: &str = "platforms.headworks.dev";
const TOPIC: &str = "kafkatopics.kafka.strimzi.io";
const WAIT: Duration = Duration::from_secs(60);

/// One test at a time has the Topic Operator, since it is also stopped.
static TURN: Mutex<()> = Mutex::new(());

/// The Topic Operator, up; and a namespace whose Platform is of the same name.
struct Strimzi {
    c: Cluster,
    _turn: MutexGuard<'static, ()>,
}

impl Strimzi {
    fn new(namespace: &str) -> Option<Self> {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        if !strimzi_up("topic", namespace) {
            return None;
        }
        let c = cluster(namespace)?;
        let strimzi = Self { c, _turn: turn };
        strimzi.forget();
        strimzi.platform("strimzi: {cluster: events, namespace: kafka}");
        strimzi.c.ready(PLATFORM, namespace);
        Some(strimzi)
    }

    /// Takes away what an earlier run left.
    fn forget(&self) {
        let ns = &self.c.namespace;
        let of_ns = format!("headworks.dev/namespace={ns}");
        self.c.kubectl.run(&[
            "delete",
            TOPIC,
            "-n",
            "kafka",
            "-l",
            &of_ns,
            "--timeout=60s",
        ]);
        self.c.kafka.forget(&format!("{ns}."), &format!(".{ns}."));
    }

    fn platform(&self, management: &str) {
        let ns = &self.c.namespace;
        self.c
            .apply(&platform(ns, &bootstrap(), "").replace("admin: {}", management));
    }

    fn stream(&self, name: &str, extra: &str) -> String {
        stream(name, extra).replace("platform: e2e", &format!("platform: {}", self.c.namespace))
    }

    fn kafka_topic(&self, stream: &str) -> Option<Value> {
        self.c.kubectl.get(TOPIC, &self.c.topic(stream), "kafka")
    }

    fn patch(&self, stream: &str, patch: &Value) {
        self.c.kubectl.must(&[
            "patch",
            TOPIC,
            &self.c.topic(stream),
            "-n",
            "kafka",
            "--type=merge",
            "-p",
            &patch.to_string(),
        ]);
    }

    fn down() {
        let (ok, text) = pocket(&["strimzi", "down", "topic"]);
        assert!(ok, "{text}");
    }

    fn up() {
        let (ok, text) = pocket(&["strimzi", "up", "topic"]);
        assert!(ok, "{text}");
    }

    fn setting(&self, stream: &str, key: &str) -> Option<String> {
        self.c
            .kafka
            .topic_config(&self.c.topic(stream))
            .get(key)
            .cloned()
    }

    /// Waits until Kafka has a setting so.
    fn until_setting(&self, stream: &str, key: &str, value: &str) {
        until(&format!("{key}={value}"), WAIT, || {
            (self.setting(stream, key).as_deref() == Some(value)).then_some(())
        })
        .unwrap_or_else(|| panic!("{key} is {:?} and not {value}", self.setting(stream, key)));
    }

    fn until_no_kafka_topic(&self, stream: &str) {
        until("the KafkaTopic goes", WAIT, || {
            self.kafka_topic(stream).is_none().then_some(())
        })
        .expect("the KafkaTopic goes");
    }

    fn delete(&self, stream: &str) {
        self.c.kubectl.must(&[
            "delete",
            STREAM,
            stream,
            "-n",
            &self.c.namespace,
            "--timeout=100s",
        ]);
    }

    fn records(&self, stream: &str) -> usize {
        self.c.kafka.read(&self.c.topic(stream)).len()
    }

    fn says(&self, stream: &str, type_: &str, status: &str, reason: &str) -> String {
        self.c
            .condition(STREAM, stream, type_, status, Some(reason))
    }
}

impl Drop for Strimzi {
    /// The stream's KafkaTopics first: without the Platform nobody would know where they are.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let ns = &self.c.namespace;
            self.c
                .kubectl
                .run(&["delete", STREAM, "--all", "-n", ns, "--timeout=60s"]);
            self.forget();
            self.c
                .kubectl
                .run(&["delete", PLATFORM, ns, "--wait=false"]);
        }
    }
}
