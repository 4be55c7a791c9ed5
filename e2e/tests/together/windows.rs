//! Pipelines with state, as a user meets them: windows over event time, upserts and deletes, late records, changes of the query.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::time::Duration;

use headworks_e2e::{Cluster, Events, cluster, pipeline, until};
use serde_json::json;

const PIPELINE: &str = "pipelines.headworks.dev";
const STREAM: &str = "datastreams.headworks.dev";

const COUNTS: &str = "SELECT k, TUMBLE_START(ts, INTERVAL '1' MINUTE) AS w, COUNT(*) AS c, SUM(n) AS s\nFROM events\nGROUP BY k, TUMBLE(ts, INTERVAL '1' MINUTE)";

/// A stream with the columns of [`COUNTS`].
fn counts(name: &str) -> String {
    format!(
        "apiVersion: headworks.dev/v1alpha1\nkind: DataStream\nmetadata: {{name: {name}}}\nspec:\n  platform: e2e\n  schema:\n    - {{name: k, type: string}}\n    - {{name: w, type: timestamp(3)}}\n    - {{name: c, type: bigint}}\n    - {{name: s, type: bigint, nullable: true}}\n  key: [k]\n"
    )
}

/// Puts an event into the only partition.
fn post(c: &Cluster, key: &str, n: i64, ts: &str) {
    let value = json!({"k": key, "n": n, "ts": ts}).to_string();
    c.kafka.produce(&c.topic("events"), &[value.as_bytes()]);
}

/// The records of a stream as JSON, once there are so many.
fn results(c: &Cluster, stream: &str, count: usize) -> Vec<serde_json::Value> {
    let records = c
        .kafka
        .read_at_least(&c.topic(stream), count, Duration::from_secs(60));
    let mut results: Vec<_> = records.iter().map(headworks_e2e::Record::json).collect();
    results.sort_by_key(|json| format!("{} {}", json["w"], json["k"]));
    results
}

#[test]
fn a_minute_is_counted_once_when_it_is_over_and_what_comes_later_is_a_dead_letter() {
    let Some(c) = cluster("e2e-windows") else {
        return;
    };
    c.apply(&Events::stream("events", 1));
    c.apply(&counts("counts"));
    c.apply(&pipeline("p", COUNTS, "counts"));
    c.ready(STREAM, "counts");
    c.ready(PIPELINE, "p");
    post(&c, "a", 1, "2026-01-01T00:00:10Z");
    post(&c, "b", 5, "2026-01-01T00:00:59.999Z");
    post(&c, "a", 2, "2026-01-01T00:01:30Z");
    post(&c, "a", 3, "2026-01-01T00:00:00Z");
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(
        c.kafka.read(&c.topic("counts")).len(),
        0,
        "the minute isn't over: events may be a minute out of order"
    );
    post(&c, "c", 9, "2026-01-01T00:02:00Z");
    let found = results(&c, "counts", 2);
    assert_eq!(
        found,
        [
            json!({"k": "a", "w": "2026-01-01T00:00:00.000", "c": 2, "s": 4}),
            json!({"k": "b", "w": "2026-01-01T00:00:00.000", "c": 1, "s": 5}),
        ]
    );
    post(&c, "a", 7, "2026-01-01T00:00:30Z");
    let dlq = format!("{}.dlq", c.topic("events"));
    let letters = c.kafka.read_at_least(&dlq, 1, Duration::from_secs(60));
    assert_eq!(letters[0].headers["headworks.reason"], "Late");
    assert_eq!(letters[0].json()["n"], 7, "with its bytes");
    assert!(letters[0].headers["headworks.error"].contains("2026-01-01"));
    post(&c, "c", 9, "2026-01-01T00:10:00Z");
    let found = results(&c, "counts", 4);
    assert_eq!(found.len(), 4, "each window once: {found:?}");
    assert_eq!(
        found[2],
        json!({"k": "a", "w": "2026-01-01T00:01:00.000", "c": 1, "s": 2})
    );
    let status = c.kubectl.get(PIPELINE, "p", &c.namespace).unwrap()["status"].clone();
    assert!(status["state"]["fingerprint"].is_string(), "{status}");
}

#[test]
fn an_unwindowed_count_is_an_upsert_in_a_compacted_stream_and_in_a_table_and_leaves_both_again() {
    let Some(c) = cluster("e2e-upserts") else {
        return;
    };
    let warehouse = c.warehouse();
    c.apply(&Events::stream("events", 2));
    let sql = "SELECT k, COUNT(*) AS c, SUM(n) AS s FROM events GROUP BY k HAVING SUM(n) < 100";
    let plain = "apiVersion: headworks.dev/v1alpha1\nkind: DataStream\nmetadata: {name: totals}\nspec:\n  platform: e2e\n  schema:\n    - {name: k, type: string}\n    - {name: c, type: bigint}\n    - {name: s, type: bigint, nullable: true}\n  key: [k]\n";
    let yaml = pipeline("p", sql, "totals")
        + "    - table: {store: warehouse, name: totals, key: [k], create: true}\n";
    c.apply(plain);
    c.apply(&yaml);
    let told = c.condition(PIPELINE, "p", "Ready", "False", Some("OutputMismatch"));
    assert!(told.contains("compacted"), "{told}");
    c.kubectl
        .must(&["delete", STREAM, "totals", "-n", &c.namespace]);
    c.kafka.forget(&c.topic("totals"), "no-such-group");
    c.apply(&plain.replace("  key: [k]", "  compacted: true\n  key: [k]"));
    c.ready(STREAM, "totals");
    c.ready(PIPELINE, "p");
    for (key, n) in [("a", 60), ("b", 10), ("a", 30), ("b", 11)] {
        post(&c, key, n, "2026-01-01T00:00:10Z");
    }
    let rows = |sql: &str| warehouse.ask(sql).unwrap_or_default();
    let is = |wanted: &[[&str; 3]]| {
        until("the totals", Duration::from_secs(60), || {
            let found = rows("SELECT k, c, s FROM totals ORDER BY k");
            (found == wanted).then_some(())
        })
        .unwrap_or_else(|| panic!("{:?}", rows("SELECT k, c, s FROM totals ORDER BY k")));
    };
    is(&[["a", "2", "90"], ["b", "2", "21"]]);
    // The group leaves: its row is deleted, and its key is a tombstone.
    post(&c, "a", 10, "2026-01-01T00:00:11Z");
    is(&[["b", "2", "21"]]);
    let last = c.kafka.read(&c.topic("totals"));
    let last = last.iter().rfind(|r| {
        r.key
            .as_deref()
            .is_some_and(|key| String::from_utf8_lossy(key).contains('a'))
    });
    assert!(last.unwrap().value.is_empty(), "a tombstone");
    post(&c, "a", -50, "2026-01-01T00:00:12Z");
    is(&[["a", "4", "50"], ["b", "2", "21"]]);
}

#[test]
fn another_having_goes_on_with_the_state_and_another_key_is_held_back_until_a_reset_is_asked_for() {
    let Some(c) = cluster("e2e-state-change") else {
        return;
    };
    c.apply(&Events::stream("events", 1));
    c.apply(&counts("counts"));
    c.apply(&pipeline("p", COUNTS, "counts"));
    c.ready(PIPELINE, "p");
    post(&c, "a", 1, "2026-01-01T00:00:10Z");
    std::thread::sleep(Duration::from_secs(3));
    // The state is kept: the first event is counted by the new query.
    c.apply(&pipeline(
        "p",
        &format!("{COUNTS}\nHAVING COUNT(*) > 1"),
        "counts",
    ));
    c.ready(PIPELINE, "p");
    post(&c, "a", 2, "2026-01-01T00:00:20Z");
    post(&c, "b", 2, "2026-01-01T00:00:20Z");
    post(&c, "c", 0, "2026-01-01T00:02:10Z");
    let found = results(&c, "counts", 1);
    assert_eq!(
        found,
        [json!({"k": "a", "w": "2026-01-01T00:00:00.000", "c": 2, "s": 3})]
    );
    let hourly = COUNTS.replace("'1' MINUTE", "'1' HOUR");
    c.apply(&pipeline("p", &hourly, "counts"));
    let told = c.condition(PIPELINE, "p", "Ready", "False", Some("StateChange"));
    assert!(
        told.contains("onStateChange") && told.contains("Reset"),
        "{told}"
    );
    // Meanwhile the pods go on with the last good query.
    post(&c, "d", 4, "2026-01-01T00:02:10Z");
    post(&c, "d", 5, "2026-01-01T00:02:20Z");
    post(&c, "c", 0, "2026-01-01T00:30:00Z");
    results(&c, "counts", 2);
    let reset =
        |to: &str| pipeline("p", &hourly, to).replace("  sql:", "  onStateChange: Reset\n  sql:");
    // Where the minutes stand, the hours don't come.
    c.apply(&reset("counts"));
    let told = c.condition(PIPELINE, "p", "Ready", "False", Some("ResultsWouldMix"));
    assert!(
        told.contains("stream counts") && told.contains("accept-mixed-results"),
        "{told}"
    );
    c.apply(&counts("hours"));
    c.apply(&reset("hours"));
    c.ready(PIPELINE, "p");
    post(&c, "c", 0, "2026-01-01T02:00:00Z");
    // It began anew, from the oldest record.
    let found = results(&c, "hours", 4);
    assert!(
        found.contains(&json!({"k": "a", "w": "2026-01-01T00:00:00.000", "c": 2, "s": 3}))
            && found.contains(&json!({"k": "d", "w": "2026-01-01T00:00:00.000", "c": 2, "s": 9})),
        "{found:?}"
    );
}

#[test]
fn mistakes_with_windows_and_groups_are_told_with_their_place_and_the_remedy() {
    let Some(c) = cluster("e2e-window-mistakes") else {
        return;
    };
    c.apply(&Events::stream("events", 1));
    c.apply(&counts("counts"));
    c.ready(STREAM, "counts");
    for (sql, words) in [
        (
            "SELECT k, n AS s, COUNT(*) AS c\nFROM events GROUP BY k",
            vec!["line 1, column 11", "GROUP BY"],
        ),
        (
            "SELECT k, COUNT(*) AS c FROM events\nGROUP BY k, TUMBLE(n, INTERVAL '1' MINUTE)",
            vec!["line 2", "event time", "ts"],
        ),
        ("SELECT COUNT(*) AS c FROM events", vec!["GROUP BY"]),
        (
            "SELECT k, COUNT(*) AS c FROM events\nGROUP BY k, TUMBLE(PROCTIME(), INTERVAL '1' MINUTE)",
            vec!["line 2", "PROCTIME"],
        ),
        (
            "SELECT k, LEAD(n) OVER (PARTITION BY k ORDER BY ts) AS c FROM events",
            vec!["line 1", "LAG"],
        ),
    ] {
        // What the query alone proves is refused in the terminal; what needs its streams is told by the Pipeline.
        let outcome = c.kubectl.apply(&pipeline("p", sql, "counts"), &c.namespace);
        let told = if outcome.ok {
            c.condition(PIPELINE, "p", "Ready", "False", Some("InvalidSql"))
        } else {
            outcome.text
        };
        for word in words {
            assert!(told.contains(word), "{word} in: {told}");
        }
    }
}
