//! Checks for keys that come again.

use super::*;

/// The rows of a monitor by key: what comes again, and how often.
fn repeated(checks: Value, rows: &[Value]) -> Vec<(String, u64)> {
    let all = run(checks, None, rows);
    let mut told: Vec<(String, u64)> = all["sane-unique-1"]
        .iter()
        .map(|row| {
            assert_eq!(
                row["passed"].as_object().unwrap().values().next(),
                Some(&json!(false))
            );
            let key = row["repeated_key"].as_str().unwrap_or("-").to_owned();
            (key, row["records"].as_u64().unwrap())
        })
        .collect();
    told.sort();
    told
}

#[test]
fn keys_that_come_again_within_a_window_are_told() {
    let row = |id: Option<&str>, line: Option<i32>, second: u32| json!({"id": id, "line": line, "secret": line, "at": at(second)});
    let rows = [
        row(Some("a"), Some(1), 0),
        row(Some("b"), Some(1), 1),
        row(Some("a"), Some(1), 2),
        row(None, None, 3),
        row(None, None, 4),
        row(Some("a"), None, 5),
        row(Some("a"), None, 6),
        row(Some("b"), Some(1), 61),
    ];
    let told = |key: Value| repeated(json!([{"unique": {"key": key}}]), &rows);
    // Nulls are no key.
    assert_eq!(told(json!(["id"])), [("a".to_owned(), 4)]);
    // In a key of several fields a null is like another, but for a record that has none of them.
    assert_eq!(
        told(json!(["id", "line"])),
        [("a".to_owned(), 2), ("a, 1".to_owned(), 2)]
    );
    // What is labelled isn't shown.
    assert_eq!(told(json!(["secret"])), [("-".to_owned(), 3)]);
    let hour = repeated(json!([{"unique": {"key": ["id"], "within": "1h"}}]), &rows);
    assert_eq!(hour, [("a".to_owned(), 4), ("b".to_owned(), 2)]);
}
