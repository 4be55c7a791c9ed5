//! Sources, DataStores, Platforms and AccessGrants: the spec by itself; what it names may be on its way.

use headworks_crds::{AccessGrant, AccessGrantSpec, DataStore, Platform, Source};
use kube::ResourceExt;

use std::collections::BTreeSet;

use super::decision::{AdmissionDecision, Request};
use crate::{
    connectors::{sources, stores},
    hints::{hint, missing},
    impact::CatalogSnapshot,
    planning::shared,
};

/// Judges a Source.
pub fn source(
    request: &Request<Source>,
    snapshot: impl FnOnce() -> CatalogSnapshot,
) -> AdmissionDecision {
    let new = &request.new;
    if let Err(fault) = headworks_crds::check(&new.spec) {
        return AdmissionDecision::deny(fault);
    }
    if let Err(error) = sources::check(&new.spec) {
        return AdmissionDecision::deny(error.message());
    }
    let mut decision = AdmissionDecision::pass();
    let key = (new.namespace().unwrap_or_default(), new.spec.into.clone());
    let snapshot = snapshot();
    if !snapshot.streams.contains_key(&key) {
        let known = snapshot.streams.keys().map(|(_, name)| name.as_str());
        let missing = missing("DataStream", &key.1, "Source", known);
        decision.warn(format!("spec.into: {missing}"));
    }
    let own = shared::target(&new.spec);
    let writers: Vec<&str> = snapshot
        .pipelines
        .iter()
        .filter(|(_, spec)| {
            own.as_ref()
                .is_some_and(|t| shared::targets(spec).contains(t))
        })
        .map(|((_, name), _)| name.as_str())
        .collect();
    if !writers.is_empty() {
        decision.warn(format!(
            "spec.into: DataStream {} is written by Pipeline {}, too: records of both are there, and of one key the later one counts",
            key.1,
            writers.join(", ")
        ));
    }
    decision
}

/// Judges a DataStore.
pub fn data_store(request: &Request<DataStore>) -> AdmissionDecision {
    let new = &request.new;
    if let Err(fault) = headworks_crds::check(&new.spec) {
        return AdmissionDecision::deny(fault);
    }
    match stores::address(&new.spec) {
        Ok(_) => AdmissionDecision::pass(),
        Err(error) => AdmissionDecision::deny(error.message()),
    }
}

/// Judges a Platform.
pub fn platform(request: &Request<Platform>) -> AdmissionDecision {
    match headworks_crds::check(&request.new.spec) {
        Ok(()) => AdmissionDecision::pass(),
        Err(fault) => AdmissionDecision::deny(fault),
    }
}

/// Judges an AccessGrant. `now` is in seconds since 1970.
pub fn grant(
    request: &Request<AccessGrant>,
    now: i64,
    snapshot: impl FnOnce() -> CatalogSnapshot,
) -> AdmissionDecision {
    let new = &request.new;
    if let Err(fault) = headworks_crds::check(&new.spec) {
        return AdmissionDecision::deny(fault);
    }
    let mut decision = AdmissionDecision::pass();
    if let Some(text) = &new.spec.expires {
        match text.parse::<jiff::Timestamp>() {
            Err(_) => {
                return AdmissionDecision::deny(format!(
                    "spec.expires: {text} is no instant: write it as 2027-01-01T00:00:00Z"
                ));
            }
            Ok(at) if at.as_second() <= now => {
                decision.warn(format!(
                    "spec.expires: {text} is over: the client gets no rights"
                ));
            }
            Ok(_) => {}
        }
    }
    let snapshot = snapshot();
    let namespace = new.namespace().unwrap_or_default();
    unknown_labels(&new.spec, &namespace, &snapshot, &mut decision);
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{contract, impact::Stream};

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
            let new = serde_json::from_value(new).unwrap();
            grant(&Request { new, old: None }, 1_800_000_000, snapshot)
        };
        assert!(ask(json!({})).warnings[0].contains("mail (pii)"));
        assert_eq!(
            ask(json!({"exceptLabels": ["pii"]})),
            AdmissionDecision::pass()
        );
        let told = ask(json!({"exceptLabels": ["pii", "pij"]})).warnings;
        assert_eq!(
            told,
            [
                "spec.exceptLabels: no field of the streams has label pij now: nothing is left out by it; did you mean pii?"
            ]
        );
        assert!(
            ask(json!({"expires": "2026-02-30T00:00:00Z"}))
                .denied
                .is_some()
        );
        let over =
            json!({"expires": "2020-01-01T00:00:00Z", "exceptLabels": ["pii"], "write": ["b"]});
        assert_eq!(ask(over).warnings.len(), 2);
    }

    #[test]
    fn a_source_waits_for_its_stream() {
        let new = json!({"apiVersion": "headworks.dev/v1alpha1", "kind": "Source",
            "metadata": {"name": "s", "namespace": "shop"}, "spec": {"into": "nobody", "http": {}}});
        let new: Source = serde_json::from_value(new).unwrap();
        let decision = source(&Request { new, old: None }, snapshot);
        assert_eq!((decision.denied, decision.warnings.len()), (None, 1));
    }

    #[test]
    fn a_source_beside_a_pipeline_is_told() {
        let mut snapshot = snapshot();
        let spec = json!({"sql": "SELECT id FROM b", "to": [{"stream": "a"}]});
        let spec = serde_json::from_value(spec).unwrap();
        snapshot
            .pipelines
            .insert(("shop".into(), "fill".into()), spec);
        let ask = |suspend: bool| {
            let new = json!({"apiVersion": "headworks.dev/v1alpha1", "kind": "Source",
                "metadata": {"name": "s", "namespace": "shop"}, "spec": {"into": "a", "http": {}, "suspend": suspend}});
            let new = serde_json::from_value(new).unwrap();
            source(&Request { new, old: None }, || snapshot.clone()).warnings
        };
        assert!(ask(false)[0].contains("written by Pipeline fill, too"));
        assert!(ask(true).is_empty());
    }
}
