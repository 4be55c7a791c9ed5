//! Answers worked by hand.

use headworks_crds::DistributionTest;
use serde_json::json;

use super::*;

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

fn spec(window: &str, check: serde_json::Value) -> QualityRuleSpec {
    let mut spec = QualityRuleSpec::new("orders", serde_json::from_value(json!([check])).unwrap());
    spec.window = window.parse().unwrap();
    spec
}

fn of(window: &str, check: serde_json::Value) -> Compared {
    let spec = spec(window, check);
    compared(&spec.checks[0], &spec).unwrap()
}

fn judge(history: &mut History, of: &Compared, end_ms: i64, observed: &str) -> Judgement {
    history
        .judge(("c", of), (end_ms, end_ms), observed)
        .unwrap()
}

fn said(observed: &str, passed: Option<bool>) -> Judgement {
    Judgement {
        observed: observed.to_owned(),
        passed,
    }
}

/// Three days of hours: a hundred times the hour of the day, ten less on the first and ten more on the third.
fn three_days(of: &Compared) -> History {
    let mut history = History::default();
    for hour in 0..72 {
        let value = hour % 24 * 100 + (hour / 24 - 1) * 10;
        judge(&mut history, of, (hour + 1) * HOUR, &value.to_string());
    }
    history
}

#[test]
fn what_is_far_from_the_same_hour_of_other_days_is_unusual() {
    let check = of("1h", json!({"anomaly": {"season": "Day"}}));
    let mut history = three_days(&check);
    // Hour 5 was 490, 500 and 510. Each is 15, 0 and 15 from the median of the other two, and so are the hours 3 to 7: the median of
    // those fifteen is 15, and 15 * 1.4826 = 22.239. (600 - 500) / 22.239 = 4.497.
    for hour in 72..77 {
        let value = hour % 24 * 100;
        let told = judge(&mut history, &check, (hour + 1) * HOUR, &value.to_string());
        assert_eq!(told.passed, Some(true), "{told:?}");
    }
    let mut other = three_days(&check);
    let told = judge(&mut other, &check, 78 * HOUR, "600");
    assert_eq!(
        told,
        said("600 (usual 500, z 4.5)", Some(true)),
        "the first of two"
    );
    assert_eq!(
        judge(&mut other, &check, 78 * HOUR, "600"),
        told,
        "the same again"
    );
    let told = judge(&mut other, &check, 79 * HOUR, "1000");
    assert_eq!(told.passed, Some(false), "{told:?}");
    let told = judge(&mut other, &check, 80 * HOUR, "700");
    assert_eq!(told.passed, Some(true), "{told:?}");
}

#[test]
fn only_the_direction_that_is_asked_for_fails() {
    for (direction, above, below) in [
        ("Both", false, false),
        ("Above", false, true),
        ("Below", true, false),
    ] {
        let check = json!({"anomaly": {"season": "Day", "consecutive": 1, "direction": direction}});
        let check = of("1h", check);
        for (value, passes) in [("600", above), ("400", below)] {
            let told = judge(&mut three_days(&check), &check, 78 * HOUR, value);
            assert_eq!(told.passed, Some(passes), "{direction} {told:?}");
        }
    }
}

#[test]
fn nothing_fails_before_enough_is_known() {
    let check = of(
        "1h",
        json!({"anomaly": {"season": "Day", "consecutive": 1}}),
    );
    let mut history = History::default();
    for hour in 0..72 {
        let told = judge(
            &mut history,
            &check,
            (hour + 1) * HOUR,
            if hour == 50 { "9e9" } else { "5" },
        );
        assert_eq!(told.passed, None, "{hour}");
        assert!(told.observed.contains("(learning: "), "{told:?}");
    }
    assert_eq!(
        judge(&mut history, &check, 73 * HOUR, "5").passed,
        Some(true)
    );
    let week = of("1h", json!({"anomaly": {}}));
    let mut history = History::default();
    for hour in 0..14 * 24 {
        assert_eq!(
            judge(&mut history, &week, (hour + 1) * HOUR, "5").passed,
            None
        );
    }
    assert_eq!(
        judge(&mut history, &week, 14 * DAY + HOUR, "5").passed,
        Some(true)
    );
}

#[test]
fn what_never_moved_may_move_by_little() {
    let check = of(
        "1h",
        json!({"anomaly": {"season": "None", "consecutive": 1}}),
    );
    let mut history = History::default();
    for hour in 0..24 {
        judge(&mut history, &check, (hour + 1) * HOUR, "1000");
    }
    // A hundredth of 1000 is 10, and 3.5 times that 35.
    let (mut little, mut much) = (history.clone(), history);
    assert_eq!(
        judge(&mut little, &check, 25 * HOUR, "1035").passed,
        Some(true)
    );
    assert_eq!(
        judge(&mut much, &check, 25 * HOUR, "1036"),
        said("1036 (usual 1000, z 3.6)", Some(false))
    );
}

#[test]
fn silence_is_unusual_where_records_are_usual() {
    let check = of("1h", json!({"anomaly": {"season": "Day"}}));
    let history = three_days(&check);
    let told = history.silent(("c", &check), 77 * HOUR).unwrap();
    assert_eq!(told, said("0 (usual 500, z -22.5)", Some(false)));
    // At midnight there are none anyway.
    assert_eq!(
        history.silent(("c", &check), 72 * HOUR).unwrap().passed,
        Some(true)
    );
    let mean = of(
        "1h",
        json!({"anomaly": {"season": "Day", "metric": "Mean", "field": "n"}}),
    );
    assert_eq!(history.silent(("c", &mean), 77 * HOUR), None);
}

#[test]
fn a_history_is_bounded_and_comes_back_as_it_was_written() {
    let check = of("5m", json!({"anomaly": {}}));
    let mut history = History::default();
    for window in 0..60 * 288_i64 {
        let value = format!("{}.123456789", window * 7919 % 1000);
        judge(&mut history, &check, (window + 1) * 300_000, &value);
    }
    let text = history.write();
    assert!(text.len() < 40_000, "{}", text.len());
    let mut back = History::read(&text);
    assert_eq!(back.write(), text);
    let end = 60 * DAY + 300_000;
    assert_eq!(
        judge(&mut back, &check, end, "12"),
        judge(&mut history, &check, end, "12")
    );
}

#[test]
fn what_is_no_history_begins_anew() {
    let right = r#"{"c": {"of": "x", "lastEndMs": 0, "figures": {"windowMs": 3600000, "periodMs": 3600000, "points": [[1, 5.0, 0.0]]}}}"#;
    let right = right.replace("lastEndMs", "last_end_ms");
    assert!(!History::read(&right).is_empty());
    for (from, to) in [
        ("[1, 5.0", "[1, null"),
        ("[1, 5.0", "[9223372036854775807, 5.0"),
        ("[[1, 5.0, 0.0]]", "[[2, 5.0, 0.0], [1, 5.0, 0.0]]"),
        ("\"periodMs\": 3600000", "\"periodMs\": 0"),
        ("\"windowMs\": 3600000", "\"windowMs\": 0"),
        ("{\"c\"", "[\"c\""),
    ] {
        assert!(right.contains(from));
        assert!(History::read(&right.replace(from, to)).is_empty(), "{to}");
    }
    let spread = r#"{"c": {"of": "x", "last_end_ms": 0, "spreads": {"periodMs": 60000, "lookbackMs": null, "bins": 2, "sinceMs": 0, "parts": [[1, [1, 2]]]}}}"#;
    assert!(!History::read(spread).is_empty());
    assert!(History::read(&spread.replace("[1, 2]", "[1]")).is_empty());
    assert!(History::read(&spread.replace("60000", "0")).is_empty());
}

#[test]
fn windows_that_are_old_far_or_no_numbers_are_left_out() {
    let check = of("1h", json!({"anomaly": {"season": "Day"}}));
    let mut history = three_days(&check);
    let before = history.write();
    let mut ask = |end: i64, now: i64, text: &str| history.judge(("c", &check), (end, now), text);
    assert_eq!(ask(72 * HOUR - 1, 72 * HOUR, "5"), None);
    assert_eq!(ask(72 * HOUR + 2 * DAY, 72 * HOUR, "5"), None);
    assert_eq!(ask(i64::MIN, 0, "5"), None);
    for text in ["", "NaN", "inf", "five", "1 2"] {
        assert_eq!(ask(73 * HOUR, 73 * HOUR, text), None, "{text}");
    }
    assert_eq!(history.write(), before);
}

#[test]
fn another_figure_has_another_history() {
    let check = of("1h", json!({"anomaly": {"season": "Day"}}));
    let mut history = three_days(&check);
    // Bounds may change.
    let bounds = of(
        "1h",
        json!({"anomaly": {"season": "Day", "sensitivity": "9", "consecutive": 1}}),
    );
    let told = judge(&mut history.clone(), &bounds, 78 * HOUR, "600");
    assert_eq!(told, said("600 (usual 500, z 4.5)", Some(true)));
    let other = of(
        "1h",
        json!({"anomaly": {"metric": "Sum", "field": "n", "season": "Day"}}),
    );
    assert_eq!(judge(&mut history, &other, 78 * HOUR, "600").passed, None);
    history.keep(|_| false);
    assert!(history.is_empty() && history.is_changed());
}

#[test]
fn two_samples_are_compared() {
    let of = |test, counts: [u64; 2], reference: [u64; 2]| {
        spreads::statistic(test, &counts, &reference).map(|found| format!("{found:.5}"))
    };
    let (now, then) = ([30, 70], [50, 50]);
    // -0.2 * ln 0.6 + 0.2 * ln 1.4
    assert_eq!(of(DistributionTest::Psi, now, then).unwrap(), "0.16946");
    // The table 30 70 / 50 50: 200 * (30 * 50 - 70 * 50)^2 / (100 * 100 * 80 * 120)
    assert_eq!(
        of(DistributionTest::ChiSquare, now, then).unwrap(),
        "8.33333"
    );
    assert_eq!(
        of(DistributionTest::KolmogorovSmirnov, now, then).unwrap(),
        "0.20000"
    );
    // (0.0001 - 0.5) * ln 0.0002 + 0.5 * ln 2
    assert_eq!(
        of(DistributionTest::Psi, [0, 10], [5, 5]).unwrap(),
        "4.60432"
    );
    assert_eq!(of(DistributionTest::Psi, [0, 0], [5, 5]), None);
    assert_eq!(of(DistributionTest::Psi, [5, 5], [0, 0]), None);
}

fn distribution(reference: serde_json::Value) -> Compared {
    of(
        "10m",
        json!({"distribution": {"field": "n", "test": "KolmogorovSmirnov", "max": "0.2",
            "bins": [{"upTo": "1"}, {}], "reference": reference}}),
    )
}

#[test]
fn a_window_is_compared_with_the_one_before() {
    let check = distribution(json!({"window": "Previous"}));
    let mut history = History::default();
    let end = |window: i64| window * 600_000;
    let mut ask = |window: i64, counts: &str| judge(&mut history, &check, end(window), counts);
    assert_eq!(ask(1, "0 0"), said("no values", Some(true)));
    assert_eq!(ask(2, "5 5").passed, None);
    assert_eq!(ask(3, "30 70"), said("0.2", Some(true)));
    assert_eq!(ask(4, "51 49"), said("0.21", Some(false)));
    assert_eq!(ask(5, "0 0"), said("no values", Some(true)));
    // With the newest before it that had values.
    assert_eq!(ask(9, "51 49"), said("0", Some(true)));
    assert_eq!(
        history.judge(("c", &check), (end(10), end(10)), "1 2 3"),
        None
    );
}

#[test]
fn a_window_is_compared_with_a_time_before() {
    let check = distribution(json!({"lookback": "1h"}));
    let mut history = History::default();
    let mut ask = |window: i64, counts: &str| judge(&mut history, &check, window * 600_000, counts);
    for window in 1..=6 {
        assert_eq!(ask(window, "5 5").passed, None, "{window}");
    }
    // 30 and 30 before.
    assert_eq!(ask(7, "8 2"), said("0.3", Some(false)));
    for window in 8..=12 {
        ask(window, "8 2");
    }
    // The hour before has 48 and 12, and no 5 any more.
    assert_eq!(ask(13, "8 2"), said("0", Some(true)));
}

#[test]
fn a_long_lookback_is_kept_in_few_parts() {
    let check = of(
        "1m",
        json!({"distribution": {"field": "n", "max": "0.2", "reference": {"lookback": "7d"},
            "bins": (0..31).map(|n| json!({"upTo": n.to_string()})).chain([json!({})]).collect::<Vec<_>>()}}),
    );
    let mut history = History::default();
    let counts = vec!["123456789"; 32].join(" ");
    for window in 0..15 * 1440_i64 {
        judge(&mut history, &check, (window + 1) * 60_000, &counts);
    }
    let text = history.write();
    assert!(text.len() < 25_000, "{}", text.len());
    assert_eq!(History::read(&text).write(), text);
}
