use serde_json::{Value, json};

mod references;
mod stream;

use super::*;
use stream::contract;

fn spec(checks: Value) -> QualityRuleSpec {
    QualityRuleSpec::new("orders", serde_json::from_value(checks).unwrap())
}

fn named(spec: &QualityRuleSpec) -> Named<'_> {
    Named {
        name: "sane",
        generation: 1,
        spec,
    }
}

fn built(spec: &QualityRuleSpec) -> Monitors {
    match super::of(named(spec), &contract()) {
        Ok(built) => built.unwrap(),
        Err(faults) => panic!("{faults:?}"),
    }
}

#[test]
fn what_a_rule_owns_is_called_so_before_its_stream_is_known() {
    let long = "r".repeat(63);
    for rule in ["sane", "9-lives", long.as_str()] {
        for checks in [
            json!([{"rowCount": {"min": 1}}]),
            json!([{"freshness": {"maxAge": "2m"}}]),
            json!([{"unique": {"key": ["id"]}}]),
            json!([{"ordered": {"field": "line"}}]),
            json!([{"notNull": {"field": "id"}}, {"unique": {"key": ["id"]}}, {"ordered": {"field": "line"}}, {"rowCount": {"min": 1}}, {"unique": {"key": ["line"]}}]),
        ] {
            let spec = spec(checks);
            let named = Named {
                name: rule,
                ..named(&spec)
            };
            let built = super::of(named, &contract()).unwrap().unwrap();
            let pipelines = built.queries.into_iter().map(|one| one.name).collect();
            let wanted = Names {
                verdicts: built.verdicts,
                pipelines,
            };
            assert_eq!(names(rule, &spec), Some(wanted), "{rule}");
        }
        assert_eq!(
            names(rule, &spec(json!([{"notNull": {"field": "id"}}]))),
            None
        );
    }
}

fn faults_of(spec: &QualityRuleSpec, contract: &Contract) -> Vec<String> {
    let faults = crate::planning::rules::plan(named(spec), contract);
    let faults = faults.err().unwrap_or_default();
    faults.iter().map(ToString::to_string).collect()
}

/// The one fault of a check.
fn fault(check: Value) -> String {
    let mut faults = faults_of(&spec(json!([check])), &contract());
    assert_eq!(faults.len(), 1, "{faults:?}");
    faults.remove(0)
}

#[test]
fn every_check_of_the_window_is_one_query() {
    let mut spec = spec(json!([
        {"name": "row", "notNull": {"field": "id"}},
        {"rowCount": {"min": 1, "max": 1000}},
        {"nullRatio": {"field": "mail", "max": "0.5"}},
        {"aggregate": {"field": "amount", "function": "Mean", "min": "1", "max": "99.5"}},
        {"name": "sum", "aggregate": {"field": "line", "function": "Sum", "max": "100"}},
        {"name": "earliest", "aggregate": {"field": "day", "function": "Min", "min": "2026-01-01"}},
        {"name": "deviation", "aggregate": {"field": "ratio", "function": "StdDev", "max": "2"}},
        {"name": "ids", "aggregate": {"field": "id", "function": "Distinct", "min": "2"}},
        {"name": "hidden", "aggregate": {"field": "salary", "function": "Max", "max": "9"}},
        {"quantile": {"field": "amount", "of": "0.95", "min": "5", "max": "500"}},
        {"name": "own", "having": "SUM(amount) > 0 AND COUNT(*) > 10 -- enough"},
        {"freshness": {"maxAge": "1m"}},
    ]));
    spec.filter = Some("line > 0".into());
    let monitors = built(&spec);
    assert_eq!(monitors.verdicts, "sane-verdicts");
    assert_eq!(monitors.queries.len(), 1);
    let one = &monitors.queries[0];
    assert_eq!(
        (one.name.as_str(), one.window_ms),
        ("sane-monitor", 300_000)
    );
    insta::assert_snapshot!("windows", one.sql);
}

#[test]
fn a_distribution_is_counts_and_a_statistic() {
    let bins = json!([{"upTo": "10", "fraction": "0.25"}, {"upTo": "20", "fraction": "0.25"}, {"fraction": "0.5"}]);
    let check = |test: &str| json!([{"distribution": {"field": "amount", "test": test, "max": "0.2", "bins": bins}}]);
    for test in ["Psi", "ChiSquare", "KolmogorovSmirnov"] {
        let one = built(&spec(check(test))).queries.remove(0);
        insta::assert_snapshot!(format!("distribution_{test}"), one.sql);
    }
    let lists = json!([{"distribution": {"field": "paid", "max": "0.2", "bins": [
        {"values": ["true"], "fraction": "0.9"}, {"fraction": "0.1"}]}}]);
    assert!(
        built(&spec(lists)).queries[0]
            .sql
            .contains("`paid` NOT IN (TRUE)")
    );
}

#[test]
fn what_is_compared_with_earlier_windows_is_observed_alone() {
    let bins = json!([{"upTo": "10"}, {"upTo": "20"}, {}]);
    let monitors = built(&spec(json!([
        {"name": "volume", "anomaly": {}},
        {"name": "nulls", "anomaly": {"metric": "NullRatio", "field": "mail"}},
        {"name": "mails", "anomaly": {"metric": "Distinct", "field": "mail"}},
        {"name": "mean", "anomaly": {"metric": "Mean", "field": "line"}},
        {"name": "sum", "anomaly": {"metric": "Sum", "field": "amount"}},
        {"name": "shift", "distribution": {"field": "amount", "max": "0.2", "bins": bins, "reference": {"lookback": "7d"}}},
    ])));
    assert_eq!(monitors.queries.len(), 1);
    insta::assert_snapshot!("histories", monitors.queries[0].sql);
}

#[test]
fn each_key_is_a_query_of_its_own() {
    let mut spec = spec(json!([
        {"unique": {"key": ["id"], "within": "1h"}},
        {"name": "lines", "unique": {"key": ["customer.mail", "line"]}},
        {"name": "mails", "unique": {"key": ["mail"], "within": "7d"}},
    ]));
    let monitors = built(&spec);
    let names: Vec<&str> = monitors
        .queries
        .iter()
        .map(|one| one.name.as_str())
        .collect();
    assert_eq!(names, ["sane-unique-1", "sane-unique-2", "sane-unique-3"]);
    for one in &monitors.queries {
        insta::assert_snapshot!(one.name.clone(), one.sql);
    }
    spec.filter = Some("line > 0".into());
    assert!(
        built(&spec).queries[0]
            .sql
            .contains("WHERE (\nline > 0\n) AND (")
    );
}

#[test]
fn an_order_is_a_query_of_its_own() {
    let monitors = built(&spec(json!([
        {"ordered": {"field": "line", "by": ["id"]}},
        {"name": "all", "ordered": {"field": "amount", "order": "StrictlyDecreasing"}},
    ])));
    for one in &monitors.queries {
        insta::assert_snapshot!(one.name.clone(), one.sql);
    }
}

#[test]
fn a_reference_is_a_query_of_its_own() {
    let monitors = built(&spec(json!([
        {"references": {"fields": ["id", "line"], "stream": "articles", "key": ["article", "line"]}},
    ])));
    for one in &monitors.queries {
        insta::assert_snapshot!(one.name.clone(), one.sql);
    }
}

#[test]
fn a_rule_that_asks_for_freshness_alone_has_a_monitor_too() {
    let monitors = built(&spec(json!([{"freshness": {"maxAge": "1m"}}])));
    assert_eq!(monitors.queries[0].judges, Judges::Windows(Vec::new()));
}

#[test]
fn rules_without_such_checks_have_none() {
    let spec = spec(json!([{"notNull": {"field": "id"}}]));
    assert_eq!(super::of(named(&spec), &contract()), Ok(None));
}

#[test]
fn windows_of_any_whole_length_are_written() {
    for (window, written) in [
        ("1m", "INTERVAL '1' MINUTE"),
        ("90m", "INTERVAL '90' MINUTE"),
        ("100m", "INTERVAL '100' MINUTE"),
        ("61s", "INTERVAL '61' SECOND"),
        ("1439m", "INTERVAL '1439' MINUTE"),
        ("86399s", "INTERVAL '86399' SECOND"),
        ("1d", "INTERVAL '1' DAY"),
    ] {
        let mut spec = spec(json!([{"rowCount": {"min": 1}}]));
        spec.window = window.parse().unwrap();
        assert!(built(&spec).queries[0].sql.contains(written), "{window}");
    }
}

#[test]
#[allow(clippy::too_many_lines, reason = "a table of cases")]
fn what_is_wrong_with_a_check_of_a_window_is_said_with_its_place() {
    for (check, said) in [
        (
            json!({"nullRatio": {"field": "amout", "max": "1"}}),
            "spec.checks[0].nullRatio.field: ",
        ),
        (
            json!({"aggregate": {"field": "id", "function": "Sum", "max": "1"}}),
            "spec.checks[0].aggregate.field: \"id\" is string; Sum is for numbers",
        ),
        (
            json!({"aggregate": {"field": "tags", "function": "Min", "max": "1"}}),
            "spec.checks[0].aggregate.field: \"tags\" is array<string>; Min is for numbers, dates, times, timestamps and texts",
        ),
        (
            json!({"aggregate": {"field": "day", "function": "Max", "max": "31.1.2026"}}),
            "spec.checks[0].aggregate.max: \"31.1.2026\" is no date",
        ),
        (
            json!({"aggregate": {"field": "amount", "function": "Mean", "min": "2", "max": "1.5"}}),
            "spec.checks[0].aggregate.min: nothing lies between min and max",
        ),
        (
            json!({"unique": {"key": ["ratio"]}}),
            "spec.checks[0].unique.key[0]: \"ratio\" is double, and equal numbers",
        ),
        (
            json!({"unique": {"key": ["id", "id"]}}),
            "spec.checks[0].unique.key[1]: \"id\" stands in the key already",
        ),
        (
            json!({"ordered": {"field": "tags"}}),
            "spec.checks[0].ordered.field: \"tags\" is array<string>: an order is one of",
        ),
        (
            json!({"ordered": {"field": "line", "by": ["id", "idd"]}}),
            "spec.checks[0].ordered.by[1]: ",
        ),
        (
            json!({"references": {"fields": ["id", "idd"], "stream": "articles"}}),
            "spec.checks[0].references.fields[1]: ",
        ),
        (
            json!({"references": {"fields": ["id", "line"], "stream": "articles", "key": ["article"]}}),
            "spec.checks[0].references.key: 2 fields refer to a key of 1",
        ),
        (
            json!({"references": {"fields": ["id"], "stream": "orders"}}),
            "spec.checks[0].references.stream: ",
        ),
        (
            json!({"quantile": {"field": "amount", "of": "0.0", "max": "1"}}),
            "spec.checks[0].quantile.of: 0 is the least value",
        ),
        (
            json!({"quantile": {"field": "paid", "of": "0.5", "max": "1"}}),
            "spec.checks[0].quantile.field: \"paid\" is boolean",
        ),
        (
            json!({"having": "SUM(amout) > 0"}),
            "spec.checks[0].having: line 1, column 5: ",
        ),
        (
            json!({"having": "SUM(amount)"}),
            "spec.checks[0].having: gives decimal(38,2), and a check is true or false",
        ),
        (
            json!({"having": "COUNT(*) >"}),
            "spec.checks[0].having: line 1, column ",
        ),
        (
            json!({"having": "COUNT(*) > 1) AS a, (TRUE"}),
            "spec.checks[0].having: line 1, column 13",
        ),
        (
            json!({"distribution": {"field": "amount", "max": "1", "bins": [
                {"upTo": "1", "fraction": "0.5"}, {"fraction": "0.4"}]}}),
            "spec.checks[0].distribution.bins: the fractions don't come to 1",
        ),
        (
            json!({"distribution": {"field": "amount", "max": "1", "bins": [
                {"upTo": "2", "fraction": "0.5"}, {"upTo": "2.0", "fraction": "0.5"}]}}),
            "spec.checks[0].distribution.bins[1].upTo: isn't above that of the bin before",
        ),
        (
            json!({"distribution": {"field": "id", "max": "1", "bins": [
                {"values": ["a"], "fraction": "0.5"}, {"values": ["b", "a"], "fraction": "0.5"}]}}),
            "spec.checks[0].distribution.bins[1].values[1]: stands in a bin already",
        ),
        (
            json!({"distribution": {"field": "amount", "max": "1", "bins": [{"upTo": "1"}, {}],
                "reference": {"lookback": "9m"}}}),
            "spec.checks[0].distribution.reference.lookback: is shorter than two windows of 5m",
        ),
        (
            json!({"anomaly": {"metric": "Mean", "field": "salary"}}),
            "spec.checks[0].anomaly.field: \"salary\" is labelled pii, so Mean of it isn't told, and has no history",
        ),
        (
            json!({"anomaly": {"metric": "Min", "field": "day"}}),
            "spec.checks[0].anomaly.field: \"day\" is date; Min has a history for numbers alone",
        ),
        (
            json!({"anomaly": {"metric": "Mean", "field": "id"}}),
            "spec.checks[0].anomaly.field: \"id\" is string; Mean has a history for numbers alone",
        ),
        (
            json!({"schema": {"columns": [{"name": "id", "type": "strin"}]}}),
            "spec.checks[0].schema.columns[0].type: at character 1: ",
        ),
        (
            json!({"schema": {"columns": [{"name": "id"}, {"name": "id", "type": "string"}]}}),
            "spec.checks[0].schema.columns[1].name: \"id\" stands there already",
        ),
        (
            json!({"distribution": {"field": "id", "test": "ChiSquare", "max": "1", "bins": [
                {"values": ["a"], "fraction": "1"}, {"fraction": "0"}]}}),
            "spec.checks[0].distribution.bins[1].fraction: ChiSquare divides by it",
        ),
    ] {
        let told = fault(check);
        assert!(told.starts_with(said), "{told}\nwanted: {said}");
    }
    assert!(
        fault(json!({"nullRatio": {"field": "amout", "max": "1"}}))
            .contains("did you mean \"amount\"?")
    );
}

#[test]
fn a_stream_without_windows_has_no_checks_of_them() {
    let spec = spec(json!([{"notNull": {"field": "id"}}, {"rowCount": {"min": 1}}]));
    let timeless = Contract {
        event_time: None,
        ..contract()
    };
    let told = faults_of(&spec, &timeless);
    assert_eq!(
        told,
        [
            "spec.checks[1]: is about windows, and DataStream orders has no event time: give it spec.eventTime, or check each record by itself"
        ]
    );
    let compacted = Contract {
        compacted: true,
        key: vec!["id".into()],
        ..contract()
    };
    assert!(faults_of(&spec, &compacted)[0].contains("is compacted"));
}

#[test]
fn a_filter_that_is_wrong_is_said_once() {
    let mut spec = spec(json!([{"rowCount": {"min": 1}}]));
    spec.filter = Some("lin > 0".into());
    let told = faults_of(&spec, &contract());
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].starts_with("spec.filter: line 1, column 1"),
        "{told:?}"
    );
}

#[test]
fn a_window_of_a_part_of_a_second_is_refused() {
    let mut spec = spec(json!([{"rowCount": {"min": 1}}]));
    spec.window = "60500ms".parse().unwrap();
    let told = faults_of(&spec, &contract());
    assert_eq!(
        told,
        ["spec.window: a window is of whole seconds: write it so, such as 5m"]
    );
}

#[test]
fn names_fit_and_differ() {
    assert_eq!(folded("sane", "monitor"), "sane-monitor");
    let long = "a".repeat(63);
    let names = [
        folded(&long, "monitor"),
        folded(&long, "unique-8"),
        folded(&format!("{}b", &long[..62]), "monitor"),
        folded("1st", "monitor"),
    ];
    for name in &names {
        assert!(name.len() <= MAX_NAME && name.starts_with("q-"), "{name}");
    }
    let distinct: std::collections::BTreeSet<_> = names.iter().collect();
    assert_eq!(distinct.len(), names.len());
}

#[test]
fn many_unique_checks_are_refused() {
    let checks: Vec<Value> = (0..9)
        .map(|n| json!({"name": format!("u{n}"), "unique": {"key": ["id"], "within": format!("{}m", n + 1)}}))
        .collect();
    let told = faults_of(&spec(json!(checks)), &contract());
    assert_eq!(told.len(), 1);
    assert!(
        told[0].starts_with("spec.checks[8].unique: a rule has at most 8"),
        "{told:?}"
    );
}

#[test]
fn many_histories_are_refused() {
    let checks: Vec<Value> = (0..17)
        .map(|n| json!({"name": format!("a{n}"), "anomaly": {"sensitivity": format!("{}", n + 1)}}))
        .collect();
    let told = faults_of(&spec(json!(checks)), &contract());
    assert_eq!(told.len(), 1);
    assert!(
        told[0].starts_with("spec.checks[16].anomaly: a rule has at most 16"),
        "{told:?}"
    );
}

#[test]
fn other_bounds_go_on_with_the_state_and_other_aggregates_do_not() {
    let state = |checks: Value| {
        let one = built(&spec(checks)).queries.remove(0);
        let catalog = Catalog::new().with("orders", contract());
        let flow = headworks_sql::plan(&one.sql, &catalog).unwrap();
        (flow.state_fingerprint().unwrap().to_owned(), one.of)
    };
    let (few, of_few) = state(json!([{"rowCount": {"min": 1}}]));
    let (many, of_many) = state(json!([{"rowCount": {"min": 2, "max": 9}}]));
    assert_eq!(few, many);
    assert_ne!(of_few, of_many, "verdicts are told apart");
    let ratio = json!([{"rowCount": {"min": 1}}, {"nullRatio": {"field": "id", "max": "1"}}]);
    assert_ne!(state(ratio).0, few);
}
