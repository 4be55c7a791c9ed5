use headworks_plan::{CheckVerdict, StateFigures};
use serde_json::json;

use super::*;

const MINUTE: i64 = 60_000;

fn rule() -> QualityRule {
    serde_json::from_value(json!({
    "metadata": {"name": "sane", "namespace": "shop", "creationTimestamp": "1970-01-01T00:00:00Z"},
    "spec": {"stream": "orders", "window": "1m", "checks": [
        {"name": "rows", "rowCount": {"min": 1, "max": 5}},
        {"name": "soft", "rowCount": {"max": 9}, "severity": "Warn"},
        {"name": "ids", "unique": {"key": ["id"]}},
        {"name": "fresh", "freshness": {"maxAge": "2m"}},
    ]}}))
    .unwrap()
}

fn monitors() -> Monitors {
    let monitor = |name: &str, judges| Monitor {
        name: name.to_owned(),
        sql: String::new(),
        of: "v1".into(),
        window_ms: 60_000,
        judges,
    };
    Monitors {
        verdicts: "sane-verdicts".into(),
        queries: vec![
            monitor(
                "sane-monitor",
                Judges::Windows(vec!["rows".into(), "soft".into()]),
            ),
            monitor("sane-unique-1", Judges::Keys("ids".into())),
        ],
    }
}

fn checks() -> Vec<CheckStatus> {
    let names = ["rows", "soft", "ids", "fresh"].iter();
    let check = |name: &&str| CheckStatus {
        name: (*name).to_owned(),
        ..CheckStatus::default()
    };
    names.map(check).collect()
}

fn verdict(name: &str, observed: &str, failed: u64) -> CheckVerdict {
    CheckVerdict {
        name: name.into(),
        observed: Some(observed.into()),
        failed,
    }
}

fn pod(of: &str, end_ms: i64, checks: Vec<CheckVerdict>) -> Figures {
    Figures {
        lag: Some(0),
        max_event_time_ms: Some(end_ms + 1),
        verdicts: Some(VerdictFigures {
            of: of.into(),
            windows: vec![WindowVerdict {
                end_ms,
                records: 3,
                checks,
            }],
        }),
        ..Figures::default()
    }
}

fn watermark(pod: Figures, at: i64) -> Figures {
    Figures {
        state: Some(StateFigures {
            watermark_ms: Some(at),
            ..StateFigures::default()
        }),
        ..pod
    }
}

fn at(minutes: i64) -> Timestamp {
    Timestamp::from_millisecond(minutes * MINUTE).unwrap()
}

fn hear(checks: &mut [CheckStatus], monitor: &str, pods: Vec<Figures>, minutes: i64) {
    let heard = [(monitor.to_owned(), pods)].into();
    let history = &mut History::default();
    settle(
        &rule(),
        Some(&monitors()),
        &heard,
        checks,
        history,
        at(minutes),
    );
}

/// What is shown of a check: minutes of the window's end, what was observed, whether it passed, windows that failed.
fn shown(checks: &[CheckStatus], name: &str) -> (Option<i64>, Option<String>, Option<bool>, i64) {
    let check = checks.iter().find(|check| check.name == name).unwrap();
    let end = known_end(check).map(|end| end / MINUTE);
    (end, check.observed.clone(), check.passed, check.failed)
}

#[test]
fn a_window_that_fails_is_told_and_the_next_that_passes_makes_it_well() {
    let mut checks = checks();
    assert_eq!(found(&rule().spec, &checks), Found::Nothing);
    let nine = || vec![verdict("rows", "9", 1), verdict("soft", "9", 0)];
    hear(
        &mut checks,
        "sane-monitor",
        vec![pod("v1", MINUTE, nine())],
        2,
    );
    let told = (Some(1), Some("9".to_owned()), Some(false), 1);
    assert_eq!(shown(&checks, "rows"), told);
    assert_eq!(
        found(&rule().spec, &checks),
        Found::Failed(vec!["rows".into()])
    );
    // The same again, and an older one, change nothing.
    hear(
        &mut checks,
        "sane-monitor",
        vec![pod("v1", MINUTE, nine())],
        2,
    );
    hear(&mut checks, "sane-monitor", vec![pod("v1", 0, nine())], 2);
    assert_eq!(shown(&checks, "rows"), told);
    // One of another version of the rule isn't about these checks.
    hear(
        &mut checks,
        "sane-monitor",
        vec![pod("v0", 2 * MINUTE, nine())],
        3,
    );
    assert_eq!(shown(&checks, "rows"), told);
    let four = vec![verdict("rows", "4", 0), verdict("soft", "4", 0)];
    hear(
        &mut checks,
        "sane-monitor",
        vec![pod("v1", 2 * MINUTE, four)],
        3,
    );
    assert_eq!(
        shown(&checks, "rows"),
        (Some(2), Some("4".into()), Some(true), 1)
    );
    assert_eq!(found(&rule().spec, &checks), Found::Passed);
}

#[test]
fn a_warning_says_nothing_of_health() {
    let mut checks = checks();
    let many = vec![verdict("rows", "5", 0), verdict("soft", "10", 1)];
    hear(
        &mut checks,
        "sane-monitor",
        vec![pod("v1", MINUTE, many)],
        2,
    );
    assert_eq!(shown(&checks, "soft").2, Some(false));
    assert_eq!(found(&rule().spec, &checks), Found::Passed);
}

#[test]
fn keys_that_come_again_are_added_up_over_pods_and_a_window_without_passes() {
    let mut checks = checks();
    let idle = |wm| {
        watermark(
            Figures {
                lag: Some(0),
                ..Figures::default()
            },
            wm,
        )
    };
    hear(&mut checks, "sane-unique-1", vec![idle(MINUTE + 5)], 2);
    assert_eq!(
        shown(&checks, "ids"),
        (Some(1), Some("0".into()), Some(true), 0)
    );
    let two = watermark(
        pod("v1", 2 * MINUTE, vec![verdict("ids", "2", 2)]),
        2 * MINUTE,
    );
    let one = watermark(
        pod("v1", 2 * MINUTE, vec![verdict("ids", "7", 1)]),
        2 * MINUTE,
    );
    hear(&mut checks, "sane-unique-1", vec![two.clone()], 3);
    assert_eq!(
        shown(&checks, "ids"),
        (Some(2), Some("2".into()), Some(false), 1)
    );
    hear(
        &mut checks,
        "sane-unique-1",
        vec![two.clone(), one.clone()],
        3,
    );
    assert_eq!(
        shown(&checks, "ids"),
        (Some(2), Some("3".into()), Some(false), 1),
        "one window, of which two pods have keys"
    );
    // The slower pod's event time says which window is over.
    let slow = watermark(one, 3 * MINUTE - 1);
    let fast = watermark(two, 9 * MINUTE);
    hear(
        &mut checks,
        "sane-unique-1",
        vec![slow.clone(), fast.clone()],
        9,
    );
    assert_eq!(shown(&checks, "ids").0, Some(2));
    hear(
        &mut checks,
        "sane-unique-1",
        vec![watermark(slow, 3 * MINUTE), fast],
        9,
    );
    assert_eq!(
        shown(&checks, "ids"),
        (Some(3), Some("0".into()), Some(true), 1)
    );
}

#[test]
fn a_window_that_was_said_to_have_passed_fails_when_a_pod_says_so() {
    let mut checks = checks();
    let idle = watermark(Figures::default(), 2 * MINUTE);
    hear(&mut checks, "sane-unique-1", vec![idle], 3);
    assert_eq!(shown(&checks, "ids").2, Some(true));
    let late = watermark(
        pod("v1", 2 * MINUTE, vec![verdict("ids", "2", 1)]),
        2 * MINUTE,
    );
    hear(&mut checks, "sane-unique-1", vec![late], 3);
    assert_eq!(
        shown(&checks, "ids"),
        (Some(2), Some("1".into()), Some(false), 1)
    );
}

#[test]
fn a_stream_that_falls_silent_is_told_by_the_clock() {
    let mut checks = checks();
    let four = || vec![verdict("rows", "4", 0), verdict("soft", "4", 0)];
    let mut last = pod("v1", 10 * MINUTE, four());
    last.max_event_time_ms = Some(10 * MINUTE - 1);
    hear(&mut checks, "sane-monitor", vec![last.clone()], 11);
    assert_eq!(shown(&checks, "rows").2, Some(true));
    assert_eq!(shown(&checks, "fresh").2, Some(true));
    hear(&mut checks, "sane-monitor", vec![last.clone()], 12);
    assert_eq!(
        shown(&checks, "rows").2,
        Some(true),
        "two windows may be on their way"
    );
    // It has records to read: nobody knows how new they are.
    let behind = Figures {
        lag: Some(7),
        ..last.clone()
    };
    hear(&mut checks, "sane-monitor", vec![behind], 14);
    assert_eq!(shown(&checks, "rows").2, Some(true));
    hear(&mut checks, "sane-monitor", vec![last.clone()], 14);
    assert_eq!(
        shown(&checks, "rows"),
        (Some(10), Some("0".into()), Some(false), 1)
    );
    let (_, age, passed, failed) = shown(&checks, "fresh");
    assert_eq!(
        (age.as_deref(), passed, failed),
        (Some("4m"), Some(false), 1)
    );
    hear(&mut checks, "sane-monitor", vec![last], 15);
    assert_eq!(shown(&checks, "rows").3, 1, "told once");
    let again = pod("v1", 16 * MINUTE, four());
    hear(&mut checks, "sane-monitor", vec![again], 16);
    assert_eq!(
        shown(&checks, "rows"),
        (Some(16), Some("4".into()), Some(true), 1)
    );
    assert_eq!(shown(&checks, "fresh").2, Some(true));
}

#[test]
fn a_pod_that_begins_knows_no_record_and_takes_nothing_back() {
    let mut checks = checks();
    let mut last = pod("v1", 10 * MINUTE, Vec::new());
    last.max_event_time_ms = Some(10 * MINUTE + 30_000);
    hear(&mut checks, "sane-monitor", vec![last], 11);
    let begun = Figures {
        lag: Some(0),
        ..Figures::default()
    };
    hear(&mut checks, "sane-monitor", vec![begun], 12);
    assert_eq!(shown(&checks, "fresh").2, Some(true));
}

#[test]
fn hostile_figures_break_nothing() {
    for extreme in [i64::MIN, -1, 0, i64::MAX] {
        let mut checks = checks();
        let names = ["rows", "soft", "ids", "fresh", "nobody"].iter();
        let long = "x".repeat(10_000);
        let all = || {
            names
                .clone()
                .map(|name| verdict(name, &long, u64::MAX))
                .collect()
        };
        let pods = || vec![watermark(pod("v1", extreme.saturating_sub(1), all()), extreme); 3];
        for monitor in ["sane-monitor", "sane-unique-1", "another"] {
            hear(&mut checks, monitor, pods(), 5);
            hear(&mut checks, monitor, pods(), 1_000_000);
        }
        assert_eq!(checks.len(), 4);
        for check in &checks {
            assert!(
                check
                    .observed
                    .as_ref()
                    .is_none_or(|text| text.chars().count() <= OBSERVED)
            );
            assert!(check.failed >= 0);
        }
    }
}

#[test]
fn a_suspended_rule_hears_nothing() {
    let mut checks = checks();
    let mut rule = rule();
    rule.spec.suspend = true;
    let heard = [(
        "sane-monitor".to_owned(),
        vec![pod("v1", MINUTE, vec![verdict("rows", "9", 1)])],
    )];
    let history = &mut History::default();
    settle(
        &rule,
        Some(&monitors()),
        &heard.into(),
        &mut checks,
        history,
        at(2),
    );
    assert_eq!(checks, super::tests::checks());
}

#[test]
fn the_contract_is_judged_without_a_window() {
    let rule: QualityRule = serde_json::from_value(json!({"metadata": {"name": "sane"},
        "spec": {"stream": "orders", "checks": [{"name": "shape", "schema": {"columns": [{"name": "id"}]}}]}}))
    .unwrap();
    let mut checks = vec![CheckStatus {
        name: "shape".into(),
        ..CheckStatus::default()
    }];
    let mut ask = |lacks: Option<&str>, minutes| {
        let lacks = lacks.map(str::to_owned);
        let matched = [("shape".to_owned(), Matched { lacks })].into();
        of_contract(&rule, Some(&matched), &mut checks, at(minutes));
        (shown(&checks, "shape"), found(&rule.spec, &checks))
    };
    assert_eq!(ask(None, 1), ((None, None, Some(true), 0), Found::Passed));
    let lacking = || (None, Some("no id".to_owned()), Some(false), 1);
    let mismatch = || Found::Mismatch(vec!["shape".into()]);
    assert_eq!(ask(Some("no id"), 2), (lacking(), mismatch()));
    assert_eq!(ask(Some("no id"), 3), (lacking(), mismatch()));
    assert_eq!(ask(None, 4).0, (None, None, Some(true), 1));
}

#[test]
fn a_window_is_judged_by_those_before_it_and_silence_by_the_clock() {
    let rule: QualityRule = serde_json::from_value(json!({
        "metadata": {"name": "sane", "creationTimestamp": "1970-01-01T00:00:00Z"},
        "spec": {"stream": "orders", "window": "1h", "checks": [
            {"name": "volume", "anomaly": {"season": "None", "consecutive": 1}}]}}))
    .unwrap();
    let mut monitors = monitors();
    monitors.queries.truncate(1);
    monitors.queries[0].window_ms = 3_600_000;
    monitors.queries[0].judges = Judges::Windows(vec!["volume".into()]);
    let mut checks = vec![CheckStatus {
        name: "volume".into(),
        ..CheckStatus::default()
    }];
    let mut history = History::default();
    let mut hear = |hour: i64, observed: &str, minutes: i64| {
        let heard = vec![pod(
            "v1",
            hour * 60 * MINUTE,
            vec![verdict("volume", observed, 0)],
        )];
        let heard = [("sane-monitor".to_owned(), heard)].into();
        settle(
            &rule,
            Some(&monitors),
            &heard,
            &mut checks,
            &mut history,
            at(minutes),
        );
        (shown(&checks, "volume"), found(&rule.spec, &checks))
    };
    for hour in 1..=24 {
        let (shown, found) = hear(hour, "100", hour * 60 + 1);
        assert_eq!((shown.2, found), (None, Found::Nothing));
    }
    let (told, _) = hear(25, "100", 25 * 60 + 1);
    let usual = || Some("100 (usual 100, z 0.0)".to_owned());
    assert_eq!(told, (Some(25 * 60), usual(), Some(true), 0));
    let (told, found) = hear(26, "50", 26 * 60 + 1);
    let low = || Some("50 (usual 100, z -50.0)".to_owned());
    let failed = || Found::Failed(vec!["volume".into()]);
    assert_eq!(
        (told, found),
        ((Some(26 * 60), low(), Some(false), 1), failed())
    );
    // The same window again changes nothing.
    assert_eq!(
        hear(26, "50", 26 * 60 + 2).0,
        (Some(26 * 60), low(), Some(false), 1)
    );
    assert_eq!(hear(27, "100", 27 * 60 + 1).0.2, Some(true));
}
