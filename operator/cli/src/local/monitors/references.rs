//! Checks of references.

use super::*;

/// The customers: a key of two fields, and since when.
fn customers(rows: &[(&str, i32, u32)]) -> (Stream, Vec<Value>) {
    let contract = Contract {
        fields: vec![
            Field::new("name", "string", false),
            Field::new("branch", "int", false),
            Field::new("since", "timestamp_ltz(3)", false),
        ],
        key: vec!["branch".into(), "name".into()],
        compacted: true,
        event_time: Some(EventTime {
            field: "since".into(),
            max_out_of_orderness_ms: 0,
            idle_timeout_ms: None,
        }),
        ..Contract::default()
    };
    let row = |(name, branch, second): &(&str, i32, u32)| json!({"name": name, "branch": branch, "since": at(*second)});
    (
        stream("customers", contract),
        rows.iter().map(row).collect(),
    )
}

/// Which records refer to nothing: the end of the window, and the key.
fn told(check: Value, filter: Option<&str>, rows: &[Value]) -> Vec<(String, String)> {
    let known = customers(&[
        ("ann", 1, 0),
        ("bob", 2, 100),
        ("ann", 1, 130),
        ("z", 0, 3_000),
    ]);
    let all = run_beside(
        "1m",
        json!([{"name": "r", "references": check}]),
        filter,
        rows,
        &[known],
    );
    let rows = all["sane-references-1"].iter().map(|row| {
        assert_eq!(row["passed"], json!({"r": false}), "{row}");
        assert_eq!(row["observed"], json!({"r": "not in customers"}), "{row}");
        assert_eq!(row["records"], 1, "{row}");
        let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        let (start, end) = (text(&row["window_start"]), text(&row["window_end"]));
        let time = text(&row["window_time"]);
        assert!(start < end && time < format!("{end}Z") && time > format!("{start}Z"));
        (end, text(&row["repeated_key"]))
    });
    rows.collect()
}

fn row(id: Option<&str>, line: Option<i32>, second: u32) -> Value {
    json!({"id": id, "line": line, "secret": line, "at": at(second)})
}

fn of(end: &str, key: &str) -> (String, String) {
    (format!("2026-11-30T12:{end}:00.000"), key.to_owned())
}

#[test]
fn a_record_that_refers_to_what_is_not_there_yet_or_never_is_told_in_its_own_window() {
    let rows = [
        row(Some("ann"), Some(1), 0),
        row(Some("bob"), Some(2), 99),
        row(Some("bob"), Some(2), 100),
        row(Some("ann"), Some(2), 101),
        row(None, Some(1), 102),
        row(Some("eve"), None, 103),
        row(Some("eve"), Some(9), 300),
        row(Some("ann"), Some(1), 301),
    ];
    let check = json!({"fields": ["id", "line"], "stream": "customers", "key": ["name", "branch"]});
    let wrong = [of("02", "bob, 2"), of("02", "ann, 2"), of("06", "eve, 9")];
    assert_eq!(told(check.clone(), None, &rows), wrong);
    assert_eq!(told(check, Some("line < 9"), &rows), wrong[..2]);
    let hidden =
        json!({"fields": ["id", "secret"], "stream": "customers", "key": ["name", "branch"]});
    assert_eq!(
        told(hidden, Some("line = 9"), &rows),
        [of("06", "-")],
        "what is labelled is not shown"
    );
}
