//! What becomes of numbers that don't fit.

use arrow::array::Array;
use headworks_sql::Overflow;

use super::*;

#[test]
fn where_a_number_may_silently_become_null_is_told() {
    let notes = |sql: &str| {
        let notes = good(sql).notes;
        notes.iter().map(|n| (n.line, n.column)).collect::<Vec<_>>()
    };
    let sql = "SELECT CAST(email AS DECIMAL(5,2)) AS a,\n  COALESCE(CAST(`value` AS DECIMAL(3,0)), 0) AS b FROM orders";
    assert_eq!(notes(sql), [(1, 8), (2, 12)]);
    let told = good(sql).notes[0].to_string();
    for word in ["decimal(5,2)", "NULL", "COALESCE", "onOverflow"] {
        assert!(told.contains(word), "{told}");
    }
    for sql in [
        "SELECT TRY_CAST(email AS DECIMAL(5,2)) AS a FROM orders",
        "SELECT CAST(`value` AS DECIMAL(12,2)) AS a FROM orders",
        "SELECT amount * 1.19 AS a FROM orders",
        "SELECT CAST(user_id AS DECIMAL(5,0)) AS a FROM orders",
        "SELECT user_id, SUM(amount) / COUNT(*) AS a FROM orders GROUP BY user_id",
    ] {
        assert_eq!(notes(sql), [], "{sql}");
    }
}

/// The columns, and of each row of [`numbers`] whether it gives a value; nothing if it fails.
fn decimals(sql: &str, overflow: Overflow) -> (String, Vec<Option<bool>>) {
    let contract = contract(&[("a", "int"), ("b", "int"), ("s", "string?")]);
    let catalog = Catalog::new().with("t", contract).on_overflow(overflow);
    let flow = plan(sql, &catalog).unwrap();
    let branch = flow.branches().next().unwrap();
    let batch = numbers();
    let indexes: Vec<usize> = branch
        .columns
        .iter()
        .map(|c| batch.schema().index_of(c).unwrap())
        .collect();
    let batch = batch.project(&indexes).unwrap();
    let rows = (0..batch.num_rows()).map(|row| {
        let done = branch.evaluate(&batch.slice(row, 1)).ok()?;
        Some(done.batch.num_rows() > 0 && done.batch.column(0).is_valid(0))
    });
    (columns(&flow).join(", "), rows.collect())
}

#[test]
fn a_number_that_does_not_fit_is_null_or_fails_the_row() {
    let s = "SELECT CAST(CHAR_LENGTH(s) * a AS DECIMAL(1,0)) AS v FROM t";
    let (yes, null, fails) = (Some(true), Some(false), None);
    assert_eq!(
        decimals(s, Overflow::Null),
        ("v decimal(1,0)?".into(), vec![null, null, null, null])
    );
    assert_eq!(
        decimals(s, Overflow::Fail),
        ("v decimal(1,0)?".into(), vec![fails, null, fails, fails])
    );
    let s = "SELECT COALESCE(CAST(s AS DECIMAL(1,0)), 0) AS v FROM t WHERE s = '7' OR s IS NULL OR a > 20";
    assert_eq!(decimals(s, Overflow::Fail).1[3], yes);
    // Of what is never null the row fails, as in Flink, and so the result is never null.
    let a = "SELECT CAST(a * b AS DECIMAL(2,0)) AS v FROM t";
    for overflow in [Overflow::Null, Overflow::Fail] {
        assert_eq!(
            decimals(a, overflow),
            ("v decimal(2,0)".into(), vec![yes, yes, fails, yes])
        );
    }
    let lenient = "SELECT TRY_CAST(a * b AS DECIMAL(2,0)) AS v FROM t";
    assert_eq!(
        decimals(lenient, Overflow::Fail),
        ("v decimal(2,0)?".into(), vec![yes, yes, null, yes])
    );
}
