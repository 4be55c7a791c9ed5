//! Queries that keep state: what is planned for them, and why others are refused.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    reason = "a test ends where it fails"
)]

use headworks_plan::{Contract, EventTime, Field};
use headworks_sql::keyed::{Aggregate, Keyed, Operator, Window};
use headworks_sql::schema::Schema;
use headworks_sql::{Catalog, Dataflow, plan};

fn contract(fields: &[(&str, &str)], time: Option<&str>) -> Contract {
    let field = |(name, type_): &(&str, &str)| {
        let (nullable, type_) = type_
            .strip_suffix('?')
            .map_or((false, *type_), |t| (true, t));
        Field {
            name: (*name).into(),
            type_: type_.into(),
            nullable,
            labels: if *name == "email" {
                vec!["pii".into()]
            } else {
                vec![]
            },
        }
    };
    Contract {
        fields: fields.iter().map(field).collect(),
        event_time: time.map(|time| EventTime {
            field: time.into(),
            max_out_of_orderness_ms: 5000,
            idle_timeout_ms: None,
        }),
        ..Contract::default()
    }
}

fn catalog() -> Catalog {
    let orders = [
        ("order_id", "string"),
        ("user_id", "bigint"),
        ("amount", "decimal(12,2)"),
        ("qty", "int"),
        ("email", "string?"),
        ("rating", "double"),
        ("note", "int?"),
        ("items", "array<struct<sku string, qty int>>"),
        ("customer", "struct<name string, since timestamp_ltz(3)>"),
        ("placed_at", "timestamp_ltz(3)"),
        ("created", "timestamp_ltz(3)"),
    ];
    let refunds = [
        ("id", "string"),
        ("user_id", "int"),
        ("amount", "decimal(9,2)"),
        ("at", "timestamp_ltz(3)?"),
    ];
    let mut prices = contract(
        &[
            ("sku", "string"),
            ("price", "int"),
            ("at", "timestamp_ltz(3)"),
        ],
        Some("at"),
    );
    prices.key = vec!["sku".into()];
    prices.compacted = true;
    Catalog::new()
        .with("orders", contract(&orders, Some("placed_at")))
        .with("refunds", contract(&refunds, Some("at")))
        .with("deep", contract(&orders, Some("customer.since")))
        .with("timeless", contract(&[("k", "string"), ("n", "int")], None))
        .with(
            "fine",
            contract(&[("k", "string"), ("t", "timestamp_ltz(6)")], Some("t")),
        )
        .with("prices", prices)
}

fn good(sql: &str) -> Dataflow {
    plan(sql, &catalog()).unwrap_or_else(|errors| {
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        panic!("{sql}\n{}", errors.join("\n"))
    })
}

fn columns(schema: &Schema) -> String {
    let columns = schema.columns.iter().map(|c| {
        let null = if c.nullable { "?" } else { "" };
        format!("{} {}{null}", c.name, c.data_type)
    });
    columns.collect::<Vec<_>>().join(", ")
}

fn aggregate(aggregate: &Aggregate) -> String {
    let argument = aggregate
        .argument
        .map_or("*".to_owned(), |i| format!("${i}"));
    let distinct = if aggregate.distinct { "distinct " } else { "" };
    let filter = aggregate
        .filter
        .map_or(String::new(), |i| format!(" where ${i}"));
    format!(
        "{:?}({distinct}{argument}){filter} {}",
        aggregate.function, aggregate.data_type
    )
}

/// The keyed half in a few lines.
fn described(flow: &Dataflow) -> String {
    let Keyed {
        rows,
        keys,
        time,
        window,
        operator,
        results,
        finish,
        unique,
        fingerprint,
    } = flow.keyed.as_ref().expect("the query keeps no state");
    assert_eq!(fingerprint.len(), 64);
    let window = match window {
        None => "none".to_owned(),
        Some(Window::Tumble { size, offset }) => format!("tumble {size}+{offset}"),
        Some(Window::Hop {
            size,
            slide,
            offset,
        }) => format!("hop {size}/{slide}+{offset}"),
        Some(Window::Cumulate { max, step, offset }) => format!("cumulate {max}/{step}+{offset}"),
        Some(Window::Session { gap }) => format!("session {gap}"),
    };
    let operator = match operator {
        Operator::Aggregate(all) => all.iter().map(aggregate).collect::<Vec<_>>().join(", "),
        Operator::Rank(rank) => {
            let order = rank.order.iter().map(|o| {
                let direction = if o.descending { "desc" } else { "asc" };
                let nulls = if o.nulls_first { "first" } else { "last" };
                format!("${} {direction} nulls {nulls}", o.column)
            });
            format!(
                "rank {} by {}",
                rank.limit,
                order.collect::<Vec<_>>().join(", ")
            )
        }
    };
    // Branches give the rows, and what finishes reads columns of the results.
    for branch in &flow.branches {
        assert_eq!(branch.output_schema, rows.to_arrow());
    }
    for (name, field) in finish.columns.iter().zip(finish.input_schema.fields()) {
        let column = results
            .column(name)
            .expect("finish reads a column of the results");
        assert_eq!(&column.data_type.to_arrow(), field.data_type());
    }
    assert_eq!(finish.output_schema, flow.output.to_arrow());
    let inputs: Vec<String> = flow
        .branches
        .iter()
        .map(|b| format!("{}({})", b.input, b.columns.join(" ")))
        .collect();
    format!(
        "from {}\nrows {}; keys {keys}, time {time:?}\nwindow {window}: {operator}\nresults {}\noutput {}; unique {unique:?}",
        inputs.join(", "),
        columns(rows),
        columns(results),
        columns(&flow.output),
    )
}

fn check(sql: &str, wanted: &str) {
    let got = described(&good(sql));
    let wanted: Vec<&str> = wanted.trim().lines().map(str::trim).collect();
    assert_eq!(got, wanted.join("\n"), "{sql}\n--- got\n{got}\n");
}

#[test]
fn a_tumbling_window_counts_and_sums_by_key() {
    check(
        "SELECT user_id, TUMBLE_START(placed_at, INTERVAL '1' MINUTE) AS since, COUNT(*) AS orders, SUM(amount) AS revenue
         FROM orders WHERE qty > 0 GROUP BY user_id, TUMBLE(placed_at, INTERVAL '1' MINUTE)",
        "from orders(user_id amount qty placed_at)
         rows user_id bigint, event_time timestamp_ltz(3), amount decimal(12,2); keys 1, time Some(1)
         window tumble 60000+0: Count(*) bigint, Sum($2) decimal(38,2)
         results user_id bigint, window_start timestamp(3), window_end timestamp(3), window_time timestamp_ltz(3), aggregate_1 bigint, aggregate_2 decimal(38,2)
         output user_id bigint, since timestamp(3), orders bigint, revenue decimal(38,2); unique []",
    );
}

#[test]
fn a_window_table_is_grouped_by_its_bounds() {
    check(
        "SELECT window_start, window_end, user_id, COUNT(*) AS n
         FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(placed_at), INTERVAL '1' HOUR, INTERVAL '-10' MINUTE))
         GROUP BY window_start, window_end, user_id",
        "from orders(user_id placed_at)
         rows user_id bigint, event_time timestamp_ltz(3); keys 1, time Some(1)
         window tumble 3600000+3000000: Count(*) bigint
         results user_id bigint, window_start timestamp(3), window_end timestamp(3), window_time timestamp_ltz(3), aggregate_1 bigint
         output window_start timestamp(3), window_end timestamp(3), user_id bigint, n bigint; unique []",
    );
}

#[test]
fn without_a_window_results_replace_each_other_by_key() {
    check(
        "SELECT COUNT(*) AS n, user_id FROM orders GROUP BY user_id HAVING SUM(qty) > 10",
        "from orders(user_id qty)
         rows user_id bigint, qty int; keys 1, time None
         window none: Count(*) bigint, Sum($1) int
         results user_id bigint, aggregate_1 bigint, aggregate_2 int
         output n bigint, user_id bigint; unique [1]",
    );
}

#[test]
fn the_last_row_of_a_key() {
    check(
        "SELECT order_id, user_id, amount FROM (
           SELECT *, ROW_NUMBER() OVER (PARTITION BY order_id ORDER BY placed_at DESC) AS rn FROM orders
         ) WHERE rn = 1 AND qty > 0",
        "from orders(order_id user_id amount qty placed_at)
         rows order_id string, event_time timestamp_ltz(3), amount decimal(12,2), qty int, user_id bigint; keys 1, time Some(1)
         window none: rank 1 by $1 desc nulls last
         results order_id string, event_time timestamp_ltz(3), amount decimal(12,2), qty int, user_id bigint, row_number bigint
         output order_id string, user_id bigint, amount decimal(12,2); unique [0]",
    );
}
