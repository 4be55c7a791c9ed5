//! End-to-end tests do what a user does: `kubectl apply`, post records, read topics, kill things.
//!
//! Every test asks [`cluster`] first. Without `HEADWORKS_E2E=on` (set by `make e2e`, which starts pocket and installs
//! the charts) it says that it was skipped. Each test has a namespace of its own, named after it, so that
//! tests run side by side.

// Tests may stop with a message; that is what they are for.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc
)]

mod api;
mod apply;
pub mod clients;
mod coordinators;
mod events;
mod feed;
mod gate;
mod kafka;
mod kubectl;
mod load;
mod process;
mod sweep;
mod told;
mod verdict;
mod volume;
mod warehouse;
mod well;

pub use events::{Event, Events, Input, Letter, Session, Window, instant, line, millis};
pub use feed::Feed;
pub use gate::Gate;
pub use kafka::{Kafka, Record, block_on};
pub use kubectl::{Kubectl, Outcome};
pub use load::{Load, Posted};
pub use process::{kill_container, pocket, strimzi_up};
pub use sweep::{alone as sweep_alone, once as sweep_once};
pub use told::skipped;
pub use verdict::Verdict;
pub use volume::Volume;
pub use warehouse::{Warehouse, data_store, table_pipeline};

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// A connection to pocket, and a namespace for one test.
pub struct Cluster {
    /// The test's namespace.
    pub namespace: String,
    /// `kubectl` against pocket.
    pub kubectl: Kubectl,
    /// Pocket's Kafka, as this machine reaches it.
    pub kafka: Kafka,
    began: Instant,
}

/// The cluster and a fresh namespace, or nothing where the end-to-end tests are switched off.
pub fn cluster(namespace: &str) -> Option<Cluster> {
    if std::env::var("HEADWORKS_E2E").as_deref() != Ok("on") {
        println!("skipped: needs a cluster; run `make e2e`");
        return None;
    }
    let kubectl = Kubectl::default();
    let kafka = Kafka::connect(
        &std::env::var("KAFKA_BOOTSTRAP").expect("KAFKA_BOOTSTRAP, from `make -s endpoints`"),
    );
    well::well(&kubectl, &kafka, "before this test");
    sweep::once(&kubectl, &kafka);
    let cluster = Cluster {
        namespace: namespace.to_owned(),
        kubectl,
        kafka,
        began: Instant::now(),
    };
    cluster.reset();
    Some(cluster)
}

/// The cluster as it is, with nothing made in it; nothing where the end-to-end tests are switched off.
pub fn bare() -> Option<(Kubectl, Kafka)> {
    if std::env::var("HEADWORKS_E2E").as_deref() != Ok("on") {
        println!("skipped: needs a cluster; run `make e2e`");
        return None;
    }
    let address = std::env::var("KAFKA_BOOTSTRAP").expect("KAFKA_BOOTSTRAP");
    Some((Kubectl::default(), Kafka::connect(&address)))
}

/// A test that passed takes its pods away (and the run its topics, at its end); one that failed leaves everything to look at, until
/// the next run sweeps.
impl Drop for Cluster {
    fn drop(&mut self) {
        told::took(&told::name(&self.namespace), self.began.elapsed());
        if !std::thread::panicking() {
            api::forget_namespace(&self.namespace, &objects());
        }
    }
}

use sweep::objects;

impl Cluster {
    /// Waits until the cluster is well again after what this test did to it; panics with the name of what isn't.
    pub fn well(&self, after: &str) {
        well::doubt();
        well::well(&self.kubectl, &self.kafka, &format!("after {after}"));
    }

    /// Removes what an earlier run left, topics included, and makes the namespace and the Platform anew.
    fn reset(&self) {
        let ns = &self.namespace;
        if self.kubectl.get("namespaces", ns, "").is_some() {
            let ours = objects();
            let objects = ["delete", &ours, "--all", "-n", ns, "--timeout=60s"];
            self.kubectl
                .run(&[&objects[..], &["--ignore-not-found"]].concat());
            let space = ["delete", "namespace", ns, "--ignore-not-found"];
            self.kubectl.run(&[&space[..], &["--timeout=90s"]].concat());
        }
        self.kafka.forget(&format!("{ns}."), &format!(".{ns}."));
        api::make_namespace(
            &serde_json::json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ns,
            "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}),
        );
        if self
            .kubectl
            .get("platforms.headworks.dev", "e2e", "")
            .is_none()
        {
            // Tests begin side by side: another may have made the Platform in this moment.
            let shared = platform("e2e", &bootstrap(), "");
            if !self.kubectl.apply(&shared, ns).ok {
                self.apply(&shared);
            }
        }
        self.ready("platforms.headworks.dev", "e2e");
    }

    /// `kubectl apply`, without starting a kubectl where it isn't needed; panics with the words of who refuses it.
    pub fn apply(&self, yaml: &str) {
        if self.kubectl.config.is_none()
            && let Some(applied) = apply::apply(yaml, &self.namespace)
        {
            assert!(
                applied.is_ok(),
                "refused: {}\n{yaml}",
                applied.err().unwrap_or_default()
            );
            return;
        }
        let outcome = self.kubectl.apply(yaml, &self.namespace);
        assert!(
            outcome.ok,
            "kubectl apply was refused: {}\n{yaml}",
            outcome.text
        );
    }

    /// `kubectl apply` that must be refused; gives kubectl's words.
    pub fn refused(&self, yaml: &str) -> String {
        let outcome = self.kubectl.apply(yaml, &self.namespace);
        assert!(
            !outcome.ok,
            "kubectl apply should have been refused:\n{yaml}\n{}",
            outcome.text
        );
        outcome.text
    }

    /// Waits until the object is Ready.
    pub fn ready(&self, kind: &str, name: &str) {
        self.condition(kind, name, "Ready", "True", None);
    }

    /// Waits until a condition has a status (and reason, if given) for the object's present generation; gives its message.
    pub fn condition(
        &self,
        kind: &str,
        name: &str,
        type_: &str,
        status: &str,
        reason: Option<&str>,
    ) -> String {
        self.condition_within(kind, name, type_, status, reason, Duration::from_secs(120))
    }

    /// As [`Cluster::condition`], with a limit.
    pub fn condition_within(
        &self,
        kind: &str,
        name: &str,
        type_: &str,
        status: &str,
        reason: Option<&str>,
        limit: Duration,
    ) -> String {
        let what = format!(
            "{kind}/{name} {type_}={status} {}",
            reason.unwrap_or_default()
        );
        let mut last = String::new();
        until(&what, limit, || {
            let object = self.kubectl.get(kind, name, &self.namespace)?;
            last = object["status"]["conditions"].to_string();
            let condition = object["status"]["conditions"]
                .as_array()?
                .iter()
                .find(|c| c["type"] == type_)?
                .clone();
            let fresh = condition["observedGeneration"]
                .as_i64()
                .is_none_or(|g| Some(g) == object["metadata"]["generation"].as_i64());
            (fresh
                && condition["status"] == status
                && reason.is_none_or(|r| condition["reason"] == r))
            .then(|| condition["message"].as_str().unwrap_or_default().to_owned())
        })
        .unwrap_or_else(|| panic!("never saw {what}; conditions: {last}"))
    }

    /// Applies a stream `name` with fields `id: string, n: bigint` and waits for it.
    pub fn stream(&self, name: &str) {
        self.apply(&stream(name, "partitions: 3"));
        self.ready("datastreams.headworks.dev", name);
    }

    /// Streams `a` and `b`, a source `in` into `a`, a pipeline `p` of two pods from `a` to `b` that doubles `n`, all Ready;
    /// gives the URL to post to.
    pub fn flow(&self) -> String {
        self.apply(&stream("a", "partitions: 4"));
        self.apply(&stream("b", "partitions: 4"));
        self.apply(&source("in", "a", ""));
        self.apply(
            &pipeline("p", "SELECT id, n * 2 AS n FROM a", "b")
                .replace("  sql:", "  replicas: 2\n  sql:"),
        );
        self.ready("sources.headworks.dev", "in");
        self.ready("pipelines.headworks.dev", "p");
        format!("{}/in", self.address("in"))
    }

    /// Base address of a Source's Service, reachable from this machine. A Source is Ready a moment before the node's proxy knows where its
    /// pods are; one that isn't reached soon is for its test to tell.
    pub fn address(&self, source: &str) -> String {
        let service = self
            .kubectl
            .get("services", source, &self.namespace)
            .expect("the source's Service");
        let ip = service["spec"]["clusterIP"].as_str().expect("clusterIP");
        let at = format!("{ip}:8080");
        let address: SocketAddr = at.parse().expect("an address");
        until("the Source is reached", Duration::from_secs(10), || {
            TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok()
        });
        format!("http://{at}")
    }

    /// The topic of a stream by default.
    pub fn topic(&self, stream: &str) -> String {
        format!("{}.{stream}", self.namespace)
    }
}

/// Kafka's address inside the cluster.
pub fn bootstrap() -> String {
    std::env::var("KAFKA_BOOTSTRAP_IN_CLUSTER")
        .unwrap_or_else(|_| "events-kafka-bootstrap.kafka.svc:9092".into())
}

/// A Platform, whose pods ask for little: tests run side by side, and a node of two cores has to take all of their pods.
/// `extra` goes under `spec.kafka` (indented by four).
pub fn platform(name: &str, bootstrap: &str, extra: &str) -> String {
    format!(
        "apiVersion: headworks.dev/v1alpha1\nkind: Platform\nmetadata: {{name: {name}}}\nspec:\n  kafka:\n    bootstrapServers: {bootstrap}\n    management: {{admin: {{}}}}\n{extra}  defaults: {{partitions: 3, replicas: 1, retention: 1d}}\n  podTemplate: {{resources: {{requests: {{cpu: 10m, memory: 64Mi}}}}}}\n"
    )
}

/// A DataStream with fields `id: string, n: bigint`, keyed by id; `extra` is one more line under `spec`.
pub fn stream(name: &str, extra: &str) -> String {
    format!(
        "apiVersion: headworks.dev/v1alpha1\nkind: DataStream\nmetadata: {{name: {name}}}\nspec:\n  platform: e2e\n  format: Json\n  {extra}\n  schema:\n    - {{name: id, type: string}}\n    - {{name: \"n\", type: bigint}}\n  key: [id]\n"
    )
}

/// A Pipeline over Platform `e2e`.
pub fn pipeline(name: &str, sql: &str, to: &str) -> String {
    format!(
        "apiVersion: headworks.dev/v1alpha1\nkind: Pipeline\nmetadata: {{name: {name}}}\nspec:\n  platform: e2e\n  sql: |\n    {}\n  to:\n    - stream: {to}\n",
        sql.replace('\n', "\n    ")
    )
}

/// An HTTP source at /in; `extra` is YAML under `http` in flow style, such as `, maxBodyBytes: 1Ki`.
pub fn source(name: &str, into: &str, extra: &str) -> String {
    format!(
        "apiVersion: headworks.dev/v1alpha1\nkind: Source\nmetadata: {{name: {name}}}\nspec:\n  into: {into}\n  http: {{path: /in{extra}}}\n"
    )
}

/// Asks every quarter second until there is an answer, or gives up at the limit.
pub fn until<T>(what: &str, limit: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask() {
            let took = began.elapsed();
            if took > Duration::from_secs(20) {
                println!("    ({what}: after {} s)", took.as_secs());
            }
            return Some(answer);
        }
        if began.elapsed() > limit {
            return None;
        }
        std::thread::sleep(Duration::from_millis(250));
    }
}
