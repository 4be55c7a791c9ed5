use serde_json::{Value, json};

use super::*;
use crate::planning::testing::contract;

fn spec(value: Value) -> ReplaySpec {
    serde_json::from_value(value).unwrap()
}

fn orders() -> Contract {
    contract(&[
        ("id", "string", false),
        ("amount", "int", false),
        ("mail", "string", true),
    ])
}

/// The query, or what is wrong.
fn checked(value: Value, target: &Contract) -> Result<String, String> {
    let mut source = orders();
    source.fields[2].labels = vec!["pii".to_owned()];
    check(&spec(value), &source, target).map_err(|error| format!("{}: {error}", error.reason()))
}

fn labelled() -> Contract {
    let mut target = orders();
    target.fields[2].labels = vec!["pii".to_owned()];
    target
}

#[test]
fn without_a_fix_records_go_as_they_are() {
    let from = json!({"from": {"deadLetterOf": "orders"}});
    assert_eq!(
        checked(from, &labelled()).unwrap(),
        "SELECT `id`, `amount`, `mail` FROM `orders`"
    );
    let some = json!({"from": {"deadLetterOf": "orders", "where": "amount > 0 -- not nought"}});
    let sql = checked(some, &labelled()).unwrap();
    assert!(
        sql.ends_with("WHERE (\namount > 0 -- not nought\n)"),
        "{sql}"
    );
}

#[test]
fn a_wrong_fix_is_told_with_line_and_column() {
    let fix = |sql: &str| {
        checked(
            json!({"from": {"deadLetterOf": "orders"}, "fix": sql}),
            &labelled(),
        )
    };
    let wrong = fix("SELECT id,\n  ABS(amout) AS amount, mail FROM orders").unwrap_err();
    assert!(
        wrong.starts_with("InvalidSql: spec.fix line 2, column 7: ") && wrong.contains("amount"),
        "{wrong}"
    );
    let misfit = fix("SELECT id, CAST(amount AS STRING) AS amount, mail FROM orders").unwrap_err();
    assert!(
        misfit.starts_with("OutputMismatch: spec.fix: the columns don't fit DataStream orders: ")
            && misfit.contains("amount"),
        "{misfit}"
    );
    let missing = fix("SELECT id, mail FROM orders").unwrap_err();
    assert!(
        missing.starts_with("OutputMismatch: ") && missing.contains("amount"),
        "{missing}"
    );
    let counts =
        "SELECT id, CAST(COUNT(*) AS INT) AS amount, MAX(mail) AS mail FROM orders GROUP BY id";
    let counts = fix(counts).unwrap_err();
    assert!(
        counts.starts_with("NotSupported: spec.fix: a Replay goes row by row"),
        "{counts}"
    );
    let other = fix("SELECT id, amount, mail FROM payments").unwrap_err();
    assert!(
        other.starts_with("InvalidSql: spec.fix: reads payments; a Replay reads the stream that spec.from.deadLetterOf names, orders"),
        "{other}"
    );
    fix("SELECT id, ABS(amount) AS amount, mail FROM orders WHERE amount <> 0").unwrap();
}

#[test]
fn a_wrong_condition_is_told_by_its_own_lines() {
    let from = json!({"from": {"deadLetterOf": "orders", "where": "amount > 0\nAND ammount < 5"}});
    let wrong = checked(from, &labelled()).unwrap_err();
    assert!(
        wrong.starts_with("InvalidSql: spec.from.where line 2, column 5: "),
        "{wrong}"
    );
    // What closes the brackets reads no other stream.
    let out = json!({"from": {"deadLetterOf": "orders", "where": "true) UNION ALL SELECT * FROM payments WHERE (true"}});
    let wrong = checked(out, &labelled()).unwrap_err();
    assert!(wrong.contains("reads payments"), "{wrong}");
}

#[test]
fn a_label_does_not_get_lost_on_the_way() {
    let fix = "SELECT id, amount, mail FROM orders";
    let of = |target: &Contract, fix: &str| {
        checked(
            json!({"from": {"deadLetterOf": "orders"}, "fix": fix}),
            target,
        )
    };
    of(&labelled(), fix).unwrap();
    let lost = of(&orders(), fix).unwrap_err();
    assert!(
        lost.contains(
            "column mail carries label pii, and field mail of DataStream orders doesn't have it"
        ),
        "{lost}"
    );
    let moved = "SELECT COALESCE(mail, '') AS id, amount, mail FROM orders";
    assert!(
        of(&labelled(), moved)
            .unwrap_err()
            .contains("column id carries label pii")
    );
    let masked = "SELECT id, amount, CAST(NULL AS STRING) AS mail FROM orders";
    of(&orders(), masked).unwrap();
}

#[test]
fn what_contradicts_itself_is_a_fault_of_the_spec() {
    let faults = |value: Value| -> Vec<String> {
        let faults = spec_faults(&spec(value));
        faults.iter().map(|fault| fault.field.clone()).collect()
    };
    let none: [&str; 0] = [];
    assert_eq!(faults(json!({"from": {"deadLetterOf": "orders"}})), none);
    assert_eq!(
        faults(json!({"from": {"deadLetterOf": "orders"}, "into": {"stream": "orders"}})),
        none
    );
    assert_eq!(
        faults(json!({"from": {"stream": "orders"}, "into": {"stream": "again"}})),
        none
    );
    assert_eq!(faults(json!({"from": {"stream": "orders"}})), ["spec.into"]);
    assert_eq!(
        faults(json!({"from": {"stream": "orders"}, "into": {"stream": "orders"}})),
        ["spec.into.stream"]
    );
    let both = json!({"from": {"deadLetterOf": "orders", "where": "true"}, "fix": "SELECT 1"});
    assert_eq!(faults(both), ["spec.from.where"]);
    let turned = json!({"from": {"deadLetterOf": "orders", "start": "2026-01-02T00:00:00Z", "end": "2026-01-01T00:00:00Z"}});
    assert_eq!(faults(turned), ["spec.from.end"]);
}

#[test]
fn a_window_that_retention_has_reached_is_told_with_what_is_kept() {
    let now: Timestamp = "2026-01-10T00:00:00Z".parse().unwrap();
    let from = |start: &str| spec(json!({"from": {"deadLetterOf": "orders", "start": start}}));
    let week = Some(7 * 86_400_000);
    assert!(check_window(&from("2026-01-03T00:00:00Z"), week, now).is_ok());
    let gone = check_window(&from("2026-01-02T23:59:59Z"), week, now).unwrap_err();
    assert!(gone.is(ConditionReason::WindowDeleted));
    assert!(
        gone.message()
            .contains("keeps its dead letters since 2026-01-03T00:00:00Z"),
        "{gone}"
    );
    assert!(check_window(&from("1999-01-01T00:00:00Z"), None, now).is_ok());
    let all = spec(json!({"from": {"deadLetterOf": "orders"}}));
    assert!(check_window(&all, week, now).is_ok());
}
