//! A query's result against the contract of the stream that it goes to.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where it fails"
)]

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, RecordBatch};
use arrow::datatypes::{Decimal128Type, Int64Type};
use headworks_plan::{Contract, Field};
use headworks_sql::{Catalog, plan, target};

fn contract(fields: &[(&str, &str)]) -> Contract {
    let field = |(name, type_): &(&str, &str)| {
        let (nullable, type_) = type_
            .strip_suffix('?')
            .map_or((false, *type_), |t| (true, t));
        Field::new(*name, type_, nullable)
    };
    Contract {
        fields: fields.iter().map(field).collect(),
        ..Contract::default()
    }
}

fn check(sql: &str, wanted: &[(&str, &str)]) -> Result<target::Mapping, String> {
    let input = contract(&[
        ("i", "int"),
        ("b", "bigint"),
        ("d", "decimal(9,2)"),
        ("n", "int?"),
        ("at", "timestamp(3)"),
        ("xs", "array<int>"),
        ("st", "struct<a int, b string>"),
        ("f", "double"),
    ]);
    let flow = plan(sql, &Catalog::new().with("t", input)).unwrap();
    target::check(&flow.output, &contract(wanted)).map_err(|m| {
        m.iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n")
    })
}

#[test]
fn what_loses_nothing_is_done_silently() {
    let wanted = [
        ("w", "bigint"),
        ("x", "decimal(12,2)"),
        ("absent", "string?"),
        ("i", "int?"),
        ("xs", "array<bigint>"),
        ("st", "struct<b string, a bigint, c int>"),
        ("at", "timestamp(6)"),
    ];
    let mapping = check("SELECT i, i AS w, d AS x, xs, st, `at` FROM t", &wanted).unwrap();
    assert_eq!(mapping.schema().fields().len(), 7);
}

#[test]
fn a_batch_is_ordered_widened_and_completed() {
    let input = contract(&[("i", "int"), ("j", "int?")]);
    let flow = plan("SELECT j, i FROM t", &Catalog::new().with("t", input)).unwrap();
    let mapping = target::check(
        &flow.output,
        &contract(&[
            ("i", "bigint"),
            ("gone", "string?"),
            ("j", "decimal(12,1)?"),
        ]),
    )
    .unwrap();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int32Array::from(vec![1, 2])),
        Arc::new(Int32Array::from(vec![None, Some(7)])),
    ];
    let batch = RecordBatch::try_new(
        flow.branches().next().unwrap().input_schema.clone(),
        columns,
    )
    .unwrap();
    let done = mapping
        .apply(
            &flow
                .branches()
                .next()
                .unwrap()
                .evaluate(&batch)
                .unwrap()
                .batch,
        )
        .unwrap();
    assert_eq!(done.column(0).as_primitive::<Int64Type>().values(), &[1, 2]);
    assert_eq!(done.column(1).null_count(), 2);
    assert_eq!(
        done.column(2)
            .as_primitive::<Decimal128Type>()
            .iter()
            .collect::<Vec<_>>(),
        [None, Some(70)]
    );
}

#[test]
fn each_mismatch_names_the_column_both_types_and_the_remedy() {
    for (sql, wanted, message) in [
        (
            "SELECT b FROM t",
            ("b", "int"),
            "column \"b\": the query gives bigint, the contract wants int: that may lose something; if it is meant, use CAST(… AS INT)",
        ),
        (
            "SELECT n FROM t",
            ("n", "int"),
            "column \"n\": the query may give null, the contract requires a value: use COALESCE(n, …), or leave such rows out with WHERE … IS NOT NULL",
        ),
        (
            "SELECT i FROM t",
            ("i", "string"),
            "column \"i\": the query gives int, the contract wants string: that may lose something; if it is meant, use CAST(… AS STRING)",
        ),
        (
            "SELECT f FROM t",
            ("f", "array<int>"),
            "column \"f\": the query gives double, the contract wants array<int>: one can't become the other",
        ),
        (
            "SELECT d FROM t",
            ("d", "decimal(9,1)"),
            "column \"d\": the query gives decimal(9,2), the contract wants decimal(9,1): that may lose",
        ),
        (
            "SELECT `at` FROM t",
            ("at", "timestamp_ltz(3)"),
            "column \"at\": the query gives timestamp(3), the contract wants timestamp_ltz(3): one is an instant, the other has no zone; if UTC is meant, use CAST(… AS TIMESTAMP_LTZ(3))",
        ),
        (
            "SELECT xs FROM t",
            ("xs", "array<string>"),
            "column \"xs\": the query gives array<int>, the contract wants array<string>: its elements differ: that may lose",
        ),
        (
            "SELECT st FROM t",
            ("st", "struct<a int>"),
            "column \"st\": the query gives struct<a int, b string>, the contract wants struct<a int>: the field \"b\" is not in the contract",
        ),
    ] {
        let text = check(sql, &[wanted]).unwrap_err();
        assert!(
            text.starts_with(message),
            "{sql}\n  wanted {message}\n  got    {text}"
        );
    }
}

#[test]
fn missing_and_extra_columns_are_told_together() {
    let text = check(
        "SELECT i AS amuont, b AS other FROM t",
        &[("amount", "int")],
    )
    .unwrap_err();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(
        lines[0].starts_with(
            "column \"amount\": the contract requires it (int), the query doesn't give it"
        ) && lines[0].contains("the query gives \"amuont\"")
    );
    assert!(
        lines[1].contains("did you mean \"amount\"?")
            && lines[2].starts_with("column \"other\": the query gives it (bigint)")
    );
}

#[test]
fn results_that_replace_each_other_need_a_compacted_stream_with_their_key() {
    let input = contract(&[("a", "string"), ("b", "int"), ("c", "int"), ("n", "int?")]);
    let flow = |sql: &str| plan(sql, &Catalog::new().with("t", input.clone())).unwrap();
    let upsert = flow("SELECT b, COUNT(*) AS n, a FROM t GROUP BY a, b");
    let append = flow("SELECT a, b, c FROM t");
    let refused = |flow: &headworks_sql::Dataflow, compacted: bool, key: &[&str]| {
        let target = Contract {
            compacted,
            key: key.iter().map(|k| (*k).to_owned()).collect(),
            ..Contract::default()
        };
        target::accepts(&flow.changes(), &flow.output, &target)
            .map_err(|m| m.to_string())
            .err()
    };
    assert_eq!(refused(&append, false, &[]), None);
    assert_eq!(refused(&append, true, &["c"]), None);
    assert_eq!(refused(&upsert, true, &["a", "b"]), None);
    assert_eq!(refused(&upsert, true, &["b", "a"]), None);
    let null = flow("SELECT n, COUNT(*) AS c FROM t GROUP BY n HAVING n IS NOT NULL");
    let said = refused(&null, true, &["n"]).unwrap();
    assert!(
        said.starts_with("column \"n\": ") && said.contains("COALESCE(n, …)"),
        "{said}"
    );
    let what = "without a window, the query's results replace each other by their key (a, b), and ";
    for (compacted, key, wanted) in [
        (
            false,
            &["a", "b"][..],
            "the stream keeps all records: make it compacted, with that key, or aggregate in windows, whose results are final",
        ),
        (true, &[], "the stream's contract has no key: make it a, b"),
        (
            true,
            &["a"],
            "the stream's key is another one (a): make it a, b, or group by the stream's key",
        ),
    ] {
        assert_eq!(
            refused(&upsert, compacted, key),
            Some(format!("{what}{wanted}"))
        );
    }
}
