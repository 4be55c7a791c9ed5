use headworks_crds::ANNOTATION_ALLOW_BREAKING;
use serde_json::{Value, json};

use super::*;
use crate::{contract::references::Texts, impact::Stream};

fn stream(fields: &str, more: Value, annotation: &str) -> DataStream {
    let schema: Vec<Value> = fields
        .split(',')
        .map(|field| {
            let (name, type_) = field.trim().split_once(' ').unwrap();
            let nullable = type_.ends_with('?');
            json!({"name": name, "type": type_.trim_end_matches('?'), "nullable": nullable})
        })
        .collect();
    let mut spec = json!({"schema": schema});
    spec.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let mut object = json!({"apiVersion": "headworks.dev/v1alpha1", "kind": "DataStream",
        "metadata": {"name": "orders", "namespace": "shop"}, "spec": spec});
    if !annotation.is_empty() {
        object["metadata"]["annotations"] = json!({ANNOTATION_ALLOW_BREAKING: annotation});
    }
    serde_json::from_value(object).unwrap()
}

fn snapshot(in_force: &DataStream) -> CatalogSnapshot {
    let mut snapshot = CatalogSnapshot::default();
    let name = ("shop".to_owned(), "orders".to_owned());
    let stream = Stream {
        contract: contract::wanted(("shop", "orders"), &in_force.spec, None).unwrap(),
        version: Some(3),
        ..Stream::default()
    };
    snapshot.streams.insert(name, stream);
    let spec =
        json!({"sql": "SELECT id, n FROM orders", "to": [{"table": {"store": "w", "name": "t"}}]});
    let name = ("shop".to_owned(), "copy".to_owned());
    snapshot
        .pipelines
        .insert(name, serde_json::from_value(spec).unwrap());
    snapshot
}

fn ask(
    new: &DataStream,
    old: Option<&DataStream>,
    snapshot: &CatalogSnapshot,
) -> AdmissionDecision {
    ask_with(new, old, snapshot, Ok(BTreeMap::new()))
}

fn ask_with(
    new: &DataStream,
    old: Option<&DataStream>,
    snapshot: &CatalogSnapshot,
    texts: Result<BTreeMap<String, Texts>, String>,
) -> AdmissionDecision {
    let request = Request {
        new: new.clone(),
        old: old.cloned(),
    };
    let platform: Platform = serde_json::from_value(json!({"apiVersion": "headworks.dev/v1alpha1", "kind": "Platform",
        "metadata": {"name": "default"}, "spec": {"kafka": {"bootstrapServers": "k:9092", "management": {"admin": {}}}}}))
    .unwrap();
    review(&request, || Around {
        snapshot: snapshot.clone(),
        platform: Some(platform),
        labels: BTreeMap::new(),
        platforms: BTreeSet::new(),
        topics: Vec::new(),
        texts,
    })
}

#[test]
fn what_a_config_map_lacks_is_a_warning_since_it_may_come_later() {
    let object = |proto: &str| -> DataStream {
        serde_json::from_value(json!({"apiVersion": "headworks.dev/v1alpha1", "kind": "DataStream",
            "metadata": {"name": "paid", "namespace": "shop"}, "spec": {"format": "Protobuf", "protobuf": {
                "schema": proto, "imports": [{"name": "m.proto", "configMap": {"name": "protos", "key": "m"}}]}}}))
        .unwrap()
    };
    let new = object("syntax = \"proto3\"; import \"m.proto\"; message Paid { Money total = 1; }");
    let none = CatalogSnapshot::default();
    let decision = ask(&new, None, &none);
    assert_eq!(decision.denied, None);
    let told = decision.warnings.join("\n");
    assert!(
        told.contains("spec.protobuf.imports[0].configMap: ConfigMap protos doesn't exist"),
        "{told}"
    );
    let holds = |text: &str| {
        let data = BTreeMap::from([("m".to_owned(), text.to_owned())]);
        Ok(BTreeMap::from([("protos".to_owned(), Some(data))]))
    };
    let money = "syntax = \"proto3\"; message Money { int64 units = 1; }";
    let decision = ask_with(&new, None, &none, holds(money));
    assert_eq!(decision, AdmissionDecision::pass());
    let decision = ask_with(
        &new,
        None,
        &none,
        holds("syntax = \"proto3\"; message Cash {}"),
    );
    // The ConfigMap that goes with it may come a moment later.
    assert_eq!(decision.denied, None);
    let told = decision.warnings.join("\n");
    assert!(
        told.contains("as its ConfigMaps are now") && told.contains("Money"),
        "{told}"
    );
    let decision = ask_with(&new, None, &none, Err("the API server is away".into()));
    assert!(decision.denied.is_none() && decision.warnings[0].contains("the API server is away"));
}

#[test]
fn a_topic_that_is_taken_is_told_before_kafka_says_so() {
    let others = [
        ("shop", "kept", "shop.orders"),
        ("shop", "alike", "shop_orders"),
        ("audit", "secret", "shop.orders_dlq"),
        ("shop", "far", "shop.clicks"),
    ]
    .map(|(namespace, name, topic)| Taken {
        topic: topic.into(),
        namespace: namespace.into(),
        name: name.into(),
    });
    let mut decision = AdmissionDecision::pass();
    taken("shop.orders", "shop", &others, &mut decision);
    let told = decision.warnings.join("\n");
    for word in [
        "shop.orders is DataStream kept's already",
        "shop.orders differs only in \".\" and \"_\" from shop_orders of DataStream alike",
        "shop.orders.dlq differs only in \".\" and \"_\" from shop.orders_dlq of a DataStream of another namespace",
    ] {
        assert!(told.contains(word), "{word}: {told}");
    }
    assert!(!told.contains("secret") && !told.contains("far"), "{told}");
}

#[test]
fn an_incompatible_change_is_refused_with_list_and_fingerprint_and_passes_with_it_once() {
    let old = stream("id string, n bigint", json!({}), "");
    let snapshot = snapshot(&old);
    let new = stream("id string, n int", json!({}), "");
    let denied = ask(&new, Some(&old), &snapshot).denied.unwrap();
    let print = denied
        .split("headworks.dev/allow-breaking: \"")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .unwrap();
    insta::assert_snapshot!(denied.replace(print, "[fingerprint]"));
    let with = stream("id string, n int", json!({}), print);
    let decision = ask(&with, Some(&old), &snapshot);
    assert_eq!(decision.denied, None);
    assert!(
        decision.warnings.iter().any(|w| w.contains("dead letters")),
        "{decision:?}"
    );
    // Another change with the same annotation.
    let other = stream("id string, n string", json!({}), print);
    assert!(ask(&other, Some(&with), &snapshot).denied.is_some());
    // Afterwards it is in force, and the annotation says nothing any more.
    let mut snapshot = self::snapshot(&with);
    assert_eq!(
        ask(&with, Some(&with), &snapshot),
        AdmissionDecision::pass()
    );
    let again = stream("id string, n boolean", json!({}), print);
    assert!(ask(&again, Some(&with), &snapshot).denied.is_some());
    // Back, which anybody may, and the same mistake with the annotation still there.
    let back = stream("id string, n bigint", json!({}), print);
    assert_eq!(ask(&back, Some(&with), &snapshot).denied, None);
    snapshot = self::snapshot(&back);
    for stream in snapshot.streams.values_mut() {
        stream.used = vec![print.to_owned()];
    }
    let denied = ask(&with, Some(&back), &snapshot).denied.unwrap();
    assert!(!denied.contains(print), "{denied}");
}

#[test]
fn what_was_stored_already_is_no_reason_to_refuse_something_else() {
    let accepted = stream("id string, n bigint", json!({}), "");
    let stored = stream("id string, n int", json!({}), "");
    let edited = stream("id string, n int", json!({"owner": "team-a"}), "");
    let decision = ask(&edited, Some(&stored), &snapshot(&accepted));
    assert_eq!(decision.denied, None);
    assert!(decision.warnings[0].contains("Contract 3 stays in force"));
    // And the way back is open.
    assert_eq!(
        ask(&accepted, Some(&stored), &snapshot(&accepted)).denied,
        None
    );
}

#[test]
fn a_mode_that_is_loosened_in_the_same_apply_does_not_count() {
    let old = stream("id string, n bigint", json!({}), "");
    let mut snapshot = snapshot(&old);
    let new = stream("id string", json!({"compatibility": "None"}), "");
    let denied = ask(&new, Some(&old), &snapshot).denied.unwrap();
    assert!(
        denied.contains("(compatibility: Backward and None)"),
        "{denied}"
    );
    assert!(denied.contains("change it alone first"), "{denied}");
    // Alone it passes, and once it is in force the change does.
    let loose = stream("id string, n bigint", json!({"compatibility": "None"}), "");
    assert_eq!(ask(&loose, Some(&old), &snapshot).denied, None);
    for stream in snapshot.streams.values_mut() {
        stream.compatibility = Compatibility::None;
    }
    assert_eq!(ask(&new, Some(&loose), &snapshot).denied, None);
    // Where our own store is behind, the status says which mode is in force.
    let mut early = loose.clone();
    early.status = serde_json::from_value(
        json!({"contract": {"version": 1, "fingerprint": "x", "compatibility": "Backward"}}),
    )
    .ok();
    assert!(
        ask(&new, Some(&early), &CatalogSnapshot::default())
            .denied
            .is_some()
    );
}

#[test]
fn the_event_time_is_part_of_the_promise() {
    let fields = "id string, at timestamp_ltz(3), on timestamp_ltz(3)";
    let at = |field: &str, mode: &str| {
        let more = json!({"eventTime": {"field": field}, "compatibility": mode});
        stream(fields, more, "")
    };
    let old = at("at", "Full");
    let denied = ask(&at("on", "Full"), Some(&old), &snapshot(&old)).denied;
    assert!(denied.unwrap().contains("eventTime changes from at to on"));
    let old = at("at", "None");
    let mut loose = snapshot(&old);
    for stream in loose.streams.values_mut() {
        stream.compatibility = Compatibility::None;
    }
    let decision = ask(&at("on", "None"), Some(&old), &loose);
    assert_eq!(decision.denied, None);
    assert!(
        decision.warnings[0].starts_with("spec.eventTime.field: at → on"),
        "{decision:?}"
    );
}

#[test]
fn one_that_is_made_again_over_what_was_left_is_judged_by_it() {
    let left = stream("id string, n bigint", json!({}), "");
    let new = stream("id string", json!({}), "");
    let denied = ask(&new, None, &snapshot(&left)).denied.unwrap();
    assert!(denied.contains("Contract 3 stays in force"), "{denied}");
    // Nothing was left.
    assert_eq!(ask(&new, None, &CatalogSnapshot::default()).denied, None);
}

#[test]
fn nothing_is_promised_before_a_contract_is_accepted() {
    let old = stream("id string, n bigint", json!({}), "");
    let mut snapshot = snapshot(&old);
    for stream in snapshot.streams.values_mut() {
        stream.version = None;
    }
    let new = stream("id string, n int", json!({}), "");
    assert_eq!(ask(&new, Some(&old), &snapshot).denied, None);
    // Unless its status says so: our own store is only behind.
    let mut accepted = old.clone();
    accepted.status =
        serde_json::from_value(json!({"contract": {"version": 1, "fingerprint": "x"}})).ok();
    assert!(ask(&new, Some(&accepted), &snapshot).denied.is_some());
}

#[test]
fn legal_but_unwise_is_a_warning() {
    let old = stream(
        "id string, n bigint",
        json!({"partitions": 3, "retention": "7d", "key": ["id"]}),
        "",
    );
    let new = stream(
        "id string, n bigint",
        json!({"partitions": 6, "retention": "1d", "key": ["id"], "compatibility": "None", "deletionPolicy": "Delete",
            "topic": "other.orders"}),
        "feedfeedfeedfeed",
    );
    let decision = ask(&new, Some(&old), &snapshot(&old));
    assert_eq!(decision.denied, None);
    insta::assert_snapshot!(decision.warnings.join("\n"));
    // Said once, not at every apply.
    assert!(ask(&new, Some(&new), &snapshot(&new)).warnings.len() <= 1);
}

#[test]
fn a_wrong_type_is_refused_and_a_compatible_change_warns_of_what_it_alters() {
    let old = stream("id string, n int", json!({}), "");
    let snapshot = snapshot(&old);
    let wrong = ask(&stream("id strin", json!({}), ""), Some(&old), &snapshot);
    assert!(wrong.denied.unwrap().contains("strin"));
    let wider = ask(
        &stream("id string, n bigint", json!({}), ""),
        Some(&old),
        &snapshot,
    );
    assert_eq!(wider.denied, None);
    insta::assert_snapshot!(wider.warnings.join("\n"));
}
