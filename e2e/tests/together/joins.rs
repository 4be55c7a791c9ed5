//! A join of orders and payments as a user meets it: each pair once, orders without a payment once it is certain, over a pod that is
//! killed; and mistakes that are told with their place.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::BTreeMap;
use std::time::Duration;

use headworks_e2e::{Cluster, cluster, kill_container, pipeline, until};
use serde_json::{Value, json};

const PIPELINE: &str = "pipelines.headworks.dev";
const STREAM: &str = "datastreams.headworks.dev";
/// On a busy machine everything takes its time.
const WAIT: Duration = Duration::from_secs(120);
const ORDERS: i64 = 300;

const JOIN: &str = "SELECT o.order_id, o.amount, p.paid_by\nFROM orders AS o LEFT JOIN payments AS p\n  ON o.order_id = p.order_id AND p.paid_at BETWEEN o.placed_at AND o.placed_at + INTERVAL '1' MINUTE";

/// What nobody pays for is a stream of its own.
const UNPAID: &str = "SELECT o.order_id, o.amount\nFROM orders AS o\nWHERE NOT EXISTS (SELECT 1 FROM payments AS p\n  WHERE p.order_id = o.order_id AND p.paid_at BETWEEN o.placed_at AND o.placed_at + INTERVAL '1' MINUTE)";

/// Streams of two partitions, whose events come at most ten seconds out of order.
fn streams() -> String {
    let stream = |name: &str, fields: &str, time: &str| {
        format!(
            "---\napiVersion: headworks.dev/v1alpha1\nkind: DataStream\nmetadata: {{name: {name}}}\nspec:\n  platform: e2e\n  partitions: 2\n  schema:\n    - {{name: order_id, type: string}}\n{fields}  key: [order_id]\n{time}"
        )
    };
    let time = |field: &str| format!("  eventTime: {{field: {field}, maxOutOfOrderness: 10s}}\n");
    stream(
        "orders",
        "    - {name: amount, type: bigint}\n    - {name: placed_at, type: timestamp_ltz(3)}\n",
        &time("placed_at"),
    ) + &stream(
        "payments",
        "    - {name: paid_by, type: string}\n    - {name: paid_at, type: timestamp_ltz(3)}\n",
        &time("paid_at"),
    ) + &stream(
        "paid",
        "    - {name: amount, type: bigint}\n    - {name: paid_by, type: string, nullable: true}\n",
        "",
    ) + &stream("unpaid", "    - {name: amount, type: bigint}\n", "")
}

/// An instant, so many seconds after the first.
fn at(seconds: i64) -> String {
    format!(
        "2026-01-01T{:02}:{:02}:{:02}.000Z",
        seconds / 3_600,
        seconds / 60 % 60,
        seconds % 60
    )
}

/// Order `n` is placed in second `n`. What is paid after how many seconds: nothing for every fifth, too late for every seventh.
fn paid_after(n: i64) -> Option<i64> {
    match (n % 5, n % 7) {
        (0, _) => None,
        (_, 0) => Some(61),
        _ => Some(n % 50),
    }
}

fn order(c: &Cluster, n: i64) {
    let value = json!({"order_id": format!("o{n}"), "amount": n, "placed_at": at(n)});
    let topic = c.topic("orders");
    c.kafka
        .produce_to(&topic, (n % 2) as i32, value.to_string().as_bytes());
}

fn payment(c: &Cluster, n: i64, paid_by: &str, paid_at: i64) {
    let value = json!({"order_id": format!("o{n}"), "paid_by": paid_by, "paid_at": at(paid_at)});
    // Another partition than the order's: that doesn't matter.
    let topic = c.topic("payments");
    c.kafka
        .produce_to(&topic, ((n + 1) % 2) as i32, value.to_string().as_bytes());
}

/// Amount and paid_by of each result, by order; fails where one is there twice.
fn results(c: &Cluster) -> BTreeMap<i64, Option<String>> {
    let mut all = BTreeMap::new();
    for record in c.kafka.read(&c.topic("paid")) {
        let json = record.json();
        let n = json["amount"].as_i64().unwrap();
        assert_eq!(json["order_id"], format!("o{n}"), "{json}");
        let paid_by = match &json["paid_by"] {
            Value::Null => None,
            paid_by => Some(paid_by.as_str().unwrap().to_owned()),
        };
        let before = all.insert(n, paid_by);
        assert_eq!(before, None, "order {n} is there twice");
    }
    all
}

#[test]
fn each_order_is_there_once_with_its_payment_or_without_over_a_pod_that_is_killed() {
    let Some(c) = cluster("e2e-joins") else {
        return;
    };
    c.apply(&streams());
    c.ready(STREAM, "paid");
    c.ready(STREAM, "unpaid");
    c.apply(&pipeline("joined", JOIN, "paid"));
    c.apply(&pipeline("unpaid", UNPAID, "unpaid"));
    c.ready(PIPELINE, "joined");
    c.ready(PIPELINE, "unpaid");
    let half = ORDERS / 2;
    let write = |from: i64, to: i64| {
        for n in from..to {
            order(&c, n);
            if let Some(after) = paid_after(n) {
                payment(&c, n, "card", n + after);
            }
        }
    };
    write(0, half);
    until("some orders are paid", WAIT, || {
        (results(&c).len() > 20).then_some(())
    })
    .expect("results");
    assert!(
        kill_container(&c.kubectl, &c.namespace, "joined-0"),
        "it runs"
    );
    write(half, ORDERS);
    // Event time goes on in every partition of both: nobody can pay any of these orders any more.
    for n in [10_000, 10_001] {
        order(&c, n);
        payment(&c, n + 10, "cash", 10_000);
    }
    let expected: BTreeMap<i64, Option<String>> = (0..ORDERS)
        .map(|n| {
            let paid = paid_after(n).is_some_and(|after| after <= 60);
            (n, paid.then(|| "card".to_owned()))
        })
        .collect();
    until("every order", WAIT, || {
        (results(&c).len() >= expected.len()).then_some(())
    });
    let found = results(&c);
    let wrong: Vec<_> = expected
        .iter()
        .filter(|(n, paid_by)| found.get(n) != Some(*paid_by))
        .take(5)
        .collect();
    assert!(wrong.is_empty(), "{wrong:?} of {}", found.len());
    assert_eq!(found.len(), expected.len(), "and nothing else");
    let unpaid: Vec<i64> = expected
        .iter()
        .filter(|(_, paid_by)| paid_by.is_none())
        .map(|(n, _)| *n)
        .collect();
    let of_unpaid = || {
        let records = c.kafka.read(&c.topic("unpaid"));
        let amount = |json: Value| json["amount"].as_i64().unwrap();
        let mut all: Vec<i64> = records.iter().map(|r| amount(r.json())).collect();
        all.sort_unstable();
        all
    };
    until("every order that nobody paid", WAIT, || {
        (of_unpaid().len() >= unpaid.len()).then_some(())
    });
    assert_eq!(of_unpaid(), unpaid, "each once, and nothing else");
    let status = c.kubectl.get(PIPELINE, "joined", &c.namespace).unwrap()["status"].clone();
    assert!(status["state"]["fingerprint"].is_string(), "{status}");
}

#[test]
fn a_join_without_bounds_or_without_event_time_is_refused_with_the_remedy() {
    let Some(c) = cluster("e2e-join-mistakes") else {
        return;
    };
    c.apply(&streams());
    c.ready(STREAM, "paid");
    c.ready(STREAM, "unpaid");
    for (name, sql, to, words) in [
        (
            "unbounded",
            "SELECT o.order_id, o.amount, p.paid_by\nFROM orders AS o JOIN payments AS p ON o.order_id = p.order_id",
            "paid",
            vec!["line 2", "state.ttl", "BETWEEN"],
        ),
        (
            "timeless",
            "SELECT o.order_id, o.amount\nFROM orders AS o JOIN paid AS p ON o.order_id = p.order_id",
            "unpaid",
            vec!["line 2", "\"paid\" has no event time", "eventTime"],
        ),
        (
            "ambiguous",
            "SELECT order_id, amount, paid_by\nFROM orders AS o JOIN payments AS p ON o.order_id = p.order_id AND paid_at BETWEEN placed_at AND placed_at + INTERVAL '1' MINUTE",
            "paid",
            vec!["line 1, column 8", "\"o.order_id\" or \"p.order_id\""],
        ),
    ] {
        // What the query alone proves is refused in the terminal; what needs its streams is told by the Pipeline.
        let outcome = c.kubectl.apply(&pipeline(name, sql, to), &c.namespace);
        let told = if outcome.ok {
            c.condition(PIPELINE, name, "Ready", "False", Some("InvalidSql"))
        } else {
            outcome.text
        };
        for word in words {
            assert!(told.contains(word), "{word} in: {told}");
        }
    }
}
