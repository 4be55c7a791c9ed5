//! What a condition makes non-null.

use super::*;

#[test]
fn what_a_condition_says_of_computed_columns_holds() {
    for (sql, wanted) in [
        (
            "SELECT CAST(email AS INT) AS n, email FROM orders WHERE CAST(email AS INT) IS NOT NULL",
            vec!["n int", "email string"],
        ),
        (
            "SELECT CAST(email AS INT) + 1 AS n FROM orders WHERE TRY_CAST(email AS BIGINT) > 0 AND CAST(email AS INT) > 0",
            vec!["n int"],
        ),
        (
            "WITH t AS (SELECT TRY_CAST(email AS INT) AS n FROM orders) SELECT n FROM t WHERE n IS NOT NULL",
            vec!["n int"],
        ),
        (
            "WITH t AS (SELECT TRY_CAST(email AS INT) AS n FROM orders) SELECT * FROM t AS o WHERE o.n > 3",
            vec!["n int"],
        ),
        (
            "SELECT n + 1 AS m FROM (SELECT `value` * 2 AS n FROM orders) AS s WHERE n IS NOT NULL",
            vec!["m int"],
        ),
        (
            "SELECT m FROM (SELECT n AS m FROM (SELECT `value` * 2 AS n FROM orders) AS s WHERE n IS NOT NULL) AS u",
            vec!["m int"],
        ),
        (
            "WITH t AS (SELECT user_id, MAX(`value`) * 2 AS top FROM orders GROUP BY user_id) SELECT user_id, top FROM t WHERE top IS NOT NULL",
            vec!["user_id bigint", "top int"],
        ),
        (
            "SELECT user_id, MAX(`value`) * 2 AS top FROM orders GROUP BY user_id HAVING MAX(`value`) * 2 IS NOT NULL",
            vec!["user_id bigint", "top int"],
        ),
        (
            "SELECT user_id, SUM(v) AS total FROM (SELECT user_id, TRY_CAST(email AS INT) AS v FROM orders) AS s WHERE v IS NOT NULL GROUP BY user_id",
            vec!["user_id bigint", "total int"],
        ),
        (
            "SELECT `value` AS v FROM orders WHERE `value` + user_id > 5",
            vec!["v int"],
        ),
        (
            "SELECT `value` AS v FROM orders WHERE NOT (`value` IS NULL)",
            vec!["v int"],
        ),
        (
            "SELECT `value` AS v FROM orders WHERE `value` > 1 OR `value` < -1",
            vec!["v int"],
        ),
        (
            "SELECT n FROM (SELECT TRY_CAST(email AS INT) AS n FROM orders UNION ALL SELECT TRY_CAST(id AS INT) FROM refunds) AS s WHERE n IS NOT NULL",
            vec!["n int"],
        ),
        // And no more than that.
        (
            "SELECT CAST(email AS BIGINT) AS n FROM orders WHERE CAST(order_id AS BIGINT) IS NOT NULL",
            vec!["n bigint?"],
        ),
        (
            "SELECT `value` AS v FROM orders WHERE `value` > 1 OR user_id < -1",
            vec!["v int?"],
        ),
        (
            "SELECT TRY_CAST(email AS BIGINT) AS n FROM orders WHERE TRY_CAST(email AS INT) IS NOT NULL",
            vec!["n bigint?"],
        ),
        (
            "SELECT n FROM (SELECT `value` * 2 AS n, user_id AS m FROM orders) AS s WHERE m IS NOT NULL",
            vec!["n int?"],
        ),
        (
            "SELECT `value` AS v FROM orders WHERE `value` IS NULL OR COALESCE(`value`, 1) > 0",
            vec!["v int?"],
        ),
    ] {
        assert_eq!(columns(&good(sql)), wanted, "{sql}");
    }
}
