//! Minutes of load while everything is killed with `kill -9`, or deleted, at random: what was acknowledged over HTTP is in the
//! output topic and in the table, each exactly once. `HEADWORKS_CHAOS_SECONDS` says how long. And
//! windows, sessions and the newest of each key while pods go and pipelines are scaled: they are what the input topic says.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use headworks_e2e::{
    Cluster, Events, Load, Posted, Warehouse, cluster, compare, kill_container, millis, pocket,
    source, stream,
};
use rand::Rng;
use rand::seq::IndexedRandom;

/// Tumbling windows of the test, in milliseconds.
const WINDOW: i64 = 60_000;
/// Silence that ends a session of the test, in milliseconds.
const GAP: i64 = 30_000;

/// How long the faults go on: as the environment says, or so long.
fn time(seconds: u64) -> Duration {
    let asked = std::env::var("HEADWORKS_CHAOS_SECONDS").ok();
    Duration::from_secs(asked.map_or(seconds, |text| text.parse().expect("seconds")))
}

/// Pipelines with state over the same stream, and their outputs.
const KEYED: &str = r#"
apiVersion: headworks.dev/v1alpha1
kind: DataStream
metadata: {name: windows}
spec:
  platform: e2e
  partitions: 2
  schema: [{name: k, type: string}, {name: w, type: timestamp(3)}, {name: c, type: bigint}, {name: s, type: bigint, nullable: true}]
  key: [k]
---
apiVersion: headworks.dev/v1alpha1
kind: DataStream
metadata: {name: sessions}
spec:
  platform: e2e
  partitions: 2
  schema: [{name: k, type: string}, {name: b, type: timestamp(3)}, {name: e, type: timestamp(3)}, {name: c, type: bigint}]
  key: [k]
---
apiVersion: headworks.dev/v1alpha1
kind: DataStream
metadata: {name: newest}
spec:
  platform: e2e
  partitions: 2
  compacted: true
  schema: [{name: k, type: string}, {name: "n", type: bigint}]
  key: [k]
---
apiVersion: headworks.dev/v1alpha1
kind: Pipeline
metadata: {name: windows}
spec:
  platform: e2e
  sql: |
    SELECT k, TUMBLE_START(ts, INTERVAL '1' MINUTE) AS w, COUNT(*) AS c, SUM(n) AS s
    FROM a
    GROUP BY k, TUMBLE(ts, INTERVAL '1' MINUTE)
  to: [{stream: windows}]
---
apiVersion: headworks.dev/v1alpha1
kind: Pipeline
metadata: {name: sessions}
spec:
  platform: e2e
  sql: |
    SELECT k, SESSION_START(ts, INTERVAL '30' SECOND) AS b, SESSION_END(ts, INTERVAL '30' SECOND) AS e, COUNT(*) AS c
    FROM a
    GROUP BY k, SESSION(ts, INTERVAL '30' SECOND)
  to: [{stream: sessions}]
---
apiVersion: headworks.dev/v1alpha1
kind: Pipeline
metadata: {name: newest}
spec:
  platform: e2e
  sql: |
    SELECT k, n
    FROM (SELECT k, n, ROW_NUMBER() OVER (PARTITION BY k ORDER BY ts DESC) AS rn FROM a)
    WHERE rn = 1
  to: [{stream: newest}]
"#;
const KEYED_PIPELINES: [&str; 3] = ["windows", "sessions", "newest"];

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
    DeletedPod,
    SourcePod,
    Broker,
    Postgres,
    Leader,
    NodeAgent,
}

const VICTIMS: [(Victim, u32); 7] = [
    (Victim::PipelinePod, 6),
    (Victim::DeletedPod, 6),
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
            Victim::DeletedPod => {
                let pods = c
                    .kubectl
                    .list("pods", &c.namespace, "headworks.dev/kind=Pipeline");
                let name = pods
                    .choose(rng)
                    .and_then(|pod| pod["metadata"]["name"].as_str());
                name.is_some_and(|name| {
                    let now = ["--grace-period=0", "--force"];
                    let what = ["delete", "pod", name, "-n", &c.namespace];
                    c.kubectl.run(&[&what[..], &now[..]].concat()).ok
                })
            }
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

/// Windows, sessions and the newest of each key, recomputed from the input topic.
fn verify_keyed(c: &Cluster) {
    let topic = c.topic("a");
    Events::close(c, &topic);
    let limit = Duration::from_secs(180);
    let number = |json: &serde_json::Value, name: &str| json[name].as_i64().unwrap();
    let text = |json: &serde_json::Value, name: &str| json[name].as_str().unwrap().to_owned();
    let results = |stream: &str| {
        let records = c.kafka.read(&c.topic(stream));
        records
            .iter()
            .filter(|record| !record.value.is_empty())
            .map(headworks_e2e::Record::json)
            .filter(|json| json["k"] != "end")
            .collect::<Vec<_>>()
    };
    let windows = || {
        let one = |json: &serde_json::Value| {
            let key = (text(json, "k"), millis(&text(json, "w")));
            (key, (number(json, "c"), number(json, "s")))
        };
        results("windows").iter().map(one).collect::<Vec<_>>()
    };
    let sessions = || {
        let one = |json: &serde_json::Value| {
            let key = (text(json, "k"), millis(&text(json, "b")));
            (key, (millis(&text(json, "e")), number(json, "c")))
        };
        results("sessions").iter().map(one).collect::<Vec<_>>()
    };
    let newest = || {
        let one = |json: &serde_json::Value| (text(json, "k"), number(json, "n"));
        let all: BTreeMap<String, i64> = results("newest").iter().map(one).collect();
        all.into_iter().collect::<Vec<_>>()
    };
    let of = |pipeline: &str| {
        let events = Events::read(c, &topic, pipeline);
        println!(
            "    {pipeline}: {} events, {} late",
            events.events.len(),
            events.late
        );
        assert!(
            events.late * 100 < events.events.len(),
            "the disorder is within bounds, so hardly anything is late"
        );
        events
    };
    let expected = of("newest").newest();
    headworks_e2e::until("the newest of each key", limit, || {
        (newest().into_iter().collect::<BTreeMap<_, _>>() == expected).then_some(())
    });
    compare("newest of each key", Duration::ZERO, &expected, newest);
    // What was late is known once the windows are out.
    let settled = |stream: &str| {
        let mut last = 0;
        headworks_e2e::until(stream, limit, || {
            let now = results(stream).len();
            std::thread::sleep(Duration::from_secs(3));
            (std::mem::replace(&mut last, now) == now && now > 0).then_some(())
        });
    };
    settled("windows");
    settled("sessions");
    compare(
        "tumbling windows",
        limit,
        &of("windows").windows(WINDOW),
        windows,
    );
    compare("sessions", limit, &of("sessions").sessions(GAP), sessions);
}

#[test]
fn minutes_of_kill_9_lose_nothing_and_double_nothing_in_topic_and_table() {
    let Some(c) = cluster("e2e-chaos") else {
        return;
    };
    let warehouse = c.warehouse();
    // Each record has an id, which the table's check needs.
    let required = |yaml: String| {
        yaml.replace(
            "name: id, type: string, nullable: true",
            "name: id, type: string",
        )
    };
    c.apply(&required(Events::stream("a", 4)));
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

    let load = Events::load(format!("{}/in", c.address("in")));
    let mut rng = rand::rng();
    let mut kills: BTreeMap<Victim, u32> = BTreeMap::new();
    let (began, time) = (Instant::now(), time(120));
    while began.elapsed() < time {
        std::thread::sleep(Duration::from_millis(rng.random_range(1500..6000)));
        // Half of the time those that weren't killed yet, so that a short run has killed each.
        let spared: Vec<Victim> = VICTIMS
            .iter()
            .map(|(victim, _)| *victim)
            .filter(|victim| !kills.contains_key(victim))
            .collect();
        let victim = match spared.choose(&mut rng) {
            Some(victim) if rng.random_bool(0.5) => *victim,
            _ => {
                VICTIMS
                    .choose_weighted(&mut rng, |(_, weight)| *weight)
                    .unwrap()
                    .0
            }
        };
        if victim.kill(&c, &mut rng) {
            *kills.entry(victim).or_default() += 1;
        }
    }
    let posted = load.stop();
    println!(
        "    kill -9 in {} s: {kills:?}, {} in all",
        time.as_secs(),
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
fn windows_sessions_and_deduplication_are_right_while_pods_go_the_broker_is_killed_and_pipelines_scale()
 {
    let Some(c) = cluster("e2e-keyed-chaos") else {
        return;
    };
    c.apply(&Events::stream("a", 4));
    c.apply(&source("in", "a", "").replace("spec:", "spec:\n  replicas: 2"));
    c.ready("sources.headworks.dev", "in");
    c.apply(KEYED);
    for name in KEYED_PIPELINES {
        c.ready("pipelines.headworks.dev", name);
    }
    let load = Events::load(format!("{}/in", c.address("in")));
    let mut rng = rand::rng();
    let (began, whole) = (Instant::now(), time(120));
    let scale = |replicas: &str| {
        for name in KEYED_PIPELINES {
            let what = format!("pipelines.headworks.dev/{name}");
            c.kubectl
                .must(&["scale", &what, "-n", &c.namespace, "--replicas", replicas]);
        }
    };
    let committed = |name: &str| {
        let pipeline = c
            .kubectl
            .get("pipelines.headworks.dev", name, &c.namespace)?;
        let time = pipeline["status"]["lastCommitTime"].as_str()?;
        Some(millis(time))
    };
    // No pod goes until the pipelines get on again: Kafka may leave a transaction without its end where a
    // partition has one replica (KAFKA-20734), and only a process that lived through it knows how it was decided.
    let kill_broker = || {
        assert!(pocket(&["kill", "kafka"]).0, "the broker is killed");
        std::thread::sleep(Duration::from_secs(5));
        let before = KEYED_PIPELINES.map(committed);
        for (name, before) in KEYED_PIPELINES.into_iter().zip(before) {
            headworks_e2e::until(name, Duration::from_secs(180), || {
                (committed(name) > before).then_some(())
            });
        }
        // The first part tells of its commits; the second ends within half a minute what hangs.
        std::thread::sleep(Duration::from_secs(45));
    };
    // From one pod to three, the broker killed, then to two, and killed again.
    let mut steps: Vec<(Duration, Box<dyn Fn() + '_>)> = vec![
        (whole * 7 / 8, Box::new(kill_broker)),
        (whole * 3 / 4, Box::new(|| scale("2"))),
        (whole / 2, Box::new(kill_broker)),
        (whole / 4, Box::new(|| scale("3"))),
    ];
    let mut kills = 0;
    while began.elapsed() < whole || !steps.is_empty() {
        if let Some((_, step)) = steps.pop_if(|(at, _)| began.elapsed() >= *at) {
            step();
        }
        std::thread::sleep(Duration::from_millis(rng.random_range(4_000..9_000)));
        let victim = [Victim::DeletedPod, Victim::DeletedPod, Victim::PipelinePod]
            .choose(&mut rng)
            .unwrap();
        kills += u32::from(victim.kill(&c, &mut rng));
    }
    let posted = load.stop();
    println!("    {kills} pods killed or deleted with grace 0, the broker twice with kill -9");
    assert!(posted.acknowledged.len() > 1000 && kills > 5);
    verify_keyed(&c);
    for name in KEYED_PIPELINES {
        c.ready("pipelines.headworks.dev", name);
    }
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
