//! Whole queries: what they read and give, and what a bad one is told.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where it fails"
)]

use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, Int32Array, Int64Array, RecordBatch, StringArray, UInt32Array,
};
use arrow::datatypes::{Int32Type, Int64Type};
use headworks_plan::{Contract, Field};
use headworks_sql::schema::Schema;
use headworks_sql::types::DataType;
use headworks_sql::{Catalog, Dataflow, expression, inputs, plan};

fn field(name: &str, type_: &str) -> Field {
    let (nullable, type_) = type_
        .strip_suffix('?')
        .map_or((false, type_), |t| (true, t));
    Field {
        name: name.into(),
        type_: type_.into(),
        nullable,
        labels: if name == "email" {
            vec!["pii".into()]
        } else {
            vec![]
        },
    }
}

fn contract(fields: &[(&str, &str)]) -> Contract {
    Contract {
        fields: fields.iter().map(|(n, t)| field(n, t)).collect(),
        ..Contract::default()
    }
}

fn catalog() -> Catalog {
    let orders = [
        ("order_id", "string"),
        ("user_id", "bigint"),
        ("amount", "decimal(12,2)"),
        ("email", "string?"),
        (
            "customer",
            "struct<name string, address struct<city string not null>>?",
        ),
        ("items", "array<struct<sku string, qty int>>"),
        ("tags", "map<string,string>"),
        ("placed_at", "timestamp_ltz(3)"),
        ("value", "int?"),
    ];
    Catalog::new().with("orders", contract(&orders)).with(
        "refunds",
        contract(&[
            ("id", "string"),
            ("user_id", "int"),
            ("amount", "decimal(9,2)"),
        ]),
    )
}

fn good(sql: &str) -> Dataflow {
    plan(sql, &catalog()).unwrap_or_else(|errors| {
        panic!(
            "{sql}\n{}",
            errors
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join("\n")
        )
    })
}

/// All errors, one a line.
fn errors(sql: &str) -> String {
    match plan(sql, &catalog()) {
        Ok(_) => panic!("accepted: {sql}"),
        Err(errors) => errors
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n"),
    }
}

fn columns(flow: &Dataflow) -> Vec<String> {
    flow.output
        .columns
        .iter()
        .map(|c| {
            format!(
                "{} {}{}",
                c.name,
                c.data_type,
                if c.nullable { "?" } else { "" }
            )
        })
        .collect()
}

#[test]
fn a_query_reads_only_the_columns_it_needs() {
    let flow = good("SELECT order_id, amount * 2 AS twice FROM orders WHERE user_id > 7");
    assert_eq!(flow.branches[0].input, "orders");
    assert_eq!(flow.branches[0].columns, ["order_id", "user_id", "amount"]);
    assert_eq!(columns(&flow), ["order_id string", "twice decimal(23,2)"]);
    assert_eq!(
        good("SELECT 1 AS uno FROM orders").branches[0]
            .columns
            .len(),
        1
    );
}

#[test]
fn nested_fields_elements_and_map_values_are_reached() {
    let flow = good(
        "SELECT customer.address.city, o.customer.name AS who, items[1].sku AS first_sku, tags['a'] AS a, `value` FROM orders AS o",
    );
    assert_eq!(
        columns(&flow),
        [
            "city string?",
            "who string?",
            "first_sku string?",
            "a string?",
            "value int?"
        ]
    );
    assert_eq!(
        flow.branches[0].columns,
        ["customer", "items", "tags", "value"]
    );
}

#[test]
fn a_row_that_passes_the_filter_makes_its_columns_required() {
    assert_eq!(
        columns(&good("SELECT email FROM orders WHERE email IS NOT NULL")),
        ["email string"]
    );
    assert_eq!(
        columns(&good(
            "SELECT email, `value` FROM orders WHERE email LIKE 'a%' AND `value` > 1"
        )),
        ["email string", "value int"]
    );
    assert_eq!(
        columns(&good(
            "SELECT email FROM orders WHERE email IS NOT NULL OR user_id = 1"
        )),
        ["email string?"]
    );
    assert_eq!(
        columns(&good(
            "SELECT customer.address.city FROM orders WHERE customer.address IS NOT NULL"
        )),
        ["city string"]
    );
    assert_eq!(
        columns(&good("SELECT COALESCE(email, 'none') AS email FROM orders")),
        ["email string"]
    );
    assert_eq!(
        columns(&good(
            "SELECT e FROM (SELECT email AS e FROM orders WHERE email <> '') AS s"
        )),
        ["e string"]
    );
}

#[test]
fn labels_and_lineage_follow_the_values() {
    let flow = good(
        "SELECT UPPER(email) AS mail, CASE WHEN email IS NULL THEN 0 ELSE user_id END AS uid, order_id FROM orders WHERE email <> 'x'",
    );
    let labels: Vec<&[String]> = flow
        .output
        .columns
        .iter()
        .map(|c| c.labels.as_slice())
        .collect();
    assert_eq!(
        labels,
        [&["pii".to_owned()][..], &["pii".to_owned()][..], &[][..]]
    );
    let uid: Vec<String> = flow.lineage[1]
        .sources
        .iter()
        .map(|s| format!("{}.{}", s.stream, s.column))
        .collect();
    assert_eq!(uid, ["orders.email", "orders.user_id"]);
}

#[test]
fn branches_are_united_by_position_with_common_types() {
    let flow = good(
        "SELECT order_id AS id, user_id, amount FROM orders UNION ALL SELECT id, user_id, -amount FROM refunds WHERE amount > 0",
    );
    assert_eq!(
        flow.branches
            .iter()
            .map(|b| b.input.as_str())
            .collect::<Vec<_>>(),
        ["orders", "refunds"]
    );
    assert_eq!(
        columns(&flow),
        ["id string", "user_id bigint", "amount decimal(12,2)"]
    );
    let text = errors("SELECT order_id FROM orders UNION ALL SELECT user_id FROM refunds");
    assert!(text.starts_with("line 1, column 46: UNION ALL: column 1 (\"order_id\") is string in the first branch and int here"), "{text}");
    assert!(
        errors("SELECT order_id FROM orders UNION ALL SELECT user_id, id FROM refunds")
            .contains("has 2 columns, the first has 1")
    );
}

#[test]
fn sub_queries_are_put_in_where_they_are_used() {
    let flow = good(
        "WITH big AS (SELECT order_id, amount AS a FROM orders WHERE amount > 100), two AS (SELECT * FROM big UNION ALL SELECT id, amount FROM refunds)
         SELECT x.order_id, a + 1 AS a1 FROM two AS x WHERE a < 1000",
    );
    assert_eq!(flow.branches.len(), 2);
    assert_eq!(columns(&flow), ["order_id string", "a1 decimal(13,2)"]);
    assert_eq!(inputs("WITH a AS (SELECT * FROM orders) SELECT * FROM a UNION ALL SELECT * FROM `re funds` -- x").unwrap(), ["orders", "re funds"]);
}

#[test]
fn sub_queries_that_double_at_every_step_are_refused_in_time() {
    let mut sql = "WITH q0 AS (SELECT user_id + user_id AS user_id FROM orders)".to_owned();
    for i in 1..60 {
        let before = i - 1;
        write!(sql, ", q{i} AS (SELECT user_id + user_id AS user_id FROM q{before} UNION ALL SELECT user_id FROM q{before})").unwrap();
    }
    assert!(errors(&format!("{sql} SELECT user_id FROM q59")).contains("the query"));
    let mut sql = "WITH q0 AS (SELECT user_id FROM orders)".to_owned();
    for i in 1..60 {
        let before = i - 1;
        write!(
            sql,
            ", q{i} AS (SELECT user_id + user_id AS user_id FROM q{before})"
        )
        .unwrap();
    }
    assert!(errors(&format!("{sql} SELECT user_id FROM q59")).contains("too large"));
}

#[test]
fn errors_name_the_place_and_the_remedy() {
    for (sql, wanted) in [
        (
            "SELECT\n  order_id,\n  amout FROM orders",
            "line 3, column 3: unknown column \"amout\"; did you mean \"amount\"?",
        ),
        (
            "SELECT order_id FROM order_s",
            "line 1, column 22: unknown stream \"order_s\"; did you mean \"orders\"?",
        ),
        (
            "SELECT value FROM orders",
            "line 1, column 8: an expression is expected here, and \"value\" is a reserved word of Flink SQL; as a name it stands in backticks; did you mean `value`?",
        ),
        (
            "SELECT customer.adress.city FROM orders",
            "line 1, column 17: unknown field \"adress\" of struct<name string, address struct<city string not null>>; did you mean \"address\"?",
        ),
        (
            "SELECT UPER(order_id) AS x FROM orders",
            "line 1, column 8: unknown function UPER; this version has those of docs/reference/sql.md; did you mean UPPER?",
        ),
        (
            "SELECT user_id + order_id AS x FROM orders",
            "line 1, column 16: bigint + string is not defined; text is joined with ||",
        ),
        (
            "SELECT user_id FROM orders WHERE amount = '5'",
            "line 1, column 41: decimal(12,2) = string is not defined; write the number without quotes: 5",
        ),
        (
            "SELECT user_id FROM orders ORDER BY user_id",
            "line 1, column 28: ORDER BY is not in this version: a stream has no end",
        ),
        (
            "SELECT user_id FROM orders LIMIT 5",
            "line 1, column 28: LIMIT is not in this version: a stream has no end",
        ),
        (
            "SELECT o.user_id FROM orders AS o JOIN refunds AS r ON o.user_id = r.user_id",
            "line 1, column 35: a join is not in this version; where both sides have a key in common, unite them",
        ),
        (
            "SELECT 1 AS x FROM orders, refunds",
            "line 1, column 26: FROM names more than one stream: a join is not",
        ),
        (
            "SELECT user_id FROM orders UNION SELECT user_id FROM refunds",
            "line 1, column 28: UNION without ALL",
        ),
        (
            "SELECT user_id FROM orders FOR SYSTEM_TIME AS OF placed_at",
            "line 1, column 28: FOR SYSTEM_TIME AS OF (a temporal join) is not in this version",
        ),
        (
            "SELECT ROW_NUMBER() OVER (ORDER BY user_id) AS n FROM orders",
            "line 1, column 8: ROW_NUMBER() needs PARTITION BY",
        ),
        (
            "SELECT user_id FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(placed_at), INTERVAL '1' MINUTE))",
            "line 1, column 59: TUMBLE is over event time, and stream \"orders\" has none",
        ),
        (
            "SELECT user_id FROM orders WHERE user_id IN (SELECT user_id FROM refunds)",
            "line 1, column 46: IN with a sub-query would be a join",
        ),
        (
            "SELECT (SELECT 1) AS x FROM orders",
            "line 1, column 9: a sub-query in an expression would be a join",
        ),
        (
            "SELECT CURRENT_TIMESTAMP AS t FROM orders",
            "line 1, column 8: CURRENT_TIMESTAMP gives another answer at every run",
        ),
        (
            "SELECT user_id form orders",
            "line 1, column 16: \"form\" is read as a column's alias, and FROM is missing; did you mean FROM?",
        ),
        (
            "SELCT user_id FROM orders",
            "line 1, column 1: \"SELECT\" is expected here, not \"SELCT\"; did you mean SELECT?",
        ),
        (
            "SELECT user_id FROM orders WHER user_id = 1",
            "line 1, column 33: the end of the SELECT is expected here, not \"user_id\"",
        ),
        (
            "SELECT user_id, FROM orders",
            "line 1, column 17: after the comma another column is expected",
        ),
        ("SELECT user_id", "line 1, column 15: FROM is missing"),
        ("", "line 1, column 1: the query is empty"),
        (
            "INSERT INTO x SELECT 1 AS a FROM orders",
            "line 1, column 1: a pipeline's SQL is one query that begins with SELECT",
        ),
        (
            "SELECT amount * 2 FROM orders",
            "line 1, column 15: this column needs a name: add AS",
        ),
        (
            "SELECT user_id, amount AS user_id FROM orders",
            "line 1, column 27: two columns are named \"user_id\"",
        ),
        (
            "SELECT \"user_id\" FROM orders",
            "line 1, column 8: \" is no quote here",
        ),
        (
            "SELECT user_id FROM orders WHERE user_id",
            "line 1, column 34: WHERE needs a condition (boolean), this is bigint",
        ),
        (
            "SELECT CAST(user_id AS VARCHAR) AS x FROM orders",
            "line 1, column 24: VARCHAR without a length is one character long in Flink; did you mean STRING?",
        ),
        (
            "SELECT CAST(user_id AS INTT) AS x FROM orders",
            "line 1, column 24: unknown type \"INTT\"; did you mean INT?",
        ),
        (
            "SELECT CAST('abc' AS INT) AS x FROM orders",
            "line 1, column 8: this always fails: 'abc' can't be cast to int",
        ),
        (
            "SELECT SUBSTRING(order_id) AS x FROM orders",
            "line 1, column 8: SUBSTRING takes 2 to 3 argument(s), not 1",
        ),
        (
            "SELECT UPPER(user_id) AS x FROM orders",
            "line 1, column 14: argument 1 of UPPER is string, not bigint; use CAST(… AS STRING)",
        ),
        (
            "SELECT REGEXP(order_id, '(?=a)') AS x FROM orders",
            "line 1, column 25: the regular expression '(?=a)' can't be used: look-around",
        ),
        (
            "SELECT placed_at > TIMESTAMP '2026-01-01 00:00:00' AS x FROM orders",
            "line 1, column 18: timestamp_ltz(3) > timestamp(0) is not defined; one is an instant",
        ),
        (
            "SELECT order_id.x FROM orders",
            "line 1, column 17: string has no fields, so no \"x\"; if the text is JSON, use JSON_VALUE(…, '$.x')",
        ),
        (
            "SELECT user_id::int FROM orders",
            "line 1, column 15: \"::\" is not part of the dialect; did you mean CAST(… AS type)?",
        ),
        (
            "SELECT NULL AS x FROM orders",
            "line 1, column 8: NULL alone has no type",
        ),
        (
            "SELECT user_id FROM orders; SELECT 1",
            "line 1, column 29: a pipeline's SQL is one query",
        ),
        (
            "SELECT a.* FROM orders AS o",
            "line 1, column 8: unknown stream \"a\"",
        ),
        (
            "SELECT user_id FROM orders)",
            "line 1, column 27: this \")\" closes nothing",
        ),
    ] {
        let text = errors(sql);
        assert!(
            text.starts_with(wanted),
            "{sql}\n  wanted {wanted}\n  got    {text}"
        );
    }
}

#[test]
fn several_errors_are_told_at_once_and_at_most_ten() {
    let text = errors(
        "SELECT amout, UPER(order_id) AS u, user_id + order_id AS x FROM orders WHERE emial = 'x'",
    );
    assert_eq!(text.lines().count(), 4, "{text}");
    let many = (0..30)
        .map(|i| format!("nope{i}"))
        .collect::<Vec<_>>()
        .join(", ");
    assert_eq!(
        errors(&format!("SELECT {many} FROM orders"))
            .lines()
            .count(),
        10
    );
}

#[test]
fn deep_and_long_queries_are_refused_without_overflowing_the_stack() {
    for deep in [
        format!(
            "SELECT {}1{} AS x FROM orders",
            "(".repeat(10_000),
            ")".repeat(10_000)
        ),
        format!("SELECT {} user_id AS x FROM orders", "- ".repeat(10_000)),
        format!(
            "SELECT user_id FROM orders WHERE {} user_id = 1",
            "NOT ".repeat(10_000)
        ),
        format!(
            "SELECT user_id {} AS x FROM orders",
            "+ user_id ".repeat(5_000)
        ),
        format!("SELECT {} 1 AS x FROM orders", "CASE WHEN ".repeat(5_000)),
        format!(
            "SELECT CAST(1 AS {}INT AS x FROM orders",
            "ARRAY<".repeat(8_000)
        ),
        format!(
            "SELECT user_id FROM {} orders",
            "(SELECT * FROM ".repeat(4_000)
        ),
        format!("SELECT items{} AS x FROM orders", "[1]".repeat(10_000)),
        format!("SELECT a{} AS x FROM orders", ".b".repeat(10_000)),
    ] {
        let text = errors(&deep);
        assert!(
            text.contains("nested more than") || text.contains("at most"),
            "{text}"
        );
    }
    assert!(
        errors(&format!("SELECT '{}' AS x FROM orders", "x".repeat(70_000)))
            .contains("at most 65536 bytes")
    );
    // Long but flat is fine.
    let conditions = (0..2000)
        .map(|i| format!("user_id = {i}"))
        .collect::<Vec<_>>()
        .join(" OR ");
    good(&format!("SELECT user_id FROM orders WHERE {conditions}"));
    let list = (0..5000)
        .map(|i| i.to_string())
        .collect::<Vec<_>>()
        .join(", ");
    good(&format!(
        "SELECT user_id FROM orders WHERE user_id IN ({list})"
    ));
}

fn numbers() -> RecordBatch {
    let contract = contract(&[("a", "int"), ("b", "int"), ("s", "string?")]);
    let schema = Schema::from_contract(&contract).unwrap().to_arrow();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int32Array::from(vec![10, 20, 30, 40])),
        Arc::new(Int32Array::from(vec![2, 0, 5, 0])),
        Arc::new(StringArray::from(vec![
            Some("x"),
            None,
            Some("y"),
            Some("7"),
        ])),
    ];
    RecordBatch::try_new(schema, columns).unwrap()
}

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
    let picked: Vec<usize> = flow.branches[0]
        .columns
        .iter()
        .map(|c| input.schema().index_of(c).unwrap())
        .collect();
    let result = flow.branches[0].evaluate(&input.project(&picked).unwrap());
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

#[test]
fn spaces_and_comments_leave_the_fingerprint_and_types_change_it() {
    let one = good("SELECT order_id FROM orders WHERE user_id = 1").fingerprint;
    assert_eq!(
        one,
        good("SELECT order_id -- the id\n FROM   orders\nWHERE user_id=1").fingerprint
    );
    assert_ne!(
        one,
        good("SELECT order_id FROM orders WHERE user_id = 2").fingerprint
    );
    assert_ne!(
        one,
        good("SELECT order_id FROM orders WHERE order_id = '1'").fingerprint
    );
    let other = Catalog::new().with(
        "orders",
        contract(&[("order_id", "string?"), ("user_id", "bigint")]),
    );
    assert_ne!(
        one,
        plan("SELECT order_id FROM orders WHERE user_id = 1", &other)
            .unwrap()
            .fingerprint
    );
}

#[test]
fn a_condition_alone_can_be_checked_and_evaluated() {
    let schema =
        Schema::from_contract(&contract(&[("a", "int"), ("b", "int"), ("s", "string?")])).unwrap();
    let condition = expression("a > 10 AND s IS NOT NULL", &schema).unwrap();
    assert_eq!(condition.columns, ["a", "s"]);
    let holds = condition.evaluate(&numbers()).unwrap();
    assert_eq!(
        holds.iter().collect::<Vec<_>>(),
        [Some(false), Some(false), Some(true), Some(true)]
    );
    assert!(
        expression("a + 1", &schema).unwrap_err()[0]
            .message
            .contains("a condition is a boolean, this is int")
    );
    assert!(expression("a > 1 2", &schema).is_err());
}

#[test]
fn star_gives_the_columns_in_order() {
    let flow = good("SELECT * FROM refunds");
    assert_eq!(
        columns(&flow),
        ["id string", "user_id int", "amount decimal(9,2)"]
    );
    assert_eq!(flow.output.columns[1].data_type, DataType::Int);
    let flow = good("SELECT r.*, 1 AS uno FROM refunds AS r (a, b, c)");
    assert_eq!(
        columns(&flow),
        ["a string", "b int", "c decimal(9,2)", "uno int"]
    );
}

#[test]
fn a_widened_union_gives_one_type_of_batch() {
    let catalog = Catalog::new()
        .with("l", contract(&[("v", "bigint")]))
        .with("r", contract(&[("v", "int?")]));
    let flow = plan("SELECT v FROM l UNION ALL SELECT v FROM r", &catalog).unwrap();
    let left = RecordBatch::try_new(
        flow.branches[0].input_schema.clone(),
        vec![Arc::new(Int64Array::from(vec![1]))],
    )
    .unwrap();
    let right = RecordBatch::try_new(
        flow.branches[1].input_schema.clone(),
        vec![Arc::new(Int32Array::from(vec![None, Some(2)]))],
    )
    .unwrap();
    let (left, right) = (
        flow.branches[0].evaluate(&left).unwrap().batch,
        flow.branches[1].evaluate(&right).unwrap().batch,
    );
    assert_eq!(left.schema(), right.schema());
    assert_eq!(
        right
            .column(0)
            .as_primitive::<Int64Type>()
            .iter()
            .collect::<Vec<_>>(),
        [None, Some(2)]
    );
}
