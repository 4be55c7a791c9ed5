//! Checks that compare a window with the one before, and the contract with what is asked of it: judged by the operator, whose history is
//! an object that goes with its check.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::time::Duration;

use headworks_e2e::{Cluster, cluster, until};
use serde_json::{Value, json};

const RULE: &str = "qualityrules.headworks.dev";
const STREAM: &str = "datastreams.headworks.dev";

const ORDERS: &str = "apiVersion: headworks.dev/v1alpha1\nkind: DataStream\nmetadata: {name: orders}\nspec:\n  platform: e2e\n  partitions: 1\n  eventTime: {field: at, maxOutOfOrderness: 0s}\n  schema:\n    - {name: id, type: string}\n    - {name: coupon, type: string, nullable: true}\n    - {name: at, type: \"timestamp_ltz(3)\"}\n";

/// A rule with these checks.
fn rule(checks: &str) -> String {
    format!(
        "apiVersion: headworks.dev/v1alpha1\nkind: QualityRule\nmetadata: {{name: same}}\nspec:\n  stream: orders\n  window: 1m\n  checks:\n{checks}"
    )
}

const SHIFT: &str = "    - name: shift\n      distribution: {field: coupon, max: \"0.2\", reference: {window: Previous}, bins: [{values: [x]}, {}]}\n";
const SHAPE: &str =
    "    - name: shape\n      schema: {columns: [{name: id, type: string}, {name: coupon}]}\n";
const OTHER_SHAPE: &str =
    "    - name: shape\n      schema: {columns: [{name: id, type: bigint}]}\n";

/// Puts orders with a coupon into the only partition.
fn post(c: &Cluster, coupons: &[&str], at: &str) {
    for coupon in coupons {
        let value = json!({"id": "a", "coupon": coupon, "at": format!("2026-01-01T{at}Z")});
        let value = value.to_string();
        c.kafka.produce(&c.topic("orders"), &[value.as_bytes()]);
    }
}

/// A check of the status, once it is as it should be.
fn check(c: &Cluster, name: &str, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    let status = || {
        let object = c.kubectl.get(RULE, "same", &c.namespace).expect("the rule");
        object["status"].clone()
    };
    until(what, Duration::from_secs(180), || {
        let checks = status()["checks"].as_array()?.clone();
        let mut checks = checks.into_iter().filter(|check| check["name"] == name);
        checks.find(&is)
    })
    .unwrap_or_else(|| panic!("{name}: {what}: {}", status()))
}

#[test]
fn windows_are_compared_with_the_one_before_and_the_contract_with_the_rule() {
    let Some(c) = cluster("e2e-histories") else {
        return;
    };
    c.apply(ORDERS);
    c.ready(STREAM, "orders");
    c.apply(&rule(&format!("{SHIFT}{SHAPE}")));
    let patient = Duration::from_secs(240);
    c.condition_within(RULE, "same", "Ready", "True", Some("Judging"), patient);
    check(&c, "shape", "the contract is as asked", |one| {
        one["passed"] == json!(true)
    });
    post(&c, &["x", "x", "x", "y"], "00:00:10");
    post(&c, &["y", "y", "y", "y"], "00:01:10");
    post(&c, &["y"], "00:02:10");
    let shift = check(&c, "shift", "another mix is told", |one| {
        one["passed"] == json!(false)
    });
    assert_eq!(shift["windowEnd"], "2026-01-01T00:02:00Z", "{shift}");
    // (0.0001 - 0.75) * ln(0.0001 / 0.75) + (1 - 0.25) * ln(1 / 0.25)
    assert_eq!(shift["observed"], "7.7308", "{shift}");
    let told = c.condition(RULE, "same", "Healthy", "False", Some("WindowFailed"));
    assert!(told.contains("shift"), "{told}");
    let history = || c.kubectl.get("configmaps", "same-history", &c.namespace);
    let kept = history().expect("the history is kept");
    assert_eq!(kept["metadata"]["ownerReferences"][0]["name"], "same");
    let text = kept["data"]["history.json"].as_str().unwrap_or_default();
    assert!(text.contains("\"shift\""), "{text}");

    // The next has the mix of the one before.
    post(&c, &["y"], "00:03:10");
    check(&c, "shift", "the same mix", |one| {
        one["passed"] == json!(true) && one["windowEnd"] == "2026-01-01T00:03:00Z"
    });
    c.condition(RULE, "same", "Healthy", "True", None);

    // What another team asks of the contract, and it isn't so.
    c.apply(&rule(OTHER_SHAPE));
    let shape = check(&c, "shape", "the contract lacks it", |one| {
        one["passed"] == json!(false)
    });
    assert_eq!(shape["observed"], "id is string", "{shape}");
    c.condition(RULE, "same", "Healthy", "False", Some("SchemaMismatch"));
    let told = c.condition(STREAM, "orders", "Healthy", "False", Some("SchemaMismatch"));
    assert!(told.contains("QualityRule same"), "{told}");
    until("the history goes", Duration::from_secs(120), || {
        history().is_none().then_some(())
    })
    .expect("nothing is kept of a check that isn't there");
    c.well("windows and a contract were compared");
}
