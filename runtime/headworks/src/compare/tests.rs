//! Both versions over records in memory, with answers worked by hand.

use serde_json::json;

use super::*;
use crate::peek::Found;
use crate::peek::select::memory::Memory;

fn stream(name: &str, fields: serde_json::Value) -> serde_json::Value {
    json!({"name": name, "topic": name, "deadLetterTopic": format!("{name}.dlq"), "maxMessageBytes": 1_000_000,
        "contract": {"format": "Json", "fields": fields,
            "eventTime": if name == "orders" { json!({"field": "at", "maxOutOfOrdernessMs": 0}) } else { json!(null) }}})
}

fn orders() -> serde_json::Value {
    stream(
        "orders",
        json!([{"name": "id", "type": "string", "nullable": false}, {"name": "amount", "type": "decimal(12,2)", "nullable": false},
            {"name": "at", "type": "timestamp_ltz(3)", "nullable": false}]),
    )
}

fn plan(sql: &str, output: &serde_json::Value) -> serde_json::Value {
    json!({"sql": sql, "inputs": [orders()], "outputs": [stream("output", output.clone())], "delivery": "ExactlyOnce",
        "commitIntervalMs": 100, "startFrom": "earliest", "onBadRecord": "Stop", "stages": [{"id": "streams", "runs": 0,
            "group": "g", "reads": [{"stream": "orders"}], "ends": {"streams": {}}}]})
}

fn comparison(old: &str, new: &str, keys: &[&str], sums: &[&str]) -> ComparePlan {
    let output = json!([{"name": "id", "type": "string", "nullable": false},
        {"name": "amount", "type": "decimal(12,2)", "nullable": false}]);
    let plan = json!({"id": "c", "old": plan(old, &output), "new": plan(new, &output), "fromMs": 10, "untilMs": 100,
        "keys": keys, "sums": sums});
    serde_json::from_value(plan).unwrap()
}

fn topic(records: &[(i64, &str)]) -> Memory {
    let mut topic = Memory::default();
    for (number, (at, value)) in records.iter().enumerate() {
        topic.add(Found {
            partition: i32::try_from(number % 2).unwrap(),
            timestamp: Some(*at),
            value: Some(value.as_bytes().to_vec()),
            ..Found::default()
        });
    }
    topic
}

fn compared(comparison: &ComparePlan, mut topic: Memory) -> ComparisonFigures {
    let select = PeekSelection {
        from: Some(PeekFrom::Time(comparison.from_ms)),
        until_ms: Some(comparison.until_ms),
        ..PeekSelection::default()
    };
    let spans = spans(&mut topic, &select).unwrap();
    let mut parts = [Part::begin(topic, spans).unwrap()];
    let deadline = Instant::now() + Duration::from_secs(60);
    let formats = FormatRegistry::default();
    side_by_side(comparison, &formats, &["orders"], &mut parts, deadline).unwrap()
}

/// Six orders, of which the first and the last come before and after the time of the canary.
fn six() -> Memory {
    topic(&[
        (
            5,
            r#"{"id":"before","amount":"100.00","at":"2027-01-01T00:00:00Z"}"#,
        ),
        (
            10,
            r#"{"id":"a","amount":"1.50","at":"2027-01-01T00:00:01Z"}"#,
        ),
        (
            20,
            r#"{"id":"b","amount":"2.25","at":"2027-01-01T00:00:02Z"}"#,
        ),
        (
            30,
            r#"{"id":"b","amount":"-0.75","at":"2027-01-01T00:00:03Z"}"#,
        ),
        (
            40,
            r#"{"id":"c","amount":"10.00","at":"2027-01-01T00:00:04Z"}"#,
        ),
        (50, "no record"),
        (
            100,
            r#"{"id":"after","amount":"7.00","at":"2027-01-01T00:00:05Z"}"#,
        ),
    ])
}

const OLD: &str = "SELECT id, amount FROM orders";

#[test]
fn the_same_query_in_other_words_makes_the_same_of_the_same_records() {
    let new = "SELECT o.id AS id, o.amount AS amount FROM orders AS o WHERE TRUE";
    let found = compared(&comparison(OLD, new, &["id"], &["amount"]), six());
    assert_eq!((found.records, found.partial), (5, false));
    assert_eq!((found.rows.old, found.rows.new), (4, 4));
    // A record that can't be read is one for both, and stops neither.
    assert_eq!((found.dead_letters.old, found.dead_letters.new), (1, 1));
    let keys = found.keys.unwrap();
    assert_eq!(
        (keys.old, keys.missing, keys.extra, keys.one_in),
        (3, 0, 0, 1)
    );
    assert_eq!(
        found.sums,
        [SumsCompared {
            column: "amount".into(),
            old: "13.00".into(),
            new: "13.00".into()
        }]
    );
}

#[test]
fn rows_keys_and_sums_tell_what_another_query_does() {
    let new = "SELECT id || 'x' AS id, amount FROM orders WHERE amount > 0";
    let found = compared(&comparison(OLD, new, &["id"], &["amount"]), six());
    assert_eq!((found.rows.old, found.rows.new), (4, 3));
    let keys = found.keys.unwrap();
    assert_eq!((keys.old, keys.missing, keys.extra), (3, 3, 3));
    assert_eq!(
        (found.sums[0].old.as_str(), found.sums[0].new.as_str()),
        ("13.00", "13.75")
    );
}

#[test]
fn what_isnt_asked_for_isnt_told() {
    let found = compared(&comparison(OLD, OLD, &[], &[]), six());
    assert_eq!((found.rows.old, found.keys, found.sums.len()), (4, None, 0));
}

#[test]
fn records_that_only_the_new_version_cant_evaluate_are_its_dead_letters() {
    let new = "SELECT id, CAST(CAST(id AS INT) AS DECIMAL(12, 2)) AS amount FROM orders";
    let found = compared(&comparison(OLD, new, &[], &["amount"]), six());
    assert_eq!((found.dead_letters.old, found.dead_letters.new), (1, 5));
    assert_eq!((found.rows.new, found.sums[0].new.as_str()), (0, "0.00"));
}

#[test]
fn windows_begin_and_end_together_for_both() {
    let sql = |sum: &str| {
        format!(
            "SELECT id, {sum} AS amount FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(`at`), INTERVAL '1' MINUTE)) GROUP BY id, window_start, window_end"
        )
    };
    let (old, new) = (
        sql("SUM(amount)"),
        sql("SUM(amount) + MAX(amount) - MAX(amount)"),
    );
    let mut comparison = comparison(&old, &new, &["id"], &["amount"]);
    for plan in [&mut comparison.old, &mut comparison.new] {
        plan.outputs[0].contract.fields[1].type_ = "decimal(38,2)".into();
        plan.outputs[0].contract.fields[1].nullable = true;
    }
    let found = compared(&comparison, six());
    assert_eq!((found.rows.old, found.rows.new), (3, 3));
    assert_eq!(
        (found.sums[0].old.as_str(), found.sums[0].new.as_str()),
        ("13.00", "13.00")
    );
}

#[test]
fn rules_judge_what_the_new_version_wrote() {
    let mut shadow: Stream = serde_json::from_value(orders()).unwrap();
    let rule = json!({"name": "sane", "generation": 2, "checks": [{"name": "positive", "expression": "amount > 0", "action": "DeadLetter"}]});
    shadow.rules = vec![serde_json::from_value(rule).unwrap()];
    let mut topic = six();
    let select = PeekSelection {
        from: Some(PeekFrom::Offset(0)),
        ..PeekSelection::default()
    };
    let spans = spans(&mut topic, &select).unwrap();
    let part = Part::begin(topic, spans).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let formats = FormatRegistry::default();
    let (rules, whole) = judge::judge(&shadow, &formats, part, deadline, 100).unwrap();
    assert!(whole);
    assert_eq!((rules[0].checked, rules[0].failed), (6, 1));
    assert_eq!(rules[0].name, "sane");
}
