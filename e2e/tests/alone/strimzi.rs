//! Many streams through Strimzi's real Topic Operator: none is lost, the warning comes before its queue is full, and an idle minute
//! writes nothing. Runs where `HEADWORKS_STRIMZI_STREAMS` says how many (1000 for the
//! figures in docs/performance.md, 820 for the warning with the queue at its default).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use headworks_e2e::{Cluster, bootstrap, cluster, platform, pocket, stream, strimzi_up, until};

const STREAM: &str = "datastreams.headworks.dev";
const TOPIC: &str = "kafkatopics.kafka.strimzi.io";

#[test]
fn a_thousand_streams_through_the_topic_operator() {
    let Some(many) = std::env::var("HEADWORKS_STRIMZI_STREAMS")
        .ok()
        .and_then(|n| n.parse::<usize>().ok())
    else {
        println!("skipped: HEADWORKS_STRIMZI_STREAMS says how many");
        return;
    };
    if !strimzi_up("topic", "e2e-strimzi-many") {
        return;
    }
    let Some(c) = cluster("e2e-strimzi-many") else {
        return;
    };
    pocket(&["strimzi", "down", "topic"]);
    // Below a thousand the queue stays at its default, which just holds them: that is what the warning is for.
    let raised: &[&str] = if many < 1000 {
        &[]
    } else {
        &["--max-queue", "20000"]
    };
    let (ok, text) = pocket(&[&["strimzi", "up", "topic"], raised].concat());
    assert!(ok, "{text}");
    let ns = c.namespace.clone();
    c.apply(
        &platform(&ns, &bootstrap(), "")
            .replace("admin: {}", "strimzi: {cluster: events, namespace: kafka}"),
    );
    c.ready("platforms.headworks.dev", &ns);
    let began = Instant::now();
    apply_streams(&c, many);
    let applied = began.elapsed();
    until("all are Ready", Duration::from_secs(1200), || {
        std::thread::sleep(Duration::from_secs(2));
        (ready(&c) == many).then_some(())
    })
    .unwrap_or_else(|| panic!("{} of {many} are Ready", ready(&c)));
    println!(
        "    {many} streams: applied in {} s, all Ready after {} s",
        applied.as_secs(),
        began.elapsed().as_secs()
    );
    assert_eq!(
        c.kubectl
            .list(TOPIC, "kafka", &format!("headworks.dev/namespace={ns}"))
            .len(),
        many
    );
    if many >= 800 {
        let message = c.condition(
            "platforms.headworks.dev",
            &ns,
            "TopicOperatorCapacity",
            "True",
            None,
        );
        assert!(message.contains("STRIMZI_MAX_QUEUE_SIZE"), "{message}");
    }
    idle_minute(&c);
    delete_streams(&c, raised.is_empty());
    assert!(
        c.kafka.partitions(&c.topic("s0")).is_some(),
        "the topics stay"
    );
    pocket(&["strimzi", "down", "topic"]);
    c.kubectl
        .run(&["delete", "platforms.headworks.dev", &ns, "--wait=false"]);
    c.kafka.forget(&format!("{ns}."), &format!(".{ns}."));
}

/// Applies so many streams, a hundred at a time.
fn apply_streams(c: &Cluster, many: usize) {
    let ns = &c.namespace;
    for hundred in 0..many.div_ceil(100) {
        let mut yaml = String::new();
        for at in hundred * 100..many.min(hundred * 100 + 100) {
            let one = stream(&format!("s{at}"), "partitions: 1")
                .replace("platform: e2e", &format!("platform: {ns}"));
            let _ = write!(yaml, "---\n{one}");
        }
        let outcome = c
            .kubectl
            .pipe(&["apply", "--server-side", "-n", ns, "-f", "-"], &yaml);
        assert!(outcome.ok, "{}", outcome.text);
    }
}

/// A minute in which nothing comes, and nothing is written.
fn idle_minute(c: &Cluster) {
    std::thread::sleep(Duration::from_secs(60));
    let before = versions(c);
    std::thread::sleep(Duration::from_secs(60));
    let after = versions(c);
    let changed = before.iter().filter(|v| !after.contains(v)).count();
    println!(
        "    an idle minute: {changed} of {} objects written",
        before.len()
    );
    assert_eq!(changed, 0);
}

/// Deletes all streams. `restart`: the Topic Operator's queue is at its default.
fn delete_streams(c: &Cluster, restart: bool) {
    let ns = &c.namespace;
    let began = Instant::now();
    c.kubectl
        .must(&["delete", STREAM, "--all", "-n", ns, "--timeout=900s"]);
    let mut started = Instant::now();
    until("KafkaTopics go", Duration::from_secs(600), || {
        // So many deletions at once are more than its default queue takes: it stops ("Queue length 1024 exceeded"), and
        // is started again, as by a kubelet.
        if restart && started.elapsed() > Duration::from_secs(30) {
            pocket(&["strimzi", "down", "topic"]);
            let (ok, text) = pocket(&["strimzi", "up", "topic"]);
            assert!(ok, "{text}");
            started = Instant::now();
        }
        c.kubectl
            .list(TOPIC, "kafka", &format!("headworks.dev/namespace={ns}"))
            .is_empty()
            .then_some(())
    })
    .expect("KafkaTopics go");
    println!(
        "    deleted under Retain in {} s",
        began.elapsed().as_secs()
    );
}

fn ready(c: &Cluster) -> usize {
    c.kubectl
        .list(STREAM, &c.namespace, "")
        .iter()
        .filter(|object| {
            object["status"]["conditions"]
                .as_array()
                .is_some_and(|list| {
                    list.iter()
                        .any(|c| c["type"] == "Ready" && c["status"] == "True")
                })
        })
        .count()
}

/// UID and resourceVersion of everything that is the test's.
fn versions(c: &Cluster) -> std::collections::HashSet<(String, String)> {
    let ours = format!("headworks.dev/namespace={}", c.namespace);
    c.kubectl
        .list(STREAM, &c.namespace, "")
        .into_iter()
        .chain(c.kubectl.list(TOPIC, "kafka", &ours))
        .chain(c.kubectl.list("configmaps", &c.namespace, ""))
        .chain(c.kubectl.get("platforms.headworks.dev", &c.namespace, ""))
        .map(|o| {
            (
                o["metadata"]["uid"].to_string(),
                o["metadata"]["resourceVersion"].to_string(),
            )
        })
        .collect()
}
