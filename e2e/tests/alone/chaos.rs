//! Five minutes of load while everything is killed with `kill -9` at random: what was acknowledged over HTTP is in the output
//! topic and in the table, each exactly once.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use headworks_e2e::{
    Cluster, Load, Posted, Warehouse, cluster, kill_container, pocket, source, stream,
};
use rand::Rng;
use rand::seq::IndexedRandom;

const TIME: Duration = Duration::from_secs(300);

const PIPELINE: &str = "
apiVersion: headworks.dev/v1alpha1
kind: Pipeline
metadata: {name: p}
spec:
  platform: e2e
  replicas: 2
  sql: SELECT id, n * 2 AS n FROM a
  to:
    - stream: b
    - table: {store: warehouse, name: results, create: true}
";

/// What can be killed, and how often it is, compared with the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Victim {
    PipelinePod,
    SourcePod,
    Broker,
    Postgres,
    Leader,
    NodeAgent,
}

const VICTIMS: [(Victim, u32); 6] = [
    (Victim::PipelinePod, 6),
    (Victim::SourcePod, 4),
    (Victim::Broker, 2),
    (Victim::Postgres, 3),
    (Victim::Leader, 3),
    (Victim::NodeAgent, 1),
];

impl Victim {
    fn kill(self, c: &Cluster, rng: &mut impl Rng) -> bool {
        let one_of = |selector: &str, rng: &mut dyn rand::RngCore| {
            let pods = c.kubectl.list("pods", &c.namespace, selector);
            let name = pods.choose(rng)?["metadata"]["name"].as_str()?.to_owned();
            Some(kill_container(&c.kubectl, &c.namespace, &name))
        };
        match self {
            Victim::PipelinePod => one_of("headworks.dev/kind=Pipeline", rng).unwrap_or(false),
            Victim::SourcePod => one_of("headworks.dev/kind=Source", rng).unwrap_or(false),
            Victim::Broker => pocket(&["kill", "kafka"]).0,
            Victim::Postgres => pocket(&["kill", "postgres"]).0,
            Victim::NodeAgent => pocket(&["kill", "kubelet"]).0,
            Victim::Leader => {
                leader(c).is_some_and(|pod| kill_container(&c.kubectl, "headworks-system", &pod))
            }
        }
    }
}

/// The operator's pod that holds the Lease.
fn leader(c: &Cluster) -> Option<String> {
    let leases = c.kubectl.list("leases", "headworks-system", "");
    let holder = leases
        .iter()
        .find_map(|lease| lease["spec"]["holderIdentity"].as_str())?;
    let pods = c.kubectl.list(
        "pods",
        "headworks-system",
        "app.kubernetes.io/name=headworks-operator",
    );
    pods.iter()
        .filter_map(|pod| pod["metadata"]["name"].as_str())
        .find(|name| holder.contains(name))
        .map(str::to_owned)
}

/// What was acknowledged is in the topic and in the table once.
fn verify(c: &Cluster, warehouse: &Warehouse, posted: &Posted) {
    let limit = Duration::from_secs(120);
    let right = |id: u64, n: i64| n == id as i64 * 2;
    let records = || Some(c.kafka.numbers(&c.topic("b")));
    posted.verify("topic b", limit, records, right);
    let rows = || {
        let rows = warehouse.ask("SELECT id, n FROM results")?;
        Some(
            rows.iter()
                .map(|row| (row[0].parse().unwrap(), row[1].parse().unwrap()))
                .collect(),
        )
    };
    posted.verify("table results", limit, rows, right);
}

#[test]
fn five_minutes_of_kill_9_lose_nothing_and_double_nothing_in_topic_and_table() {
    let Some(c) = cluster("e2e-chaos") else {
        return;
    };
    let warehouse = c.warehouse();
    c.apply(&stream("a", "partitions: 4"));
    c.apply(&stream("b", "partitions: 4"));
    c.apply(&source("in", "a", "").replace("spec:", "spec:\n  replicas: 2"));
    c.apply(PIPELINE);
    for (kind, name) in [
        ("datastreams.headworks.dev", "a"),
        ("datastreams.headworks.dev", "b"),
        ("sources.headworks.dev", "in"),
        ("pipelines.headworks.dev", "p"),
    ] {
        c.ready(kind, name);
    }
    assert!(leader(&c).is_some(), "an operator leads");

    let load = Load::start(format!("{}/in", c.address("in")));
    let mut rng = rand::rng();
    let mut kills: BTreeMap<Victim, u32> = BTreeMap::new();
    let end = Instant::now() + TIME;
    while Instant::now() < end {
        std::thread::sleep(Duration::from_millis(rng.random_range(1500..6000)));
        let (victim, _) = VICTIMS
            .choose_weighted(&mut rng, |(_, weight)| *weight)
            .unwrap();
        if victim.kill(&c, &mut rng) {
            *kills.entry(*victim).or_default() += 1;
        }
    }
    let posted = load.stop();
    println!(
        "    kill -9 in {} s: {kills:?}, {} in all",
        TIME.as_secs(),
        kills.values().sum::<u32>()
    );
    for (victim, _) in VICTIMS {
        assert!(kills.contains_key(&victim), "{victim:?} was never killed");
    }
    verify(&c, &warehouse, &posted);
    c.ready("pipelines.headworks.dev", "p");
    c.ready("datastores.headworks.dev", "warehouse");
    assert_eq!(
        c.kafka.read(&format!("{}.dlq", c.topic("a"))).len(),
        0,
        "nothing was refused"
    );
}

#[test]
fn a_database_that_is_down_holds_up_its_table_only_and_loses_nothing() {
    let Some(c) = cluster("e2e-store-down") else {
        return;
    };
    let warehouse = c.warehouse();
    c.apply(&stream("a", "partitions: 2"));
    c.apply(&stream("b", "partitions: 2"));
    c.apply(&source("in", "a", ""));
    c.apply(PIPELINE);
    c.ready("sources.headworks.dev", "in");
    c.ready("pipelines.headworks.dev", "p");
    let load = Load::start(format!("{}/in", c.address("in")));
    let servers = |count: &str| {
        c.kubectl.must(&[
            "scale",
            "statefulset/warehouse",
            "-n",
            "postgres",
            "--replicas",
            count,
        ])
    };
    servers("0");
    for (kind, name) in [
        ("pipelines.headworks.dev", "p"),
        ("datastores.headworks.dev", "warehouse"),
    ] {
        let message = c.condition(kind, name, "Ready", "False", Some("StoreUnavailable"));
        assert!(message.contains("warehouse"), "{message}");
    }
    let before = c.kafka.numbers(&c.topic("b")).len();
    std::thread::sleep(Duration::from_secs(20));
    let after = c.kafka.numbers(&c.topic("b")).len();
    servers("1");
    assert!(
        after > before + 5_000,
        "the stream goes on meanwhile: {before} then {after}"
    );
    c.ready("pipelines.headworks.dev", "p");
    c.ready("datastores.headworks.dev", "warehouse");
    let posted = load.stop();
    verify(&c, &warehouse, &posted);
}
