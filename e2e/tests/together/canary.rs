//! A changed query that proves itself first: a bad one goes by itself, and a good one takes the old one's place, both under load and
//! without loss or repeat.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::time::Duration;

use headworks_e2e::{Cluster, Load, cluster, pipeline, until};
use serde_json::Value;

const PIPELINE: &str = "pipelines.headworks.dev";
const STREAM: &str = "datastreams.headworks.dev";
/// A canary's stream, pods and comparison come one after another, beside seven other tests.
const LIMIT: Duration = Duration::from_secs(300);

/// Pipeline `p` from `a` to `b` with a canary.
fn with_canary(sql: &str) -> String {
    pipeline("p", sql, "b").replace(
        "  sql:",
        "  replicas: 2\n  rollout: {canary: {for: 10s, rules: [sane], compare: {keys: [id], sums: [\"n\"]}}}\n  sql:",
    )
}

fn rule(c: &Cluster) {
    c.apply(
        "apiVersion: headworks.dev/v1alpha1\nkind: QualityRule\nmetadata: {name: sane}\nspec:\n  stream: b\n  onError: Alert\n  checks:\n    - {name: counted, expression: \"n >= 0\"}\n",
    );
    c.condition("qualityrules.headworks.dev", "sane", "Ready", "True", None);
}

fn rollout(c: &Cluster) -> Value {
    let object = c
        .kubectl
        .get(PIPELINE, "p", &c.namespace)
        .expect("the Pipeline");
    object["status"]["rollout"].clone()
}

fn nothing_left(c: &Cluster) {
    for kind in [PIPELINE, STREAM] {
        until("what ran beside is gone", Duration::from_secs(180), || {
            c.kubectl
                .get(kind, "p-canary", &c.namespace)
                .is_none()
                .then_some(())
        })
        .unwrap_or_else(|| panic!("{kind} p-canary is still there"));
    }
}

/// All that was posted is in `b` once, doubled.
fn whole(c: &Cluster, load: Load) {
    std::thread::sleep(Duration::from_secs(2));
    load.stop().verify(
        "stream b",
        Duration::from_secs(120),
        || Some(c.kafka.numbers(&c.topic("b"))),
        |id, n| n == id as i64 * 2,
    );
}

#[test]
fn a_bad_version_is_rolled_back_by_itself_while_the_old_one_goes_on() {
    let Some(c) = cluster("e2e-canary-bad") else {
        return;
    };
    let load = Load::start(c.flow());
    rule(&c);
    c.apply(&with_canary("SELECT id, n * 3 AS n FROM a"));
    c.condition_within(PIPELINE, "p", "CanaryRunning", "True", None, LIMIT);
    let message = c.condition_within(
        PIPELINE,
        "p",
        "CanaryFailed",
        "True",
        Some("CanaryFailed"),
        LIMIT,
    );
    println!("    {message}");
    assert!(message.contains("n adds up to"), "{message}");
    assert!(!message.contains("are missing"), "{message}");
    c.ready(PIPELINE, "p");
    let rollout = rollout(&c);
    assert_eq!(rollout["phase"], "RolledBack", "{rollout}");
    let figures = &rollout["figures"];
    assert!(figures["records"].as_i64() > Some(1_000), "{figures}");
    assert_eq!(figures["rows"]["old"], figures["rows"]["new"], "{figures}");
    assert_eq!(figures["keys"]["missing"], 0, "{figures}");
    let sum = |of: &str| -> i64 { figures["sums"][0][of].as_str().unwrap().parse().unwrap() };
    assert_eq!(sum("old") * 3, sum("new") * 2, "{figures}");
    let rule = &figures["rules"][0];
    assert!(rule["checked"].as_i64() > Some(0), "{figures}");
    assert_eq!(
        (rule["failed"].as_i64(), &rule["name"]),
        (Some(0), &Value::from("sane")),
        "{figures}"
    );
    assert!(
        rollout["inForce"]["sql"]
            .as_str()
            .unwrap()
            .contains("n * 2"),
        "{rollout}"
    );
    nothing_left(&c);
    whole(&c, load);
}

#[test]
fn a_good_version_is_promoted_by_itself() {
    let Some(c) = cluster("e2e-canary-good") else {
        return;
    };
    let load = Load::start(c.flow());
    rule(&c);
    c.apply(&with_canary("SELECT id, n + n AS n FROM a"));
    c.condition_within(PIPELINE, "p", "CanaryRunning", "True", None, LIMIT);
    until("promoted", LIMIT, || {
        (rollout(&c)["phase"] == "Promoted").then_some(())
    })
    .unwrap_or_else(|| panic!("never promoted: {}", rollout(&c)));
    // What is decided is written down first, and then acted on.
    let in_force = |rollout: &Value| {
        let sql = rollout["inForce"]["sql"].as_str();
        sql.is_some_and(|sql| sql.contains("n + n"))
    };
    until("in force", LIMIT, || in_force(&rollout(&c)).then_some(()))
        .unwrap_or_else(|| panic!("never in force: {}", rollout(&c)));
    c.ready(PIPELINE, "p");
    let rollout = rollout(&c);
    println!("    {}", rollout["message"]);
    let sums = &rollout["figures"]["sums"][0];
    assert_eq!(sums["old"], sums["new"], "{rollout}");
    nothing_left(&c);
    whole(&c, load);
}
