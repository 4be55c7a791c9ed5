//! Checks of many records on a cluster: a rule's monitors judge windows, their verdicts come into its status and a stream, and they go with it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::time::Duration;

use headworks_e2e::{Cluster, Record, cluster, until};
use serde_json::{Value, json};

const RULE: &str = "qualityrules.headworks.dev";
const STREAM: &str = "datastreams.headworks.dev";
const PIPELINE: &str = "pipelines.headworks.dev";

const ORDERS: &str = "apiVersion: headworks.dev/v1alpha1\nkind: DataStream\nmetadata: {name: orders}\nspec:\n  platform: e2e\n  partitions: 1\n  eventTime: {field: at, maxOutOfOrderness: 0s}\n  schema:\n    - {name: id, type: string}\n    - {name: coupon, type: string, nullable: true}\n    - {name: at, type: \"timestamp_ltz(3)\"}\n";

/// A rule whose window may have so many records.
fn rule(most: u32, more: &str) -> String {
    format!(
        "apiVersion: headworks.dev/v1alpha1\nkind: QualityRule\nmetadata: {{name: sane}}\nspec:\n  stream: orders\n  window: 1m\n{more}  checks:\n    - {{name: few, rowCount: {{max: {most}}}}}\n    - {{name: coupons, nullRatio: {{field: coupon, max: \"50\"}}}}\n    - {{name: no-order-twice, unique: {{key: [id]}}}}\n"
    )
}

/// Puts an order into the only partition.
fn post(c: &Cluster, id: &str, coupon: Option<&str>, at: &str) {
    let value = json!({"id": id, "coupon": coupon, "at": format!("2026-01-01T{at}Z")}).to_string();
    c.kafka.produce(&c.topic("orders"), &[value.as_bytes()]);
}

/// A check of the status, once it is as it should be.
fn check(c: &Cluster, name: &str, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    let status = || {
        let object = c.kubectl.get(RULE, "sane", &c.namespace).expect("the rule");
        object["status"].clone()
    };
    until(what, Duration::from_secs(180), || {
        let status = status();
        let checks = status["checks"].as_array()?.clone();
        checks
            .into_iter()
            .find(|check| check["name"] == name)
            .filter(&is)
    })
    .unwrap_or_else(|| panic!("{name}: {what}: {}", status()))
}

#[test]
#[allow(clippy::too_many_lines, reason = "one rule's life")]
fn windows_are_judged_by_monitors_that_the_rule_owns() {
    let Some(c) = cluster("e2e-monitors") else {
        return;
    };
    c.apply(ORDERS);
    c.ready(STREAM, "orders");
    c.apply(&rule(4, ""));
    let patient = Duration::from_secs(240);
    c.condition_within(RULE, "sane", "Ready", "True", Some("Judging"), patient);
    for monitor in ["sane-monitor", "sane-unique-1"] {
        c.ready(PIPELINE, monitor);
    }
    // Both write the stream of verdicts, and that is nobody's mistake.
    for monitor in ["sane-monitor", "sane-unique-1"] {
        let object = c.kubectl.get(PIPELINE, monitor, &c.namespace);
        let conditions = object.expect("the monitor")["status"]["conditions"].to_string();
        assert!(!conditions.contains("SharedTarget"), "{conditions}");
    }
    // Five orders, of which three have no coupon, and one comes twice.
    for (id, coupon) in [
        ("a", Some("x")),
        ("b", None),
        ("a", Some("y")),
        ("c", None),
        ("d", None),
    ] {
        post(&c, id, coupon, "00:00:10");
    }
    post(&c, "e", Some("z"), "00:01:10");
    let few = check(&c, "few", "too many are told", |one| {
        one["passed"] == json!(false)
    });
    assert_eq!(few["observed"], "5", "{few}");
    assert_eq!(few["windowEnd"], "2026-01-01T00:01:00Z", "{few}");
    assert_eq!(few["failed"], 1, "{few}");
    let coupons = check(&c, "coupons", "nulls are told", |one| {
        one["passed"] == json!(false)
    });
    assert_eq!(coupons["observed"], "60.0000", "{coupons}");
    let twice = check(&c, "no-order-twice", "a repeated key is told", |one| {
        one["passed"] == json!(false)
    });
    assert_eq!(twice["observed"], "1", "{twice}");
    let told = c.condition(RULE, "sane", "Healthy", "False", Some("WindowFailed"));
    for name in ["few", "coupons", "no-order-twice"] {
        assert!(told.contains(name), "{told}");
    }
    let told = c.condition(STREAM, "orders", "Healthy", "False", Some("WindowFailed"));
    assert!(told.contains("QualityRule sane"), "{told}");

    // The next window is as it should be.
    post(&c, "f", Some("z"), "00:02:10");
    for name in ["few", "coupons", "no-order-twice"] {
        check(&c, name, "a window that passes", |one| {
            one["passed"] == json!(true) && one["windowEnd"] == "2026-01-01T00:02:00Z"
        });
    }
    c.condition(RULE, "sane", "Healthy", "True", Some("WindowsPass"));
    c.condition(STREAM, "orders", "Healthy", "True", None);

    // The history is a stream.
    let verdicts = c
        .kafka
        .read_at_least(&c.topic("sane-verdicts"), 3, Duration::from_secs(60));
    let mut verdicts: Vec<Value> = verdicts.iter().map(Record::json).collect();
    verdicts.sort_by_key(ToString::to_string);
    let windows: Vec<&Value> = verdicts
        .iter()
        .filter(|row| row["repeated_key"].is_null())
        .collect();
    assert_eq!(windows.len(), 2, "{verdicts:?}");
    let first = windows
        .iter()
        .find(|row| row["window_end"] == "2026-01-01T00:01:00.000");
    let first = first.unwrap_or_else(|| panic!("{verdicts:?}"));
    assert_eq!(first["records"], 5);
    assert_eq!(first["passed"], json!({"few": false, "coupons": false}));
    let repeated: Vec<&Value> = verdicts
        .iter()
        .filter(|row| row["repeated_key"].is_string())
        .collect();
    assert_eq!(repeated.len(), 1, "{verdicts:?}");
    assert_eq!(repeated[0]["repeated_key"], "a");
    assert_eq!(repeated[0]["records"], 2);

    // Bounds change under the running monitor: the open window is judged by the new ones.
    let uid = |c: &Cluster| {
        let pipeline = c.kubectl.get(PIPELINE, "sane-monitor", &c.namespace);
        pipeline.map(|pipeline| pipeline["metadata"]["uid"].clone())
    };
    let before = uid(&c);
    c.apply(&rule(0, ""));
    until("the new bound", Duration::from_secs(60), || {
        let pipeline = c.kubectl.get(PIPELINE, "sane-monitor", &c.namespace)?;
        let sql = pipeline["spec"]["sql"].as_str()?.to_owned();
        sql.contains("COUNT(*) <= 0").then_some(())
    })
    .expect("the query with the new bound");
    c.condition_within(RULE, "sane", "Ready", "True", Some("Judging"), patient);
    // Windows that end before the pod with the new query is there are judged by the old one.
    let mut minutes = 3..60;
    let failed = until("the new bound judges", Duration::from_secs(180), || {
        let minute = minutes.next()?;
        post(
            &c,
            &format!("g{minute}"),
            Some("z"),
            &format!("00:{minute:02}:10"),
        );
        std::thread::sleep(Duration::from_secs(3));
        let status = c.kubectl.get(RULE, "sane", &c.namespace)?["status"].clone();
        let few = status["checks"]
            .as_array()?
            .iter()
            .find(|one| one["name"] == "few")?;
        (few["passed"] == json!(false) && few["observed"] == "1").then_some(())
    });
    assert!(
        failed.is_some(),
        "{:?}",
        c.kubectl.get(RULE, "sane", &c.namespace)
    );
    assert_eq!(uid(&c), before, "the monitor goes on");

    // It rests with the rule, and goes with it.
    c.apply(&rule(0, "  suspend: true\n"));
    until("the monitors rest", Duration::from_secs(120), || {
        let pipeline = c.kubectl.get(PIPELINE, "sane-monitor", &c.namespace)?;
        (pipeline["spec"]["suspend"] == json!(true)).then_some(())
    })
    .expect("suspended");
    c.kubectl
        .must(&["delete", RULE, "sane", "-n", &c.namespace]);
    until(
        "what the rule owned is gone",
        Duration::from_secs(180),
        || {
            let gone = |kind: &str, name: &str| c.kubectl.get(kind, name, &c.namespace).is_none();
            let pipelines = gone(PIPELINE, "sane-monitor") && gone(PIPELINE, "sane-unique-1");
            (pipelines && gone(STREAM, "sane-verdicts")).then_some(())
        },
    )
    .expect("the monitors and their stream are gone");
    c.well("a rule with monitors came and went");
}

#[test]
fn what_is_wrong_with_a_check_of_windows_and_a_name_that_is_taken_are_told() {
    let Some(c) = cluster("e2e-monitors-told") else {
        return;
    };
    c.apply(&ORDERS.replace("  eventTime: {field: at, maxOutOfOrderness: 0s}\n", ""));
    c.ready(STREAM, "orders");
    let told = c.refused(&rule(4, "").replace("{max: 4}", "{min: 5, max: 4}"));
    assert!(told.contains("min is above max"), "{told}");
    let outcome = c.kubectl.apply(&rule(4, ""), &c.namespace);
    assert!(outcome.ok, "{}", outcome.text);
    assert!(
        outcome.text.contains("has no event time"),
        "{}",
        outcome.text
    );
    let told = c.condition(RULE, "sane", "Stalled", "True", Some("InvalidRule"));
    assert!(told.contains("give it spec.eventTime"), "{told}");
    // Somebody's own stream has the name of the verdicts.
    let own = "apiVersion: headworks.dev/v1alpha1\nkind: DataStream\nmetadata: {name: sane-verdicts}\nspec:\n  platform: e2e\n  schema:\n    - {name: mine, type: string}\n";
    c.apply(own);
    c.apply(ORDERS);
    let told = c.condition(RULE, "sane", "Stalled", "True", Some("OwnedByAnother"));
    assert!(
        told.contains("sane-verdicts") && told.contains("isn't a QualityRule's monitor"),
        "{told}"
    );
    let stream = c
        .kubectl
        .get(STREAM, "sane-verdicts", &c.namespace)
        .unwrap();
    assert_eq!(stream["spec"]["schema"][0]["name"], "mine");
}
