//! Checks for order.

use super::*;

/// What is out of order: the end of the window, the key, and what was observed.
fn told(
    window: &str,
    check: Value,
    filter: Option<&str>,
    rows: &[Value],
) -> Vec<(String, String, String)> {
    let all = run_in(
        window,
        json!([{"name": "o", "ordered": check}]),
        filter,
        rows,
    );
    let rows = all["sane-ordered-1"].iter().map(|row| {
        assert_eq!(row["passed"], json!({"o": false}), "{row}");
        assert_eq!(row["records"], 1, "{row}");
        let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        let start = text(&row["window_start"]);
        let (end, time) = (text(&row["window_end"]), text(&row["window_time"]));
        assert!(start < end && time < format!("{end}Z") && time > format!("{start}Z"));
        (end, text(&row["repeated_key"]), text(&row["observed"]["o"]))
    });
    rows.collect()
}

fn of(end: &str, key: &str, observed: &str) -> (String, String, String) {
    let end = format!("2026-11-30T12:{end}:00.000");
    (end, key.to_owned(), observed.to_owned())
}

fn row(id: &str, line: Option<i32>, second: u32) -> Value {
    json!({"id": id, "line": line, "secret": line, "amount": line.map(|n| format!("{n}.50")), "at": at(second)})
}

/// Two keys: `a` goes 1, 3, 2, (none), 2, 5 and `b` 9, 8.
fn rows() -> [Value; 8] {
    [
        row("a", Some(1), 0),
        row("b", Some(9), 1),
        row("a", Some(3), 10),
        row("a", Some(2), 70),
        row("b", Some(8), 71),
        row("a", None, 80),
        row("a", Some(2), 130),
        row("a", Some(5), 200),
    ]
}

#[test]
fn a_record_that_is_less_than_the_one_of_its_key_before_it_is_told_in_its_own_window() {
    let by = |order: &str| json!({"field": "line", "by": ["id"], "order": order});
    let down = [of("02", "a", "2 after 3"), of("02", "b", "8 after 9")];
    assert_eq!(told("1m", by("Increasing"), None, &rows()), down);
    let mut strictly = down.to_vec();
    strictly.push(of("03", "a", "2 after 2"));
    assert_eq!(
        told("1m", by("StrictlyIncreasing"), None, &rows()),
        strictly
    );
    let up = [of("01", "a", "3 after 1"), of("04", "a", "5 after 2")];
    assert_eq!(told("1m", by("Decreasing"), None, &rows()), up);
    let strictly = [up[0].clone(), of("03", "a", "2 after 2"), up[1].clone()];
    assert_eq!(
        told("1m", by("StrictlyDecreasing"), None, &rows()),
        strictly
    );
}

#[test]
fn without_a_key_all_records_are_in_one_order_and_what_is_labelled_is_not_shown() {
    let all = told("1m", json!({"field": "amount"}), Some("id = 'a'"), &rows());
    assert_eq!(all, [of("02", "-", "2.50 after 3.50")]);
    let hidden = told(
        "1m",
        json!({"field": "secret", "by": ["id"]}),
        None,
        &rows(),
    );
    assert_eq!(hidden, [of("02", "a", "-"), of("02", "b", "-")]);
    let hidden = told(
        "1m",
        json!({"field": "line", "by": ["id", "secret"]}),
        None,
        &rows(),
    );
    assert_eq!(hidden, []);
}

#[test]
fn windows_begin_with_1970_whatever_their_length() {
    let check = || json!({"field": "line", "by": ["id"]});
    // 12:00:00 is 120 s before the end of one of 7 minutes.
    let seven = told("7m", check(), None, &rows());
    assert_eq!(
        seven,
        [of("02", "a", "2 after 3"), of("02", "b", "8 after 9")]
    );
    let day = told("1d", check(), None, &rows());
    assert!(
        day.iter().all(|(end, ..)| end == "2026-12-01T00:00:00.000"),
        "{day:?}"
    );
}
