//! Nothing lost and nothing doubled while things are killed, replaced and edited under load.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use headworks_e2e::{Cluster, cluster, kill_container, pipeline, source, stream};
use rand::Rng;

const PIPELINE: &str = "pipelines.headworks.dev";
const OPERATOR: &str = "app.kubernetes.io/name=headworks-operator";

/// What the sender knows: ids answered 202, and ids whose answer never came.
struct Posted {
    acknowledged: HashSet<u64>,
    unknown: HashSet<u64>,
}

/// Posts batches of 50 fresh records, about 1,000 a second, until told to stop. An id is posted once, so a double is never ours.
fn load(url: String, stop: Arc<AtomicBool>) -> JoinHandle<Posted> {
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let client = reqwest::Client::new();
        let mut posted = Posted {
            acknowledged: HashSet::new(),
            unknown: HashSet::new(),
        };
        let mut next = 0_u64;
        let limit = Instant::now() + Duration::from_secs(300);
        while !stop.load(Ordering::Relaxed) && Instant::now() < limit {
            let ids: Vec<u64> = (next..next + 50).collect();
            next += 50;
            let mut body = String::new();
            for id in &ids {
                let _ = writeln!(body, "{{\"id\":\"{id}\",\"n\":{id}}}");
            }
            let answer = runtime.block_on(async {
                client
                    .post(&url)
                    .header("content-type", "application/x-ndjson")
                    .timeout(Duration::from_secs(20))
                    .body(body)
                    .send()
                    .await
            });
            match answer {
                Ok(answer) if answer.status() == 202 => posted.acknowledged.extend(ids),
                Ok(answer) if answer.status().is_client_error() => panic!("{}", answer.status()),
                _ => posted.unknown.extend(ids),
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        posted
    })
}

/// Streams `a`, `b`, a source into `a`, a pipeline from `a` to `b` with two replicas; gives the URL to post to.
fn shop(c: &Cluster) -> String {
    c.apply(&stream("a", "partitions: 4"));
    c.apply(&stream("b", "partitions: 4"));
    c.apply(&source("in", "a", ""));
    c.apply(
        &pipeline("p", "SELECT id, n * 2 AS n FROM a", "b")
            .replace("  sql:", "  replicas: 2\n  sql:"),
    );
    for (kind, name) in [
        ("datastreams.headworks.dev", "a"),
        ("datastreams.headworks.dev", "b"),
        ("sources.headworks.dev", "in"),
        (PIPELINE, "p"),
    ] {
        c.ready(kind, name);
    }
    format!("{}/in", c.address("in"))
}

/// Compares what was posted with what is in `b`, and prints the counts.
fn verify(c: &Cluster, posted: &Posted, right: impl Fn(u64, &serde_json::Value) -> bool) {
    let began = Instant::now();
    let seen: BTreeMap<u64, Vec<serde_json::Value>> = loop {
        let mut seen: BTreeMap<u64, Vec<serde_json::Value>> = BTreeMap::new();
        for record in c.kafka.read(&c.topic("b")) {
            let json = record.json();
            seen.entry(json["id"].as_str().unwrap().parse().unwrap())
                .or_default()
                .push(json);
        }
        if posted.acknowledged.iter().all(|id| seen.contains_key(id))
            || began.elapsed() > Duration::from_secs(90)
        {
            break seen;
        }
        std::thread::sleep(Duration::from_secs(1));
    };
    let missing = posted
        .acknowledged
        .iter()
        .filter(|id| !seen.contains_key(id))
        .count();
    let doubled = seen.values().filter(|values| values.len() > 1).count();
    let wrong = seen
        .iter()
        .filter(|(id, values)| values.iter().any(|v| !right(**id, v)))
        .count();
    let strangers = seen
        .keys()
        .filter(|id| !posted.acknowledged.contains(id) && !posted.unknown.contains(id))
        .count();
    println!(
        "    acknowledged {}, without an answer {}, in the output {}: missing {missing}, doubled {doubled}, wrong {wrong}, never posted {strangers}",
        posted.acknowledged.len(),
        posted.unknown.len(),
        seen.len()
    );
    assert!(posted.acknowledged.len() > 1000, "there was load");
    assert_eq!((missing, doubled, wrong, strangers), (0, 0, 0, 0));
}

#[test]
fn acknowledged_records_are_out_exactly_once_after_kill_9_of_pipeline_pods_and_operator() {
    let Some(c) = cluster("e2e-kill") else { return };
    let url = shop(&c);
    let stop = Arc::new(AtomicBool::new(false));
    let sender = load(url, stop.clone());
    let mut rng = rand::rng();
    let (mut pods, mut operators) = (0, 0);
    let until = Instant::now() + Duration::from_secs(75);
    while Instant::now() < until {
        std::thread::sleep(Duration::from_millis(rng.random_range(3000..9000)));
        if rng.random_ratio(1, 4) {
            for pod in c.kubectl.list("pods", "headworks-system", OPERATOR) {
                operators += usize::from(kill_container(
                    &c.kubectl,
                    "headworks-system",
                    pod["metadata"]["name"].as_str().unwrap(),
                ));
            }
        } else {
            let pod = format!("p-{}", rng.random_range(0..2));
            pods += usize::from(kill_container(&c.kubectl, &c.namespace, &pod));
        }
    }
    stop.store(true, Ordering::Relaxed);
    let posted = sender.join().unwrap();
    println!("    kill -9: {pods} of pipeline pods, {operators} of the operator");
    assert!(pods >= 3, "pods were killed");
    verify(&c, &posted, |id, v| v["n"] == id * 2);
    c.ready(PIPELINE, "p");
}

#[test]
fn an_edit_of_the_sql_rolls_out_without_loss_or_repeat() {
    let Some(c) = cluster("e2e-edit") else { return };
    let url = shop(&c);
    let stop = Arc::new(AtomicBool::new(false));
    let sender = load(url, stop.clone());
    for factor in [3, 5] {
        std::thread::sleep(Duration::from_secs(8));
        c.apply(
            &pipeline("p", &format!("SELECT id, n * {factor} AS n FROM a"), "b")
                .replace("  sql:", "  replicas: 2\n  sql:"),
        );
        std::thread::sleep(Duration::from_secs(2));
        c.ready(PIPELINE, "p");
    }
    std::thread::sleep(Duration::from_secs(5));
    stop.store(true, Ordering::Relaxed);
    let posted = sender.join().unwrap();
    verify(&c, &posted, |id, v| {
        [2, 3, 5].iter().any(|f| v["n"] == id * f)
    });
    let last = c
        .kafka
        .read(&c.topic("b"))
        .iter()
        .map(headworks_e2e::Record::json)
        .max_by_key(|j| j["id"].as_str().unwrap().parse::<u64>().unwrap())
        .unwrap();
    assert_eq!(
        last["n"],
        last["id"].as_str().unwrap().parse::<u64>().unwrap() * 5,
        "the last edit is in force"
    );
}

#[test]
fn a_deleted_and_created_again_pipeline_goes_on_where_it_was() {
    let Some(c) = cluster("e2e-again") else {
        return;
    };
    c.apply(&stream("a", "partitions: 2"));
    c.apply(&stream("b", "partitions: 2"));
    let yaml = pipeline("p", "SELECT id, n FROM a", "b");
    c.apply(&yaml);
    c.ready(PIPELINE, "p");
    c.kafka.produce(&c.topic("a"), &[br#"{"id":"1","n":1}"#]);
    c.kafka
        .read_at_least(&c.topic("b"), 1, Duration::from_secs(60));
    c.kubectl
        .must(&["delete", PIPELINE, "p", "-n", &c.namespace, "--timeout=60s"]);
    c.kafka.produce(&c.topic("a"), &[br#"{"id":"2","n":2}"#]);
    c.apply(&yaml);
    c.ready(PIPELINE, "p");
    c.kafka
        .read_at_least(&c.topic("b"), 2, Duration::from_secs(60));
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(
        c.kafka.read(&c.topic("b")).len(),
        2,
        "nothing is read twice"
    );
}

#[test]
fn deleting_and_creating_the_operator_disturbs_no_pod() {
    let Some(c) = cluster("e2e-operator") else {
        return;
    };
    shop(&c);
    let pods = |c: &Cluster| -> Vec<(String, String)> {
        let mut pods: Vec<_> = c
            .kubectl
            .list("pods", &c.namespace, "")
            .iter()
            .map(|p| {
                (
                    p["metadata"]["uid"].to_string(),
                    p["status"]["containerStatuses"][0]["restartCount"].to_string(),
                )
            })
            .collect();
        pods.sort();
        pods
    };
    let before = pods(&c);
    assert_eq!(before.len(), 3);
    c.kubectl.must(&[
        "delete",
        "pods",
        "-n",
        "headworks-system",
        "-l",
        OPERATOR,
        "--timeout=60s",
    ]);
    c.kubectl.must(&[
        "rollout",
        "status",
        "deployment/headworks-operator",
        "-n",
        "headworks-system",
        "--timeout=90s",
    ]);
    std::thread::sleep(Duration::from_secs(20));
    assert_eq!(pods(&c), before, "the same pods, none restarted");
    c.ready(PIPELINE, "p");
}

#[test]
fn an_idle_half_minute_writes_nothing() {
    let Some(c) = cluster("e2e-idle") else { return };
    shop(&c);
    std::thread::sleep(Duration::from_secs(30));
    let versions = |c: &Cluster| -> BTreeMap<String, String> {
        let kinds = "datastreams.headworks.dev,sources.headworks.dev,pipelines.headworks.dev,configmaps,services,deployments,statefulsets,events";
        c.kubectl
            .list(kinds, &c.namespace, "")
            .into_iter()
            .chain(c.kubectl.list("platforms.headworks.dev", "", ""))
            .map(|o| {
                (
                    format!("{}/{}", o["kind"], o["metadata"]["name"]),
                    o["metadata"]["resourceVersion"].to_string(),
                )
            })
            .collect()
    };
    let before = versions(&c);
    assert!(before.len() > 8);
    std::thread::sleep(Duration::from_secs(30));
    assert_eq!(
        versions(&c),
        before,
        "no object changed while no record flowed"
    );
}
