use headworks_crds::DataStream;
use serde_json::{Value, json};

use super::*;
use crate::{
    contract,
    planning::{lineage, uses::StreamRef},
};

/// A shop: orders from HTTP, big ones in a stream and a table, and a copy of that; a client reads each end.
fn shop() -> CatalogSnapshot {
    let mut snapshot = CatalogSnapshot::default();
    let name = |name: &str| ("shop".to_owned(), name.to_owned());
    for (stream, owner, fields) in [
        (
            "orders",
            "team-checkout",
            json!([{"name": "id", "type": "string"}, {"name": "email", "type": "string", "labels": ["pii"]},
                {"name": "amount", "type": "decimal(12,2)"}, {"name": "coupon", "type": "string", "nullable": true}]),
        ),
        (
            "big",
            "team-sales",
            json!([{"name": "id", "type": "string"}, {"name": "who", "type": "string"}, {"name": "amount", "type": "decimal(14,2)"}]),
        ),
        (
            "copy",
            "team-lake",
            json!([{"name": "id", "type": "string"}, {"name": "person", "type": "string"}]),
        ),
    ] {
        let spec = json!({"schema": fields, "owner": owner});
        snapshot.add(&name(stream), &spec);
    }
    for (pipeline, sql, to) in [
        (
            "large",
            "SELECT id, email AS who, amount FROM orders WHERE amount > 100",
            json!([{"stream": "big"}, {"table": {"store": "warehouse", "name": "big"}}]),
        ),
        (
            "again",
            "SELECT id, UPPER(who) AS person FROM big",
            json!([{"stream": "copy"}]),
        ),
        (
            "ids",
            "SELECT id FROM orders",
            json!([{"table": {"store": "warehouse", "name": "ids"}}]),
        ),
    ] {
        let spec = json!({"sql": sql, "to": to});
        let spec = serde_json::from_value(spec).unwrap();
        snapshot.pipelines.insert(name(pipeline), spec);
    }
    let source = RecordUse {
        writes: vec![StreamRef::new("orders", "spec.into")],
        runs: true,
        ..RecordUse::default()
    };
    let key = ("Source", name("orders-http"));
    snapshot.records.insert(key, source);
    for (grant, read, except) in [
        ("bi-orders", "orders", json!([])),
        ("bi-copy", "copy", json!(["pii"])),
    ] {
        let spec = json!({"to": {"namespace": "bi", "name": "app"}, "read": [read], "exceptLabels": except});
        let spec = serde_json::from_value(spec).unwrap();
        snapshot.grants.insert(name(grant), spec);
    }
    labels::settle(&mut snapshot);
    snapshot
}

impl CatalogSnapshot {
    fn add(&mut self, name: &Name, spec: &Value) {
        let spec: headworks_crds::DataStreamSpec = serde_json::from_value(spec.clone()).unwrap();
        let stream = Stream {
            contract: contract::wanted((&name.0, &name.1), &spec, None).unwrap(),
            version: Some(1),
            compatibility: spec.compatibility,
            owner: spec.owner,
            ..Stream::default()
        };
        self.streams.insert(name.clone(), stream);
    }

    /// The orders with other fields.
    fn orders(&self, fields: &Value) -> CatalogSnapshot {
        let mut snapshot = self.clone();
        let object: DataStream = serde_json::from_value(json!({
            "apiVersion": "headworks.dev/v1alpha1", "kind": "DataStream", "metadata": {"name": "orders"},
            "spec": {"schema": fields, "owner": "team-checkout"},
        }))
        .unwrap();
        let name = ("shop".to_owned(), "orders".to_owned());
        let contract = contract::wanted(("shop", "orders"), &object.spec, None).unwrap();
        snapshot.change(&name, &object.spec, &BTreeMap::new(), contract);
        snapshot
    }
}

fn orders(amount: &str) -> Value {
    json!([{"name": "id", "type": "string"}, {"name": "email", "type": "string", "labels": ["pii"]},
        {"name": "amount", "type": amount}, {"name": "coupon", "type": "string", "nullable": true}])
}

#[test]
fn nothing_changes_nothing() {
    let snapshot = shop();
    let impact = impact(&snapshot, &snapshot);
    assert_eq!(impact, Impact::default());
    assert!(!impact.breaks());
}

#[test]
fn a_removed_field_breaks_those_that_name_it() {
    let before = shop();
    let after = before.orders(&json!([{"name": "id", "type": "string"},
        {"name": "email", "type": "string", "labels": ["pii"]}]));
    let impact = impact(&before, &after);
    assert!(impact.breaks());
    insta::assert_snapshot!(impact.text());
}

#[test]
fn a_rule_that_does_not_fit_any_more_is_broken_and_another_is_not() {
    let mut before = shop();
    for (rule, field) in [("paid", "amount"), ("known", "id")] {
        let spec = json!({"stream": "orders", "checks": [{"notNull": {"field": field}}]});
        let spec = serde_json::from_value(spec).unwrap();
        before.rules.insert(("shop".into(), rule.into()), spec);
    }
    let after = before.orders(&json!([{"name": "id", "type": "string"}]));
    let impact = impact(&before, &after);
    let rules: Vec<_> = impact
        .items
        .iter()
        .filter(|i| i.kind == "QualityRule")
        .collect();
    assert_eq!((rules.len(), rules[0].name.as_str()), (1, "paid"));
    assert!(rules[0].what[0].starts_with("spec.checks[0].notNull.field: "));
}

#[test]
fn a_wider_type_alters_what_is_computed_from_it() {
    let before = shop();
    let impact = impact(&before, &before.orders(&orders("decimal(13,2)")));
    insta::assert_snapshot!(impact.text());
}

#[test]
fn a_type_that_the_next_stream_does_not_take_breaks_its_writer() {
    let before = shop();
    let impact = impact(&before, &before.orders(&orders("decimal(20,2)")));
    assert!(impact.breaks());
    insta::assert_snapshot!(impact.text());
}

#[test]
fn a_label_flows_through_two_pipelines_into_the_grant_at_the_end() {
    let before = shop();
    let mut fields = orders("decimal(12,2)");
    fields[1]["labels"] = json!(["pii", "secret"]);
    let impact = impact(&before, &before.orders(&fields));
    assert!(!impact.breaks());
    insta::assert_snapshot!(impact.text());
}

#[test]
fn a_reader_that_is_mended_in_the_same_commit_is_not_broken() {
    let before = shop();
    let mut after = before.orders(&json!([{"name": "id", "type": "string"},
        {"name": "email", "type": "string", "labels": ["pii"]}, {"name": "total", "type": "decimal(12,2)", "nullable": true}]));
    let large = ("shop".to_owned(), "large".to_owned());
    let spec = after.pipelines.get_mut(&large).unwrap();
    spec.sql =
        "SELECT id, email AS who, COALESCE(total, CAST(0 AS DECIMAL(12,2))) AS amount FROM orders"
            .into();
    let impact = impact(&before, &after);
    let broken: Vec<&str> = impact
        .of(Effect::Broken)
        .map(|item| item.name.as_str())
        .collect();
    assert_eq!(broken, ["bi-orders"], "{}", impact.text());
}

#[test]
fn a_ring_of_pipelines_ends() {
    let mut before = shop();
    let spec = json!({"sql": "SELECT id, person AS email, CAST(1 AS DECIMAL(12,2)) AS amount FROM copy", "to": [{"stream": "orders"}]});
    let back = ("shop".to_owned(), "back".to_owned());
    before
        .pipelines
        .insert(back, serde_json::from_value(spec).unwrap());
    labels::settle(&mut before);
    let after = before.orders(&json!([{"name": "id", "type": "string"}]));
    assert!(impact(&before, &after).breaks());
}

#[test]
fn what_reads_from_a_ring_has_the_labels_of_what_it_reads() {
    let mut snapshot = shop();
    let name = |name: &str| ("shop".to_owned(), name.to_owned());
    for (stream, label) in [
        ("behind", json!(["pii"])),
        ("ahead", json!([])),
        ("further", json!([])),
    ] {
        let field = json!([{"name": "x", "type": "string", "labels": label}]);
        snapshot.add(&name(stream), &json!({"schema": field}));
    }
    for (from, to) in [
        ("behind", "ahead"),
        ("ahead", "behind"),
        ("behind", "further"),
    ] {
        let spec = json!({"sql": format!("SELECT x FROM {from}"), "to": [{"stream": to}]});
        let spec = serde_json::from_value(spec).unwrap();
        snapshot
            .pipelines
            .insert(name(&format!("{from}-{to}")), spec);
    }
    labels::settle(&mut snapshot);
    let arrived = |stream: &str| snapshot.streams[&name(stream)].arrived.clone();
    assert_eq!(
        arrived("further"),
        [("x".to_owned(), ["pii".to_owned()].into())].into()
    );
    assert!(arrived("ahead").is_empty(), "the ring itself is refused");
    assert!(!arrived("copy").is_empty());
}

#[test]
fn a_short_list_says_how_many_are_left_out() {
    let mut before = shop();
    for n in 0..100 {
        let spec = json!({"sql": "SELECT amount FROM orders", "to": [{"table": {"store": "w", "name": format!("t{n}")}}]});
        let name = ("shop".to_owned(), format!("p{n}"));
        before
            .pipelines
            .insert(name, serde_json::from_value(spec).unwrap());
    }
    let after = before.orders(&json!([{"name": "id", "type": "string"}]));
    let list = impact(&before, &after).list(2_000);
    assert!(list.len() <= 2_000, "{}", list.len());
    assert!(list.contains("more: headworks impact -f"), "{list}");
}

#[test]
fn labels_of_a_status_are_by_label_and_back() {
    let snapshot = shop();
    let copy = &snapshot.streams[&("shop".to_owned(), "copy".to_owned())];
    let shown = lineage::shown(&copy.effective());
    assert_eq!(shown.len(), 1);
    assert_eq!(
        (shown[0].label.as_str(), shown[0].fields.as_slice()),
        ("pii", &["person".to_owned()][..])
    );
    assert_eq!(lineage::by_field(&shown), copy.arrived);
}

/// The lines about one object.
fn about(impact: &Impact, name: &str) -> Vec<(Effect, String)> {
    let items = impact.items.iter().filter(|item| item.name == name);
    items
        .map(|item| (item.effect, item.what.join("; ")))
        .collect()
}

#[test]
fn a_query_that_needs_another_state_is_broken_or_begins_anew() {
    for (reset, effect) in [(false, Effect::Broken), (true, Effect::Altered)] {
        let mut before = shop();
        let mode = if reset { "Reset" } else { "Block" };
        let spec = json!({"sql": "SELECT id, COUNT(DISTINCT amount) AS n FROM orders GROUP BY id", "onStateChange": mode,
            "to": [{"table": {"store": "w", "name": "counts", "key": ["id"]}}]});
        let name = ("shop".to_owned(), "counts".to_owned());
        before
            .pipelines
            .insert(name, serde_json::from_value(spec).unwrap());
        // The result stays a bigint. What is counted doesn't.
        let impact = impact(&before, &before.orders(&orders("decimal(13,2)")));
        let found = about(&impact, "counts");
        assert_eq!(found.len(), 1, "{}", impact.text());
        assert_eq!(found[0].0, effect, "{found:?}");
        let words: &[&str] = if reset {
            &[
                "begins anew",
                "(ResultsWouldMix)",
                "table w/counts",
                "accept-mixed-results: \"",
            ]
        } else {
            &["StateChange"]
        };
        for word in words {
            assert!(found[0].1.contains(word), "{word}: {found:?}");
        }
    }
}

#[test]
fn a_client_that_never_saw_a_field_does_not_lose_it() {
    let mut before = shop();
    let orders = ("shop".to_owned(), "orders".to_owned());
    for (grant, except) in [("all", json!([])), ("some", json!(["pii"]))] {
        let spec = json!({"to": {"namespace": "bi", "name": "app"}, "read": ["orders"], "exceptLabels": except});
        let name = ("shop".to_owned(), grant.to_owned());
        before
            .grants
            .insert(name, serde_json::from_value(spec).unwrap());
    }
    let without = json!([{"name": "id", "type": "string"}, {"name": "amount", "type": "decimal(12,2)"},
        {"name": "coupon", "type": "string", "nullable": true}]);
    let found = impact(&before, &before.orders(&without));
    assert_eq!(about(&found, "all")[0].0, Effect::Broken);
    assert!(about(&found, "some").is_empty(), "{}", found.text());
    // The same where the label came by lineage.
    let stream = before.streams.get_mut(&orders).unwrap();
    stream.contract.fields[1].labels.clear();
    stream.arrived = [("email".to_owned(), ["pii".to_owned()].into())].into();
    let found = impact(&before, &before.orders(&without));
    assert!(about(&found, "some").is_empty(), "{}", found.text());
    // A label that goes shows the field.
    let mut shown = without.as_array().unwrap().clone();
    shown.insert(1, json!({"name": "email", "type": "string"}));
    let found = impact(&shop_with_grant(), &shop_with_grant().orders(&json!(shown)));
    assert!(about(&found, "some")[0].1.contains("loses label pii"));
}

fn shop_with_grant() -> CatalogSnapshot {
    let mut snapshot = shop();
    let spec = json!({"to": {"namespace": "bi", "name": "app"}, "read": ["orders"], "exceptLabels": ["pii"]});
    let name = ("shop".to_owned(), "some".to_owned());
    snapshot
        .grants
        .insert(name, serde_json::from_value(spec).unwrap());
    snapshot
}

#[test]
fn a_pipeline_that_changes_has_a_blast_radius_of_its_own() {
    let mut before = shop();
    let large = ("shop".to_owned(), "large".to_owned());
    let spec = before.pipelines.get_mut(&large).unwrap();
    spec.sql = "SELECT id, id AS who, amount FROM orders".into();
    labels::settle(&mut before);
    let mut after = before.clone();
    let spec = after.pipelines.get_mut(&large).unwrap();
    spec.sql = "SELECT id, email AS who, amount FROM orders".into();
    let found = impact(&before, &after);
    assert!(found.changes.is_empty());
    // Two streams on: orders → big → copy, whose client leaves pii out.
    assert_eq!(
        about(&found, "copy"),
        [(Effect::Altered, "person: gains label pii".to_owned())]
    );
    assert_eq!(about(&found, "bi-copy").len(), 1, "{}", found.text());
    assert!(found.exposed.is_empty());
    // Without exceptLabels the client is shown it.
    let grant = ("shop".to_owned(), "bi-copy".to_owned());
    for snapshot in [&mut before, &mut after] {
        let spec = snapshot.grants.get_mut(&grant).unwrap();
        spec.except_labels.clear();
    }
    let exposed = impact(&before, &after).exposed;
    assert_eq!(exposed.len(), 1);
    assert_eq!(
        (exposed[0].stream.as_str(), exposed[0].field.as_str()),
        ("copy", "person")
    );
    // A table whose columns change is told, too.
    let spec = after.pipelines.get_mut(&large).unwrap();
    spec.sql =
        "SELECT id, email AS who, CAST(amount AS DECIMAL(13,2)) AS amount FROM orders".into();
    let found = impact(&before, &after);
    assert!(about(&found, "warehouse.big")[0].1.contains("amount"));
}

#[test]
fn what_an_earlier_object_left_is_in_force_for_one_that_is_made_again() {
    use crate::{
        contract::revision::{Revision, config_map},
        names::Key,
    };
    let object = |name: &str, topic: &str| -> DataStream {
        serde_json::from_value(json!({
            "apiVersion": "headworks.dev/v1alpha1", "kind": "DataStream",
            "metadata": {"name": name, "namespace": "shop"},
            "spec": {"schema": [{"name": "id", "type": "string"}], "topic": topic, "compatibility": "None"},
        }))
        .unwrap()
    };
    // Longer than a label's value.
    let long = "o".repeat(80);
    for name in ["orders", long.as_str()] {
        let left = Revision {
            version: 4,
            contract: Contract::default(),
            topic: "shop.mine".into(),
            platform: "default".into(),
            kept: vec![],
            schema_ids: vec![],
            compatibility: Some(Compatibility::Full),
            used: vec!["feed".into()],
        };
        let map = config_map(&Key::new("DataStream", "shop", name), &left).unwrap();
        let (same, other) = (object(name, "shop.mine"), object(name, "shop.other"));
        let known = |streams: Vec<&DataStream>, coming: Vec<&DataStream>| {
            let objects = cluster::Objects {
                streams,
                coming,
                contracts: vec![&map],
                ..cluster::Objects::default()
            };
            let snapshot = cluster::of("shop", &objects);
            let stream = snapshot.streams.get(&("shop".to_owned(), name.to_owned()));
            stream.map(|s| (s.version, s.compatibility, s.used.len()))
        };
        let in_force = Some((Some(4), Compatibility::Full, 1));
        assert_eq!(known(vec![], vec![&same]), in_force);
        assert_eq!(known(vec![&same], vec![]), in_force);
        assert_eq!(known(vec![], vec![&other]), None);
        let nothing = Some((None, Compatibility::None, 0));
        assert_eq!(known(vec![&other], vec![]), nothing);
    }
}
