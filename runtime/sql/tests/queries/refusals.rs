//! What is wrong is said with its place and the remedy.

use super::*;

/// A query, and what is said of it.
const REFUSALS: &[(&str, &str)] = &[
    (
        "SELECT sku FROM UNNEST(ARRAY['a']) AS t (sku)",
        "line 1, column 17: UNNEST stands behind the stream whose array or map it takes: FROM orders CROSS JOIN UNNEST(items) AS i (sku, qty)",
    ),
    (
        "SELECT sku FROM orders CROSS JOIN UNNEST(order_id) AS t (sku)",
        "line 1, column 42: UNNEST takes an array or a map, this is string",
    ),
    (
        "SELECT sku FROM orders CROSS JOIN UNNEST(items) AS t (sku)",
        "line 1, column 55: 1 names are given for 2 columns: UNNEST of array<struct<sku string, qty int>> gives sku string, qty int",
    ),
    (
        "SELECT sku FROM orders CROSS JOIN UNNEST(items) WITH ORDINALITY AS t (sku, qty)",
        "line 1, column 71: 2 names are given for 3 columns: UNNEST of array<struct<sku string, qty int>> WITH ORDINALITY gives sku string, qty int, ORDINALITY int",
    ),
    (
        "SELECT sku FROM orders CROSS JOIN UNNEST(items, items) AS t (sku, qty)",
        "line 1, column 47: UNNEST takes one array or map",
    ),
    (
        "SELECT sku FROM orders CROSS JOIN UNNEST(items) AS t (sku, qty) ON TRUE",
        "line 1, column 65: CROSS JOIN has no condition; write JOIN UNNEST(…) ON …",
    ),
    (
        "SELECT sku FROM orders LEFT JOIN UNNEST(items) AS t (sku, qty)",
        "line 1, column 63: \"ON\" and the condition of the join is expected here, not the end of the query; did you mean ON TRUE?",
    ),
    (
        "SELECT sku FROM orders FULL OUTER JOIN UNNEST(items) AS t (sku, qty) ON TRUE",
        "line 1, column 24: UNNEST takes the array of a row that is there already, so its join is CROSS JOIN, JOIN or LEFT JOIN",
    ),
    (
        "SELECT sku FROM orders AS o CROSS JOIN UNNEST(o.items) AS o (sku, qty)",
        "line 1, column 59: \"o\" is the name of another input",
    ),
    (
        "SELECT order_id FROM orders CROSS JOIN UNNEST(items) AS t (order_id, qty)",
        "line 1, column 8: both sides of the join have a column \"order_id\": write \"orders.order_id\" or \"t.order_id\"",
    ),
    (
        "SELECT skuu FROM orders CROSS JOIN UNNEST(items) AS t (sku, qty)",
        "line 1, column 8: unknown column \"skuu\"; did you mean \"sku\"?",
    ),
    (
        "SELECT sku FROM orders JOIN UNNEST(items) AS t (sku, qty) ON qty",
        "line 1, column 62: ON needs a condition (boolean), this is int",
    ),
    (
        "SELECT sku FROM orders, UNNEST(items) AS t (sku, qty) JOIN refunds AS r ON r.user_id = sku",
        "line 1, column 55: a join of what stands beside an UNNEST is not in this version: put the UNNEST in a sub-query that is joined",
    ),
    (
        "SELECT 1 AS x FROM orders, UNNEST(items) AS a, UNNEST(items) AS b, UNNEST(items) AS c, UNNEST(items) AS d, UNNEST(items) AS e, UNNEST(items) AS f, UNNEST(items) AS g, UNNEST(items) AS h, UNNEST(items) AS i",
        "line 1, column 186: a row passes at most 8 UNNESTs",
    ),
    (
        "SELECT x FROM orders CROSS JOIN UNNEST(NULL) AS t (x)",
        "line 1, column 40: UNNEST of NULL gives no columns",
    ),
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
        "line 1, column 35: stream \"orders\" has no event time, and a join needs that of both sides",
    ),
    (
        "SELECT 1 AS x FROM orders, refunds",
        "line 1, column 26: FROM names more than one stream: a join without JOIN is not",
    ),
    (
        "SELECT user_id FROM orders UNION SELECT user_id FROM refunds",
        "line 1, column 28: UNION without ALL",
    ),
    (
        "SELECT user_id FROM orders FOR SYSTEM_TIME AS OF placed_at",
        "line 1, column 50: FOR SYSTEM_TIME AS OF is for the right side of a join",
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
        "line 1, column 46: this join has no bounds on the time",
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
        "line 1, column 25: the regular expression '(?=a)' can't be used: at its character 1: looking ahead or behind is not in this dialect",
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
];

#[test]
fn errors_name_the_place_and_the_remedy() {
    for (sql, wanted) in REFUSALS {
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
