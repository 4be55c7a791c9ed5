//! A Source in admission: the stream that it writes may be on its way, and others may write it, too.

use headworks_crds::Source;
use kube::ResourceExt;

use crate::{
    admission::{AdmissionDecision, Around, Request, Reviewed},
    hints::missing,
    impact::CatalogSnapshot,
    planning::{
        shared,
        uses::{StreamUse, UsesStreams},
    },
};

impl Reviewed for Source {
    fn review(request: &Request<Self>, around: Around<'_>) -> AdmissionDecision {
        review(&request.new, &around.snapshot())
    }

    fn deletion(_: &str, _: &Around<'_>) -> AdmissionDecision {
        AdmissionDecision::pass()
    }
}

/// Pure.
fn review(new: &Source, snapshot: &CatalogSnapshot) -> AdmissionDecision {
    let mut decision = AdmissionDecision::pass();
    let key = (new.namespace().unwrap_or_default(), new.spec.into.clone());
    if !snapshot.streams.contains_key(&key) {
        let known = snapshot.streams.keys().map(|(_, name)| name.as_str());
        let missing = missing("DataStream", &key.1, "Source", known);
        decision.warn(format!("spec.into: {missing}"));
    }
    let StreamUse::Records(used) = new.streams() else {
        return decision;
    };
    let own = used.targets();
    let writers: Vec<&str> = snapshot
        .pipelines
        .iter()
        .filter(|(_, spec)| !own.is_disjoint(&shared::targets(spec)))
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::impact::Stream;

    fn snapshot() -> CatalogSnapshot {
        CatalogSnapshot {
            streams: [(("shop".into(), "a".into()), Stream::default())].into(),
            ..CatalogSnapshot::default()
        }
    }

    #[test]
    fn a_source_waits_for_its_stream() {
        let new = json!({"apiVersion": "headworks.dev/v1alpha1", "kind": "Source",
            "metadata": {"name": "s", "namespace": "shop"}, "spec": {"into": "nobody", "http": {}}});
        let new: Source = serde_json::from_value(new).unwrap();
        let decision = review(&new, &snapshot());
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
            let new: Source = serde_json::from_value(new).unwrap();
            review(&new, &snapshot).warnings
        };
        assert!(ask(false)[0].contains("written by Pipeline fill, too"));
        assert!(ask(true).is_empty());
    }
}
