//! The CEL rules and own checks of a QualityRule, and what a check is called.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use headworks_crds::{QualityCheck, QualityRule};
use serde_json::{Value, json};

fn rule(changes: &Value) -> QualityRule {
    named("sane", changes)
}

fn named(name: &str, changes: &Value) -> QualityRule {
    let mut spec = json!({"stream": "orders", "checks": [{"notNull": {"field": "id"}}]});
    for (key, value) in changes.as_object().unwrap() {
        spec[key] = value.clone();
    }
    serde_json::from_value(json!({
        "apiVersion": "headworks.dev/v1alpha1", "kind": "QualityRule", "metadata": {"name": name}, "spec": spec,
    }))
    .unwrap()
}

/// What the API server says of a new rule; nothing: it takes it.
fn said(rule: &QualityRule) -> String {
    let result = rule.validate_cel();
    result.err().map(|e| e.to_string()).unwrap_or_default()
}

#[test]
fn a_rule_keeps_its_stream() {
    let old = rule(&json!({}));
    assert_eq!(said(&old), "");
    let update = |new: &QualityRule| {
        let result = new.validate_cel_update(&old);
        result.err().map(|e| e.to_string()).unwrap_or_default()
    };
    let moved = update(&rule(&json!({"stream": "others"})));
    assert!(
        moved.contains("stream can't change: make a new QualityRule"),
        "{moved}"
    );
    assert_eq!(
        update(&rule(&json!({"onError": "Drop", "threshold": "99.5"}))),
        ""
    );
    let dotted = said(&named("a.b", &json!({})));
    assert!(
        dotted.contains("at most 63 characters and no dots"),
        "{dotted}"
    );
}

#[test]
#[allow(clippy::too_many_lines, reason = "a table of cases")]
fn a_check_is_of_exactly_one_kind() {
    let ask = |check: &Value| said(&rule(&json!({"checks": [check]})));
    for check in [
        json!({"expression": "amount > 0"}),
        json!({"notNull": {"field": "id"}}),
        json!({"length": {"field": "id", "min": 1}}),
        json!({"range": {"field": "n", "max": "1"}}),
        json!({"pattern": {"field": "id", "regex": "x"}}),
        json!({"notMatching": {"field": "id", "regex": "x"}}),
        json!({"format": {"field": "id", "is": "Uuid"}}),
        json!({"accepted": {"field": "id", "values": ["a"]}}),
        json!({"forbidden": {"field": "id", "values": ["a"]}}),
        json!({"compare": {"left": "a", "operator": "Less", "right": "b"}}),
        json!({"rowCount": {"min": 1}}),
        json!({"nullRatio": {"field": "id", "max": "0.5"}}),
        json!({"unique": {"key": ["id"], "within": "1h"}}),
        json!({"ordered": {"field": "n"}}),
        json!({"references": {"fields": ["id"], "stream": "articles"}}),
        json!({"references": {"fields": ["id", "n"], "stream": "articles", "key": ["a", "b"]}}),
        json!({"ordered": {"field": "n", "by": ["id"], "order": "StrictlyDecreasing"}}),
        json!({"aggregate": {"field": "n", "function": "Mean", "max": "1"}}),
        json!({"quantile": {"field": "n", "of": "0.95", "max": "1"}}),
        json!({"freshness": {"maxAge": "1m"}}),
        json!({"distribution": {"field": "n", "max": "0.2", "bins": [{"upTo": "1", "fraction": "0.5"}, {"fraction": "0.5"}]}}),
        json!({"distribution": {"field": "n", "max": "0.2", "bins": [{"upTo": "1"}, {}], "reference": {"lookback": "7d"}}}),
        json!({"distribution": {"field": "n", "max": "0.2", "bins": [{"upTo": "1"}, {}], "reference": {"window": "Previous"}}}),
        json!({"having": "COUNT(*) > 1"}),
        json!({"anomaly": {}}),
        json!({"anomaly": {"metric": "Mean", "field": "n", "sensitivity": "3", "consecutive": 1, "season": "None"}}),
        json!({"schema": {"columns": [{"name": "id", "type": "string"}], "exact": true}}),
        json!({"schema": {"columns": [{"name": "a.b"}]}}),
    ] {
        assert_eq!(ask(&check), "", "{check}");
        let kind = serde_json::from_value::<QualityCheck>(check.clone())
            .unwrap()
            .kind();
        assert!(check.get(kind.unwrap()).is_some());
        let other = if kind == Some("notNull") {
            "expression"
        } else {
            "notNull"
        };
        let mut both = check;
        both[other] = if other == "notNull" {
            json!({"field": "id"})
        } else {
            json!("TRUE")
        };
        let told = ask(&both);
        assert!(
            told.contains("a check needs exactly one of: expression, notNull"),
            "{told}"
        );
    }
    for (check, words) in [
        (json!({"name": "nothing"}), "a check needs exactly one of"),
        (
            json!({"length": {"field": "id"}}),
            "length needs min, max or both",
        ),
        (
            json!({"length": {"field": "id", "min": 3, "max": 2}}),
            "min is above max",
        ),
        (
            json!({"range": {"field": "id"}}),
            "range needs min, max or both",
        ),
        (json!({"rowCount": {}}), "rowCount needs min, max or both"),
        (
            json!({"rowCount": {"min": 2, "max": 1}}),
            "min is above max",
        ),
        (
            json!({"aggregate": {"field": "n", "function": "Sum"}}),
            "aggregate needs min, max or both",
        ),
        (
            json!({"quantile": {"field": "n", "of": "0.5"}}),
            "quantile needs min, max or both",
        ),
        (
            json!({"distribution": {"field": "n", "max": "1", "bins": [{"fraction": "0.5"}, {"upTo": "1", "fraction": "0.5"}]}}),
            "only the last may have neither",
        ),
        (
            json!({"distribution": {"field": "n", "max": "1", "bins": [{"upTo": "1", "fraction": "0.5"}, {"values": ["2"], "fraction": "0.5"}]}}),
            "bins have all upTo or all values",
        ),
        (
            json!({"distribution": {"field": "n", "max": "1", "test": "KolmogorovSmirnov", "bins": [{"values": ["1"], "fraction": "0.5"}, {"fraction": "0.5"}]}}),
            "KolmogorovSmirnov needs bins in order",
        ),
        (
            json!({"distribution": {"field": "n", "max": "1", "bins": [{"upTo": "1", "values": ["1"], "fraction": "0.5"}, {"fraction": "0.5"}]}}),
            "a bin has upTo or values, not both",
        ),
        (
            json!({"distribution": {"field": "n", "max": "1", "bins": [{"upTo": "1"}, {"fraction": "0.5"}]}}),
            "every bin has a fraction, or none has",
        ),
        (
            json!({"distribution": {"field": "n", "max": "1", "bins": [{"upTo": "1", "fraction": "0.5"}, {}], "reference": {"window": "Previous"}}}),
            "every bin has a fraction, or none has",
        ),
        (
            json!({"distribution": {"field": "n", "max": "1", "bins": [{"upTo": "1"}, {}], "reference": {}}}),
            "reference needs exactly one of window and lookback",
        ),
        (
            json!({"distribution": {"field": "n", "max": "1", "bins": [{"upTo": "1"}, {}], "reference": {"window": "Previous", "lookback": "1h"}}}),
            "reference needs exactly one of window and lookback",
        ),
        (
            json!({"anomaly": {"metric": "Mean"}}),
            "every metric but RecordsPerMinute is of a field",
        ),
        (
            json!({"anomaly": {"field": "n"}}),
            "every metric but RecordsPerMinute is of a field",
        ),
        (
            json!({"schema": {"columns": [{"name": "a.b"}], "ordered": true}}),
            "fields within a struct stand in no order",
        ),
    ] {
        let told = ask(&check);
        assert!(told.contains(words), "{check}: {told}");
    }
}

#[test]
fn a_window_is_bounded() {
    for (window, right) in [("1m", true), ("1d", true), ("59s", false), ("25h", false)] {
        let faults = headworks_crds::faults(&rule(&json!({"window": window})).spec);
        assert_eq!(faults.is_empty(), right, "{window}: {faults:?}");
    }
}

#[test]
fn times_of_checks_are_bounded() {
    let lookback = |time: &str| {
        json!({"distribution": {"field": "n", "max": "0.2", "bins": [{"upTo": "1"}, {}],
            "reference": {"lookback": time}}})
    };
    for (check, right) in [
        (json!({"unique": {"key": ["id"], "within": "1m"}}), true),
        (json!({"unique": {"key": ["id"], "within": "7d"}}), true),
        (json!({"unique": {"key": ["id"], "within": "8d"}}), false),
        (json!({"unique": {"key": ["id"], "within": "0s"}}), false),
        (json!({"freshness": {"maxAge": "10s"}}), true),
        (json!({"freshness": {"maxAge": "1s"}}), false),
        (lookback("10m"), true),
        (lookback("28d"), true),
        (lookback("9m"), false),
        (lookback("29d"), false),
    ] {
        let faults = headworks_crds::faults(&rule(&json!({"checks": [check]})).spec);
        assert_eq!(faults.is_empty(), right, "{check}: {faults:?}");
        let placed = |fault: &headworks_crds::SpecFault| fault.field.starts_with("spec.checks[0].");
        assert!(faults.iter().all(placed), "{faults:?}");
    }
}

#[test]
fn a_check_without_a_name_is_called_by_what_it_checks() {
    let called = |check: Value| {
        serde_json::from_value::<QualityCheck>(check)
            .unwrap()
            .called(2)
    };
    assert_eq!(
        called(json!({"notNull": {"field": "order_id"}})),
        "notNull-order_id"
    );
    assert_eq!(
        called(json!({"name": "mine", "notNull": {"field": "order_id"}})),
        "mine"
    );
    assert_eq!(called(json!({"expression": "a > b"})), "expression-3");
    assert_eq!(
        called(json!({"compare": {"left": "a.b", "operator": "Less", "right": "c"}})),
        "compare-a.b"
    );
    let long = called(json!({"range": {"field": "a".repeat(100), "min": "1"}}));
    assert_eq!(long.len(), 63);
}
