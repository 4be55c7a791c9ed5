//! A DataStream in admission: what is around it, the texts that its definition needs, and who uses one that goes.

mod review;

use std::collections::BTreeMap;

use headworks_crds::{ANNOTATION_ALLOW_BREAKING, DataStream, DeletionPolicy};
use kube::{ResourceExt, runtime::reflector::ObjectRef};

use super::{limits, schema_texts};
use crate::{
    admission::{AdmissionDecision, Around, NeededTexts, Reads, Request, Reviewed, listed},
    contract::{references::config_maps, topic_name},
    impact::CatalogSnapshot,
    planning::query,
    stores::{Stores, names},
};

impl Reviewed for DataStream {
    const PERMITS: Option<&'static str> = Some(ANNOTATION_ALLOW_BREAKING);

    /// ConfigMaps are users' own, and no store has them: each is asked for, within the time that a review has.
    async fn texts(request: &Request<Self>, reads: &Reads<'_>) -> NeededTexts {
        let specs = request.old.iter().chain([&request.new]);
        let specs: Vec<_> = specs.map(|stream| &stream.spec).collect();
        if specs.iter().all(|spec| config_maps(spec).is_empty()) {
            return Ok(BTreeMap::new());
        }
        let _permit = reads.at_once.acquire().await;
        let namespace = request.new.namespace().unwrap_or_default();
        schema_texts::texts(reads.client, &namespace, &specs)
            .await
            .map_err(|error| error.to_string())
    }

    fn review(request: &Request<Self>, around: Around<'_>) -> AdmissionDecision {
        let (new, stores) = (&request.new, around.stores);
        let mut decision = review::review(request, || review::Around {
            snapshot: stores.snapshot(around.namespace, Some(new)),
            platforms: names(&stores.platforms, None),
            topics: taken(stores, new),
            platform: stores.platform(&new.spec.platform),
            labels: stores.namespace_labels(around.namespace),
            texts: around.texts,
        });
        if decision.denied.is_none() {
            limited(new, stores, &mut decision);
        }
        decision
    }

    fn deletion(name: &str, around: &Around<'_>) -> AdmissionDecision {
        let key = ObjectRef::new(name).within(around.namespace);
        let stream = around.stores.streams.get(&key);
        let policy = stream.and_then(|s| Some(s.0.as_ref().ok()?.spec.deletion_policy));
        let policy = policy.unwrap_or_default();
        goes(name, around.namespace, policy, &around.snapshot())
    }
}

/// What its Platform's limits don't allow: the Platform may be on its way, so it is no refusal.
fn limited(new: &DataStream, stores: &Stores, decision: &mut AdmissionDecision) {
    let Some(platform) = stores.platform(&new.spec.platform) else {
        return;
    };
    let streams = stores.streams.state();
    let streams = streams.iter().filter_map(|guarded| guarded.0.as_ref().ok());
    let around = limits::around(new, &platform, streams);
    if let Some(fault) = limits::fault(&new.spec, &platform, around) {
        decision.warn(fault);
    }
}

/// Topics of the other streams on a stream's Platform, of those that may have them: who isn't allowed a topic takes it from nobody, and
/// who is younger doesn't either.
fn taken(stores: &Stores, stream: &DataStream) -> Vec<review::Taken> {
    let own = (stream.namespace(), stream.name_any());
    let platform = stores.platform(&stream.spec.platform);
    let policy = platform.map_or_else(Vec::new, |p| p.spec.kafka.topic_policy.clone());
    let may_have = |namespace: &str, topic: &str| {
        let labels = stores.namespace_labels(namespace);
        topic_name::allowed(topic, namespace, &labels, &policy).is_ok()
    };
    let all = stores.streams.state();
    all.iter()
        .filter_map(|other| other.0.as_ref().ok())
        .filter(|other| (other.namespace(), other.name_any()) != own)
        .filter(|other| other.spec.platform == stream.spec.platform)
        .filter(|other| came_before(other, stream))
        .filter_map(|other| {
            let (namespace, name) = (other.namespace().unwrap_or_default(), other.name_any());
            let topic = topic_name::topic_of(&namespace, &name, other.spec.topic.as_deref());
            may_have(&namespace, &topic).then_some(review::Taken {
                topic,
                namespace,
                name,
            })
        })
        .collect()
}

/// True: the other one is older. One that is only about to be made is younger than all.
fn came_before(other: &DataStream, stream: &DataStream) -> bool {
    let made = |stream: &DataStream| stream.creation_timestamp().map(|at| at.0);
    made(stream).is_none_or(|own| made(other).is_none_or(|other| other <= own))
}

/// Who uses a stream that goes. Pure.
fn goes(
    name: &str,
    namespace: &str,
    policy: DeletionPolicy,
    snapshot: &CatalogSnapshot,
) -> AdmissionDecision {
    let users = users(name, snapshot);
    let mut decision = AdmissionDecision::pass();
    if !users.is_empty() {
        decision.warn(format!(
            "DataStream {namespace}/{name} is in use by {}: they wait until it is back",
            listed(&users)
        ));
        if policy == DeletionPolicy::Delete {
            decision.warn(format!(
                "spec.deletionPolicy of DataStream {namespace}/{name} is Delete: its topic and all its records go, too"
            ));
        }
    }
    decision
}

/// Who uses a stream, as they are told. Pure.
pub fn users(name: &str, snapshot: &CatalogSnapshot) -> Vec<String> {
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
    for ((kind, (_, user)), used) in &snapshot.records {
        match (used.is_reader(name), used.is_writer(name)) {
            (false, false) => {}
            (true, _) => users.push(format!("{kind} {user} (reads it)")),
            // What a Source does needs no saying.
            (false, true) => users.push(format!("{kind} {user}")),
        }
    }
    let grants = snapshot.grants.iter();
    let grants = grants.filter(|(_, g)| g.read.iter().chain(&g.write).any(|one| one == name));
    users.extend(grants.map(|((_, grant), _)| format!("AccessGrant {grant}")));
    let rules = snapshot
        .rules
        .iter()
        .filter(|(_, rule)| rule.stream == name);
    users.extend(rules.map(|((_, rule), _)| format!("QualityRule {rule}")));
    users
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::planning::uses::{RecordUse, StreamRef};

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
        let source = RecordUse {
            writes: vec![StreamRef::new("orders", "spec.into")],
            ..RecordUse::default()
        };
        snapshot.records.insert(("Source", name("in")), source);
        let grant = json!({"to": {"namespace": "bi", "name": "app"}, "read": ["orders"]});
        snapshot.grants.insert(name("bi"), of(grant));
        snapshot
    }

    #[test]
    fn only_an_older_stream_has_a_topic_already() {
        let made = |at: Option<&str>| -> DataStream {
            let metadata = json!({"name": "orders", "creationTimestamp": at});
            serde_json::from_value(json!({"metadata": metadata, "spec": {"schema": []}})).unwrap()
        };
        let (old, new) = (Some("2026-01-01T00:00:00Z"), Some("2026-01-02T00:00:00Z"));
        assert!(came_before(&made(old), &made(new)));
        assert!(!came_before(&made(new), &made(old)));
        assert!(
            came_before(&made(new), &made(None)),
            "it is about to be made"
        );
    }

    #[test]
    fn who_uses_a_stream_that_goes_is_told_and_it_goes() {
        let decision = goes("orders", "shop", DeletionPolicy::Delete, &snapshot());
        assert_eq!(decision.denied, None);
        assert_eq!(
            decision.warnings,
            [
                "DataStream shop/orders is in use by Pipeline copy (reads it), Pipeline fill (writes it), Source in, AccessGrant bi: they wait until it is back",
                "spec.deletionPolicy of DataStream shop/orders is Delete: its topic and all its records go, too"
            ]
        );
        let unused = goes("nobodys", "shop", DeletionPolicy::Delete, &snapshot());
        assert_eq!(unused, AdmissionDecision::pass());
    }
}
