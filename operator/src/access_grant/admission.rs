//! An AccessGrant in admission: whether it is over, what the client will see, and whether its namespace takes the grant.

use std::collections::BTreeSet;

use headworks_crds::{ACCEPT_GRANTS, AccessGrant, AccessGrantSpec};
use k8s_openapi::jiff::Timestamp;
use kube::{ResourceExt, runtime::reflector::ObjectRef};

use super::accept::{self, Word};
use crate::{
    admission::{AdmissionDecision, Around, Request, Reviewed},
    hints::{hint, missing},
    impact::CatalogSnapshot,
    stores::Stores,
};

impl Reviewed for AccessGrant {
    fn review(request: &Request<Self>, around: Around<'_>) -> AdmissionDecision {
        let now = around.now.as_second();
        let mut decision = review(&request.new, now, &around.snapshot());
        accepted(&request.new, around.stores, &mut decision);
        decision
    }

    fn deletion(_: &str, _: &Around<'_>) -> AdmissionDecision {
        AdmissionDecision::pass()
    }
}

/// What the client gets, and when. `now` is in seconds since 1970. Pure.
fn review(new: &AccessGrant, now: i64, snapshot: &CatalogSnapshot) -> AdmissionDecision {
    let mut decision = AdmissionDecision::pass();
    // One that is no instant is a fault of the spec's.
    if let Some(text) = &new.spec.expires
        && text
            .parse()
            .is_ok_and(|at: Timestamp| at.as_second() <= now)
    {
        decision.warn(format!(
            "spec.expires: {text} is over: the client gets no rights"
        ));
    }
    let namespace = new.namespace().unwrap_or_default();
    unknown_labels(&new.spec, &namespace, snapshot, &mut decision);
    for name in new.spec.read.iter().chain(&new.spec.write) {
        let Some(stream) = snapshot.streams.get(&(namespace.clone(), name.clone())) else {
            let known = snapshot.streams.keys().map(|(_, name)| name.as_str());
            decision.warn(missing("DataStream", name, "AccessGrant", known));
            continue;
        };
        if !new.spec.read.contains(name) {
            continue;
        }
        let shown: Vec<String> = stream
            .effective()
            .fields
            .into_iter()
            .filter(|f| !f.labels.is_empty())
            .filter(|f| !f.labels.iter().any(|l| new.spec.except_labels.contains(l)))
            .map(|f| format!("{} ({})", f.name, f.labels.join(", ")))
            .collect();
        if !shown.is_empty() {
            decision.warn(format!(
                "the client will read fields of DataStream {name} that carry labels: {}; leave them out with exceptLabels",
                shown.join(", ")
            ));
        }
    }
    decision
}

/// Labels that no field of the streams has: a slip of the pen there shows a client what it mustn't see.
fn unknown_labels(
    spec: &AccessGrantSpec,
    namespace: &str,
    snapshot: &CatalogSnapshot,
    decision: &mut AdmissionDecision,
) {
    let streams = spec
        .read
        .iter()
        .filter_map(|name| snapshot.streams.get(&(namespace.to_owned(), name.clone())));
    let known: BTreeSet<String> = streams
        .flat_map(|stream| stream.effective().fields)
        .flat_map(|field| field.labels)
        .collect();
    for label in spec.except_labels.iter().filter(|l| !known.contains(*l)) {
        let hint = hint(label, known.iter().map(String::as_str));
        decision.warn(format!(
            "spec.exceptLabels: no field of the streams has label {label} now: nothing is left out by it{hint}"
        ));
    }
}

/// Whether the client's namespace takes grants of this one.
fn accepted(new: &AccessGrant, stores: &Stores, decision: &mut AdmissionDecision) {
    let grantor = new.namespace().unwrap_or_default();
    let client = &new.spec.to.namespace;
    let there = stores.namespaces.get(&ObjectRef::new(client));
    let annotation = there
        .as_ref()
        .and_then(|n| n.annotations().get(ACCEPT_GRANTS).cloned());
    let labels = stores.namespace_labels(client);
    match accept::word(&labels, annotation.as_deref(), &grantor) {
        Word::Accepts => {}
        Word::AcceptsAll => decision.warn(accept::outdated(client, &grantor)),
        Word::Refuses => decision.warn(format!(
            "spec.to.namespace: {}",
            accept::refusal(client, &grantor)
        )),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{contract, controller::Reconciler, impact::Stream};

    fn snapshot() -> CatalogSnapshot {
        let spec = json!({"schema": [{"name": "id", "type": "string"}, {"name": "mail", "type": "string", "labels": ["pii"]}]});
        let spec = serde_json::from_value(spec).unwrap();
        let stream = Stream {
            contract: contract::wanted(("shop", "a"), &spec, None).unwrap(),
            ..Stream::default()
        };
        CatalogSnapshot {
            streams: [(("shop".into(), "a".into()), stream)].into(),
            ..CatalogSnapshot::default()
        }
    }

    #[test]
    fn a_grant_of_labelled_fields_is_told() {
        let ask = |more: serde_json::Value| {
            let mut spec = json!({"to": {"namespace": "bi", "name": "app"}, "read": ["a"]});
            spec.as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            let new = json!({"apiVersion": "headworks.dev/v1alpha1", "kind": "AccessGrant",
                "metadata": {"name": "g", "namespace": "shop"}, "spec": spec});
            let new: AccessGrant = serde_json::from_value(new).unwrap();
            (
                !new.spec_faults().is_empty(),
                review(&new, 1_800_000_000, &snapshot()),
            )
        };
        assert!(ask(json!({})).1.warnings[0].contains("mail (pii)"));
        assert_eq!(
            ask(json!({"exceptLabels": ["pii"]})),
            (false, AdmissionDecision::pass())
        );
        let told = ask(json!({"exceptLabels": ["pii", "pij"]})).1.warnings;
        assert_eq!(
            told,
            [
                "spec.exceptLabels: no field of the streams has label pij now: nothing is left out by it; did you mean pii?"
            ]
        );
        assert!(ask(json!({"expires": "2026-02-30T00:00:00Z"})).0);
        let over =
            json!({"expires": "2020-01-01T00:00:00Z", "exceptLabels": ["pii"], "write": ["b"]});
        assert_eq!(ask(over).1.warnings.len(), 2);
    }
}
