use headworks_crds::QualityRuleSpec;
use headworks_plan::{Contract, EventTime as PlanTime, Field as PlanField};
use serde_json::{Value, json};

use super::*;
use crate::{owned_objects::body, planning::rules::Named};

fn rule(checks: Value) -> QualityRule {
    serde_json::from_value(json!({
        "metadata": {"name": "orders-sane", "namespace": "shop", "uid": "u"},
        "spec": {"stream": "orders", "window": "5m", "filter": "country = 'DE'", "checks": checks}}))
    .unwrap()
}

fn monitors(spec: &QualityRuleSpec) -> Monitors {
    let field = |name: &str, data_type: &str| PlanField::new(name, data_type, true);
    let contract = Contract {
        fields: vec![
            field("id", "string"),
            field("country", "string"),
            field("amount", "decimal(12,2)"),
            PlanField::new("at", "timestamp_ltz(3)", false),
        ],
        event_time: Some(PlanTime {
            field: "at".into(),
            max_out_of_orderness_ms: 0,
            idle_timeout_ms: None,
        }),
        ..Contract::default()
    };
    let named = Named {
        name: "orders-sane",
        generation: 1,
        spec,
    };
    monitor::of(named, &contract).unwrap().unwrap()
}

#[test]
fn what_a_rule_owns() {
    let rule = rule(json!([
        {"name": "rows", "rowCount": {"min": 1}},
        {"unique": {"key": ["id"], "within": "1h"}},
    ]));
    let monitors = monitors(&rule.spec);
    let start = beginning(300_000, "2026-11-30T12:07:30Z".parse().unwrap());
    let time = start.time.as_ref().map(|time| time.0.to_string());
    assert_eq!(
        time.as_deref(),
        Some("2026-11-30T12:00:00Z"),
        "the window before"
    );
    insta::assert_yaml_snapshot!(
        "verdicts",
        body(&stream(&rule, &monitors.verdicts, "default")).unwrap()
    );
    for one in &monitors.queries {
        let built = pipeline(&rule, one, &monitors.verdicts, "default", start.clone());
        insta::assert_yaml_snapshot!(one.name.clone(), body(&built).unwrap());
    }
}

fn live(condition: Value) -> Pipeline {
    serde_json::from_value(json!({"metadata": {"name": "p", "generation": 2},
        "spec": {"sql": "SELECT 1", "to": []}, "status": {"conditions": [condition]}}))
    .unwrap()
}

fn condition(type_: &str, status: &str, reason: &str) -> Value {
    json!({"type": type_, "status": status, "reason": reason, "message": "m", "observedGeneration": 2,
        "lastTransitionTime": "2026-01-01T00:00:00Z"})
}

#[test]
fn a_monitor_that_does_not_judge_is_said_on_the_rule() {
    let ready = live(condition("Ready", "True", "Running"));
    let figures = |lag, delay_ms| Coarse {
        lag: Some(lag),
        delay_ms: Some(delay_ms),
        ..Coarse::default()
    };
    assert_eq!(
        state(Some(&ready), Some(&figures(0, 900_000)), 60_000),
        MonitorState::Judges
    );
    assert_eq!(
        state(Some(&ready), Some(&figures(9, 120_000)), 60_000),
        MonitorState::Judges
    );
    let behind = state(Some(&ready), Some(&figures(9, 180_000)), 60_000);
    let stalled = state(
        Some(&live(condition("Stalled", "True", "DataLost"))),
        None,
        60_000,
    );
    let starting = state(
        Some(&live(condition("Ready", "False", "PodsNotReady"))),
        None,
        60_000,
    );
    let changed = state(
        Some(&live(condition("Stalled", "True", "StateChange"))),
        None,
        60_000,
    );
    assert!(
        matches!(changed, MonitorState::Starting(_)),
        "it is made again"
    );
    assert!(matches!(
        state(None, None, 60_000),
        MonitorState::Starting(_)
    ));
    let outcome = || ReconcileOutcome::ready(ConditionReason::Judging, "by all");
    let said = |state: &MonitorState| {
        let outcome = with(outcome(), &[("m".to_owned(), state.clone())]);
        (
            outcome.ready,
            outcome.reason.as_str().to_owned(),
            outcome.message,
        )
    };
    assert_eq!(
        said(&MonitorState::Judges),
        (true, "Judging".into(), "by all".into())
    );
    let (ready, reason, message) = said(&behind);
    assert_eq!((ready, reason.as_str()), (false, "MonitorBehind"));
    assert!(
        message.contains("9 records are not read yet, and it is 3m behind"),
        "{message}"
    );
    assert_eq!(said(&starting).1, "MonitorStarting");
    let (_, reason, message) = said(&stalled);
    assert_eq!(reason, "MonitorStalled");
    assert_eq!(
        message,
        "windows aren't judged: Pipeline m is Stalled: DataLost: m"
    );
    let rolling = ReconcileOutcome::progressing(ConditionReason::RuleRollingOut, "soon");
    let both = with(rolling, &[("m".to_owned(), stalled)]);
    assert_eq!(both.reason.as_str(), "RuleRollingOut");
}

#[test]
fn only_a_state_that_does_not_fit_is_given_up() {
    assert!(needs_another_state(&live(condition(
        "Stalled",
        "True",
        "StateChange"
    ))));
    assert!(!needs_another_state(&live(condition(
        "Stalled",
        "True",
        "InvalidSql"
    ))));
    let mut older = live(condition("Stalled", "True", "StateChange"));
    older.metadata.generation = Some(3);
    assert!(
        !needs_another_state(&older),
        "that was said of the query before"
    );
}
