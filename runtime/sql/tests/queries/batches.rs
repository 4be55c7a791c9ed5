//! What a planned query makes of a batch.

use super::*;

fn run(
    sql: &str,
) -> (
    Dataflow,
    Result<headworks_sql::Evaluated, headworks_sql::EvaluationError>,
) {
    let flow = plan(
        sql,
        &Catalog::new().with(
            "t",
            contract(&[("a", "int"), ("b", "int"), ("s", "string?")]),
        ),
    )
    .unwrap();
    let input = numbers();
    let picked: Vec<usize> = flow
        .branches()
        .next()
        .unwrap()
        .columns
        .iter()
        .map(|c| input.schema().index_of(c).unwrap())
        .collect();
    let result = flow
        .branches()
        .next()
        .unwrap()
        .evaluate(&input.project(&picked).unwrap());
    (flow, result)
}

#[test]
fn a_batch_is_filtered_then_projected_and_says_where_its_rows_come_from() {
    let (_, result) = run("SELECT a / b AS q, 5 AS five FROM t WHERE b <> 0");
    let done = result.unwrap();
    assert_eq!(done.rows, UInt32Array::from(vec![0, 2]));
    assert_eq!(
        done.batch.column(0).as_primitive::<Int32Type>().values(),
        &[5, 6]
    );
    assert_eq!(
        done.batch.column(1).as_primitive::<Int32Type>().values(),
        &[5, 5]
    );
    let none = run("SELECT a / (b - b) AS q FROM t WHERE a > 1000")
        .1
        .unwrap();
    assert_eq!((none.batch.num_rows(), none.rows.len()), (0, 0));
}

#[test]
fn a_failing_row_fails_the_batch_with_the_place_in_the_query() {
    let error = run("SELECT a,\n  a / b AS q FROM t").1.unwrap_err();
    assert_eq!(error.to_string(), "line 2, column 5: division by zero");
    let error = run("SELECT CAST(s AS INT) AS i FROM t").1.unwrap_err();
    assert_eq!(
        error.to_string(),
        "line 1, column 8: 'x' can't be cast to int"
    );
}

#[test]
fn what_a_condition_rules_out_is_not_evaluated() {
    for sql in [
        "SELECT a FROM t WHERE b <> 0 AND a / b > 1",
        "SELECT b = 0 OR a / b > 1 AS x FROM t",
        "SELECT CASE WHEN b = 0 THEN -1 ELSE a / b END AS x FROM t",
        "SELECT IF(b = 0, -1, a / b) AS x FROM t",
        "SELECT COALESCE(NULLIF(b, 0) + 0, 9) AS x FROM t",
        "SELECT q FROM (SELECT a, b, a / b AS q FROM t WHERE b <> 0) AS s WHERE q > 1",
        "SELECT a FROM (SELECT a, a / b AS unused FROM t) AS s",
        "SELECT TRY_CAST(s AS INT) AS x FROM t",
    ] {
        run(sql).1.unwrap_or_else(|e| panic!("{sql}: {e}"));
    }
    let done = run("SELECT CASE WHEN b = 0 THEN -1 WHEN a > 15 THEN a / b END AS x FROM t")
        .1
        .unwrap();
    let x: Vec<Option<i32>> = done
        .batch
        .column(0)
        .as_primitive::<Int32Type>()
        .iter()
        .collect();
    assert_eq!(x, [None, Some(-1), Some(6), Some(-1)]);
}
