//! What a query is planned to.

use super::*;

#[test]
fn a_query_reads_only_the_columns_it_needs() {
    let flow = good("SELECT order_id, amount * 2 AS twice FROM orders WHERE user_id > 7");
    assert_eq!(flow.branches().next().unwrap().input, "orders");
    assert_eq!(
        flow.branches().next().unwrap().columns,
        ["order_id", "user_id", "amount"]
    );
    assert_eq!(columns(&flow), ["order_id string", "twice decimal(23,2)"]);
    assert_eq!(
        good("SELECT 1 AS uno FROM orders")
            .branches()
            .next()
            .unwrap()
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
        flow.branches().next().unwrap().columns,
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
        flow.branches()
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
    assert_eq!(flow.branches().count(), 2);
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
fn a_condition_is_evaluated_over_the_columns_that_a_batch_has() {
    let mut contract = contract(&[("a", "int"), ("b", "int"), ("s", "string?")]);
    contract.fields[2].labels = vec!["pii".into()];
    let schema = Schema::from_contract(&contract).unwrap();
    let condition = expression("s IS NULL OR b / a > 1", &schema).unwrap();
    assert!(condition.fallible);
    assert_eq!(condition.labels, ["pii"]);
    let whole = condition.evaluate(&numbers());
    let order = ["s", "b", "a"].map(str::to_owned);
    let turned = numbers().project(&[2, 1, 0]).unwrap();
    assert_eq!(condition.among(&order).evaluate(&turned), whole);
    let constant = expression("NULL", &schema).unwrap();
    let holds = constant.among(&[]).evaluate(&numbers()).unwrap();
    assert_eq!(holds.iter().collect::<Vec<_>>(), [None; 4]);
}

#[test]
fn what_is_no_condition_over_a_row_is_refused_with_its_place() {
    let schema = Schema::from_contract(&contract(&[("a", "int"), ("d", "decimal(3,1)")])).unwrap();
    for (sql, place, said) in [
        ("a >\n  amont", (2, 3), "unknown column"),
        ("a > 1 AND COUNT(*) > 3", (1, 11), "made of many rows"),
        ("a IN (SELECT a FROM t)", (1, 7), "sub-query"),
        ("a > 1; DROP", (1, 6), ";"),
        ("", (1, 1), ""),
    ] {
        let errors = expression(sql, &schema).unwrap_err();
        assert_eq!(
            (errors[0].line, errors[0].column),
            place,
            "{sql}: {errors:?}"
        );
        assert!(errors[0].message.contains(said), "{sql}: {errors:?}");
    }
    // More digits than there is room for: it can't be said, and that is no yes.
    let narrow = expression("CAST(d AS DECIMAL(2,1)) > 1", &schema).unwrap();
    assert!(narrow.fallible);
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
        flow.branches().next().unwrap().input_schema.clone(),
        vec![Arc::new(Int64Array::from(vec![1]))],
    )
    .unwrap();
    let right = RecordBatch::try_new(
        flow.branches().nth(1).unwrap().input_schema.clone(),
        vec![Arc::new(Int32Array::from(vec![None, Some(2)]))],
    )
    .unwrap();
    let (left, right) = (
        flow.branches()
            .next()
            .unwrap()
            .evaluate(&left)
            .unwrap()
            .batch,
        flow.branches()
            .nth(1)
            .unwrap()
            .evaluate(&right)
            .unwrap()
            .batch,
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

#[test]
fn a_parameter_that_flink_reserves_is_named_in_backticks() {
    let window = |name: &str| {
        let catalog = Catalog::new().with(
            "t",
            Contract {
                event_time: Some(headworks_plan::EventTime {
                    field: "at".into(),
                    max_out_of_orderness_ms: 0,
                    idle_timeout_ms: None,
                }),
                ..contract(&[("at", "timestamp_ltz(3)")])
            },
        );
        let sql = format!(
            "SELECT window_start, COUNT(*) AS n FROM TABLE(TUMBLE(DATA => TABLE t, TIMECOL => DESCRIPTOR(`at`), SIZE => INTERVAL '1' HOUR, {name} => INTERVAL '1' MINUTE)) GROUP BY window_start, window_end"
        );
        let flow = plan(&sql, &catalog).unwrap();
        let (_, keyed) = flow.stateful().next().unwrap();
        keyed.window
    };
    assert!(window("OFFSET").is_some());
    assert_eq!(window("`OFFSET`"), window("OFFSET"));
}
