//! A QualityRule in admission: whether it fits the contract that its stream has now, who judges by it, what it contradicts, and whether
//! it would refuse most of what comes.
//!
//! The rule's own text is proved by itself (`spec_faults`); its stream may be on its way, or about to change, so what doesn't fit that is
//! a warning, and the rule isn't applied until it does.

use headworks_crds::{QualityRule, QualityRuleSpec, QualityRuleStatus, fault_text};
use headworks_plan::{Contract, RuleAction};
use kube::{ResourceExt, runtime::reflector::ObjectRef};

use crate::{
    admission::{AdmissionDecision, Around, Request, Reviewed, listed},
    data_stream::admission::users,
    hints::missing,
    impact::CatalogSnapshot,
    planning::rules::{self, Named, action, monitor, unnamed},
    stores::Stores,
};

impl Reviewed for QualityRule {
    fn review(request: &Request<Self>, around: Around<'_>) -> AdmissionDecision {
        let snapshot = around.snapshot();
        let others = others(&request.new, around.stores);
        review(request, &snapshot, &others)
    }

    fn deletion(name: &str, around: &Around<'_>) -> AdmissionDecision {
        let key = ObjectRef::new(name).within(around.namespace);
        let rule = around.stores.quality_rules.get(&key);
        let spec = rule.and_then(|rule| Some(rule.0.as_ref().ok()?.spec.clone()));
        let mut decision = AdmissionDecision::pass();
        if let Some(told) = spec.and_then(|spec| verdicts_go(name, &spec, &around.snapshot())) {
            decision.warn(told);
        }
        decision
    }
}

/// What goes with the stream of a rule's verdicts; none where it has no such stream. Pure.
fn verdicts_go(name: &str, spec: &QualityRuleSpec, snapshot: &CatalogSnapshot) -> Option<String> {
    let names = monitor::names(name, spec)?;
    let mut users = users(&names.verdicts, snapshot);
    // Its own monitors write it.
    users.retain(|user| {
        let own = |pipeline: &String| *user == format!("Pipeline {pipeline} (writes it)");
        !names.pipelines.iter().any(own)
    });
    let waiting = match users.as_slice() {
        [] => String::new(),
        users => format!("; it is in use by {}", listed(users)),
    };
    Some(format!(
        "DataStream {} goes with the checks of many records of QualityRule {name}, its topic and all verdicts in it, too{waiting}; where they are still needed, copy them by a Pipeline first, or set suspend: true instead",
        names.verdicts
    ))
}

/// The other rules of the stream.
fn others(rule: &QualityRule, stores: &Stores) -> Vec<QualityRule> {
    let (namespace, name) = (rule.namespace(), rule.name_any());
    let all = stores.quality_rules.state();
    all.iter()
        .filter_map(|guarded| guarded.0.as_ref().ok())
        .filter(|other| other.namespace() == namespace && other.name_any() != name)
        .filter(|other| other.spec.stream == rule.spec.stream && !other.spec.suspend)
        .cloned()
        .collect()
}

/// Pure.
fn review(
    request: &Request<QualityRule>,
    snapshot: &CatalogSnapshot,
    others: &[QualityRule],
) -> AdmissionDecision {
    let (new, spec) = (&request.new, &request.new.spec);
    let mut decision = AdmissionDecision::pass();
    if let Some(old) = &request.old
        && let Some(status) = &old.status
    {
        strict(spec, &old.spec, status, &mut decision);
    }
    if let Some(old) = &request.old
        && monitor::names(&new.name_any(), spec).is_none()
        && let Some(told) = verdicts_go(&new.name_any(), &old.spec, snapshot)
    {
        decision.warn(told);
    }
    let key = (new.namespace().unwrap_or_default(), spec.stream.clone());
    // Windows are judged by monitors, whoever writes the topic.
    let of_records = spec
        .checks
        .iter()
        .any(headworks_crds::QualityCheck::is_of_record);
    if of_records && !judged(&spec.stream, snapshot) && !spec.suspend {
        decision.warn(format!(
            "no Source writes DataStream {} and no Pipeline reads it: nothing is judged until one does",
            spec.stream
        ));
    }
    let Some(stream) = snapshot.streams.get(&key) else {
        if snapshot.unread.contains(&key) {
            decision.warn(format!(
                "spec.stream: DataStream {} has no contract yet (its conditions say why): see the rule's conditions later",
                key.1
            ));
        } else {
            let known = snapshot.streams.keys().map(|(_, name)| name.as_str());
            let missing = missing("DataStream", &key.1, "QualityRule", known);
            decision.warn(format!("spec.stream: {missing}"));
        }
        return decision;
    };
    let contract = stream.effective();
    let name = new.name_any();
    let own = named(&name, spec);
    if let Err(faults) = rules::plan(own, &contract) {
        let text = fault_text(&faults).unwrap_or_default();
        decision.warn(format!(
            "not right as things are (InvalidRule), and nothing is judged by it until it is: {text}"
        ));
        return decision;
    }
    for fault in referred(spec, &contract, &key.0, snapshot) {
        decision.warn(format!(
            "no record is judged by it until this is right: {fault}"
        ));
    }
    for failing in rules::schema_match::failing(spec, &contract) {
        decision.warn(failing.to_string());
    }
    for other in others {
        let name = other.name_any();
        for told in rules::between(named(&name, &other.spec), own, &contract) {
            decision.warn(told);
        }
    }
    decision
}

/// What is wrong with what a rule refers to, as things are.
fn referred(
    spec: &QualityRuleSpec,
    contract: &Contract,
    namespace: &str,
    snapshot: &CatalogSnapshot,
) -> Vec<String> {
    let find = |stream: &str| {
        let key = (namespace.to_owned(), stream.to_owned());
        snapshot.streams.get(&key)
    };
    let mut told = Vec::new();
    for (index, check) in spec.checks.iter().enumerate() {
        let stream = check.references.as_ref().map(|check| check.stream.as_str());
        let Some(stream) = stream.filter(|stream| find(stream).is_none()) else {
            continue;
        };
        let known = snapshot.streams.keys().map(|(_, name)| name.as_str());
        let missing = missing("DataStream", stream, "QualityRule", known);
        told.push(format!("spec.checks[{index}].references.stream: {missing}"));
    }
    let contract_of = |stream: &str| find(stream).map(|stream| &stream.contract);
    let faults = monitor::references::faults(spec, contract, contract_of);
    told.extend(faults.iter().map(ToString::to_string));
    told
}

fn named<'a>(name: &'a str, spec: &'a QualityRuleSpec) -> Named<'a> {
    Named {
        name,
        generation: 0,
        spec,
    }
}

/// True: somebody brings records into the stream, or reads them to write something, and judges them: a Replay doesn't.
fn judged(stream: &str, snapshot: &CatalogSnapshot) -> bool {
    let mut records = snapshot.records.iter();
    let written = records.any(|((kind, _), used)| *kind != "Replay" && used.is_writer(stream));
    let read = snapshot.pipelines.values().any(|spec| {
        crate::planning::query::inputs(&spec.sql)
            .is_ok_and(|all| all.iter().any(|one| one == stream))
    });
    written || read
}

/// A check that let records pass until now, or was none, and would refuse more than half of those that were judged.
fn strict(
    new: &QualityRuleSpec,
    old: &QualityRuleSpec,
    status: &QualityRuleStatus,
    decision: &mut AdmissionDecision,
) {
    let checked = status.checked.unwrap_or(0);
    if checked == 0 || new.filter != old.filter || new.suspend {
        return;
    }
    let of_records = new.checks.iter().enumerate();
    for (index, check) in of_records.filter(|(_, check)| check.is_of_record()) {
        let before = old
            .checks
            .iter()
            .position(|one| unnamed(one) == unnamed(check));
        let Some((at, before)) = before.and_then(|at| Some((at, old.checks.get(at)?))) else {
            continue;
        };
        let lets_pass = action(old.on_error, before.severity) == RuleAction::Alert;
        let refuses = action(new.on_error, check.severity) != RuleAction::Alert;
        let called = before.called(at);
        let failed = status.checks.iter().find(|one| one.name == called);
        let failed = failed.map_or(0, |one| one.failed);
        if lets_pass && refuses && failed.saturating_mul(2) > checked {
            decision.warn(format!(
                "spec.checks[{index}] ({}): {failed} of the {checked} records judged so far failed it, more than half: with onError {:?} such records go no further",
                check.called(index),
                new.on_error
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use headworks_plan::{Contract, Field};
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        impact::Stream,
        planning::uses::{RecordUse, StreamRef},
    };

    fn rule(name: &str, spec: Value, status: Value) -> QualityRule {
        serde_json::from_value(json!({"metadata": {"name": name, "namespace": "shop"}, "spec": spec, "status": status})).unwrap()
    }

    fn snapshot() -> CatalogSnapshot {
        let stream = Stream {
            contract: Contract {
                fields: vec![
                    Field::new("id", "string", true),
                    Field::new("amount", "int", true),
                ],
                ..Contract::default()
            },
            ..Stream::default()
        };
        let mut snapshot = CatalogSnapshot::default();
        let name = |name: &str| ("shop".to_owned(), name.to_owned());
        snapshot.streams.insert(name("orders"), stream);
        let source = RecordUse {
            writes: vec![StreamRef::new("orders", "spec.into")],
            ..RecordUse::default()
        };
        snapshot.records.insert(("Source", name("in")), source);
        snapshot
    }

    fn warnings(new: QualityRule, old: Option<QualityRule>, others: &[QualityRule]) -> String {
        let decision = review(&Request { new, old }, &snapshot(), others);
        assert_eq!(decision.denied, None);
        decision.warnings.join(" ").replace(" … … ", " ")
    }

    fn simple(check: Value) -> QualityRule {
        rule(
            "sane",
            json!({"stream": "orders", "checks": [check]}),
            Value::Null,
        )
    }

    #[test]
    fn what_becomes_of_verdicts_is_told_before_they_go() {
        let mut snapshot = snapshot();
        for (name, sql, to) in [
            ("sane-monitor", "SELECT id FROM orders", "sane-verdicts"),
            ("alarms", "SELECT records FROM `sane-verdicts`", "alarms"),
        ] {
            let spec = json!({"sql": sql, "to": [{"stream": to}]});
            let spec = serde_json::from_value(spec).unwrap();
            snapshot
                .pipelines
                .insert(("shop".into(), name.into()), spec);
        }
        let with = simple(json!({"rowCount": {"min": 1}}));
        let told = verdicts_go("sane", &with.spec, &snapshot).unwrap();
        assert!(
            told.starts_with("DataStream sane-verdicts goes with the checks"),
            "{told}"
        );
        assert!(
            told.contains("in use by Pipeline alarms (reads it);")
                && !told.contains("sane-monitor"),
            "{told}"
        );
        let without = simple(json!({"notNull": {"field": "id"}}));
        assert_eq!(verdicts_go("sane", &without.spec, &snapshot), None);
        // They go, too, where the rule stays and its last check of many records doesn't.
        let told = warnings(without.clone(), Some(with.clone()), &[]);
        assert!(told.contains("sane-verdicts goes"), "{told}");
        let suspended = QualityRule {
            spec: QualityRuleSpec {
                suspend: true,
                ..with.spec.clone()
            },
            ..with.clone()
        };
        let told = warnings(suspended, Some(with), &[]);
        assert!(!told.contains("sane-verdicts goes"), "{told}");
    }

    #[test]
    fn a_rule_that_fits_passes_in_silence_and_one_that_does_not_is_told() {
        assert_eq!(
            warnings(simple(json!({"notNull": {"field": "id"}})), None, &[]),
            ""
        );
        let told = warnings(simple(json!({"notNull": {"field": "ids"}})), None, &[]);
        assert!(
            told.contains("InvalidRule") && told.contains("spec.checks[0].notNull.field"),
            "{told}"
        );
        assert!(told.contains("did you mean"), "{told}");
        let shape = json!({"schema": {"columns": [{"name": "id"}, {"name": "coupon"}]}});
        assert_eq!(
            warnings(simple(shape), None, &[]),
            "spec.checks[0].schema: fails as the contract of DataStream orders is now: no coupon"
        );
    }

    #[test]
    fn a_stream_that_is_not_there_and_one_that_nobody_meets_are_told() {
        let new = rule(
            "sane",
            json!({"stream": "order", "checks": [{"notNull": {"field": "id"}}]}),
            Value::Null,
        );
        let told = warnings(new, None, &[]);
        assert!(told.contains("no Source writes DataStream order"), "{told}");
        assert!(
            told.contains("spec.stream: DataStream order isn't there yet")
                && told.contains("did you mean orders?"),
            "{told}"
        );
    }

    #[test]
    fn a_replay_into_the_stream_judges_nothing() {
        let mut snapshot = snapshot();
        let source = snapshot.records.pop_first().unwrap();
        let name = ("shop".to_owned(), "again".to_owned());
        snapshot.records.insert(("Replay", name), source.1);
        let request = Request {
            new: simple(json!({"notNull": {"field": "id"}})),
            old: None,
        };
        let told = review(&request, &snapshot, &[]).warnings.join(" ");
        assert!(
            told.contains("no Source writes DataStream orders"),
            "{told}"
        );
    }

    #[test]
    fn a_rule_that_would_refuse_more_than_half_is_told() {
        let check = json!({"name": "positive", "expression": "amount > 0"});
        let old = |failed: i64| {
            rule(
                "sane",
                json!({"stream": "orders", "onError": "Alert", "checks": [check.clone()]}),
                json!({"checked": 1000, "checks": [{"name": "positive", "failed": failed}]}),
            )
        };
        let new = |on_error: &str| {
            rule(
                "sane",
                json!({"stream": "orders", "onError": on_error, "checks": [{"name": "above", "expression": "amount > 0"}]}),
                Value::Null,
            )
        };
        let told = warnings(new("Quarantine"), Some(old(501)), &[]);
        assert!(told.contains("spec.checks[0] (above): 501 of the 1000 records judged so far failed it, more than half"), "{told}");
        assert_eq!(warnings(new("Quarantine"), Some(old(500)), &[]), "");
        assert_eq!(warnings(new("Alert"), Some(old(900)), &[]), "");
    }

    #[test]
    fn rules_of_one_stream_that_contradict_are_told() {
        let other = rule(
            "low",
            json!({"stream": "orders", "checks": [{"range": {"field": "amount", "max": "5"}}]}),
            Value::Null,
        );
        let told = warnings(
            simple(json!({"range": {"field": "amount", "min": "6"}})),
            None,
            &[other],
        );
        assert!(
            told.contains("contradicts check range-amount of QualityRule low"),
            "{told}"
        );
    }
}
