//! Queries that keep state: what is planned for them, and why others are refused.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    reason = "a test ends where it fails"
)]

mod streams;

use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int32Array, Int64Array, RecordBatch};
use arrow::datatypes::Int32Type;
use headworks_sql::keyed::over::OverFunction;
use headworks_sql::keyed::{Aggregate, Changes, Keyed, KeyedRows, Operator, Window};
use headworks_sql::schema::Schema;
use headworks_sql::{Catalog, Dataflow, plan};

use streams::{catalog, contract};

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

/// What an operator does, in short.
fn computes(operator: &Operator) -> String {
    match operator {
        Operator::Aggregate(all) => all.iter().map(aggregate).collect::<Vec<_>>().join(", "),
        Operator::WindowJoin(of) => format!(
            "{:?} join in windows, side {}, last {}, {:?} and {:?}{}",
            of.join.kind,
            of.join.side,
            of.last,
            of.join.left,
            of.join.right,
            of.join
                .condition
                .as_ref()
                .map_or_else(String::new, |condition| format!(", {condition:?}"))
        ),
        Operator::IntervalJoin(join) => format!(
            "{:?} join {}..{}, side {}, {:?} and {:?}{}",
            join.kind,
            join.lower,
            join.upper,
            join.side,
            join.left,
            join.right,
            join.condition
                .as_ref()
                .map_or_else(String::new, |condition| format!(", {condition:?}"))
        ),
        Operator::TemporalJoin(join) => format!(
            "temporal join{}, side {}, deleted {}, {:?} and {:?}{}",
            if join.outer { ", outer" } else { "" },
            join.side,
            join.deleted,
            join.left,
            join.right,
            join.condition
                .as_ref()
                .map_or_else(String::new, |condition| format!(", {condition:?}"))
        ),
        Operator::Over(over) => {
            let function = |function: &OverFunction| match function {
                OverFunction::Aggregate(of) => aggregate(of),
                other => format!("{other:?}"),
            };
            let all: Vec<String> = over.functions.iter().map(function).collect();
            format!("over {:?}: {}", over.frame, all.join(", "))
        }
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
    }
}

/// The keyed half in a few lines.
fn described(flow: &Dataflow) -> String {
    let (rows, keyed) = flow.stateful().next().expect("the query keeps no state");
    let KeyedRows {
        schema: rows,
        keys,
        time,
    } = rows;
    let Keyed {
        window,
        operator,
        results,
        finish,
        unique,
        fingerprint,
    } = keyed;
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
    let operator = computes(operator);
    // Branches give the rows, and what finishes reads columns of the results.
    for branch in flow.branches() {
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
        .branches()
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

/// The query's plan, or what is said against it.
fn answer(sql: &str) -> String {
    match plan(sql, &catalog()) {
        Ok(flow) if flow.keeps_state() => described(&flow),
        Ok(_) => "no state".to_owned(),
        Err(errors) => errors
            .iter()
            .map(|e| format!("refused: {e}"))
            .collect::<Vec<_>>()
            .join("\n"),
    }
}

/// Each block of `plans.golden` is a query and, behind `---`, its plan in short or why it is refused.
/// `GOLDEN_WRITE=1` writes the answers anew; read what changed.
#[test]
fn queries_are_planned_or_refused_as_the_file_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/plans.golden");
    let text = std::fs::read_to_string(path).unwrap();
    let mut written = String::new();
    let (mut wrong, mut count) = (String::new(), 0);
    for block in text.split("\n\n") {
        let block = block.trim_end();
        if block.starts_with('#') || block.is_empty() {
            writeln!(written, "{block}\n").unwrap();
            continue;
        }
        let (sql, wanted) = block.split_once("\n---\n").unwrap_or((block, ""));
        let sql = sql.strip_suffix("\n---").unwrap_or(sql);
        let got = answer(sql);
        count += 1;
        if got != wanted {
            writeln!(wrong, "{sql}\n--- wanted\n{wanted}\n--- got\n{got}\n").unwrap();
        }
        writeln!(written, "{sql}\n---\n{got}\n").unwrap();
    }
    if std::env::var_os("GOLDEN_WRITE").is_some() {
        std::fs::write(path, written.trim_end().to_owned() + "\n").unwrap();
        return;
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(count > 100, "only {count} queries");
}

fn fingerprint(sql: &str) -> String {
    good(sql).state_fingerprint().unwrap().to_owned()
}

#[test]
fn the_fingerprint_is_that_of_the_state() {
    let base = fingerprint(
        "SELECT user_id, COUNT(*) AS n, SUM(qty) AS s FROM orders WHERE qty > 1 GROUP BY user_id",
    );
    for same in [
        "SELECT user_id AS u, SUM(qty) / COUNT(*) AS mean FROM orders WHERE qty > 1 GROUP BY user_id HAVING COUNT(*) > 3",
        "SELECT SUM(o.qty) AS s, o.user_id, COUNT(*) AS n FROM orders AS o WHERE o.qty > 1 GROUP BY o.user_id",
        "WITH big AS (SELECT qty AS q, user_id AS u FROM orders WHERE qty > 1)
         SELECT x, t FROM (SELECT u AS x, COUNT(*) AS n, SUM(q) AS t FROM big GROUP BY u) WHERE n > 1",
    ] {
        assert_eq!(fingerprint(same), base, "{same}");
    }
    let others = [
        "SELECT user_id, COUNT(*) AS n, SUM(qty) AS s FROM orders WHERE qty > 2 GROUP BY user_id",
        "SELECT user_id, COUNT(*) AS n, SUM(qty + 1) AS s FROM orders WHERE qty > 1 GROUP BY user_id",
        "SELECT user_id, COUNT(*) AS n, SUM(DISTINCT qty) AS s FROM orders WHERE qty > 1 GROUP BY user_id",
        "SELECT user_id, COUNT(*) AS n FROM orders WHERE qty > 1 GROUP BY user_id",
        "SELECT order_id, COUNT(*) AS n, SUM(qty) AS s FROM orders WHERE qty > 1 GROUP BY order_id",
        "SELECT user_id, order_id, COUNT(*) AS n, SUM(qty) AS s FROM orders WHERE qty > 1 GROUP BY user_id, order_id",
        "SELECT user_id, COUNT(*) AS n, SUM(qty) AS s FROM deep WHERE qty > 1 GROUP BY user_id",
        "SELECT user_id, COUNT(*) AS n, SUM(qty) AS s FROM orders WHERE qty > 1 GROUP BY user_id, TUMBLE(placed_at, INTERVAL '1' MINUTE)",
        "SELECT user_id, COUNT(*) AS n, SUM(qty) AS s FROM orders WHERE qty > 1 GROUP BY user_id, TUMBLE(placed_at, INTERVAL '2' MINUTE)",
    ];
    let mut all: Vec<String> = others.iter().map(|sql| fingerprint(sql)).collect();
    all.push(base);
    let count = all.len();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), count);
}

/// What a contract's change from `note int` to `note int?` does to state: by every aggregate but one, nothing.
#[test]
fn only_the_count_of_a_field_is_another_state_where_the_field_becomes_nullable() {
    let state = |aggregate: &str, note: &str| {
        let fields = [("user_id", "bigint"), ("note", note)];
        let catalog = Catalog::new().with("orders", contract(&fields, None));
        let sql = format!("SELECT user_id, {aggregate} AS x FROM orders GROUP BY user_id");
        let flow = plan(&sql, &catalog).unwrap_or_else(|errors| panic!("{sql}: {errors:?}"));
        flow.state_fingerprint().unwrap().to_owned()
    };
    for same in [
        "COUNT(*)",
        "COUNT(DISTINCT note)",
        "SUM(note)",
        "MIN(note)",
        "AVG(note)",
        "FIRST_VALUE(note)",
        "COUNT(*) FILTER (WHERE note > 1)",
        "SUM(CASE WHEN note IS NULL THEN CAST(0 AS BIGINT) ELSE CAST(1 AS BIGINT) END)",
    ] {
        assert_eq!(state(same, "int"), state(same, "int?"), "{same}");
    }
    // Where it is never null the two are one, and the field needn't be read at all.
    assert_eq!(state("COUNT(note)", "int"), state("COUNT(*)", "int"));
    assert_ne!(state("COUNT(note)", "int"), state("COUNT(note)", "int?"));
}

#[test]
fn the_fingerprint_of_the_query_covers_its_words_and_its_inputs() {
    let a = good("SELECT user_id, COUNT(*) AS n FROM orders GROUP BY user_id").fingerprint;
    let b =
        good("SELECT user_id,   COUNT(*) AS n -- all\nFROM orders GROUP BY user_id").fingerprint;
    let c = good("SELECT user_id, COUNT(*) AS n FROM orders GROUP BY user_id HAVING COUNT(*) > 1");
    assert_eq!(a, b);
    assert_ne!(a, c.fingerprint);
}

#[test]
fn lineage_and_labels_go_through_aggregates_windows_and_ranks() {
    let flow = good(
        "SELECT UPPER(who) AS who, n, total, since, 'x' AS x FROM (
           SELECT email AS who, COUNT(*) AS n, SUM(amount * qty) AS total, window_start AS since, window_end
           FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(placed_at), INTERVAL '1' HOUR))
           GROUP BY window_start, window_end, email)",
    );
    let sources = |flow: &Dataflow| -> Vec<String> {
        flow.lineage
            .iter()
            .map(|l| {
                let sources = l
                    .sources
                    .iter()
                    .map(|s| format!("{}.{}", s.stream, s.column));
                format!("{}: {}", l.column, sources.collect::<Vec<_>>().join(" "))
            })
            .collect()
    };
    assert_eq!(
        sources(&flow),
        [
            "who: orders.email",
            "n: ",
            "total: orders.amount orders.qty",
            "since: orders.placed_at",
            "x: "
        ]
    );
    assert_eq!(flow.output.columns[0].labels, ["pii"]);
    assert!(flow.output.columns[1..].iter().all(|c| c.labels.is_empty()));
    let flow =
        good("SELECT user_id, MAX(email) AS m, COUNT(email) AS n FROM orders GROUP BY user_id");
    let labels: Vec<usize> = flow.output.columns.iter().map(|c| c.labels.len()).collect();
    assert_eq!(labels, [0, 1, 1]);
    let flow = good(
        "SELECT email, rn FROM (
           SELECT email, qty, ROW_NUMBER() OVER (PARTITION BY window_start, window_end ORDER BY amount DESC) AS rn
           FROM TABLE(TUMBLE((SELECT * FROM orders UNION ALL SELECT * FROM orders), DESCRIPTOR(placed_at), INTERVAL '1' HOUR)))
         WHERE rn <= 2",
    );
    assert_eq!(sources(&flow), ["email: orders.email", "rn: orders.amount"]);
    assert_eq!(flow.output.columns[0].labels, ["pii"]);
}

#[test]
fn what_readers_must_know() {
    let upsert =
        good("SELECT COUNT(*) AS n, user_id, order_id FROM orders GROUP BY order_id, user_id");
    assert_eq!(upsert.changes(), Changes::Upsert { key: vec![2, 1] });
    let append =
        good("SELECT COUNT(*) AS n FROM orders GROUP BY TUMBLE(placed_at, INTERVAL '1' DAY)");
    assert_eq!(append.changes(), Changes::Append);
}

#[test]
fn inputs_are_found_in_window_tables() {
    let sql = "WITH x AS (SELECT * FROM TABLE(HOP(TABLE orders, DESCRIPTOR(placed_at), INTERVAL '1' HOUR, INTERVAL '2' HOUR)))
               SELECT COUNT(*) AS n FROM x GROUP BY window_start, window_end";
    assert_eq!(headworks_sql::inputs(sql).unwrap(), ["orders"]);
}

/// Rows go through the branch, and what state would make of them through what finishes.
#[test]
fn branches_and_finish_evaluate() {
    let flow = good(
        "SELECT total * 2 AS twice, user_id FROM (
           SELECT user_id, SUM(qty) AS total FROM orders WHERE qty > 1 GROUP BY user_id)
         WHERE total < 100",
    );
    let branch = flow.branches().next().unwrap();
    assert_eq!(branch.columns, ["user_id", "qty"]);
    let batch = |schema: &arrow::datatypes::SchemaRef, ids: Vec<i64>, values: Vec<i32>| {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(ids)),
            Arc::new(Int32Array::from(values)),
        ];
        RecordBatch::try_new(schema.clone(), columns).unwrap()
    };
    let rows = branch
        .evaluate(&batch(&branch.input_schema, vec![1, 2, 1], vec![5, 1, 7]))
        .unwrap();
    assert_eq!(rows.rows.values(), &[0, 2]);
    let finish = &flow.stateful().next().unwrap().1.finish;
    assert_eq!(finish.columns, ["user_id", "aggregate_1"]);
    let done = finish
        .evaluate(&batch(&finish.input_schema, vec![1, 2], vec![12, 500]))
        .unwrap();
    assert_eq!(done.rows.values(), &[0]);
    assert_eq!(
        done.batch.column(0).as_primitive::<Int32Type>().values(),
        &[24]
    );
}
