//! A DataStore in admission: its spec by itself is all there is to judge; who writes to one that goes.

use headworks_crds::{DataStore, PipelineSpec};

use crate::{
    admission::{AdmissionDecision, Around, Request, Reviewed, listed},
    impact::CatalogSnapshot,
};

impl Reviewed for DataStore {
    fn review(_: &Request<Self>, _: Around<'_>) -> AdmissionDecision {
        AdmissionDecision::pass()
    }

    fn deletion(name: &str, around: &Around<'_>) -> AdmissionDecision {
        goes(name, around.namespace, &around.snapshot())
    }
}

/// Who writes to a store that goes. Pure.
fn goes(name: &str, namespace: &str, snapshot: &CatalogSnapshot) -> AdmissionDecision {
    let writes = |spec: &PipelineSpec| {
        let mut tables = spec.to.iter().filter_map(|t| t.table.as_ref());
        tables.any(|table| table.store == name)
    };
    let users: Vec<String> = snapshot
        .pipelines
        .iter()
        .filter(|(_, spec)| writes(spec))
        .map(|((_, pipeline), _)| format!("Pipeline {pipeline}"))
        .collect();
    let mut decision = AdmissionDecision::pass();
    if !users.is_empty() {
        decision.warn(format!(
            "DataStore {namespace}/{name} is written to by {}: they go on with their last good plan, and say StoreNotFound until it is back",
            listed(&users)
        ));
    }
    decision
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn who_writes_to_a_store_that_goes_is_told_and_it_goes() {
        let spec = json!({"sql": "SELECT id FROM clicks", "to": [{"stream": "orders"}, {"table": {"store": "w", "name": "t"}}]});
        let spec = serde_json::from_value(spec).unwrap();
        let mut snapshot = CatalogSnapshot::default();
        snapshot
            .pipelines
            .insert(("shop".into(), "fill".into()), spec);
        let told = goes("w", "shop", &snapshot).warnings;
        assert!(
            told[0].contains("written to by Pipeline fill: "),
            "{told:?}"
        );
        assert_eq!(goes("x", "shop", &snapshot), AdmissionDecision::pass());
    }
}
