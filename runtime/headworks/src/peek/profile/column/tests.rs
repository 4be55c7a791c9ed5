use super::*;

fn profiled<'a>(
    type_: &str,
    masked: bool,
    values: impl IntoIterator<Item = &'a str>,
) -> ColumnProfile {
    let mut column = Column::new("c", type_, masked);
    for value in values {
        let raw = RawValue::from_string(value.to_owned()).unwrap();
        column.add(Some(&raw));
    }
    column.told()
}

fn value_at(told: &ColumnProfile, at: &str) -> f64 {
    let mut quantiles = told.quantiles.iter();
    let found = quantiles.find(|q| q.at == at).unwrap();
    found.value.parse().unwrap()
}

#[test]
fn numbers_have_exact_ends_mean_and_quantiles() {
    let numbers: Vec<String> = (1..=100).map(|n: u32| n.to_string()).collect();
    let told = profiled(
        "int",
        false,
        numbers.iter().map(String::as_str).chain(["null"]),
    );
    assert_eq!((told.count, told.nulls, told.distinct), (100, 1, 100));
    assert_eq!(
        (told.min.as_deref(), told.max.as_deref()),
        (Some("1"), Some("100"))
    );
    assert_eq!(told.mean.as_deref(), Some("50.5"));
    // Of a hundred values, exactly: a value of which so many aren't greater.
    assert!((value_at(&told, "0.5") - 50.0).abs() < f64::EPSILON);
    assert!((value_at(&told, "0.99") - 99.0).abs() < f64::EPSILON);
    assert_eq!(
        (told.quantile_rank_error, told.distinct_between),
        (None, None)
    );
    assert!(told.top.is_empty(), "no value comes twice");
}

#[test]
fn integers_and_decimals_are_compared_by_all_their_digits() {
    let told = profiled(
        "bigint",
        false,
        ["9007199254740993", "9007199254740992", "-3"],
    );
    assert_eq!(told.max.as_deref(), Some("9007199254740993"));
    assert_eq!(told.min.as_deref(), Some("-3"));
    let told = profiled(
        "decimal(30,2)",
        false,
        [
            r#""90071992547409920.10""#,
            r#""90071992547409920.11""#,
            r#""-0.05""#,
        ],
    );
    assert_eq!(told.max.as_deref(), Some("90071992547409920.11"));
    assert_eq!(told.min.as_deref(), Some("-0.05"));
    let told = profiled(
        "double",
        false,
        ["1e3", r#""NaN""#, "-2.5", r#""Infinity""#],
    );
    assert_eq!((told.count, told.min.as_deref()), (4, Some("-2.5")));
    assert_eq!(told.max.as_deref(), Some("Infinity"));
}

#[test]
fn texts_have_lengths_shapes_and_the_most_frequent_values() {
    let values = [
        r#""DE-12""#,
        r#""DE-7""#,
        r#""at-12""#,
        r#""DE-12""#,
        r#""ü""#,
    ];
    let told = profiled("string", false, values);
    let top: Vec<_> = told
        .top
        .iter()
        .map(|t| (t.value.as_str(), t.count))
        .collect();
    assert_eq!(top, [("DE-12", 2), ("DE-7", 1), ("at-12", 1), ("ü", 1)]);
    let shapes: Vec<_> = told
        .shapes
        .iter()
        .map(|t| (t.shape.as_str(), t.count))
        .collect();
    assert_eq!(shapes, [("A-9", 3), ("a", 1), ("a-9", 1)]);
    let length = told.length.unwrap();
    assert_eq!(
        (length.min, length.max, length.mean.as_str()),
        (1, 5, "4.0")
    );
}

#[test]
fn of_a_masked_column_no_value_is_told() {
    for type_ in ["string", "bigint", "date", "double"] {
        let values: Vec<String> = (0..50).map(|n| format!("\"4711{}\"", n % 3)).collect();
        let told = profiled(type_, true, values.iter().map(String::as_str));
        assert_eq!((told.count, told.distinct, told.masked), (50, 3, true));
        let text = serde_json::to_string(&told).unwrap();
        assert!(!text.contains("4711"), "{text}");
        assert_eq!(told.length.is_some(), type_ == "string");
    }
}

#[test]
fn estimates_of_many_say_how_far_they_may_be_off_and_are_within() {
    let values: Vec<String> = (0..100_000).map(|n| format!("{}", n % 50_000)).collect();
    let told = profiled("bigint", false, values.iter().map(String::as_str));
    let (low, high) = told.distinct_between.unwrap();
    assert!(low < 50_000 && 50_000 < high, "{low} {high}");
    assert!(
        high - low < 5_000,
        "four standard errors of 1.3 %: {low} {high}"
    );
    assert!((low..=high).contains(&told.distinct));
    assert!((value_at(&told, "0.5") - 25_000.0).abs() < 50_000.0 * 0.02);
    assert_eq!(told.quantile_rank_error.as_deref(), Some("1.33"));
}

#[test]
fn what_has_no_order_is_only_told_apart() {
    let told = profiled(
        "struct<a int>",
        false,
        [r#"{"a":1}"#, r#"{"a":2}"#, r#"{"a":1}"#],
    );
    assert_eq!((told.count, told.distinct), (3, 2));
    assert_eq!((told.min, told.length), (None, None));
    assert!(told.top.is_empty() && told.shapes.is_empty() && told.quantiles.is_empty());
    let told = profiled("boolean", false, ["true", "false", "true"]);
    assert_eq!((told.top[0].value.as_str(), told.top[0].count), ("true", 2));
    assert_eq!(told.min, None);
}

#[test]
fn long_values_are_cut_where_they_are_told() {
    let long = format!("\"{}\"", "é".repeat(500));
    let told = profiled("string", false, [long.as_str(), long.as_str()]);
    assert_eq!(told.top[0].value.chars().count(), LONGEST);
    assert_eq!(told.min.unwrap().chars().count(), LONGEST);
    assert_eq!(told.length.unwrap().max, 500);
}
