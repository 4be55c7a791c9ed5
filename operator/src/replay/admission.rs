//! A Replay in admission: its streams may be on their way; what is wrong as things are is said before it runs.

use headworks_crds::{Replay, ReplayReason};
use headworks_plan::Contract;
use kube::ResourceExt;

use super::{into_pipeline, misspelt, validate};
use crate::{
    admission::{AdmissionDecision, Around, Request, Reviewed},
    hints::missing,
    impact::{self, CatalogSnapshot},
};

impl Reviewed for Replay {
    fn review(request: &Request<Self>, around: Around<'_>) -> AdmissionDecision {
        review(&request.new, &around.snapshot())
    }

    fn deletion(_: &str, _: &Around<'_>) -> AdmissionDecision {
        AdmissionDecision::pass()
    }
}

/// Pure.
fn review(new: &Replay, snapshot: &CatalogSnapshot) -> AdmissionDecision {
    let mut decision = AdmissionDecision::pass();
    let (spec, namespace) = (&new.spec, new.namespace().unwrap_or_default());
    let mut contract = |name: &str, field: &str| -> Option<Contract> {
        let key = (namespace.clone(), name.to_owned());
        if let Some(stream) = snapshot.streams.get(&key) {
            return Some(impact::Stream::effective(stream));
        }
        if !snapshot.unread.contains(&key) {
            let known = snapshot.streams.keys().map(|(_, name)| name.as_str());
            let missing = missing("DataStream", name, "Replay", known);
            decision.warn(format!("{field}: {missing}"));
        }
        None
    };
    let source = contract(spec.source(), spec.source_field());
    let target = if spec.source() == spec.target() {
        source.clone()
    } else {
        contract(spec.target(), spec.target_field())
    };
    if let (Some(source), Some(target)) = (source, target)
        && let Err(error) = validate::check(spec, &source, &target)
    {
        decision.warn(format!(
            "not right as things are ({}): {}",
            error.reason(),
            error.message()
        ));
    }
    if let Some(name) = spec.into_pipeline() {
        let key = (namespace.clone(), name.to_owned());
        if let Some(pipeline) = snapshot.pipelines.get(&key) {
            if let Some(fault) = into_pipeline::spec_fault(spec, pipeline) {
                decision.warn(format!("not right as things are (NotSupported): {fault}"));
            }
        } else {
            let known = snapshot.pipelines.keys().map(|(_, name)| name.as_str());
            let missing = missing("Pipeline", name, "Replay", known);
            decision.warn(format!("spec.into.pipeline: {missing}"));
        }
    }
    let rules: Vec<&str> = snapshot
        .rules
        .keys()
        .map(|(_, name)| name.as_str())
        .collect();
    let others = snapshot.records.keys().map(|(_, (_, name))| name.as_str());
    let pipelines = snapshot.pipelines.keys().map(|(_, name)| name.as_str());
    let writers: Vec<&str> = pipelines.chain(others).collect();
    for (field, told) in misspelt::names(spec, &rules, &writers) {
        decision.warn(format!("{field}: {told}"));
    }
    let unreadable = |reason| matches!(reason, ReplayReason::Decode | ReplayReason::Contract);
    if !spec.from.reasons.is_empty() && spec.from.reasons.iter().copied().all(unreadable) {
        decision.warn(
            "spec.from.reasons: what can't be read by the contract is refused again, unless the contract has changed since: a fix sees only records that can be read",
        );
    }
    decision
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{impact::Stream, planning::testing::contract};

    fn warnings(spec: &Value) -> Vec<String> {
        let orders = Stream {
            contract: contract(&[("id", "string", false), ("amount", "int", false)]),
            ..Stream::default()
        };
        let snapshot = CatalogSnapshot {
            streams: [(("shop".into(), "orders".into()), orders)].into(),
            ..CatalogSnapshot::default()
        };
        let new = json!({"apiVersion": "headworks.dev/v1alpha1", "kind": "Replay",
            "metadata": {"name": "again", "namespace": "shop"}, "spec": spec});
        review(&serde_json::from_value(new).unwrap(), &snapshot).warnings
    }

    #[test]
    fn a_right_one_passes_without_a_word() {
        let none: [String; 0] = [];
        assert_eq!(warnings(&json!({"from": {"deadLetterOf": "orders"}})), none);
    }

    #[test]
    fn what_is_missing_or_does_not_fit_is_told_before_it_runs() {
        let near = warnings(&json!({"from": {"deadLetterOf": "order"}}));
        assert_eq!(
            near,
            [
                "spec.from.deadLetterOf: DataStream order isn't there yet: the Replay waits for it; did you mean orders?"
            ]
        );
        let misfit =
            warnings(&json!({"from": {"deadLetterOf": "orders"}, "fix": "SELECT id FROM orders"}));
        assert!(
            misfit[0].contains("OutputMismatch") && misfit[0].contains("amount"),
            "{misfit:?}"
        );
        let nobody =
            warnings(&json!({"from": {"deadLetterOf": "orders"}, "into": {"pipeline": "p"}}));
        assert!(
            nobody[0].starts_with("spec.into.pipeline: Pipeline p isn't there yet"),
            "{nobody:?}"
        );
        let unreadable =
            warnings(&json!({"from": {"deadLetterOf": "orders", "reasons": ["Decode"]}}));
        assert!(
            unreadable[0].starts_with("spec.from.reasons: "),
            "{unreadable:?}"
        );
    }
}
