//! The queries of QualityRules' monitors on the engine, with answers worked by hand, and beside a plain computation over the rows.

mod keys;
mod ordered;
mod references;

use std::collections::BTreeMap;
use std::io;

use headworks_connectors::formats::AsJson;
use headworks_crds::QualityRuleSpec;
use headworks_engine::local::{BadRecord, Local, Row, Sink};
use headworks_operator::planning::rules::{Named, monitor};
use headworks_plan::{
    Contract, Delivery, EventTime, Field, OnBadRecord, OnOverflow, PipelinePlan, StartFrom, Stream,
};
use serde_json::{Value, json};

fn contract() -> Contract {
    let field = |name: &str, data_type: &str| Field::new(name, data_type, true);
    let mut secret = field("secret", "int");
    secret.labels = vec!["pii".into()];
    Contract {
        fields: vec![
            field("id", "string"),
            field("line", "int"),
            field("amount", "decimal(12,2)"),
            field("ratio", "double"),
            field("day", "date"),
            secret,
            Field::new("at", "timestamp_ltz(3)", false),
        ],
        event_time: Some(EventTime {
            field: "at".into(),
            max_out_of_orderness_ms: 0,
            idle_timeout_ms: None,
        }),
        ..Contract::default()
    }
}

fn stream(name: &str, contract: Contract) -> Stream {
    Stream {
        name: name.to_owned(),
        topic: name.to_owned(),
        dead_letter_topic: format!("{name}.dlq"),
        contract,
        max_message_bytes: 1 << 20,
        rules: Vec::new(),
    }
}

#[derive(Default)]
struct Given(Vec<Value>);

impl Sink for Given {
    fn row(&mut self, row: Row<'_>) -> io::Result<()> {
        self.0.push(serde_json::from_slice(row.value)?);
        Ok(())
    }

    fn bad(&mut self, bad: BadRecord<'_>) -> io::Result<()> {
        panic!("{}", bad.message);
    }
}

/// What the monitors of these checks write of these rows, by Pipeline. Of a rule that is run here each minute is a window.
fn run(checks: Value, filter: Option<&str>, rows: &[Value]) -> BTreeMap<String, Vec<Value>> {
    run_in("1m", checks, filter, rows)
}

/// The same in windows of another length.
fn run_in(
    window: &str,
    checks: Value,
    filter: Option<&str>,
    rows: &[Value],
) -> BTreeMap<String, Vec<Value>> {
    run_beside(window, checks, filter, rows, &[])
}

/// The same beside another stream with rows, which are there first.
fn run_beside(
    window: &str,
    checks: Value,
    filter: Option<&str>,
    rows: &[Value],
    beside: &[(Stream, Vec<Value>)],
) -> BTreeMap<String, Vec<Value>> {
    let mut spec = QualityRuleSpec::new("orders", serde_json::from_value(checks).unwrap());
    spec.window = window.parse().unwrap();
    spec.filter = filter.map(str::to_owned);
    let rule = Named {
        name: "sane",
        generation: 1,
        spec: &spec,
    };
    let monitors = monitor::of(rule, &contract()).unwrap().unwrap();
    let verdicts = Contract {
        fields: monitor::contract().into(),
        ..Contract::default()
    };
    let mut all = BTreeMap::new();
    for one in monitors.queries {
        let plan = PipelinePlan {
            sql: one.sql.clone(),
            inputs: [stream("orders", contract())]
                .into_iter()
                .chain(beside.iter().map(|(stream, _)| stream.clone()))
                .collect(),
            outputs: vec![stream("sane-verdicts", verdicts.clone())],
            delivery: Delivery::ExactlyOnce,
            commit_interval_ms: 100,
            start_from: StartFrom::Earliest,
            on_bad_record: OnBadRecord::DeadLetter,
            on_overflow: OnOverflow::SetNull,
            stages: Vec::new(),
            accept_data_loss: None,
            verdicts: Some(monitor::columns(one.of.clone())),
        };
        let mut local = Local::new(&plan, &AsJson).unwrap_or_else(|e| panic!("{e}\n{}", one.sql));
        let mut given = Given::default();
        for (number, (_, rows)) in (1..).zip(beside) {
            for row in rows {
                let json = row.to_string();
                local.push(number, json.as_bytes(), &mut given).unwrap();
            }
        }
        for row in rows {
            local
                .push(0, row.to_string().as_bytes(), &mut given)
                .unwrap();
        }
        local.finish(&mut given).unwrap();
        all.insert(one.name, given.0);
    }
    all
}

fn at(second: u32) -> String {
    format!("2026-11-30T12:{:02}:{:02}Z", second / 60, second % 60)
}

/// Rows of one minute with these amounts.
fn amounts(amounts: &[Option<&str>]) -> Vec<Value> {
    let rows = amounts.iter().enumerate();
    rows.map(|(number, amount)| json!({"id": format!("o{number}"), "amount": amount, "at": at(0)}))
        .collect()
}

/// What one check observes of rows of one window, and whether it passes.
fn one(check: Value, rows: &[Value]) -> (Value, Value) {
    let all = run(json!([check]), None, rows);
    let [only] = all["sane-monitor"].as_slice() else {
        panic!("{all:?}")
    };
    let value = |map: &str| {
        let map = only[map].as_object().unwrap();
        map.values().next().cloned().unwrap()
    };
    (value("observed"), value("passed"))
}

/// The same, as text of what is observed.
fn observed(check: Value, rows: &[Value]) -> (String, bool) {
    let (observed, passed) = one(check, rows);
    let text = observed.as_str().unwrap_or("-").to_owned();
    (text, passed.as_bool().unwrap_or(true))
}

fn is(text: &str, passed: bool) -> (String, bool) {
    (text.to_owned(), passed)
}

#[test]
fn windows_are_counted() {
    let rows: Vec<Value> = [0, 10, 59, 60, 121]
        .map(|second| json!({"id": "x", "at": at(second)}))
        .into();
    let all = run(
        json!([{"name": "n", "rowCount": {"min": 2, "max": 2}}]),
        None,
        &rows,
    );
    let told: Vec<(Value, Value, Value)> = all["sane-monitor"]
        .iter()
        .map(|row| {
            (
                row["window_end"].clone(),
                row["observed"]["n"].clone(),
                row["passed"]["n"].clone(),
            )
        })
        .collect();
    let row = |end: &str, n: &str, passed: bool| (json!(end), json!(n), json!(passed));
    assert_eq!(
        told,
        [
            row("2026-11-30T12:01:00.000", "3", false),
            row("2026-11-30T12:02:00.000", "1", false),
            row("2026-11-30T12:03:00.000", "1", false),
        ]
    );
    let first = &all["sane-monitor"][0];
    assert_eq!(first["records"], 3);
    assert_eq!(first["window_time"], "2026-11-30T12:00:59.999Z");
    assert_eq!(first["repeated_key"], Value::Null);
}

#[test]
fn nulls_are_a_part_of_all_records() {
    let rows = amounts(&[Some("1"), None, Some("2"), Some("3")]);
    let ratio = |max: &str| observed(json!({"nullRatio": {"field": "amount", "max": max}}), &rows);
    assert_eq!(ratio("25"), is("25.0000", true), "one of four");
    assert_eq!(ratio("24.999999999"), is("25.0000", false));
    assert!(!ratio("0").1);
    let third = amounts(&[Some("1"), None, Some("2")]);
    let (text, passed) = observed(
        json!({"nullRatio": {"field": "amount", "max": "33.3333"}}),
        &third,
    );
    assert_eq!(
        (text.as_str(), passed),
        ("33.3333", false),
        "a third is more"
    );
}

#[test]
fn aggregates_lie_between_bounds() {
    let rows = amounts(&[Some("1.50"), Some("2.50"), None, Some("5.00")]);
    let of = |function: &str, min: &str, max: &str| {
        observed(
            json!({"aggregate": {"field": "amount", "function": function, "min": min, "max": max}}),
            &rows,
        )
    };
    assert_eq!(of("Min", "1.5", "9"), is("1.50", true));
    assert_eq!(of("Min", "1.51", "9"), is("1.50", false));
    assert_eq!(of("Max", "0", "5"), is("5.00", true));
    assert_eq!(of("Sum", "9", "9"), is("9.00", true));
    assert_eq!(of("Sum", "9.01", "10"), is("9.00", false));
    assert_eq!(of("Mean", "3", "3"), is("3.000000", true));
    assert_eq!(of("Distinct", "3", "3"), is("3", true), "nulls don't count");
    // Deviations -1.5, -0.5, 2 of the mean: squares 2.25 + 0.25 + 4 = 6.5, of which a half, 3.25.
    let (text, passed) = of("StdDev", "1.8", "1.81");
    assert!(passed && text.starts_with("1.8027756"), "{text}");
    assert!(!of("StdDev", "1.81", "2").1);
}

#[test]
fn whole_numbers_are_neither_cut_nor_wrapped() {
    let rows: Vec<Value> = [2_147_483_647, 2_147_483_647, 2]
        .map(|line| json!({"line": line, "secret": line, "at": at(0)}))
        .into();
    let sum = json!({"aggregate": {"field": "line", "function": "Sum", "min": "4294967296", "max": "4294967296"}});
    assert_eq!(observed(sum, &rows), is("4294967296", true));
    let two: Vec<Value> = [1, 2].map(|line| json!({"line": line, "at": at(0)})).into();
    let mean =
        json!({"aggregate": {"field": "line", "function": "Mean", "min": "1.5", "max": "1.5"}});
    assert_eq!(observed(mean, &two), is("1.5", true));
    // What is labelled is judged, and not shown.
    let hidden = json!({"aggregate": {"field": "secret", "function": "Max", "max": "5"}});
    assert_eq!(observed(hidden, &rows), is("-", false));
}

#[test]
fn dates_and_texts_have_a_least_and_a_greatest() {
    let rows = [
        json!({"id": "b", "day": "2026-01-31", "at": at(0)}),
        json!({"id": "a", "day": "2026-02-01", "at": at(1)}),
    ];
    let first = json!({"aggregate": {"field": "day", "function": "Min", "min": "2026-02-01"}});
    assert_eq!(observed(first, &rows), is("2026-01-31", false));
    let last = json!({"aggregate": {"field": "id", "function": "Max", "max": "b"}});
    assert_eq!(observed(last, &rows), is("b", true));
}

#[test]
fn a_window_without_values_passes() {
    let rows = amounts(&[None, None]);
    for check in [
        json!({"aggregate": {"field": "amount", "function": "Sum", "min": "1"}}),
        json!({"aggregate": {"field": "ratio", "function": "StdDev", "min": "1"}}),
        json!({"quantile": {"field": "amount", "of": "0.5", "min": "1", "max": "2"}}),
        json!({"distribution": {"field": "amount", "max": "0", "bins": [{"upTo": "1", "fraction": "1"}, {"fraction": "0"}]}}),
        json!({"having": "SUM(amount) > 0"}),
    ] {
        assert!(observed(check.clone(), &rows).1, "{check}");
    }
}

#[test]
fn a_quantile_is_the_least_value_that_enough_do_not_exceed() {
    let rows = amounts(&[Some("1"), Some("2"), Some("3"), Some("4"), None]);
    let of = |part: &str, min: Option<&str>, max: Option<&str>| {
        let mut check = json!({"quantile": {"field": "amount", "of": part}});
        if let Some(min) = min {
            check["quantile"]["min"] = json!(min);
        }
        if let Some(max) = max {
            check["quantile"]["max"] = json!(max);
        }
        observed(check, &rows)
    };
    // The median is 2: two of four are at most that.
    assert_eq!(of("0.5", None, Some("2")), is("2 of 4", true));
    assert_eq!(of("0.5", None, Some("1.99")), is("1 of 4", false));
    assert_eq!(of("0.5", Some("2"), None), is("1 of 4", true));
    assert_eq!(of("0.5", Some("2.01"), None), is("2 of 4", false));
    assert_eq!(of("0.51", Some("3"), Some("3")), is("3 of 4", true));
    assert!(!of("1", None, Some("3")).1);
}

#[test]
fn a_condition_over_aggregates_is_the_users_own() {
    let rows = amounts(&[Some("1"), Some("2")]);
    let having = |text: &str| observed(json!({"having": text}), &rows);
    assert_eq!(
        having("SUM(amount) = 3 AND COUNT(*) = 2 -- both"),
        is("-", true)
    );
    assert!(!having("COUNT(*) FILTER (WHERE amount > 1) > 1").1);
}

#[test]
fn distributions_are_compared_by_their_statistic() {
    // Of ten values five, three and two; there should be 4, 4 and 2.
    let values: Vec<Option<&str>> = [["1"; 5].as_slice(), &["15"; 3], &["30"; 2]]
        .concat()
        .into_iter()
        .map(Some)
        .collect();
    let rows = amounts(&values);
    let of = |test: &str, max: &str| {
        let bins = json!([{"upTo": "10", "fraction": "0.4"}, {"upTo": "20", "fraction": "0.4"}, {"fraction": "0.2"}]);
        let check =
            json!({"distribution": {"field": "amount", "test": test, "max": max, "bins": bins}});
        let (text, passed) = observed(check, &rows);
        (text.parse::<f64>().unwrap(), passed)
    };
    // 0.1 ln(0.5/0.4) - 0.1 ln(0.3/0.4) + 0 = 0.0223144 + 0.0287682.
    let (psi, passed) = of("Psi", "0.2");
    assert!((psi - 0.051_082_6).abs() < 1e-6 && passed, "{psi}");
    assert!(!of("Psi", "0.05").1);
    // (5-4)²/4 + (3-4)²/4 + 0 = 0.5.
    let (chi, passed) = of("ChiSquare", "0.51");
    assert!((chi - 0.5).abs() < 1e-9 && passed, "{chi}");
    assert!(!of("ChiSquare", "0.49").1);
    // Cumulative: 0.5 beside 0.4, 0.8 beside 0.8.
    let (distance, passed) = of("KolmogorovSmirnov", "0.11");
    assert!((distance - 0.1).abs() < 1e-9 && passed, "{distance}");
    assert!(!of("KolmogorovSmirnov", "0.09").1);
}

#[test]
fn a_bin_without_values_counts_as_a_ten_thousandth() {
    let rows = amounts(&[Some("1"), Some("1")]);
    let check = json!({"distribution": {"field": "amount", "max": "100", "bins": [
        {"values": ["1"], "fraction": "0.5"}, {"values": ["2"], "fraction": "0.5"}]}});
    let (text, _) = observed(check, &rows);
    let wanted = 0.5 * 2_f64.ln() + (1e-4 - 0.5) * (1e-4_f64 / 0.5).ln();
    assert!(
        (text.parse::<f64>().unwrap() - wanted).abs() < 1e-9,
        "{text} {wanted}"
    );
}

#[test]
fn only_records_of_the_filter_are_judged() {
    let rows = amounts(&[Some("1"), Some("2"), None]);
    let all = run(
        json!([{"name": "n", "rowCount": {"min": 1}}]),
        Some("amount > 1 -- some"),
        &rows,
    );
    assert_eq!(all["sane-monitor"][0]["observed"]["n"], "1");
}

/// Numbers that look like chance (Knuth's linear congruential generator).
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u32) -> u32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as u32 % end
    }
}

#[test]
fn what_monitors_say_is_what_the_rows_say() {
    for seed in 0..30 {
        let mut chance = Chance(seed);
        let count = 1 + chance.below(59);
        let ids: Vec<Option<u32>> = (0..count)
            .map(|_| (chance.below(5) > 0).then(|| chance.below(20)))
            .collect();
        let rows: Vec<Value> = ids
            .iter()
            .map(|id| json!({"id": id.map(|id| id.to_string()), "line": id, "at": at(0)}))
            .collect();
        let (min, per_cent) = (chance.below(60) as usize, chance.below(40) as usize);
        let sum_max = chance.below(600);
        let all = run(
            json!([
                {"name": "rows", "rowCount": {"min": min}},
                {"name": "nulls", "nullRatio": {"field": "id", "max": per_cent.to_string()}},
                {"name": "sum", "aggregate": {"field": "line", "function": "Sum", "max": sum_max.to_string()}},
                {"name": "different", "aggregate": {"field": "id", "function": "Distinct", "min": "10"}},
                {"name": "unique", "unique": {"key": ["id"]}},
            ]),
            None,
            &rows,
        );
        let there: Vec<u32> = ids.iter().flatten().copied().collect();
        let mut times: BTreeMap<u32, usize> = BTreeMap::new();
        for id in &there {
            *times.entry(*id).or_default() += 1;
        }
        let row = &all["sane-monitor"][0];
        let nulls = ids.len() - there.len();
        let sum: u32 = there.iter().sum();
        let wanted = json!({
            "rows": ids.len() >= min,
            "nulls": nulls * 100 <= per_cent * ids.len(),
            "sum": if there.is_empty() { Value::Null } else { json!(sum <= sum_max) },
            "different": times.len() >= 10,
        });
        assert_eq!(row["passed"], wanted, "seed {seed}");
        let again = times.values().filter(|times| **times > 1).count();
        assert_eq!(all["sane-unique-1"].len(), again, "seed {seed}");
    }
}
