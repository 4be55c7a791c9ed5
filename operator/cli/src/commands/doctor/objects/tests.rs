//! Which objects are told of, and with which words.

use serde_json::{Value, json};

use super::*;

fn object(status: Value) -> DynamicObject {
    serde_json::from_value(json!({
        "apiVersion": "headworks.dev/v1alpha1", "kind": "Pipeline",
        "metadata": {"name": "p", "namespace": "shop", "generation": 2}, "status": status,
    }))
    .unwrap_or_else(|e| panic!("{e}"))
}

fn items(objects: &[DynamicObject]) -> Vec<Item> {
    let mut found = Found::default();
    found.kind("Pipeline", objects);
    found.items()
}

#[test]
fn what_is_not_ready_is_told_with_the_runbooks_remedy() {
    let conditions = json!([
        {"type": "Ready", "status": "False", "reason": "StreamLoop", "message": "a → a"},
        {"type": "Stalled", "status": "True", "reason": "StreamLoop", "message": "a → a"}]);
    let ready = json!([{"type": "Ready", "status": "True", "reason": "Running", "message": ""}]);
    let mut well = object(json!({"observedGeneration": 2, "conditions": ready}));
    well.metadata.name = Some("q".into());
    let items = items(&[object(json!({"conditions": conditions})), well]);
    assert_eq!(items[0].said, "1 of 2 are Ready");
    assert_eq!(items[1].what, "Pipeline shop/p");
    assert_eq!(items[1].said, "StreamLoop: a → a");
    assert!(items[1].remedy.ends_with("Break the ring."), "{items:?}");
}

#[test]
fn every_kind_is_looked_at_and_has_its_lines() {
    let resources: Vec<String> = resources().into_iter().map(|(r, _)| r.kind).collect();
    assert_eq!(resources, headworks_crds::kinds::NAMES);
    let conditions = |status: &str| {
        let reason = if status == "True" {
            "Running"
        } else {
            "InvalidSpec"
        };
        json!({"observedGeneration": 2, "conditions": [
            {"type": "Ready", "status": status, "reason": reason, "message": "it says why"}]})
    };
    for kind in headworks_crds::kinds::NAMES {
        let mut found = Found::default();
        found.kind(
            kind,
            &[object(conditions("True")), object(conditions("False"))],
        );
        let items = found.items();
        assert_eq!(items[0].what, format!("{kind}s"));
        assert_eq!(items[0].said, "1 of 2 are Ready");
        assert_eq!(items[1].what, format!("{kind} shop/p"));
        assert_eq!(items[1].said, "InvalidSpec: it says why");
        assert!(!items[1].remedy.is_empty(), "{items:?}");
    }
}

#[test]
fn an_object_that_nobody_looked_at_is_a_problem() {
    for status in [Value::Null, json!({"observedGeneration": -1})] {
        let items = items(&[object(status)]);
        assert_eq!(items[0].said, "nobody has looked at it yet");
        assert_eq!(items[0].remedy, "does the operator run?");
    }
}

#[test]
fn what_was_said_of_an_older_spec_is_not_repeated() {
    let conditions = json!([
        {"type": "Ready", "status": "False", "reason": "InvalidSql", "message": "line 1"},
        {"type": "Stalled", "status": "True", "reason": "InvalidSql", "message": "line 1"}]);
    let items = items(&[object(
        json!({"observedGeneration": 1, "conditions": conditions}),
    )]);
    assert_eq!(items.len(), 1, "{items:?}");
    assert_eq!(items[0].health, super::super::Health::Warning);
    assert!(items[0].said.starts_with("its newest spec"), "{items:?}");
}

#[test]
fn dead_letters_and_shared_targets_are_told_of_one_that_is_well() {
    let items = items(
        &[object(json!({"observedGeneration": 2, "deadLetters": 2790,
        "deadLettersByReason": {"Decode": 290, "Late": 0, "Quality": 2500}, "lastDeadLetterTime": "2026-11-30T07:00:00Z", "conditions": [
            {"type": "Ready", "status": "True", "reason": "Running", "message": ""},
            {"type": "SharedTarget", "status": "True", "reason": "SeveralWriters", "message": "stream b …"}]}))],
    );
    let said: Vec<&str> = items.iter().map(|item| item.said.as_str()).collect();
    assert_eq!(
        said,
        [
            "1 of 1 are Ready",
            "SharedTarget (SeveralWriters): stream b …",
            "2790 records (2500 Quality, 290 Decode) went to the dead letters of its inputs since it was made, the last at 2026-11-30T07:00:00Z",
        ]
    );
    assert!(items[1].remedy.contains("UNION ALL"), "{items:?}");
}

#[test]
fn a_replay_that_is_done_is_no_news() {
    let condition = |type_: &str| json!({"type": type_, "status": "True", "reason": "Complete", "message": "10 of 10 selected records are replayed"});
    let done = object(json!({"conditions": [condition("Ready"), condition("Complete")]}));
    let items = notes("Replay", &done);
    assert!(items.is_empty(), "{items:?}");
}

#[test]
fn a_pipeline_that_does_not_add_up_is_told_of_and_one_that_has_not_counted_is_not() {
    let said = |status: &str, reason: &str| {
        let conditions = json!([
            {"type": "Ready", "status": "True", "reason": "Running", "message": ""},
            {"type": "Balanced", "status": status, "reason": reason, "message": "streams: 5 records …"}]);
        let status = json!({"observedGeneration": 2, "conditions": conditions});
        let items = items(&[object(status)]).split_off(1);
        items
            .into_iter()
            .map(|item| (item.said, item.remedy))
            .next()
    };
    assert_eq!(said("True", "Accounted"), None);
    assert_eq!(said("Unknown", "NotCounted"), None);
    let (what, remedy) = said("False", "RecordsMissing").unwrap();
    assert_eq!(what, "RecordsMissing: streams: 5 records …");
    assert!(
        remedy.contains("headworks.dev/accept-imbalance"),
        "{remedy}"
    );
}
