//! A deletion always passes. Who still uses what goes is told: they wait until it is back. Pure.

use std::fmt::Write;

use headworks_crds::DeletionPolicy;

use super::decision::AdmissionDecision;
use crate::{impact::CatalogSnapshot, planning::query};

/// Most users that are named.
const NAMED: usize = 6;

/// A DataStream goes.
pub fn stream(
    name: &str,
    namespace: &str,
    policy: DeletionPolicy,
    snapshot: &CatalogSnapshot,
) -> AdmissionDecision {
    let mut users = Vec::new();
    for ((_, pipeline), spec) in &snapshot.pipelines {
        let reads = query::inputs(&spec.sql).is_ok_and(|all| all.iter().any(|one| one == name));
        let writes = spec.to.iter().any(|t| t.stream.as_deref() == Some(name));
        match (reads, writes) {
            (false, false) => {}
            (false, true) => users.push(format!("Pipeline {pipeline} (writes it)")),
            (true, _) => users.push(format!("Pipeline {pipeline} (reads it)")),
        }
    }
    let sources = snapshot
        .sources
        .iter()
        .filter(|(_, spec)| spec.into == name);
    users.extend(sources.map(|((_, source), _)| format!("Source {source}")));
    let grants = snapshot.grants.iter();
    let grants = grants.filter(|(_, g)| g.read.iter().chain(&g.write).any(|one| one == name));
    users.extend(grants.map(|((_, grant), _)| format!("AccessGrant {grant}")));
    let mut decision = AdmissionDecision::pass();
    if !users.is_empty() {
        decision.warn(format!(
            "DataStream {namespace}/{name} is in use by {}: they wait until it is back",
            list(&users)
        ));
        if policy == DeletionPolicy::Delete {
            decision.warn(format!(
                "spec.deletionPolicy of DataStream {namespace}/{name} is Delete: its topic and all its records go, too"
            ));
        }
    }
    decision
}

/// A DataStore goes.
pub fn store(name: &str, namespace: &str, snapshot: &CatalogSnapshot) -> AdmissionDecision {
    let writes = |spec: &headworks_crds::PipelineSpec| {
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
            list(&users)
        ));
    }
    decision
}

/// A Platform goes; so many streams and Pipelines are on it.
pub fn platform(name: &str, streams: usize, pipelines: usize) -> AdmissionDecision {
    let mut decision = AdmissionDecision::pass();
    if streams + pipelines > 0 {
        decision.warn(format!(
            "Platform {name} has {streams} DataStreams and {pipelines} Pipelines: they wait until it is back; topics, users and progress in its Kafka stay"
        ));
    }
    decision
}

fn list(users: &[String]) -> String {
    let mut text = users[..users.len().min(NAMED)].join(", ");
    if users.len() > NAMED {
        let _ = write!(text, " and {} more", users.len() - NAMED);
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn snapshot() -> CatalogSnapshot {
        fn of<T: serde::de::DeserializeOwned>(value: Value) -> T {
            serde_json::from_value(value).unwrap()
        }
        let name = |name: &str| ("shop".to_owned(), name.to_owned());
        let mut snapshot = CatalogSnapshot::default();
        for (pipeline, sql, to) in [
            (
                "copy",
                "SELECT id FROM orders",
                json!([{"stream": "copies"}]),
            ),
            (
                "fill",
                "SELECT id FROM clicks",
                json!([{"stream": "orders"}, {"table": {"store": "w", "name": "t"}}]),
            ),
            (
                "other",
                "SELECT id FROM clicks",
                json!([{"stream": "copies"}]),
            ),
        ] {
            let spec = of(json!({"sql": sql, "to": to}));
            snapshot.pipelines.insert(name(pipeline), spec);
        }
        snapshot
            .sources
            .insert(name("in"), of(json!({"into": "orders", "http": {}})));
        let grant = json!({"to": {"namespace": "bi", "name": "app"}, "read": ["orders"]});
        snapshot.grants.insert(name("bi"), of(grant));
        snapshot
    }

    #[test]
    fn who_uses_a_stream_that_goes_is_told_and_it_goes() {
        let decision = stream("orders", "shop", DeletionPolicy::Delete, &snapshot());
        assert_eq!(decision.denied, None);
        assert_eq!(
            decision.warnings,
            [
                "DataStream shop/orders is in use by Pipeline copy (reads it), Pipeline fill (writes it), Source in, AccessGrant bi: they wait until it is back",
                "spec.deletionPolicy of DataStream shop/orders is Delete: its topic and all its records go, too"
            ]
        );
        let unused = stream("nobodys", "shop", DeletionPolicy::Delete, &snapshot());
        assert_eq!(unused, AdmissionDecision::pass());
    }

    #[test]
    fn a_store_and_a_platform_in_use_are_told_too() {
        let told = store("w", "shop", &snapshot()).warnings;
        assert!(
            told[0].contains("written to by Pipeline fill: "),
            "{told:?}"
        );
        assert_eq!(store("x", "shop", &snapshot()), AdmissionDecision::pass());
        assert!(platform("default", 2, 0).warnings[0].contains("2 DataStreams and 0 Pipelines"));
        assert_eq!(platform("default", 0, 0), AdmissionDecision::pass());
    }
}
