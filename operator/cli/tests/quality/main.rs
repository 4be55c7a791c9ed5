//! What each check of a QualityRule says of values, with answers worked by hand: the operator makes the expression, the engine's decoder
//! reads the rows, and the SQL front end evaluates. And properties: a check says the same as the plain SQL that it stands for.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod formats;

use headworks_connectors::formats::json::JsonDecoder;
use headworks_crds::QualityRuleSpec;
use headworks_engine::format::Decoder;
use headworks_operator::planning::rules::{Named, plan};
use headworks_plan::{Contract, Field, UnknownFields};
use headworks_sql::schema::Schema;
use serde_json::{Value, json};

fn contract() -> Contract {
    let field = |name: &str, data_type: &str| Field::new(name, data_type, true);
    Contract {
        fields: vec![
            field("s", "string"),
            field("other", "string"),
            field("n", "int"),
            field("m", "bigint"),
            field("d", "decimal(12,2)"),
            field("f", "double"),
            field("b", "boolean"),
            field("day", "date"),
            field("clock", "time"),
            field("local", "timestamp(3)"),
            field("at", "timestamp_ltz(3)"),
            field("inner", "struct<x int, s string>"),
        ],
        ..Contract::default()
    }
}

/// What an expression says of rows.
fn evaluate(expression: &str, rows: &[Value]) -> Vec<Option<bool>> {
    let contract = contract();
    let schema = Schema::from_contract(&contract).unwrap();
    let condition = headworks_sql::expression(expression, &schema)
        .unwrap_or_else(|errors| panic!("{expression}: {errors:?}"));
    let mut decoder = JsonDecoder::whole(&contract, UnknownFields::Reject).unwrap();
    for row in rows {
        decoder.decode(row.to_string().as_bytes()).unwrap();
    }
    let batch = decoder.finish().unwrap();
    condition.evaluate(&batch).unwrap().iter().collect()
}

fn expression(check: &Value) -> String {
    let checks = serde_json::from_value(json!([check])).unwrap();
    let spec = QualityRuleSpec::new("s", checks);
    let rule = Named {
        name: "r",
        generation: 1,
        spec: &spec,
    };
    match plan(rule, &contract()) {
        Ok(mut rule) => rule.checks.remove(0).expression,
        Err(faults) => panic!("{check}: {faults:?}"),
    }
}

/// What a check says of one value of a field: passes, fails.
fn says(check: &Value, field: &str, passes: &[Value], fails: &[Value]) {
    let expression = expression(check);
    let row = |value: &Value| json!({field: value});
    let ask = |values: &[Value]| {
        let rows: Vec<Value> = values.iter().map(row).collect();
        evaluate(&expression, &rows)
    };
    for (value, said) in passes.iter().zip(ask(passes)) {
        assert_eq!(said, Some(true), "{value} passes {check}");
    }
    for (value, said) in fails.iter().zip(ask(fails)) {
        assert_eq!(said, Some(false), "{value} fails {check}");
    }
    let of_null = ask(&[Value::Null]);
    let wanted = if check.get("notNull").is_some() {
        Some(false)
    } else {
        None
    };
    assert_eq!(of_null, [wanted], "null and {check}");
}

fn texts(all: &[&str]) -> Vec<Value> {
    all.iter().map(|text| json!(text)).collect()
}

#[test]
fn a_value_is_there_or_not() {
    says(
        &json!({"notNull": {"field": "s"}}),
        "s",
        &texts(&["", "x"]),
        &[],
    );
    says(&json!({"notNull": {"field": "n"}}), "n", &[json!(0)], &[]);
    // A field of a struct that isn't there is none.
    let inner = expression(&json!({"notNull": {"field": "inner.x"}}));
    let rows = [
        json!({"inner": {"x": 1, "s": "a"}}),
        json!({"inner": {"x": null, "s": "a"}}),
        json!({"inner": null}),
        json!({}),
    ];
    assert_eq!(
        evaluate(&inner, &rows),
        [Some(true), Some(false), Some(false), Some(false)]
    );
}

#[test]
fn lengths_are_in_characters() {
    let check = json!({"length": {"field": "s", "min": 2, "max": 3}});
    says(
        &check,
        "s",
        &texts(&["ab", "abc", "äö", "日本語"]),
        &texts(&["", "a", "abcd", "日本語です"]),
    );
    says(
        &json!({"length": {"field": "s", "max": 0}}),
        "s",
        &texts(&[""]),
        &texts(&[" "]),
    );
}

#[test]
fn ranges_have_their_bounds_in_them_unless_they_are_exclusive() {
    let range = |more: Value| {
        let mut range = json!({"range": more});
        range["name"] = json!("r");
        range
    };
    says(
        &range(json!({"field": "n", "min": "-1", "max": "5"})),
        "n",
        &[json!(-1), json!(0), json!(5)],
        &[json!(-2), json!(6)],
    );
    says(
        &range(
            json!({"field": "n", "min": "-1", "max": "5", "minExclusive": true, "maxExclusive": true}),
        ),
        "n",
        &[json!(0), json!(4)],
        &[json!(-1), json!(5)],
    );
    says(
        &range(json!({"field": "n", "min": "0.5"})),
        "n",
        &[json!(1)],
        &[json!(0)],
    );
    says(
        &range(json!({"field": "m", "max": "9223372036854775806"})),
        "m",
        &[json!(9_223_372_036_854_775_806_i64)],
        &[json!(i64::MAX)],
    );
    says(
        &range(json!({"field": "d", "min": "0.10", "max": "0.3"})),
        "d",
        &texts(&["0.10", "0.30"]),
        &texts(&["0.09", "0.31"]),
    );
    says(
        &range(json!({"field": "f", "max": "0.1"})),
        "f",
        &[json!(0.1), json!(-3.5)],
        &[json!(0.100_001)],
    );
    says(
        &range(json!({"field": "s", "min": "b", "max": "d"})),
        "s",
        &texts(&["b", "c", "czz", "d"]),
        &texts(&["a", "B", "da", "ä"]),
    );
    says(
        &range(json!({"field": "day", "min": "2024-02-29", "max": "2024-03-01"})),
        "day",
        &texts(&["2024-02-29", "2024-03-01"]),
        &texts(&["2024-02-28", "2024-03-02"]),
    );
    says(
        &range(
            json!({"field": "clock", "min": "08:00:00", "max": "18:00:00", "maxExclusive": true}),
        ),
        "clock",
        &texts(&["08:00:00", "17:59:59"]),
        &texts(&["07:59:59", "18:00:00"]),
    );
    says(
        &range(json!({"field": "local", "min": "2026-01-31T12:00:00.5"})),
        "local",
        &texts(&["2026-01-31T12:00:00.500"]),
        &texts(&["2026-01-31T12:00:00.499"]),
    );
    // An instant is one in every zone.
    says(
        &range(json!({"field": "at", "min": "2026-01-31T12:00:00+02:00"})),
        "at",
        &texts(&["2026-01-31T10:00:00Z", "2026-01-31T11:00:00+01:00"]),
        &texts(&["2026-01-31T09:59:59.999Z"]),
    );
}

#[test]
fn patterns_are_found_anywhere_unless_they_are_anchored() {
    let pattern = |regex: &str| json!({"pattern": {"field": "s", "regex": regex}});
    says(
        &pattern("[A-Z]{2}"),
        "s",
        &texts(&["AB", "xABx"]),
        &texts(&["", "Ab", "a"]),
    );
    says(
        &pattern("^[A-Z]{2}$"),
        "s",
        &texts(&["AB"]),
        &texts(&["ABC", "xAB", ""]),
    );
    says(
        &pattern("it's"),
        "s",
        &texts(&["so it's"]),
        &texts(&["its"]),
    );
    let none = json!({"notMatching": {"field": "s", "regex": r"\s"}});
    says(&none, "s", &texts(&["", "ab"]), &texts(&["a b", "a\tb"]));
}

#[test]
fn accepted_and_forbidden_values_are_of_the_fields_type() {
    says(
        &json!({"accepted": {"field": "s", "values": ["EUR", "it's"]}}),
        "s",
        &texts(&["EUR", "it's"]),
        &texts(&["eur", "", "EUR "]),
    );
    says(
        &json!({"forbidden": {"field": "s", "values": ["XXX", ""]}}),
        "s",
        &texts(&["EUR"]),
        &texts(&["XXX", ""]),
    );
    says(
        &json!({"accepted": {"field": "n", "values": ["1", "2"]}}),
        "n",
        &[json!(1), json!(2)],
        &[json!(3)],
    );
    says(
        &json!({"accepted": {"field": "d", "values": ["1", "2.5"]}}),
        "d",
        &texts(&["1.00", "2.50"]),
        &texts(&["1.01"]),
    );
    says(
        &json!({"accepted": {"field": "b", "values": ["true"]}}),
        "b",
        &[json!(true)],
        &[json!(false)],
    );
    says(
        &json!({"forbidden": {"field": "day", "values": ["2026-01-01"]}}),
        "day",
        &texts(&["2026-01-02"]),
        &texts(&["2026-01-01"]),
    );
}

#[test]
fn two_fields_stand_so_to_each_other() {
    for (operator, wanted) in [
        ("Equal", [false, true, false]),
        ("NotEqual", [true, false, true]),
        ("Less", [true, false, false]),
        ("LessOrEqual", [true, true, false]),
        ("Greater", [false, false, true]),
        ("GreaterOrEqual", [false, true, true]),
    ] {
        let check =
            expression(&json!({"compare": {"left": "n", "operator": operator, "right": "m"}}));
        let rows = [
            json!({"n": 1, "m": 2}),
            json!({"n": 2, "m": 2}),
            json!({"n": 3, "m": 2}),
            json!({"n": null, "m": 2}),
            json!({"n": 1}),
        ];
        let wanted: Vec<Option<bool>> = wanted.into_iter().map(Some).chain([None, None]).collect();
        assert_eq!(evaluate(&check, &rows), wanted, "{operator}");
    }
}

/// A fixed sequence of numbers that look random (splitmix64).
fn numbers(seed: u64) -> impl Iterator<Item = u64> {
    let mut state = seed;
    std::iter::repeat_with(move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    })
}

#[test]
fn a_check_says_the_same_as_the_plain_sql_and_as_rust() {
    let mut numbers = numbers(7);
    let mut next = |below: u64| i64::try_from(numbers.next().unwrap() % below).unwrap();
    for _ in 0..200 {
        let rows: Vec<Value> = (0..20)
            .map(|_| {
                let n = next(12);
                json!({"n": (n < 10).then_some(n - 5), "s": "x".repeat(usize::try_from(next(6)).unwrap())})
            })
            .collect();
        let (low, high) = (next(10) - 5, next(10) - 5);
        let (low, high) = (low.min(high), low.max(high));
        let inside = |n: i64| (low..=high).contains(&n);
        let of_n = |f: &dyn Fn(i64) -> bool| -> Vec<Option<bool>> {
            rows.iter().map(|row| row["n"].as_i64().map(f)).collect()
        };
        let range = expression(
            &json!({"range": {"field": "n", "min": low.to_string(), "max": high.to_string()}}),
        );
        assert_eq!(evaluate(&range, &rows), of_n(&inside));
        assert_eq!(
            evaluate(&range, &rows),
            evaluate(&format!("n BETWEEN {low} AND {high}"), &rows)
        );
        let values = [low.to_string(), high.to_string()];
        if low != high {
            let accepted = expression(&json!({"accepted": {"field": "n", "values": values}}));
            assert_eq!(evaluate(&accepted, &rows), of_n(&|n| n == low || n == high));
            let forbidden = expression(&json!({"forbidden": {"field": "n", "values": values}}));
            assert_eq!(
                evaluate(&forbidden, &rows),
                of_n(&|n| n != low && n != high)
            );
        }
        let most = next(6);
        let length = expression(&json!({"length": {"field": "s", "max": most}}));
        let short = rows
            .iter()
            .map(|row| Some(i64::try_from(row["s"].as_str().unwrap().len()).unwrap() <= most));
        assert_eq!(evaluate(&length, &rows), short.collect::<Vec<_>>());
    }
}
